"""iam_guard for gRPC."""

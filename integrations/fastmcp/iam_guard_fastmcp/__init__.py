"""iam_guard for FastMCP."""

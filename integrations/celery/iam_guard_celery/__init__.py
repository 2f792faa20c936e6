"""iam_guard for Celery."""

"""iam_guard: the access management that AWS gives its own services, for anybody's Python service."""

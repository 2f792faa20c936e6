"""iam_guard for aiohttp."""

"""iam_guard for FastMCP: guarded tools, resources and prompts, and lists of those that the caller may use.

`GuardTools` is a middleware of FastMCP that decides each message, and `guarded_http_app` the server's ASGI application
behind `iam_guard.GuardMiddleware`, which authenticates. The decorators of `iam_guard` work on the functions of
components. This package makes no decisions.
"""

from iam_guard_fastmcp.http_app import guarded_http_app
from iam_guard_fastmcp.middleware import GuardTools

__all__ = ["GuardTools", "guarded_http_app"]

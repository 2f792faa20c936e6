"""An endpoint that returns the CSRF token of the caller's session in JSON, for pages at trusted origins.

Route("/csrf-token", csrf_token_endpoint())
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from iam_guard.errors import IamGuardError
from iam_guard.web.browser.csrf_tokens import csrf_token_headers, current_csrf_token
from iam_guard.web.call_context import current_call
from iam_guard.web.refusal import problem
from iam_guard.web.service import public


def csrf_token_endpoint() -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint for GET. Without a session it answers 401, to another origin's page 403."""

    @public  # it requires no action: the token is good for nothing without the session cookie
    async def csrf_token(request: Request) -> Response:
        headers = csrf_token_headers()
        try:
            return JSONResponse({"csrf_token": current_csrf_token()}, headers=dict(headers))
        except IamGuardError as error:  # with the headers, so that a page of a trusted origin can read why
            refusal = problem(error, current_call().facts.request_id)
            return Response(refusal.body, refusal.status, dict([*refusal.headers, *headers]))

    return csrf_token

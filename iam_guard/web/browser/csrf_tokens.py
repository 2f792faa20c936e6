"""The CSRF token of the caller's session, for pages of the application at its own origin and at `trusted_origins`.

Other origins can't read the answer: it has the headers of CORS for these origins alone. A page of another site has no
session cookie to write with, and needs an access token of its own.
"""

from __future__ import annotations

from typing import Final

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.tokens.session_cookie import csrf_token_of
from iam_guard.errors import AccessDenied
from iam_guard.web.browser.browser_caller import is_elsewhere, trusted_origin
from iam_guard.web.call_context import CurrentCall, current_call
from iam_guard.web.refusal import authentication_required

_READ: Final = "iam-guard:ReadCsrfToken"


def current_csrf_token() -> str:
    """Return the token that the header `x-csrf-token` of a change must have.

    Raises `MissingAuthenticationToken` without a browser session, `AccessDenied` for a page of an origin that is not
    trusted, and `ConfigurationError` outside of a call.
    """
    call = current_call()
    browser = call.browser
    if browser is None or browser.session is None or browser.session.task is not None:
        raise authentication_required(_READ)
    if browser.refusal is not None:
        raise browser.refusal
    if _trusted(call) is None and is_elsewhere(_request(call), call.facts):
        raise AccessDenied("expected a request of this site's own pages, or of a trusted origin", place="origin")
    return csrf_token_of(browser.session.digest)


def csrf_token_headers() -> list[tuple[str, str]]:
    """Return the headers of an answer with the token: it is not stored, and only trusted origins may read it."""
    origin = _trusted(current_call())
    headers = [
        ("cache-control", "no-store"),
        ("vary", "Origin"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ]
    if origin is not None:
        headers += [("access-control-allow-origin", origin), ("access-control-allow-credentials", "true")]
    return headers


def _trusted(call: CurrentCall) -> str | None:
    return trusted_origin(_request(call), call.facts, call.guard.settings.trusted_origins)


def _request(call: CurrentCall) -> HttpRequest:
    """Return the request with the headers that browsers describe its page by."""
    return HttpRequest(call.scope.get("method", "GET"), b"/", b"", tuple(call.scope["headers"]))

"""Redirect browsers to the sign-in page: navigations of callers without a credential, instead of 401."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from iam_guard.errors import IamGuardError
from iam_guard.model.principal import PrincipalType
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.refusal import Refusal, challenge_anonymous

MAX_NEXT: Final = 2000
"""Maximum characters of the parameter `next`; it is left out for a longer path and query."""
_MAX_ACCEPT: Final = 1000
_PAGES: Final = ("text/html", "application/xhtml+xml")


def sign_in_redirect(call: CurrentCall, error: IamGuardError) -> Refusal | None:
    """Return the redirect that answers an error instead of a 401; None if there is none.

    That is for a caller without a credential, or with a cookie of no session, who opens a page with a browser.
    """
    path = call.guard.settings.sign_in_url
    if not path or call.principal.type is not PrincipalType.ANONYMOUS:
        return None
    if challenge_anonymous(error).status != HTTPStatus.UNAUTHORIZED or not _is_navigation(call.scope):
        return None
    target = _target(call.scope)
    if target.partition("?")[0].rstrip("/") == path.rstrip("/"):
        return None  # the page itself
    after = quote(target, safe="")
    is_usable = target.startswith("/") and not target.startswith(("//", "/\\")) and len(after) <= MAX_NEXT
    location = f"{path}?next={after}" if is_usable else path
    headers = [("location", location), ("cache-control", "no-store"), ("x-amzn-requestid", call.facts.request_id)]
    if call.browser is None:  # the headers of a browser's caller have it
        headers.append(("vary", "Cookie"))
    return Refusal(HTTPStatus.SEE_OTHER, tuple(headers), b"")


def _target(scope: Mapping[str, Any]) -> str:
    """Return path and query as received."""
    raw_path = scope.get("raw_path")
    path = raw_path.partition(b"?")[0] if isinstance(raw_path, bytes) else quote(scope["path"]).encode("ascii")
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")


def _is_navigation(scope: Mapping[str, Any]) -> bool:
    """Return whether a request opens a page: by `Sec-Fetch-Mode`, or without it by `Accept`."""
    if scope["type"] != "http" or scope.get("method") != "GET":
        return False
    headers = {name.lower(): value for name, value in scope["headers"]}
    mode = headers.get(b"sec-fetch-mode")
    return _prefers_pages(headers.get(b"accept", b"")) if mode is None else bool(mode == b"navigate")


def _prefers_pages(accept: bytes) -> bool:
    """Return whether HTML is what an `Accept` header prefers."""
    best, preferred = 0.0, ""
    for part in accept[:_MAX_ACCEPT].decode("latin-1").split(","):
        kind, *parameters = [text.strip().lower() for text in part.split(";")]
        quality = next((_quality(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
        if quality > best:
            best, preferred = quality, kind
    return preferred in _PAGES


def _quality(text: str) -> float:
    try:
        return min(1.0, float(text))
    except ValueError:
        return 0.0

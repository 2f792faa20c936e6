"""Forms of the pages: their fields, the check that our own page sent them, and where to go afterwards.

A form has a token of the cookie that it was shown with: of the session, or of a cookie for forms before there is one.
The browser also says where a request comes from (`Sec-Fetch-Site`, `Origin`); what comes from elsewhere is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import Request

from iam_guard.authn.tokens.session_cookie import is_csrf_token, token_digest
from iam_guard.model.request import Call

MAX_FORM: Final = 16 * 1024
MAX_FIELDS: Final = 20
MAX_NEXT: Final = 2_000
_FORM_TYPE: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request, max_bytes: int = MAX_FORM) -> Mapping[str, str] | None:
    """Return the fields of a form; None for one that is too long, of another type, or has a field twice."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            return None
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return None
    return dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else None


def is_own_form(request: Request, call: Call, form: Mapping[str, str] | None, secret: str) -> bool:
    """Return whether a form is one of a page of ours that this browser was shown; `secret` is that of its cookie."""
    if form is None or not is_csrf_token(form.get("csrf_token", ""), token_digest(secret)):
        return False
    own = f"{'https' if call.secure else 'http'}://{call.host}"
    sites, origins = request.headers.getlist("sec-fetch-site"), request.headers.getlist("origin")
    return all(site == "same-origin" for site in sites) and all(origin == own for origin in origins)


def safe_next(url: str) -> str:
    """Return a URL of this site to go on to, a path with a query; empty for anything else."""
    if not url.startswith("/") or url.startswith(("//", "/\\")) or len(url) > MAX_NEXT or not url.isprintable():
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme or parts.netloc or "\\" in url or not url.isascii():
        return ""
    return quote(parts.path, safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")

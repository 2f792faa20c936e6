"""One request for a page: who sends it, with which cookies, and where it goes on to.

Beside the session's cookie there are three: of forms before there is a session, of the browser (`known_browsers`), and
of the account that it remembers (`remembered_account`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from itertools import islice
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.authn.people.known_browsers import COOKIE_SECONDS
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.console.forms import safe_next
from iam_guard.console.remembered_account import remembered_fields
from iam_guard.model.request import Call

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "Vary": "Cookie, Accept-Language",
}
SCRIPT_HEADERS: Final[Mapping[str, str]] = {
    **HEADERS,
    "Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; script-src 'self'; connect-src 'self'",
}
"""Of pages with the script for passkeys, which asks these pages for options."""
MAX_QUERY: Final = 16 * 1024
MAX_PARAMETERS: Final = 64
"""Maximum bytes and parameters of the query of a page; a longer one is not read. Brokers send credentials in it."""
LONG_COOKIES: Final = 1024
"""Bytes of the `Cookie` header from which the cookies of others are removed."""
MAX_OWN_COOKIES, MAX_COOKIES = 32, 12 * 1024
"""Maximum number of our own cookies then, and their bytes."""
_OWN_COOKIE: Final = re.compile(rb"iam-guard[^;=]*=[^;]*")
_is_secret = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch


class Visit:
    """One request for a page: its call, its session if it has one, and its form."""

    def __init__(self, request: Request, call: Call, session: BrowserSession | None, name: str | None) -> None:
        self.request = request
        self.call = call
        self.session = session
        self.cookie_name = name
        self.form: Mapping[str, str] = {}
        self.base: str = request.scope.get("root_path", "")
        form_cookie = request.cookies.get(form_cookie_name(call), "")
        self.form_cookie = form_cookie if _is_secret(form_cookie) else secrets.token_urlsafe(32)
        self.secret = self.form_cookie if session is None or name is None else request.cookies[name]

    @property
    def next(self) -> str:
        """Where to go on to; empty for nowhere."""
        return safe_next(self.form.get("next") or self.request.query_params.get("next", ""))

    @property
    def is_root(self) -> bool:
        """Whether the page is for the root user: as its URL says, else as the browser remembers."""
        named = self.request.query_params.get("type")
        if named is None and self.request.method == "GET":
            return "email" in self.remembered
        return named == "root"

    @property
    def remembered(self) -> Mapping[str, str]:
        """The fields of the form that the browser remembers."""
        return remembered_fields(self.request.cookies.get(remembered_cookie_name(self.call), ""))

    @property
    def browser(self) -> str:
        """The cookie of the browser, by which people's browsers are known; empty for none."""
        return self.request.cookies.get(browser_cookie_name(self.call), "")

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether another site has sent the browser here: not a page of ours, a bookmark, or what was typed."""
        return any(site not in ("same-origin", "none") for site in self.request.headers.getlist("sec-fetch-site"))

    def url(self, path: str) -> str:
        """Return the URL of another page, from which one goes on to the same place."""
        return f"{self.base}{path}" + (f"?{urlencode({'next': self.next})}" if self.next else "")


class ShortRequests:
    """Remove long queries, and the cookies of others, from the requests of the pages.

    Reading the parameters and the cookies of a request takes time and memory for each, before anyone has signed in. The
    scope is changed, not copied, since a guard around the pages finds the route in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
        if len(query) > MAX_QUERY or query.count(b"&") >= MAX_PARAMETERS:
            scope["query_string"] = b""
        if sum(len(value) for name, value in scope.get("headers", ()) if name == b"cookie") > LONG_COOKIES:
            scope["headers"] = [
                (name, _own_cookies(value) if name == b"cookie" else value) for name, value in scope["headers"]
            ]
        await self._app(scope, receive, send)


def _own_cookies(value: bytes) -> bytes:
    """Return a `Cookie` header without the cookies of others; an empty one if too many are named like our own."""
    found = [*islice(_OWN_COOKIE.finditer(value), MAX_OWN_COOKIES + 1)]
    own = 0 if len(found) > MAX_OWN_COOKIES else sum(len(one[0]) for one in found)
    if not 0 < own <= MAX_COOKIES:
        return b""
    return b"; ".join(value[value.rfind(b";", 0, one.start()) + 1 : one.end()].strip() for one in found)


def cookie_values(request: Request) -> list[bytes]:
    return [value for name, value in request.scope["headers"] if name == b"cookie"]


def form_cookie_name(call: Call) -> str:
    return own_cookie_name(call, "form")


def browser_cookie_name(call: Call) -> str:
    return own_cookie_name(call, "browser")


def remembered_cookie_name(call: Call) -> str:
    return own_cookie_name(call, "account")


def own_cookie_name(call: Call, purpose: str) -> str:
    """Return the name of a cookie that is not the session's."""
    return f"__Host-iam-guard-{purpose}" if call.secure else f"iam-guard-dev-{purpose}"


def cookie_header(call: Call, name: str, value: str, seconds: int | None = COOKIE_SECONDS) -> str:
    """Return the header of such a cookie. With None, it ends with the browser; an empty one is removed."""
    age = "" if seconds is None else f"; Max-Age={seconds if value else 0}"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}" + ("; Secure" if call.secure else "")

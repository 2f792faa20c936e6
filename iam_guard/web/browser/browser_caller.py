"""The caller of a request with a session cookie and no other credential.

A credential in a header, the query or a certificate decides alone; the cookie is then not even read. A cookie with a
valid session is the credential of its person, or of the role that the person has switched to, with these limits:

    session         request                                      public endpoints    guarded endpoints
    none, ended     any                                          anonymous           401, or 303 to the sign-in page
    with a task     any                                          anonymous           anonymous
    valid           a change, not known to come from the origin  anonymous           403
    valid           a cross-site read that is no navigation      anonymous           403
    valid           any other                                    the person          the person

A change is any method but GET, HEAD and OPTIONS, and a WebSocket handshake. It comes from the origin if the browser
says so (`Sec-Fetch-Site`, `Origin`), or if it has the session's token (`x-csrf-token`). An origin of the same site that
the settings trust counts as the own one, unless the request has a wrong token. The sign-in pages check their forms
themselves, and trust no other origin.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from iam_guard.authn.credential_verifier import ANONYMOUS
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.tokens.session_cookie import SessionCookie, clear_cookie, cookie_name, is_csrf_token, read_cookie
from iam_guard.errors import AccessDenied, ExpiredToken, IamGuardError, InvalidClientTokenId
from iam_guard.guard.guard import Guard
from iam_guard.model.credential import BrowserSession
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call

CSRF_HEADER: Final = b"x-csrf-token"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_NO_ORIGIN: Final = "expected a request of this site's own pages, or the session's token in the header x-csrf-token"
_CROSS_SITE: Final = "expected a request of this site's own pages, got one of another site"


@dataclass(frozen=True, slots=True)
class BrowserCaller:
    """What the session cookie of a request establishes."""

    principal: Principal
    """The person, the session of its role, or anonymous."""
    cookie: SessionCookie
    session: BrowserSession | None = None
    """The session of the cookie, also if it is no credential for the request."""
    refusal: IamGuardError | None = None
    """Why guarded endpoints refuse the request; None if they decide."""
    may_change: bool = False
    """Whether the request comes from the site's own pages, or has the session's token, whatever its method."""
    is_over: bool = False
    """Whether the browser is to remove its cookie."""

    @property
    def session_id(self) -> str | None:
        """The public id of the session, for the audit trail."""
        return None if self.session is None else self.session.id

    def headers(self, answered: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the headers to add to a response, which depends on the cookie.

        A cookie of no session is removed, unless the response with the headers `answered` sets another one.
        """
        start = f"{self.cookie.name}="
        is_replaced = any(name.lower() == "set-cookie" and value.startswith(start) for name, value in answered)
        added = [("vary", "Cookie")]
        return [*added, ("set-cookie", clear_cookie(self.cookie.name))] if self.is_over and not is_replaced else added


def session_cookie(request: HttpRequest, facts: Call) -> SessionCookie | None:
    """Return the session cookie of a request without another credential; None if it has none."""
    values = request.values(b"cookie")
    name = cookie_name(secure=facts.secure, host=facts.host) if values else None
    return None if name is None else read_cookie(values, name)


def browser_caller(
    guard: Guard, request: HttpRequest, cookie: SessionCookie, facts: Call, *, cache_only: bool = False
) -> BrowserCaller:
    """Return the caller with a cookie. With `cache_only` it raises `CacheMiss` if the store must be queried.

    Raises `StoreUnavailable`, which is recorded.
    """
    find = guard.people.browser_sessions.find_by_digest
    try:
        session = find(cookie.digest, cache_only=cache_only) if cookie.digest else None
    except IamGuardError as error:
        guard.trail.record_authentication(error, facts, "session")
        raise
    if session is None:
        refused = ExpiredToken if cookie.digest else InvalidClientTokenId  # ended sessions are not kept
        caller = BrowserCaller(ANONYMOUS, cookie, refusal=refused(place="cookie"), is_over=True)
    elif session.task is not None:
        caller = BrowserCaller(ANONYMOUS, cookie, session)
    else:
        may_change = _may_change(request, facts, session, guard.settings.trusted_origins)
        message = _problem(request, facts, may_change=may_change)
        refusal = None if message is None else AccessDenied(message, place="cookie")
        principal = session.principal if refusal is None else ANONYMOUS
        caller = BrowserCaller(principal, cookie, session, refusal, may_change)
    guard.count_authenticated(caller.principal)
    return caller


def _problem(request: HttpRequest, facts: Call, *, may_change: bool) -> str | None:
    """Return why the session is no credential for a request that another site may have caused; None if it is one."""
    if facts.kind == "http" and request.method in _SAFE_METHODS and not _is_handshake(request):
        is_cross_site = _only_value(request, b"sec-fetch-site") == b"cross-site"
        return _CROSS_SITE if is_cross_site and not _opens_page(request) else None
    return None if may_change else _NO_ORIGIN


def _may_change(request: HttpRequest, facts: Call, session: BrowserSession, trusted: Collection[str]) -> bool:
    """Return whether a request is known to come from the origin, or from one that the settings trust."""
    if comes_from_origin(request, facts):
        return True
    token = _only_value(request, CSRF_HEADER)
    if token is None:
        return trusted_origin(request, facts, trusted) is not None
    return is_csrf_token(token, session.digest)


def comes_from_origin(request: HttpRequest, facts: Call) -> bool:
    """Return whether the browser says that a page of this origin sent a request; for WebSockets, `Origin` decides."""
    site = _only_value(request, b"sec-fetch-site")
    if site == b"same-origin":
        return True
    is_undecided = site in (None, b"none") or facts.kind == "websocket"
    return is_undecided and _has_own_origin(request, facts)


def trusted_origin(request: HttpRequest, facts: Call, trusted: Collection[str]) -> str | None:
    """Return the origin whose page sent a request, if the settings trust it; None for any other, and across sites.

    For a WebSocket, its entry has the scheme `ws` or `wss`.
    """
    origin, site = _only_value(request, b"origin"), _only_value(request, b"sec-fetch-site")
    if not trusted or not origin or site not in (None, b"same-site"):
        return None
    text = origin.decode("latin-1")
    is_socket = facts.kind == "websocket" or _is_handshake(request)
    entry = "ws" + text.removeprefix("http") if is_socket else text
    return text if text.startswith("http") and entry in trusted else None


def is_elsewhere(request: HttpRequest, facts: Call) -> bool:
    """Return whether the browser says that a page of another origin sent a request for data."""
    origin, site = _only_value(request, b"origin"), _only_value(request, b"sec-fetch-site")
    if site not in (None, b"same-origin", b"none"):
        return True
    return origin is not None and not _has_own_origin(request, facts)


def _only_value(request: HttpRequest, name: bytes) -> bytes | None:
    """Return the value of a header; None if it is absent, and an empty one if it is repeated."""
    values = request.values(name)
    return None if not values else values[0] if len(values) == 1 else b""


def _is_handshake(request: HttpRequest) -> bool:
    """Return whether a GET is the handshake of a WebSocket, on servers that do not say so."""
    return any(b"websocket" in value.lower() for value in request.values(b"upgrade"))


def _opens_page(request: HttpRequest) -> bool:
    """Return whether a browser opens a page by itself, not as a part of another one."""
    is_navigation = _only_value(request, b"sec-fetch-mode") == b"navigate"
    return is_navigation and _only_value(request, b"sec-fetch-dest") in (None, b"document")


def _has_own_origin(request: HttpRequest, facts: Call) -> bool:
    """Return whether the page that sent a request is of its scheme, host and port."""
    origin, host = _only_value(request, b"origin"), _only_value(request, b"host")
    if not origin or not host:
        return False
    sender = _parsed_origin(origin.decode("latin-1"))
    return sender is not None and sender == _own_origin(facts, host.decode("latin-1"))


def own_target(url: str, facts: Call) -> str:
    """Return path and query of a page of the request's own origin; empty for an address elsewhere."""
    scheme, _, rest = url.partition("://")
    host, slash, target = rest.partition("/")
    sender = _parsed_origin(f"{scheme}://{host}")
    return f"/{target}" if slash and sender is not None and sender == _own_origin(facts, facts.host or "") else ""


def _own_origin(facts: Call, host: str) -> tuple[str, str, str] | None:
    return _parsed_origin(f"{'https' if facts.secure else 'http'}://{host}")


def _parsed_origin(origin: str) -> tuple[str, str, str] | None:
    """Return scheme, host and port of an origin; None for `null` and everything that is no origin."""
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None:
        return None
    return found["scheme"], found["host"], found["port"] or _DEFAULT_PORTS[found["scheme"]]

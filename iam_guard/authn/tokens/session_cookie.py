"""The cookie of a browser session: its names and values, and the token against cross-site request forgery.

Over TLS it has the prefix `__Host-`, so that no sibling domain and no unencrypted response can set it. On plain HTTP
the cookie has another name, and is used at loopback only, for development. Other plain HTTP requests have no session.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from iam_guard.authn.constant_time import same

COOKIE: Final = "__Host-iam-guard"
DEVELOPMENT_COOKIE: Final = "iam-guard-dev"
"""The name on plain HTTP at loopback."""

_TOKEN_BYTES: Final = 32
_is_token = re.compile(rb"[A-Za-z0-9_-]{43}").fullmatch
_VALUES: Final = {name: re.compile(name.encode("ascii") + rb"[ \t]*=([^;]*)") for name in (COOKIE, DEVELOPMENT_COOKIE)}
"""Find what may be the values of a cookie: each begins with a constant, for which the search is fast."""
_MAX_SPACES: Final = 64
"""White space before the name of a cookie."""
_MAX_NAMED: Final = 8
"""The names that one `Cookie` header may have which end with that of the cookie; with more it is malformed."""
_is_loopback = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE).fullmatch
_CSRF_PURPOSE: Final = b"iam-guard csrf token 1"


class SessionCookie(NamedTuple):
    """The session cookie of a request. `digest` is the SHA-256 of its token; empty for a malformed or repeated one."""

    name: str
    digest: str

    def __repr__(self) -> str:
        return f"SessionCookie({self.name!r})"


def new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal, under which its session is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def csrf_token(token: str) -> str:
    """Return the token that the forms of a session contain, and the header `x-csrf-token` of its scripts."""
    return csrf_token_of(token_digest(token))


def csrf_token_of(digest: str) -> str:
    """Return the `csrf_token` of the session with this digest."""
    return hmac.new(bytes.fromhex(digest), _CSRF_PURPOSE, hashlib.sha256).hexdigest()


def is_csrf_token(text: str | bytes, digest: str) -> bool:
    """Return whether a text is the `csrf_token` of the session with this digest."""
    return same(text, csrf_token_of(digest))


def cookie_name(*, secure: bool, host: str | None) -> str | None:
    """Return the name of the cookie for requests to a host; None if there is none, on plain HTTP beyond loopback."""
    if secure:
        return COOKIE
    return DEVELOPMENT_COOKIE if host is not None and _is_loopback(host) else None


def read_cookie(headers: Sequence[bytes], name: str) -> SessionCookie | None:
    """Return the cookie of that name in the values of the `Cookie` headers; None without one.

    HTTP/2 may split the header. A cookie that occurs twice is malformed: a server can't know which one it has set.
    """
    text = b";".join(headers)
    if name.encode("ascii") not in text:
        return None
    values = [*_values(text, name)]
    if not values:
        return None
    is_valid = len(values) == 1 and _is_token(values[0]) is not None
    return SessionCookie(name, hashlib.sha256(values[0]).hexdigest() if is_valid else "")


def _values(text: bytes, name: str) -> Iterator[bytes]:
    """Yield the values of a cookie, without a step for each other cookie; empty ones if there are too many names."""
    for number, found in enumerate(_VALUES[name].finditer(text)):
        if number == _MAX_NAMED:
            yield from (b"", b"")
            return
        begin = text.rfind(b";", 0, found.start()) + 1
        if found.start() - begin <= _MAX_SPACES and not text[begin : found.start()].strip(b" \t"):
            yield found[1].strip(b" \t")


def set_cookie(name: str, token: str) -> str:
    """Return the value of the `Set-Cookie` header that starts a session, which ends with the browser at the latest."""
    return f"{name}={token}; {_attributes(name)}"


def clear_cookie(name: str) -> str:
    """Return the value of the `Set-Cookie` header that removes the cookie."""
    return f"{name}=; Max-Age=0; {_attributes(name)}"


def _attributes(name: str) -> str:
    return "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if name == COOKIE else "")

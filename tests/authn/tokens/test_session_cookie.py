"""The session cookie: its names, what is read as one, what sets and clears it, and its token against CSRF."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie

from iam_guard.authn.tokens.session_cookie import (
    COOKIE,
    DEVELOPMENT_COOKIE,
    SessionCookie,
    clear_cookie,
    cookie_name,
    csrf_token,
    is_csrf_token,
    new_token,
    read_cookie,
    set_cookie,
    token_digest,
)
from tests.tables import table

TOKEN = "a-B_9" * 8 + "xyz"
DIGEST = token_digest(TOKEN)
PAIR = f"{COOKIE}={TOKEN}"


@table(
    ("secure", "host", "name"),
    [
        (True, "docs.example", COOKIE),
        (True, "localhost:8443", COOKIE),
        (True, None, COOKIE),
        (False, "localhost", DEVELOPMENT_COOKIE),
        (False, "LOCALHOST:8000", DEVELOPMENT_COOKIE),
        (False, "127.0.0.1:80", DEVELOPMENT_COOKIE),
        (False, "[::1]:8000", DEVELOPMENT_COOKIE),
        (False, "docs.example", None),
        (False, "localhost.docs.example", None),
        (False, "localhost:8000@docs.example", None),
        (False, "evil-localhost", None),
        (False, "127.0.0.1.docs.example", None),
        (False, "127.0.0.2", None),
        (False, "localhost\n", None),
        (False, "", None),
        (False, None, None),
    ],
)
def test_cookie_name_depends_on_the_connection(secure: bool, host: str | None, name: str | None) -> None:
    assert cookie_name(secure=secure, host=host) == name


@table(
    ("headers", "digest"),
    [
        ([], None),
        (["a=b; c"], None),
        ([f"x{PAIR}"], None),
        ([f"{COOKIE}"], None),
        ([f"{COOKIE.lower()}={TOKEN}"], None),
        ([f"{DEVELOPMENT_COOKIE}={TOKEN}"], None),
        ([f"a=b,{PAIR}"], None),
        ([f"={PAIR}"], None),
        ([PAIR], DIGEST),
        ([f"a=b; {PAIR}; c=d"], DIGEST),
        ([f"a=b;{PAIR} ;c"], DIGEST),
        (["a=b", PAIR, "c=d"], DIGEST),
        ([f"{PAIR}; {PAIR}"], ""),
        ([PAIR, f"{COOKIE}="], ""),
        ([PAIR, PAIR], ""),
        ([f"{COOKIE}="], ""),
        ([f'{COOKIE}="{TOKEN}"'], ""),
        ([f"{PAIR}="], ""),
        ([f"{PAIR}A"], ""),
        ([f"{COOKIE}={TOKEN[1:]}"], ""),
        ([f"{COOKIE}={'x' * 65}"], ""),
        ([f"{COOKIE}={'x' * 60_000}"], ""),
        ([f"{COOKIE}={TOKEN[1:]}%41"], ""),
        ([f"{COOKIE}={TOKEN[1:]}é"], ""),
        ([f"{PAIR}\n"], ""),
    ],
)
def test_cookie_is_read_strictly(headers: list[str], digest: str | None) -> None:
    """One value of 43 characters; None: there is none, an empty digest: a malformed one."""
    found = read_cookie([header.encode("latin-1") for header in headers], COOKIE)
    assert found == (None if digest is None else SessionCookie(COOKIE, digest))
    assert TOKEN not in repr(found)
    assert DIGEST not in repr(found)


def test_many_other_cookies_cost_little() -> None:
    """Callers without a credential may send as many as fit into the headers."""
    for other in (b"a;", b"; ", b" ", b"=;", b"__Host-iam-guar;", b"__Host-iam-guard ;", b"__Host-iam-guard=;", b"\t;"):
        header = other * (60_000 // len(other)) + COOKIE.encode()
        start = time.process_time()
        for _ in range(20):
            read_cookie([header], COOKIE)
        assert time.process_time() - start < 0.5, other


def test_set_cookie_has_all_attributes() -> None:
    """A `__Host-` cookie is `Secure`, with `Path=/` and without `Domain`; that of development is not `Secure`."""
    for name, secure in ((COOKIE, True), (DEVELOPMENT_COOKIE, "")):
        for value, age, text in ((TOKEN, "", set_cookie(name, TOKEN)), ("", "0", clear_cookie(name))):
            cookie = SimpleCookie(text)[name]
            assert (cookie.value, cookie["max-age"], cookie["secure"]) == (value, age, secure)
            assert (cookie["path"], cookie["samesite"], cookie["httponly"], cookie["domain"]) == ("/", "Lax", True, "")


def test_new_token_is_read_back() -> None:
    token = new_token()
    found = read_cookie([set_cookie(COOKIE, token).partition(";")[0].encode()], COOKIE)
    assert found == SessionCookie(COOKIE, token_digest(token))


def test_csrf_token_belongs_to_one_session() -> None:
    """It is neither the token nor its digest."""
    text = csrf_token(TOKEN)
    assert len({text, TOKEN, DIGEST, csrf_token(new_token())}) == 4
    assert is_csrf_token(text, DIGEST)
    assert is_csrf_token(text.encode(), DIGEST)
    for other in ("", DIGEST, TOKEN, text[:-1], text.upper(), csrf_token(new_token()), b"\xff" * 64):
        assert not is_csrf_token(other, DIGEST)

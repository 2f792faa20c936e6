"""What a request without credentials costs: little memory for each shape, and no step for each of its parts."""

from __future__ import annotations

import asyncio

from benchmarks import hostile_costs
from benchmarks.hostile_costs import HOST, MAX_KIBIBYTES, applications, costs
from benchmarks.hostile_shapes import SHAPES
from iam_guard.api.protocol.app import _is_assertion_call
from iam_guard.authn.signatures.canonical import canonical_value
from iam_guard.authn.signatures.percent_decoding import is_escaped_utf8, strictly_unescaped
from iam_guard.authn.tokens.session_cookie import COOKIE, SessionCookie, read_cookie, token_digest
from iam_guard.console.visit import _own_cookies
from tests.effort import effort
from tests.tables import table

TOKEN = "A" * 43
SESSION = f"{COOKIE}={TOKEN}".encode()


def test_every_shape_holds_at_most_64_kib() -> None:
    """Forms of a broker's query held 3.6 MiB, a signed header of words 1.3 MiB, cookies 684 KiB, a body 128 KiB."""
    assert {(name, app): cost.kibibytes for name, app, cost in costs(2, 1) if cost.kibibytes > MAX_KIBIBYTES} == {}


@table("name", ["session cookie among many", "sign-in page, many cookies", "sign-in page, long query", "long path"])
def test_long_parts_cost_no_step_each(name: str) -> None:
    """A query of 60 KB cost 25 ms at the sign-in page, cookies 4.4 ms; the limit is 1 ms on a fast machine."""

    shape = SHAPES[name](HOST)
    calls = [hostile_costs._call(shape) for _ in range(60)]
    with applications() as apps:

        async def answer() -> None:
            for _ in range(10):
                await apps["application"](*calls.pop())

        asyncio.run(answer())
        assert effort(lambda: asyncio.run(answer())) < 30


COOKIES: list[tuple[bytes, str | None]] = [
    (SESSION, TOKEN),
    (b"a=b;  " + SESSION + b" ; c=d", TOKEN),
    (b"a=b;\t" + SESSION.replace(b"=", b" = "), TOKEN),
    (b"x" + SESSION, None),
    (b"x" + SESSION + b"; " + SESSION, TOKEN),
    (b"a=" + SESSION, None),
    (b"a b " + SESSION, None),
    (b"; " + SESSION, TOKEN),
    (SESSION + b"; " + SESSION, ""),
    (SESSION + b"x", ""),
    ((b"x" + SESSION + b"; ") * 9 + SESSION, ""),
]


@table(("header", "token"), COOKIES)
def test_cookie_is_found_by_its_whole_name(header: bytes, token: str | None) -> None:
    digest = token if not token else token_digest(token)
    assert read_cookie([header], COOKIE) == (None if digest is None else SessionCookie(COOKIE, digest))


def test_pages_keep_their_own_cookies() -> None:
    """All of them, as they were sent; none if there are too many."""
    own = b"__Host-iam-guard-form=f; a__Host-iam-guard=x; __Host-iam-guard=s"
    sent = own.replace(b"; ", b"; a=b; ")
    assert _own_cookies(b"a=b; " * 1_000 + sent) == own
    assert _own_cookies(b"a=b; " * 1_000) == b""
    assert _own_cookies(b"iam-guard=x; " * 33) == b""
    assert _own_cookies(b"iam-guard=" + b"x" * 13_000) == b""


@table("value", [b"", b" a  b\t c ", b"\x0ba\x0c \r\n b", b"a", b"a b", b"\xa0a  \xa0", b" " * 1_000])
def test_white_space_is_collapsed(value: bytes) -> None:
    """As `split` and `join` do, without their list."""
    for text in (value, b"x" * 600 + value, value + b" " * 600):  # long values take another way
        assert canonical_value((text,)) == b" ".join(text.split())
    assert canonical_value((value, b" x  y")) == b" ".join(value.split()) + b",x y"


@table("piece", range(3, 9))
def test_pieces_of_a_path_are_checked_as_the_whole(piece: int) -> None:
    """Wherever an escape or a character is cut."""
    for text in (b"%c3%a9a%e2%82%ac" * 3, b"abc%", b"abc%4", b"%zz", b"%c3", b"%c3%a9%a9", b"\xc3\xa9" * 5):
        decoded = strictly_unescaped(text)
        if decoded is None:
            assert not is_escaped_utf8(text, piece)
            continue
        try:
            decoded.decode()
            expected: bool | None = True
        except UnicodeDecodeError:
            expected = None
        try:
            assert is_escaped_utf8(text, piece) is expected
        except UnicodeDecodeError:
            assert expected is None


@table(
    ("form", "expected"),
    [
        (b"Action=AssumeRoleWithSAML", True),
        (b"a=b&Action=AssumeRoleWithSAML&c=d", True),
        (b"xAction=AssumeRoleWithSAML", False),
        (b"xAction=AssumeRoleWithSAML&Action=AssumeRoleWithSAML", True),
        (b"Action=AssumeRoleWithSAMLx", False),
    ],
)
def test_call_with_an_assertion_is_found(form: bytes, expected: bool) -> None:
    assert _is_assertion_call(form) is expected

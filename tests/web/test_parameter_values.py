"""The canonical text of values in ARNs: one text for equal values, and errors for unsupported types."""

from __future__ import annotations

import enum
import posixpath
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iam_guard.errors import InvalidInput
from iam_guard.web.parameter_values import check_arn_segments, check_text, is_plain, text_of

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Loud(str, enum.Enum):  # noqa: UP042  as most people still write it
    """Equal to its content, whatever its value is."""

    HELLO = "hello"

    def __new__(cls, text: str) -> Loud:
        member = str.__new__(cls, text)
        member._value_ = text.upper()
        return member


class Rate(enum.Enum):
    HALF = 0.5
    ON = True


class Slug(str):
    __slots__ = ()


class CaseInsensitive(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


class Shown(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


class AnyCase(enum.Enum):
    PLAN = "plan"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Document:
    def __str__(self) -> str:
        return "7"


TEXTS: list[tuple[Any, str]] = [
    ("7", "7"),
    ("Ä\u0301 a:b{*}?", "Ä\u0301 a:b{*}?"),
    (Slug("a"), "a"),
    (7, "7"),
    (-7, "-7"),
    (Size.SMALL, "1"),
    (Color.RED, "red"),
    (Loud.HELLO, "hello"),
    (UUID("{0A0A0A0A-0000-4000-8000-00000000000F}"), "0a0a0a0a-0000-4000-8000-00000000000f"),
    (IPv4Address("10.0.0.1"), "10.0.0.1"),
    (IPv4Interface("10.0.0.1/8"), "10.0.0.1/8"),
    (IPv4Network("10.0.0.0/8"), "10.0.0.0/8"),
    (IPv6Address("2001:0DB8:0:0::1"), "2001:db8::1"),
    (date(2026, 11, 27), "2026-11-27"),
    (NOON.replace(tzinfo=None), "2026-11-27T12:00:00"),
    (NOON, "2026-11-27T12:00:00+00:00"),
    (NOON.astimezone(timezone(timedelta(hours=5))), "2026-11-27T12:00:00+00:00"),
    (PurePosixPath("a//b/./c/"), "a/b/c"),
    (Path("a/b"), "a/b"),
]
NUMBERS: list[Any] = [True, 7.0, float("nan"), complex(7), Decimal("7.00"), Fraction(7), 10**5000]
TIMES: list[Any] = [
    time(12),
    timedelta(1),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),  # ambiguous
]
SUBCLASS_VALUES: list[Any] = [Rate.HALF, Rate.ON, AnyCase.PLAN, CaseInsensitive("a"), Shown("a"), Document(), Document]
UNSUPPORTED: list[Any] = [PureWindowsPath("a"), IPv6Address("fe80::1%eth0"), None, b"7", ["7"], ("7",), {}, {"7"}]


def test_value_has_its_canonical_text(subtests: pytest.Subtests) -> None:
    for value, text in TEXTS:
        with subtests.test(repr(value)):
            assert text_of(value) == text
            assert type(text_of(value)) is str


def test_value_without_canonical_text_is_rejected(subtests: pytest.Subtests) -> None:
    for value in (*NUMBERS, *TIMES, *SUBCLASS_VALUES, *UNSUPPORTED):
        with subtests.test(type(value).__name__), pytest.raises(InvalidInput, match="expected"):
            text_of(value)


def test_error_suggests_a_loader() -> None:
    with pytest.raises(InvalidInput, match="got `Decimal`; use a loader"):
        text_of(Decimal(7))


# --- properties ------------------------------------------------------------------------------------------------------

_OFFSETS = st.timezones() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_MOMENTS = st.datetimes(timezones=st.none() | _OFFSETS) | _OFFSETS.map(NOON.astimezone)
_SMALL = st.integers(-2, 2)
VALUES = st.one_of(
    st.text(max_size=3),
    st.text(max_size=2).map(Slug),
    _SMALL,
    st.booleans(),
    _SMALL.map(float),
    _SMALL.map(Decimal),
    _SMALL.map(Fraction),
    st.sampled_from([*Color, *Size, *Loud, *Rate, *AnyCase, "red", "hello", "HELLO", "1"]),
    st.uuids(),
    st.ip_addresses(),
    _SMALL.map(lambda number: IPv4Address(number + 2)),
    _SMALL.map(lambda number: IPv6Address(number + 2)),
    st.dates(date(2026, 1, 1), date(2026, 1, 4)),
    _MOMENTS,
    st.text("a./", max_size=5).map(PurePosixPath),
    st.text("aA/", max_size=3).map(PureWindowsPath),
    st.text("aA", max_size=1).map(CaseInsensitive),
)


def _text(value: object) -> str | None:
    try:
        return text_of(value)
    except InvalidInput:
        return None


@given(st.lists(VALUES, min_size=2, max_size=12))
@example([1, True, 1.0, Size.SMALL, Decimal(1), Fraction(1), "1"])
@example([NOON, NOON.astimezone(timezone(timedelta(hours=9))), NOON.replace(tzinfo=None)])
@example([datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold) for fold in (0, 1)])
def test_equal_values_have_one_text(values: list[Any]) -> None:
    """Two values of one type have the same text only if they are equal."""
    for one in values:
        for other in values:
            texts = _text(one), _text(other)
            if None not in texts and one == other:
                assert texts[0] == texts[1]
            if None not in texts and type(one) is type(other) and one != other:
                assert texts[0] != texts[1] or _is_local(one, other)


def _is_local(one: object, other: object) -> bool:
    """Return whether two moments are one in UTC, and Python compares their local times."""
    is_moment = isinstance(one, datetime) and isinstance(other, datetime)
    return is_moment and one.astimezone(UTC) == other.astimezone(UTC)  # type: ignore[attr-defined]


# --- invalid texts ---------------------------------------------------------------------------------------------------

NAMES = ("a", "a.b", ".hidden", "...", "a/..b", "a../b", "a/b.", "a b", "%2e%2e", "..%2f", "~", "a:b", "\u2024\u2024")
UNFIT = (
    *(".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "/..", "../", "a/..//b", "/./"),
    *("a\\b", "..\\a", "a\0", "\n", "a\r", "\x1b[2K", "\x7f", "\x85", "\x9f", "\ud800", "a/\udc2e"),
)
EMPTY = ("", "/", "//", "/a", "a/", "a//b")


def _refused(text: str) -> str | None:
    try:
        check_text(text, "key")
    except InvalidInput as error:
        return error.message
    return None


def test_invalid_resource_text_is_rejected(subtests: pytest.Subtests) -> None:
    for text in UNFIT:
        with subtests.test(ascii(text)):
            assert not is_plain(text)
            message = _refused(text)
            assert message is not None
            assert message.startswith("expected the parameter `key` without")
            assert message.isprintable()


def test_text_with_empty_segment_is_rejected() -> None:
    for text in EMPTY:
        assert not is_plain(text)
        assert _refused(text) == "expected the parameter `key` without an empty segment"


def test_name_is_accepted() -> None:
    for text in NAMES:
        assert _refused(text) is None


@given(st.text())
def test_plain_text_is_never_rejected(text: str) -> None:
    """The fast check agrees with the full one."""
    if is_plain(text):
        assert _refused(text) is None


@given(st.text("./\\\\a~ ", max_size=9))
def test_accepted_text_is_its_own_path(text: str) -> None:
    """A file system does not normalize it."""
    if _refused(text) is None:
        assert posixpath.normpath(f"/root/{text}") == f"/root/{text}" == str(PurePosixPath("/root", text))


def test_arn_with_dot_segment_is_rejected() -> None:
    before = "arn:aws:docs:us-east-1:111122223333:"
    for resource in ("file/a/../b", "file:../b", "file/..", "file/a\\..\\b", "../a", "file/./a"):
        with pytest.raises(InvalidInput):
            check_arn_segments(before + resource)
    for resource in ("file/a..b", "file/...", "file/a//b", "file/.a", "file/a.", "*"):
        check_arn_segments(before + resource)
    check_arn_segments("*")

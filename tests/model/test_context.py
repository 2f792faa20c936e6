"""The request context: letter case, string forms, laziness (C-3, C-4, C-8, C-19, G-15)."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import pytest

from iam_guard.errors import ContextError
from iam_guard.model.context import Context, Given, Lazy
from tests.tables import table


@table(
    ("given", "seen"),
    [
        ("x", "x"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (10, "10"),
        (1.5, "1.5"),
        (1e21, "1000000000000000000000"),
        (Decimal("2.50"), "2.50"),
        (b"\x00\xff", "AP8="),
        (ip_address("2001:db8::1"), "2001:db8::1"),
        (datetime(2026, 11, 24, 14, 1, 46, tzinfo=UTC), "2026-11-24T14:01:46Z"),
        (datetime(2026, 11, 24, 14, 1, 46), "2026-11-24T14:01:46Z"),  # noqa: DTZ001  naive on purpose
        (datetime(2026, 11, 24, 14, 1, 46, tzinfo=timezone(timedelta(hours=2))), "2026-11-24T12:01:46Z"),
        (["a"], ("a",)),
        ([], ()),
        (("a", 1, True), ("a", "1", "true")),
        ({"only"}, ("only",)),
    ],
)
def test_values_have_one_string_form(given: Given, seen: object) -> None:
    """G-15, C-19: each value becomes a string, or a tuple for a list."""
    assert Context({"k": given}).value("k") == seen


def test_keys_are_case_insensitive() -> None:
    """C-3."""
    context = Context({"aws:ResourceTag/Team": "blue"})
    assert context["AWS:resourcetag/TEAM"] == "blue"
    assert "aws:resourcetag/team" in context
    assert "aws:resourcetag/other" not in context


def test_keys_that_differ_by_case_are_refused() -> None:
    """C-4."""
    with pytest.raises(ContextError, match="letter case"):
        Context({"docs:Kind": "a", "DOCS:kind": "b"})


@table("value", [object(), {"a": 1}, [["nested"]], [None]])
def test_values_of_unsupported_type_are_refused(value: object) -> None:
    """An error, not an absent key."""
    with pytest.raises(ContextError):
        Context({"k": value})  # type: ignore[dict-item]


EAST = timezone(timedelta(hours=1))


@table(
    ("value", "words"),
    [
        pytest.param(10**5000, "a finite number of at most 1000 digits", id="long int"),
        (-(10**1000), "a finite number of at most 1000 digits"),
        (Decimal("1e1000000000"), "a finite number of at most 1000 digits"),
        (Decimal("1e-1000000000"), "a finite number of at most 1000 digits"),
        (Decimal("0e1000000000"), "a finite number of at most 1000 digits"),
        (Decimal("NaN"), "a finite number"),
        (Decimal("sNaN"), "a finite number"),
        (Decimal("-Infinity"), "a finite number"),
        (float("nan"), "a finite number"),
        (float("inf"), "a finite number"),
        (datetime.min.replace(tzinfo=EAST), "a year from 1 to 9999"),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "a year from 1 to 9999"),
        (1j, "a scalar or a list of scalars, got `complex`"),
    ],
)
def test_values_without_string_form_are_refused(value: Any, words: str) -> None:
    """G-15: quickly, alone and in a list; the error names the key, not the value."""
    for given in (value, ["a", value]):
        with pytest.raises(ContextError, match=words) as refused:
            Context({"docs:Key": given})
        assert str(refused.value).endswith("(at docs:Key)")
        context = Context({"docs:Key": partial(copy, given)})
        with pytest.raises(ContextError, match=words):
            context.value("docs:key")


@table(
    ("value", "seen"),
    [
        (10**1000 - 1, "9" * 1000),
        (Decimal("1e999"), "1" + "0" * 999),
        (Decimal("1e-3"), "0.001"),
        (5e-324, format(Decimal("5e-324"), "f")),
        (1.7976931348623157e308, "17976931348623157" + "0" * 292),
        (datetime.min.replace(tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_extreme_values_have_a_string_form(value: Any, seen: str) -> None:
    """G-15: up to the limit."""
    assert Context({"k": value}).value("k") == seen


class Colour(str, Enum):  # noqa: UP042  a StrEnum shows itself as its value
    """An enumeration whose `str` is `Colour.RED`."""

    RED = "red"


class Loud(float):
    """A float with another `repr`, as in some libraries."""

    def __repr__(self) -> str:
        return f"Loud({float(self)})"

    __str__ = __repr__


@table(("value", "seen"), [(Colour.RED, "red"), (Loud(1.5), "1.5"), (HTTPStatus.OK, "200")])
def test_subclasses_are_formatted_as_their_base(value: Any, seen: str) -> None:
    """G-15: whatever their own `__str__`."""
    for found in (Context({"k": value})["k"], Context({"k": [value]})["k"][0], Context({"k": lambda: value})["k"]):
        assert (found, type(found)) == (seen, str)


def test_datetimes_without_offset_are_utc() -> None:
    """Never the zone of the machine."""

    class Nowhere(tzinfo):
        def utcoffset(self, moment: datetime | None) -> None:
            return None

        tzname = dst = utcoffset

    assert Context({"k": datetime(2026, 1, 1, tzinfo=Nowhere())})["k"] == "2026-01-01T00:00:00Z"


@table("given", [{1: "a"}, {None: "a"}, {b"k": "a"}, {("k",): "a"}, [("k", "a")], 5, "text"])
def test_context_that_is_no_string_mapping_is_refused(given: Any) -> None:
    """C-3: keys have letter case."""
    with pytest.raises(ContextError, match=r"expected a (string as context key|mapping from condition key)"):
        Context(given)


def test_errors_truncate_long_keys() -> None:
    """Messages stay readable."""
    for given in ({"k" * 9999: object()}, {"k" * 9999: "a", "K" * 9999: "b"}, {"k" * 9999: float("nan")}):
        with pytest.raises(ContextError) as refused:
            Context(given)  # type: ignore[arg-type]
        assert len(str(refused.value)) < 500


def test_none_is_an_absent_key() -> None:
    """K-2: absent, not empty."""
    context = Context({"k": None, "lazy": lambda: None})
    assert context.value("k") is None
    assert context.value("lazy") is None
    assert dict(context) == {}
    assert len(context) == 0


def test_lazy_values_are_computed_once_on_first_use() -> None:
    """A decision computes only the keys that its statements use."""
    calls: list[str] = []

    def costly() -> list[str]:
        calls.append("asked")
        return ["a", "b"]

    lazy: dict[str, Given | Lazy] = {"docs:Costly": costly, "other": "x"}
    context = Context(lazy)
    assert context.value("other") == "x"
    assert calls == []
    assert context.value("docs:costly") == ("a", "b")
    assert context.value("docs:costly") == ("a", "b")
    assert calls == ["asked"]


def test_context_repr_hides_values() -> None:
    """Context values may be personal data."""
    assert "secret" not in repr(Context({"docs:Token": "secret"}))

"""The request context: letter case, string forms, laziness (C-3, C-4, C-8, C-19, G-15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address

import pytest

from iam_guard.errors import ContextError
from iam_guard.model.context import Context, Given, Lazy


@pytest.mark.parametrize(
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
    """G-15, C-19: whatever is handed in is seen as a string, or as a tuple for a list."""
    assert Context({"k": given}).value("k") == seen


def test_keys_are_found_in_any_letter_case() -> None:
    """C-3."""
    context = Context({"aws:ResourceTag/Team": "blue"})
    assert context["AWS:resourcetag/TEAM"] == "blue"
    assert "aws:resourcetag/team" in context
    assert "aws:resourcetag/other" not in context


def test_keys_that_differ_by_case_are_refused() -> None:
    """C-4."""
    with pytest.raises(ContextError, match="letter case"):
        Context({"docs:Kind": "a", "DOCS:kind": "b"})


@pytest.mark.parametrize("value", [object(), {"a": 1}, [["nested"]], [None]])
def test_values_of_no_known_kind_are_refused(value: object) -> None:
    """Doubt is an error, not an absent key."""
    with pytest.raises(ContextError):
        Context({"k": value})  # type: ignore[dict-item]


def test_none_is_an_absent_key() -> None:
    """K-2: absent, not empty."""
    context = Context({"k": None, "lazy": lambda: None})
    assert context.value("k") is None
    assert context.value("lazy") is None
    assert dict(context) == {}
    assert len(context) == 0


def test_lazy_values_are_computed_once_and_only_when_asked() -> None:
    """A decision computes only the keys that its statements name."""
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


def test_repr_shows_no_values() -> None:
    """Context values may be personal data."""
    assert "secret" not in repr(Context({"docs:Token": "secret"}))

"""Tables of cases: one test whose rows run as subtests, with the arguments of `pytest.mark.parametrize`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import pytest

Item = TypeVar("Item")
Test = Callable[..., None]

cases_of_each = 0
"""How many rows of each table run, spread from first to last; 0 for all: the option `--cases-of-each`."""


def spread(cases: Sequence[Item], count: int) -> list[Item]:
    """Return that many items at equal distances, since neighbouring cases are similar."""
    if len(cases) <= count:
        return list(cases)
    return [cases[round(place * (len(cases) - 1) / max(1, count - 1))] for place in range(count)]


def table(
    names: str | Sequence[str],
    rows: Iterable[Any],
    ids: Sequence[str] | Callable[[Any], object] | None = None,
) -> Callable[[Test], Test]:
    """Run the test for each row: a value for one name, a sequence of values for several, or a `pytest.param`.

    Rows share the fixtures of the test, so it is for tests that change none of them. Stacked tables run all pairs.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    cases = [_case(arguments, row, ids if callable(ids) else _text) for row in rows]
    if ids is not None and not callable(ids):
        cases = [(_text(label), values) for label, (_, values) in zip(ids, cases, strict=True)]

    def decorate(test: Test) -> Test:
        function, inner = getattr(test, "table", (test, [("", {})]))
        pairs = [(f"{label}-{more}".strip("-"), values | others) for label, values in cases for more, others in inner]

        @functools.wraps(function)
        def run_rows(subtests: pytest.Subtests, **fixtures: Any) -> None:
            for label, values in spread(pairs, cases_of_each or len(pairs)):
                with subtests.test(label):
                    function(**fixtures, **values)

        parameters = inspect.signature(function).parameters
        fixtures = ["subtests", *(name for name in parameters if name not in pairs[0][1])]
        keywords = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in fixtures]
        run_rows.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
        run_rows.table = function, pairs  # type: ignore[attr-defined]
        return run_rows

    return decorate


def _case(arguments: Sequence[str], row: Any, text: Callable[[Any], object]) -> tuple[str, dict[str, Any]]:
    """Return the label and the named values of a row."""
    label = None
    if isinstance(row, type(pytest.param())):
        if row.marks:
            raise pytest.UsageError("expected rows without marks: a marked case is a test of its own")
        label, row = row.id, row.values
    elif len(arguments) == 1:
        row = (row,)
    return label or "-".join(_text(text(value)) for value in row), dict(zip(arguments, row, strict=True))


def _text(value: object) -> str:
    """Return a short label; a value whose `repr` fails has the name of its type."""
    try:
        text = value if isinstance(value, str) else getattr(value, "__name__", None) or repr(value)
    except ValueError:  # the digits of a huge number
        text = type(value).__name__
    text = text.encode("ascii", "backslashreplace").decode()  # workers of pytest-xdist send no lone surrogates
    return text if len(text) <= 80 else f"{text[:77]}..."

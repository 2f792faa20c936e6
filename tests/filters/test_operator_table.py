"""Every operator, with every modifier, in Allow and Deny, for rows in every state: the filter equals `decide`.

An operator's rows are compared in one query per policy value. What fits the type of the column must be translated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest

from iam_guard import NotFilterable, Principal
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import Case
from tests.filters.models import KINDS
from tests.filters.rows import HERE, Row
from tests.filters.vocabulary import ADDRESS_OPERATORS, DATES, IGNORING_CASE, NUMBERS, STRINGS
from tests.tables import table

MODIFIERS = [
    "{}",
    "{}IfExists",
    "ForAnyValue:{}",
    "ForAllValues:{}",
    "ForAnyValue:{}IfExists",
    "ForAllValues:{}IfExists",
]
EFFECTS = ["Allow", "Deny"]

STATES: dict[str, str | None] = {
    "NULL": None,
    "empty": "",
    "equal": "public",
    "differs by case": "Public",
    "differs by accent": "públic",
    "composed otherwise": "pu\u0301blic",
    "longer": "public-2",
    "shorter": "publi",
    "LIKE metacharacters": "p_b%",
    "a backslash": "p\\_blic",
    "GLOB metacharacters": "p[a-z]b*?",
    "beyond the BMP": "p😀blic",
    "trailing blank": "public ",
    "leading blank": " public",
    "newline": "pub\nlic",
    "number": "10",
}
TEXTS = ["public", "", "Public", "públic", "p_b%", "p\\_blic", "p[a-z]b${*}?", "p😀blic", "public ", "10"]
PATTERNS = [
    "public",
    "",
    "*",
    "?",
    "public*",
    "*c",
    "p*c",
    "p?blic",
    "p_b%",
    "p_*",
    "p\\_*",
    "p[a-z]*",
    "p[a-z]b${*}${?}",
]
PATTERNS += ["*[*", "*%", "*\\*", "*😀*", "p?b????", "*?", "?*", "**", "*\n*", "*ú*", "* ", "PUBLIC*", "p^blic", "*-*"]
SEVERAL = [["public", ""], ["Public", "x", "publi"], ["*c", "10"], ["x", "${docs:None}"], []]
VARIABLES = ["${docs:None}", "${docs:None, 'public'}", "${aws:username}", "${docs:Owner}", "${aws:ResourceTag/other}"]
TEXT_VALUES: dict[str, list[Any]] = {
    operator: [*(PATTERNS if "Like" in operator else TEXTS), *VARIABLES, *SEVERAL] for operator in STRINGS
}
TEXT_VALUES |= {operator: [*TEXTS, *SEVERAL] for operator in IGNORING_CASE}
TEXT_KEYS = ["docs:Class", "aws:ResourceTag/team"]
VARIABLE_TARGETS = ["public", "Public", "", None]
"""What the variables refer to: the owner and another tag."""

SIZES = [None, 0, 1, -1, 10, 11, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
SIZE_VALUES: list[Any] = [
    "10",
    10,
    "10.0",
    "+10",
    "-0",
    "10.5",
    "9.99",
    str(2**53 + 1),
    str(2**63),
    str(-(2**63)),
    "1e1",
]
SIZE_VALUES += ["9" * 40, "-" + "9" * 40, "", "two", ["1", "10"], ["0", "two"], []]
PRICES = [None, 0.0, -0.0, 0.1, 0.3, 0.1 + 0.2, 1.0, -1.5, 1e300, 5e-324, 2.0**53]
PRICE_VALUES: list[Any] = [
    "0",
    "0.1",
    "0.3",
    "0.30000000000000004",
    "0.10000000000000000001",
    "1.00",
    "-1.5",
    str(2**53),
]
PRICE_VALUES += ["1" + "0" * 300, "1" + "0" * 299 + "1", "1" + "0" * 400, "0." + "0" * 400 + "1", "two", ["0", "0.1"]]
PRICE_VALUES += [str(2**53 + 1), "0.1000000000000000055511151231257827", []]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = [
    *[None, NEW_YEAR, NEW_YEAR + timedelta(microseconds=1), NEW_YEAR - timedelta(microseconds=1)],
    *[datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))), NEW_YEAR.replace(year=1)],
    *[datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)],
]
DATE_VALUES: list[Any] = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026", "1767225600", "2026-01", "0"]
DATE_VALUES += ["2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.0000005Z", "0001-01-01", "0000-06-01", "-0001-01"]
DATE_VALUES += [
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.9999999Z",
    "10000-01-01",
    "soon",
    ["soon", "2026-01"],
]
DATE_VALUES += [["2026-01", "0"], []]
ADDRESSES = [
    None,
    "",
    "10.1.2.3",
    "10.255.255.255",
    "11.0.0.0",
    "010.1.2.3",
    "10.1.2.3/8",
    "nowhere",
    "::ffff:10.1.2.3",
]
ADDRESSES += ["2001:db8::1", "2001:0DB8:0:0::1", "2001:db9::", "::", "255.255.255.255", "10.1.2.3 ", "fe80::1%eth0"]
BLOCKS: list[Any] = [
    "10.0.0.0/8",
    "10.1.2.3",
    "10.1.2.3/8",
    "2001:DB8::/32",
    "2001:db8::1",
    "::/0",
    "nowhere",
    "::ffff:0:0/96",
]
BLOCKS += ["10.1.2.2/31", "fe80::/10", ["10.0.0.0/8", "::/0"], ["nowhere", "10.1.2.3"], "10.0.0.0/33", []]
BOOLEANS: list[Any] = [True, False, "true", "FALSE", "True", "yes", "", ["true", "false"], []]

OTHER_KEYS: dict[str, tuple[list[str], list[Any]]] = {
    "docs:Size": (NUMBERS, SIZE_VALUES),
    "docs:Price": (NUMBERS, PRICE_VALUES),
    "docs:Public": (["Bool"], BOOLEANS),
    "docs:Created": (DATES, DATE_VALUES),
    "docs:Address": (ADDRESS_OPERATORS, BLOCKS),
}


def _text_rows() -> Iterator[Row]:
    """Yield a row for each state of a text, and for some states one with each value that a variable refers to."""
    for state in STATES.values():
        for other in VARIABLE_TARGETS if state in VARIABLE_TARGETS else VARIABLE_TARGETS[:1]:
            tags = {key: value for key, value in {"team": state, "other": other}.items() if value is not None}
            yield {"classification": state, "owner": other, "tags": tags}


def _typed_rows() -> Iterator[Row]:
    """Yield a row for each state of each other column."""
    columns = {"size": SIZES, "price": PRICES, "is_public": [None, True, False], "created_at": MOMENTS}
    for column, values in (columns | {"address": ADDRESSES}).items():
        yield from ({column: value, "tags": {}} for value in values)


@contextmanager
def _comparisons(dialect: str, states: Iterable[Row]) -> Iterator[list[Comparison]]:
    rows = [row | {"number": number, "account": HERE} for number, row in enumerate(states, 1)]
    paths: list[Row] = [{"id": 1}, {"id": "1", "folder": "a"}, {"id": "1"}]
    of_kinds = {kind.name: [row | path for row in rows] for kind, path in zip(KINDS, paths, strict=True)}
    with database(dialect, of_kinds) as session:
        yield [Comparison(session, kind) for kind in KINDS]


@pytest.fixture(scope="module", params=DIALECTS)
def texts(request: pytest.FixtureRequest) -> Iterator[list[Comparison]]:
    """Return the states of texts, for each model."""
    with _comparisons(request.param, _text_rows()) as comparisons:
        yield comparisons


@pytest.fixture(scope="module", params=DIALECTS)
def typed(request: pytest.FixtureRequest) -> Iterator[list[Comparison]]:
    """Return the states of the other columns, for one model, since they are the same in all."""
    with _comparisons(request.param, _typed_rows()) as comparisons:
        yield comparisons[:1]


ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/public", userid="AIDAANN")


def _case(comparison: Comparison, effect: str, condition: dict[str, Any]) -> Case:
    statements = [{"Effect": effect, "Action": "docs:*", "Resource": "*", "Condition": condition}]
    if effect == "Deny":
        statements.append({"Effect": "Allow", "Action": "docs:*", "Resource": "*"})
    policies = {"identity": [{"Version": "2012-10-17", "Statement": statements}]}
    return Case(comparison.kind, ANN, policies, {})


def _conditions(modifier: str, operator: str, key: str, values: list[Any]) -> list[dict[str, Any]]:
    """Return a condition for each value; with a modifier for each third, since a value means the same with it."""
    return [{modifier.format(operator): {key: value}} for value in values[:: 1 if modifier == "{}" else 3]]


def _check(comparisons: list[Comparison], conditions: list[dict[str, Any]], *, refusable: bool = False) -> None:
    """Compare the rows of each model for each condition, in Allow and Deny."""
    counts = set()
    for comparison, effect, condition in product(comparisons, EFFECTS, conditions):
        with suppress(NotFilterable) if refusable else nullcontext():
            listed, differences = comparison.compare(_case(comparison, effect, condition))
            assert not differences, comparison.describe(differences[0])
            counts.add(len(listed))
    assert refusable or len(counts) > 1  # the rows matter


@table("modifier", MODIFIERS)
@table("operator", [*STRINGS, *IGNORING_CASE])
@table("key", TEXT_KEYS)
def test_text_operator_equals_decide(texts: list[Comparison], key: str, operator: str, modifier: str) -> None:
    """Of a text column, a tag in JSON and a tag row; `…IgnoreCase` may be refused."""
    conditions = _conditions(modifier, operator, key, TEXT_VALUES[operator])
    comparisons = texts if "Tag" in key else texts[:1]  # columns are the same in all models
    _check(comparisons, conditions, refusable=operator in IGNORING_CASE)


@table("modifier", MODIFIERS)
@table("key, operator", [(key, operator) for key, (operators, _) in OTHER_KEYS.items() for operator in operators])
def test_typed_operator_equals_decide(typed: list[Comparison], key: str, operator: str, modifier: str) -> None:
    """Of numbers, booleans, datetimes and addresses; an IPv6 block may be refused on SQLite."""
    is_refusable = key == "docs:Address" and typed[0].dialect == "sqlite"
    values = OTHER_KEYS[key][1]
    refusable = [value for value in values if is_refusable and ":" in str(value)]
    others = [value for value in values if value not in refusable]
    _check(typed, _conditions(modifier, operator, key, others))
    _check(typed, _conditions(modifier, operator, key, refusable), refusable=True)


@table("operator", ["Null", "ForAnyValue:Null", "ForAllValues:Null"])
@table("key", [*TEXT_KEYS, *OTHER_KEYS])
def test_null_equals_decide(texts: list[Comparison], typed: list[Comparison], key: str, operator: str) -> None:
    """Of every kind of key; of an empty text, too, which counts as null (rule C-33)."""
    _check(
        texts if key in TEXT_KEYS else typed, [{operator: {key: value}} for value in (True, "false", ["true", "false"])]
    )

"""States of rows, and statements about them: every operator with the policy values that it compares.

`TABLES` has the rows, `statements_of` the statements.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any, NamedTuple

from iam_guard import Principal
from tests.filters.comparison import Comparison
from tests.filters.databases import available_dialects, database
from tests.filters.generate import Case
from tests.filters.models import DOCUMENTS, KINDS, PAPERS, Kind
from tests.filters.rows import HERE, HOSTILE_TAG_KEYS, Row, hostile_tags
from tests.filters.vocabulary import ADDRESS_OPERATORS, ARNS, DATES, IGNORING_CASE, NUMBERS, POLICY_ARNS, STRINGS

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
    "the escape character": "p!blic",
    "trailing blank": "public ",
    "leading blank": " public",
    "newline": "pub\nlic",
    "number": "10",
    "an ARN": "arn:aws:s3:::b",
    "an ARN with colons": "arn:aws:s3:eu:1:b:c",
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
    "p!*",
    "p[a-z]*",
    "p[a-z]b${*}${?}",
    "pub${*}*",
    "pub${?}*",
]
PATTERNS += ["*[*", "*%", "*\\*", "*😀*", "p?b????", "*?", "?*", "**", "*\n*", "*ú*", "* ", "PUBLIC*", "p^blic", "*-*"]
SEVERAL = [["public", ""], ["Public", "x", "publi"], ["*c", "10"], ["x", "${docs:None}"], []]
VARIABLES = ["${docs:None}", "${docs:None, 'public'}", "${aws:username}", "${docs:Owner}", "${aws:ResourceTag/other}"]
VARIABLES += ["${docs:Owner, 'public'}", "${aws:ResourceTag/other, 'publi'}", ["${docs:Owner}", "publi"]]
PATTERN_VARIABLES = ["${docs:Owner}*", "*${aws:ResourceTag/other}", "${docs:Owner, 'p'}*"]
TEXT_VALUES: dict[str, list[Any]] = {
    operator: [*([*PATTERNS, *PATTERN_VARIABLES] if "Like" in operator else TEXTS), *VARIABLES, *SEVERAL]
    for operator in STRINGS
}
TEXT_VALUES |= {operator: [*TEXTS, *SEVERAL] for operator in IGNORING_CASE}
TEXT_VALUES |= {operator: [*POLICY_ARNS, "arn:aws:s3:::${docs:Owner}", "arn:aws:*:*:?:b*", []] for operator in ARNS}
TEXT_KEYS = ["docs:Class", "aws:ResourceTag/team"]
VARIABLE_TARGETS = ["public", "", None, "p_b%", "p[a-z]b*?", "p!blic"]
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
    "10.1.2.256",
    "nowhere",
    "::ffff:10.1.2.3",
]
ADDRESSES += ["2001:db8::1", "2001:0DB8:0:0::1", "2001:db9::", "::", "255.255.255.255", "10.1.2.3 ", "fe80::1%eth0"]
ADDRESSES += ["fe80::1%", "fec0::1"]
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

OTHER_KEYS: list[tuple[str, list[str], list[Any]]] = [
    ("docs:Size", NUMBERS, SIZE_VALUES),
    ("docs:Size", STRINGS[:2], ["10", "010", "+10", "10.0", " 10", "1_0", "ten", ["0", "00"], str(2**63)]),
    ("docs:Price", NUMBERS, PRICE_VALUES),
    ("docs:Public", ["Bool", *STRINGS[:2]], BOOLEANS),
    ("docs:Created", DATES, DATE_VALUES),
    ("docs:Created", STRINGS[:2], ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", "2026-01-01"]),
    ("docs:Address", ADDRESS_OPERATORS, BLOCKS),
]
TAG_KEYS = sorted({case(key) for key in ["team", *HOSTILE_TAG_KEYS] for case in (str, str.lower, str.upper)})
FOLDERS = ["a", "A", "a/document/b", "a:b", "", "*", None]
IDS = ["c", "document/c", "b/document/c", "b:c", "", "?", None]
PATHS = [f"folder/{folder}/document/{id}" for folder, id in product(FOLDERS, IDS) if folder is not None and id]
PATHS += [
    "*",
    "folder/*",
    "folder/a/*",
    "folder/*/document/c",
    "folder/?/document/*",
    "*/c",
    "*b*",
    "*:*",
    "b/document/c",
]
PATHS += ["folder/${docs:None}/*", "folder/${docs:Owner}/*", "folder/${*}/document/${?}", "FOLDER/*", "folder/a", ""]
ARNS_OF_ROWS = [f"arn:aws:docs:{field}:{path}" for path in PATHS for field in ("*:*", f"us-east-1:{HERE}")]
ARNS_OF_ROWS += ["arn:aws:docs:us*3:*:*", f"arn:aws:docs:us-east-1?{HERE}:*:*", "arn:aws:docs:us*1:*:*"]
ARNS_OF_ROWS += [f"arn:aws:docs:*:{path}" for path in ("b/document/c", "*", "c", f"{HERE}:folder/a/*")]
ARNS_OF_ROWS += [f"arn:aws:docs:us-east-?:{account}:folder/a*" for account in (HERE, "1*3", "", "*2", "444455556666")]
ARNS_OF_ROWS += ["*", "arn:aws:docs", "arn:aws:docs:*", "arn:aws:docs:*:*:*:c", "arn:aws:docs:us-east-1:*"]
KNOWN_KEYS = ["aws:username", "aws:PrincipalArn"]
KNOWN_ARNS: list[Any] = ["arn:aws:iam::*:user/${docs:Owner}", "arn:aws:iam::*:user/${docs:Owner}*"]
KNOWN_ARNS += [["x", "arn:aws:iam::*:user/${aws:ResourceTag/other, 'public'}"]]
KNOWN_VALUES: list[Any] = ["${docs:Owner}", "*${docs:Owner}", "${docs:Owner, 'public'}", *KNOWN_ARNS]


def text_rows(kind: Kind) -> Iterator[Row]:
    """Yield a row for each state of a text, and for some states one with each value that a variable refers to."""
    for state in STATES.values():
        others = VARIABLE_TARGETS if state in VARIABLE_TARGETS[:3] else dict.fromkeys(["public", state])
        for other in others if state in VARIABLE_TARGETS else ["public"]:
            tags = {key: value for key, value in {"team": state, "other": other}.items() if value is not None}
            yield {"classification": state, "owner": other, "tags": tags}


def typed_rows(kind: Kind) -> Iterator[Row]:
    """Yield a row for each state of each other column, of one model, since these are the same in all."""
    columns = {"size": SIZES, "price": PRICES, "is_public": [None, True, False], "created_at": MOMENTS}
    if kind is DOCUMENTS:
        for column, values in (columns | {"address": ADDRESSES}).items():
            yield from ({column: value, "tags": {}} for value in values)


def tag_rows(kind: Kind) -> Iterator[Row]:
    """Yield a row for each hostile key or value of a tag."""
    yield from ({"tags": tags} for tags in hostile_tags(random.Random(1), kind))


def resource_rows(kind: Kind) -> Iterator[Row]:
    """Yield a row for each pair of the parts of an ARN, of the model that has two."""
    if kind is PAPERS:
        yield from ({"folder": folder, "id": id, "tags": {}} for folder, id in product(FOLDERS, IDS))


TABLES: dict[str, Callable[[Kind], Iterable[Row]]] = {
    "texts": text_rows,
    "typed": typed_rows,
    "tags": tag_rows,
    "resources": resource_rows,
}
"""The rows of each kind of statement."""


WITH_EMPTY = replace(DOCUMENTS, empty=("docs:Class", "docs:Owner", "docs:Address"))
"""A declaration with keys of which the empty text is absent."""
STATE_KINDS = [*KINDS, WITH_EMPTY]


class States(NamedTuple):
    """Databases with all rows, those of each model in every database, and which of its rows a table has."""

    databases: list[list[Comparison]]
    numbers: dict[tuple[str, str], list[int]]

    def of_table(self, table: str, kinds: Sequence[Kind]) -> list[tuple[list[Comparison], list[int]]]:
        """Return the comparisons of the kinds that the table has rows of, and their numbers."""
        found = [(comparisons, self.numbers[table, comparisons[0].kind.name]) for comparisons in self.databases]
        return [(comparisons, numbers) for comparisons, numbers in found if numbers and comparisons[0].kind in kinds]


@contextmanager
def opened() -> Iterator[States]:
    """Open databases with the rows of all tables."""
    paths: list[Row] = [{"id": 1}, {"id": "1", "folder": "a"}, {"id": "1"}]
    numbers: dict[tuple[str, str], list[int]] = {}
    of_kinds: dict[str, list[Row]] = {}
    for kind, path in zip(KINDS, paths, strict=True):
        rows = of_kinds[kind.name] = []
        for name, states in TABLES.items():
            first = len(rows) + 1
            rows += [path | row | {"number": number, "account": HERE} for number, row in enumerate(states(kind), first)]
            numbers[name, kind.name] = list(range(first, len(rows) + 1))
    with ExitStack() as stack:
        sessions = [stack.enter_context(database(dialect, of_kinds)) for dialect in available_dialects()]
        yield States([[Comparison(session, kind) for session in sessions] for kind in STATE_KINDS], numbers)


ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/public", userid="AIDAANN")


def case_of(kind: Kind, effect: str, elements: dict[str, Any]) -> Case:
    """Return the case of one statement."""
    everything = {"Action": "docs:*", "Resource": "*"}
    statements = [
        (everything if "NotResource" not in elements else {"Action": "docs:*"}) | {"Effect": effect} | elements
    ]
    if effect == "Deny":
        statements.append({"Effect": "Allow", **everything})
    return Case(kind, ANN, {"identity": [{"Version": "2012-10-17", "Statement": statements}]}, {})


def conditions_of(modifier: str, operator: str, key: str, values: list[Any]) -> list[dict[str, Any]]:
    """Return a condition for each value; with a modifier for each fourth, since a value means the same with it."""
    return [
        {"Condition": {modifier.format(operator): {key: value}}} for value in values[:: 1 if modifier == "{}" else 4]
    ]


def values_of(operator: str, key: str) -> list[Any]:
    """Return the policy values that an operator without modifier is compared for."""
    if key in KNOWN_KEYS:
        return KNOWN_ARNS if operator in ARNS else KNOWN_VALUES
    if key in TEXT_KEYS:
        return TEXT_VALUES[operator]
    return next(values for other, operators, values in OTHER_KEYS if other == key and operator in operators)


def statements_of(operator: str, key: str, modifier: str = "{}") -> tuple[str, list[dict[str, Any]]]:
    """Return the statements of an operator and a key, and the name of their rows in `TABLES`.

    The operator may be the element `Resource` or `NotResource`, and the key `tags`, for all keys of tags.
    """
    if operator in ("Resource", "NotResource"):
        return "resources", [{operator: arn} for arn in ARNS_OF_ROWS]
    if key == "tags":
        value = {"StringEquals": "red", "StringNotLike": "r*", "Null": "true"}[operator]
        return "tags", [{"Condition": {operator: {f"aws:ResourceTag/{tag}": value}}} for tag in TAG_KEYS]
    of_texts = key in TEXT_KEYS or key in KNOWN_KEYS
    return "texts" if of_texts else "typed", conditions_of(modifier, operator, key, values_of(operator, key))

"""Hostile rows: values for which translations to SQL have differed from the policy language.

`make_rows(kind)` returns the rows of a model, as mappings from column to value: ordinary ones, one with each hostile
value, and mixtures. They are the same in each run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import sqlalchemy as sa

from .models import Kind

Row = dict[str, Any]

HERE, THERE, ELSEWHERE = "111122223333", "444455556666", "000000000012"
ACCOUNTS = [HERE, THERE, ELSEWHERE]
NO_ACCOUNTS = [None, "", "11112222333", "11112222333x", "1111:2222:33"]

CLASSES = ["public", "internal", "secret"]
OWNERS = ["ann", "bob", "fred"]
TEAMS = ["red", "blue"]

HOSTILE_TEXTS = [
    *["", " ", "Public", "PUBLIC", "pub", "public ", " public", "publicity", "públic", "pu\u0301blic", "p\u00fablic"],
    *["%", "_ublic", "publi_", "p%", "p*", "p?blic", "[p]ublic", "p[a-z]blic", "[", "]", "[^p]ublic", "p^blic"],
    *[
        "p\\ublic",
        "\\",
        "p\\%",
        "p\\_",
        "p-blic",
        "p!blic",
        "!%",
        "public\n",
        "\npublic",
        "\n",
        "pub\nlic",
        "pub\tlic",
        "\r\n",
    ],
    *["😀", "public😀", "😀public", "p😀blic", "\U0010ffff", "\u200bpublic", "'", '"', "pub'lic", 'pub"lic', "--", ";"],
    *["${aws:username}", "${", "$", "10", "010", "1e1", "true", "null", "NULL", "straße", "STRASSE", "İ", "ı", "K"],
    *["k", "\u212a", "ſecret", "ǅ", "Σ", "ς", "a/b", "a:b", "arn:aws:s3:::b", "arn:aws:s3:::b:c", "x" * 3000, "ANN"],
    *["annie", "an", "Red", "r*d", "QQ==", "\x7f", "\x1f", "é", "É", "e\u0301", "ﬁ", "\ufeffpublic", "\u2028"],
]
HOSTILE_IDS = [
    *["", " ", "1", "01", "1 ", " 1", "A", "a", "a/b", "a//b", "/", "/a", "a/", "a:b", "a:b:c", ":", "*", "?", "a*b"],
    *["a?b", "%", "_", "a_b", "a%b", "[a]", "[", "]", "a\\b", "\\", "^", "-", "\n", "a\nb", "😀", "a😀", "é", "É"],
    *["${aws:username}", "${*}", "..", "a/../b", "document/1", "x/document/y", "ann", "Ann", "red", "ann/x", "'", '"'],
    *["+1", "-1", "1.0", "true", "x" * 500, "folder", "\u200b", "e\u0301"],
]
WHOLE_NUMBERS = [
    *[0, 1, -1, 2, 7, 10, 12, 99, 100, 101, 2**31 - 1, 2**31, -(2**31), 2**53, 2**53 + 1, -(2**53) - 1],
    *[2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1],
]
FRACTIONS = [
    *[0.0, -0.0, 0.1, 0.2, 0.1 + 0.2, 0.3, -0.1, 1.0, 1.5, 10.0, 100.0, 2.0**53, 2.0**53 + 2, 1e300, -1e300, 5e-324],
    *[1e-7, 9.99, 1 / 3, 1.7976931348623157e308, 1e16, 123456789.125],
]
EAST = timezone(timedelta(hours=5, minutes=30))
MOMENTS = [
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, 5, 30, tzinfo=EAST),
    datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 6, 1, 12, 30, 0, 250_000, tzinfo=UTC),
    datetime(2026, 6, 1, 12, 30, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    datetime(999, 12, 31, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
    datetime(2000, 2, 29, 23, 0, 0, 100, tzinfo=UTC),
]
ADDRESSES = [
    *["10.1.2.3", "10.255.255.255", "11.0.0.0", "9.255.255.255", "203.0.113.7", "203.0.113.0", "203.0.113.255"],
    *["0.0.0.1", "255.255.255.255", "127.0.0.1", "2001:db8::1", "2001:0DB8:0:0::1", "2001:DB8::", "2001:db9::1"],
    *["::", "::1", "::ffff:10.1.2.3", "::ffff:a01:203", "::10.1.2.3", "fe80::1", "fe80::1%eth0", "64:ff9b::a01:203"],
    *["2001:db8:0:0:0:0:0:1", "2001:db8:0:0:1::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:0:0"],
]
NO_ADDRESSES = [
    *["", " ", "nowhere", "010.001.002.003", "10.01.2.3", "10.1.2", "10.1.2.3/8", "10.1.2.3/32", "10.1.2.3 "],
    *[" 10.1.2.3", "10.1.2.256", "10.1.2.3.4", "0x0a.1.2.3", "167838211", "2001:db8::1/128", "[::1]", "::1 ", ":::"],
    *[
        "2001:db8:::1",
        "1:2:3:4:5:6:7:8:9",
        "::ffff:10.1.2.03",
        "10.1.2.3\n",
        "%",
        "10.%",
        "fe80::1%",
        "::1%",
        "10,1,2,3",
    ],
    *["١٠.1.2.3", "10.1.2.-3", "12345::", "::ffff:10.1.2.3.4", "1::2::3", "10.1..3", ".1.2.3", "a.b.c.d"],
]
TAG_KEYS = ["team", "stage", "cost"]
HOSTILE_TAG_KEYS = [
    *["Team", "TEAM", "", " ", "team ", "te*m", "te?m", "te_m", "te%m", "[team]", "te.am", "te[0]", "$", "$.team", "#"],
    *["te'am", 'te"am', "te\\am", 'te\\"am', "te\nam", "téam", "TÉAM", "te😀m", "${aws:username}", "team/x", "te:am"],
    *["0", "-1", "null", "\u212aey", "İ", "team,stage", "{team}", "te\u0301am", "a=b", "->", "'; --", "@", "ß", "\t"],
]
TAG_VALUES = [
    *TEAMS,
    "Red",
    "RED",
    "",
    " ",
    "r*d",
    "re",
    "redd",
    "red ",
    "réd",
    "r_d",
    "r%",
    "[r]ed",
    "😀",
    "10",
    "true",
]
TAG_VALUES += ["null", "public", "ann", "${aws:username}", "red\n", "'red'", '"red"', "r\\ed", "10.1.2.3", "2026-01-01"]
OTHER_TYPES = [None, 10, 10.5, True, False, [], ["red"], {}, {"team": "red"}, [None], 0, "", -1e300, 2**70]
NO_OBJECTS = [sa.null(), sa.JSON.NULL, [], ["team"], [{"team": "red"}], ["team", "red"], "", "team", '{"team": "red"}']
NO_OBJECTS += [0, 10, True, False, 1.5]
VARIANTS = [
    {"team": "red", "Team": "blue"},
    {"team": "red", "TEAM": "red"},
    {"Team": "blue", "TEAM": "red", "team": "red"},
    {"team": "red", "Team": "blue", "stage": "public"},
    {"Team": "red", "TEAM": "blue", "Stage": "x", "stage": "y"},
    {"téam": "red", "TÉAM": "blue"},
    {"team": "", "Team": "red"},
]
"""Tags whose keys differ in letter case only; another variant has a value that is no text."""
VARIANTS_OF_TYPES: list[Row] = [{"team": "red", "Team": None}, {"team": 10, "Team": "red"}, {"Team": [], "TEAM": {}}]


def make_rows(kind: Kind) -> list[Row]:
    """Return the rows of a model; `tags` are a mapping for tag tables too."""
    rng = random.Random(f"rows of {kind.name}")
    rows = [*_ordinary_rows(rng), *_rows_with_one(rng, kind), *(_mixture(rng, kind) for _ in range(90))]
    for number, row in enumerate(rows, 1):
        row["number"] = number
        for column in ("id", "folder"):
            if f"{{{column}}}" in kind.template:
                row.setdefault(column, _identifier(rng, kind, column, number))
            else:
                row.pop(column, None)
    rng.shuffle(rows)
    return rows


def _ordinary_rows(rng: random.Random) -> Iterator[Row]:
    for classification, owner, account in product(CLASSES, OWNERS, [HERE, HERE, THERE]):
        row = _ordinary(rng) | {"classification": classification, "owner": owner, "account": account}
        yield row


def near_miss(rng: random.Random, value: str) -> str:
    """Return a text that differs from the value in letter case, an accent, a blank or a metacharacter."""
    accented = value.replace("e", "é").replace("a", "á").replace("u", "ú")
    near = [value.upper(), value.capitalize(), accented, f"{value} ", f" {value}", value[:-1], f"{value}2", "", " "]
    near += [f"{value[0]}%", f"{value[0]}*", f"_{value[1:]}", f"?{value[1:]}", f"[{value[0]}]{value[1:]}", f"{value}\n"]
    return rng.choice([*near, f"{value[0]}😀{value[2:]}", f"\\{value}", f"{value[0]}/{value[1:]}", f"{value}😀"])


def _text(rng: random.Random, ordinary: list[str]) -> str | None:
    """Return one of the values, or sometimes nearly one, or None."""
    value = rng.choice(ordinary)
    return value if rng.random() < 0.7 else near_miss(rng, value) if rng.random() < 0.8 else None


def _ordinary(rng: random.Random) -> Row:
    team, stage = _text(rng, TEAMS), _text(rng, CLASSES)
    return {
        "account": rng.choice([HERE, HERE, HERE, THERE, ELSEWHERE]),
        "owner": _text(rng, OWNERS),
        "title": _text(rng, ["plan", "budget", "public", "ann"]),
        "classification": _text(rng, CLASSES),
        "size": rng.choice(WHOLE_NUMBERS[:10]),
        "price": rng.choice(FRACTIONS[:12]),
        "is_public": rng.random() < 0.5,
        "created_at": rng.choice(MOMENTS[:6]),
        "address": rng.choice(ADDRESSES[:14]),
        "tags": {key: value for key, value in {"team": team, "stage": stage}.items() if value is not None},
    }


def _rows_with_one(rng: random.Random, kind: Kind) -> Iterator[Row]:
    """Yield ordinary rows of which one column has a hostile value."""
    values: dict[str, list[Any]] = {"classification": [None, *HOSTILE_TEXTS], "size": [None, *WHOLE_NUMBERS]}
    values |= {"owner": [None, "", "Ann", "ann ", "a", "red"], "price": [None, *FRACTIONS], "is_public": [None]}
    values |= {"title": [None, *rng.sample(HOSTILE_TEXTS, 20)], "created_at": [None, *MOMENTS]}
    values |= {
        "account": NO_ACCOUNTS,
        "address": [None, *ADDRESSES, *NO_ADDRESSES],
        "tags": list(hostile_tags(rng, kind)),
    }
    if kind.model.__table__.c.id.type.python_type is int:
        values["id"] = [None, *WHOLE_NUMBERS]
    else:
        values |= {"id": [None, *HOSTILE_IDS], "folder": [None, *HOSTILE_IDS] if "folder" in kind.template else []}
    for column, hostile in values.items():
        for value in hostile:
            yield _ordinary(rng) | {column: value}


def hostile_tags(rng: random.Random, kind: Kind) -> Iterator[Any]:
    """Yield tags with hostile keys and values, and in JSON what is no tag."""
    for key in HOSTILE_TAG_KEYS:
        yield {key: rng.choice(TEAMS)}
        yield {key: rng.choice(TAG_VALUES), "team": rng.choice(TEAMS)}
    for value in TAG_VALUES:
        yield {"team": value}
    yield from VARIANTS
    yield {"team": None}
    if "tags" in kind.model.__table__.c:  # JSON, whose values may have any type
        yield from ({"team": value} for value in OTHER_TYPES)
        yield from [*VARIANTS_OF_TYPES, *NO_OBJECTS]


def _mixture(rng: random.Random, kind: Kind) -> Row:
    """Return a row with several hostile values."""
    row = _ordinary(rng)
    hostile: Row = {
        "owner": rng.choice([None, *HOSTILE_TEXTS]),
        "title": rng.choice([None, *HOSTILE_TEXTS]),
        "classification": rng.choice([None, *HOSTILE_TEXTS]),
        "size": rng.choice([None, *WHOLE_NUMBERS]),
        "price": rng.choice([None, *FRACTIONS]),
        "is_public": None,
        "created_at": rng.choice([None, *MOMENTS]),
        "address": rng.choice([None, *ADDRESSES, *NO_ADDRESSES]),
        "tags": _several_tags(rng),
    }
    for column in rng.sample(list(hostile), rng.randint(2, 5)):
        row[column] = hostile[column]
    return row


def _several_tags(rng: random.Random) -> Row:
    """Return several tags, whose keys differ in more than letter case."""
    keys = {key.lower(): key for key in rng.sample([*TAG_KEYS * 5, *HOSTILE_TAG_KEYS], rng.randint(1, 5))}
    return {key: rng.choice(TAG_VALUES) for key in keys.values()}


def _identifier(rng: random.Random, kind: Kind, column: str, number: int) -> Any:
    if column == "folder":
        return rng.choice(["ann", "bob", "red", "a", "2026", *HOSTILE_IDS[:30]])
    if kind.model.__table__.c.id.type.python_type is int:
        return number
    return rng.choice([str(number), f"plan-{number}", f"ann/{number}", f"doc{number}", *HOSTILE_IDS[:24]])

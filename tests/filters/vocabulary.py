"""The operators, keys and values of generated policies; values come from the rows, with near misses."""

from __future__ import annotations

import random
from typing import Any

from .rows import (
    ACCOUNTS,
    ADDRESSES,
    CLASSES,
    FRACTIONS,
    HERE,
    HOSTILE_TAG_KEYS,
    HOSTILE_TEXTS,
    MOMENTS,
    NO_ADDRESSES,
    OWNERS,
    TAG_VALUES,
    TEAMS,
    WHOLE_NUMBERS,
    near_miss,
)

STRINGS = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]
IGNORING_CASE = ["StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"]
ORDERS = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
NUMBERS = [f"Numeric{order}" for order in ORDERS]
DATES = [f"Date{order}" for order in ORDERS]
ADDRESS_OPERATORS = ["IpAddress", "NotIpAddress"]
ARNS = ["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"]
ALL_OPERATORS = [*STRINGS, *IGNORING_CASE, *NUMBERS, *DATES, *ADDRESS_OPERATORS, *ARNS, "Bool", "BinaryEquals"]
MODIFIERS = ["", "IfExists", "ForAnyValue:", "ForAllValues:"]

TEXT_KEYS = {"docs:Class": CLASSES, "docs:Owner": OWNERS, "docs:Title": ["plan", "budget", "public", "ann"]}
"""Maps the keys of text columns to their ordinary values."""
OTHER_KEYS = {
    "docs:Size": NUMBERS,
    "docs:Price": NUMBERS,
    "docs:Public": ["Bool"],
    "docs:Created": DATES,
    "docs:Address": ADDRESS_OPERATORS,
}
"""Maps the keys of the other columns to their operators."""
TAGS = [*["team"] * 10, *["stage"] * 5, "Team", "TEAM", "Stage", "STAGE", "none", "cost"]
RESOURCE_TAG = "aws:ResourceTag/"

NO_NUMBERS = ["", "two", "1e3", " 1", "1 ", "0x10", "+", ".5", "5.", "NaN", "Infinity", "1_000", "١"]
NUMBER_TEXTS = [
    *["0", "-0", "+0", "0.0", "-0.0", "1", "+1", "01", "1.0", "1.50", "10", "0.1", "0.10000000000000000001", "0.3"],
    *["0.1000000000000000055511151231257827", "0.30000000000000004", "0.3000000000000000444089209850062616", "0.5"],
    *[str(2**53), str(2**53 + 1), str(2**53) + ".5", str(2**63 - 1), str(2**63), str(2**63 - 1) + ".5", str(2**64)],
    *[str(-(2**63)), str(-(2**63) - 1), "9" * 40, "-" + "9" * 40, "1" + "0" * 300, "1" + "0" * 299 + "1"],
    *["1" + "0" * 400, "-1" + "0" * 400, "0." + "0" * 323 + "5", "0." + "0" * 400 + "1", "0." + "3" * 40, "1.49999"],
    *["0.3333333333333333", "9.99", "0.0000001", "10000000000000000", "10000000000000001", "100.00000000000000001"],
]
NO_DATES = ["", "soon", "2026-*", "2026-13", "2026-02-30", "2026-01-01T24:00:00Z", "2026-01-01 00:00:00", "1.5", "-"]
DATE_TEXTS = [
    *["2026-01-01T00:00:00Z", "2026-01-01", "2026-01", "2026-01-01t00:00z", "2026-01-01T01:00:00+01:00", "1767225600"],
    *["2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.0000009Z", "2026-01-01T00:00:00.000000001Z", "2026-06"],
    *["2025-12-31T23:59:59.999999Z", "2025-12-31T23:59:59.9999999Z", "2026-06-01T12:30:00.25Z", "2026-06-01T12:30:00"],
    *["1970-01-01", "0", "1969-12-31T23:59:59.5Z", "0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"],
    *["0000-01-01", "-0001-01-01", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.9999999Z", "10000-01-01"],
    *[
        "9999-12-31T23:59:59-14:00",
        "12345-06",
        "292278993-01",
        "99999999999",
        "253402300800",
        "0999-12-31",
        "2000-02-29",
    ],
]
BLOCKS = [
    *["10.0.0.0/8", "203.0.113.77/24", "203.0.113.7", "10.1.2.3/32", "0.0.0.0/0", "::/0", "2001:DB8::/32", "::1"],
    *["2001:db8:0:0:0:0:0:1", "2001:db8::/127", "fe80::/10", "::ffff:0:0/96", "::ffff:10.0.0.0/104", "10.1.2.0/30"],
    *["128.0.0.0/1", "2001:db8::1/128", "::ffff:10.1.2.3", "255.255.255.255", "8.0.0.0/6", "8000::/1", "::/128"],
]
NO_BLOCKS = ["", "nowhere", "10.0.0.0/33", "10.0.0/8", "010.0.0.0/8", "::/129", "10.0.0.0/", "/8", "10.0.0.0/255.0.0.0"]
BOOLEANS: list[Any] = [True, False, "true", "false", "True", "FALSE", "yes", "", "1", "0", "t"]
POLICY_ARNS = [
    "arn:*:*:*:*:*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b:?",
    "*",
    "arn:aws:*",
    "arn:aws:s3:::b*",
    "arn:aws:*:*:*:c",
]
ENCODED = ["QQ==", "cHVibGlj", "?", ""]

COLUMN_VARIABLES = [
    "${docs:Class}",
    "${docs:Owner}",
    "${docs:Title}",
    "${aws:ResourceTag/team}",
    "${aws:ResourceTag/stage}",
]
COLUMN_VARIABLES += ["${aws:ResourceTag/none}", "${aws:ResourceTag/team, 'red'}", "${docs:Class, 'public'}"]
KNOWN_VARIABLES = ["${aws:username}", "${aws:PrincipalTag/team}", "${aws:PrincipalTag/none}", "${docs:Mode}"]
KNOWN_VARIABLES += [
    "${aws:PrincipalTag/none, 'red'}",
    "${aws:username, 'ann'}",
    "${aws:TagKeys}",
    "${aws:PrincipalTag/odd}",
]
LITERALS = ["r${*}d", "p${?}blic", "${$}{aws:username}", "${aws:username", "$", "${", "{x}", "${*}"]


def related_text(rng: random.Random, value: str, *, is_pattern: bool) -> str:
    """Return a text that often matches the value, and otherwise nearly does."""
    if rng.random() < (0.35 if is_pattern else 0.75) or not value:
        return value
    if not is_pattern and rng.random() < 0.5:
        return near_miss(rng, value)
    middle = len(value) // 2
    near = [value.swapcase(), value.upper(), value + rng.choice("x *\n%"), value[:-1], " " + value, value + " "]
    near += [value.replace("u", "ú"), value.replace("b", "*"), value.replace("b", "?"), f"[{value[0]}]{value[1:]}"]
    if is_pattern:
        near = [f"{value[:middle]}*", f"*{value[middle:]}", f"{value[:middle]}*{value[middle + 1 :]}", f"{value}*"]
        near += [f"*{value}*", f"{value[:middle]}?{value[middle + 1 :]}", f"?{value[1:]}", f"{value}?", "*", "?*", "**"]
        near += [
            f"{value[0]}*{value[-1]}",
            "?" * len(value),
            value.upper(),
            f"[{value[0]}]*",
            f"{value[0]}_*",
            "*%",
            "*\\*",
        ]
        near += ["", "*[*", "*]*", "*_*", "*\n*", "*😀*", "*'*", "*-*", "*^*", "*!*", "?"]
    return rng.choice(near)


def text_value(rng: random.Random, ordinary: list[str], *, is_pattern: bool) -> str:
    """Draw a value for a text column or a tag."""
    value = rng.choice(ordinary if rng.random() < 0.7 else HOSTILE_TEXTS)
    if rng.random() < 0.06:
        return rng.choice(LITERALS)
    return related_text(rng, value, is_pattern=is_pattern)


def typed_value(rng: random.Random, operator: str) -> Any:
    """Draw a value for an operator that does not compare texts."""
    is_odd = rng.random() < 0.04
    if operator.startswith("Numeric"):
        return rng.choice(NO_NUMBERS) if is_odd else number(rng)
    if operator.startswith("Date"):
        return rng.choice(NO_DATES) if is_odd else _date(rng)
    if operator in ADDRESS_OPERATORS:
        return rng.choice(NO_BLOCKS + NO_ADDRESSES[:6]) if is_odd else rng.choice([*BLOCKS, *ADDRESSES[:14]])
    if operator.startswith("Arn"):
        return rng.choice(POLICY_ARNS)
    return rng.choice(ENCODED) if operator == "BinaryEquals" else rng.choice(BOOLEANS[:4] if not is_odd else BOOLEANS)


def number(rng: random.Random) -> Any:
    """Draw a number as a policy may write it."""
    match rng.randrange(4):
        case 0:
            return rng.choice(WHOLE_NUMBERS) + rng.choice([0, 0, 1, -1])
        case 1:
            return format(rng.choice(FRACTIONS), ".25f").rstrip("0").rstrip(".") if rng.random() < 0.5 else 1.5
        case 2:
            return str(rng.choice(WHOLE_NUMBERS[:10]))
        case _:
            return rng.choice(NUMBER_TEXTS)


def _date(rng: random.Random) -> str:
    return rng.choice(DATE_TEXTS) if rng.random() < 0.6 else rng.choice(MOMENTS).isoformat().replace("+00:00", "Z")


def tag_key(rng: random.Random) -> str:
    """Draw the condition key of a tag."""
    return RESOURCE_TAG + rng.choice(TAGS if rng.random() < 0.85 else HOSTILE_TAG_KEYS)


def tag_value(rng: random.Random, *, is_pattern: bool) -> str:
    """Draw a value for a tag."""
    return related_text(rng, rng.choice(TEAMS * 4 + CLASSES + TAG_VALUES), is_pattern=is_pattern)


def account_value(rng: random.Random) -> str:
    """Draw a value for `aws:ResourceAccount`."""
    return rng.choice([HERE, *ACCOUNTS, "1*", "1111?2223333", "*", ""])

"""Compare one value of the request with one value of a policy, per operator (D.2).

A comparison returns True, False, or `UNREADABLE` if one side is not a valid number, date or address.

Interpretations where the rules are open:
- A number is `[+-]digits[.digits]`, without exponent, white space or a bare point (C-13).
- Dates and addresses that do not parse make the negated operator false just as numbers do, on either side and for the
  whole list (C-13, C-17, N-10).
- A context date of digits may have a fraction, a policy date may not (C-13, C-15).
- "No ARN" means fewer than six fields (C-27).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from .wildcards import Char, fields, matches, plain, within_colons

UNREADABLE = None
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
EPOCH_IN_POLICY = re.compile(r"[0-9]+")
EPOCH_IN_CONTEXT = re.compile(r"[0-9]+(\.[0-9]+)?")
DATE = re.compile(
    r"(-?[0-9]{1,9})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?"
    r"(?:[Tt](?:([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]{1,9}))?)?)?)?([Zz]|[+-][0-9]{2}(?::[0-9]{2})?)?)?"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Comparison = Callable[[str, list[Char]], bool | None]


def string_equals(value: str, policy_value: list[Char]) -> bool:
    """Compare exactly (C-10)."""
    return value == plain(policy_value)


def string_equals_ignore_case(value: str, policy_value: list[Char]) -> bool:
    """Compare with simple case folding (C-44)."""
    return _folded(value) == _folded(plain(policy_value))


def _folded(text: str) -> str:
    return "".join(one if len(one.casefold()) > 1 else one.casefold() for one in text)


def string_like(value: str, policy_value: list[Char]) -> bool:
    """Match with wildcards that match every character (C-11)."""
    return matches(policy_value, value)


def arn_like(value: str, policy_value: list[Char]) -> bool:
    """Match six fields separately (C-25, C-26)."""
    actual = value.split(":", 5)
    patterns = fields(policy_value)
    if len(actual) < 6 or len(patterns) < 6:
        return False  # C-27
    in_first_five = all(matches(within_colons(patterns[at]), actual[at]) for at in range(5))
    return in_first_five and matches(patterns[5], actual[5])


def is_arn(value: str) -> bool:
    """Return whether a request value has the six fields of an ARN (C-27)."""
    return len(value.split(":", 5)) == 6


def boolean(value: str, policy_value: list[Char]) -> bool:
    """Compare true and false in any letter case; any other text is false (C-18)."""
    return value.lower() == plain(policy_value).lower() and value.lower() in ("true", "false")


def binary_equals(value: str, policy_value: list[Char]) -> bool:
    """Compare the decoded bytes (C-19)."""
    try:
        return base64.b64decode(value, validate=True) == base64.b64decode(plain(policy_value), validate=True)
    except (binascii.Error, ValueError):
        return False


def ip_address(value: str, policy_value: list[Char]) -> bool | None:
    """Return whether the address is in the block (C-20 to C-23)."""
    block_text = plain(policy_value)
    if "/" in block_text and not re.fullmatch(r"[^/]+/[0-9]{1,3}", block_text):
        return UNREADABLE
    try:
        address = ipaddress.ip_address(value)
        block = ipaddress.ip_network(block_text, strict=False)  # C-20, C-21
    except ValueError:
        return UNREADABLE
    return address in block  # C-22: false when the families differ


def _number(text: str) -> Decimal | None:
    return Decimal(text) if NUMBER.fullmatch(text) else UNREADABLE  # C-13


def _date(text: str, epoch: re.Pattern[str]) -> Decimal | None:
    """Return seconds since the epoch (C-15, C-16)."""
    if epoch.fullmatch(text):
        return Decimal(text)  # C-16
    found = DATE.fullmatch(text)
    if found is None:
        return UNREADABLE  # C-17
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if not -292_275_054 <= int(year) <= 292_278_993:
        return UNREADABLE
    written = int(year) % 400 + 400  # the Gregorian calendar repeats after 400 years: 146,097 days
    time = (int(part or 0) for part in (hour, minute, second))
    try:
        whole = datetime(written, int(month or 1), int(day or 1), *time, tzinfo=_zone(zone))
    except ValueError:
        return UNREADABLE
    days = (int(year) - written) // 400 * 146_097
    return Decimal((whole - EPOCH) // timedelta(seconds=1) + days * 86_400) + Decimal("0." + (fraction or "0"))


def _zone(zone: str | None) -> timezone:
    if zone is None or zone in "Zz":
        return UTC  # C-15: without a zone, UTC
    hours, _, minutes = zone[1:].partition(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-offset if zone[0] == "-" else offset)


def _numeric(compare: Callable[[Decimal, Decimal], bool]) -> Comparison:
    def comparison(value: str, policy_value: list[Char]) -> bool | None:
        left, right = _number(value), _number(plain(policy_value))
        return UNREADABLE if left is None or right is None else compare(left, right)

    return comparison


def _dated(compare: Callable[[Decimal, Decimal], bool]) -> Comparison:
    def comparison(value: str, policy_value: list[Char]) -> bool | None:
        left, right = _date(value, EPOCH_IN_CONTEXT), _date(plain(policy_value), EPOCH_IN_POLICY)
        return UNREADABLE if left is None or right is None else compare(left, right)

    return comparison


COMPARISONS: dict[str, Comparison] = {
    "StringEquals": string_equals,
    "StringEqualsIgnoreCase": string_equals_ignore_case,
    "StringLike": string_like,
    "NumericEquals": _numeric(operator.eq),
    "NumericLessThan": _numeric(operator.lt),
    "NumericLessThanEquals": _numeric(operator.le),
    "NumericGreaterThan": _numeric(operator.gt),
    "NumericGreaterThanEquals": _numeric(operator.ge),
    "DateEquals": _dated(operator.eq),
    "DateLessThan": _dated(operator.lt),
    "DateLessThanEquals": _dated(operator.le),
    "DateGreaterThan": _dated(operator.gt),
    "DateGreaterThanEquals": _dated(operator.ge),
    "Bool": boolean,
    "BinaryEquals": binary_equals,
    "IpAddress": ip_address,
    "ArnEquals": arn_like,  # C-26
    "ArnLike": arn_like,
}
WITH_VARIABLES = ("String", "Arn", "Bool")  # V-3; V-5 for Bool


def is_operator(name: str) -> bool:
    """Return whether the name is one of the list, compared exactly (G-66, C-30, C-35)."""
    base = name.removeprefix("ForAllValues:").removeprefix("ForAnyValue:") if name.count(":") == 1 else name
    if base == "Null":
        return True
    plain_name = base.removesuffix("IfExists")
    return plain_name in COMPARISONS or plain_name in NEGATED

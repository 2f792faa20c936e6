"""Parse condition values as numbers, instants, addresses, booleans and bytes (rules C-13, C-15 to C-23, C-44).

Every function returns None for an invalid text and never raises. The values of policy and request can be compared.
"""

from __future__ import annotations

import base64
import re
from datetime import date
from decimal import Context, Decimal
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import TypeAlias

Number: TypeAlias = int | Decimal

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_EPOCH = re.compile(r"[0-9]+")
_EPOCH_WITH_FRACTION = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_DATE = re.compile(
    r"(-?[0-9]{1,9})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?"  # year, month, day
    r"(?:[Tt](?:([01]?[0-9]|2[0-3])(?::([0-5]?[0-9])(?::([0-5]?[0-9])(?:\.([0-9]{1,9}))?)?)?)?"  # time, fraction
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3])(?::([0-5][0-9]))?)?"  # sign, hours and minutes of the zone
    r")?"
)
_YEARS = range(-292_275_054, 292_278_994)
"""The years whose milliseconds since the epoch fit into 64 bits: IAM accepts these."""
_BEGINNING = date(1970, 1, 1).toordinal()
_DAYS_OF_400_YEARS = 146_097
_EXACT = Context(prec=30)
"""For sums: the decimal context of the calling thread may round."""
_OCTETS = {str(octet): octet for octet in range(256)}
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}")
_IS_IPV6 = 1 << 128


def folded(text: str) -> str:
    """Return a text in folded case, character by character (rule C-44: simple folding)."""
    return text.lower() if text.isascii() else "".join(map(_folded_character, text))


def _folded_character(char: str) -> str:
    for form in (char.casefold(), char.lower()):
        if len(form) == 1:
            return form
    return char


def number(text: str) -> Number | None:
    """Parse an integer or a decimal with an optional sign (rule C-13)."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def instant(text: str) -> Number | None:
    """Parse a date in a policy as seconds since the epoch; digits alone are epoch seconds (rules C-15, C-16)."""
    return Decimal(text) if _EPOCH.fullmatch(text) else _date(text)


def instant_in_request(text: str) -> Number | None:
    """Parse a date in a request as seconds since the epoch; epoch seconds may have a fraction (rule C-13)."""
    return Decimal(text) if _EPOCH_WITH_FRACTION.fullmatch(text) else _date(text)


def _date(text: str) -> Number | None:
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    cycles, year_of_cycle = divmod(int(year) - 2000, 400)  # the calendar repeats, and Python's has few years
    try:
        days = date(2000 + year_of_cycle, int(month or 1), int(day or 1)).toordinal() - _BEGINNING
    except ValueError:  # no such day
        return None
    if int(year) not in _YEARS:
        return None
    days += cycles * _DAYS_OF_400_YEARS
    seconds = days * 86400 + int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    if sign:
        offset = int(hours) * 3600 + int(minutes or 0) * 60
        seconds += offset if sign == "-" else -offset
    return _EXACT.add(seconds, Decimal(f"0.{fraction}")) if fraction else seconds


def boolean(text: str) -> bool | None:
    """Parse `true` or `false` in any letter case (rule C-18)."""
    return _TRUTH.get(text.lower())


_TRUTH = {"true": True, "false": False}


def octets(text: str) -> bytes | None:
    """Decode base64 (rule C-19)."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


# --- addresses: integers in which bit 128 marks IPv6, so that IPv4 and IPv6 never match each other (C-22) -------


@lru_cache(maxsize=4096)  # callers mostly repeat their addresses
def address(text: str) -> int | None:
    """Parse an IPv4 or IPv6 address (rules C-20, C-23)."""
    try:
        first, second, third, fourth = text.split(".")
        return _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]
    except (ValueError, KeyError):
        return _ipv6(text)


def _ipv6(text: str) -> int | None:
    try:
        return int(IPv6Address(text)) | _IS_IPV6
    except AddressValueError:
        return None


def block(text: str) -> tuple[int, int] | None:
    """Parse an address or CIDR block as (mask, network); bits after the prefix are ignored (rules C-20, C-21)."""
    written, slash, prefix = text.partition("/")
    network = None if "%" in written else address(written)  # a zone index is local to one machine
    if network is None or (slash and not _PREFIX_LENGTH.fullmatch(prefix)):
        return None
    width = 128 if network & _IS_IPV6 else 32
    length = int(prefix) if slash else width
    if length > width:
        return None
    mask = -1 << (width - length)
    return mask, network & mask

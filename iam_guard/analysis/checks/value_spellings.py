"""The spellings of a value: texts that the evaluator compares equal (C-13 to C-23, C-44), the usual ones first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import ROUND_FLOOR, Context, Decimal
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import chain, count, product

from iam_guard.policy.value_parsing import folded, instant

_EXACT = Context(prec=40)
"""For instants: 16 digits of seconds and 9 of a fraction."""
_DAY, _DAYS_OF_400_YEARS = 86_400, 146_097
_YEARS = range(-292_275_055, 292_278_995)
"""The years of dates, and those of the next days in other zones."""
_MAX_FRACTION = 9
"""The most digits of a fraction of a second."""
_IS_IPV6 = 1 << 128
_CASED = range(0x20000)
"""The planes of Unicode that have letters with cases."""
_MORE_FORMS = {"k": "\u212a", "s": "\u017f"}
"""The forms of ASCII letters that are not ASCII: the Kelvin sign and the long s."""


def cases(text: str) -> Iterator[str]:
    """Yield all texts with the same folded form (rule C-44), the text itself first."""
    form = folded(text)
    usual = dict.fromkeys(found for found in (text, text.upper(), text.lower()) if folded(found) == form)
    yield from usual
    yield from (other for chars in product(*map(_forms_of, text)) if (other := "".join(chars)) not in usual)


def _forms_of(char: str) -> tuple[str, ...]:
    return char, *case_forms(char)


@lru_cache(maxsize=1024)
def case_forms(char: str) -> tuple[str, ...]:
    """Return the other characters with the same folded form."""
    if char.isascii():
        return (char.swapcase(), *_MORE_FORMS.get(char.lower(), "")) if char.isalpha() else ()
    return tuple(form for form in _forms().get(folded(char), ()) if form != char)


@lru_cache(maxsize=1)
def _forms() -> Mapping[str, list[str]]:
    """Return the characters of each folded form that has several."""
    found: dict[str, list[str]] = {}
    for char in (char for char in map(chr, _CASED) if char != char.casefold()):
        form = folded(char)
        if form != char:
            found.setdefault(form, [form]).append(char)
    return found


def address_spellings(address: int) -> Iterator[str]:
    """Yield the texts of an address: one of IPv4, any number of IPv6, of which the last have a zone index."""
    if not address & _IS_IPV6:
        yield str(IPv4Address(address))
        return
    parsed = IPv6Address(address & ~_IS_IPV6)
    groups = [int(parsed) >> shift & 0xFFFF for shift in range(112, -1, -16)]
    yield from (str(parsed), ":".join(f"{group:x}" for group in groups), ":".join(f"{group:04x}" for group in groups))
    yield ":".join((*(f"{group:x}" for group in groups[:6]), str(IPv4Address(address & 0xFFFF_FFFF))))
    yield from (f"{parsed}%{zone}" for zone in count(1))


def date_spellings(moment: Decimal) -> Iterator[str]:
    """Yield the dates of an instant in UTC and in other zones; none of an instant that no date has."""
    if year_of(moment) in _YEARS and len(format(moment % 1, "f").partition(".")[2].rstrip("0")) <= _MAX_FRACTION:
        zones = chain((0,), (minutes * sign for minutes in range(1, _DAY // 60) for sign in (1, -1)))
        yield from (text for minutes in zones if instant(text := _date_text(moment, minutes)) == moment)


def year_of(moment: Decimal) -> int:
    """Return the year of an instant, in UTC."""
    return _day_of(int(moment.to_integral_value(ROUND_FLOOR)) // _DAY)[0]


def _day_of(days: int) -> tuple[int, date]:
    """Return the year of a day since the epoch, and the same day of a year that Python has."""
    begin = date(2000, 1, 1).toordinal()
    cycles, day = divmod(days + date(1970, 1, 1).toordinal() - begin, _DAYS_OF_400_YEARS)
    found = date.fromordinal(begin + day)
    return found.year + 400 * cycles, found


def _date_text(moment: Decimal, minutes: int) -> str:
    local = _EXACT.add(moment, Decimal(minutes * 60))
    whole = local.to_integral_value(ROUND_FLOOR)
    days, seconds = divmod(int(whole), _DAY)
    year, day = _day_of(days)
    fraction = format(_EXACT.subtract(local, whole), "f")[1:].rstrip("0").rstrip(".")
    hours, rest = divmod(abs(minutes), 60)
    zone = f"{'+' if minutes > 0 else '-'}{hours:02d}:{rest:02d}" if minutes else "Z"
    time = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{'-' if year < 0 else ''}{abs(year):04d}-{day:%m-%d}T{time}{fraction}{zone}"

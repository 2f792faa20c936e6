"""Points: finitely many values of a condition key that represent all of them, for operators without wildcards.

Two values that meet the same conditions are equivalent. The points have one value of each class: the constants of the
policies, values between, below and above them, values that are spelled differently, and values of another kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import islice, product
from math import prod

from iam_guard.analysis.checks.limits import Undecided
from iam_guard.evaluation.matching.operators import Test
from iam_guard.policy.value_parsing import block, folded, instant, number, octets

FRESH = "example"
_EXACT = Context(prec=2000)
_MAX_VARIANTS = 4096
_IS_IPV6 = 1 << 128
_EARLIEST = ("-292275054-01-01", "-292275054")
"""The earliest instant: as a date, and as a year, which is a number, too."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def representatives(values: Iterable[tuple[str, str]], tests: Sequence[Test]) -> tuple[str, ...]:
    """Return the points of a key; `values` are (base operator, value) of its conditions, `tests` all their tests.

    The empty string is first. Raises `Undecided` for constants whose neighbours cannot be written.
    """
    by_kind: dict[str, list[str]] = {}
    for operator, value in values:
        by_kind.setdefault(_KINDS[operator], []).append(value)
    every = [value for kind in by_kind.values() for value in kind]
    distinct: dict[tuple[bool, ...], str] = {}
    for point in _candidates(by_kind, every):
        distinct.setdefault(tuple(bool(test(point)) for test in tests), point)
    return ("", *[point for point in distinct.values() if point])


def _candidates(by_kind: dict[str, list[str]], every: Sequence[str]) -> Iterator[str]:
    texts = Counter(map(folded, every))
    for kind, values in by_kind.items():
        for point in _GENERATORS[kind](values):
            yield point
            yield from _spellings(point, texts)
    if {"number", "date"} <= by_kind.keys():
        numbers = [parsed for text in by_kind["number"] if (parsed := number(text)) is not None]
        moments = [parsed for text in by_kind["date"] if (parsed := instant(text)) is not None]
        for value in _between([*numbers, *moments]):  # epoch seconds are numbers, too
            yield format(value, "f")
            yield from _spellings(format(value, "f"), texts)
            if not moments or value >= min(map(Decimal, moments)):
                yield from _dated(value)
    fresh = FRESH
    while folded(fresh) in texts or octets(fresh) is not None:
        fresh += "-e"
    yield fresh


def _spellings(text: str, taken: Mapping[str, int]) -> Iterator[str]:
    """Yield other spellings of a value, enough that one of them is no constant of the policies.

    `taken` counts the constants by their folded form.
    """
    yield from islice(_cases(text), taken.get(folded(text), 0) + 4)
    if number(text) is not None:
        longer = text if "." in text else f"{text}.0"
        while longer in taken:
            longer += "0"
        yield longer
        sign = "" if text.startswith(("+", "-")) else "+"
        padded = f"{sign}{text}"
        while padded in taken:
            padded += "0" if "." in padded else ".0"
        yield padded


def _cases(text: str) -> Iterator[str]:
    """Yield the text in other letter cases."""
    variants = [[char, *_variants(char)] for char in text]
    places = [index for index, chars in enumerate(variants) if len(chars) > 1]
    yield from dict.fromkeys((text.upper(), text.lower(), text.swapcase()))
    for number_ in range(1, 1 << min(len(places), 12)):
        chars = [*text]
        for bit, place in enumerate(places[:12]):
            if number_ >> bit & 1:
                chars[place] = variants[place][1]
        yield "".join(chars)
    for place in places:
        for other in variants[place][2:]:
            yield text[:place] + other + text[place + 1 :]


def every_case(text: str) -> tuple[str, ...] | None:
    """Return a text in all letter cases (rule C-44); None if there are too many, or it is not ASCII."""
    choices = [(char, *_variants(char)) for char in text]
    if not text.isascii() or prod(map(len, choices)) > _MAX_VARIANTS:
        return None
    return tuple(map("".join, product(*choices)))


@lru_cache(maxsize=1024)
def _variants(char: str) -> tuple[str, ...]:
    """Return the other characters with the same folded form (rule C-44); K has the Kelvin sign, too."""
    forms = [char.upper(), char.lower(), *_MORE.get(folded(char), "")]
    return tuple(dict.fromkeys(form for form in forms if len(form) == 1 and form != char and _same(form, char)))


def _same(one: str, other: str) -> bool:
    return folded(one) == folded(other)


_MORE = {"k": "\u212a", "s": "\u017f", "å": "\u212b", "μ": "\u00b5\u03bc", "µ": "\u00b5\u03bc", "ß": "\u1e9e"}


# --- by kind -----------------------------------------------------------------------------------------------------


def _numbers(values: Sequence[str]) -> Iterator[str]:
    yield from values
    for value in _between([parsed for text in values if (parsed := number(text)) is not None]):
        yield format(value, "f")


def _dates(values: Sequence[str]) -> Iterator[str]:
    yield from values
    yield from _EARLIEST
    instants = [parsed for text in values if (parsed := instant(text)) is not None]
    for value in _between(instants):
        if value >= 0:
            yield format(value, "f")
        if instants and value < min(map(Decimal, instants)):
            continue  # the earliest date is before it
        yield from _dated(value)


def _dated(value: Decimal) -> Iterator[str]:
    """Yield an instant as a date; one that is also no number, so that numeric operators differ."""
    try:
        moment = _EPOCH + timedelta(seconds=int(value // 1))
    except OverflowError:
        if value >= 0:
            return
        raise Undecided("dates before the year 1 cannot be compared") from None
    fraction = value % 1
    if fraction < 0:
        moment, fraction = moment - timedelta(seconds=1), fraction + 1
    digits = format(fraction, "f")[2:]
    if len(digits) > 9:
        if value >= 0:
            return  # epoch seconds have any number of digits
        raise Undecided("dates are too close to compare")
    yield f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + (f".{digits}" if digits else "") + "Z"


def _between(values: Iterable[Decimal | int]) -> Iterator[Decimal]:
    """Yield all values, one between each two, one below and one above."""
    ordered = sorted({Decimal(value) for value in values})
    if not ordered:
        yield Decimal(1)
        return
    yield _EXACT.subtract(ordered[0].to_integral_value(), Decimal(2))
    for index, value in enumerate(ordered):
        yield value
        if index + 1 < len(ordered):
            middle = _EXACT.divide(_EXACT.add(value, ordered[index + 1]), Decimal(2))
            whole = middle.to_integral_value()
            yield whole if value < whole < ordered[index + 1] else middle
    yield _EXACT.add(ordered[-1].to_integral_value(), Decimal(2))


def _addresses(values: Sequence[str]) -> Iterator[str]:
    """Yield one address of each cell: what is in a block and in no smaller one, and what is in none."""
    yield from values  # an address without a prefix can be a value, too
    ranges = {_range(parsed) for text in values if (parsed := block(text)) is not None}
    ranges |= {(0, (1 << 32) - 1), (_IS_IPV6, _IS_IPV6 | (1 << 128) - 1)}
    for first, last in sorted(ranges):
        inner = sorted((start, end) for start, end in ranges - {(first, last)} if first <= start and end <= last)
        address, found = first, 0
        for start, end in [*inner, (last + 1, last + 1)]:
            while address < start and found < 8:
                yield _address_text(address)
                address, found = address + 1, found + 1
            address = max(address, end + 1)


def _range(parsed: tuple[int, int]) -> tuple[int, int]:
    mask, network = parsed
    return network, network + ~mask


def _address_text(address: int) -> str:
    return str(IPv6Address(address & ~_IS_IPV6)) if address & _IS_IPV6 else str(IPv4Address(address))


def _booleans(values: Sequence[str]) -> Iterator[str]:
    yield from values
    yield from ("true", "false")


def _binaries(values: Sequence[str]) -> Iterator[str]:
    yield from values
    for value in values:
        stem = value.rstrip("=")
        for char in _BASE64 if stem else "":
            yield stem[:-1] + char + value[len(stem) :]
    fresh = "ZXhhbXBsZQ=="
    while fresh in values:
        fresh = "ZXhh" + fresh
    yield fresh


_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _strings(values: Sequence[str]) -> Iterator[str]:
    yield from values


_GENERATORS: dict[str, Callable[[Sequence[str]], Iterator[str]]] = {
    "text": _strings,
    "number": _numbers,
    "date": _dates,
    "boolean": _booleans,
    "binary": _binaries,
    "address": _addresses,
}
_BY_PREFIX = {
    "Numeric": "number",
    "Date": "date",
    "Bool": "boolean",
    "Binary": "binary",
    "IpAddress": "address",
    "NotIpAddress": "address",
}


class _Kinds(dict[str, str]):
    def __missing__(self, operator: str) -> str:
        return next((kind for prefix, kind in _BY_PREFIX.items() if operator.startswith(prefix)), "text")


_KINDS = _Kinds()


def value_kind(operator: str) -> str:
    """Return the kind of value that a base operator compares: `text`, `number`, `date`, `boolean`, …."""
    return _KINDS[operator]

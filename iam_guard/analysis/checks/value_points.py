"""Points: finitely many values of a condition key that represent all of them, for operators without wildcards.

Two values that meet the same conditions are equivalent. The points have one value of each class: the constants of the
policies, values between, below and above them, and values of another kind. A text is a value of several kinds: exact
and folded for the operators of strings, a number, an instant, an address. So if a key has operators of several kinds,
each value has further spellings, of which one is no constant of the policies. Two kinds meet in few texts:

- Epoch seconds are numbers with the same value; with a sign they are numbers only. A date is no number, but a year
  before the year 1 is (`-5`), with another value.
- All letter cases of a text are the same address, instant or bytes of its kind or none, except `false` (with a long s)
  and base64, which has few spellings: all of them are points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Context, Decimal, Inexact
from itertools import islice
from math import prod

from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.value_spellings import address_spellings, case_forms, cases, date_spellings, year_of
from iam_guard.evaluation.matching.operators import Test
from iam_guard.policy.value_parsing import (
    Number,
    address,
    block,
    boolean,
    folded,
    instant,
    instant_in_request,
    number,
    octets,
)

FRESH = "example"
_EXACT, _ROUNDED = Context(prec=2000, traps=[Inexact]), Context(prec=2100)
_SHORTEST = Decimal("1e-9")
"""The shortest time that dates distinguish."""
_MAX_VARIANTS = 4096
_IS_IPV6 = 1 << 128
_MAX_YEAR_DIGITS = 9
_EXTREME_YEARS = (0, -292_275_054, -292_275_055, 1 - 10**_MAX_YEAR_DIGITS, -(10**_MAX_YEAR_DIGITS))
"""The first and last years before the year 1 that are dates and numbers, and those beyond, which are numbers alone."""


def representatives(values: Iterable[tuple[str, str]], tests: Sequence[Test]) -> tuple[str, ...]:
    """Return the points of a key; `values` are (base operator, value) of its conditions, `tests` all their tests.

    The empty string is first. Raises `Undecided` for constants whose neighbours cannot be written.
    """
    by_kind: dict[str, list[str]] = {}
    for operator, value in values:
        by_kind.setdefault(_KINDS[operator], []).append(value)
    distinct: dict[tuple[bool, ...], str] = {}
    try:
        for point in dict.fromkeys(filter(None, _candidates(by_kind))):
            distinct.setdefault(tuple(bool(test(point)) for test in tests), point)
    except Inexact:
        raise Undecided("numbers have too many digits to compare") from None
    return ("", *distinct.values())


def _candidates(by_kind: Mapping[str, Sequence[str]]) -> Iterator[str]:
    every = [value for kind in by_kind.values() for value in kind]
    taken = Counter(map(folded, every))
    has_spellings = "text" in by_kind or len(by_kind) > 1
    least = 4 + _MAX_TEXTS_OF_BYTES * len(by_kind.get("binary", ()))
    for point in _values(by_kind, every):
        yield point
        if has_spellings:
            yield from _spellings(point, taken, least)
    fresh = FRESH
    while folded(fresh) in taken or octets(fresh) is not None:
        fresh += "-e"
    yield fresh


def _values(by_kind: Mapping[str, Sequence[str]], every: Sequence[str]) -> Iterator[str]:
    """Yield one value at least of each class, without regard to its spelling."""
    for kind, values in by_kind.items():
        if kind == "address":  # an address that is compared as a text has a class of its own
            parsed = [found for text in every if (found := address(text)) is not None]
            values = [*values, *(next(address_spellings(found)) for found in parsed)]
        yield from _GENERATORS[kind](values)
    if {"number", "date"} <= by_kind.keys():
        numbers, moments = _read(number, by_kind["number"]), _read(instant, by_kind["date"])
        for value in _between([*numbers, *moments, Decimal(0)]):  # numbers from 0 on are epoch seconds, too
            yield from _instant_texts(value)
        yield from _years(numbers, moments)


def _read(parse: Callable[[str], Number | None], values: Iterable[str]) -> list[Decimal]:
    return [Decimal(parsed) for text in values if (parsed := parse(text)) is not None]


# --- spellings ---------------------------------------------------------------------------------------------------


def _spellings(text: str, taken: Mapping[str, int], least: int) -> Iterator[str]:
    """Yield other spellings of a value, enough that one of them is no constant of the policies.

    `taken` counts the constants by their folded form; at least so many letter cases are yielded beyond it.
    """
    form = folded(text)
    yield from cases(text) if boolean(form) is not None else islice(cases(text), taken.get(form, 0) + least)
    if number(text) is not None:
        yield from _numbers_like(text, taken)
    elif (moment := instant_in_request(text)) is not None:
        yield from _first_free(date_spellings(Decimal(moment)), taken)
    elif (parsed := address(text)) is not None:
        yield from _first_free(address_spellings(parsed), taken)


def _numbers_like(text: str, taken: Mapping[str, int]) -> Iterator[str]:
    """Yield a number as another text, and with a sign, which epoch seconds have not."""
    longer = text if "." in text else f"{text}.0"
    while longer in taken:
        longer += "0"
    yield longer
    sign = "" if text.startswith(("+", "-")) else "+"
    padded = f"{sign}{text}"
    while padded in taken:
        padded += "0" if "." in padded else ".0"
    yield padded


def _first_free(texts: Iterable[str], taken: Mapping[str, int]) -> Iterator[str]:
    """Yield texts up to the first that is no constant in any letter case."""
    for text in texts:
        yield text
        if folded(text) not in taken:
            return


def every_case(text: str) -> tuple[str, ...] | None:
    """Return a text in all letter cases (rule C-44); None if there are too many."""
    if prod(1 + len(case_forms(char)) for char in text) > _MAX_VARIANTS:
        return None
    return tuple(cases(text))


# --- by kind -----------------------------------------------------------------------------------------------------


def _numbers(values: Sequence[str]) -> Iterator[str]:
    yield from values
    for value in _between(_read(number, values)):
        yield format(value, "f")


def _dates(values: Sequence[str]) -> Iterator[str]:
    yield from values
    are_epochs = all(value.isdigit() for value in values)
    for value in _between(_read(instant, values)):
        texts = [*_instant_texts(value)]
        yield from reversed(texts) if are_epochs else texts


def _instant_texts(value: Decimal) -> Iterator[str]:
    """Yield an instant as a date, which is no number, and as a number, which is epoch seconds unless it is negative."""
    yield from islice(date_spellings(value), 1)
    yield format(value, "f")


def _years(numbers: Iterable[Decimal], moments: Iterable[Decimal]) -> Iterator[str]:
    """Yield years before the year 1, which are numbers too: one of each class of numbers and instants."""
    years = {*_EXTREME_YEARS}
    years.update(int(value.to_integral_value(ROUND_FLOOR)) + step for value in numbers for step in (-1, 0, 1, 2))
    years.update(year_of(moment) + step for moment in moments for step in (-1, 0, 1))
    for year in sorted(years, reverse=True):
        if _EXTREME_YEARS[-1] <= year <= 0:
            yield from (f"-{-year:0{digits}d}" for digits in range(1, _MAX_YEAR_DIGITS + 1))


def _between(values: Iterable[Decimal]) -> Iterator[Decimal]:
    """Yield all values, one between each two, one below and one above: the next integers if possible."""
    ordered = sorted({value or Decimal(0) for value in values})  # `-0` is also a year
    if not ordered:
        yield Decimal(1)
        return
    first = ordered[0].to_integral_value(ROUND_FLOOR)
    yield _EXACT.subtract(first, Decimal(1)) if first == ordered[0] else first
    for index, value in enumerate(ordered):
        yield value
        above = _EXACT.add(value.to_integral_value(ROUND_FLOOR), Decimal(1))
        if index + 1 < len(ordered) and above >= ordered[index + 1]:
            above = _middle(value, ordered[index + 1])
        yield above


def _middle(low: Decimal, high: Decimal) -> Decimal:
    """Return a value between two others, with as few digits as dates have if there is one."""
    middle = _EXACT.divide(_EXACT.add(low, high), Decimal(2))
    short = middle.quantize(_SHORTEST, ROUND_FLOOR, _ROUNDED)
    return short if low < short < high else middle


def _addresses(values: Sequence[str]) -> Iterator[str]:
    """Yield one address of each cell: what is in a block and in no smaller one, and what is in none."""
    yield from values  # an address without a prefix can be a value, too
    ranges = {_range(parsed) for text in values if (parsed := block(text)) is not None}
    ranges |= {(0, (1 << 32) - 1), (_IS_IPV6, _IS_IPV6 | (1 << 128) - 1)}
    for first, last in sorted(ranges):
        inner = sorted((start, end) for start, end in ranges - {(first, last)} if first <= start and end <= last)
        free = first
        for start, end in [*inner, (last + 1, last + 1)]:
            if free < start:
                yield next(address_spellings(free))
                break
            free = max(free, end + 1)


def _range(parsed: tuple[int, int]) -> tuple[int, int]:
    mask, network = parsed
    return network, network + ~mask


def _booleans(values: Sequence[str]) -> Iterator[str]:
    yield from values
    yield from ("true", "false")


def _binaries(values: Sequence[str]) -> Iterator[str]:
    yield from values
    for value in values:
        stem = value.rstrip("=")
        texts = [stem[:-1] + char + value[len(stem) :] for char in _BASE64 if stem]
        yield from (text for text in texts if octets(text) == octets(value))
    fresh = "ZXhhbXBsZQ=="
    while fresh in values:
        fresh = "ZXhh" + fresh
    yield fresh


_MAX_TEXTS_OF_BYTES = 16
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

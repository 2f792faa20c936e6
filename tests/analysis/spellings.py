"""Values in every spelling that the evaluator reads, without the code of the checks; and policies about them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Any, NamedTuple, TypeAlias

from iam_guard.policy import value_parsing
from iam_guard.policy.value_parsing import folded

Doc = dict[str, Any]
ORDERS = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
NUMBERS, DATES = [f"Numeric{name}" for name in ORDERS], [f"Date{name}" for name in ORDERS]
TEXTS, FOLDED = ["StringEquals", "StringNotEquals"], ["StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"]
ADDRESSES = ["IpAddress", "NotIpAddress"]


# --- spellings ---------------------------------------------------------------------------------------------------


def number(random: Random, value: Decimal) -> str:
    digits, sign = format(abs(value), "f"), "-" if value < 0 else random.choice(["", "", "+"])
    if value == 0:
        sign = random.choice(["", "+", "-"])
    more = "0" * random.choice([0, 0, 1, 3])
    if more and "." not in digits:
        digits += "."
    return sign + "0" * random.choice([0, 0, 1, 2]) + digits + more


def epoch(random: Random, value: Decimal, *, is_written: bool = False) -> str:
    """Return epoch seconds; in a policy (`is_written`), they are digits alone."""
    if is_written:
        return "0" * random.choice([0, 1]) + format(value, "f")
    return number(random, value).lstrip("+-")


def instant(random: Random, value: Decimal, *, is_written: bool = False) -> str:
    is_whole = value == value.to_integral_value()
    if value >= 0 and random.random() < 0.3 and (is_whole or not is_written):
        return epoch(random, value, is_written=is_written)
    texts = (_date(random, value) for _ in range(20))
    return next(text for text in texts if value_parsing.instant(text) == value)  # another zone may have another year


def _date(random: Random, value: Decimal) -> str:
    zone = random.choice([0, 0, random.randint(-1439, 1439)])
    local = value + zone * 60
    seconds = int(local.to_integral_value("ROUND_FLOOR"))
    fraction = format(local - seconds, "f").partition(".")[2]
    days, rest = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    years = f"{'-' if year < 0 else ''}{abs(year):0{random.choice([1, 4, 6])}d}"
    wide = random.choice(["02d", "d"])
    text = f"{years}-{month:{wide}}-{day:{wide}}"
    if zone == 0 and rest == 0 and not fraction and random.random() < 0.5:
        return text
    text += random.choice("Tt") + f"{rest // 3600:{wide}}:{rest // 60 % 60:{wide}}:{rest % 60:{wide}}"
    fraction = fraction.ljust(random.choice([0, 0, 3, 9]), "0")
    text += f".{fraction}" if fraction else ""
    hours, minutes = divmod(abs(zone), 60)
    sign = "-" if zone < 0 else "+"
    return text + (f"{sign}{hours:02d}:{minutes:02d}" if zone else random.choice(["Z", "z", "", "+00"]))


def _civil(days: int) -> tuple[int, int, int]:
    """Return the date of a day since the epoch: years of 400-year cycles that begin in March."""
    cycle, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    month_of_year = month + 3 if month < 10 else month - 9
    return year + cycle * 400 + (month_of_year <= 2), month_of_year, day - (153 * month + 2) // 5 + 1


def address(random: Random, value: int) -> str:
    if not value >> 128:
        return str(IPv4Address(value))
    value &= (1 << 128) - 1
    groups = [f"{value >> shift & 0xFFFF:{random.choice(['x', '04x', 'X'])}}" for shift in range(112, -1, -16)]
    tail = str(IPv4Address(value & 0xFFFF_FFFF))
    short = str(IPv6Address(value))
    zone = f"{short}%{random.choice(['eth0', 'ETH0', 'k'])}"
    return random.choice([short, short.upper(), ":".join(groups), ":".join((*groups[:6], tail)), zone])


def block(random: Random, value: tuple[int, int]) -> str:
    """Return a block of addresses, with any bits after the prefix."""
    network, length = value
    width = 128 if network >> 128 else 32
    text = address(random, network | random.choice([0, random.getrandbits(width - length)])).partition("%")[0]
    return f"{text}/{length}" if length < width or random.random() < 0.5 else text


def letters(random: Random, text: str) -> str:
    return "".join(random.choice(_forms()[folded(char)]) if folded(char) in _forms() else char for char in text)


@cache
def _forms() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for char in map(chr, range(0x3000)):
        found.setdefault(folded(char), []).append(char)
    return {form: chars for form, chars in found.items() if len(chars) > 1}


def boolean(random: Random, value: bool) -> str:
    return "".join(random.choice([char, char.upper()]) for char in str(value).lower())


def octets(random: Random, value: bytes) -> str:
    """Return base64, with any bits after the last byte."""
    text = base64.b64encode(value).decode()
    stem, free = text.rstrip("="), {0: 1, 1: 4, 2: 16}[text.count("=")]
    digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return stem[:-1] + digit[digit.index(stem[-1]) + random.randrange(free)] + text[len(stem) :] if stem else text


# --- values of keys ----------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """A value of a policy or request: how it is spelled, and what it is."""

    spell: Callable[..., str]
    value: Any

    def text(self, random: Random, *, is_written: bool = False) -> str:
        more = {"is_written": True} if is_written and self.spell in (instant, epoch) else {}
        return self.spell(random, self.value, **more)


def exact(random: Random, text: str) -> str:
    return text


_MOMENTS = [1_767_225_600, 0, -1, -315_619_200, -62_135_596_800, -63_517_824_000, -9_223_372_017_043_200]
_MOMENTS += [9_223_372_017_129_599, 5, -62_325_000_000]
_STEPS = [Decimal(0), Decimal(0), Decimal(1), Decimal(-1), Decimal("0.5"), Decimal("-0.5"), Decimal("1e-9")]
_NUMBERS = [Decimal(text) for text in ("0", "1", "2", "1.5", "-5", "-44", "-2000", "1767225600", "1767225600.5", "10")]
_IPS = [1 << 128 | 1, 1 << 128 | 0xFFFF << 32 | 10 << 24, 0x0A000001, 0x0A010203, (1 << 128) | (0x20010DB8 << 96) | 0xA]
_IPS += [1 << 128, (1 << 129) - 1, 0, (1 << 32) - 1]
_WORDS = ["σ", "ΣΑΣ", "ω", "θ", "k", "sk", "ß", "İ", "ı", "i", "ᾀ", "ada", "false", "true", "KISS", "Å", "ǆ", "µ", "ﬁ"]
_BYTES = [b"a", b"ab", b"abc", b"", b"\xb6\xbb\x9e", base64.b64decode("1234"), base64.b64decode("true")]


def moments(random: Random) -> Written:
    base = Decimal(random.choice(_MOMENTS))
    return Written(instant, base + (random.choice(_STEPS) if abs(base) < 10**14 else 0))


def numbers(random: Random) -> Written:
    return Written(number, random.choice(_NUMBERS) + random.choice([0, 0, 0, 1, -1]))


def hosts(random: Random) -> Written:
    value = random.choice(_IPS)
    step = random.choice([0, 0, 0, 1, -1, random.randint(-300, 300)])
    width = (1 << 128) - 1 if value >> 128 else (1 << 32) - 1
    return Written(address, (value & ~width) | min(max((value & width) + step, 0), width))


def blocks(random: Random) -> Written:
    host = hosts(random).value
    width = 128 if host >> 128 else 32
    length = random.choice([width, width, width - 1, width - 5, width // 4, 0])
    return Written(block, (host >> (width - length) << (width - length) | (host >> 128 << 128), length))


def words(random: Random) -> Written:
    return Written(letters, random.choice(_WORDS))


def truths(random: Random) -> Written:
    return Written(boolean, random.random() < 0.5)


def binaries(random: Random) -> Written:
    return Written(octets, random.choice(_BYTES))


def near(random: Random, written: Written) -> str:
    """Return a value of a request that is one of a policy, or near it, in any spelling."""
    match written.spell:
        case spell if spell is block:
            network, length = written.value
            width = 128 if network >> 128 else 32
            step = random.choice([0, 0, random.getrandbits(width - length), (1 << (width - length)) - 1])
            return address(random, network | step)
        case spell if spell is exact:
            return random.choice([written.value, letters(random, written.value), "x", ""])
        case spell if spell is instant:
            step = random.choice(_STEPS) if abs(written.value) < 10**14 else Decimal(0)
            return instant(random, written.value + step)
        case spell if spell is number:
            value = written.value + random.choice([0, 0, 1, -1])
            year = f"-{abs(int(value)):0{random.randint(1, 9)}d}"
            return random.choice([number(random, value), f"{value:f}", year])
    return written.text(random)


Group: TypeAlias = list[tuple[list[str], Callable[[Random], Written]]]
GROUPS: list[Group] = [
    [(ADDRESSES, blocks), (ADDRESSES, blocks), ([*TEXTS, *FOLDED], hosts)],
    [(DATES, moments), (DATES, moments), (NUMBERS, numbers), ([*TEXTS, *FOLDED], moments)],
    [(DATES, moments), ([*TEXTS, *FOLDED], moments)],
    [(NUMBERS, numbers), ([*TEXTS, *FOLDED], numbers), (DATES, moments)],
    [(FOLDED, words), (TEXTS, words), (["Bool"], truths), (["BinaryEquals"], binaries)],
    [(FOLDED, words), ([*TEXTS, *FOLDED], words)],
    [(["Bool"], truths), ([*TEXTS, *FOLDED], truths)],
    [(["BinaryEquals"], binaries), ([*TEXTS, *FOLDED], binaries), (NUMBERS, numbers)],
]
"""The operators that the conditions of one key have, each with values."""
_EXACT = {*TEXTS}
_AS_TEXT = {*TEXTS, *FOLDED}


class Condition(NamedTuple):
    operator: str
    key: str
    values: tuple[Written, ...]


class Statement(NamedTuple):
    is_allow: bool
    conditions: tuple[Condition, ...]


class SpelledPair:
    """Two policies about a few values, in different spellings, and requests about values near them."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        groups = random.sample(GROUPS, random.choice([1, 1, 2]))
        self.keys = {f"docs:Value{index}": self._limited(group) for index, group in enumerate(groups)}
        self.existing = self._policy()
        self.new = self._policy() if random.random() < 0.4 else self._related()

    def _limited(self, group: Group) -> list[tuple[list[str], list[Written]]]:
        """Return a few values for the operators of a key; operators of texts have spellings of all of them."""
        found = [(operators, [create(self.random) for _ in range(3)]) for operators, create in group]
        values = [value for _, listed in found for value in listed]
        for operators, listed in found:
            if not _AS_TEXT.isdisjoint(operators):
                listed[:] = [self._as_text(self.random.choice([*values, *listed])) for _ in range(4)]
        return found

    def _as_text(self, value: Written) -> Written:
        return Written(exact, value.text(self.random))

    def _policy(self) -> list[Statement]:
        return [self._statement() for _ in range(self.random.choice([1, 1, 2, 3]))]

    def _statement(self) -> Statement:
        conditions = tuple(self._condition() for _ in range(self.random.choice([1, 1, 2, 3])))
        return Statement(self.random.random() < 0.75, conditions)

    def _condition(self) -> Condition:
        random = self.random
        key = random.choice([*self.keys])
        operators, values = random.choice(self.keys[key])
        prefix = random.choice(["", "", "", "ForAnyValue:", "ForAllValues:"])
        suffix = random.choice(["", "", "IfExists"])
        operator = random.choice(operators)
        listed = tuple(random.sample(values, random.randint(1, min(3, len(values)))))
        if operator in FOLDED:
            texts = [value.value if value.spell is exact else value.text(random) for value in listed]
            listed = tuple(Written(letters, text) for text in texts)
        return Condition(f"{prefix}{operator}{suffix}", key, listed)

    def _related(self) -> list[Statement]:
        """Return the first policy with one condition changed, added or removed."""
        random, found = self.random, [*self.existing]
        place = random.randrange(len(found))
        statement = found[place]
        left = [condition for condition in statement.conditions if random.random() < 0.6]
        more = [self._condition()] if random.random() < 0.6 else []
        found[place] = Statement(statement.is_allow, (*left, *more))
        return found

    def document(self, statements: list[Statement], random: Random) -> Doc:
        """Return a policy with its values in any spellings."""
        return {"Version": "2012-10-17", "Statement": [_rendered(statement, random) for statement in statements]}

    def contexts(self, count: int) -> Iterator[Doc]:
        """Yield values of the keys of a request: those of the policies and near them, in any spelling."""
        for _ in range(count):
            chosen = {key: self._value(key) for key in self.keys}
            yield {key: value for key, value in chosen.items() if value is not None}

    def _value(self, key: str) -> Any:
        random = self.random
        match random.randrange(12):
            case 0:
                return None
            case 1:
                return ["", ""]
            case 2 | 3:
                return [self._text(key), self._text(key)]
            case _:
                return self._text(key)

    def _text(self, key: str) -> str:
        return near(self.random, self.random.choice(self.random.choice(self.keys[key])[1]))


def _rendered(statement: Statement, random: Random) -> Doc:
    conditions: Doc = {}
    for operator, key, values in statement.conditions:
        texts = [value.text(random, is_written=True) for value in values]
        conditions.setdefault(operator, {}).setdefault(key, []).extend(texts)
    effect = "Allow" if statement.is_allow else "Deny"
    return {"Effect": effect, "Action": "docs:Get", "Resource": "*"} | ({"Condition": conditions} if conditions else {})

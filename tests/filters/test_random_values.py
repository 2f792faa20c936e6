"""Random texts with random patterns, addresses, numbers and keys of tags: rows and operands of few characters.

`IAM_GUARD_TEST_FILTER_CASES` scales the number of operands, which `--cases-of-each` makes few;
`IAM_GUARD_TEST_FILTER_SEED` selects others.
"""

from __future__ import annotations

import math
import random
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from iam_guard import Principal
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import FIRST_SEED, Case, case_count
from tests.filters.models import DOCUMENTS, KINDS, PAPERS, Kind
from tests.filters.rows import ADDRESSES, HERE, NO_ADDRESSES, Row

ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/ann", userid="AIDAANN")
TEXT_CHARACTERS = "aaabbAé[]!-^\\%_*?/:😀\n "
PATTERN_CHARACTERS = TEXT_CHARACTERS + "****???"
ADDRESS_CHARACTERS = "0012345679aFf::::....% /x-"
UPPERCASE = [char for char in map(chr, range(sys.maxunicode + 1)) if char.lower() != char]


def _count() -> int:
    """Return the number of operands of a test."""
    return max(20, case_count(in_ci=500) // 10)


def _text(rng: random.Random, characters: str, longest: int = 6) -> str:
    return "".join(rng.choices(characters, k=rng.randint(0, longest)))


@contextmanager
def _comparison(dialect: str, kind: Kind, rows: Sequence[Row]) -> Iterator[Comparison]:
    """Open a database with the rows of one kind, which have only the given columns."""
    ids: Row = {"id": 1} if kind.model is DOCUMENTS.model else {"id": "1"}
    common: Row = {"account": HERE, "tags": {}} | ids | ({"folder": "a"} if "{folder}" in kind.template else {})
    of_kinds: dict[str, list[Row]] = {other.name: [] for other in KINDS}
    of_kinds[kind.name] = [common | row | {"number": number} for number, row in enumerate(rows, 1)]
    with database(dialect, of_kinds) as session:
        yield Comparison(session, kind)


def _check(comparison: Comparison, statement: dict[str, Any]) -> int:
    """Compare the rows for a statement, in Allow and Deny, and return how many it selects."""
    common = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
    for statements in ([common | statement], [common, common | statement | {"Effect": "Deny"}]):
        policies = {"identity": [{"Version": "2012-10-17", "Statement": statements}]}
        listed, differences = comparison.compare(Case(comparison.kind, ANN, policies, {}))
        assert not differences, comparison.describe(differences[0])
    return len(comparison.rows) - len(listed)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_random_pattern_of_texts(dialect: str) -> None:
    """`StringLike` and `StringNotLike` of texts with all metacharacters."""
    rng = random.Random(FIRST_SEED)
    with _comparison(dialect, PAPERS, [{"title": _text(rng, TEXT_CHARACTERS)} for _ in range(300)]) as comparison:
        selected = 0
        for _ in range(_count()):
            pattern = _text(rng, PATTERN_CHARACTERS)
            selected += _check(comparison, {"Condition": {"StringLike": {"docs:Title": pattern}}}) > 0
            _check(comparison, {"Condition": {"StringNotLike": {"docs:Title": [pattern, _text(rng, "ab*?")]}}})
        assert selected > _count() / 5


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "template", ["folder/{folder}/document/{id}", "{folder}{id}", "a/{id}", "{folder}:{id}b", "b{id}a"]
)
def test_random_pattern_of_resources(dialect: str, template: str) -> None:
    """Resources whose ids have separators and metacharacters, as literal text and as patterns."""
    rng = random.Random(FIRST_SEED)
    rows = [{"folder": _text(rng, TEXT_CHARACTERS, 3), "id": _text(rng, TEXT_CHARACTERS, 4)} for _ in range(200)]
    with _comparison(dialect, replace(PAPERS, template=template), rows) as comparison:
        for _ in range(_count() // 2):
            row = rng.choice(rows)
            text = template.format(**row)
            start, end = sorted(rng.choices(range(len(text) + 1), k=2))
            pattern = text[:start] + _text(rng, "**?ab/[", 2) + text[end:]
            _check(comparison, {"Resource": [f"arn:aws:docs:*:*:{pattern}", f"arn:aws:docs:us-east-1:{HERE}:{text}x"]})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_random_addresses(dialect: str) -> None:
    """Texts that are nearly addresses; a valid one is in the block that has it, and others in none."""
    rng = random.Random(FIRST_SEED)
    texts = [*ADDRESSES, *NO_ADDRESSES, *(_text(rng, ADDRESS_CHARACTERS, 12) for _ in range(200))]
    for _ in range(_count() * 5):
        text = rng.choice(ADDRESSES)
        at = rng.randint(0, len(text))
        texts.append(text[:at] + _text(rng, ADDRESS_CHARACTERS, 2) + text[at + rng.randint(0, 2) :])
    with _comparison(dialect, PAPERS, [{"address": text} for text in texts]) as comparison:
        blocks = ["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3", "128.0.0.0/1", "203.0.113.0/25"]
        blocks += ["::/0", "2001:db8::/32", "::1", "::ffff:0:0/96", "fe80::/10"] if dialect == "postgresql" else []
        for block in blocks:
            assert _check(comparison, {"Condition": {"IpAddress": {"docs:Address": block}}}) > 0
            _check(comparison, {"Condition": {"NotIpAddress": {"docs:Address": block}}})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_random_numbers(dialect: str) -> None:
    """Numbers of all sizes, compared with themselves, their neighbours and decimals between these."""
    rng = random.Random(FIRST_SEED)
    floats = [struct.unpack("d", rng.randbytes(8))[0] for _ in range(150)]
    floats += [rng.uniform(-10, 10) for _ in range(40)] + [rng.randrange(100) / 10 for _ in range(40)]
    floats = [value for value in floats if math.isfinite(value)]
    sizes = [rng.randrange(-(2 ** rng.randint(1, 63)), 2 ** rng.randint(1, 63)) for _ in floats]
    rows = [{"price": price, "size": size} for price, size in zip(floats, sizes, strict=True)]
    orders = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
    with _comparison(dialect, PAPERS, rows) as comparison:
        for _ in range(_count()):
            price, size = rng.choice(floats), rng.choice(sizes)
            near = rng.choice([price, math.nextafter(price, math.inf), math.nextafter(price, -math.inf)])
            written = f"{near:.{rng.choice([1, 3, 17, 40, 400])}f}"
            whole = f"{size + rng.choice([-1, 0, 0, 1])}{rng.choice(['', '.0', '.5', '.00000000000000000001'])}"
            order = rng.choice(orders)
            _check(
                comparison, {"Condition": {f"Numeric{order}": {"docs:Price": written.removesuffix("." + "0" * 400)}}}
            )
            _check(comparison, {"Condition": {f"Numeric{order}": {"docs:Size": whole}}})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_random_letter_case_of_tag_keys(dialect: str, kind: Kind) -> None:
    """Keys of tags are compared without regard to the case of letters of all scripts, as condition keys are."""
    rng = random.Random(FIRST_SEED)
    chosen = [*rng.sample(UPPERCASE, min(_count(), len(UPPERCASE))), "İ", "\u212a", "\u2126", "ẞ", "Ǆ", "ǅ"]
    keys = [f"k{key}" for char in chosen for key in {char, char.lower(), char.upper()}]
    rows = [{"tags": {key: "red"}} for key in dict.fromkeys(keys) if key.lower() != "k"]
    with _comparison(dialect, kind, rows) as comparison:
        for char in chosen[-_count() // 2 :]:
            _check(comparison, {"Condition": {"StringEquals": {f"aws:ResourceTag/k{char}": "red"}}})

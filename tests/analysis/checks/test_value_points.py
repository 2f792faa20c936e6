"""The points of a key: every value is equivalent to one of them."""

from __future__ import annotations

import os
from random import Random

import pytest

from iam_guard.analysis.checks.value_points import representatives
from iam_guard.evaluation.matching.operators import OPERATORS, Test, compile_operands
from iam_guard.policy.document import LATEST
from tests.analysis.spellings import GROUPS, letters, near
from tests.tables import table

SPELLED = int(os.environ.get("IAM_GUARD_TEST_SPELLING_CASES", "300"))

EPOCHS = ["1767225600", "1767225601", "1767225600.5", "0", "-5", "-5.0", "+1767225600", "1767225602", "99999999999999"]
DATES = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.5Z",
    "2026-01-01",
    "1969-12-31",
    "1960-01-01",
    "-0005",
    "2026-06-01T00:00:01Z",
]
NUMBERS = ["1", "2", "2.0", "+2", "1.5", "-5", "-5.5", "3", "10", "x", "1e3", ""]
TEXTS = ["a", "A", "ab", "aB", "AB", "kin", "KIN", "\u212ain", "\u017f", "S", "true", "True", "FALSE", "example", "zz"]
ADDRESSES = [
    "10.0.0.1",
    "10.0.0.2",
    "10.1.2.3",
    "11.0.0.0",
    "0.0.0.1",
    "255.255.255.255",
    "::1",
    "2001:DB8::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "1.2.3",
]
BYTES = ["YQ==", "YR==", "Yg==", "", "!", "YWI=", "YWJj"]
BLOCKS = [
    "10.0.0.0/8",
    "10.0.0.0/31",
    "10.1.0.0/16",
    "10.1.2.3",
    "2001:db8::/32",
    "::/0",
    "0.0.0.0/0",
    "0.0.0.0/1",
    "x",
]
KINDS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "number": ([name for name in OPERATORS if name.startswith("Numeric")], ["1", "2", "2.0", "-5", "10", "x"], NUMBERS),
    "date": ([name for name in OPERATORS if name.startswith("Date")], [*DATES[:5], *EPOCHS[:2]], [*DATES, *EPOCHS]),
    "number and date": (
        ["DateGreaterThan", "DateLessThanEquals", "DateEquals", "NumericLessThan", "NumericGreaterThanEquals"],
        ["2026-01-01T00:00:00Z", "1767225600", "1767225601", "1960-01-01"],
        [*EPOCHS, *DATES, *NUMBERS],
    ),
    "text": (
        ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"],
        TEXTS[:7],
        TEXTS,
    ),
    "boolean and text": (["Bool", "StringEquals"], ["true", "false", "True", "x"], TEXTS),
    "number and text": (["NumericEquals", "NumericLessThan", "StringEquals"], NUMBERS[:6], NUMBERS),
    "address": (["IpAddress", "NotIpAddress"], BLOCKS, ADDRESSES),
    "address and text": (
        ["IpAddress", "StringEquals"],
        [*BLOCKS[:4], "10.0.0.0", "10.0.0.1"],
        [*ADDRESSES, "10.0.0.0", *BLOCKS],
    ),
    "bytes": (["BinaryEquals"], BYTES, BYTES),
}


@table("kind", KINDS)
def test_every_value_is_equivalent_to_a_point(kind: str) -> None:
    """By the tests of the evaluator."""
    operators, constants, values = KINDS[kind]
    random = Random(kind)
    for _ in range(150):
        written = [
            (random.choice(operators), random.sample(constants, random.randint(1, 2)))
            for _ in range(random.randint(1, 3))
        ]
        tests: list[Test] = []
        for operator, listed in written:
            found = compile_operands(OPERATORS[operator], listed, LATEST).fixed
            assert found is not None
            tests.append(found)
        points = representatives([(operator, value) for operator, listed in written for value in listed], tests)
        known = {tuple(bool(test(point)) for test in tests) for point in points}
        missing = [value for value in values if tuple(bool(test(value)) for test in tests) not in known]
        assert missing == [], written


def test_every_spelling_is_equivalent_to_a_point() -> None:
    """Of values of all kinds that operators of several kinds compare, and values near them."""
    makers = [(operators, create) for group in GROUPS for operators, create in group]
    for seed in range(SPELLED):
        random = Random(seed)
        written, pool = [], []
        for operators, create in random.sample(makers, random.randint(1, 5)):
            values = [random.choice(pool) if pool and random.random() < 0.3 else create(random) for _ in range(3)]
            pool += values
            is_text = operators[0].startswith("String")
            texts = [near(random, value) if is_text else value.text(random, is_written=True) for value in values]
            written.append((random.choice(operators), texts))
        tests = [test for name, texts in written if (test := compile_operands(OPERATORS[name], texts, LATEST).fixed)]
        points = representatives([(name, text) for name, texts in written for text in texts], tests)
        known = {tuple(bool(test(point)) for test in tests) for point in points}
        asked = [text for _, texts in written for text in texts]
        asked += [letters(random, text) for text in asked] + [near(random, value) for value in pool * 4]
        missing = [value for value in asked if tuple(bool(test(value)) for test in tests) not in known]
        assert missing == [], (seed, written)


def test_points_are_few_and_start_with_the_empty_text() -> None:
    test = compile_operands(OPERATORS["NumericLessThan"], ["5", "7"], LATEST).fixed
    assert test is not None
    points = representatives([("NumericLessThan", "5"), ("NumericLessThan", "7")], [test])
    assert points[0] == ""
    assert sorted(map(test, points[1:])) == [False, True]


@pytest.mark.parametrize("count", [3, 200])
def test_spellings_outnumber_the_constants(count: int) -> None:
    """A text in another letter case than all constants exists, though the policies list many."""
    listed = [f"{'k' * 9}{number:03}" for number in range(count)]
    variants = [
        "".join(char.upper() if index >> place & 1 else char for place, char in enumerate(listed[0]))
        for index in range(64)
    ]
    folds = compile_operands(OPERATORS["StringEqualsIgnoreCase"], [listed[0]], LATEST).fixed
    equals = compile_operands(OPERATORS["StringEquals"], variants, LATEST).fixed
    assert folds is not None
    assert equals is not None
    values = [("StringEqualsIgnoreCase", listed[0]), *[("StringEquals", text) for text in (*variants, *listed)]]
    points = representatives(values, [folds, equals])
    assert any(folds(point) and not equals(point) for point in points)

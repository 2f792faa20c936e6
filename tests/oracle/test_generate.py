"""The generator: its cases are values of JSON, the same for the same seed, and of every outcome."""

from __future__ import annotations

import json
import random
from collections import Counter

from .decide import ALLOWED, ERROR, EXPLICITLY_DENIED, IMPLICITLY_DENIED, decide, read_case
from .generate import generate_case

COUNT = 1500


def test_case_is_a_value_of_json_and_repeatable() -> None:
    """A case survives writing and reading (N), and a seed names it."""
    for seed in range(200):
        case = generate_case(random.Random(seed))
        assert read_case(json.dumps(case)) == case == generate_case(random.Random(seed))


def test_every_outcome_is_frequent_and_errors_are_few() -> None:
    """Each decision has its share, so that a comparison has something to compare."""
    rng = random.Random(2026)
    outcomes = Counter(decide(generate_case(rng)) for _ in range(COUNT))
    assert min(outcomes[each] for each in (ALLOWED, EXPLICITLY_DENIED, IMPLICITLY_DENIED)) >= 0.15 * COUNT
    assert 0 < outcomes[ERROR] <= 0.06 * COUNT

"""The generator of cases: JSON values, reproducible by their seed, with every outcome."""

from __future__ import annotations

import json
import random
from collections import Counter

from .decide import ALLOWED, ERROR, EXPLICITLY_DENIED, IMPLICITLY_DENIED, decide, read_case
from .generate import generate_case

COUNT = 1500


def test_case_is_json_and_reproducible() -> None:
    """A case survives serialization (N), and the same seed returns the same case."""
    for seed in range(200):
        case = generate_case(random.Random(seed))
        assert read_case(json.dumps(case)) == case == generate_case(random.Random(seed))


def test_every_outcome_is_frequent_and_errors_are_rare() -> None:
    """So that a comparison covers each outcome."""
    rng = random.Random(2026)
    outcomes = Counter(decide(generate_case(rng)) for _ in range(COUNT))
    assert min(outcomes[each] for each in (ALLOWED, EXPLICITLY_DENIED, IMPLICITLY_DENIED)) >= 0.15 * COUNT
    assert 0 < outcomes[ERROR] <= 0.06 * COUNT

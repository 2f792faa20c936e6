"""The evaluator agrees on generated requests with the oracle, a slow evaluator written from the rules alone."""

from __future__ import annotations

import os
import random

from iam_guard.errors import IamGuardError
from iam_guard.testing.cases import decide_case, read_case
from tests.oracle.decide import decide
from tests.oracle.generate import generate_case
from tests.tables import table

CASES = int(os.environ.get("IAM_GUARD_TEST_ORACLE_CASES", "4000"))
SHARDS = 10


@table("shard", range(SHARDS))
def test_both_evaluators_agree(shard: int) -> None:
    """Rules A to G: the same outcome for any policies and request."""
    rng = random.Random(shard)
    for _ in range(CASES // SHARDS):
        case = generate_case(rng)
        try:
            decision = decide_case(read_case(case))
            ours = "error" if decision.error else decision.outcome.value
        except IamGuardError:
            ours = "error"
        assert ours == decide(case), case

"""z3 as a second oracle of `check no-new-access` on small policies; skipped without z3 (group `bench`)."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from iam_guard.analysis.checks.comparison import compare
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.policy.parser import parse
from tests.analysis.checks.small_policies import Doc
from tests.tables import table

if TYPE_CHECKING:
    from benchmarks import z3_questions
else:
    pytest.importorskip("z3")
    z3_questions = pytest.importorskip("benchmarks.z3_questions")

ACTIONS = ["s3:GetObject", "s3:Get*", "s3:*", "s3:Put*", "*", "s3:*Object", "ec2:Run?nstances"]
RESOURCES = ["arn:aws:s3:::a*", "arn:aws:s3:::ab/*", "arn:aws:s3:::*b", "arn:aws:s3:::a/x", "arn:aws:s3:::*", "*"]
KEYS = ["aws:RequestedRegion", "aws:SourceVpc"]
"""Keys that have one value at most."""
OPERATORS = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIfExists", "Null"]


def statement(random: Random) -> Doc:
    effect = "Deny" if random.random() < 0.3 else "Allow"
    action = "NotAction" if random.random() < 0.2 else "Action"
    resource = "NotResource" if random.random() < 0.2 else "Resource"
    listed: Doc = {
        "Effect": effect,
        action: random.sample(ACTIONS, random.randint(1, 2)),
        resource: random.sample(RESOURCES, random.randint(1, 2)),
    }
    for _ in range(random.randint(0, 2)):
        operator = random.choice(OPERATORS)
        values = ["true", "false"] if operator == "Null" else ["eu-1", "eu-2", "vpc-1"]
        if "Like" in operator:
            values += ["eu-*", "*-1"]
        count = 1 if operator == "Null" else random.randint(1, 2)
        listed.setdefault("Condition", {})[operator] = {random.choice(KEYS): random.sample(values, count)}
    return listed


def policy(random: Random, like: Doc | None = None) -> Doc:
    """Return a policy; one with a statement of its own in place of the last one of `like`."""
    statements = [statement(random) for _ in range(random.randint(1, 3))]
    if like is not None:
        statements = [*like["Statement"][:-1], statement(random)]
    return {"Version": "2012-10-17", "Statement": statements}


@pytest.mark.slow
@table("first", [0, 1000])
def test_z3_decides_alike(first: int) -> None:
    agreed: Counter[bool] = Counter()
    for seed in range(first, first + 30):
        random = Random(seed)
        existing = policy(random)
        new = policy(random, existing if random.random() < 0.7 else None)
        documents = [CompiledDocument(parse(document)) for document in (existing, new)]
        own = compare(*documents).witness is None
        other = z3_questions.is_covered(*[document.document for document in documents])
        assert other in (None, own), (seed, existing, new)
        agreed[own] += other is not None
    assert min(agreed[True], agreed[False]) > 4

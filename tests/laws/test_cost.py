"""The cost of a decision with a worst-case document is limited: no pattern takes exponential time.

Limits are about ten times the measured effort, and count work (`effort`), so a slow machine does not fail them.
`make bench` measures the times.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator

import pytest

from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.request import AccessRequest
from tests.effort import effort
from tests.laws.worst import CHARACTERS, WORST, Worst
from tests.tables import table

MAX_WARM = 150
"""Maximum effort of a decision with a compiled document."""

MAX_COLD = 400
"""Maximum effort of a decision that compiles the document."""


@pytest.fixture(autouse=True)
def exclude_objects_of_other_tests_from_gc() -> Iterator[None]:
    """Freeze the objects of other tests, so that no garbage collection during the measurement traverses them."""
    gc.freeze()
    yield
    gc.unfreeze()


def _effort(worst: Worst, authorizer: Authorizer, *, rounds: int) -> float:
    requests = iter([worst.request() for _ in range(rounds)])
    return effort(lambda: authorizer.decide(next(requests)), rounds)


@table("name", WORST)
def test_document_at_the_size_limit_has_a_limited_cost(name: str) -> None:
    """Rules G-74, M-4: the first decision compiles, every other one is short."""
    worst = WORST[name]
    authorizer = compile_policies(identity=[worst.text])
    assert _effort(worst, authorizer, rounds=1) < MAX_COLD
    assert _effort(worst, authorizer, rounds=3) < MAX_WARM


@table("name", WORST)
def test_documents_are_near_the_size_limit(name: str) -> None:
    """Except for one, which needs a text that its pattern matches."""
    assert name == "ones that fit: *a?a?a" or 0.7 * CHARACTERS < len(WORST[name].text) <= CHARACTERS


@table("pattern", ["*a", "*a?", "a?*", "*?a*", "?*"])
def test_matching_cost_is_at_most_quadratic(pattern: str) -> None:
    """Ten times the pattern with ten times the text takes at most a hundred times the work (no backtracking)."""

    def seconds(size: int) -> float:
        matches, text = compile_glob(pattern * size + "b"), "a" * size * len(pattern)
        durations = []
        for _ in range(3):
            start = time.thread_time()
            matches(text)
            durations.append(time.thread_time() - start)
        return min(durations)

    assert seconds(2000) < 200 * seconds(200) + 0.01


def test_long_variable_value_has_a_limited_cost() -> None:
    """Rule M-22: the value of a variable is literal text, and nothing is compiled for it."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:docs:::*${aws:UserAgent}?*${aws:UserAgent}*"]}
    authorizer = compile_policies(identity=[json.dumps({"Version": "2012-10-17", "Statement": [statement]})])
    caller = WORST["suffixes"].request().principal
    context = {"aws:UserAgent": "a" * 4000}
    request = AccessRequest(caller, "docs:Get", "arn:aws:docs:::" + "a" * 8000, context)
    assert not authorizer.decide(request).allowed
    assert effort(lambda: authorizer.decide(request)) < MAX_WARM

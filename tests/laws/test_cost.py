"""However a document was contrived, a decision stays short: no pattern makes matching explode.

Limits are some ten times what is needed, and count work (`effort`): what fails here is no slow machine but a cost that
grows out of proportion. The figures themselves are `make bench`'s.
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

MOST = 150
"""Effort of a warm decision."""

MAX_OF_THE_FIRST = 3000
"""Effort of a decision that compiles the document."""


@pytest.fixture(autouse=True)
def the_rest_of_the_suite_does_not_count() -> Iterator[None]:
    """Let no collection go through what other tests hold; nor is it looked through here, which takes longer still."""
    gc.freeze()
    yield
    gc.unfreeze()


def _effort(worst: Worst, authorizer: Authorizer, *, rounds: int) -> float:
    requests = iter([worst.request() for _ in range(rounds)])
    return effort(lambda: authorizer.decide(next(requests)), rounds)


@pytest.mark.parametrize("name", WORST)
def test_a_document_at_the_size_limit_is_decided_soon(name: str) -> None:
    """Rules G-74, M-4: the first decision compiles, every other one is short."""
    worst = WORST[name]
    authorizer = compile_policies(identity=[worst.text])
    assert _effort(worst, authorizer, rounds=1) < MAX_OF_THE_FIRST
    assert _effort(worst, authorizer, rounds=3) < MOST


@pytest.mark.parametrize("name", WORST)
def test_the_documents_are_as_long_as_they_may_be(name: str) -> None:
    """A short document would prove nothing; but one of them needs a text that its pattern fits."""
    assert name == "ones that fit: *a?a?a" or 0.7 * CHARACTERS < len(WORST[name].text) <= CHARACTERS


@pytest.mark.parametrize("made", ["*a", "*a?", "a?*", "*?a*", "?*"])
def test_no_way_is_tried_twice(made: str) -> None:
    """Ten times a pattern against ten times the text is at most a hundred times the work: no way is tried twice."""

    def seconds(size: int) -> float:
        matches, text = compile_glob(made * size + "b"), "a" * size * len(made)
        taken = []
        for _ in range(3):
            begin = time.thread_time()
            matches(text)
            taken.append(time.thread_time() - begin)
        return min(taken)

    assert seconds(2000) < 200 * seconds(200) + 0.01


def test_a_caller_cannot_make_a_variable_slow() -> None:
    """Rule M-22: what fills a variable is literal text, however long, and nothing is compiled for it."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:docs:::*${aws:UserAgent}?*${aws:UserAgent}*"]}
    authorizer = compile_policies(identity=[json.dumps({"Version": "2012-10-17", "Statement": [statement]})])
    caller = WORST["suffixes"].request().principal
    context = {"aws:UserAgent": "a" * 4000}
    request = AccessRequest(caller, "docs:Get", "arn:aws:docs:::" + "a" * 8000, context)
    assert not authorizer.decide(request).allowed
    assert effort(lambda: authorizer.decide(request)) < MOST

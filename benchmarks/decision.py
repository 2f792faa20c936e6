"""How long one warm decision takes, in microseconds of CPU time, beside a lookup in a dictionary.

Policies are compiled and each request has been decided before, as for a principal who has been here. A request is made
anew for every decision, since that is what a call costs. Must not live here: loading (the store), noting (the audit).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from benchmarks.row import Row
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.model.decision import Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest

ROUNDS = 9
SECONDS = 0.1
"""Of one round, about."""

ACCOUNT = "111122223333"
ARN = f"arn:aws:docs:us-east-1:{ACCOUNT}"
ADA = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
CONTEXT = {"aws:SourceIp": "10.1.2.3", "aws:ResourceTag/class": "public"}
MOST_IN_ONE_DOCUMENT = 500
"""Statements; a document has at most 131,072 characters."""


def measure() -> Iterator[Row]:
    """Measure the kinds of outcome with few policies, and an Allow among ever more statements."""
    few = compile_policies(identity=[_document(range(number * 15, number * 15 + 15)) for number in range(5)])
    yield _row("5 policies of 15 statements: allow, 2 conditions", few, "docs:Get40", 40, Outcome.ALLOWED)
    yield _row("5 policies of 15 statements: implicit deny", few, "docs:Get40", 41, Outcome.IMPLICITLY_DENIED)
    yield _row("5 policies of 15 statements: explicit deny", few, "docs:Delete7", 7, Outcome.EXPLICITLY_DENIED)
    for count in (10, 1_000, 100_000):
        wanted = count // 2
        many = compile_policies(identity=list(_documents(count)))
        yield _row(f"{count:,} statements: allow, 2 conditions", many, f"docs:Get{wanted}", wanted, Outcome.ALLOWED)


def _row(name: str, authorizer: Authorizer, action: str, number: int, outcome: Outcome) -> Row:
    resource = f"{ARN}:document/{number}/draft"

    def decide() -> None:
        authorizer.decide(AccessRequest(ADA, action, resource, CONTEXT))

    decision = authorizer.decide(AccessRequest(ADA, action, resource, CONTEXT))
    if decision.outcome is not outcome:
        raise SystemExit(f"{name}: expected {outcome}, got {decision.outcome}")
    rounds = [(_seconds_of(decide), _seconds_of(_look_up)) for _ in range(ROUNDS)]
    ours, peers = (median(each) for each in zip(*rounds, strict=True))
    return Row(name, ours * 1e6, "us", ours / peers, "dict lookup in a call")


_PHONE_BOOK = {f"key{number}": number for number in range(1000)}


def _look_up() -> None:
    _PHONE_BOOK["key500"]


def _seconds_of(call: Callable[[], None]) -> float:
    """Measure one call, as the average of many."""
    count = 1
    while True:
        gc.collect()
        begun = time.process_time()
        for _ in range(count):
            call()
        taken = time.process_time() - begun
        if taken >= SECONDS:
            return taken / count
        count = max(count * 2, int(count * SECONDS / max(taken, 1e-6)))


# --- the policies ------------------------------------------------------------------------------------------------


def _documents(count: int) -> Iterator[dict[str, Any]]:
    for start in range(0, count, MOST_IN_ONE_DOCUMENT):
        yield _document(range(start, min(count, start + MOST_IN_ONE_DOCUMENT)))


def _document(numbers: range) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [_statement(number) for number in numbers]}


def _statement(number: int) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": f"docs:Get{number}", "Resource": f"{ARN}:document/{number}/*"}
    if number % 15 == 7:
        return statement | {"Effect": "Deny", "Action": f"docs:Delete{number}"}
    return statement | {
        "Condition": {
            "StringEquals": {"aws:ResourceTag/class": "public"},
            "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
        }
    }

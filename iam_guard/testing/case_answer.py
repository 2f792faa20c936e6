"""Verdicts on cases, and the result of the case runner: one object per entry of a stream (rule N-9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from iam_guard.errors import IamGuardError
from iam_guard.model.decision import Decision
from iam_guard.policy.grammar import shown
from iam_guard.testing.case_json import CaseEntry, Unreadable
from iam_guard.testing.cases import compile_case, decide_case, read_case

ERROR = "error"
"""The outcome of a case that must be refused."""


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """The result of a case: its outcome, or `error` and the problem as one printable line."""

    outcome: str
    problem: str | None = None
    decision: Decision | None = None


def case_verdict(entry: CaseEntry | Unreadable, decide: Callable[[CaseEntry], Decision]) -> CaseVerdict:
    """Decide an entry. An undecidable one results in an error; never raises for a case."""
    if isinstance(entry, Unreadable):
        return CaseVerdict(ERROR, shown(entry.problem))
    try:
        decision = decide(entry)
    except IamGuardError as error:
        return CaseVerdict(ERROR, shown(str(error)))
    if decision.error is not None:
        return CaseVerdict(ERROR, shown(decision.error), decision)
    return CaseVerdict(decision.outcome.value, None, decision)


def answer(entry: CaseEntry | Unreadable) -> dict[str, Any]:
    """Decide an entry; return its `id` and `outcome`, or its `id` (if it has one) and `error`."""
    verdict = case_verdict(entry, decide_entry)
    case_id = None if isinstance(entry, Unreadable) else entry.member("id")
    if verdict.problem is not None:
        return {"id": case_id, "error": verdict.problem}
    return {"id": case_id, "outcome": verdict.outcome}


def decide_entry(entry: CaseEntry) -> Decision:
    """Decide a case; shared policies are compiled once. Raises the errors of reading and compiling it."""
    case, shared = read_case(entry.content), entry.shared
    if shared is None:
        return decide_case(case)
    if shared.authorizer is None:
        shared.authorizer = compile_case(case.policies)
    return shared.authorizer.decide(case.request)

"""The result of the case runner: one object per entry of a stream, in order (design 4.3, rule N-9)."""

from __future__ import annotations

from typing import Any

from iam_guard.errors import IamGuardError
from iam_guard.model.decision import Decision
from iam_guard.policy.grammar import shown
from iam_guard.testing.case_json import CaseEntry, Unreadable
from iam_guard.testing.cases import compile_case, decide_case, read_case


def answer(entry: CaseEntry | Unreadable) -> dict[str, Any]:
    """Decide an entry; return its `id` and `outcome`, or its `id` (if it has one) and `error`.

    An error is one printable line.
    """
    if isinstance(entry, Unreadable):
        return {"id": None, "error": shown(entry.problem)}
    case_id = entry.member("id")
    try:
        decision = decide_entry(entry)
    except IamGuardError as error:
        return {"id": case_id, "error": shown(str(error))}
    if decision.error is not None:
        return {"id": case_id, "error": shown(decision.error)}
    return {"id": case_id, "outcome": decision.outcome.value}


def decide_entry(entry: CaseEntry) -> Decision:
    """Decide a case; shared policies are compiled once. Raises the errors of reading and compiling it."""
    case, shared = read_case(entry.content), entry.shared
    if shared is None:
        return decide_case(case)
    if shared.authorizer is None:
        shared.authorizer = compile_case(case.policies)
    return shared.authorizer.decide(case.request)

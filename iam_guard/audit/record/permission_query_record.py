"""The record of a permission query: all questions of one call, with their answers.

A page that shows or hides a button queries whether its user has a permission. Each answer is a decision, but not an
attempt; separate records would bury the attempts. Pure, like `record`.
"""

from __future__ import annotations

from collections.abc import Sequence

from iam_guard.audit.record.identity import user_identity
from iam_guard.audit.record.record import Stamp, envelope, extension, reason_code
from iam_guard.audit.record.redaction import MAX_TEXT, write
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call

ASK_PERMISSIONS = "iam-guard:AskPermissions"
ASKED = "permissions_asked"
MAX_ANSWERS = 100
MAX_CHARACTERS = 24 * 1024
"""Characters of all recorded answers; further answers are counted, so that the record never exceeds its size limit."""


def permission_query_record(
    principal: Principal, decisions: Sequence[Decision], call: Call | None, stamp: Stamp
) -> dict[str, object]:
    """Return the record of what `principal` queried, with the answers, and whom they are about if not itself."""
    record = envelope(ASK_PERMISSIONS, call, stamp)
    record["userIdentity"] = user_identity(principal)
    record["recipientAccountId"] = principal.account
    record["readOnly"] = True
    answers = _answers(decisions[:MAX_ANSWERS], principal.arn)
    epoch = max((decision.epoch for decision in decisions if decision.epoch is not None), default=None)
    members = {
        "answers": answers,
        "omittedAnswers": len(decisions) - len(answers) or None,
        "epoch": epoch,
        "stale": any(decision.stale for decision in decisions),
        "enforced": False,
    }
    record["iamGuard"] = extension(ASKED, stamp, members)
    return record


def _answers(decisions: Sequence[Decision], asking: str) -> list[dict[str, object]]:
    answers: list[dict[str, object]] = []
    characters_left = MAX_CHARACTERS
    for decision in decisions:
        answer: dict[str, object] = {
            "action": decision.request.action,
            "resource": decision.request.resource,
            "outcome": decision.outcome.value,
            "reason": reason_code(decision),
        }
        if decision.request.principal.arn != asking:
            answer["principal"] = decision.request.principal.arn
        characters_left -= min(len(write(answer)), 2 * MAX_TEXT)  # longer strings are truncated later (`redaction`)
        if characters_left < 0:
            break
        answers.append(answer)
    return answers

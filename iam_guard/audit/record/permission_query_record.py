"""The record of what somebody asked about and did not attempt: all questions of one call, with their answers.

A page that shows or hides a button asks whether its user may do this and that. Each answer is a decision, but none is
an attempt: as records of their own, they would bury those that are. Pure, like `record`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from iam_guard.audit.record.identity import user_identity
from iam_guard.audit.record.record import Stamp, envelope, extension, reason_word
from iam_guard.audit.record.redaction import MAX_TEXT, write
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call

ASK_PERMISSIONS: Final = "iam-guard:AskPermissions"
ASKED: Final = "permissions_asked"
MAX_ANSWERS: Final = 100
MAX_LETTERS: Final = 24 * 1024
"""Answers that are told, and their letters; those beyond are counted, for a record must not fail for want of room."""


def permission_query_record(
    principal: Principal, asked: Sequence[Decision], call: Call | None, stamp: Stamp
) -> dict[str, object]:
    """Describe what `principal` asked about, and what was answered."""
    record = envelope(ASK_PERMISSIONS, call, stamp)
    record["userIdentity"] = user_identity(principal)
    record["recipientAccountId"] = principal.account
    record["readOnly"] = True
    answers = _answers(asked[:MAX_ANSWERS])
    epoch = max((each.epoch for each in asked if each.epoch is not None), default=None)
    members = {
        "answers": answers,
        "omittedAnswers": len(asked) - len(answers) or None,
        "epoch": epoch,
        "stale": any(each.stale for each in asked),
        "enforced": False,
    }
    record["iamGuard"] = extension(ASKED, stamp, members)
    return record


def _answers(asked: Sequence[Decision]) -> list[dict[str, object]]:
    answers: list[dict[str, object]] = []
    room = MAX_LETTERS
    for each in asked:
        answer: dict[str, object] = {
            "action": each.request.action,
            "resource": each.request.resource,
            "outcome": each.outcome.value,
            "reason": reason_word(each),
        }
        room -= min(len(write(answer)), 2 * MAX_TEXT)  # what is longer is cut later (`redaction`)
        if room < 0:
            break
        answers.append(answer)
    return answers

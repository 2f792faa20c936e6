"""The result of a check: the verdict, AWS's sentences for it, and the witness."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from iam_guard.analysis.checks.comparison import StatementCover
from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Statement


class CheckVerdict(StrEnum):
    """UNKNOWN is a check that could not be decided; treat it as FAIL."""

    PASS = "PASS"  # noqa: S105  a verdict
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class CheckReason:
    """A statement that is at fault, or why a check could not be decided."""

    description: str
    statement_index: int | None = None
    statement_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as AWS's API does."""
        return {
            "description": self.description,
            "statementIndex": self.statement_index,
            "statementId": self.statement_id,
        }


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict, with a request that shows it if it is FAIL, and the cover of each Allow statement if it is PASS.

    `universe` is `registry` if only known actions count, `open` if any action does.
    """

    verdict: CheckVerdict
    message: str
    reasons: tuple[CheckReason, ...] = ()
    witness: AccessRequest | None = None
    universe: str = "open"
    cover: tuple[StatementCover, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the check proved what was asked."""
        return self.verdict is CheckVerdict.PASS

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values; the witness is in the form of a case's request (rules N-1 to N-3)."""
        return {
            "result": self.verdict.value,
            "message": self.message,
            "reasons": [reason.to_dict() for reason in self.reasons],
            "witness": None if self.witness is None else {"request": request_members(self.witness)},
            "universe": self.universe,
            "cover": [
                {"statementIndex": cover.statement, "allowedBy": [*cover.allowed_by], "deniedBy": [*cover.denied_by]}
                for cover in self.cover
            ],
        }


def reason_of(description: str, statement: Statement | None, otherwise: str) -> CheckReason:
    """Return the reason that names a statement by its Sid, or by its index if it has none."""
    if statement is None:
        return CheckReason(otherwise)
    place = f"sid: {statement.sid}" if statement.sid else f"index: {statement.index}"
    return CheckReason(f"{description} {place}.", statement.index, statement.sid)


def request_members(request: AccessRequest) -> dict[str, Any]:
    """Return a request as the members of a case (rules N-1 to N-3)."""
    principal = request.principal
    caller: dict[str, Any] = {"arn": principal.arn, "account": principal.account, "type": principal.type.value}
    more = {"role_arn": principal.role_arn, "user_arn": principal.user_arn, "userid": principal.userid}
    caller.update({name: value for name, value in more.items() if value is not None})
    context = {spelled(key): value for key, value in request.context.items()}
    return {
        "principal": caller,
        "action": request.action,
        "resource": request.resource,
        "resource_account": request.resource_account,
        "context": {key: list(value) if isinstance(value, tuple) else value for key, value in context.items()},
    }

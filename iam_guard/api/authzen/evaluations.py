"""Answer AuthZEN evaluations: one, or up to `MAX_EVALUATIONS` of them.

The caller needs a permission on the accounts of subject and resource: `iam-guard:EvaluateAccess` on the ARN
`arn:aws:iam-guard:<region>:<account>:authzen`. An account of the request is authorized before anything is decided. A
resource whose owner only the store or a loader knows is denied to callers without a permission on it, as if there were
no such resource.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from iam_guard.api.authzen.entities import Document, EntityReader, Evaluation
from iam_guard.errors import DecisionUnavailable, IamGuardError, InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.guard.principal_queries import PrincipalQuestion
from iam_guard.guard.question import NO_PRINCIPAL, require_allowed
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call, Resource
from iam_guard.store.database.time_limits import paced

EVALUATE: Final = "iam-guard:EvaluateAccess"
MAX_EVALUATIONS: Final = 1000
MAX_ACCOUNTS: Final = 100
"""Accounts that one request is about: the permission for each is a decision with a record."""
_DEFAULTS: Final = ("subject", "action", "resource", "context")
_SEMANTICS: Final[dict[str, bool | None]] = {
    "execute_all": None,
    "deny_on_first_deny": False,
    "permit_on_first_permit": True,
}
"""Semantic -> the decision after which no further one is returned."""


in_steps = partial(paced, used=time.thread_time, hold=0.001, rest=3.0)
"""Yield items, with pauses by the processor time of the thread.

While it computes, it holds the interpreter, and each step of another request waits for it for up to five milliseconds.
"""


class EvaluationAnswer(NamedTuple):
    """The answer to one evaluation. An error denies."""

    allowed: bool
    reason: str = ""
    error: IamGuardError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        if self.error is not None:
            error = {"status": self.error.status, "message": error_message(self.error)}
            return {"decision": False, "context": {"error": error}}
        return {"decision": self.allowed} | ({} if self.allowed else {"context": {"reason": self.reason}})


@dataclass(slots=True)
class AuthzenCaller:
    """The caller of one request, and what it may ask. Each permission is decided and recorded once."""

    guard: Guard
    principal: Principal
    facts: Call
    action: str
    _decisions: dict[str, Decision] = field(default_factory=dict)

    def require(self, account: str) -> None:
        """Raise `AccessDenied` unless the caller may ask about an account, whether it exists or not."""
        require_allowed(self._decision(account))

    def may_ask_about(self, account: str) -> bool:
        """Return whether the caller may ask about an account."""
        return self._decision(account).allowed

    def _decision(self, account: str) -> Decision:
        known = self._decisions.get(account)
        if known is None and len(self._decisions) == MAX_ACCOUNTS:
            raise InvalidInput(f"expected subjects and resources of at most {MAX_ACCOUNTS} accounts")
        if known is None:
            settings = self.guard.settings
            arn = f"arn:{settings.partition}:iam-guard:{settings.region}:{account}:authzen"
            resource = Resource(arn, account=account)
            known = self.guard.decide(self.principal, self.action, resource, call=self.facts)
            self._decisions[account] = known
        return known


class EvaluationApi:
    """Answers evaluations of one guard."""

    def __init__(self, guard: Guard) -> None:
        self._reader = EntityReader(guard)

    def evaluation(self, caller: AuthzenCaller, document: Document) -> dict[str, Any]:
        """Answer the Access Evaluation API. Raises what makes an evaluation an error."""
        (answer,) = self._answers(caller, [document])
        if answer.error is not None:
            raise answer.error
        return answer.to_dict()

    def evaluations(self, caller: AuthzenCaller, document: Document) -> dict[str, Any]:
        """Answer the Access Evaluations API; a request without `evaluations` is one evaluation.

        Raises `InvalidInput` for a request that is no batch; errors of single evaluations are in their answers.
        """
        items = document.get("evaluations", [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InvalidInput("expected a list of objects as `evaluations`", place="evaluations")
        if len(items) > MAX_EVALUATIONS:
            raise InvalidInput(f"expected at most {MAX_EVALUATIONS} evaluations", place="evaluations")
        last = _last_decision(document)
        if not items:
            return self.evaluation(caller, document)
        defaults = {name: document[name] for name in _DEFAULTS if name in document}
        answers = self._answers(caller, [{**defaults, **item} for item in items])
        stop = next((number for number, answer in enumerate(answers, 1) if answer.allowed is last), len(answers))
        return {"evaluations": [answer.to_dict() for answer in answers[:stop]]}

    def _answers(self, caller: AuthzenCaller, documents: Sequence[Document]) -> list[EvaluationAnswer]:
        read = [self._read(caller, document) for document in in_steps(documents)]
        valid = [item for item in read if isinstance(item, Evaluation)]
        answers = iter(decided(caller, valid))
        return [next(answers) if isinstance(item, Evaluation) else EvaluationAnswer(False, error=item) for item in read]

    def _read(self, caller: AuthzenCaller, document: Document) -> Evaluation | IamGuardError:
        """Return an evaluation whose accounts the caller may ask about, or its error."""
        try:
            caller.require(str(self._reader.subject(document).account))
            evaluation = self._reader.evaluation(document)
            require_accounts(caller, evaluation)
        except IamGuardError as error:
            return error
        return evaluation


def require_accounts(caller: AuthzenCaller, evaluation: Evaluation) -> None:
    """Raise `AccessDenied` unless the caller may ask about the accounts of an evaluation."""
    caller.require(str(evaluation.subject.account))
    if evaluation.account is not None:
        caller.require(evaluation.account)


def decided(caller: AuthzenCaller, evaluations: Sequence[Evaluation]) -> list[EvaluationAnswer]:
    """Decide evaluations, in order. Raises `DecisionUnavailable` if they cannot be recorded."""
    questions = (PrincipalQuestion(*asked[:3], asked.context) for asked in in_steps(evaluations))
    decisions = caller.guard.principal_queries.ask(questions, caller.principal, call=caller.facts)
    return [_answer(caller, asked.subject, found) for asked, found in zip(evaluations, decisions, strict=True)]


def _answer(caller: AuthzenCaller, subject: Principal, decision: Decision) -> EvaluationAnswer:
    """Return the answer that a decision amounts to; a denial does not depend on whether the resource exists."""
    if decision.error is not None:
        return EvaluationAnswer(False, error=DecisionUnavailable("no decision can be made, so the request is denied"))
    is_found = decision.request.principal.identity_arn == subject.identity_arn  # a role of this name, and this path
    if decision.reasons == (NO_PRINCIPAL,) or not is_found:
        return EvaluationAnswer(False, "the subject does not exist")
    owner = decision.request.owner
    if decision.allowed and (owner is None or caller.may_ask_about(owner)):
        return EvaluationAnswer(True)
    return EvaluationAnswer(False, "the subject is not authorized to perform the action on the resource")


def _last_decision(document: Document) -> bool | None:
    options = document.get("options", {})
    semantic = options.get("evaluations_semantic", "execute_all") if isinstance(options, dict) else None
    if not isinstance(semantic, str) or semantic not in _SEMANTICS:
        message = f"expected one of {', '.join(_SEMANTICS)} as `evaluations_semantic` of the options"
        raise InvalidInput(message, place="options")
    return _SEMANTICS[semantic]


def error_message(error: IamGuardError) -> str:
    """Return the message of an error for the caller; without details unless the caller can correct it."""
    if error.fault == "sender":
        return error.message
    return "no decision can be made at the moment" if error.status == 503 else "the request could not be answered"

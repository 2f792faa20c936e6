"""Decisions with their reasons and AWS's error message (rules E-1, E-90, I).

A `Decision` has everything that refusals, audit, explanations and replay need. It does not contain the policies: its
`explainer` has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from iam_guard.errors import ConfigurationError
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest


class Outcome(StrEnum):
    """The three decisions (rule E-1)."""

    ALLOWED = "Allowed"
    IMPLICITLY_DENIED = "ImplicitlyDenied"
    EXPLICITLY_DENIED = "ExplicitlyDenied"

    __hash__ = str.__hash__  # faster than `Enum.__hash__`, which is Python code; used by every decision


_ALLOWED = Outcome.ALLOWED  # an attribute of an enumeration is slow in Python 3.11


class PolicyType(StrEnum):
    """The types of policies, as AWS names them (rule X-3)."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    SCP = "service control policy"
    RCP = "resource control policy"
    VPC_ENDPOINT = "VPC endpoint policy"
    TRUST = "role trust policy"

    __hash__ = str.__hash__  # faster than `Enum.__hash__`, which is Python code; used by every decision


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """A reference to a policy: its name, its ARN if it has one, the digest of its text."""

    name: str
    type: PolicyType
    arn: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for a decision.

    For a matching statement: `policy`, `effect` (`Allow` or `Deny`), `statement` (index from 0), `sid`, `line` (from 1,
    None if the document was not text). For an implicit denial: `policy_type` had no Allow, the rest is None.
    """

    policy_type: PolicyType
    effect: str | None = None
    policy: PolicyRef | None = None
    statement: int | None = None
    sid: str | None = None
    line: int | None = None
    note: str | None = None


class PolicySet(NamedTuple):
    """A summary of the policies of a decision, without their content.

    `digest` is the SHA-256 over the digests of all policies, by type and level: sets of the same documents have the
    same digest. `sessions` counts the session policies. `given` is whether the resource's policy came with the request
    instead of from the store. The rest are facts of the resource (rules E-42, E-16).
    """

    digest: str
    sessions: int = 0
    given: bool = False
    policy_required: bool = False
    own_service: bool = False


class Explained(Protocol):
    """The result of `Decision.explain`: for every statement of every policy, whether it matched or why not."""

    def text(self) -> str:
        """Return the explanation as an indented tree."""

    def to_dict(self) -> dict[str, object]:
        """Return the explanation as JSON values."""


class Explainer(Protocol):
    """The maker of a decision, which has its policies."""

    @property
    def policy_set(self) -> PolicySet | None:
        """The summary of the policies; None if none was evaluated."""

    def explain_decision(self, decision: Decision) -> Explained:
        """Evaluate the decision's request again and return the explanation."""


@dataclass(frozen=True)
class Decision:
    """The outcome of an `AccessRequest`, true if allowed. The first of `reasons` is the reported one (rule E-90)."""

    outcome: Outcome
    request: AccessRequest
    reasons: tuple[Reason, ...]
    epoch: int | None = None
    stale: bool = False
    error: str | None = None
    """Why no regular decision could be made; the outcome is then a denial (rule E-6)."""
    explainer: Explainer | None = field(default=None, compare=False, repr=False)
    """The source of explanations; None for a decision read from the audit trail."""

    def __init__(
        self,
        outcome: Outcome,
        request: AccessRequest,
        reasons: tuple[Reason, ...],
        epoch: int | None = None,
        stale: bool = False,
        error: str | None = None,
        explainer: Explainer | None = None,
    ) -> None:
        # Created for every request: the generated `__init__` of a frozen dataclass takes twice as long.
        fields = self.__dict__
        fields["outcome"] = outcome
        fields["request"] = request
        fields["reasons"] = reasons
        fields["epoch"] = epoch
        fields["stale"] = stale
        fields["error"] = error
        fields["explainer"] = explainer

    @property
    def allowed(self) -> bool:
        """Whether the outcome is `ALLOWED`."""
        return self.outcome is _ALLOWED

    def __bool__(self) -> bool:
        return self.allowed

    def message(self) -> str:
        """Return AWS's message: `User: … is not authorized to perform: …` (rules X-1 to X-9)."""
        request = self.request
        verb, clause = ("is", "") if self.allowed else ("is not", self._clause())
        return f"User: {request.principal.arn} {verb} authorized to perform: {request.action}{_on(request)}{clause}"

    @property
    def policy_set(self) -> PolicySet | None:
        """The summary of the policies; None if none was evaluated or they are unknown."""
        return None if self.explainer is None else self.explainer.policy_set

    def explain(self) -> Explained:
        """Evaluate the request again with the decision's policies and return the explanation.

        For administrators: it shows policies and condition values. Raises `ConfigurationError` without an `explainer`.
        """
        if self.explainer is None:
            raise ConfigurationError("expected a decision with its policies, got one from the audit trail")
        return self.explainer.explain_decision(self)

    def _clause(self) -> str:
        """Return the context clause, for callers of the resource's account only (rule X-7)."""
        request = self.request
        same_account = request.owner is None or request.principal.account == request.owner
        if not self.reasons or not same_account or request.principal.type is PrincipalType.ANONYMOUS:
            return ""
        reason = self.reasons[0]
        if self.outcome is Outcome.IMPLICITLY_DENIED:
            return f" because no {reason.policy_type} allows the {request.action} action"
        article = _ARTICLE.get(reason.policy_type, "a")
        return f" with an explicit deny in {article} {reason.policy_type}{_policy_arn(reason)}"


_ARTICLE = {PolicyType.IDENTITY: "an", PolicyType.TRUST: "the"}
_TYPES_WITH_POLICY_ARN = {PolicyType.SCP, PolicyType.RCP, PolicyType.BOUNDARY, PolicyType.SESSION, PolicyType.IDENTITY}


def _on(request: AccessRequest) -> str:
    return "" if request.resource == "*" else f" on resource: {request.resource}"


def _policy_arn(reason: Reason) -> str:
    if reason.policy is None or reason.policy.arn is None or reason.policy_type not in _TYPES_WITH_POLICY_ARN:
        return ""
    return f": {reason.policy.arn}"

"""The answer, with its reasons, and AWS's sentence for it (rules E-1, E-90, I).

A `Decision` carries everything that refusal, audit, explanation and replay need; nobody computes a reason twice. It
does not know the policies: it knows who made it, and asks them to explain.
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


class PolicyType(StrEnum):
    """The types of policy, in AWS's words (rule X-3)."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    SCP = "service control policy"
    RCP = "resource control policy"
    VPC_ENDPOINT = "VPC endpoint policy"
    TRUST = "role trust policy"

    __hash__ = str.__hash__  # that of an enumeration is written in Python, and every decision asks for it


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Which policy: its name as people know it, its ARN where it has one, the digest of its text."""

    name: str
    type: PolicyType
    arn: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that decided.

    For a statement that spoke: `policy`, `effect` (`Allow` or `Deny`), `statement` (its index from 0), `sid`, `line`
    (from 1, None where the document was no text). For an implicit denial: `policy_type` had no Allow, the rest is None.
    """

    policy_type: PolicyType
    effect: str | None = None
    policy: PolicyRef | None = None
    statement: int | None = None
    sid: str | None = None
    line: int | None = None
    note: str | None = None


class PolicySet(NamedTuple):
    """Which policies a decision was made with, told without showing them.

    `digest` is the SHA-256 over the digests of all of them, by type and level: two sets that decide alike for every
    request have one digest if their documents are the same. `sessions` counts the session policies, `given` says that
    the resource's policy came with the request, from no store. The rest are the circumstances of the resource (rules
    E-42, E-16).
    """

    digest: str
    sessions: int = 0
    given: bool = False
    policy_required: bool = False
    own_service: bool = False


class Explained(Protocol):
    """What `Decision.explain` gives: every statement of every policy, matched or why not."""

    def text(self) -> str:
        """Show it as an indented tree."""
        ...

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON values."""
        ...


class Explainer(Protocol):
    """Whoever made a decision and holds the policies that it was made with."""

    @property
    def policy_set(self) -> PolicySet | None:
        """Return which policies these are; None where no policy was asked."""
        ...

    def explain_again(self, decision: Decision) -> Explained:
        """Evaluate the decision's request afresh, and say why it comes out as it does."""
        ...


@dataclass(frozen=True)
class Decision:
    """The outcome of one `AccessRequest`. `reasons` has the one that is reported first (rule E-90).

    It counts as true where it allows.
    """

    outcome: Outcome
    request: AccessRequest
    reasons: tuple[Reason, ...]
    epoch: int | None = None
    stale: bool = False
    error: str | None = None
    """Why no proper decision could be made; the outcome is a denial then (rule E-6)."""
    explainer: Explainer | None = field(default=None, compare=False, repr=False)
    """Who can say why; None for a decision that was read back from elsewhere."""

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
        # One is made for every request, and what a frozen dataclass writes for itself takes twice as long.
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
        return self.outcome is Outcome.ALLOWED

    def __bool__(self) -> bool:
        return self.allowed

    def message(self) -> str:
        """Say it as AWS does: `User: … is not authorized to perform: …` (rules X-1 to X-9)."""
        request = self.request
        sentence = f"User: {request.principal.arn} is not authorized to perform: {request.action}"
        if self.allowed:
            return f"User: {request.principal.arn} is authorized to perform: {request.action}" + _on(request)
        return sentence + _on(request) + self._clause()

    @property
    def policy_set(self) -> PolicySet | None:
        """Return which policies it was made with; None where no policy was asked, or nobody knows."""
        return None if self.explainer is None else self.explainer.policy_set

    def explain(self) -> Explained:
        """Evaluate the request afresh with the policies it was decided with, and say why it comes out as it does.

        For administrators: the answer shows policies and condition values. Raises `ConfigurationError` for a decision
        that does not know who made it.
        """
        if self.explainer is None:
            raise ConfigurationError("the decision does not know the policies that it was made with")
        return self.explainer.explain_again(self)

    def _clause(self) -> str:
        """The context clause, for callers of the resource's account only (rule X-7)."""
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
_NAMES_ITS_POLICY = {PolicyType.SCP, PolicyType.RCP, PolicyType.BOUNDARY, PolicyType.SESSION, PolicyType.IDENTITY}


def _on(request: AccessRequest) -> str:
    return "" if request.resource == "*" else f" on resource: {request.resource}"


def _policy_arn(reason: Reason) -> str:
    if reason.policy is None or reason.policy.arn is None or reason.policy_type not in _NAMES_ITS_POLICY:
        return ""
    return f": {reason.policy.arn}"

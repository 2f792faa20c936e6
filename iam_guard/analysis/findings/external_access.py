"""Access from outside of a zone of trust to resources and roles: who, what, under which condition, public or not.

A finding is one sentence: a principal, actions, and a condition. The findings of a resource are the fewest that cover
all access from outside, and each has a request that the evaluator allows (rules AA-4 to AA-8). A policy that cannot be
analysed has a finding with an `error`, never none (rule AA-3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from iam_guard.analysis.checks.check_results import request_members
from iam_guard.analysis.checks.limits import MAX_REQUESTS, Undecided, Work
from iam_guard.analysis.checks.statement_forms import DocumentForm, form_of
from iam_guard.analysis.findings.external_conditions import condition_sentence, external_conditions
from iam_guard.analysis.findings.external_grants import (
    ExternalGrant,
    confirming_request,
    external_grants,
    irredundant,
)
from iam_guard.analysis.findings.external_space import ExternalQuestion
from iam_guard.analysis.findings.outside_callers import outside_entries
from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust
from iam_guard.analysis.findings.suggested_fixes import SuggestedFix, possible_fixes
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bundle import Bundle, Levels, bundle
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy, compile_policy
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.pattern import is_literal
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.evaluation.rcp_services import rcp_applies_to
from iam_guard.model.arn import is_service_linked_role
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, Document, Effect, PrincipalEntry, Statement

_EVERYTHING = {"Version": LATEST, "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_OWN_SIDE = bundle(identity=[_EVERYTHING], session=[_EVERYTHING])
"""The policies of a caller from outside, which are assumed to allow everything (rule AA-4)."""
NOT_APPLICABLE, APPLIED, FAILED = "NOT_APPLICABLE", "APPLIED", "FAILED_TO_EVALUATE_RCP"
"""How resource control policies restrict what a finding reports (rule AA-6)."""


@dataclass(frozen=True, slots=True)
class ExternalFinding:
    """Access of callers from outside to one resource; or, with `error`, a policy that could not be analysed.

    `principal` is `{"AWS": account, ARN or "*"}` or `{"Federated": ARN}`. `condition` maps a condition key to what it
    must be. `actions` are names or patterns, of which those that match `not_actions` are not granted. `rcp_restriction`
    is one of the constants above. `request` is one that the evaluator allows, and `fix` ends the access, which the same
    analysis has verified.
    """

    resource: str
    resource_type: str
    owner: str
    principal: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[str, ...] = ()
    condition: Mapping[str, str] = field(default_factory=dict)
    is_public: bool = False
    rcp_restriction: str = NOT_APPLICABLE
    not_actions: tuple[str, ...] = ()
    request: AccessRequest | None = None
    fix: SuggestedFix | None = None
    error: str | None = None

    @property
    def sentence(self) -> str:
        """The finding as a sentence."""
        if not self.principal:
            return f"the access to {self.resource} could not be analysed: {self.error}"
        kind, name = next(iter(self.principal.items()))
        who = "anyone" if name == "*" else f"account {name}" if name.isdigit() else name
        who = f"users of {name}" if kind == "Federated" else who
        excluded = f" except {', '.join(self.not_actions)}" if self.not_actions else ""
        what = f"{', '.join(self.actions)}{excluded}"
        claim = f"{who} can call {what} on {self.resource}{condition_sentence(self.condition)}"
        return claim if self.error is None else f"perhaps {claim}: {self.error}"

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values, with the names of AWS's API."""
        found: dict[str, Any] = {
            "resource": self.resource,
            "resourceType": self.resource_type,
            "resourceOwnerAccount": self.owner,
            "principal": dict(self.principal),
            "action": list(self.actions),
            "condition": dict(self.condition),
            "isPublic": self.is_public,
            "resourceControlPolicyRestriction": self.rcp_restriction,
            "sentence": self.sentence,
        }
        if self.not_actions:
            found["notAction"] = list(self.not_actions)
        if self.request is not None:
            found["witness"] = {"request": request_members(self.request)}
        if self.fix is not None:
            found["suggestedFix"] = self.fix.to_dict()
        if self.error is not None:
            found["error"] = self.error
        return found


def external_findings(resource: SharedResource, zone: ZoneOfTrust) -> list[ExternalFinding]:
    """Return the fewest findings that cover all access to a resource from outside of a zone, public ones first.

    The owner of the resource is always inside. The policies of callers' own accounts are assumed to allow everything.
    """
    try:
        return sorted(_findings(resource, zone), key=_order)
    except (PolicyError, Undecided) as error:
        return [_error(resource, str(error))]


def _order(finding: ExternalFinding) -> tuple[object, ...]:
    condition = sorted(finding.condition.items())
    return not finding.is_public, sorted(finding.principal.items()), condition, finding.actions, finding.not_actions


def _error(resource: SharedResource, error: str) -> ExternalFinding:
    return ExternalFinding(resource.arn, resource_type_of(resource.arn), resource.account, error=error)


def _findings(resource: SharedResource, zone: ZoneOfTrust) -> Iterator[ExternalFinding]:
    compiled = compile_policy(resource.policy.text, resource.policy.ref)
    inside = zone.accounts | {resource.account}
    statements = compiled.content.document.statements
    allowed = [statement for statement in statements if statement.effect is Effect.ALLOW]
    if not any(outside_entries(statement.principals or (), inside) for statement in allowed):
        return
    limits = _Limits.of(resource)
    question = ExternalQuestion(
        resource.arn, resource.account, resource.kind, inside, zone.organization, limits.is_blocked
    )
    analysis = _Analysis(resource, compiled, limits, question)
    for sentence in analysis.sentences():
        yield analysis.finding(sentence)


def _condition(grant: ExternalGrant) -> dict[str, str]:
    return external_conditions(grant.conditions, grant.excluded_conditions)


@dataclass(slots=True)
class _Sentence:
    """Grants that differ by their actions alone, and a request of one of them that the evaluator allows."""

    grants: list[ExternalGrant] = field(default_factory=list)
    request: AccessRequest | None = None


class _Analysis:
    """The analysis of one resource, some principal of whose policy is outside."""

    def __init__(
        self, resource: SharedResource, compiled: CompiledPolicy, limits: _Limits, question: ExternalQuestion
    ) -> None:
        self.resource, self.limits, self.question = resource, limits, question
        self.document = compiled.content.document
        self.work, self.work_of_fixes = Work(), Work()
        self.grants = external_grants([form_of(compiled.content), *limits.forms], question, self.work)
        self.policies = Bundle(
            identity=_OWN_SIDE.identity, session=_OWN_SIDE.session, resource=Layer([compiled]), rcps=limits.levels
        )

    def sentences(self) -> Iterable[_Sentence]:
        """Return the fewest grants that cover all access, in groups that differ by their actions alone.

        A grant that may have no request is in the group of those that no request confirms, or not. The others are first
        to be confirmed, since one request does it.
        """
        found: dict[tuple[object, ...], _Sentence] = {}
        for grant in sorted(irredundant(self.grants), key=lambda grant: not grant.is_exact):
            condition = tuple(_condition(grant).items())
            shown = grant.principal, condition, grant.is_public, grant.not_actions
            known = found.get((*shown, True)) if grant.is_exact else None
            request = self._request(grant) if known is None or known.request is None else None
            is_confirmed = grant.is_exact or request is not None
            sentence = found.setdefault((*shown, is_confirmed), _Sentence())
            sentence.grants.append(grant)
            sentence.request = sentence.request or request
        return found.values()

    def _request(self, grant: ExternalGrant) -> AccessRequest | None:
        return confirming_request(grant, lambda request: decide(request, self.policies).allowed)

    def finding(self, sentence: _Sentence) -> ExternalFinding:
        """Return the finding of grants that differ by their actions alone."""
        grants, resource = sentence.grants, self.resource
        first = grants[0]
        actions = tuple(dict.fromkeys(sorted(action for grant in grants for action in grant.actions)))
        return ExternalFinding(
            resource.arn,
            resource_type_of(resource.arn),
            resource.account,
            {first.principal[0]: _shown(first.principal[1])},
            actions,
            _condition(first),
            first.is_public,
            self.limits.restriction(grants),
            first.not_actions,
            sentence.request,
            self._fix(first.principal, actions),
            None if sentence.request is not None else self._unconfirmed(),
        )

    def _unconfirmed(self) -> str:
        limit = f" within the limit of {MAX_REQUESTS:,} requests" if self.work.requests < 0 else ""
        return f"no request was found that confirms it{limit}"

    def _fix(self, entry: PrincipalEntry, actions: Sequence[str]) -> SuggestedFix | None:
        """Return the shortest change of the policy that ends the access of a principal to some actions."""
        named = {grant.written.index for grant in self.grants if grant.principal == entry and grant.overlaps(actions)}
        zone = self.question.inside, self.question.organization
        fixes = possible_fixes(self.document, entry, sorted(named), *zone)
        return next((fix for fix, fixed in fixes if self._has_ended(fixed, entry, actions)), None)

    def _has_ended(self, fixed: Document, entry: PrincipalEntry, actions: Sequence[str]) -> bool:
        """Return whether the access of a principal to some actions has ended, by the analysis of the fixed policy."""
        try:
            forms = [DocumentForm(CompiledDocument(_about(fixed, entry, actions))), *self.limits.forms]
            left = external_grants(forms, self.question, self.work_of_fixes, only=entry)
        except Undecided:
            return False
        return not any(grant.overlaps(actions) for grant in left)


def _about(document: Document, entry: PrincipalEntry, actions: Sequence[str]) -> Document:
    """Return a policy without the Allow statements that are not about a principal, or not about some actions."""
    names = {action.lower() for action in actions} if all(map(is_literal, actions)) else None

    def is_relevant(statement: Statement) -> bool:
        if statement.effect is Effect.DENY:
            return True
        listed = statement.actions
        is_other = names is not None and listed is not None and all(map(is_literal, listed))
        return entry in (statement.principals or ()) and not (
            is_other and names is not None and names.isdisjoint(action.lower() for action in listed or ())
        )

    return replace(document, statements=tuple(filter(is_relevant, document.statements)))


def _shown(principal: str) -> str:
    """Return an account by its id, as AWS's findings do."""
    return principal.split(":")[4] if principal.endswith(":root") and principal.count(":") == 5 else principal


@dataclass(frozen=True, slots=True)
class _Limits:
    """The resource control policies of a resource's account."""

    forms: tuple[DocumentForm, ...] = ()
    levels: Levels | None = None
    is_blocked: bool = False
    has_failed: bool = False

    @classmethod
    def of(cls, resource: SharedResource) -> _Limits:
        """Return the policies that limit access to a resource; those of a service-linked role have none (E-11)."""
        if resource.rcps is None or is_service_linked_role(resource.arn):
            return cls()
        try:
            levels = tuple(
                Layer(compile_policy(policy.text, policy.ref) for policy in level) for level in resource.rcps
            )
            forms = [form_of(policy.content) for level in levels for policy in level]
        except (PolicyError, Undecided):
            return cls(has_failed=True)
        is_blocked = not all(any(form_of(policy.content).allows for policy in level) for level in levels)
        distinct = {id(form): form for form in forms if form.denies}
        return cls(tuple(distinct.values()), levels, is_blocked)

    def restriction(self, grants: Iterable[ExternalGrant]) -> str:
        """Return how they restrict some grants."""
        if self.has_failed:
            return FAILED
        services = {action.lower().partition(":")[0] for grant in grants for action in grant.actions}
        applies = any(service == "*" or rcp_applies_to(service, own=False) for service in services)
        return APPLIED if self.forms and applies else NOT_APPLICABLE

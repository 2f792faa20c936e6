"""Find principals that reach access through roles assumed one after another with `sts:AssumeRole`.

The first role may also be assumed with a token or assertion of an identity provider of the role's account, whose users
are known by the provider alone.

Strategy. A role can be assumed where its trust policy and the policies of the principal allow it. That is an ordinary
access question, so boundaries, organization policies and open condition keys count on the way as at the end. The search
is breadth-first, backwards from the roles that may perform the action, or forwards from one principal. Each role is
visited once, so cycles end. A first pass follows only unconditional steps, a second conditional ones too; of two
chains the unconditional one is reported, then the shorter one.

The condition keys of the question belong to the last request. On the way, source address and STS parameters are assumed
to be the same; keys about the caller or the resource differ at each step, so they are open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from iam_guard.analysis.access.access_answers import Access, AccessAnswer, AccessVerdict, RoleStep, over_roles
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.analysis.access.access_question import (
    AccessQuestion,
    build_question,
    outside_principal_answer,
    outside_principal_answers,
    stored_principal_answer,
)
from iam_guard.analysis.access.outside_principals import OutsidePrincipal, identity_provider
from iam_guard.analysis.access.resource_exceptions import is_named
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.model.arn import account_of
from iam_guard.model.context import Given
from iam_guard.store.policies.stored_principals import StoredPrincipal

MAX_ROLES: Final = 10
"""The maximum number of roles in one chain."""

_ASSUME: Final = "sts:AssumeRole"
_ASSUME_BY_OIDC: Final = "sts:AssumeRoleWithWebIdentity"
_ASSUME_BY_SAML: Final = "sts:AssumeRoleWithSAML"
_NEVER_ASSUME: Final = frozenset({"root", "anonymous", "federated user", "identity provider"})
"""Principals that can't assume a role this way, whatever its trust policy says (rules S-12, H.1)."""
_FEDERATED_SUPPLIERS: Final = frozenset({"network", "sts", "identity provider"})
_SAME_SUPPLIERS: Final = {
    _ASSUME: {"network", "sts"},
    _ASSUME_BY_OIDC: _FEDERATED_SUPPLIERS,
    _ASSUME_BY_SAML: _FEDERATED_SUPPLIERS,
}
"""Suppliers of the keys of the question that also hold on the way, by action."""
_TIMES: Final = frozenset({"aws:currenttime", "aws:epochtime"})
_PASSES: Final = (AccessVerdict.ALLOWED, AccessVerdict.CONDITIONAL)
"""The least certain verdict that a pass of the search follows."""

Steps: TypeAlias = tuple[RoleStep, ...]


@dataclass(slots=True)
class RoleChains:
    """Searches role chains in one store; `context` are the condition keys of the last request."""

    evaluator: AccessEvaluator
    context: Mapping[str, Given]
    _questions: dict[tuple[str, str], AccessQuestion] = field(default_factory=dict)
    _outsiders: dict[str, list[tuple[OutsidePrincipal, AccessAnswer]]] = field(default_factory=dict)
    _answers: dict[tuple[str, str], AccessAnswer | None] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict)

    def extend(self, found: Iterable[Access], question: AccessQuestion) -> list[Access]:
        """Return the accesses, with those replaced or added that a chain of roles grants with more certainty."""
        best = {(access.kind, access.principal): access for access in found}
        for access in list(self._through(self._able(best.values(), question))):
            before = best.get((access.kind, access.principal))
            if before is None or access.verdict.rank < before.verdict.rank:
                best[access.kind, access.principal] = access
        return list(best.values())

    def roles_of(self, principal: StoredPrincipal) -> dict[str, Steps]:
        """Return the roles of the store that the principal can assume, each with the steps to it."""
        found: dict[str, Steps] = {}
        for least in _PASSES:
            for arn, steps in self._search([principal.arn], self._assumable, least).items():
                if steps:
                    found.setdefault(arn, steps)
        return found

    # --- the search ----------------------------------------------------------------------------------------------

    def _able(self, found: Iterable[Access], question: AccessQuestion) -> dict[str, AccessAnswer]:
        """Return the roles that may perform the action; a role of which only one session may is conditional."""
        able = {
            outsider.role.arn: _as_session(answer, outsider.shown)
            for outsider, answer in outside_principal_answers(self.evaluator, question)
            if outsider.kind == "session" and outsider.role is not None and _may(answer)
        }
        for access in found:
            is_role = access.kind == "role" and self.evaluator.stored_principal(access.principal) is not None
            if is_role and _may(access.answer):
                able[access.principal] = access.answer
        return able

    def _through(self, able: Mapping[str, AccessAnswer]) -> Iterator[Access]:
        """Return the accesses of the principals that can assume one of these roles, the unconditional ones first."""
        for least in _PASSES:
            starts = [arn for arn, answer in able.items() if answer.verdict.rank <= least.rank]
            for name, steps in self._search(starts, self._assumers, least).items():
                if steps:
                    chain = steps[::-1]
                    yield Access(name, self._kinds[name], over_roles(chain, able[chain[-1].role]), chain)

    def _search(
        self,
        starts: Iterable[str],
        steps_from: Callable[[str], Iterable[tuple[str, RoleStep]]],
        least: AccessVerdict,
    ) -> dict[str, Steps]:
        """Return each ARN that steps connect with a start, with its shortest path in order from the start."""
        found: dict[str, Steps] = dict.fromkeys(starts, ())
        latest = list(found)
        for _ in range(MAX_ROLES):
            reached = []
            for arn in latest:
                for other, step in steps_from(arn):
                    if step.answer.verdict.rank <= least.rank and other not in found:
                        found[other] = (*found[arn], step)
                        reached.append(other)
            latest = reached
        return found

    def _assumable(self, arn: str) -> Iterator[tuple[str, RoleStep]]:
        """Return the roles that a stored principal may assume."""
        principal = self.evaluator.stored_principal(arn)
        for role in self.evaluator.population.principals_by_arn.values():
            if principal is not None and role.kind == "role":
                answer = self._may_assume(principal, role)
                if answer is not None:
                    yield role.arn, RoleStep(role.arn, answer)

    def _assumers(self, arn: str) -> Iterator[tuple[str, RoleStep]]:
        """Return the principals that may assume the role; none for a role outside the store."""
        role = self.evaluator.stored_principal(arn)
        if role is None or role.kind != "role":
            return
        for stored in self.evaluator.population.principals_by_arn.values():
            answer = self._may_assume(stored, role)
            if answer is not None:
                self._kinds[stored.arn] = stored.kind
                yield stored.arn, RoleStep(arn, answer)
        for outsider, answer in self._outsiders_of(role):
            if outsider.kind not in _NEVER_ASSUME:
                self._kinds[outsider.shown] = outsider.kind
                yield outsider.shown, RoleStep(arn, answer)
        for provider in self.evaluator.population.identity_providers:
            if account_of(provider) == role.account:
                provider_users = identity_provider(provider)
                self._kinds[provider] = provider_users.kind
                action = _ASSUME_BY_SAML if ":saml-provider/" in provider else _ASSUME_BY_OIDC
                answer = outside_principal_answer(self.evaluator, provider_users, self._question(role, action))
                yield provider, RoleStep(arn, answer)

    # --- one step ------------------------------------------------------------------------------------------------

    def _may_assume(self, principal: StoredPrincipal, role: StoredPrincipal) -> AccessAnswer | None:
        """Return whether a stored principal may assume the role; None when the trust policy does not mean it."""
        pair = principal.arn, role.arn
        if pair not in self._answers:
            self._answers[pair] = None if principal.kind in _NEVER_ASSUME else self._evaluate(principal, role)
        return self._answers[pair]

    def _evaluate(self, principal: StoredPrincipal, role: StoredPrincipal) -> AccessAnswer | None:
        answer = None
        trusting = self.evaluator.trusting_statements(role.trust, _ASSUME.lower())
        if any(is_named(statement, principal.record.principal) for statement in trusting):
            answer = stored_principal_answer(self.evaluator, principal, self._question(role))
        if answer is not None and _may(answer):
            return answer
        for outsider, found in self._outsiders_of(role):
            if outsider.kind == "session" and outsider.role is principal and _may(found):
                return _as_session(found, outsider.shown)
        return answer

    def _outsiders_of(self, role: StoredPrincipal) -> list[tuple[OutsidePrincipal, AccessAnswer]]:
        if role.arn not in self._outsiders:
            self._outsiders[role.arn] = list(outside_principal_answers(self.evaluator, self._question(role)))
        return self._outsiders[role.arn]

    def _question(self, role: StoredPrincipal, action: str = _ASSUME) -> AccessQuestion:
        question = role.arn, action
        if question not in self._questions:
            context = {key: value for key, value in self.context.items() if _holds_on_the_way(key, action)}
            self._questions[question] = build_question(self.evaluator, action, role.arn, context, None)
        return self._questions[question]


def _may(answer: AccessAnswer) -> bool:
    return answer.verdict is not AccessVerdict.DENIED


def _as_session(answer: AccessAnswer, session: str) -> AccessAnswer:
    """Return the answer about a role as that of one of its sessions only."""
    note = "; ".join(text for text in (answer.note, f"its session is called {session.rpartition('/')[2]}") if text)
    return replace(answer, verdict=AccessVerdict.CONDITIONAL, note=note)


def _holds_on_the_way(key: str, action: str) -> bool:
    row = row_of(key)
    return key.lower() in _TIMES or (row is not None and row.supplier in _SAME_SUPPLIERS[action])

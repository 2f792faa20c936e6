"""Who could become somebody else: roles that are assumed with `sts:AssumeRole`, one after another.

The first of them may also be given for a token, to whom an OIDC provider of the role's account vouches for: they are
known by the provider alone. Assertions of SAML providers are not taken, so nobody has a role by them.

Strategy. A role is assumed where its trust policy and the policies of whoever assumes it allow that: the same question
to the same evaluator as any other, so boundaries, the organization's policies and open condition keys count on the way
as they do at its end. From the roles that may do something the search goes backwards to all who could come to be one of
them, or from one principal forwards; a role is passed once, so a circle ends. First only what is allowed in any event
is followed, then also what depends on something: so of two ways the surer is told, and of two sure ones the shorter.

What is given of a request (its condition keys) is given of the last. On the way the address it comes from and what STS
is told are taken for the same; whatever is about the caller or the resource is another there, and so open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from iam_guard.analysis.access.access_answers import Access, AccessAnswer, AccessVerdict, RoleStep, over_roles
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.analysis.access.access_list import inhabitant_answer, outside_principal_answer, outside_principal_answers
from iam_guard.analysis.access.access_question import AccessQuestion, question
from iam_guard.analysis.access.outside_principals import OutsidePrincipal, identity_provider
from iam_guard.analysis.access.resource_exceptions import is_named
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.arn import account_of
from iam_guard.model.context import Given
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.store.stored_principals import StoredPrincipal

MAX_ROLES: Final = 10
"""Roles of one chain; a longer one is not looked for."""

_ASSUME: Final = "sts:AssumeRole"
_ASSUME_VOUCHED: Final = "sts:AssumeRoleWithWebIdentity"
_NEVER_ASSUME: Final = frozenset({"root", "anonymous", "federated user", "identity provider"})
"""Whom STS lets assume no role in this way, whatever a trust policy says (rules S-12, H.1)."""
_SAME_ON_THE_WAY: Final = {_ASSUME: {"network", "sts"}, _ASSUME_VOUCHED: {"network", "sts", "identity provider"}}
"""Who supplies the keys that are given of the request at the end and hold on the way, by its action."""
_TIMES: Final = frozenset({"aws:currenttime", "aws:epochtime"})
_VERDICTS: Final = (
    frozenset({AccessVerdict.ALLOWED}),
    frozenset({AccessVerdict.ALLOWED, AccessVerdict.CONDITIONAL}),
)

Steps: TypeAlias = tuple[RoleStep, ...]


@dataclass(slots=True)
class RoleChains:
    """Looks for chains in one store; `context` is what is given of the request at their end."""

    asker: AccessEvaluator
    context: Mapping[str, Given]
    most: int = MAX_ROLES
    _questions: dict[tuple[str, str], AccessQuestion] = field(default_factory=dict)
    _trusting: dict[str, Sequence[CompiledStatement]] = field(default_factory=dict)
    _strangers: dict[str, list[tuple[OutsidePrincipal, AccessAnswer]]] = field(default_factory=dict)
    _answers: dict[tuple[str, str], AccessAnswer | None] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict)

    def added_to(self, found: Iterable[Access], asked: AccessQuestion) -> list[Access]:
        """Return the accesses, with those instead that are surer through roles, and those of others who have one so."""
        best = {(each.kind, each.principal): each for each in found}
        for each in list(self._through(self._able(best.values(), asked))):
            before = best.get((each.kind, each.principal))
            if before is None or _is_surer(each.verdict, before.verdict):
                best[each.kind, each.principal] = each
        return list(best.values())

    def roles_of(self, principal: StoredPrincipal) -> dict[str, Steps]:
        """Return the roles of the store that somebody could become, each with the steps to it."""
        found: dict[str, Steps] = {}
        for verdicts in _VERDICTS:
            for arn, steps in self._search([principal.arn], self._assumable, verdicts).items():
                if steps:
                    found.setdefault(arn, steps)
        return found

    # --- the search ----------------------------------------------------------------------------------------------

    def _able(self, found: Iterable[Access], asked: AccessQuestion) -> dict[str, AccessAnswer]:
        """Return the roles that may do what is asked; one of which only a session may, depends on that."""
        able = {
            each.inhabitant.arn: _as_session(answer, each.shown)
            for each, answer in outside_principal_answers(self.asker, asked)
            if each.kind == "session" and each.inhabitant is not None and _may(answer)
        }
        roles = (each for each in found if each.kind == "role" and self.asker.inhabitant_of(each.principal) is not None)
        return able | {role.principal: role.answer for role in roles if _may(role.answer)}

    def _through(self, able: Mapping[str, AccessAnswer]) -> Iterator[Access]:
        """Return the accesses of those who could become one of these roles, the surer ones first."""
        for verdicts in _VERDICTS:
            starts = [arn for arn, answer in able.items() if answer.verdict in verdicts]
            for name, steps in self._search(starts, self._assumers, verdicts).items():
                if steps:
                    chain = steps[::-1]
                    yield Access(name, self._kinds[name], over_roles(chain, able[chain[-1].role]), chain)

    def _search(
        self,
        starts: Iterable[str],
        steps_from: Callable[[str], Iterable[tuple[str, RoleStep]]],
        verdicts: Collection[AccessVerdict],
    ) -> dict[str, Steps]:
        """Return everybody whom steps connect with a start, each with the fewest, in their order from there."""
        found: dict[str, Steps] = dict.fromkeys(starts, ())
        latest = list(found)
        for _ in range(self.most):
            reached = []
            for arn in latest:
                for other, step in steps_from(arn):
                    if step.answer.verdict in verdicts and other not in found:
                        found[other] = (*found[arn], step)
                        reached.append(other)
            latest = reached
        return found

    def _assumable(self, arn: str) -> Iterator[tuple[str, RoleStep]]:
        """Return the roles that somebody of the store may assume."""
        principal = self.asker.inhabitant_of(arn)
        for role in self.asker.population.inhabitants.values():
            if principal is not None and role.kind == "role":
                answer = self._may_assume(principal, role)
                if answer is not None:
                    yield role.arn, RoleStep(role.arn, answer)

    def _assumers(self, arn: str) -> Iterator[tuple[str, RoleStep]]:
        """Return those who may assume a role, nobody where it is none of the store."""
        role = self.asker.inhabitant_of(arn)
        if role is None or role.kind != "role":
            return
        for inhabitant in self.asker.population.inhabitants.values():
            answer = self._may_assume(inhabitant, role)
            if answer is not None:
                self._kinds[inhabitant.arn] = inhabitant.kind
                yield inhabitant.arn, RoleStep(arn, answer)
        for stranger, answer in self._strangers_of(role):
            if stranger.kind not in _NEVER_ASSUME:
                self._kinds[stranger.shown] = stranger.kind
                yield stranger.shown, RoleStep(arn, answer)
        for provider in self.asker.population.oidc_providers:
            if account_of(provider) == role.account:
                vouched = identity_provider(provider)
                self._kinds[provider] = vouched.kind
                answer = outside_principal_answer(self.asker, vouched, self._question(role, _ASSUME_VOUCHED))
                yield provider, RoleStep(arn, answer)

    # --- one step ------------------------------------------------------------------------------------------------

    def _may_assume(self, principal: StoredPrincipal, role: StoredPrincipal) -> AccessAnswer | None:
        """Return whether somebody of the store may assume a role; None for nobody whom its trust policy means."""
        pair = principal.arn, role.arn
        if pair not in self._answers:
            self._answers[pair] = None if principal.kind in _NEVER_ASSUME else self._asked(principal, role)
        return self._answers[pair]

    def _asked(self, principal: StoredPrincipal, role: StoredPrincipal) -> AccessAnswer | None:
        answer = None
        if any(is_named(each, principal.record.principal) for each in self._allowing(role)):
            answer = inhabitant_answer(self.asker, principal, self._question(role))
        if answer is not None and _may(answer):
            return answer
        sessions = (
            stranger for stranger in self._strangers_of(role) if stranger[0].kind == "session" and _may(stranger[1])
        )
        own = (_as_session(found, each.shown) for each, found in sessions if each.inhabitant is principal)
        return next(own, answer)

    def _allowing(self, role: StoredPrincipal) -> Sequence[CompiledStatement]:
        """Return the statements of a trust policy that let somebody assume the role; none of one that can't be read."""
        if role.arn not in self._trusting:
            try:
                ref = PolicyRef("trust policy", PolicyType.TRUST)
                about = () if role.trust is None else compile_policy(role.trust, ref).content.about(_ASSUME.lower())
            except PolicyError:
                about = ()
            self._trusting[role.arn] = [each for each in about if not each.denies]
        return self._trusting[role.arn]

    def _strangers_of(self, role: StoredPrincipal) -> list[tuple[OutsidePrincipal, AccessAnswer]]:
        if role.arn not in self._strangers:
            self._strangers[role.arn] = list(outside_principal_answers(self.asker, self._question(role)))
        return self._strangers[role.arn]

    def _question(self, role: StoredPrincipal, action: str = _ASSUME) -> AccessQuestion:
        asked = role.arn, action
        if asked not in self._questions:
            context = {key: value for key, value in self.context.items() if _is_same_on_the_way(key, action)}
            self._questions[asked] = question(self.asker, action, role.arn, context, None)
        return self._questions[asked]


def _may(answer: AccessAnswer) -> bool:
    return answer.verdict is not AccessVerdict.DENIED


def _as_session(answer: AccessAnswer, session: str) -> AccessAnswer:
    """Say of a role what holds for one of its sessions only."""
    note = "; ".join(each for each in (answer.note, f"its session is called {session.rpartition('/')[2]}") if each)
    return replace(answer, verdict=AccessVerdict.CONDITIONAL, note=note)


def _is_same_on_the_way(key: str, action: str) -> bool:
    row = row_of(key)
    return key.lower() in _TIMES or (row is not None and row.supplier in _SAME_ON_THE_WAY[action])


def _is_surer(verdict: AccessVerdict, other: AccessVerdict) -> bool:
    order = list(AccessVerdict)
    return order.index(verdict) < order.index(other)

"""What somebody can do: every action of the references at hand, on one resource or on the patterns of its policies.

Resources are not counted: nobody here knows which there are. Without one, the answers are about the resources that the
principal's own policies name, as they name them, and about those whose policies in the store name the principal. Must
not live here: deciding (`evaluation`), the table (`cli`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from iam_guard.analysis.access.access_answers import (
    Ability,
    AccessAnswer,
    AccessVerdict,
    RoleStep,
    answer_of,
    over_roles,
)
from iam_guard.analysis.access.access_evaluator import AccessEvaluator, asking
from iam_guard.analysis.access.access_question import (
    OF_RESOURCE,
    SOME,
    AccessQuestion,
    check_resource,
    owed_by_resource,
    question,
    with_open_policy,
)
from iam_guard.analysis.access.resource_exceptions import statements_within, with_exceptions
from iam_guard.analysis.access.role_chains import RoleChains
from iam_guard.analysis.lint.reference_index import Known, KnownAction
from iam_guard.analysis.reference.own_references import own_references
from iam_guard.errors import NoSuchEntity, PolicyError
from iam_guard.evaluation.compiler import CompiledPolicy, compile_policy
from iam_guard.evaluation.matching.pattern import Wildcard
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern, overlaps
from iam_guard.evaluation.special_actions import needs_no_permission
from iam_guard.model.arn import account_of
from iam_guard.model.context import Given
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.reference import ServiceReference
from iam_guard.model.request import Resource
from iam_guard.policy.document import Effect
from iam_guard.settings import Settings
from iam_guard.store.protocol import SourceStore
from iam_guard.store.stored_principals import StoredPrincipal

_EVERYTHING = "*"
_ALL = "every resource"
"""Stands for the pattern that every resource fits; the resource `*` is that of actions without one."""
_VARIABLE = re.compile(r"\$\{[^{}]*\}")
_ORDER = list(AccessVerdict)


def what_can(
    store: SourceStore,
    principal: str,
    *,
    resource: str | None = None,
    references: Sequence[ServiceReference] = (),
    context: Mapping[str, Given] | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
    through_roles: bool = False,
) -> list[Ability]:
    """Return what a user, role or root user of the store may do, by its ARN; what is denied is left out.

    `references` are those of the application's services; IAM's and STS's are known. `resource` asks about one resource
    or one pattern alone. `through_roles` adds what the roles may do that the principal could assume, or that these
    could: `Ability.steps`. Raises `NoSuchEntity` for a principal that the store does not hold, `InvalidInput`.
    """
    if resource is not None:
        check_resource(resource)
    named = {reference.name for reference in references}
    every = [*references, *(own_reference for own_reference in own_references() if own_reference.name not in named)]
    with asking(store, settings or Settings(), now) as asker:
        inhabitant = asker.inhabitant_of(principal)
        if inhabitant is None:
            raise NoSuchEntity(f"The principal {principal[:2048]} cannot be found.")
        known = Known(every, is_all=True)
        found = _grouped(_Asking(asker, inhabitant, context or {}, known).all_answers(every, resource))
        ways = RoleChains(asker, context or {}).roles_of(inhabitant) if through_roles else {}
        for arn, steps in ways.items():
            try:
                asking_one = _Asking(asker, asker.population.inhabitants[arn], context or {}, known)
            except PolicyError:
                continue  # as the guard, which would deny such a role everything
            found += _grouped(asking_one.all_answers(every, resource), steps)
    return found


class _Asking:
    """The asking about one principal."""

    def __init__(
        self, asker: AccessEvaluator, inhabitant: StoredPrincipal, context: Mapping[str, Given], known: Known
    ) -> None:
        self._known = known
        self._asker = asker
        self._inhabitant = inhabitant
        self._context = context
        self._policies = [compile_policy(each.text, each.ref) for each in inhabitant.record.identity]
        self._shared: list[tuple[str, str, CompiledPolicy]] | None = None

    def all_answers(
        self, references: Iterable[ServiceReference], resource: str | None
    ) -> Iterator[tuple[str, str, AccessAnswer]]:
        """Return the answers about all actions that are not denied, by action and resource."""
        for reference in references:
            for action in (KnownAction(reference, each) for each in reference.actions):
                yield from ((str(action), *answer) for answer in self.answers(action, resource))

    def answers(self, action: KnownAction, resource: str | None) -> Iterator[tuple[str, AccessAnswer]]:
        """Return the answers about one action, by resource, but for those that deny."""
        for each in self._resources(action) if resource is None else self._if_taken(action, resource):
            answer = self._answer(str(action), each)
            if answer.verdict is not AccessVerdict.DENIED:
                yield each, answer

    def _answer(self, action: str, resource: str) -> AccessAnswer:
        inhabitant = self._inhabitant
        asked = self._question(action, resource)
        wanted, owes = asked.wanted, None
        if owed_by_resource(asked, inhabitant):
            wanted, owes = with_open_policy(wanted), OF_RESOURCE
        bounds = self._asker.bounds(
            *(inhabitant.record, action, wanted, asked.context), asked=asked.pattern, trust=inhabitant.trust
        )
        answer = answer_of(bounds, inhabitant, owes=owes, partly=SOME)
        within = (
            statements_within(self._asker, action, asked.pattern) if answer.verdict is AccessVerdict.ALLOWED else ()
        )
        return with_exceptions(answer, inhabitant.record.principal, within)

    def _question(self, action: str, resource: str) -> AccessQuestion:
        if resource == _ALL:
            own = Resource("*", account=self._inhabitant.account)
            return AccessQuestion(action, own, self._context, (Wildcard.RUN,))
        asked = question(self._asker, action, resource, self._context, self._owner(resource))
        return asked if asked.wanted.account else asked._replace(wanted=self._own(asked.wanted))

    def _owner(self, resource: str) -> str | None:
        """Return the account that a pattern is about: the one it names, else the principal's own."""
        is_pattern = "*" in resource or "?" in resource
        return self._inhabitant.account if is_pattern and account_of(resource) is None else None

    def _own(self, wanted: Resource) -> Resource:
        return replace(wanted, account=self._inhabitant.account)

    def _if_taken(self, action: KnownAction, resource: str) -> list[str]:
        """Return the resource that is asked about, where the action can be done to it."""
        if resource == _EVERYTHING or action.entry.open_resources:
            return [resource]
        pattern = arn_pattern(resource)
        return [resource] if any(overlaps(pattern, arn) for arn in self._known.arns_of(action)) else []

    # --- which resources ---------------------------------------------------------------------------------------------

    def _resources(self, action: KnownAction) -> Iterable[str]:
        takes_nothing = not action.entry.resources and not action.entry.open_resources
        if takes_nothing or needs_no_permission(str(action).lower(), self._inhabitant.record.principal):
            return [_EVERYTHING]
        named = [_ALL] if self._inhabitant.kind == "root" else self._named(action)
        return dict.fromkeys((*named, *self._sharing(action)))

    def _named(self, action: KnownAction) -> Iterator[str]:
        """Return the entries of the Allow statements about an action that can mean a resource of its types."""
        types = self._known.arns_of(action)
        for entry in self._entries(str(action).lower()):
            pattern = (Wildcard.RUN,) if entry == _ALL else arn_pattern(entry)
            if action.entry.open_resources or any(overlaps(pattern, each) for each in types):
                yield entry

    def _entries(self, action: str) -> Iterator[str]:
        """Return what the Allow statements about an action name; `NotResource` leaves all others."""
        for policy in self._policies:
            for compiled in policy.content.about(action):
                statement = compiled.statement
                if statement.effect is not Effect.ALLOW:
                    continue
                if statement.not_resources is not None:
                    yield _ALL
                yield from (_ALL if each == _EVERYTHING else self._written(each) for each in statement.resources or ())

    def _written(self, entry: str) -> str:
        """Write an entry as the pattern of ARNs that is asked about; a variable stands for anything."""
        missing = 5 - entry.count(":")
        whole = entry + ":*" * missing if missing > 0 else entry
        return _VARIABLE.sub("*", whole) if whole.startswith("arn:") else _ALL

    def _sharing(self, action: KnownAction) -> Iterator[str]:
        """Return the resources of the action's service whose policies in the store name the principal."""
        caller, folded = self._inhabitant.record.principal, str(action).lower()
        for arn, service, policy in self._shared_resources():
            if service == action.service.name:
                about = policy.content.about(folded)
                if any(not each.denies and each.kinship(caller) is not None for each in about):
                    yield arn

    def _shared_resources(self) -> list[tuple[str, str, CompiledPolicy]]:
        if self._shared is None:
            self._shared = []
            for arn in self._asker.population.resource_arns:
                policy = self._asker.resource(arn).policy
                if policy is not None:
                    ref = PolicyRef(arn, PolicyType.RESOURCE)
                    self._shared.append((arn, arn.split(":", 3)[2], compile_policy(policy.text, ref)))
        return self._shared


def _grouped(found: Iterable[tuple[str, str, AccessAnswer]], steps: Sequence[RoleStep] = ()) -> list[Ability]:
    """Put the actions together that have the same answer on the same resource; `steps` lead to whoever has it."""
    groups: dict[tuple[str, AccessAnswer], list[str]] = {}
    for action, resource, answer in found:
        groups.setdefault((resource, answer), []).append(action)
    abilities = [
        Ability(tuple(actions), "*" if resource == _ALL else resource, over_roles(steps, answer), tuple(steps))
        for (resource, answer), actions in groups.items()
    ]
    return sorted(abilities, key=lambda each: (_ORDER.index(each.verdict), each.resource, each.actions))

"""The access matrix: which principals may do which actions on which resources, all of them decided, none guessed.

Nothing is noted and no use is recorded: nobody asked for access. A principal that does not exist and a request that
cannot be decided are mistakes in the question, and no cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from iam_guard.errors import InvalidInput
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.guard.guard import Guard
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.testing.principal_names import principal_named

MAX_CELLS = 100_000

Named = Mapping[str, Principal | str] | Iterable[Principal | str]
"""Principals under names of one's own, or by themselves."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One question of a matrix: the names of principal and resource, and the action."""

    resource: str
    action: str
    principal: str


@dataclass(frozen=True, slots=True)
class AccessMatrix:
    """The answers, and the names in the order in which they were given."""

    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    outcomes: Mapping[Cell, Outcome]

    def __iter__(self) -> Iterator[tuple[Cell, Outcome]]:
        """Return question and answer, resource by resource, action by action."""
        for resource, action, principal in product(self.resources, self.actions, self.principals):
            access = Cell(resource, action, principal)
            yield access, self.outcomes[access]


def access_matrix(
    decider: Guard | Authorizer,
    *,
    principals: Named,
    actions: Iterable[str] | None = None,
    resources: Mapping[str, str] | Iterable[str] = ("*",),
    context: Mapping[str, Given | Lazy] | None = None,
) -> AccessMatrix:
    """Decide about all principals, actions and resources.

    Principals are what `principal_named` takes; they and the resources may be mappings with names of one's own. Without
    `actions`, those that the guard's services have declared. `context` are condition keys of all questions. Raises
    `InvalidInput` for a principal that does not exist, a request that cannot be decided, and more than 100,000 cells.
    """
    if any(isinstance(each, str) for each in (principals, actions, resources)):
        raise InvalidInput("expected lists or mappings of principals, actions and resources, got one text")
    callers, things = _callers(principals), _resources(resources)
    asked = tuple(dict.fromkeys(_declared(decider) if actions is None else actions))
    if not callers or not asked or not things:
        raise InvalidInput("a matrix needs a principal, an action and a resource at least")
    if len(callers) * len(asked) * len(things) > MAX_CELLS:
        raise InvalidInput(f"expected at most {MAX_CELLS} cells")
    if isinstance(decider, Guard):
        decider.refresh()
    outcomes = {
        Cell(resource, action, caller): _outcome(decider, callers[caller], action, things[resource], context)
        for resource, action, caller in product(things, asked, callers)
    }
    return AccessMatrix(tuple(callers), asked, tuple(things), outcomes)


def _callers(given: Named) -> dict[str, Principal]:
    pairs = given.items() if isinstance(given, Mapping) else [(_name(each), each) for each in given]
    return {name: principal_named(each) for name, each in pairs}


def _name(given: Principal | str) -> str:
    return given.arn if isinstance(given, Principal) else given


def _resources(given: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    return dict(given) if isinstance(given, Mapping) else {each: each for each in given}


def _declared(decider: Guard | Authorizer) -> list[str]:
    catalogues = decider.catalogues if isinstance(decider, Guard) else ()
    return [str(row) for catalogue in catalogues for row in catalogue]


def _outcome(
    decider: Guard | Authorizer,
    principal: Principal,
    action: str,
    resource: str,
    context: Mapping[str, Given | Lazy] | None,
) -> Outcome:
    if isinstance(decider, Guard):  # as `decide` does, but for the note
        question = decider._question(principal, action, resource, context, None)
        decision, _ = decider._decide(question, decider._store)
    else:
        decision = decider.decide(AccessRequest(principal, action, resource, context))
    if decision.error is not None:
        raise InvalidInput(f"no decision could be made: {decision.error}", place=f"{principal.arn} {action}")
    without_policies = [reason.note for reason in decision.reasons if reason.policy is None and reason.note is not None]
    if not decision.allowed and without_policies:
        raise InvalidInput(without_policies[0], place=f"{principal.arn} {action}")
    return decision.outcome


def changes(approved: Mapping[Cell, Outcome], now: Mapping[Cell, Outcome]) -> list[str]:
    """Return what access was gained, lost, and denied otherwise than before; what is asked anew, and no more.

    What was gained stands first.
    """
    found = [(_weight(before, after), access, before, after) for access, before, after in _pairs(approved, now)]
    found.sort(key=lambda each: each[:2])
    return [
        f"{word} {access.principal} {access.action} on {access.resource}: {before or _UNASKED} -> {after or _UNASKED}"
        for (_, word), access, before, after in found
    ]


_UNASKED = "not asked"


def _pairs(
    approved: Mapping[Cell, Outcome], now: Mapping[Cell, Outcome]
) -> Iterator[tuple[Cell, Outcome | None, Outcome | None]]:
    for access in {**approved, **now}:
        before, after = approved.get(access), now.get(access)
        if before is not after:
            yield access, before, after


def _weight(before: Outcome | None, after: Outcome | None) -> tuple[int, str]:
    if after is Outcome.ALLOWED:
        return 0, "gained:   "
    if before is Outcome.ALLOWED:
        return 1, "lost:     "
    return 2, "otherwise:"

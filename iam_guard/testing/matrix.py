"""The access matrix: which principals may do which actions on which resources.

Every cell is a decision. These queries are not audited. An unknown principal or an undecidable request is an error in
the question, not a cell.
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
"""Principals, or a mapping of names to principals."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One cell of a matrix: the names of principal and resource, and the action."""

    resource: str
    action: str
    principal: str


@dataclass(frozen=True, slots=True)
class AccessMatrix:
    """The outcomes, and the names in the given order."""

    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    outcomes: Mapping[Cell, Outcome]

    def __iter__(self) -> Iterator[tuple[Cell, Outcome]]:
        """Yield cells with their outcomes, by resource, then by action."""
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

    Principals are those of `principal_named`; principals and resources may be mappings with names. `actions` defaults
    to those declared by the guard's services. `context` has condition keys for all cells. Raises `InvalidInput` for an
    unknown principal, an undecidable request, and more than 100,000 cells.
    """
    if any(isinstance(argument, str) for argument in (principals, actions, resources)):
        raise InvalidInput("expected lists or mappings of principals, actions and resources, got one string")
    callers, things = _callers(principals), _resources(resources)
    names = tuple(dict.fromkeys(_declared(decider) if actions is None else actions))
    if not callers or not names or not things:
        raise InvalidInput("expected at least one principal, one action and one resource")
    if len(callers) * len(names) * len(things) > MAX_CELLS:
        raise InvalidInput(f"expected at most {MAX_CELLS} cells")
    if isinstance(decider, Guard):
        decider.refresh()
    outcomes = {
        Cell(resource, action, caller): _outcome(decider, callers[caller], action, things[resource], context)
        for resource, action, caller in product(things, names, callers)
    }
    return AccessMatrix(tuple(callers), names, tuple(things), outcomes)


def _callers(principals: Named) -> dict[str, Principal]:
    pairs = (
        principals.items()
        if isinstance(principals, Mapping)
        else [(_name(principal), principal) for principal in principals]
    )
    return {name: principal_named(principal) for name, principal in pairs}


def _name(principal: Principal | str) -> str:
    return principal.arn if isinstance(principal, Principal) else principal


def _resources(resources: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    return dict(resources) if isinstance(resources, Mapping) else {arn: arn for arn in resources}


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
    if isinstance(decider, Guard):  # like `Guard.decide`, but not audited
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
    """Return the differences: access gained, lost, denied differently, and cells added or removed; gained first."""
    found = [(_weight(before, after), access, before, after) for access, before, after in _pairs(approved, now)]
    found.sort(key=lambda change: change[:2])
    return [
        f"{word} {access.principal} {access.action} on {access.resource}: {before or _MISSING} -> {after or _MISSING}"
        for (_, word), access, before, after in found
    ]


_MISSING = "not listed"


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
    return 2, "changed:  "

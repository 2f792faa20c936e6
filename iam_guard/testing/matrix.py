"""The access matrix: which principals may do which actions on which resources.

Every cell is a decision. These queries are not audited. An unknown principal or an undecidable request is an error in
the question, not a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.analysis.reference.reference_index import ReferenceIndex
from iam_guard.errors import InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.model.decision import Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.reference import ServiceReference
from iam_guard.model.request import AccessRequest
from iam_guard.testing.assertions import Decider, Keys
from iam_guard.testing.failure_report import notes_without_policies
from iam_guard.testing.principal_names import principal_named

T = TypeVar("T")

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

    def row(self, resource: str, action: str) -> list[Outcome]:
        """Return the outcomes of an action on a resource, by principal."""
        return [self.outcomes[Cell(resource, action, principal)] for principal in self.principals]


def access_matrix(
    decider: Decider,
    *,
    principals: Named,
    actions: Iterable[str] | None = None,
    resources: Mapping[str, str] | Iterable[str] = ("*",),
    context: Keys | None = None,
    references: Sequence[ServiceReference] = (),
) -> AccessMatrix:
    """Decide about all principals, actions and resources.

    Principals are those of `principal_named`; principals and resources may be mappings with names. `actions` defaults
    to those declared by the guard's services. `context` has condition keys for all cells. Raises `InvalidInput` for an
    unknown principal, an unknown action of IAM, STS and the services of `references`, an undecidable request, and more
    than 100,000 cells.
    """
    if any(isinstance(argument, str) for argument in (principals, actions, resources)):
        raise InvalidInput("expected lists or mappings of principals, actions and resources, got one string")
    callers = {name: principal_named(principal) for name, principal in _named(principals).items()}
    things = _named(resources)
    names = tuple(dict.fromkeys(_declared(decider) if actions is None else actions))
    index = ReferenceIndex(with_own_references(references), is_all=False)
    for action in names:
        index.check_action(action)
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


def _named(values: Mapping[str, T] | Iterable[T]) -> dict[str, T]:
    """Return values with their names: those of the mapping, or else ARNs and the like."""
    if isinstance(values, Mapping):
        return dict(values)
    return {value.arn if isinstance(value, Principal) else str(value): value for value in values}


def _declared(decider: Decider) -> list[str]:
    catalogues = decider.catalogues if isinstance(decider, Guard) else ()
    return [str(row) for catalogue in catalogues for row in catalogue]


def _outcome(decider: Decider, principal: Principal, action: str, resource: str, context: Keys | None) -> Outcome:
    if isinstance(decider, Guard):  # like `Guard.decide`, but not audited
        maker = decider.decision_maker
        decision = maker.decide(maker.question(principal, action, resource, context, None))
    else:
        decision = decider.decide(AccessRequest(principal, action, resource, context))
    if decision.error is not None:
        raise InvalidInput(f"no decision could be made: {decision.error}", place=f"{principal.arn} {action}")
    if not decision.allowed and (notes := notes_without_policies(decision)):
        raise InvalidInput(notes[0], place=f"{principal.arn} {action}")
    return decision.outcome


def changes(approved: Mapping[Cell, Outcome], now: Mapping[Cell, Outcome]) -> list[str]:
    """Return the differences: access gained, lost, denied differently, and cells added or removed; gained first."""
    gained, lost, changed = list[str](), list[str](), list[str]()
    for access in sorted(approved.keys() | now.keys()):
        before, after = approved.get(access), now.get(access)
        if before is after:
            continue
        outcomes = f"{before or 'not listed'} -> {after or 'not listed'}"
        what = f"{access.principal} {access.action} on {access.resource}: {outcomes}"
        if after is Outcome.ALLOWED:
            gained.append(f"gained:    {what}")
        elif before is Outcome.ALLOWED:
            lost.append(f"lost:      {what}")
        else:
            changed.append(f"changed:   {what}")
    return gained + lost + changed

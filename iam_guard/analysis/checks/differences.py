"""Differences: boxes of requests that one policy may allow and another does not.

Each Allow statement of the new policy is a box. What its Deny statements apply to is subtracted; then what the Allow
statements of the existing policy apply to. The rest, and what a Deny of the existing policy applies to, differs. No
difference is left out. One that is found may be empty only if it has variables or opaque conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iam_guard.analysis.checks.boxes import RESOURCE, Box, Region, meet, subtract
from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.spaces import Space
from iam_guard.analysis.checks.statement_forms import DocumentForm, StatementForm

EVERY_CALLER = -1


class PolicyDifference(NamedTuple):
    """Requests that the Allow `statement` of the new policy may allow and the existing policy does not.

    `statement` is None if the caller needs no statement.
    """

    box: Box
    statement: StatementForm | None


@dataclass(frozen=True)
class Side:
    """A policy as one side of a check.

    `callers` maps the id of a statement form to the callers it names, as bits; a form that it lacks names every caller.
    `always` are the requests that need no Allow; `free` are those that no Deny can deny either.
    """

    form: DocumentForm
    callers: dict[int, int] = field(default_factory=dict)
    always: tuple[Region, ...] = ()
    free: tuple[Region, ...] = ()

    def callers_of(self, statement: StatementForm) -> int:
        """Return the callers that a statement names, as bits."""
        return self.callers.get(id(statement), EVERY_CALLER)


def differences(existing: Side | None, new: Side, space: Space, start: Box, work: Work) -> Iterator[PolicyDifference]:
    """Yield all differences within a box; none means that the existing policy allows all that the new one does."""
    comparison = _Comparison(existing, new, space, work)
    for statement in new.form.allows:
        if comparison.has_same(statement):
            continue
        for box in space.begin(statement, start, new.callers_of(statement), work):
            yield from comparison.find(box, statement)
    for region in new.always:
        always = meet(start, region.literals, space, work)
        if always is not None:
            yield from comparison.find(always, None)


class _Comparison:
    def __init__(self, existing: Side | None, new: Side, space: Space, work: Work) -> None:
        self.existing, self.new, self.space, self.work = existing, new, space, work
        self.allows: Mapping[object, StatementForm] = {}
        self.denies: list[StatementForm] = []
        if existing is not None:
            self.allows = existing.form.allows_by_content
            self.denies = [deny for deny in existing.form.denies if deny.content not in new.form.denied_contents]

    def has_same(self, statement: StatementForm) -> bool:
        """Return whether an equal statement of the existing policy suffices: no Deny of it could apply."""
        same = self.allows.get(statement.content)
        if same is None or self.denies:
            return False
        self.work.covered.setdefault(statement.statement.index, set()).add((True, same.statement.index))
        return True

    def find(self, box: Box, statement: StatementForm | None) -> Iterator[PolicyDifference]:
        self.work.spend_box()
        same = None if statement is None else self.allows.get(statement.content)
        if statement is not None:
            covered = self.work.covered.setdefault(statement.statement.index, set())
            if same is not None:
                covered.add((True, same.statement.index))
        new_denies = [*_parts(self.new.free), *self._near(self.new, self.new.form.denies, statement)]
        allowed = [self._subtract([form], new_denies, statement) for form in _forms(box)]
        if same is None:
            parts = [*self._allows_near(statement)]
            for left in _least([self._subtract(boxes, parts, statement) for boxes in allowed]):
                yield PolicyDifference(left, statement)
        if self.existing is None or not self.denies:
            return
        for part in self._near(self.existing, self.denies, statement, wide=True):
            for met in _least([[*self._denied(boxes, part, new_denies, statement)] for boxes in allowed]):
                yield PolicyDifference(met, statement)

    def _allows_near(self, statement: StatementForm | None) -> Iterator[_Part]:
        """Yield what the existing policy allows of the services of a statement, the same place first."""
        if self.existing is None:
            return
        index = -1 if statement is None else statement.statement.index
        ordered = sorted(self.existing.form.allows, key=lambda allow: abs(allow.statement.index - index))
        yield from self._near(self.existing, ordered, statement)
        yield from _parts(self.existing.always)

    def _near(
        self, side: Side, statements: Iterable[StatementForm], other: StatementForm | None, *, wide: bool = False
    ) -> Iterator[_Part]:
        """Yield the regions of the statements that may be about services of another one."""
        services = None if other is None else other.services
        for statement in statements:
            if services is None or statement.services is None or not services.isdisjoint(statement.services):
                for region in self.space.regions(statement, wide=wide, callers=side.callers_of(statement)):
                    yield _Part(region, statement)

    def _denied(
        self, boxes: Iterable[Box], part: _Part, new_denies: Iterable[_Part], statement: StatementForm | None
    ) -> Iterator[Box]:
        """Yield what a Deny of the existing policy applies to of boxes that the new policy allows."""
        listed = None if part.statement is None else part.statement.resources
        opened = boxes if listed is not None and listed.is_negated else map(_opened, boxes)
        if part.statement is None or not part.statement.has_variables:
            met = [meet(box, part.region.literals, self.space, self.work) for box in opened]
            yield from (box for box in met if box is not None)
            return
        resources = [literal for literal in part.region.literals if literal.dimension == RESOURCE]
        others = [literal for literal in part.region.literals if literal.dimension != RESOURCE]
        equal = [deny for deny in new_denies if deny.statement is not None and deny.statement.lists_all(part.statement)]
        for box in opened:
            met_box = meet(box, others, self.space, self.work)
            if met_box is not None:
                for piece in self._subtract([met_box], equal, statement, within=part.statement):
                    denied = meet(piece, resources, self.space, self.work)
                    if denied is not None:
                        yield denied

    def _subtract(
        self,
        boxes: list[Box],
        parts: Iterable[_Part],
        statement: StatementForm | None,
        within: StatementForm | None = None,
    ) -> list[Box]:
        """Return what the parts leave of boxes whose requests an Allow applies to, and all those of `within` do."""
        for part in parts:
            if not boxes:
                break
            region = _without_implied(part, within or statement)
            left = [piece for box in boxes for piece in subtract(box, region, self.space, self.work)]
            if left != boxes and statement is not None and part.statement is not None:
                taken = (not part.statement.compiled.denies, part.region.statement)
                self.work.covered.setdefault(statement.statement.index, set()).add(taken)
            boxes = left
        return boxes


class _Part(NamedTuple):
    """A region, and its statement if it is that of one."""

    region: Region
    statement: StatementForm | None


def _parts(regions: Iterable[Region]) -> list[_Part]:
    return [_Part(region, None) for region in regions]


def _without_implied(part: _Part, statement: StatementForm | None) -> Region:
    """Return the region without the resources if a statement with variables lists the same, so that no box fails it."""
    if statement is None or part.statement is None:
        return part.region
    if not statement.has_variables or not part.statement.lists_all(statement):
        return part.region
    return part.region._replace(
        literals=tuple(literal for literal in part.region.literals if literal.dimension != RESOURCE)
    )


def _forms(box: Box) -> list[Box]:
    """Return a box, and if it has variables also the box with every text in place of them.

    Both have all requests. The first can be compared with the same variables, the second with other texts.
    """
    opened = _opened(box)
    return [box] if opened is box else [box, opened]


def _least(alternatives: list[list[Box]]) -> list[Box]:
    """Return the last of some lists, which all have the same requests; none if one of them is empty."""
    return alternatives[-1] if all(alternatives) else []


def _opened(box: Box) -> Box:
    resources = box.get(RESOURCE)
    return box if resources is None or resources.opened is resources else {**box, RESOURCE: resources.opened}

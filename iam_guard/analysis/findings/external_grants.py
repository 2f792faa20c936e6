"""What callers from outside are granted by a resource's policy: the fewest grants that cover all of it.

Strategy. A grant is one principal of one Allow statement with some of its actions; it has the boxes of requests that
the statement really grants (`external_grants`). Beginning with the narrowest, the actions are dropped that others cover
(`irredundant`). What is left is confirmed with a request that the evaluator allows (`confirming_request`). All requests
that are tried for one policy share a budget (`Work.requests`); without it, a short policy with many principals whose
conditions contradict each other is tried for minutes. What is not confirmed by then is reported, with an error.

If conditions or resources have variables with known values, the callers are divided by these, and each part has a space
of its own. A grant that depends on other variables is confirmed with values in their place, as in `comparison`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from iam_guard.analysis.checks.boxes import ACTION, OPAQUE, Box
from iam_guard.analysis.checks.callers import TypicalCaller
from iam_guard.analysis.checks.instances import KnownValues, known_values, with_values
from iam_guard.analysis.checks.judged_policies import IsAllowed
from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.statement_forms import DocumentForm, has_open_values
from iam_guard.analysis.checks.witnesses import simplest
from iam_guard.analysis.findings.external_space import ExternalQuestion, ExternalSpace
from iam_guard.analysis.findings.outside_callers import entry_account, outside_callers, outside_entries
from iam_guard.evaluation.matching.pattern import is_literal
from iam_guard.evaluation.matching.principal import Principals
from iam_guard.evaluation.matching.variables import variable_keys
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, ConditionTest, PrincipalEntry, Statement

_MAX_REQUESTS = 400
"""Up to this number of requests is tried to confirm a grant."""
_EVERYONE = ("AWS", "*")

Part: TypeAlias = tuple[ExternalSpace, Box]
"""A box, and the space that it is of."""


@dataclass(eq=False)
class ExternalGrant:
    """One principal of an Allow statement with some of its actions; `parts` are boxes of what it really grants.

    The boxes of all actions have the same callers, resources and conditions.
    """

    principal: PrincipalEntry
    actions: tuple[str, ...]
    written: Statement
    parts: list[Part]

    @cached_property
    def account(self) -> str | None:
        """The account of the principal; None for everyone, and for identity providers."""
        return entry_account(self.principal)

    @property
    def conditions(self) -> tuple[ConditionTest, ...]:
        """What the statement requires of condition keys, also as variables of all its resources."""
        entries = [(entry, variable_keys(entry, LATEST)) for entry in self.written.resources or ()]
        if not entries or not all(keys for _, keys in entries):
            return self.written.conditions
        variables = [ConditionTest("StringLike", key, (entry,)) for entry, keys in entries for key in keys]
        return (*self.written.conditions, *variables)

    def overlaps(self, actions: Sequence[str]) -> bool:
        """Return whether an action of the grant may be one of some actions, or match their wildcards."""
        space, _ = self.parts[0]
        matched = space.of_actions({}, self.actions)
        return matched is not None and space.of_actions(matched, actions) is not None

    @cached_property
    def rank(self) -> tuple[object, ...]:
        """The order: the wider a grant may be, the earlier."""
        kind, value = self.principal
        generality = 0 if value == "*" else 1 if kind == "AWS" and "/" not in value else 2
        conditions = sorted((test.operator, test.key.lower(), sorted(test.values)) for test in self.conditions)
        wildcards = min(map(_action_rank, self.actions))
        return generality, len(conditions), wildcards, kind, value, self.actions, conditions, self.written.index

    @cached_property
    def is_public(self) -> bool:
        """Whether everyone has it, without a condition that restricts access (rule AA-7)."""
        return self.principal == _EVERYONE and any(space.public_part(box) is not None for space, box in self.parts)

    @property
    def is_exact(self) -> bool:
        """Whether its boxes have neither variables nor opaque conditions, so that each has a request."""
        return not any(
            space.has_variables or any(dimension.startswith(OPAQUE) for dimension in box) for space, box in self.parts
        )

    @cached_property
    def excluded_conditions(self) -> tuple[ConditionTest, ...]:
        """The conditions of Deny statements that no request of it meets, although requests from outside can."""
        spaces = dict.fromkeys(space for space, _ in self.parts)
        denies = [deny for space in spaces for form in space.forms for deny in form.denies]
        tests = dict.fromkeys(test for deny in denies for test in deny.tests if not has_open_values(*test))
        return tuple(test[0] for test in tests if all(space.excludes(box, test) for space, box in self.parts))

    @cached_property
    def not_actions(self) -> tuple[str, ...]:
        """The actions, or patterns of them, that are not granted although `actions` match them."""
        if all(map(is_literal, self.actions)):
            return ()
        space, _ = self.parts[0]
        matched = space.of_actions({}, self.actions)
        listed: dict[str, None] = dict.fromkeys(self.written.not_actions or ())
        for form in space.forms:
            for deny in form.denies:
                listed.update(dict.fromkeys(deny.statement.actions or ()))
        near = [name for name in sorted(listed) if matched is not None and space.of_actions(matched, [name])]
        return tuple(name for name in near if all(part.of_actions(box, [name]) is None for part, box in self.parts))


def _action_rank(action: str) -> int:
    return 0 if action == "*" else 1 if not is_literal(action) else 2


def external_grants(
    forms: Sequence[DocumentForm], question: ExternalQuestion, work: Work, *, only: PrincipalEntry | None = None
) -> list[ExternalGrant]:
    """Return the grants to callers from outside that have a request, the widest first.

    `forms` are the policy, then the resource control policies; `only` is the one principal to look for. Raises
    `Undecided`.
    """
    spaces = [*_spaces(forms, question, work, only)]
    grants = []
    for form in forms[0].allows:
        outside = outside_entries(form.statement.principals or (), question.inside)
        entries = [entry for entry in outside if only in (None, entry)]
        for actions, parts in _by_actions(spaces, form.statement.index) if entries else ():
            for entry in entries:
                named = [(space, part) for space, box in parts if (part := space.of_entry(box, entry)) is not None]
                if named:
                    grants.append(ExternalGrant(entry, actions, form.statement, named))
    return sorted(grants, key=lambda grant: grant.rank)


def _by_actions(spaces: Iterable[ExternalSpace], index: int) -> Iterator[tuple[tuple[str, ...], list[Part]]]:
    """Yield the actions of a statement, and the boxes about them; those whose boxes are else alike together."""
    by_action: dict[str, list[Part]] = {}
    for space in spaces:
        statement = space.statement(index)
        boxes = [*space.boxes(statement)]
        for action in dict.fromkeys(statement.statement.actions or ("*",)) if boxes else ():
            pieces = [piece for box in boxes if (piece := space.of_actions(box, [action])) is not None]
            for name, about in space.narrowed(action, pieces) or [(action, pieces)]:
                by_action.setdefault(name, []).extend((space, piece) for piece in about)
    alike: dict[tuple[object, ...], list[str]] = {}
    for action, parts in by_action.items():
        others = [(id(space), frozenset((name, box[name]) for name in box if name != ACTION)) for space, box in parts]
        if parts:
            alike.setdefault(tuple(others), []).append(action)
    for actions in alike.values():
        merged = zip(*(by_action[action] for action in actions), strict=True)
        yield tuple(sorted(actions)), [(same[0][0], _joined([box for _, box in same])) for same in merged]


def _joined(boxes: Sequence[Box]) -> Box:
    """Return the box of boxes that differ by their actions alone."""
    actions = boxes[0][ACTION]
    for box in boxes[1:]:
        actions = actions.join(box[ACTION])
    return {**boxes[0], ACTION: actions}


def _spaces(
    forms: Sequence[DocumentForm], question: ExternalQuestion, work: Work, only: PrincipalEntry | None
) -> Iterator[ExternalSpace]:
    """Yield a space for the callers whose variables have the same known values, in place of the variables."""
    variables = frozenset(key for form in forms for key in form.variables)
    if variables:
        forms = _filled(forms, question.owner_values)
    callers = outside_callers(forms, question.arn, question.owner, question.inside)
    by_values: dict[KnownValues, list[TypicalCaller]] = {}
    named = None if only is None else Principals((only,))
    for caller in callers if named is None else [caller for caller in callers if named.match(caller.principal)]:
        by_values.setdefault(known_values(caller, variables), []).append(caller)
    for values, alike in by_values.items():
        yield ExternalSpace(question, _filled(forms, dict(values)) if values else forms, alike, work)


def _filled(forms: Sequence[DocumentForm], values: Mapping[str, str | None]) -> list[DocumentForm]:
    return [DocumentForm(with_values(form.document, values)) for form in forms]


def irredundant(grants: Sequence[ExternalGrant]) -> list[ExternalGrant]:
    """Return the grants that are left if, beginning with the last, each action is dropped that the others cover.

    If that is too much work, more are left.
    """
    kept, work = [*grants], Work()
    for index in reversed(range(len(grants))):
        grant = grants[index]
        others = [other for other in kept if other is not grant and _may_cover(other, grant)]
        try:
            left = _needed_actions(grant, others, work)
        except Undecided:
            break
        kept[index : index + 1] = [_limited(grant, left)] if left else []
    return kept


def _may_cover(other: ExternalGrant, grant: ExternalGrant) -> bool:
    if other.account is not None and other.account != grant.account:
        return False
    return any(
        space.callers_of(other.principal) & space.callers_of(grant.principal) for space, _ in grant.parts
    ) and other.overlaps(grant.actions)


def _needed_actions(grant: ExternalGrant, others: Sequence[ExternalGrant], work: Work) -> tuple[str, ...]:
    left = [*grant.actions]
    has_overlap = len({action.lower() for action in left}) < len(left) or not all(map(is_literal, left))
    for action in sorted(left, key=lambda name: (_action_rank(name), name), reverse=True):
        rest = [name for name in left if name != action]
        if (has_overlap and rest) or others:
            parts = [(space, piece) for space, box in grant.parts if (piece := space.of_actions(box, [action]))]
            if all(_is_covered(space, box, rest, others, work) for space, box in parts):
                left = rest
    return tuple(left)


def _is_covered(
    space: ExternalSpace, box: Box, rest: Sequence[str], others: Iterable[ExternalGrant], work: Work
) -> bool:
    boxes = space.without([box], space.about(rest), work) if rest else [box]
    for other in others:
        if not boxes:
            return True
        for region in space.granted(other.written.index, other.principal, other.actions):
            boxes = space.without(boxes, region, work)
    return not boxes


def _limited(grant: ExternalGrant, actions: tuple[str, ...]) -> ExternalGrant:
    """Return a grant with some of its actions."""
    if actions == grant.actions:
        return grant
    parts = [(space, piece) for space, box in grant.parts if (piece := space.of_actions(box, actions)) is not None]
    return ExternalGrant(grant.principal, actions, grant.written, parts)


# --- confirmation ------------------------------------------------------------------------------------------------


def confirming_request(grant: ExternalGrant, is_allowed: IsAllowed) -> AccessRequest | None:
    """Return a request of a grant that `is_allowed` confirms; None if none was found within the limits."""
    try:
        found = (_confirmed(space, box, is_allowed) for space, box in grant.parts)
        request = next(filter(None, found), None)
        return request if request is not None or grant.is_exact else _of_instances(grant, is_allowed)
    except Undecided:
        return None


def _confirmed(space: ExternalSpace, box: Box, is_allowed: IsAllowed) -> AccessRequest | None:
    def is_witness(request: AccessRequest) -> bool:
        return is_allowed(request) and space.is_from_outside(request)

    def is_simpler(request: AccessRequest) -> bool:
        space.work.spend_requests()
        return is_witness(request)

    for request in islice(space.requests(box), _MAX_REQUESTS):
        if is_witness(request):
            return simplest(request, is_simpler)
    return None


def _of_instances(grant: ExternalGrant, is_allowed: IsAllowed) -> AccessRequest | None:
    """Return a request of a grant with values in place of its variables."""
    for space in dict.fromkeys(space for space, _ in grant.parts):
        for part in space.instances():
            for box in part.boxes(part.statement(grant.written.index)):
                space.work.spend_requests()
                named = part.of_entry(box, grant.principal)
                piece = None if named is None else part.of_actions(named, grant.actions)
                found = None if piece is None else _confirmed(part, piece, is_allowed)
                if found is not None:
                    return found
    return None

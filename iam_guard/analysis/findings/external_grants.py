"""What callers from outside are granted by a resource's policy: the fewest grants that cover all of it.

Strategy. A grant is one principal of one Allow statement with one of its actions; it has the boxes of requests that the
statement really grants (`external_grants`). Beginning with the narrowest, those are dropped that the others cover
(`irredundant`). What is left is confirmed with a request that the evaluator allows (`confirming_request`).

If conditions or resources have variables with known values, the callers are divided by these, and each part has a space
of its own. A grant that depends on other variables is confirmed with values in their place, as in `comparison`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from iam_guard.analysis.checks.boxes import OPAQUE, Box
from iam_guard.analysis.checks.callers import TypicalCaller
from iam_guard.analysis.checks.instances import KnownValues, instances, keys_of_variables, known_values, with_values
from iam_guard.analysis.checks.judged_policies import IsAllowed
from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.statement_forms import DocumentForm, StatementForm, Test, has_open_values
from iam_guard.analysis.checks.witnesses import simplest
from iam_guard.analysis.findings.external_space import ExternalQuestion, ExternalSpace
from iam_guard.analysis.findings.outside_callers import outside_callers, outside_entries
from iam_guard.analysis.findings.resource_variables import values_for
from iam_guard.evaluation.matching.pattern import is_literal
from iam_guard.evaluation.matching.variables import variable_keys
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, ConditionTest, PrincipalEntry, Statement

_MAX_REQUESTS = 400
"""Up to this number of requests is tried to confirm a grant."""
_EVERYONE = ("AWS", "*")


@dataclass(eq=False)
class ExternalGrant:
    """One principal of an Allow statement with one of its actions; `parts` are boxes of what it really grants."""

    principal: PrincipalEntry
    action: str
    written: Statement
    parts: list[tuple[ExternalSpace, Box]] = field(default_factory=list)

    @property
    def statement(self) -> int:
        """The index of the statement."""
        return self.written.index

    @property
    def conditions(self) -> tuple[ConditionTest, ...]:
        """What the statement requires of condition keys, also as variables of all its resources."""
        entries = [(entry, variable_keys(entry, LATEST)) for entry in self.written.resources or ()]
        if not entries or not all(keys for _, keys in entries):
            return self.written.conditions
        variables = [ConditionTest("StringLike", key, (entry,)) for entry, keys in entries for key in keys]
        return (*self.written.conditions, *variables)

    def overlaps(self, actions: Iterable[str]) -> bool:
        """Return whether an action of the grant may be one of some actions, or match their wildcards."""
        space, _ = self.parts[0]
        matched = space.of_action({}, self.action)
        return matched is not None and any(space.of_action(matched, action) is not None for action in actions)

    @property
    def rank(self) -> tuple[object, ...]:
        """The order: the wider a grant may be, the earlier."""
        kind, value = self.principal
        generality = 0 if value == "*" else 1 if kind == "AWS" and "/" not in value else 2
        conditions = sorted((test.operator, test.key.lower(), sorted(test.values)) for test in self.conditions)
        wildcards = 0 if self.action == "*" else 1 if not is_literal(self.action) else 2
        texts = kind, value, self.action.lower(), self.action
        return generality, len(conditions), wildcards, *texts, conditions, self.statement

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
        """The actions, or patterns of them, that are not granted although `action` matches them."""
        if is_literal(self.action):
            return ()
        space, _ = self.parts[0]
        listed: dict[str, None] = dict.fromkeys(self.written.not_actions or ())
        for form in space.forms:
            for deny in form.denies:
                listed.update(dict.fromkeys(deny.statement.actions or ()))
        return tuple(action for action in sorted(listed) if self._excludes_action(space, action))

    def _excludes_action(self, space: ExternalSpace, action: str) -> bool:
        matched = space.of_action({}, self.action)
        is_near = matched is not None and space.of_action(matched, action) is not None
        return is_near and all(part.of_action(box, action) is None for part, box in self.parts)


def external_grants(forms: Sequence[DocumentForm], question: ExternalQuestion, work: Work) -> list[ExternalGrant]:
    """Return the grants to callers from outside that have a request, the widest first.

    `forms` are the policy, then the resource control policies. Raises `Undecided`.
    """
    written = {form.statement.index: form.statement for form in forms[0].allows}
    grants: dict[tuple[int, PrincipalEntry, str], ExternalGrant] = {}
    for space in _spaces(forms, question, work):
        for statement in space.policy.allows:
            boxes = [*space.boxes(statement)]
            for entry in outside_entries(statement.statement.principals or (), question.inside) if boxes else ():
                parts = [part for box in boxes if (part := space.of_entry(box, entry)) is not None]
                for action, pieces in _by_action(space, statement, parts):
                    index = statement.statement.index
                    grant = grants.setdefault((index, entry, action), ExternalGrant(entry, action, written[index]))
                    grant.parts += [(space, piece) for piece in pieces]
    return sorted(grants.values(), key=lambda grant: grant.rank)


def _by_action(space: ExternalSpace, statement: StatementForm, parts: list[Box]) -> Iterator[tuple[str, list[Box]]]:
    """Yield each action of a statement, and the boxes about it."""
    if not parts:
        return
    actions = statement.statement.actions
    for action in ("*",) if actions is None else dict.fromkeys(actions):
        pieces = parts
        if actions is not None and len(actions) > 1:
            pieces = [piece for box in parts if (piece := space.of_action(box, action)) is not None]
        if pieces:
            narrower = space.narrowed(action, pieces)
            yield from narrower or ((action, pieces),)


def _spaces(forms: Sequence[DocumentForm], question: ExternalQuestion, work: Work) -> Iterator[ExternalSpace]:
    """Yield a space for the callers whose variables have the same known values, in place of the variables."""
    variables = frozenset(key for form in forms for key in keys_of_variables(form.document))
    if variables:
        forms = _filled(forms, question.owner_values)
    callers = outside_callers(forms, question.owner, question.inside)
    by_values: dict[KnownValues, list[TypicalCaller]] = {}
    for caller in callers:
        by_values.setdefault(known_values(caller, variables), []).append(caller)
    for values, alike in by_values.items():
        yield ExternalSpace(question, _filled(forms, dict(values)) if values else forms, alike, work)


def _filled(forms: Sequence[DocumentForm], values: Mapping[str, str | None]) -> list[DocumentForm]:
    return [DocumentForm(with_values(form.document, values)) for form in forms]


def irredundant(grants: Sequence[ExternalGrant]) -> list[ExternalGrant]:
    """Return the grants that are left if, beginning with the last, each is dropped that the others cover."""
    kept = [*grants]
    for grant in reversed(grants):
        others = [other for other in kept if other is not grant and _may_cover(other, grant)]
        if others and all(_is_covered(space, box, others) for space, box in grant.parts):
            kept.remove(grant)
    return kept


def _may_cover(other: ExternalGrant, grant: ExternalGrant) -> bool:
    if other.principal not in (_EVERYONE, grant.principal) and grant.principal[0] != "AWS":
        return False
    are_literal = is_literal(other.action) and is_literal(grant.action)
    return not are_literal or other.action.lower() == grant.action.lower()


def _is_covered(space: ExternalSpace, box: Box, others: Iterable[ExternalGrant]) -> bool:
    boxes = [box]
    for other in others:
        for region in space.granted(other.statement, other.principal, other.action):
            boxes = space.without(boxes, region)
        if not boxes:
            return True
    return False


# --- confirmation ------------------------------------------------------------------------------------------------


def confirming_request(grants: Iterable[ExternalGrant], is_allowed: IsAllowed) -> AccessRequest | None:
    """Return a request of the first of some grants that has one which `is_allowed` confirms; None if there is none."""
    try:
        for grant in grants:
            for space, box in grant.parts:
                found = _confirmed(space, box, is_allowed)
                if found is not None:
                    return found
        return next(filter(None, (_of_instances(grant, is_allowed) for grant in grants if not grant.is_exact)), None)
    except Undecided:
        return None


def _confirmed(space: ExternalSpace, box: Box, is_allowed: IsAllowed) -> AccessRequest | None:
    def is_witness(request: AccessRequest) -> bool:
        return is_allowed(request) and space.is_from_outside(request)

    for request in islice(space.requests(box), _MAX_REQUESTS):
        if is_witness(request):
            return simplest(request, is_witness)
    return None


def _of_instances(grant: ExternalGrant, is_allowed: IsAllowed) -> AccessRequest | None:
    """Return a request of a grant with values in place of its variables."""
    for space in dict.fromkeys(space for space, _ in grant.parts):
        for forms, tests in _instances(space):
            part = ExternalSpace(space.question, forms, space.callers, space.work, tests)
            for box in part.boxes(part.statement(grant.statement)):
                named = part.of_entry(box, grant.principal)
                piece = None if named is None else part.of_action(named, grant.action)
                found = None if piece is None else _confirmed(part, piece, is_allowed)
                if found is not None:
                    return found
    return None


def _instances(space: ExternalSpace) -> Iterator[tuple[list[DocumentForm], tuple[Test, ...]]]:
    """Yield the policies with values in place of variables: those that match the resource, then typical ones."""
    written = (space.written, *space.rcps)
    for values in values_for(space.written, space.question.arn):
        tests = tuple((ConditionTest("StringEquals", key, (value,)), LATEST) for key, value in values.items())
        yield _filled(written, values), tests
    for instance in instances(written):
        yield [DocumentForm(document) for document in instance.documents], instance.tests

"""Compare what two documents allow: a proof that one allows no more than the other, or a request that shows it does.

Strategy. `differences` finds boxes of requests, without leaving any out: none proves that there is no such request. A
request from a box is a witness if the evaluator allows it with the new document and not with the existing one. If a box
has variables, their keys get values, and the documents are compared again. What still has neither is undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from iam_guard.analysis.checks.boxes import ACTION, CALLER, KEY, RESOURCE, Box, Literal, Negated, Region, meet
from iam_guard.analysis.checks.caller_keys import OF_PRINCIPAL, caller_tests, derived_keys, letters_of, typed_tests
from iam_guard.analysis.checks.callers import (
    TypicalCaller,
    accounts_of,
    identity_callers,
    partitions_of,
    resource_callers,
    side_of,
)
from iam_guard.analysis.checks.differences import PolicyDifference, Side, differences
from iam_guard.analysis.checks.instances import (
    KnownValues,
    instances,
    known_values,
    values_in_resources,
    with_values,
)
from iam_guard.analysis.checks.judged_policies import IsAllowed, judge
from iam_guard.analysis.checks.key_sets import ABSENT, Constant, KeyCondition, PointTest, TextTest
from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.spaces import Space
from iam_guard.analysis.checks.statement_forms import ANY_RESOURCE, DocumentForm, Test, form_of
from iam_guard.analysis.checks.text_sets import TextSet, TextUnion
from iam_guard.analysis.checks.witnesses import Witnesses, simplest
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Pattern, Wildcard, is_literal
from iam_guard.evaluation.special_actions import NO_PERMISSION
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Statement

_MAX_DIFFERENCES = 100
"""Up to this number of differences is searched for a witness."""
_MAX_VARIED, _MAX_SAMPLES = 8, 3
"""Up to this number of differences without a witness gives values to variables, and of texts from each set."""


@dataclass(frozen=True)
class Query:
    """Which requests a comparison is about.

    `excluded` are conditions that no request may meet; `is_about` selects callers; `catalogue` has all actions there
    are, None for any; `names` are other actions whose spelling a witness should have.
    """

    actions: TextUnion | None = None
    resources: TextUnion | None = None
    excluded: tuple[Test, ...] = ()
    is_about: Callable[[TypicalCaller], bool] = lambda _: True
    catalogue: tuple[str, ...] | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Witness:
    """A witness, and the statement of the new document that allows it (None if it needs none)."""

    request: AccessRequest
    statement: Statement | None


@dataclass(frozen=True)
class StatementCover:
    """Why an Allow statement of the new document adds nothing: what takes away all its requests.

    These are Allow statements of the existing document and Deny statements of the new one, by their indexes.
    """

    statement: int
    allowed_by: tuple[int, ...]
    denied_by: tuple[int, ...]


@dataclass(frozen=True)
class Compared:
    """A witness; or None, and the cover of every Allow statement of the new document that could be about the query."""

    witness: Witness | None
    cover: tuple[StatementCover, ...] = ()


EVERY_REQUEST = Query()


def compare(existing: CompiledDocument | None, new: CompiledDocument, query: Query = EVERY_REQUEST) -> Compared:
    """Search for a request that `new` allows and `existing` does not; without `existing`, for one that `new` allows.

    Raises `Undecided`.
    """
    work = Work()
    forms = [form_of(document) for document in (existing, new) if document is not None]
    judges = [judge(document) for document in (existing, new) if document is not None]

    def is_witness(request: AccessRequest) -> bool:
        return judges[-1](request) and (existing is None or not judges[0](request))

    found, differing = _search(forms, query, (), is_witness, work)
    if found is not None or not differing:
        return Compared(found, () if found is not None else tuple(_cover(work)))
    work = Work()  # for all instances together
    for instance in instances(forms, _values(forms, differing, work)):
        filled = [DocumentForm(document) for document in instance.documents]
        found, _ = _search(filled, query, instance.tests, is_witness, work)
        if found is not None:
            return Compared(found)
    raise Undecided("a difference may exist, but no request was found that confirms it")


def cover_or_boxes(
    forms: Sequence[DocumentForm], query: Query, work: Work, most: int
) -> tuple[tuple[StatementCover, ...], list[Box]]:
    """Return the cover that proves that the last form allows no more than the first; or boxes that may differ.

    There are up to `most` boxes. Raises `Undecided`.
    """
    found = (
        difference.box
        for groups in divided(CallerGroups(forms, query, ()))
        for difference, _ in groups.differences(work)
    )
    boxes = [*islice(found, most)]
    return () if boxes else tuple(_cover(work)), boxes


def _cover(work: Work) -> Iterator[StatementCover]:
    for statement, taken in sorted(work.covered.items()):
        allowed_by = tuple(sorted(index for is_allow, index in taken if is_allow))
        yield StatementCover(statement, allowed_by, tuple(sorted(index for is_allow, index in taken if not is_allow)))


def _values(forms: Sequence[DocumentForm], boxes: Sequence[Box], work: Work) -> dict[str, dict[str, None]]:
    """Return some values that the variables of the documents have in boxes."""
    resources: dict[str, None] = {}
    for box in boxes[:_MAX_VARIED]:
        texts: TextSet = box.get(RESOURCE, ANY_RESOURCE)
        resources.update(dict.fromkeys(islice(texts.samples(work), _MAX_SAMPLES)))
    found = values_in_resources(forms, [*resources])
    for key in {key for form in forms for key in form.variables}:
        for values in (box[KEY + key].one for box in boxes[:_MAX_VARIED] if KEY + key in box):
            if isinstance(values, TextSet):
                found.setdefault(key, {}).update(dict.fromkeys(islice(values.samples(work), _MAX_SAMPLES)))
    return found


def _search(
    forms: Sequence[DocumentForm], query: Query, tests: tuple[Test, ...], is_witness: IsAllowed, work: Work
) -> tuple[Witness | None, list[Box]]:
    """Return a witness, and the boxes of some differences; none if there is no difference."""
    differing: list[Box] = []
    has_variables = any(form.variables for form in forms)
    unusual: Witness | None = None
    for groups in divided(CallerGroups(forms, query, tests)):
        for difference, group in islice(groups.differences(work), _MAX_DIFFERENCES):
            differing.append(difference.box)
            request = groups.witness(difference, group, is_witness, work)
            if request is not None:
                statement = difference.statement
                found = Witness(request, None if statement is None else statement.statement)
                if request.principal.arn.count(":") <= ARN_FIELDS - 1:
                    return found, differing
                unusual = unusual or found  # a colon in a path, which is possible
            elif has_variables and len(differing) == _MAX_VARIED:
                return unusual, differing
    return unusual, differing


def divided(groups: CallerGroups) -> Iterator[CallerGroups]:
    """Yield the groups with callers whose variables have the same known values, in place of the variables."""
    if not groups.variables:
        yield groups
        return
    by_values: dict[KnownValues, list[int]] = {}
    for index in groups.indexes:
        by_values.setdefault(known_values(groups.callers[index], groups.variables), []).append(index)
    for values, indexes in by_values.items():
        if not values:
            yield replace(groups, indexes=tuple(indexes))
        else:
            filled = tuple(DocumentForm(with_values(form.document, dict(values))) for form in groups.forms)
            yield replace(groups, forms=filled, indexes=tuple(indexes))


@dataclass
class CallerGroups:
    """Callers in groups whose keys and owners are alike, and the space of requests that all groups share."""

    forms: Sequence[DocumentForm]
    query: Query
    tests: tuple[Test, ...]
    indexes: tuple[int, ...] = ()
    callers: Sequence[TypicalCaller] = ()

    def __post_init__(self) -> None:
        forms, query = self.forms, self.query
        self.tests = tuple(dict.fromkeys((*self.tests, *typed_tests(forms))))
        self.variables = frozenset(key for form in forms for key in form.variables)
        required = [test[0].key.lower() for test in (*self.tests, *query.excluded)]
        self.derived = derived_keys(forms, (*required, *self.variables))
        self.is_identity = forms[-1].document.type is PolicyType.IDENTITY
        self.named, self.letters = accounts_of(forms), letters_of(forms)
        partitions = partitions_of(forms, asked=query.resources)
        if not self.callers:
            self.callers = (
                [*identity_callers(self.named, partitions, by_account=bool(self.derived))]
                if self.is_identity
                else resource_callers(forms, self.named, partitions, asked=query.resources)
            )
            self.indexes = tuple(index for index, caller in enumerate(self.callers) if query.is_about(caller))

    @cached_property
    def space(self) -> Space:
        """The space of requests."""
        catalogue = self.query.catalogue
        caller_conditions = {test for index in self.indexes for test in self._caller_tests(self.callers[index])}
        return Space(
            self.forms,
            (*self.tests, *self.query.excluded, *caller_conditions),
            None if catalogue is None else frozenset(map(str.lower, catalogue)),
            len(self.callers),
        )

    @cached_property
    def actions(self) -> dict[str, str]:
        """The names of actions in the spelling that a witness should have, by their lower case."""
        names = (*(self.query.catalogue or ()), *self.query.names)
        found = {name.lower(): name for name in names if is_literal(name)}
        for form in self.forms:
            found.update(form.action_names)
        return found

    def _caller_tests(self, caller: TypicalCaller) -> Iterator[Test]:
        return caller_tests(caller, self.derived, self.named, self.letters)

    def differences(self, work: Work) -> Iterator[tuple[PolicyDifference, tuple[int, ...]]]:
        """Yield all differences, each with its group."""
        for group in self.all():
            start = self.start(group, work)
            if start is not None:
                sides = [self.side(form) for form in self.forms]
                existing = sides[0] if len(sides) > 1 else None
                for difference in differences(existing, sides[-1], self.space, start, work):
                    yield difference, group

    def all(self) -> Iterator[tuple[int, ...]]:
        """Yield the groups: indexes of callers."""
        if self.derived:
            yield from ((index,) for index in self.indexes)
            return
        for owner in dict.fromkeys(self.callers[index].owner for index in self.indexes):
            yield tuple(index for index in self.indexes if self.callers[index].owner == owner)

    def start(self, group: tuple[int, ...], work: Work) -> Box | None:
        """Return the box of all requests of a group."""
        return meet({}, self.start_literals(group), self.space, work)

    def start_literals(self, group: tuple[int, ...]) -> list[Literal]:
        """Return what all requests of a group meet."""
        first = self.callers[group[0]]
        literals = [Literal(CALLER, PointTest(_bits(group)))]
        tests = [*self._caller_tests(first)] if self.derived else []
        one_text = KeyCondition(ABSENT, Constant(True), None, False)
        literals += [Literal(KEY + key, one_text) for key in sorted(self.derived & OF_PRINCIPAL)]
        literals += map(self.space.condition, (*tests, *self.tests))
        literals += [
            Literal(dimension, Negated(test)) for dimension, test in map(self.space.condition, self.query.excluded)
        ]
        if self.query.actions is not None:
            literals.append(Literal(ACTION, TextTest(((self.query.actions, True),))))
        if self.query.resources is not None:
            literals.append(Literal(RESOURCE, TextTest(((self.query.resources, True),))))
        if not self.is_identity or self.derived:
            others = [_owned_by(account) for account in self.named if account != first.owner]
            literals.append(Literal(RESOURCE, TextTest(((TextUnion(others), False),))))
        return literals

    def side(self, form: DocumentForm) -> Side:
        """Return a document as a side of the comparison."""
        is_compared = len(self.forms) > 1
        if self.is_identity:
            return Side(form, free=(_NO_PERMISSION,) if is_compared else ())
        side = side_of(form, self.callers)
        if not is_compared:
            return side
        roots = _bits(
            index
            for index, caller in enumerate(self.callers)
            if caller.principal.type is PrincipalType.ROOT and caller.is_in_account
        )
        signed = _bits(
            index for index, caller in enumerate(self.callers) if caller.principal.type is not PrincipalType.ANONYMOUS
        )
        free = Region((Literal(CALLER, PointTest(signed)), *_NO_PERMISSION.literals), None, -1)
        return Side(form, side.callers, tuple(_root_regions(roots)) if roots else (), (free,))

    def witness(
        self, difference: PolicyDifference, group: tuple[int, ...], is_witness: IsAllowed, work: Work
    ) -> AccessRequest | None:
        """Return a request of a difference that the evaluator confirms; None if there is none."""
        named = self.named if self.derived or not self.is_identity else ()
        witnesses = Witnesses(self.space, work, self.actions, named, of_resource=not self.is_identity)
        callers = difference.box.get(CALLER, _bits(group))
        for index in group:
            if callers >> index & 1:
                for request in witnesses.requests(difference.box, self.callers[index]):
                    if is_witness(request):
                        return simplest(request, is_witness)
        return None


def _bits(indexes: Iterable[int]) -> int:
    return sum(1 << index for index in indexes)


_NO_PERMISSION = Region(
    (Literal(ACTION, TextTest(((TextUnion((action,) for action in NO_PERMISSION), True),))),), frozenset({"sts"}), -1
)
"""What every caller with credentials may do, whatever the policies are (rule E-66)."""

_RUN, _IN_FIELD = Wildcard.RUN, Wildcard.RUN_IN_FIELD


def _owned_by(account: str) -> Pattern:
    """Return the pattern of the ARNs with an account."""
    return ("arn:", _IN_FIELD, ":", _IN_FIELD, ":", _IN_FIELD, f":{account}:", _RUN)


def _of_type(service: str, beginning: str) -> Pattern:
    return ("arn:", _IN_FIELD, f":{service}:", _IN_FIELD, ":", _IN_FIELD, f":{beginning}", _RUN)


_TRUST_ACTIONS = TextUnion([("sts:assumerole", _IN_FIELD), ("sts:tagsession",), ("sts:setsourceidentity",)])
_KEY_ACTIONS = TextUnion([("kms:", _IN_FIELD)])


def _root_regions(roots: int) -> Iterator[Region]:
    """Yield what the root user may do with resources of its account (E-63), except those that need a policy (E-40)."""
    callers = Literal(CALLER, PointTest(roots))
    parts = [(_TRUST_ACTIONS, _of_type("iam", "role/")), (_KEY_ACTIONS, _of_type("kms", "key/"))]
    others = tuple((actions, False) for actions, _ in parts)
    yield Region((callers, Literal(ACTION, TextTest(others))), None, -1)
    for actions, resource in parts:
        not_special = TextTest(((TextUnion([resource]), False),))
        yield Region((callers, Literal(ACTION, TextTest(((actions, True),))), Literal(RESOURCE, not_special)), None, -1)

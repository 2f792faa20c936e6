"""The requests from outside of a zone of trust to one resource, and what each Allow statement of its policy grants.

A statement grants boxes of requests (`boxes`): those of its actions, callers and conditions, of callers from outside,
without what a Deny of the policy or of a resource control policy applies to, and without requests that are inside.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from iam_guard.analysis.checks.boxes import ACTION, CALLER, RESOURCE, Box, Literal, Negated, Region, meet, subtract
from iam_guard.analysis.checks.caller_keys import caller_tests, derived_keys, letters_of, typed_tests
from iam_guard.analysis.checks.callers import TypicalCaller, accounts_of, side_of
from iam_guard.analysis.checks.differences import Side, differences
from iam_guard.analysis.checks.instances import Instance, instances, values_in_resources
from iam_guard.analysis.checks.key_sets import PointTest, TextTest
from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.public_access import is_outsider, restrictions
from iam_guard.analysis.checks.spaces import Space
from iam_guard.analysis.checks.statement_forms import DocumentForm, StatementForm, Test, action_union, resource_union
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.analysis.checks.witnesses import Witnesses
from iam_guard.analysis.findings.outside_callers import distinguished_accounts, entry_account, inside_tests
from iam_guard.analysis.findings.resource_variables import with_open_resources
from iam_guard.evaluation.matching.condition import Condition, compile_condition
from iam_guard.evaluation.matching.condition_keys import is_multivalued
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, is_literal, literal_prefix
from iam_guard.evaluation.matching.principal import Principals
from iam_guard.evaluation.rcp_services import rcp_applies_to
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ANY_PRINCIPAL, LATEST, ConditionTest, PrincipalEntry

FEDERATION_ACTIONS = ("sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity")
"""What callers of identity providers can call (rule G-48)."""
TRUST_ACTIONS = frozenset({*FEDERATION_ACTIONS, "sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"})
"""The actions whose resource is a role, which a trust policy is about (rule E-42)."""
_WITHOUT_RCP = TextUnion([("kms:retiregrant",)])


@dataclass(frozen=True)
class ExternalQuestion:
    """Whose access is looked for: that of callers outside of `inside` and `organization`, to a resource of `owner`."""

    arn: str
    owner: str
    kind: PolicyType
    inside: frozenset[str]
    organization: str | None
    is_blocked: bool = False
    """Whether a level of resource control policies allows nothing (rule E-13)."""

    @property
    def owner_values(self) -> dict[str, str | None]:
        """The condition keys that the owner of the resource determines, in lower case."""
        found: dict[str, str | None] = {"aws:resourceaccount": self.owner}
        return found if self.organization is None else {**found, "aws:resourceorgid": self.organization}


class ExternalSpace:
    """What some callers from outside are granted. `forms` are the policy, then the organization's policies.

    `tests` are conditions that all requests meet.
    """

    def __init__(
        self,
        question: ExternalQuestion,
        forms: Sequence[DocumentForm],
        callers: Sequence[TypicalCaller],
        work: Work,
        tests: Sequence[Test] = (),
    ) -> None:
        self.question, self.callers, self.work = question, callers, work
        self.written, self.rcps = forms[0], tuple(forms[1:])
        self.policy = with_open_resources(self.written, question.arn)
        self.forms = forms = (self.policy, *self.rcps)
        keys = {key for form in forms for key in form.tests}
        distinguished = distinguished_accounts(forms, question.inside)
        self.inside = inside_tests(keys, distinguished, question.organization)
        self.tests = tuple(dict.fromkeys((*tests, *typed_tests(forms), *_owner_tests(question, keys))))
        variables = {key for form in (self.written, *self.rcps) for key in form.variables}
        self.has_variables = bool(variables)
        required = {test.key.lower() for test, _ in (*self.tests, *self.inside)}
        self.derived = derived_keys(forms, (*required, *variables))
        self.tests += tuple(_not_empty(key) for key in sorted(self.derived) if not is_multivalued(key))
        self.named = tuple(sorted({*accounts_of(forms), *distinguished, question.owner}))
        of_forms = [test for form in forms for test in restrictions(form)] if _is_for_everyone(self.policy) else []
        self.restrictions = tuple(dict.fromkeys(of_forms))
        self._callers_of = side_of(self.policy, callers).callers
        self._named: dict[PrincipalEntry, int] = {}
        self._boxes: dict[int, list[Box]] = {}
        self._compiled: dict[Test, Condition] = {}
        self._instances: list[ExternalSpace] = []

    @cached_property
    def groups(self) -> dict[tuple[Test, ...], int]:
        """The callers as bits, by the conditions that all their requests meet."""
        letters = letters_of(self.forms) if self.derived else ""
        found: dict[tuple[Test, ...], int] = {}
        for index, caller in enumerate(self.callers):
            tests = tuple(caller_tests(caller, self.derived, self.named, letters)) if self.derived else ()
            found[tests] = found.get(tests, 0) | 1 << index
        return found

    @cached_property
    def space(self) -> Space:
        """The space of requests."""
        is_trust = self.question.kind is PolicyType.TRUST
        of_callers = [test for tests in self.groups for test in tests]
        return Space(
            self.forms,
            (*self.tests, *self.inside, *of_callers, *self.restrictions),
            frozenset(map(str.lower, TRUST_ACTIONS)) if is_trust else None,
            len(self.callers),
        )

    @cached_property
    def starts(self) -> list[Box]:
        """The boxes of all requests from outside, one for each group of callers."""
        shared = [
            Literal(RESOURCE, TextTest(((self._resources(), True),))),
            *map(self.space.condition, self.tests),
            *map(self._excluded, self.inside),
        ]
        boxes = []
        federated = self._of_type(PrincipalType.FEDERATED)
        for tests, bits in self.groups.items():
            literals = (*map(self.space.condition, tests), *shared)
            with_federation = Literal(ACTION, TextTest(((action_union(FEDERATION_ACTIONS), True),)))
            for some, more in ((bits & ~federated, ()), (bits & federated, (with_federation,))):
                box = meet({}, (Literal(CALLER, PointTest(some)), *more, *literals), self.space, self.work)
                if box is not None:
                    boxes.append(box)
        return boxes

    def _of_type(self, kind: PrincipalType) -> int:
        return sum(1 << index for index, caller in enumerate(self.callers) if caller.principal.type is kind)

    def _excluded(self, test: Test) -> Literal:
        dimension, condition = self.space.condition(test)
        return Literal(dimension, Negated(condition))

    def _resources(self) -> TextUnion:
        """Return the resource and what is below it; one resource for each kind if the entries distinguish no others."""
        arn = self.question.arn
        if self.question.kind is PolicyType.TRUST:
            return TextUnion([(arn,)])
        entries = [
            entry
            for form in (*self.policy.statements, *(deny for rcp in self.rcps for deny in rcp.denies))
            for entry in (*(form.statement.resources or ()), *(form.statement.not_resources or ()))
        ]
        if all(_is_plain(entry, arn) for entry in entries):
            return TextUnion([(arn,), (f"{arn}/example",), (f"{arn}:example",)])
        return resource_union((arn, f"{arn}/*", f"{arn}:*"), LATEST)

    # --- grants --------------------------------------------------------------------------------------------------

    def callers_of(self, entry: PrincipalEntry) -> int:
        """Return the callers that a principal of a policy names, as bits."""
        bits = self._named.get(entry)
        if bits is None:
            principals = Principals((entry,))
            account = entry_account(entry)
            indexes = range(len(self.callers)) if account is None else self._by_account.get(account, ())
            named = [index for index in indexes if principals.match(self.callers[index].principal) is not None]
            bits = self._named[entry] = sum(1 << index for index in named)
        return bits

    @cached_property
    def _by_account(self) -> dict[str | None, list[int]]:
        found: dict[str | None, list[int]] = {}
        for index, caller in enumerate(self.callers):
            found.setdefault(caller.principal.account, []).append(index)
        return found

    def boxes(self, statement: StatementForm) -> list[Box]:
        """Return what an Allow statement of the policy grants."""
        index = statement.statement.index
        if index not in self._boxes:
            self._boxes[index] = [*self._granted_boxes(statement)]
        return self._boxes[index]

    def _granted_boxes(self, statement: StatementForm) -> Iterator[Box]:
        if not self._callers_of[id(statement)] or (self.question.is_blocked and _are_limited(statement.services)):
            return
        form = copy.copy(self.policy)
        form.allows = (statement,)
        side = Side(form, self._callers_of, (), tuple(self._denied_by_rcps(statement)))
        for start in self.starts:
            yield from (found.box for found in differences(None, side, self.space, start, self.work))

    def _denied_by_rcps(self, statement: StatementForm) -> Iterator[Region]:
        """Yield what resource control policies deny of the actions of a statement (rules E-11, E-16)."""
        for rcp in self.rcps:
            for deny in rcp.denies:
                if not _are_limited(deny.services) and not _are_limited(statement.services):
                    continue  # some of the actions are not limited
                linked = [caller.principal.is_service_linked for caller in self.callers]
                limited = sum(1 << index for index, is_linked in enumerate(linked) if not is_linked)
                not_exempt = Literal(CALLER, PointTest(limited)), Literal(ACTION, TextTest(((_WITHOUT_RCP, False),)))
                for region in self.space.regions(deny, wide=False):
                    yield region._replace(literals=(*region.literals, *not_exempt), statement=-1)

    def of_entry(self, box: Box, entry: PrincipalEntry) -> Box | None:
        """Return the part of a box that is about the callers that a principal names."""
        return self._met(box, Literal(CALLER, PointTest(self.callers_of(entry))))

    def of_actions(self, box: Box, actions: Sequence[str]) -> Box | None:
        """Return the part of a box that is about some actions, or about those that match their wildcards."""
        return self._met(box, _about(actions))

    def about(self, actions: Sequence[str]) -> Region:
        """Return all requests about some actions."""
        return Region((_about(actions),), None, -1)

    def narrowed(self, action: str, boxes: Sequence[Box]) -> list[tuple[str, list[Box]]]:
        """Return the actions that boxes about an action with wildcards are limited to, with the boxes of each.

        These are the entries of the `NotAction` of a Deny, if it leaves nothing else.
        """
        if is_literal(action):
            return []
        whole = action_union((action,))
        for deny in (deny for form in self.forms for deny in form.denies if deny.statement.not_actions):
            listed = deny.statement.not_actions or ()
            left = TextTest(((action_union(listed), False),))
            are_within = all(
                self._met({}, Literal(ACTION, TextTest(((action_union((name,)), True), (whole, False))))) is None
                for name in listed
            )
            if are_within and all(self._met(box, Literal(ACTION, left)) is None for box in boxes):
                parts = [(name, [piece for box in boxes if (piece := self.of_actions(box, [name]))]) for name in listed]
                return [(name, pieces) for name, pieces in parts if pieces]
        return []

    def _met(self, box: Box, literal: Literal) -> Box | None:
        return meet(box, (literal,), self.space, self.work)

    def excludes(self, box: Box, test: Test) -> bool:
        """Return whether no request of a box meets a condition, although a request from outside can."""
        literal = self.space.condition(test)
        return self._met(box, literal) is None and any(self._met(start, literal) is not None for start in self.starts)

    def statement(self, index: int) -> StatementForm:
        """Return a statement of the policy by its index."""
        return next(form for form in self.policy.statements if form.statement.index == index)

    def granted(self, index: int, entry: PrincipalEntry, actions: Sequence[str]) -> list[Region]:
        """Return what an Allow statement grants to one of its principals with some of its actions."""
        statement = self.statement(index)
        literals = (Literal(CALLER, PointTest(self.callers_of(entry))), _about(actions))
        regions = self.space.regions(statement, wide=False, callers=self._callers_of[id(statement)])
        return [region._replace(literals=(*literals, *region.literals)) for region in regions]

    def is_from_outside(self, request: AccessRequest) -> bool:
        """Return whether a request is none of the zone of trust."""
        if request.principal.account in self.question.inside:
            return False
        return not any(is_met(request) for is_met in self._are_inside)

    @cached_property
    def _are_inside(self) -> list[Condition]:
        keys = {key for form in self.forms for key in form.tests}
        tests = inside_tests(keys, self.question.inside, self.question.organization)
        return [compile_condition(*test) for test in tests]

    def without(self, boxes: Iterable[Box], region: Region, work: Work) -> list[Box]:
        """Return what a region leaves of boxes."""
        return [piece for box in boxes for piece in subtract(box, region, self.space, work)]

    def public_part(self, box: Box) -> Box | None:
        """Return the part of a box that everyone has, without conditions that restrict access (rules AA-7, AA-34)."""
        outsiders = sum(1 << index for index, caller in enumerate(self.callers) if is_outsider(caller))
        literals = (Literal(CALLER, PointTest(outsiders)), *map(self._excluded, self.restrictions))
        return meet(box, literals, self.space, self.work)

    def requests(self, box: Box) -> Iterator[AccessRequest]:
        """Yield requests of a box, the simplest first; a box that could not be decided may have others."""
        witnesses = Witnesses(self.space, self.work, self._spelling, self.named, of_resource=True)
        bits = box.get(CALLER, (1 << len(self.callers)) - 1)
        for tests, group in self.groups.items():
            left = bits & group
            are_met = [*map(self._condition, (*self.tests, *tests))] if left else []
            while left:
                index = (left & -left).bit_length() - 1
                left &= left - 1
                for request in witnesses.requests(box, self.callers[index]):
                    self.work.spend_requests()
                    if all(is_met(request) for is_met in are_met):
                        yield request

    def _condition(self, test: Test) -> Condition:
        found = self._compiled.get(test)
        if found is None:
            found = self._compiled[test] = compile_condition(*test)
        return found

    def instances(self) -> Iterator[ExternalSpace]:
        """Yield the space with values in place of its variables; each is built once, for all grants.

        One counts as many requests as there are pairs of a caller and a statement, which are compared to build it.
        """
        for index in count():
            if index == len(self._instances):
                instance = next(self._unbuilt, None)
                if instance is None:
                    return
                self.work.spend_requests(len(self.callers) * len(self.policy.statements))
                forms = [DocumentForm(document) for document in instance.documents]
                self._instances.append(ExternalSpace(self.question, forms, self.callers, self.work, instance.tests))
            yield self._instances[index]

    @cached_property
    def _unbuilt(self) -> Iterator[Instance]:
        written, arn = (self.written, *self.rcps), self.question.arn
        return instances(written, values_in_resources(written, (arn, f"{arn}/example", f"{arn}:example")))

    @cached_property
    def _spelling(self) -> dict[str, str]:
        """The names of actions in the spelling that a request should have, by their lower case."""
        written = [name for form in self.forms for listed in form.statements for name in listed.statement.actions or ()]
        service = [*self.question.arn.split(":", 3), "", ""][2]
        usual = sorted(TRUST_ACTIONS) if self.question.kind is PolicyType.TRUST else [f"{service}:example"]
        return {name.lower(): name for name in (*written, *usual) if is_literal(name)}


def _owner_tests(question: ExternalQuestion, keys: Iterable[str]) -> Iterator[Test]:
    """Yield the condition on the organization of the resource, which is that of the zone."""
    if "aws:resourceorgid" in keys and question.organization is not None:
        yield ConditionTest("StringEqualsIfExists", "aws:resourceorgid", (question.organization,)), LATEST


def _about(actions: Sequence[str]) -> Literal:
    return Literal(ACTION, TextTest(((action_union(actions), True),)))


def _not_empty(key: str) -> Test:
    """Return the condition that a key of the caller is absent or has a text."""
    return ConditionTest("StringNotEquals", key, ("",)), LATEST


def _is_for_everyone(form: DocumentForm) -> bool:
    return any(set(ANY_PRINCIPAL).intersection(allow.statement.principals or ()) for allow in form.allows)


def _are_limited(services: Iterable[str] | None) -> bool:
    """Return whether resource control policies apply to all of some services; None is any service (rule E-16)."""
    return services is not None and all(rcp_applies_to(service, own=False) for service in services)


def _is_plain(entry: str, arn: str) -> bool:
    """Return whether an entry distinguishes no two resources below the resource with an ARN."""
    if entry in ("*", arn, f"{arn}*", f"{arn}/*", f"{arn}:*"):
        return True
    if entry.count(":") < ARN_FIELDS - 1:
        return False
    if is_literal(entry):
        return not entry.startswith((f"{arn}/", f"{arn}:"))
    beginning = literal_prefix(entry)
    return not beginning.startswith(arn) and not arn.startswith(beginning)

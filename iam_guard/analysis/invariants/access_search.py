"""Search for a request that a caller may make: a witness that the evaluator confirms, or a proof that there is none.

The formula of all policies (`access_formulas`) yields boxes. No box is a proof. A request from a box is a witness if
the evaluator allows it with the caller's and the resource's policies of the store. Boxes without one are undecided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

from iam_guard.analysis.checks.boxes import RESOURCE, Literal, meet
from iam_guard.analysis.checks.caller_keys import caller_tests, derived_keys, letters_of, typed_tests
from iam_guard.analysis.checks.callers import TypicalCaller, accounts_of
from iam_guard.analysis.checks.instances import instances, values_in_resources
from iam_guard.analysis.checks.key_sets import TextTest
from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.spaces import Space
from iam_guard.analysis.checks.statement_forms import DocumentForm, Test
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.analysis.checks.witnesses import Witnesses, simplest
from iam_guard.analysis.invariants.access_formulas import NEEDS_PERMISSION, TRUST_ACTIONS, CallerAccess, acts
from iam_guard.analysis.invariants.access_parties import AnalyzedCaller
from iam_guard.analysis.invariants.access_query import AccessQuery
from iam_guard.analysis.invariants.formulas import Formula, Negation, Search, applies_any, conjunction
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard, is_literal
from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, ConditionTest
from iam_guard.store.protocol import StoredPolicy

_MAX_BOXES = 100
"""Up to this number of boxes is searched for a witness."""
_SERVICE_KEYS = ("aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths")
_IN_FIELD = Wildcard.RUN_IN_FIELD


@dataclass(frozen=True)
class AccessWitness:
    """A request that is allowed, and the decision with its reasons; the keys that the store has are not in `keys`."""

    decision: Decision
    keys: tuple[str, ...]

    @property
    def request(self) -> AccessRequest:
        """The request, with all its keys."""
        return self.decision.request


def find_access(
    access: CallerAccess, query: AccessQuery, *, but_not: CallerAccess | None = None
) -> AccessWitness | None:
    """Return a request that is allowed, and with `but_not` is not allowed by the other policies; None if there is none.

    Raises `Undecided` if neither is proved, and `PolicyError` for a policy that cannot be parsed.
    """
    work = Work()
    search = _Search(access, query, but_not, work)
    found = search.find(())
    if found is not None or not search.is_open or not search.has_box(keeps_variables=True):
        return found
    for instance in instances(search.forms, values_in_resources(search.forms, [*search.tried])):
        filled = {id(form): DocumentForm(of) for form, of in zip(search.forms, instance.documents, strict=True)}
        found = search.filled(filled).find(instance.tests)
        if found is not None:
            return found
    raise Undecided("a request may be allowed, but none was found that confirms it")


def may_have_access(access: CallerAccess, query: AccessQuery, empty: set[object]) -> bool:
    """Return False if no request is allowed at all; True may be wrong. Raises as `find_access`.

    `empty` has what was proved before, for callers that policies treat alike.
    """
    search = _Search(access, query, None, Work())
    key = (search.formula, *search.caller_tests)
    if key in empty:
        return False
    if search.has_box():
        return True
    empty.add(key)
    return False


@dataclass
class _Search:
    access: CallerAccess
    query: AccessQuery
    but_not: CallerAccess | None
    work: Work
    is_open: bool = False
    tried: dict[str, None] = field(default_factory=dict)

    @cached_property
    def forms(self) -> list[DocumentForm]:
        """All forms, each once."""
        sides = [self.access] if self.but_not is None else [self.access, self.but_not]
        listed = [form for side in sides for form in side.documents]
        return [*{id(form): form for form in (*listed, *self._about, *self._unless)}.values()]

    def filled(self, forms: dict[int, DocumentForm]) -> _Search:
        """Return the search with other forms in place of some."""

        def fill(form: DocumentForm) -> DocumentForm:
            return forms.get(id(form), form)

        but_not = None if self.but_not is None else replace(self.but_not, fill=fill)
        return _Search(replace(self.access, fill=fill), self.query, but_not, self.work)

    @cached_property
    def _about(self) -> list[DocumentForm]:
        return [] if self.query.about is None else [self._form_of(self.query.about)]

    @cached_property
    def _unless(self) -> list[DocumentForm]:
        return list(map(self._form_of, self.query.unless))

    def _form_of(self, policy: StoredPolicy) -> DocumentForm:
        access = self.access
        return access.fill(access.forms.form(policy, access.known.request, access.known.is_known))

    @cached_property
    def formula(self) -> Formula:
        """The requests that the search is about."""
        parts = [_applied(form) for form in self._about]
        parts += [self.access.formula, *(Negation(_applied(form)) for form in self._unless)]
        if self.but_not is not None:
            same = {meaning for meaning, _ in self.access.denials}
            denied = [Negation(formula) for meaning, formula in self.but_not.denials if meaning not in same]
            parts.append(Negation(conjunction([self.but_not.undenied, *denied])))
        return conjunction(parts)

    def has_box(self, *, keeps_variables: bool = False) -> bool:
        """Return whether there is any box."""
        search, starts = self._begin(())
        search = replace(search, keeps_variables=keeps_variables)
        return any(
            True
            for literals in starts
            if (box := meet({}, literals, search.space, search.work)) is not None
            for _ in self.formula.inside(box, search)
        )

    def find(self, tests: Sequence[Test]) -> AccessWitness | None:
        """Return a witness among the requests that meet some conditions, too."""
        search, starts = self._begin(tests)
        names = self._names()
        witnesses = Witnesses(search.space, self.work, names, self._named, of_resource=self.access.target.is_trust)
        caller = _for_witness(self.access.caller)
        for literals in starts:
            start = meet({}, literals, search.space, search.work)
            boxes = iter(()) if start is None else self.formula.inside(start, search)
            for box in islice(boxes, _MAX_BOXES):
                self.is_open = True
                for request in witnesses.requests(box, caller):
                    self.tried[request.resource] = None
                    if self._is_witness(request):
                        return self._found(simplest(request, self._is_witness))
            if next(boxes, None) is not None:
                self.is_open = True
        return None

    # --- the space -----------------------------------------------------------------------------------------------

    @cached_property
    def _named(self) -> tuple[str, ...]:
        return accounts_of(self.forms)

    def _names(self) -> dict[str, str]:
        """Return the spelling of actions that a witness should have, by their lower case."""
        written = [
            name for form in self.forms for statement in form.statements for name in statement.statement.actions or ()
        ]
        return {name.lower(): name for name in (*(self.query.catalogue or ()), *written) if is_literal(name)}

    def _begin(self, tests: Sequence[Test]) -> tuple[Search, list[list[Literal]]]:
        required = [*tests, *typed_tests(self.forms), *self.caller_tests]
        catalogue = self.query.catalogue
        actions = None if catalogue is None else frozenset(map(str.lower, catalogue))
        space = Space(self.forms, required, actions)
        literals = [*map(space.condition, required), NEEDS_PERMISSION]
        if self.access.target.is_trust:
            literals.append(acts(TRUST_ACTIONS))
        return Search(space, self.work), [[*literals, *resources] for resources in self._resources()]

    def _resources(self) -> Iterator[list[Literal]]:
        """Yield what the resource must be, the most usual first."""
        target = self.access.target
        if target.is_any:
            yield []
        elif target.arn is not None:
            yield [_resource([(target.arn,)])]
        else:
            owner = target.owner_id or ""
            others = [_owned_by(account) for account in self._named if account != owner]
            own, without = _owned_by(owner), _owned_by("")
            has_no_policy = Literal(RESOURCE, TextTest(((target.others, False),)))
            yield [_resource([own]), has_no_policy]
            yield [_resource([without]), _resource([own], is_in=False), has_no_policy]
            yield [_resource([own, without, *others], is_in=False), has_no_policy]

    @cached_property
    def caller_tests(self) -> tuple[Test, ...]:
        """What the keys of the caller meet in all its requests."""
        return tuple(self._tests())

    def _tests(self) -> Iterator[Test]:
        caller = self.access.caller
        keys = {key for form in self.forms for key in form.tests}
        if caller.is_any_session and "aws:userid" in keys:
            yield _test("StringLike", "aws:userid", f"{caller.role_id}:?*")
        if caller.has_open_tags and caller.role_id is not None:
            tags = [f"aws:principaltag/{name.lower()}" for name in caller.principal.tags]
            yield from (_test("Null", key, "false") for key in tags if key in keys)
        if caller.role_id is None and (caller.is_outside or caller.is_any_name):
            derived = derived_keys(self.forms)
            named = (
                dict.fromkeys((*self._named, *sorted(caller.accounts)))
                if caller.typical.account is None
                else self._named
            )
            yield from caller_tests(caller.typical, derived, named, letters_of(self.forms))
        if caller.is_outside and caller.principal.type is not PrincipalType.SERVICE:
            yield from (_test("Null", key, "true") for key in _SERVICE_KEYS if key in keys)
        if caller.organizations and "aws:principalorgid" in keys:
            yield _test("StringNotEquals", "aws:principalorgid", *caller.organizations)
        if caller.organizations and "aws:principalorgpaths" in keys:
            paths = [f"{organization}/*" for organization in caller.organizations]
            yield _test("ForAllValues:StringNotLike", "aws:principalorgpaths", *paths)

    # --- witnesses -----------------------------------------------------------------------------------------------

    def _is_witness(self, request: AccessRequest) -> bool:
        if not self.access.target.may_be(request.resource) or request.principal.account in self.access.caller.accounts:
            return False
        decision = self.access.decide(request)
        if not decision.allowed or not self.query.concerns(decision.request):
            return False
        return self.but_not is None or not self.but_not.decide(request).allowed

    def _found(self, request: AccessRequest) -> AccessWitness:
        return AccessWitness(self.access.decide(request), tuple(key.lower() for key in request.context))


def _for_witness(caller: AnalyzedCaller) -> TypicalCaller:
    """Return a caller that takes the name of its session from the box."""
    if not caller.is_any_session:
        return caller.typical
    return replace(caller.typical, principal=replace(caller.principal, userid=None))


def _applied(form: DocumentForm) -> Formula:
    return applies_any(form.statements)


def _resource(patterns: Sequence[Pattern], *, is_in: bool = True) -> Literal:
    return Literal(RESOURCE, TextTest(((TextUnion(patterns), is_in),)))


def _owned_by(account: str) -> Pattern:
    """Return the pattern of the ARNs with an account; with none for the empty text."""
    return ("arn:", _IN_FIELD, ":", _IN_FIELD, ":", _IN_FIELD, f":{account}:", Wildcard.RUN)


def _test(operator: str, key: str, *values: str) -> Test:
    return ConditionTest(operator, key, values), LATEST

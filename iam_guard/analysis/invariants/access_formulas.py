"""The formula of what one caller may do with the resources of one target, through all policy types at once.

It follows the evaluator (`evaluation/evaluator`, `evaluation/grants`): no Deny applies, each level of SCPs and RCPs
allows, and the caller's own policies, the resource's policy, or both grant (rules E-2, E-12, E-13, E-30 to E-62).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from iam_guard.analysis.checks.boxes import ACTION, RESOURCE, Literal
from iam_guard.analysis.checks.key_sets import TextTest
from iam_guard.analysis.checks.statement_forms import DocumentForm, StatementForm
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.analysis.invariants.access_parties import AccessTarget, AnalyzedCaller, KnownRequest
from iam_guard.analysis.invariants.formulas import (
    EVERY_REQUEST,
    NO_REQUEST,
    Conjunction,
    Disjunction,
    Formula,
    Meets,
    Negation,
    applies_any,
    conjunction,
)
from iam_guard.analysis.invariants.policy_forms import PolicyForms, compile_stored
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.grants import WITHOUT_POLICIES
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.policy_layer import NO_POLICY, Layer
from iam_guard.evaluation.rcp_services import AWS, RCP_SUPPORTED
from iam_guard.evaluation.special_actions import NO_PERMISSION
from iam_guard.model.arn import is_service_linked_role
from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import WITH_PRINCIPAL
from iam_guard.store.protocol import StoredPolicy

_RUN, _IN_FIELD = Wildcard.RUN, Wildcard.RUN_IN_FIELD
TRUST_ACTIONS = TextUnion([("sts:assumerole", _IN_FIELD), ("sts:tagsession",), ("sts:setsourceidentity",)])
"""The actions that need a role's trust policy (rule E-42)."""
_KEY_ACTIONS = TextUnion([("kms:", _IN_FIELD)])
_LEVELS = tuple[tuple[StoredPolicy, ...], ...]

Fill = Callable[[DocumentForm], DocumentForm]


def acts(union: TextUnion, *, is_in: bool = True) -> Literal:
    """Return what requests meet whose action is in a union, or is not."""
    return Literal(ACTION, TextTest(((union, is_in),)))


def _of_type(service: str, beginning: str) -> Pattern:
    return ("arn:", _IN_FIELD, f":{service}:", _IN_FIELD, ":", _IN_FIELD, f":{beginning}", _RUN)


_ROLES, _KEYS = TextUnion([_of_type("iam", "role/")]), TextUnion([_of_type("kms", "key/")])
NEEDS_PERMISSION = acts(TextUnion((action,) for action in sorted(NO_PERMISSION)), is_in=False)
"""Excludes what every caller with credentials may do, whatever the policies are (rule E-66)."""


def _without_policy(actions: TextUnion, resources: TextUnion) -> Formula:
    return Negation(Meets((acts(actions), Literal(RESOURCE, TextTest(((resources, True),))))))


_NEEDS_NO_POLICY = conjunction([_without_policy(TRUST_ACTIONS, _ROLES), _without_policy(_KEY_ACTIONS, _KEYS)])
"""Requests about resources without a policy that do not need one (rule E-42)."""


@cache
def _rcps_apply(own_services: frozenset[str]) -> Formula:
    unsupported = sorted(AWS - RCP_SUPPORTED - own_services)
    patterns: list[Pattern] = [("kms:retiregrant",), *((f"{service}:", _IN_FIELD) for service in unsupported)]
    return Meets((acts(TextUnion(patterns), is_in=False),))


@dataclass(frozen=True)
class CallerAccess:
    """The policies of a caller and of a target, as forms for computing and as a bundle for deciding.

    `own_services` are the prefixes, in lower case, of the actions that the application declares (rule E-16). `fill`
    replaces each form, to give variables their values.
    """

    known: KnownRequest
    forms: PolicyForms
    own_services: frozenset[str] = frozenset()
    fill: Fill = lambda form: form

    @property
    def caller(self) -> AnalyzedCaller:
        """The caller."""
        return self.known.caller

    @property
    def target(self) -> AccessTarget:
        """The resources."""
        return self.known.target

    # --- forms ---------------------------------------------------------------------------------------------------

    @cached_property
    def identity(self) -> list[DocumentForm]:
        """The identity-based policies."""
        return self._forms(self.caller.identity)

    @cached_property
    def boundary(self) -> list[DocumentForm] | None:
        """The permissions boundary; None without one."""
        boundary = self.caller.boundary
        return None if boundary is None else self._forms((boundary,))

    @cached_property
    def session(self) -> list[DocumentForm] | None:
        """The session policies; None without any."""
        return None if self.caller.session is None else self._forms(self.caller.session)

    @cached_property
    def resource(self) -> list[DocumentForm]:
        """The policy of the resource, if it has one."""
        return self._forms(() if self.target.policy is None else (self.target.policy,))

    @cached_property
    def scps(self) -> list[list[DocumentForm]]:
        """The levels of SCPs that limit the caller."""
        account, principal = self.caller.account, self.caller.principal
        is_exempt = principal.type in WITHOUT_POLICIES or principal.is_service_linked
        return [] if account is None or is_exempt else self._levels(account.scps)

    @cached_property
    def rcps(self) -> list[list[DocumentForm]]:
        """The levels of RCPs that limit access to the target."""
        target, owner = self.target, self.target.owner
        is_exempt = self.caller.principal.is_service_linked or target.is_any
        is_exempt = is_exempt or (target.is_trust and is_service_linked_role(target.arn or ""))
        return [] if owner is None or is_exempt else self._levels(owner.rcps)

    @property
    def documents(self) -> Iterator[DocumentForm]:
        """All forms."""
        for level in (*self.scps, *self.rcps, self.resource, self.identity, self.boundary or [], self.session or []):
            yield from level

    def _levels(self, levels: _LEVELS | None) -> list[list[DocumentForm]]:
        return [self._forms(level) for level in levels or ()]

    def _forms(self, policies: Iterable[StoredPolicy]) -> list[DocumentForm]:
        request, is_known = self.known.request, self.known.is_known
        return [self.fill(self.forms.form(policy, request, is_known)) for policy in policies]

    # --- formulas ------------------------------------------------------------------------------------------------

    @cached_property
    def formula(self) -> Formula:
        """The requests that are allowed, except those that need no permission."""
        return conjunction([self.undenied, *(Negation(denied) for _, denied in self.denials)])

    @property
    def undenied(self) -> Formula:
        """The requests that are allowed if no Deny applies."""
        return conjunction([self.granted, *self._filters()])

    @cached_property
    def denials(self) -> list[tuple[tuple[object, ...], Formula]]:
        """The requests that are denied, by what each statement means; equal meanings deny the same requests."""
        principal = self.caller.principal
        bounded = self.boundary is not None or principal.has_boundary
        found: list[tuple[tuple[object, ...], Formula]] = []
        limiting = [form for level in self.rcps for form in level]
        others = [*(form for level in self.scps for form in level), *self.resource, *self.identity]
        for form in (*limiting, *others, *(self.boundary or ()), *(self.session or ())):
            is_rcp = any(form is listed for listed in limiting)
            for statement in form.denies:
                is_named = _kind_of(form) not in WITH_PRINCIPAL or (
                    (bounded and statement.statement.not_principals is not None)  # E-74
                    or statement.compiled.principal_match(principal) is not None
                )
                if is_named:
                    denied = applies_any([statement])
                    denied = conjunction([_rcps_apply(self.own_services), denied]) if is_rcp else denied
                    found.append(((is_rcp, statement.content), denied))
        return found

    def _filters(self) -> Iterator[Formula]:
        for level in self.scps:
            yield applies_any(_allows(level))
        for level in self.rcps:
            named = [statement for form in level for statement in form.allows if self._match(statement) is not None]
            allowed = applies_any(named)
            if allowed != EVERY_REQUEST:
                yield Disjunction((Negation(_rcps_apply(self.own_services)), allowed))

    @cached_property
    def granted(self) -> Formula:
        """The requests that policies grant, before denies and filters."""
        principal, target = self.caller.principal, self.target
        if principal.type in WITHOUT_POLICIES:
            return self.by_resource()
        if target.is_any:
            return self.by_caller
        if target.owner_id != principal.account:
            return conjunction([self.by_resource(), self.by_caller])
        if target.policy is None:
            return conjunction([_NEEDS_NO_POLICY, self.by_caller])
        if target.is_trust:
            return self.by_policy(is_trust=True)
        ordinary = Disjunction((self.directly(is_trust=False), self.by_caller))
        if not _KEYS.matches(target.arn or ""):
            return ordinary
        about_key = Meets((acts(_KEY_ACTIONS),))
        by_key = Conjunction((about_key, self.by_policy(is_trust=False)))
        return Disjunction((by_key, Conjunction((Negation(about_key), ordinary))))

    @cached_property
    def by_caller(self) -> Formula:
        """The requests that the caller's policies allow: identity, boundary and session policies."""
        if self.caller.principal.type is PrincipalType.ROOT:
            return EVERY_REQUEST
        return conjunction([applies_any(_allows(self.identity)), self._limits])

    @cached_property
    def _limits(self) -> Formula:
        limits = [applies_any(_allows(forms)) for forms in (self.boundary, self.session) if forms is not None]
        if self.session is None and self.caller.principal.type is PrincipalType.FEDERATED_USER:
            return NO_REQUEST
        return conjunction(limits)

    def by_resource(self) -> Formula:
        """Return the formula of the requests that the resource's policy allows the caller in any way."""
        return applies_any(self._named(lambda match: True))

    def directly(self, *, is_trust: bool) -> Formula:
        """Return the formula of the requests that the resource's policy grants without the caller's policies."""
        if self.caller.principal.type is PrincipalType.ROOT:
            return self.by_resource()
        is_scoped = self.caller.principal.type is PrincipalType.USER and self.session is not None
        by_name = applies_any(self._named(lambda match: match is PrincipalMatch.DIRECT))
        by_parent = applies_any(self._named(lambda match: match is not PrincipalMatch.ACCOUNT))
        boundary = EVERY_REQUEST if self.boundary is None else applies_any(_allows(self.boundary))
        limits = self._limits if is_scoped else boundary if is_trust else EVERY_REQUEST  # E-48
        return Disjunction((conjunction([by_name, limits]), conjunction([by_parent, self._limits])))

    def by_policy(self, *, is_trust: bool) -> Formula:
        """Return the formula of the requests that need the resource's policy (rules E-40 to E-48)."""
        return Disjunction((self.directly(is_trust=is_trust), conjunction([self.by_resource(), self.by_caller])))

    def _named(self, is_wanted: Callable[[PrincipalMatch], bool]) -> list[StatementForm]:
        found = []
        for statement in _allows(self.resource):
            match = self._match(statement)
            if match is not None and is_wanted(match):
                found.append(statement)
        return found

    def _match(self, statement: StatementForm) -> PrincipalMatch | None:
        return statement.compiled.principal_match(self.caller.principal)

    # --- decisions -----------------------------------------------------------------------------------------------

    def decide(self, request: AccessRequest) -> Decision:
        """Decide a request with all policies; the caller is this one, with the session and the keys of the request."""
        principal = self.caller.acting_as(request.principal)
        context = {key.lower(): value for key, value in request.context.items() if not self._has_own(key.lower())}
        context |= {key.lower(): value for key, value in self.known.keys.items()}
        own = request.action.partition(":")[0].lower() in self.own_services
        policies = self._bundle_of_own if own else self._bundle
        owner = request.resource_account if self.target.is_any else self.target.owner_id
        return decide(AccessRequest(principal, request.action, request.resource, context, owner), policies)

    def _has_own(self, key: str) -> bool:
        """Return whether only the store has values of a key, whatever the request has."""
        if key.startswith("aws:principaltag/"):
            return not self.caller.has_open_tags
        return bool(self.target.tags) and key.startswith("aws:resourcetag/")

    @cached_property
    def _bundle(self) -> Bundle:
        return self._compiled(own_service=False)

    @cached_property
    def _bundle_of_own(self) -> Bundle:
        return self._compiled(own_service=True)

    def _compiled(self, *, own_service: bool) -> Bundle:
        caller, target = self.caller, self.target
        return Bundle(
            identity=_layer(caller.identity),
            resource=_layer(() if target.policy is None else (target.policy,)),
            boundary=None if caller.boundary is None else _layer((caller.boundary,)),
            session=None if caller.session is None else _layer(caller.session),
            scps=_compiled_levels(None if caller.account is None else caller.account.scps),
            rcps=_compiled_levels(None if target.owner is None else target.owner.rcps),
            own_service=own_service,
        )


def _allows(forms: Iterable[DocumentForm]) -> list[StatementForm]:
    return [statement for form in forms for statement in form.allows]


def _kind_of(form: DocumentForm) -> object:
    return form.document.type


def _layer(policies: tuple[StoredPolicy, ...]) -> Layer:
    return Layer(map(compile_stored, policies)) if policies else NO_POLICY


def _compiled_levels(levels: _LEVELS | None) -> tuple[Layer, ...] | None:
    return None if levels is None else tuple(map(_layer, levels))

"""What a principal may do in one state, with answers shared between principals that have the same policies.

The requests of a technique are known: which condition keys IAM sets for it, and the tags of its resource. Keys that IAM
does not set are absent. All others are open, and an open key counts as one that the caller can satisfy: a source
address, a session with MFA, an external id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from iam_guard.analysis.access.access_answers import AccessAnswer, AccessVerdict, answer_of
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.analysis.escalation.named_resources import NamedResources, named_resources
from iam_guard.analysis.escalation.techniques import ABLE, GRANTS
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bounds import IsKnown
from iam_guard.evaluation.compiler import CompiledPolicy, compile_policy
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.evaluation.matching.referenced_keys import keys_of_statement
from iam_guard.evaluation.matching.resource import EVERYTHING
from iam_guard.model.context import NO_KEYS, Given
from iam_guard.model.request import Resource
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import StoredPolicy

_PROBE: Final = "any-service:AnyAction"
_IAM_PROBE: Final = "iam:AnyAction"
"""Actions that no policy names, so that only a policy on all actions allows them."""
_OF_RESOURCE: Final = ("aws:resourcetag/", "iam:resourcetag/")
_NEVER_SET: Final = (*_OF_RESOURCE, "iam:", "sts:", "aws:requesttag/", "aws:tagkeys")
_OF_PASSING: Final = "iam:associatedresourcearn"

RequestKeys: TypeAlias = Mapping[str, Given]


class EntityRequest(NamedTuple):
    """A request about one entity of IAM: its tags are known."""

    action: str
    arn: str
    account: str
    tags: Mapping[str, str]
    context: RequestKeys


@dataclass(slots=True)
class Answers:
    """The answers of one analysis, by policies and request."""

    evaluator: AccessEvaluator
    partition: str
    region: str
    found: dict[object, AccessAnswer | None] = field(default_factory=dict)
    profiles: dict[object, int] = field(default_factory=dict)
    """What decides about an action, besides the request -> a number for it."""
    _personal_controls: dict[tuple[str, str], bool] = field(default_factory=dict)

    def is_personal(self, account: str, action: str) -> bool:
        """Return whether what control policies say about an action (lower case) depends on who calls."""
        key = account, action
        if key not in self._personal_controls:
            record = self.evaluator.account(account)
            levels = (*(record.scps or ()), *(record.rcps or ()))
            self._personal_controls[key] = any(is_personal(policy, action) for level in levels for policy in level)
        return self._personal_controls[key]


@dataclass(slots=True)
class EscalationActor:
    """A principal in one state, which asks whether it may make calls."""

    answers: Answers
    principal: StoredPrincipal
    able: frozenset[str] = field(init=False)
    """The techniques about which one of its own policies has an Allow."""
    _policies: tuple[CompiledPolicy, ...] = field(init=False)
    _profiles: dict[str, int] = field(default_factory=dict)
    _named: dict[str, NamedResources] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._policies = _compiled(self.principal.record.identity)
        self.able = frozenset(action for action in ABLE if self.has_allow(action))

    @property
    def arn(self) -> str:
        return self.principal.arn

    @property
    def account(self) -> str:
        return self.principal.account

    def has_allow(self, action: str) -> bool:
        """Return whether an own policy has an Allow about the action; none has if one is unreadable."""
        folded = action.lower()
        return any(not statement.denies for policy in self._policies for statement in policy.content.about(folded))

    def may_concern(self, action: str, arn: str) -> bool:
        """Return whether an own Allow about the action may match a resource."""
        if action not in self._named:
            user = self.arn.rpartition("/")[2] if self.principal.kind == "user" else None
            self._named[action] = named_resources(self._policies, action.lower(), user)
        return self._named[action].may_have(arn)

    def named_actions(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the actions of a service that own statements name: as written, and one of them."""
        for policy in self._policies:
            for statement in policy.content.document.statements:
                for name in statement.actions or ("*",):
                    service, colon, action = name.partition(":")
                    if name == "*" or (colon and service.lower() == prefix):
                        written = f"{prefix}:{action or '*'}"
                        yield written, written.replace("*", "Any").replace("?", "x")

    def written_resources(self, action: str) -> Iterator[str]:
        """Yield the resources that own Allow statements about an action name, as written; `*` for `NotResource`.

        A user's name stands for its variable.
        """
        folded = action.lower()
        for policy in self._policies:
            for compiled in policy.content.about(folded):
                if not compiled.denies:
                    for entry in compiled.statement.resources or (EVERYTHING,):
                        yield entry.replace("${aws:username}", self.arn.rpartition("/")[2])

    # --- questions -----------------------------------------------------------------------------------------------

    def may(self, request: EntityRequest) -> AccessAnswer | None:
        """Return the answer about one entity; None if the call is denied."""
        key = (self.profile(request.action), request.arn, tuple(request.context.items()))
        if key not in self.answers.found:
            self.answers.found[key] = self._ask(*_parts(request), never_set)
        return self.answers.found[key]

    def may_all(
        self, requests: Sequence[EntityRequest], pattern: str, common: RequestKeys = NO_KEYS
    ) -> list[AccessAnswer | None]:
        """Return the answers about several entities: None where a call is denied.

        `pattern` covers their ARNs after the account, and `common` are condition keys that all requests have. One
        question about the pattern is enough where the answer is the same for all.
        """
        if len(requests) > 1:
            action, arn = requests[0].action, f"arn:{self.answers.partition}:iam::{self.account}:{pattern}"
            key = (self.profile(action), arn, tuple(common.items()))
            if key not in self.answers.found:
                resource, covered = Resource(arn, self.account), arn_pattern(arn)
                self.answers.found[key] = self._ask(action, resource, common, _never_requested, pattern=covered)
            answer = self.answers.found[key]
            if answer is None or answer.verdict is AccessVerdict.ALLOWED:
                return [answer] * len(requests)
        return [self.may(request) for request in requests]

    def may_for_some(self, request: EntityRequest, open_key: str) -> AccessAnswer | None:
        """Return the answer for some value of a condition key (lower case) that the caller chooses."""
        key = (self.profile(request.action), request.arn, tuple(request.context.items()), open_key)
        if key not in self.answers.found:
            parts = _parts(request)
            self.answers.found[key] = self._ask(*parts, lambda key: key != open_key and never_set(key))
        return self.answers.found[key]

    def may_somewhere(self, action: str) -> AccessAnswer | None:
        """Return the answer about an action of an application, on any of its resources."""
        key = (self.profile(action), EVERYTHING)
        if key not in self.answers.found:
            everything = (Wildcard.RUN,)
            self.answers.found[key] = self._ask(action, Resource("*"), {}, _never_requested, pattern=everything)
        return self.answers.found[key]

    def may_with_policy(
        self, action: str, resource: Resource, context: RequestKeys, *, is_shared: bool = False
    ) -> AccessAnswer | None:
        """Return the answer about a resource with a policy, such as a role's trust policy.

        `is_shared`: that policy means the same for all principals of an account.
        """
        if not is_shared:
            return self._ask(action, resource, context, _is_of_resource)
        key = (self.profile(action), resource.arn, resource.policy)
        if key not in self.answers.found:
            self.answers.found[key] = self._ask(action, resource, context, _is_of_resource)
        return self.answers.found[key]

    def profile(self, action: str) -> int:
        """Return a number for what decides about an action, besides the request: that of others with the same."""
        if action not in self._profiles:
            principal, folded = self.principal, action.lower()
            record = principal.record
            about = tuple(
                policy
                for policy, compiled in zip(record.identity, self._policies, strict=False)
                if compiled.content.about(folded)
            )
            held = about if record.boundary is None else (*about, record.boundary)
            is_own = any(is_personal(policy, folded) for policy in held)
            is_own = is_own or self.answers.is_personal(principal.account, folded)
            names = tuple(principal.through.get(policy.ref) for policy in about)
            who = principal.arn if is_own or len(self._policies) < len(record.identity) else principal.kind
            key = (folded, who, principal.account, about, record.boundary, names)
            self._profiles[action] = self.answers.profiles.setdefault(key, len(self.answers.profiles))
        return self._profiles[action]

    def is_administrator(self) -> bool:
        """Return whether it may do what no policy names, also in IAM, and give permissions to all of its account."""
        return self.principal.kind == "root" or bool(self.administrator_answers())

    def administrator_answers(self) -> tuple[AccessAnswer, ...]:
        """Return the answers that make a user or role an administrator; none if one of them is a denial."""
        partition, region, account = self.answers.partition, self.answers.region, self.account
        probes = (
            (_PROBE, f"arn:{partition}:any-service:{region}:{account}:any/resource"),
            (_IAM_PROBE, f"arn:{partition}:iam::{account}:any/resource"),
        )
        if not self.has_allow(_PROBE):
            return ()
        found: list[AccessAnswer] = []
        for action, arn in probes:
            answer = self.may(EntityRequest(action, arn, account, {}, {}))
            if answer is None:
                return ()
            found.append(answer)
        calls = (
            EntityRequest(action, f"arn:{partition}:iam::{account}:{kind}/any/{kind}", account, {}, {})
            for action, kind in GRANTS
        )
        grant = next(filter(None, map(self.may, calls)), None)
        return () if grant is None else (*found, grant)

    def _ask(
        self,
        action: str,
        resource: Resource,
        context: RequestKeys,
        is_absent: IsKnown,
        *,
        pattern: Pattern | None = None,
    ) -> AccessAnswer | None:
        bounds = self.answers.evaluator.bounds(
            *(self.principal.record, action, resource, context),
            pattern=pattern,
            trust=self.principal.trust,
            is_absent=is_absent,
        )
        if not bounds.most.allowed:
            return None
        return answer_of(bounds, self.principal, partly="some of these resources only")


def _parts(request: EntityRequest) -> tuple[str, Resource, RequestKeys]:
    """Return action, resource and condition keys of a request."""
    tags = {f"iam:ResourceTag/{name}": value for name, value in request.tags.items()}
    resource = Resource(request.arn, request.account, tags=request.tags)
    return request.action, resource, {**tags, **request.context}


def never_set(key: str) -> bool:
    """Return whether IAM never sets a condition key (lower case) beyond those of the request."""
    return key.startswith(_NEVER_SET) and key != _OF_PASSING


def _never_requested(key: str) -> bool:
    return key.startswith(("aws:requesttag/", "aws:tagkeys"))


def _is_of_resource(key: str) -> bool:
    return key.startswith(_OF_RESOURCE)


def _compiled(policies: Iterable[StoredPolicy]) -> tuple[CompiledPolicy, ...]:
    """Return the compiled policies; none if one is unreadable, which denies its principal everything."""
    try:
        return tuple(compile_policy(policy.text, policy.ref) for policy in policies)
    except PolicyError:
        return ()


@lru_cache(maxsize=65_536)
def is_personal(policy: StoredPolicy, action: str) -> bool:
    """Return whether what a policy says about an action (lower case) depends on who calls, beyond kind and account."""
    try:
        content = compile_policy(policy.text, policy.ref).content
    except PolicyError:
        return True
    version = content.document.version
    keys = (key for compiled in content.about(action) for key in keys_of_statement(compiled.statement, version))
    return any(row is None or row.supplier == "principal" for row in map(row_of, keys))

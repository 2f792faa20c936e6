"""Decide recorded requests with the policies of one store, as a guard would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from iam_guard.analysis.replay.recorded_requests import RecordedDecision
from iam_guard.analysis.replay.replayed_request import ReplayedRequest
from iam_guard.authn.federation.role_session import Role, find_role
from iam_guard.errors import PolicyError, ValidationError
from iam_guard.evaluation.special_actions import is_role_trust
from iam_guard.guard.loader import Loader
from iam_guard.guard.question import LoadedQuestion, Question
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Resource
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.protocol import SourceStore


@dataclass(frozen=True, slots=True)
class ReplayedDecision:
    """A request decided again. With a `problem`, the decision is missing or not reliable.

    `unknown` has the condition keys that the decision read as missing since their values are unknown, each with what
    happened to the value in the record.
    """

    decision: Decision | None = None
    request: ReplayedRequest | None = None
    problem: str | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)


class Replayer:
    """Decides with one store, which the caller closes."""

    def __init__(self, store: SourceStore, settings: Settings) -> None:
        self._store = CachedStore(store, settings)
        self._loader = Loader(self._store, size=settings.cache_size)
        self._principals: dict[tuple[object, ...], Principal] = {}

    def decide(self, recorded: RecordedDecision, *, before: ReplayedDecision | None = None) -> ReplayedDecision:
        """Decide the request. `before` is the same request with the store closest to the record's.

        Raises `StoreUnavailable`.
        """
        principal = self._caller(recorded)
        if principal is None:
            return ReplayedDecision(problem="the session had session policies, which records do not contain")
        resource = self._resource(recorded)
        if isinstance(resource, str):
            return ReplayedDecision(problem=resource)
        own = recorded.policies is not None and recorded.policies.own_service
        try:
            question = Question(principal, recorded.action, resource, own, call=recorded.call)
            loaded = self._loader.load(question, self._store)
            if not loaded.caller.exists and recorded.policies is not None:  # another store has different unique ids
                by_name = replace(principal, userid=None)
                loaded = self._loader.load(question._replace(principal=by_name), self._store)
        except PolicyError:
            return ReplayedDecision(problem="a policy of the store cannot be read")
        return _decide(recorded, loaded, None if before is None else before.request)

    def _caller(self, recorded: RecordedDecision) -> Principal | None:
        """Return the caller, one object for all its requests; None if its session policies are unknown."""
        principal = recorded.principal
        policies: tuple[str, ...] | None = None
        if recorded.policies is not None and recorded.policies.sessions:
            api_key = self._store.api_key(recorded.credential_id) if recorded.credential_id else None
            policies = None if api_key is None else api_key.principal.session_policies
            if policies is None:
                return None
        key = (principal.arn, principal.role_arn, principal.user_arn, principal.userid, policies)
        cached = self._principals.get(key)
        if cached is None:
            cached = self._principals[key] = replace(principal, session_policies=policies)
        return cached

    def _resource(self, recorded: RecordedDecision) -> Resource | str:
        """Return the resource, a role with its trust policy; or the reason why it is unknown."""
        policies = recorded.policies
        if is_role_trust(recorded.action.lower(), recorded.resource):
            role = self._role(recorded.resource)
            tags, trust = ({}, None) if role is None else (role.tags, role.trust)
            return Resource(recorded.resource, account=recorded.owner, tags=tags, policy=trust)
        if policies is not None and policies.given:
            return "the application passed the resource's policy, which no store contains"
        is_required = policies is not None and policies.policy_required
        return Resource(recorded.resource, account=recorded.owner, policy_required=is_required)

    def _role(self, arn: str) -> Role | None:
        try:
            with self._store.read_transaction() as records:
                return find_role(records, self._store.partition, arn)
        except ValidationError:
            return None


def _decide(recorded: RecordedDecision, loaded: LoadedQuestion, before: ReplayedRequest | None) -> ReplayedDecision:
    request = ReplayedRequest(recorded, loaded, before)
    decision = loaded.decide(request)
    if not loaded.is_decidable:
        return ReplayedDecision(decision, request)
    if decision.error is not None:
        return ReplayedDecision(decision, request, "the action or the resource cannot be parsed")
    unknown = {key: recorded.unrecorded_keys.get(key, "not recorded") for key in sorted(request.unknown)}
    if not unknown:
        return ReplayedDecision(decision, request)
    keys = ", ".join(f"`{key}`" for key in unknown)
    return ReplayedDecision(decision, request, f"it depends on {keys}, whose value was not recorded", unknown)

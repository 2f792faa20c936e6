"""A recorded request for the evaluator: each condition key is resolved, or reported as unknown.

Sources of a value, in this order:
1. the record, except for values that it had from the store (tags, organization): these come from the present store;
2. what follows from the rest of the record: caller, call, time, region;
3. the store.
All other keys are unknown. A decision that read an unknown key is not reliable; `unknown` names these keys.
"""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.analysis.replay.recorded_requests import RecordedDecision
from iam_guard.guard.question import LoadedQuestion
from iam_guard.model.context import Value
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest

_FROM_THE_RECORD = frozenset(
    {
        "aws:currenttime",
        "aws:epochtime",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principalservicename",
        "aws:principalservicenameslist",
        "aws:principaltype",
        "aws:requestedregion",
        "aws:resourceaccount",
        "aws:sourceip",
        "aws:useragent",
        "aws:userid",
        "aws:username",
        "aws:viaawsservice",
    }
)
_ORGANIZATION = frozenset({"aws:principalorgid", "aws:principalorgpaths", "aws:resourceorgid", "aws:resourceorgpaths"})
_PRINCIPAL_TAG, _RESOURCE_TAG = "aws:principaltag/", "aws:resourcetag/"
_WITHOUT_TAGS = (PrincipalType.ROOT, PrincipalType.SERVICE, PrincipalType.ANONYMOUS)


class _StoreValue(NamedTuple):
    value: Value | None
    is_certain: bool
    """Whether the value also holds if the record doesn't have the key."""


class ReplayedRequest(AccessRequest):
    """A request that is decided again. `before` is the same request with the store of the first decision."""

    def __init__(
        self, recorded: RecordedDecision, loaded: LoadedQuestion, before: ReplayedRequest | None = None
    ) -> None:
        request = loaded.request(loaded.context(recorded.time, recorded.region))
        super().__init__(request.principal, request.action, request.resource, request.context, request.resource_account)
        fields = self.__dict__
        fields["unknown"] = set()
        fields["_recorded"] = recorded
        fields["_loaded"] = loaded
        fields["_before"] = before

    unknown: set[str]
    _recorded: RecordedDecision
    _loaded: LoadedQuestion
    _before: ReplayedRequest | None

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a condition key (lower case); None for an absent key, and for an unknown one."""
        recorded, stored = self._recorded, self._store_value(folded_key)
        if folded_key in recorded.condition_values:
            value = recorded.condition_values[folded_key]
            before = None if self._before is None else self._before._store_value(folded_key)
            return stored.value if stored and before and before.value == value else value
        if folded_key not in recorded.unrecorded_keys:
            is_tls_known = folded_key == "aws:securetransport" and _has_tls_details(recorded)
            if is_tls_known or folded_key in _FROM_THE_RECORD:
                return super().value(folded_key)
            if stored is not None and stored.is_certain:
                return stored.value
        self.unknown.add(folded_key)
        return None

    def is_unknown(self, folded_key: str) -> bool:
        return folded_key in self.unknown

    def copy(self) -> ReplayedRequest:
        return ReplayedRequest(self._recorded, self._loaded, self._before)

    def _store_value(self, key: str) -> _StoreValue | None:
        """Return the store's own value; None for a key that does not come from the store."""
        kind = self.principal.type
        if key in _ORGANIZATION:
            return _StoreValue(super().value(key), is_certain=True)
        if key.startswith(_PRINCIPAL_TAG):  # sessions may have had session tags
            return _StoreValue(self.principal.key(key), is_certain=kind is PrincipalType.USER or kind in _WITHOUT_TAGS)
        if key.startswith(_RESOURCE_TAG):  # if the store has no tags, the application may have passed some
            return _StoreValue(super().value(key), is_certain=self.resource == "*" or bool(super().value(key)))
        return None


def _has_tls_details(recorded: RecordedDecision) -> bool:
    """Return whether the record has the TLS state of the connection; without a host it never does."""
    call = recorded.call
    return call is None or call.kind == "call" or call.secure or call.host is not None

"""A recorded request as the evaluator asks it: each condition key is answered from the record, or named as unknown.

Where an answer comes from, in this order:
1. what the record tells of the key, but for what is known to be the store's own (tags, organization): if the store of
   the record's time said the same, it is the other store that answers now;
2. what follows from the rest of the record: caller, call, time, region;
3. what the store knows.
Anything else is unknown. An evaluation that read an unknown key proves nothing, whatever came out: `unknown` names
the keys.
"""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.analysis.replay.recorded_requests import RecordedDecision
from iam_guard.guard.loader import LoadedQuestion
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


class _Answer(NamedTuple):
    value: Value | None
    is_sure: bool
    """Whether it holds for a key that the record does not tell."""


class ReplayedRequest(AccessRequest):
    """A request that is decided again; `before` is the same one as the store of the first decision has it."""

    def __init__(
        self, recorded: RecordedDecision, loaded: LoadedQuestion, before: ReplayedRequest | None = None
    ) -> None:
        request = loaded.request(loaded.context(recorded.time))
        super().__init__(request.principal, request.action, request.resource, request.context, request.resource_account)
        fields = self.__dict__
        fields["unknown"] = set()
        fields["_recorded"] = recorded
        fields["_before"] = before

    unknown: set[str]
    _recorded: RecordedDecision
    _before: ReplayedRequest | None

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a condition key (lower case); None for an absent one, and for an unknown one."""
        recorded, known = self._recorded, self._of_the_store(folded_key)
        if folded_key in recorded.told:
            told = recorded.told[folded_key]
            before = None if self._before is None else self._before._of_the_store(folded_key)
            return known.value if known and before and before.value == told else told
        if folded_key not in recorded.untold:
            if folded_key in _FROM_THE_RECORD:
                return super().value(folded_key)
            if folded_key == "aws:securetransport" and _tells_of_tls(recorded):
                return super().value(folded_key)
            if known is not None and known.is_sure:
                return known.value
        self.unknown.add(folded_key)
        return None

    def _of_the_store(self, key: str) -> _Answer | None:
        """Return what the store itself says; None for a key that is not the store's."""
        kind = self.principal.type
        if key in _ORGANIZATION:
            return _Answer(super().value(key), is_sure=True)
        if key.startswith(_PRINCIPAL_TAG):  # sessions may have had tags of their own
            return _Answer(self.principal.key(key), is_sure=kind is PrincipalType.USER or kind in _WITHOUT_TAGS)
        if key.startswith(_RESOURCE_TAG):  # of a resource without tags here, the application may know some
            return _Answer(super().value(key), is_sure=self.resource == "*" or bool(super().value(key)))
        return None


def _tells_of_tls(recorded: RecordedDecision) -> bool:
    """Return whether the record says if the connection was secure: without a host it never does."""
    call = recorded.call
    return call is None or call.kind == "call" or call.secure or call.host is not None

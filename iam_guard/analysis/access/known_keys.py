"""Decide which condition keys of a hypothetical request are known (rules K-2, K-10, E.1 to E.5).

Known are the keys of the question, those that the store has about principal, organization and resource, and those that
such a principal never has. All others are open: source address, session name, request parameters. When in doubt, a key
is open.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from iam_guard.errors import ContextError
from iam_guard.evaluation.bounds import IsKnown
from iam_guard.evaluation.matching.condition import compile_condition
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest
from iam_guard.policy.grammar import split_operator
from iam_guard.policy.value_parsing import instant

_SERVICE_KEYS = frozenset(
    {"aws:principalservicename", "aws:principalservicenameslist", "aws:sourcearn", "aws:sourceaccount"}
    | {"aws:sourceorgid", "aws:sourceorgpaths"}
)
_ROLE_SESSION_KEYS = frozenset({"aws:federatedprovider", "aws:sourceidentity"})
_ORGANIZATION = frozenset({"aws:principalorgid", "aws:principalorgpaths"})
_RESOURCE_ORGANIZATION = frozenset({"aws:resourceorgid", "aws:resourceorgpaths"})
_PRINCIPAL_KEYS = _ORGANIZATION | {
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
    "aws:userid",
    "aws:username",
}
_PRINCIPAL_TAG = "aws:principaltag/"
_RESOURCE_TAGS = ("aws:resourcetag/", "iam:resourcetag/")


def never_absent(key: str) -> bool:
    """Return False: nothing more is known about any key."""
    return False


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Whether the value or the absence of a key is known.

    `given` are the keys of the question. `has_tags`: the resource's tags are known. `is_hosted`, `owner_is_hosted`: the
    account of the principal or owner is in the store. `may_be_tagged`: sessions of the role may set session tags.
    `is_any_principal`: the principal represents every principal, so nothing about it is known. `is_absent`: further
    keys that the request lacks unless it has a value.
    """

    request: AccessRequest
    given: Collection[str]
    has_tags: bool = False
    is_hosted: bool = True
    owner_is_hosted: bool = True
    may_be_tagged: bool = False
    is_any_principal: bool = False
    is_absent: IsKnown = never_absent

    def __call__(self, key: str) -> bool:
        if key in self.given or self.is_absent(key):
            return True
        if self.is_any_principal and (key in _PRINCIPAL_KEYS or key.startswith(_PRINCIPAL_TAG)):
            return False
        kind = self.request.principal.type
        if key.startswith(_PRINCIPAL_TAG):
            return self._has_known_tags(kind)
        if key == "aws:userid" and kind is PrincipalType.ASSUMED_ROLE:
            return False  # it ends with the session name
        return self._has_value(key) or self._is_always_absent(key, kind)

    def _has_known_tags(self, kind: PrincipalType) -> bool:
        if kind is PrincipalType.ASSUMED_ROLE:
            return self.is_hosted and not self.may_be_tagged
        return self.is_hosted or kind in (PrincipalType.ANONYMOUS, PrincipalType.SERVICE)

    def _has_value(self, key: str) -> bool:
        try:
            return self.request.value(key) is not None
        except ContextError:
            return True  # the evaluator raises the same error and decides on it

    def _is_always_absent(self, key: str, kind: PrincipalType) -> bool:
        if key in _SERVICE_KEYS:
            return kind is not PrincipalType.SERVICE
        if key in _ROLE_SESSION_KEYS:
            return kind is not PrincipalType.ASSUMED_ROLE
        if key == "aws:username":
            return kind is not PrincipalType.USER
        if key in _ORGANIZATION:
            return self.is_hosted
        if key in _RESOURCE_ORGANIZATION:
            return self.owner_is_hosted
        if key.startswith(_RESOURCE_TAGS):
            return self.has_tags
        row = row_of(key)
        if row is not None and row.supplier == "identity provider":
            return kind not in (PrincipalType.FEDERATED, PrincipalType.ASSUMED_ROLE)
        return False


_ISSUE_TIME = "aws:tokenissuetime"
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
"""No credentials in use are older. Tokens of identity providers may last for years (S-50)."""


@dataclass(frozen=True, slots=True)
class PossibleTimes:
    """Whether credentials that are in use at a time may have been issued when a condition requires.

    They were issued between 2020 and this time, or they are no session's and the key is absent.
    """

    now: datetime

    def __call__(self, test: ConditionTest, version: str) -> bool:
        if test.key.lower() != _ISSUE_TIME or not split_operator(test.operator).base.startswith("Date"):
            return True
        earliest, latest = (Decimal(int(moment.timestamp())) for moment in (_EARLIEST, self.now))
        bounds = [Decimal(found) for value in test.values if (found := instant(value)) is not None]
        near = (bound + step for bound in bounds for step in (-1, 0, 1))
        moments = [earliest, latest, *(moment for moment in near if earliest <= moment <= latest)]
        is_met = compile_condition(test, version)
        return any(map(is_met, map(_request, (None, *(format(moment, "f") for moment in moments)))))


def _request(issue_time: str | None) -> AccessRequest:
    context = {} if issue_time is None else {_ISSUE_TIME: issue_time}
    return AccessRequest(Principal.anonymous(), "example:Action", "*", context)

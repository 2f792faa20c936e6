"""Which condition keys of a request are known when nobody has made it yet (rules K-2, K-10, E.1 to E.5).

Known is what was given, what the store says of principal, organization and resource, and what such a principal never
has. Everything else is open: the address that a caller comes from, a session's name, what a request passes. Doubt
leaves a key open.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from iam_guard.errors import ContextError
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest

_OF_SERVICES = frozenset(
    {"aws:principalservicename", "aws:principalservicenameslist", "aws:sourcearn", "aws:sourceaccount"}
    | {"aws:sourceorgid", "aws:sourceorgpaths"}
)
_OF_ROLE_SESSIONS = frozenset({"aws:federatedprovider", "aws:sourceidentity"})
_ORGANIZATION = frozenset({"aws:principalorgid", "aws:principalorgpaths"})
_RESOURCE_ORGANIZATION = frozenset({"aws:resourceorgid", "aws:resourceorgpaths"})
_WHO = _ORGANIZATION | {"aws:principalaccount", "aws:principalarn", "aws:principaltype", "aws:userid", "aws:username"}
_TAG_OF_PRINCIPAL = "aws:principaltag/"
_TAGS_OF_RESOURCE = ("aws:resourcetag/", "iam:resourcetag/")


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Says of a key whether its value, or its absence, is known.

    `given` are the keys that the question has. `has_tags`: the resource's tags are known. `is_hosted`,
    `owner_is_hosted`: the principal's or the owner's account is in the store. `may_be_tagged`: sessions of the role
    may bring tags.
    `is_anybody`: the principal stands for all whom a policy may mean, so that nothing about it is known.
    """

    request: AccessRequest
    given: Collection[str]
    has_tags: bool = False
    is_hosted: bool = True
    owner_is_hosted: bool = True
    may_be_tagged: bool = False
    is_anybody: bool = False

    def __call__(self, key: str) -> bool:
        if key in self.given:
            return True
        if self.is_anybody and (key in _WHO or key.startswith(_TAG_OF_PRINCIPAL)):
            return False
        kind = self.request.principal.type
        if key.startswith(_TAG_OF_PRINCIPAL):
            return self._has_settled_tags(kind)
        if key == "aws:userid" and kind is PrincipalType.ASSUMED_ROLE:
            return False  # it ends with the name of the session
        return self._has_value(key) or self._is_surely_absent(key, kind)

    def _has_settled_tags(self, kind: PrincipalType) -> bool:
        if kind is PrincipalType.ASSUMED_ROLE:
            return self.is_hosted and not self.may_be_tagged
        return self.is_hosted or kind in (PrincipalType.ANONYMOUS, PrincipalType.SERVICE)

    def _has_value(self, key: str) -> bool:
        try:
            return self.request.value(key) is not None
        except ContextError:
            return True  # the evaluator has the same doubt, and decides on it

    def _is_surely_absent(self, key: str, kind: PrincipalType) -> bool:
        if key in _OF_SERVICES:
            return kind is not PrincipalType.SERVICE
        if key in _OF_ROLE_SESSIONS:
            return kind is not PrincipalType.ASSUMED_ROLE
        if key == "aws:username":
            return kind is not PrincipalType.USER
        if key in _ORGANIZATION:
            return self.is_hosted
        if key in _RESOURCE_ORGANIZATION:
            return self.owner_is_hosted
        if key.startswith(_TAGS_OF_RESOURCE):
            return self.has_tags
        row = row_of(key)
        if row is not None and row.supplier == "identity provider":
            return kind not in (PrincipalType.FEDERATED, PrincipalType.ASSUMED_ROLE)
        return False

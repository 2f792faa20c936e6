"""Who supplies the condition keys of a request: the call, the principal's and the resource's accounts, the clock (rules
E), and the resource with its tags and keys.

A table of key -> function, asked lazily: a decision computes only the keys that its candidate statements name. The
caller never supplies one (rule K-1), but for the two header-derived keys. What the enforcement point gives by hand
wins. Keys that the principal carries itself are `model/principal`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple

from iam_guard.errors import ContextError
from iam_guard.evaluation.matching.condition_keys import row_of, spelled
from iam_guard.model.context import NO_KEYS, Context, Given, Lazy, Value, laid_over, normalise, resource_values
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.store.protocol import Organization

_MFA_AGE: Final = "aws:multifactorauthage"


class Parties(NamedTuple):
    """What supplied keys are made from in every request of a principal for resources of an account."""

    principal: Principal
    principal_organization: Organization | None = None
    resource_account: str | None = None
    resource_organization: Organization | None = None
    region: str = "us-east-1"
    """The region of requests without a call."""


class RequestContext(Context):
    """A request context that asks the table below for what was not given by hand."""

    __slots__ = ("call", "now", "parties")

    def __init__(
        self,
        given: Mapping[str, Given | Lazy] | None,
        parties: Parties,
        now: datetime,
        call: Call | None = None,
        resource_tags: Mapping[str, str] = NO_KEYS,
        resource_keys: Mapping[str, Given | Lazy] = NO_KEYS,
    ) -> None:
        values = resource_values(resource_tags, resource_keys) if resource_tags or resource_keys else {}
        if given is not None:
            super().__init__(given)
            values = laid_over(values, self._values) if values else self._values
        self._values = values
        self.parties = parties
        self.now = now
        self.call = call
        """The call that the request came with; None for a question of the application's own."""

    def value(self, folded_key: str) -> Value | None:
        if folded_key in self._values:
            found = super().value(folded_key)
            if found is not None:
                return found if isinstance(found, str) else _as_many_as_it_has(found, folded_key)
        supplier = _SUPPLIERS.get(folded_key)
        if supplier is None:
            return None
        given = supplier(self)
        if given is None:
            return None  # K-2: absent, not empty
        supplied = normalise(given, folded_key)
        self._values[folded_key] = supplied
        return supplied

    def for_principal(self, principal: Principal) -> RequestContext:
        """Return the context of the same request with another credential of its principal."""
        context = object.__new__(RequestContext)
        context._values = dict(self._values)
        if context._values.get(_MFA_AGE) == str(_mfa_age(self)):  # was supplied, not given by hand
            del context._values[_MFA_AGE]
        context.parties, context.now, context.call = self.parties._replace(principal=principal), self.now, self.call
        return context

    def known(self) -> dict[str, Value]:
        for key in _SUPPLIERS:
            if key not in self._values:  # what the application gave wins
                self.value(key)
        return super().known()

    def __iter__(self) -> Iterator[str]:
        self.known()
        return iter(sorted(super().__iter__()))


def _as_many_as_it_has(members: tuple[str, ...], folded_key: str) -> tuple[str, ...]:
    """Refuse several values of a key that has one: no plain operator is met by them, and so no Deny either (C-7)."""
    row = row_of(folded_key) if len(members) > 1 else None
    if row is not None and not row.multivalued:
        raise ContextError(f"expected one value, got {len(members)}", place=spelled(folded_key)[:200])
    return members


def _is_service(context: RequestContext) -> bool | None:
    kind = context.parties.principal.type
    return None if kind is PrincipalType.ANONYMOUS else kind is PrincipalType.SERVICE


def _service_name(context: RequestContext) -> str | None:
    return context.parties.principal.arn if context.parties.principal.type is PrincipalType.SERVICE else None


def _service_names(context: RequestContext) -> list[str] | None:
    return [context.parties.principal.arn] if context.parties.principal.type is PrincipalType.SERVICE else None


def _organization_id(organization: Organization | None) -> str | None:
    return None if organization is None else organization.id


def _organization_paths(organization: Organization | None) -> list[str] | None:
    return None if organization is None else [organization.path]


def _of_call(field: str) -> Callable[[RequestContext], Given]:
    read = attrgetter(field)
    return lambda context: None if context.call is None or context.call.kind == "call" else read(context.call)


def _mfa_age(context: RequestContext) -> int | None:
    """Count at each decision: one principal serves all the requests of its credentials."""
    mfa_at = context.parties.principal.mfa_at
    return None if mfa_at is None else max(0, int((context.now - mfa_at).total_seconds()))


_SUPPLIERS: dict[str, Callable[[RequestContext], Given]] = {
    "aws:currenttime": lambda context: context.now,
    "aws:epochtime": lambda context: int(context.now.timestamp()),
    "aws:principalisawsservice": _is_service,
    "aws:principalservicename": _service_name,
    "aws:principalservicenameslist": _service_names,
    "aws:principalorgid": lambda context: _organization_id(context.parties.principal_organization),
    "aws:principalorgpaths": lambda context: _organization_paths(context.parties.principal_organization),
    _MFA_AGE: _mfa_age,
    "aws:referer": _of_call("referer"),
    "aws:requestedregion": lambda context: context.parties.region if context.call is None else context.call.region,
    "aws:resourceaccount": lambda context: context.parties.resource_account,
    "aws:resourceorgid": lambda context: _organization_id(context.parties.resource_organization),
    "aws:resourceorgpaths": lambda context: _organization_paths(context.parties.resource_organization),
    "aws:securetransport": _of_call("secure"),
    "aws:sourceip": _of_call("source_ip"),
    "aws:useragent": _of_call("user_agent"),
    "aws:viaawsservice": lambda context: False,
}
"""Condition key in lower case -> what supplies it. A plain function call has no connection, hence none of its keys."""

SUPPLIED_KEYS = frozenset(_SUPPLIERS)
_LASTING = {
    "principalisawsservice",
    "principalservicename",
    "principalservicenameslist",
    "principalorgid",
    "viaawsservice",
}
_LASTING |= {"principalorgpaths", "resourceaccount", "resourceorgid", "resourceorgpaths"}
KEYS_OF_CALLS = SUPPLIED_KEYS - {f"aws:{name}" for name in _LASTING}
"""Keys whose value depends on the call or the time."""

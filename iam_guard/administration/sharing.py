"""`guard.sharing`: who else may use one resource, as statements of its policy in the store.

A share is an Allow for one grantee: an account, a user, a role, a session, or everyone. This module checks what is
shared with whom; `policy/share_statements` edits the text, and the store saves it in one transaction. Whether the
caller may share is for the application to decide, with an action of its own such as `docs:ShareDocument`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any, Final, Protocol

from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity, did_you_mean
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.arn import UNLOCATED, Arn, Location, account_of, is_account_id
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource, ResourceLoader, load_resource
from iam_guard.policy.document import Effect
from iam_guard.policy.grammar import WILDCARD, quoted
from iam_guard.policy.parser import parse
from iam_guard.policy.renderer import render
from iam_guard.policy.share_statements import (
    EVERYONE_GRANTEE,
    Share,
    share_index,
    shared_actions,
    shares_in,
    with_share,
    without_share,
)

MAX_SHARED_ACTIONS: Final = 100
"""Maximum number of actions of one call."""
_ACTION: Final = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*?]+")
_PRINCIPAL: Final = re.compile(
    r"arn:[a-z0-9-]+:(?:iam::[0-9]{12}:(?:user|role)/.+|sts::[0-9]{12}:(?:assumed-role/.+/.+|federated-user/.+))"
)


class ShareAnalysis(Protocol):
    """The checks of the policy that a share results in: `analysis/checks/share_checks` has them."""

    def is_public(self, policy: str) -> bool:
        """Return whether a resource's policy grants access to everyone, or may do so."""

    def allows_none(self, policy: str, action: str) -> bool:
        """Return whether it is proved that a policy allows no request for an action."""


class EditablePolicies(Protocol):
    """The policies of resources that are shared: `ResourcePolicies`, or what a call has of them."""

    def current(self, arn: str) -> str | None:
        """Return the policy of a resource as decisions read it."""

    def edit(
        self,
        arn: str,
        change: Callable[[str | None], str | None],
        *,
        action: str,
        parameters: Mapping[str, Any],
        account: str | None = None,
        grantee: str | None = None,
        only_removes: bool = False,
    ) -> str | None:
        """Replace the policy of a resource by what `change` returns for it, and return that."""


class ResourceSharing:
    """Shares resources whose policies are in the store. Thread-safe.

    `analysis` returns the checks of policies; `open_guard` sets it. Without it, nothing can be shared.
    """

    def __init__(
        self,
        policies: EditablePolicies,
        catalogues: Sequence[Catalogue] = (),
        resources: ResourceLoader | None = None,
        analysis: Callable[[], ShareAnalysis] | None = None,
        *,
        location: Location = UNLOCATED,
    ) -> None:
        self._policies = policies
        self._catalogues = catalogues
        self._resources = resources
        self.analysis = analysis
        self._location = location

    def of(self, policies: EditablePolicies) -> ResourceSharing:
        """Return what shares resources by the same rules, with these policies."""
        other = copy(self)
        other._policies = policies
        return other

    def share(
        self,
        resource: str,
        *,
        with_account: str | None = None,
        with_principal: str | None = None,
        public: bool = False,
        actions: str | Iterable[str],
        wildcards: bool = False,
        external: bool = False,
        account: str | None = None,
    ) -> Share:
        """Allow a grantee some actions on a resource, in addition to those it has; return the whole share.

        `with_account` is an account of the store, or an `external` one; its own policies must allow the actions, too.
        `with_principal` is the ARN of a user, role or session of the store; it does not apply to one that is created
        with the same name later. `public=True` shares with everyone. `actions` are those of the resource's service,
        without `wildcards` unless asked. `account` owns a resource whose ARN has no account.

        The authority of the caller is not checked here. Raises `InvalidInput` for an invalid argument, a share that a
        Deny of the policy makes useless, and one that would be public; `PolicyError` for an unknown principal or a
        policy that can't be parsed; `LimitExceeded` if the policy becomes too long; `NoSuchEntity` for an unknown
        account; `StoreIsReadOnly`; `RecordUnavailable` if the share was made but could not be audited.
        """
        resource = self.require_stored(resource)
        grantee = _grantee(with_account, with_principal, public=public)
        if with_principal is not None and not _PRINCIPAL.fullmatch(with_principal):
            message = f"expected the ARN of a user, role or session, got {quoted(with_principal)}"
            raise InvalidInput(message, place="with_principal")
        if external and with_account is None:
            raise InvalidInput("expected an account: principals must be in the store", place="external")
        names = self._checked_actions(resource, actions, wildcards=wildcards)
        if with_account is not None and with_account == (account or account_of(resource)):
            message = "expected another account: in its own account, the policies of users and roles decide"
            raise InvalidInput(message, place="with_account")
        analysis = self._required_analysis()

        def change(before: str | None) -> str | None:
            after = with_share(before, resource, grantee, names)
            _refuse_denied(analysis, after, resource, grantee, names)
            if not public and analysis.is_public(after) and (before is None or not analysis.is_public(before)):
                raise InvalidInput("expected a share that is not public: `public=True` shares with everyone")
            return after

        after = self._policies.edit(
            resource,
            change,
            action="iam-guard:ShareResource",
            parameters={"grantee": grantee, "actions": list(names)},
            account=account,
            grantee=None if external else grantee,
        )
        shares = [share for share in shares_in(after or "", resource) if share.grantee == grantee]
        return next(share for share in shares if not share.is_written_by_hand)

    def unshare(
        self,
        resource: str,
        *,
        with_account: str | None = None,
        with_principal: str | None = None,
        public: bool = False,
        actions: str | Iterable[str] | None = None,
        account: str | None = None,
    ) -> list[Share]:
        """Take actions from a grantee, or all; return what still applies to it: written by hand, or shared with more.

        The grantee is named as in `share`, or as in `shares_of`: a deleted user or role by its unique id. A policy
        without any other statement is deleted. Raises `NoSuchEntity` if an action is not shared, and as `share`.
        """
        resource = self._completed(resource)
        grantee = _grantee(with_account, with_principal, public=public)
        names = None if actions is None else _listed(actions)

        def change(before: str | None) -> str | None:
            shared = shared_actions(before, resource, grantee)
            known = set(map(str.lower, shared))
            missing = [name for name in names or () if name.lower() not in known]
            if before is None or not shared or missing:
                what = f"{quoted(missing[0])} is" if missing and shared else "The resource is"
                patterns = [action for action in shared if WILDCARD.search(action)]
                hint = f": it is shared as {quoted(patterns[0])}" if missing and patterns else ""
                raise NoSuchEntity(f"{what} not shared with {quoted(grantee)}{hint}.")
            return without_share(before, resource, grantee, names)

        after = self._policies.edit(
            resource,
            change,
            action="iam-guard:UnshareResource",
            parameters={"grantee": grantee, "actions": names},
            account=account,
            only_removes=True,
        )
        also = {grantee, account_of(grantee), EVERYONE_GRANTEE}
        return [share for share in shares_in(after, resource) if share.grantee in also] if after is not None else []

    def shares_of(self, resource: str) -> list[Share]:
        """Return what the policy of a resource grants to whom, in its order: shares, and Allows written by hand.

        Never less than the policy grants: its Denies are not subtracted. Raises `PolicyError` for a policy that can't
        be parsed, and `InvalidInput` for one that the application keeps.
        """
        resource = self.require_stored(resource)
        text = self._policies.current(resource)
        return [] if text is None else shares_in(text, resource)

    def _checked_actions(self, resource: str, actions: str | Iterable[str], *, wildcards: bool) -> list[str]:
        """Return the actions as they are declared. Raises `InvalidInput` for one that is not of the service."""
        service = Arn.parse(resource).service
        declared = {
            str(row).lower(): str(row)
            for catalogue in self._catalogues
            if catalogue.service == service
            for row in catalogue
        }
        listed = _listed(actions)
        for action in listed:
            if not _ACTION.fullmatch(action) or action.partition(":")[0] != service:
                message = f"expected an action of the resource's service, `{service}:…`, got {quoted(action)}"
                raise InvalidInput(message, place="actions")
            has_wildcard = WILDCARD.search(action) is not None
            if has_wildcard and not wildcards:
                message = f"expected an action without wildcards unless `wildcards=True`, got {quoted(action)}"
                raise InvalidInput(message, place="actions")
            is_known = any(map(compile_glob(action.lower()), declared)) if has_wildcard else action.lower() in declared
            if declared and not is_known:
                hint = did_you_mean(action, declared.values())
                raise InvalidInput(f"expected a declared action, got {quoted(action)}{hint}", place="actions")
        return [declared.get(action.lower(), action) for action in listed]

    def described(self, arn: str) -> Resource:
        """Return a resource as the application describes it, of a complete ARN."""
        resource = Resource(arn)
        return resource if self._resources is None else load_resource(self._resources, resource, self._location)

    def require_stored(self, resource: str) -> str:
        """Return the complete ARN of a resource. Raises `InvalidInput` if the application keeps its policy."""
        arn = self._completed(resource)
        if self.described(arn).policy is None:
            return arn
        message = "expected a resource whose policy is in the store: the application keeps that of"
        raise InvalidInput(f"{message} {quoted(arn)}", place="resource")

    def _completed(self, resource: str) -> str:
        if isinstance(resource, str):
            return self._location.complete(resource)
        raise InvalidInput(f"expected the ARN of a resource, got `{type(resource).__name__}`", place="resource")

    def _required_analysis(self) -> ShareAnalysis:
        if self.analysis is None:
            raise ConfigurationError("a guard that shares resources is opened by `open_guard`", place="analysis")
        return self.analysis()


def grantee_arguments(grantee: str) -> dict[str, Any]:
    """Return the arguments of `share` and `unshare` for a grantee, as `Share` has it."""
    if grantee == EVERYONE_GRANTEE:
        return {"public": True}
    return {"with_account" if is_account_id(grantee) else "with_principal": grantee}


def _grantee(with_account: str | None, with_principal: str | None, *, public: bool) -> str:
    named = [name for name in (with_account, with_principal, EVERYONE_GRANTEE if public else None) if name is not None]
    if len(named) != 1:
        raise InvalidInput("expected one of `with_account`, `with_principal` and `public=True`")
    if not isinstance(named[0], str):
        raise InvalidInput(f"expected an account id or the ARN of a principal, got `{type(named[0]).__name__}`")
    if with_account is not None and not is_account_id(with_account):
        raise InvalidInput(f"expected an account id of 12 digits, got {quoted(with_account)}", place="with_account")
    if with_principal is not None and (with_principal == EVERYONE_GRANTEE or is_account_id(with_principal)):
        message = f"expected the ARN of a user, role or session, got {quoted(with_principal)}"
        raise InvalidInput(message, place="with_principal")
    return named[0]


def _listed(actions: str | Iterable[str]) -> list[str]:
    """Return actions as a list without duplicates. Raises `InvalidInput` for none, too many, and other values."""
    listed = [actions] if isinstance(actions, str) or not isinstance(actions, Iterable) else list(actions)
    if not listed or len(listed) > MAX_SHARED_ACTIONS or not all(isinstance(action, str) for action in listed):
        message = f"expected 1 to {MAX_SHARED_ACTIONS} actions such as `docs:GetDocument`"
        raise InvalidInput(message, place="actions")
    return list({action.lower(): action for action in listed}.values())


def _refuse_denied(analysis: ShareAnalysis, policy: str, resource: str, grantee: str, actions: Sequence[str]) -> None:
    """Raise `InvalidInput` if the Denies of a policy deny an action to the grantee, whatever the request."""
    document = parse(policy, PolicyType.RESOURCE)
    rendered = render(document)
    denies = [rendered["Statement"][found.index] for found in document.statements if found.effect is Effect.DENY]
    shared = rendered["Statement"][share_index(policy, resource, grantee)]

    def allows_none(action: str, statements: list[Any]) -> bool:
        alone = {**rendered, "Statement": [*statements, {**shared, "Action": action}]}
        return analysis.allows_none(json.dumps(alone), action)

    for action in actions if denies else ():
        if allows_none(action, denies):
            sid = next((deny.get("Sid") for deny in denies if allows_none(action, [deny])), None)
            where = f"the statement {quoted(sid)}" if sid else "a Deny"
            message = f"expected a share that has an effect: {where} of the policy denies {quoted(action)}"
            raise InvalidInput(message, place="actions")

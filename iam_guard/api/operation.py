"""A row of a service's table of operations, and how it is run: resolve, authorize, change.

The strategy. What an operation is done to is looked up first, so that the decision is about the entity as it is: its
ARN with path, its tags, its boundary. The decision is made outside of the transaction that changes, for deciding reads
the store too. Inside it the same is looked up again; if it has become another meanwhile (renamed, tagged, given a
boundary), everything starts anew. So nothing is done to anything but what was decided about, and every call is one
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.paging import stamped, unstamped
from iam_guard.api.session_limits import refuse_out_of_reach
from iam_guard.authn.federation.role_session import not_admitted
from iam_guard.authn.federation.web_identity import VerifiedToken
from iam_guard.authn.token_verifier import TokenVerifier
from iam_guard.errors import (
    AccessDenied,
    ConcurrentModification,
    IamGuardError,
    MissingAuthenticationToken,
    NotSupported,
)
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal
from iam_guard.model.request import Resource
from iam_guard.model.result import ChangedDocument
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Records

MAX_TRIES = 5

Keys: TypeAlias = Mapping[str, Given]
Handler: TypeAlias = Callable[[ServiceCall, Input], "Output | None"]
Target: TypeAlias = Callable[[ServiceCall, Input], Resource]
"""Finds what the operation is done to; of what does not exist it gives the ARN that it would have."""
KeySource: TypeAlias = Callable[[ServiceCall, Input], Keys]
"""Returns condition keys of the request."""


class Permission(NamedTuple):
    """One question that must be answered with yes before the operation is run.

    It is about the caller, or about `principal`: whom a token vouches for, where the call is not signed.
    """

    action: str
    resource: Resource
    context: Keys
    principal: Principal | None = None


class Proving(NamedTuple):
    """What it takes to find out for whom a call is that nobody signed."""

    store: RecordStore
    tokens: TokenVerifier
    now: int


DigestOf: TypeAlias = Callable[[ServiceCall, Input], str | None]
"""Returns the digest of a policy document as it stands; None where there is none."""


class Digests(NamedTuple):
    """Finds the document that a call changes: what it replaces or removes, and what it wrote."""

    before: DigestOf
    after: DigestOf


Further: TypeAlias = Callable[[ServiceCall, Input], "Sequence[Permission]"]
"""Returns what else a call needs permission for: `iam:PassRole`, `iam:TagUser`."""
Authorize: TypeAlias = Callable[[Permission], object]
"""Raises `AccessDenied` unless the caller may."""


def everything(call: ServiceCall, given: Input) -> Resource:
    """Return `*`: the operation has no resource."""
    return Resource("*", account=call.account)


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: what is done, to what, with which condition keys.

    `reads` says that nothing is changed; `writes` tells it from the input, where that differs. Without `gives_reasons`
    a refusal does not tell which policy it comes from, and so nothing about the resource.
    """

    handle: Handler
    target: Target = everything
    keys: tuple[KeySource, ...] = ()
    further: tuple[Further, ...] = ()
    reads: bool = False
    writes: Callable[[Input], bool] | None = None
    gives_reasons: bool = True
    prove: Callable[[Proving, Input], VerifiedToken] | None = None
    """Of an operation that is not signed: verifies the token that is shown, before there is a transaction."""
    asks: Further | None = None
    """Returns all questions, in the place of those that follow from `target`, `keys` and `further`."""
    digests: Digests | None = None
    """Of an operation that is about a policy document: finds it, for the audit record."""

    def changes(self, given: Input) -> bool:
        """Return whether a call may change rows."""
        return not self.reads if self.writes is None else self.writes(given)


@dataclass(frozen=True, slots=True)
class Service:
    """A service of ours: the prefix of its actions, and its table of operations by the model's names.

    `not_supported` says why for operations that everybody is told about, without credentials and unasked.
    """

    prefix: str
    operations: Mapping[str, Operation]
    not_supported: Mapping[str, str] = field(default_factory=dict)

    def operation(self, name: str) -> Operation:
        """Return a row. Raises `NotSupported`, with the reason where there is one."""
        found = self.operations.get(name)
        if found is None:
            reason = self.not_supported.get(name)
            raise NotSupported(f"The operation {name} is not supported{f': {reason}' if reason else ''}.")
        return found


class Performed(NamedTuple):
    """What came of an operation. `document` is what `Operation.digests` found, `epoch` of the state with the change."""

    output: Output
    changed: bool
    epoch: int | None
    document: ChangedDocument | None


def run(
    service: Service,
    name: str,
    given: Input,
    *,
    caller: Principal,
    store: RecordStore,
    authorize: Authorize,
    now: int,
    issuer_url: str = "",
    tokens: TokenVerifier | None = None,
    app_services: frozenset[str] = frozenset(),
    is_recorded: bool = False,
) -> Performed:
    """Run an operation for a caller who may; raise what it is refused with, and then nothing has changed.

    `is_recorded` says that somebody wants to know what became of the policy document that it is about.
    """
    operation = service.operation(name)
    vouched = None
    if operation.prove is not None and tokens is not None:
        vouched = operation.prove(Proving(store, tokens, now), given)
    account = caller.account if vouched is None else vouched.account
    if account is None:
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    refuse_out_of_reach(caller, service.prefix, name)
    purpose = f"{account} {service.prefix}:{name}"
    given = unstamped(given, purpose)

    def call_with(records: Records) -> ServiceCall:
        sealing, more = (store.sealer, store.ids, store.seal_session), (issuer_url, vouched, app_services)
        return ServiceCall(caller, account, store.partition, now, records, *sealing, *more)

    def wanted_by(call: ServiceCall) -> list[Permission]:
        return _permissions(f"{service.prefix}:{name}", operation, call, given)

    def transaction() -> AbstractContextManager[Records]:
        return store.changing() if operation.changes(given) else store.viewing()

    decided: list[Permission] | None = None
    for _ in range(MAX_TRIES):
        with store.viewing() as records:
            wanted = wanted_by(call_with(records))
        if wanted != decided:
            for permission in wanted:
                _ask(authorize, permission, caller, gives_reasons=operation.gives_reasons)
            decided = wanted
        with transaction() as records:
            call = call_with(records)
            is_as_decided = wanted_by(call) == decided
            if is_as_decided:
                digests = operation.digests if is_recorded else None
                before = None if digests is None else _digest(digests.before, call, given)
                output = stamped(operation.handle(call, given) or {}, purpose)
                after = None if digests is None else _digest(digests.after, call, given)
        if is_as_decided:
            document = None if digests is None else ChangedDocument(before, after)
            return Performed(output, records.changed, records.epoch, document)
    raise ConcurrentModification("The entity was changed by another request at the same time, try again.")


def not_authorized(caller: Principal, action: str, resource: str, decision: object = None) -> AccessDenied:
    """Make the refusal that gives no reason (rule S-11)."""
    sentence = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
    return AccessDenied(sentence, decision=decision)


def _ask(authorize: Authorize, wanted: Permission, caller: Principal, *, gives_reasons: bool) -> None:
    try:
        authorize(wanted)
    except AccessDenied as refusal:
        if wanted.principal is not None:
            raise not_admitted(wanted.action, refusal.decision) from None
        if gives_reasons:
            raise
        raise not_authorized(caller, wanted.action, wanted.resource.arn, refusal.decision) from None


def _digest(find: DigestOf, call: ServiceCall, given: Input) -> str | None:
    """Find a document for the record. What the call itself is refused for, it is told by the call."""
    try:
        return find(call, given)
    except IamGuardError:
        return None


def _permissions(action: str, operation: Operation, call: ServiceCall, given: Input) -> list[Permission]:
    if operation.asks is not None:
        return list(operation.asks(call, given))
    resource = operation.target(call, given)
    context: dict[str, Given] = {}
    for source in operation.keys:
        context.update(source(call, given))
    further = [permission for more in operation.further for permission in more(call, given)]
    return [_with_tag_keys(each) for each in (Permission(action, resource, context), *further)]


def _with_tag_keys(permission: Permission) -> Permission:
    """Add the tags of the resource under the service's own name for them (K-33); `aws:ResourceTag` has them anyway."""
    if not permission.resource.tags or not permission.action.startswith(("iam:", "sts:")):
        return permission
    tags = {f"iam:ResourceTag/{key}": value for key, value in permission.resource.tags.items()}
    return permission._replace(context={**permission.context, **tags})

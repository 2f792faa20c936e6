"""A row of a service's operation table, and how an operation runs: resolve, authorize, execute.

The target is resolved first, so that the decision sees the stored entity: its ARN with path, its tags, its boundary.
Authorization reads the store as well, so it happens outside the transaction that writes. Inside that transaction the
target is resolved again; if the required permissions differ (the entity was renamed, tagged or bounded in between), the
call starts over. An operation therefore changes only what was authorized, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from iam_guard.api.call import ApiServer, Input, Output, ServiceCall, Verified
from iam_guard.api.paging import IAM_PAGES, PageMembers
from iam_guard.api.service_errors import KeptFailure
from iam_guard.api.session_limits import check_session_limits
from iam_guard.authn.federation.role_session import not_admitted
from iam_guard.authn.tokens.dpop import Possession
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
from iam_guard.store.database.records import Records
from iam_guard.store.protocol import RecordStore

MAX_TRIES = 5

Keys: TypeAlias = Mapping[str, Given]
Handler: TypeAlias = Callable[[ServiceCall, Input], "Output | None"]
Target: TypeAlias = Callable[[ServiceCall, Input], Resource]
"""Returns the resource that the operation acts on; for a missing entity, the ARN that it would have."""
KeySource: TypeAlias = Callable[[ServiceCall, Input], Keys]
"""Returns condition keys of the request."""


class Permission(NamedTuple):
    """A permission that the call requires.

    `principal` is the subject of a verified token or assertion; None means the caller.
    """

    action: str
    resource: Resource
    context: Keys
    principal: Principal | None = None


DigestSource: TypeAlias = Callable[[ServiceCall, Input], str | None]
"""Returns the digest of the stored policy document; None if there is none."""


class Digests(NamedTuple):
    """Find the policy document of a call, before and after the change; None where there is no document."""

    before: DigestSource | None
    after: DigestSource | None


Further: TypeAlias = Callable[[ServiceCall, Input], "Sequence[Permission]"]
"""Returns additional permissions that the call requires, such as `iam:PassRole` or `iam:TagUser`."""
Authorize: TypeAlias = Callable[[Permission], object]
"""Raises `AccessDenied` if the permission is denied."""


def all_resources(call: ServiceCall, parameters: Input) -> Resource:
    """Return `*`, for operations without a resource."""
    return call.resource("*")


def tag_permission(action: str, target: Target, keys: KeySource) -> Further:
    """Require the permission to tag, for a call with tags."""

    def further(call: ServiceCall, parameters: Input) -> list[Permission]:
        if not parameters.get("Tags"):
            return []
        return [Permission(action, target(call, parameters), keys(call, parameters))]

    return further


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of an operation table: handler, target and condition keys.

    `reads` marks a read-only operation; `writes` overrides it depending on the input. If `explains_denials` is False,
    a denial doesn't name the denying policy, so that it reveals nothing about the resource.
    """

    handle: Handler
    target: Target = all_resources
    keys: tuple[KeySource, ...] = ()
    further: tuple[Further, ...] = ()
    reads: bool = False
    writes: Callable[[Input], bool] | None = None
    explains_denials: bool = True
    verify_token: Callable[[OperationRequest], Verified | None] | None = None
    """For unsigned operations: verifies the token or assertion of the request, before the transaction begins."""
    permissions: Further | None = None
    """Returns all required permissions, instead of those from `target`, `keys` and `further`."""
    digests: Digests | None = None
    """For operations on a policy document: finds its digests for the audit record."""
    prepare: Callable[[OperationRequest, str, Input], object] | None = None
    """Does what takes a while in an account, once the operation is authorized, outside its transaction.

    It brings up to date what the operation reads, or returns what becomes `ServiceCall.prepared`, such as a hash.
    """
    keys_write: bool = False
    """Whether the condition keys of a call that writes do so themselves, since they count wrong MFA codes."""

    def changes(self, parameters: Input) -> bool:
        """Return whether a call may write to the store."""
        return not self.reads if self.writes is None else self.writes(parameters)


@dataclass(frozen=True, slots=True)
class Service:
    """A served AWS service: its action prefix, and its operations by the model's names.

    `not_supported` has the reasons of unsupported operations, which callers get without authorization.
    """

    prefix: str
    operations: Mapping[str, Operation]
    not_supported: Mapping[str, str] = field(default_factory=dict)
    pages: PageMembers = IAM_PAGES

    def operation(self, name: str) -> Operation:
        """Return an operation. Raises `NotSupported`, with the reason if there is one."""
        found = self.operations.get(name)
        if found is None:
            reason = self.not_supported.get(name)
            raise NotSupported(f"The operation {name} is not supported{f': {reason}' if reason else ''}.")
        return found


class OperationResult(NamedTuple):
    """The result of an operation. `epoch` is the store's epoch after the change."""

    output: Output
    changed: bool
    epoch: int | None
    document: ChangedDocument | None
    verified: Verified | None = None
    """What identified the caller of an unsigned operation."""


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """A caller's request for an operation. `now` is in whole seconds since 1970."""

    server: ApiServer
    service: Service
    name: str
    parameters: Input
    caller: Principal
    now: int
    possession: Possession | None = field(default=None, repr=False)
    """The proofs of possession of a key that came with the request."""
    user_agent: str = ""

    @property
    def action(self) -> str:
        return f"{self.service.prefix}:{self.name}"

    @property
    def store(self) -> RecordStore:
        return self.server.store

    def call(self, account: str, verified: Verified | None, records: Records, prepared: object = None) -> ServiceCall:
        """Return the context of the operation in one transaction."""
        return ServiceCall(self.server, self.caller, account, self.now, records, verified, prepared)


def run(request: OperationRequest, authorize: Authorize, verified: Verified | None = None) -> OperationResult:
    """Authorize and execute an operation. Raises the error of a rejected call; the store is then unchanged.

    `verified` is the result of `verify_token`, if it was called before.
    """
    operation = request.service.operation(request.name)
    if verified is None and operation.verify_token is not None:
        verified = operation.verify_token(request)
    account = request.caller.account if verified is None else verified.account
    if account is None:
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    check_session_limits(request.caller, request.service.prefix, request.name)
    pages, purpose = request.service.pages, f"{account} {request.action}"
    parameters = pages.open(request.parameters, purpose)
    store = request.store
    transaction = store.write_transaction if operation.changes(parameters) else store.read_transaction
    reading = transaction if operation.keys_write else store.read_transaction
    authorized: list[Permission] | None = None
    prepared: object = None
    for _ in range(MAX_TRIES):
        with _keeping_failures(reading) as records:
            required = _permissions(request.action, operation, request.call(account, verified, records), parameters)
        if required != authorized:
            for permission in required:
                _authorize(authorize, permission, request.caller, explains_denials=operation.explains_denials)
            authorized = required
            if operation.prepare is not None:
                prepared = operation.prepare(request, account, parameters)
        with _keeping_failures(transaction) as records:
            call = request.call(account, verified, records, prepared)
            is_unchanged = _permissions(request.action, operation, call, parameters) == authorized
            if is_unchanged:
                digests = operation.digests if request.server.with_digests else None
                before = None if digests is None else _digest(digests.before, call, parameters)
                output = pages.close(operation.handle(call, parameters) or {}, purpose)
                after = None if digests is None else _digest(digests.after, call, parameters)
        if is_unchanged:
            document = None if digests is None else ChangedDocument(before, after)
            return OperationResult(output, records.changed, records.epoch, document, verified)
    raise ConcurrentModification("The entity was changed by another request at the same time, try again.")


@contextmanager
def _keeping_failures(transaction: Callable[[], AbstractContextManager[Records]]) -> Iterator[Records]:
    """Open a transaction that is committed in spite of `KeptFailure`, since what it has stored counts."""
    failure: KeptFailure | None = None
    with transaction() as records:
        try:
            yield records
        except KeptFailure as error:
            failure = error
    if failure is not None:
        raise failure


def not_authorized(caller: Principal, action: str, resource: str, decision: object = None) -> AccessDenied:
    """Return a denial without the reason (S-11)."""
    sentence = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
    return AccessDenied(sentence, decision=decision)


def _authorize(authorize: Authorize, permission: Permission, caller: Principal, *, explains_denials: bool) -> None:
    try:
        authorize(permission)
    except AccessDenied as denial:
        if permission.principal is not None:
            raise not_admitted(permission.action, denial.decision) from None
        if explains_denials:
            raise
        raise not_authorized(caller, permission.action, permission.resource.arn, denial.decision) from None


def _digest(find: DigestSource | None, call: ServiceCall, parameters: Input) -> str | None:
    """Return a document's digest for the audit record; None if it can't be found (the handler raises that error)."""
    if find is None:
        return None
    try:
        return find(call, parameters)
    except IamGuardError:
        return None


def _permissions(action: str, operation: Operation, call: ServiceCall, parameters: Input) -> list[Permission]:
    if operation.permissions is not None:
        return list(operation.permissions(call, parameters))
    resource = operation.target(call, parameters)
    context: dict[str, Given] = {}
    for source in operation.keys:
        context.update(source(call, parameters))
    further = [permission for permissions in operation.further for permission in permissions(call, parameters)]
    return [_with_tag_keys(permission) for permission in (Permission(action, resource, context), *further)]


def _with_tag_keys(permission: Permission) -> Permission:
    """Add the resource's tags under the service's own key (K-33); the guard adds `aws:ResourceTag` itself."""
    if not permission.resource.tags or not permission.action.startswith(("iam:", "sts:")):
        return permission
    tags = {f"iam:ResourceTag/{key}": value for key, value in permission.resource.tags.items()}
    return permission._replace(context={**permission.context, **tags})

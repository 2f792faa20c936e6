"""A row of a service's table of operations, and how it is run: resolve, authorize, change.

The strategy. What an operation is done to is looked up first, so that the decision is about the entity as it is: its
ARN with path, its tags, its boundary. The decision is made outside of the transaction that changes, for deciding reads
the store too. Inside it the same is looked up again; if it has become another meanwhile (renamed, tagged, given a
boundary), everything starts anew. So nothing is done to anything but what was decided about, and every call is one
transaction. Must not live here: any operation (`iam`, …), deciding (`authorize` is handed in).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from iam_guard.errors import ConcurrentModification, MissingAuthenticationToken
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal
from iam_guard.model.request import Resource
from iam_guard.services.call import Input, Output, ServiceCall
from iam_guard.services.paging import stamped, unstamped
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Records

MOST_TRIES = 5

Keys: TypeAlias = Mapping[str, Given]
Handler: TypeAlias = Callable[[ServiceCall, Input], "Output | None"]
Target: TypeAlias = Callable[[ServiceCall, Input], Resource]
"""Finds what the operation is done to; of what does not exist it gives the ARN that it would have."""
KeySource: TypeAlias = Callable[[ServiceCall, Input], Keys]
"""Gives condition keys of the request."""


class Permission(NamedTuple):
    """One question that must be answered with yes before the operation is run."""

    action: str
    resource: Resource
    context: Keys


Further: TypeAlias = Callable[[ServiceCall, Input], "Sequence[Permission]"]
"""Gives what else a call needs permission for: `iam:PassRole`, `iam:TagUser`."""
Authorize: TypeAlias = Callable[[Permission], object]
"""Raises `AccessDenied` unless the caller may."""


def everything(call: ServiceCall, given: Input) -> Resource:
    """Give `*`: the operation has no resource."""
    return Resource("*", account=call.account)


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: what is done, to what, with which condition keys. `reads` says that nothing is changed."""

    handle: Handler
    target: Target = everything
    keys: tuple[KeySource, ...] = ()
    further: tuple[Further, ...] = ()
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A service of ours: the prefix of its actions, and its table of operations by the model's names."""

    prefix: str
    operations: Mapping[str, Operation]


def run(
    service: Service,
    name: str,
    given: Input,
    *,
    caller: Principal,
    store: RecordStore,
    authorize: Authorize,
    now: int,
) -> Output:
    """Run an operation for a caller who may; raise what it is refused with, and then nothing has changed."""
    operation = service.operations[name]
    account = caller.account
    if account is None:
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    purpose = f"{account} {service.prefix}:{name}"
    given = unstamped(given, purpose)

    def call_with(records: Records) -> ServiceCall:
        return ServiceCall(caller, account, store.partition, now, records, store.sealer, store.ids)

    def wanted_by(call: ServiceCall) -> list[Permission]:
        return _permissions(f"{service.prefix}:{name}", operation, call, given)

    def transaction() -> AbstractContextManager[Records]:
        return store.viewing() if operation.reads else store.changing()

    decided: list[Permission] | None = None
    for _ in range(MOST_TRIES):
        with store.viewing() as records:
            wanted = wanted_by(call_with(records))
        if wanted != decided:
            for permission in wanted:
                authorize(permission)
            decided = wanted
        with transaction() as records:
            call = call_with(records)
            if wanted_by(call) == decided:
                return stamped(operation.handle(call, given) or {}, purpose)
    raise ConcurrentModification("The entity was changed by another request at the same time, try again.")


def _permissions(action: str, operation: Operation, call: ServiceCall, given: Input) -> list[Permission]:
    resource = operation.target(call, given)
    context: dict[str, Given] = {}
    for source in operation.keys:
        context.update(source(call, given))
    further = [permission for more in operation.further for permission in more(call, given)]
    return [_with_tag_keys(each) for each in (Permission(action, resource, context), *further)]


def _with_tag_keys(permission: Permission) -> Permission:
    """Add the tags of the resource under the service's own name for them (K-33); `aws:ResourceTag` has them anyway."""
    if not permission.resource.tags or not permission.action.startswith("iam:"):
        return permission
    tags = {f"iam:ResourceTag/{key}": value for key, value in permission.resource.tags.items()}
    return permission._replace(context={**permission.context, **tags})

"""The store of a call: what is administered with it is done in the transaction of the call, and recorded as the call.

So the operations and the methods of a guard, such as `guard.api_keys.create`, are the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from iam_guard.administration.accounts import Accounts
from iam_guard.administration.api_keys import ApiKeys
from iam_guard.administration.sharing import ResourceSharing
from iam_guard.api.call import ApiServer, ServiceCall
from iam_guard.authn.people.sessions.account_sessions import AccountSessions
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProviders
from iam_guard.errors import ConcurrentModification, ConfigurationError
from iam_guard.model.result import NoChangeRecorder
from iam_guard.store.database.records import Records
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.protocol import RecordStore

Edits: TypeAlias = Mapping[str | None, str | None]
"""The text of a policy -> what it becomes."""
_NOT_RECORDED = NoChangeRecorder()  # the call itself is


class _CallStore:
    """A store whose transactions are all that of a call."""

    def __init__(self, call: ServiceCall) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call.server.store, name)

    @contextmanager
    def read_transaction(self) -> Iterator[Records]:
        yield self._call.records

    write_transaction = read_transaction


def _store(call: ServiceCall) -> RecordStore:
    return cast(RecordStore, _CallStore(call))


def accounts_of_store(call: ServiceCall) -> Accounts:
    """Return the accounts of a store, as `guard.accounts`."""
    return Accounts(_store(call), call.server.settings, _NOT_RECORDED, lambda: call.time)


def api_keys_of(call: ServiceCall) -> ApiKeys:
    """Return the API keys of all accounts, as `guard.api_keys`."""
    return ApiKeys(_store(call), _NOT_RECORDED, clock=lambda: call.now)


def browser_sessions_of(call: ServiceCall) -> AccountSessions:
    """Return the browser sessions of all accounts, as `guard.people.account_sessions`."""
    return AccountSessions(_store(call), call.server.settings, _NOT_RECORDED, lambda: call.time)


def sign_on_providers_of(call: ServiceCall) -> SignOnProviders:
    """Return the sign-on providers of all accounts, as `guard.people.sign_on_providers`."""
    return SignOnProviders(_store(call), _NOT_RECORDED, lambda: call.time)


def resource_policies_of(call: ServiceCall) -> ResourcePolicies:
    """Return the policies of all resources, as `guard.resource_policies`."""
    return ResourcePolicies(_store(call), _NOT_RECORDED)


def sharing_of(call: ServiceCall) -> ResourceSharing:
    """Return what shares resources, as `guard.sharing`, with the edits that `prepare_share` has computed."""
    return _sharing(call.server).of(_PreparedPolicies(resource_policies_of(call), cast(Edits, call.prepared or {})))


def previewed(call: ServiceCall, arn: str, share: Callable[[ResourceSharing], object]) -> Edits:
    """Return the edits that sharing a resource needs, computed outside of a transaction that writes."""
    preview = _Preview(resource_policies_of(call).current(arn))
    share(_sharing(call.server).of(preview))
    return preview.edits


class _Preview:
    """The policy of one resource, whose edits are computed and not stored."""

    def __init__(self, text: str | None) -> None:
        self._text = text
        self.edits: dict[str | None, str | None] = {}

    def current(self, arn: str) -> str | None:
        return self._text

    def edit(self, arn: str, change: Callable[[str | None], str | None], **_: object) -> str | None:
        self.edits[self._text] = after = change(self._text)
        return after


class _PreparedPolicies:
    """The policies of the store, whose edits were computed before: the checks of a policy take a while."""

    def __init__(self, policies: ResourcePolicies, edits: Edits) -> None:
        self._policies = policies
        self._edits = edits
        self.current = policies.current

    def edit(self, arn: str, change: Callable[[str | None], str | None], **options: Any) -> str | None:
        return self._policies.edit(arn, self._edited, **options)

    def _edited(self, before: str | None) -> str | None:
        if before not in self._edits:
            raise ConcurrentModification("The policy was changed by another request at the same time, try again.")
        return self._edits[before]


def _sharing(server: ApiServer) -> ResourceSharing:
    if server.sharing is None:
        raise ConfigurationError("a guard that shares resources is opened by `open_guard`", place="sharing")
    return server.sharing

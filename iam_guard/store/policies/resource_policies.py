"""Resource-based policies of an application's resources: put, get, delete and list them (rules A.3, P-5 to P-8).

A document is validated when it is written: its syntax, its size, and its principals, which are bound to their current
unique ids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, NamedTuple

from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.arn import UNLOCATED, Arn, Location, is_account_id, is_complete, is_iam_or_sts
from iam_guard.model.decision import PolicyType
from iam_guard.model.result import CallResult, ChangedDocument, ChangeRecorder, NoChangeRecorder
from iam_guard.policy.document import Document
from iam_guard.policy.parser import parse
from iam_guard.policy.quota import RESOURCE
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.accounts.account_state_rows import require_kept
from iam_guard.store.database.records import PRESENT, Records, Row
from iam_guard.store.identifiers import ARN_BYTES
from iam_guard.store.policies.principal_bindings import bind_principals, read_current_text, unbound_in
from iam_guard.store.policies.resource_statements import replace_statements
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import accounts, resource_statements, resources

MAX_LISTED = 1000


class ListedPolicy(NamedTuple):
    """A resource that has a policy, and the account that owns it."""

    arn: str
    account: str


class ResourcePolicies:
    """Manages the resource-based policies of a store. Thread-safe."""

    def __init__(
        self, store: RecordStore, change_recorder: ChangeRecorder | None = None, location: Location = UNLOCATED
    ) -> None:
        """Manage policies; `location` completes the ARNs of declared resources. Without one, these are refused."""
        self._store = store
        self._change_recorder = change_recorder or NoChangeRecorder()
        self._location = location

    def _completed(self, arn: str) -> str:
        return self._location.complete(arn) if isinstance(arn, str) else arn

    def put(self, arn: str, document: Mapping[str, Any] | str, *, account: str | None = None) -> None:
        """Attach a policy to a resource, replacing any other.

        `document` is a dict or JSON text, which is stored as written. `account` is the owner of the resource; optional
        if the ARN contains it. Raises `InvalidInput`, `PolicyError`, `LimitExceeded`; `NoSuchEntity` for an unknown
        account; `StoreIsReadOnly`; `RecordUnavailable` if the policy was attached but could not be audited.
        """
        self._change_recorder.prepare()
        arn = self._completed(arn)
        owner = _owner(arn, account)
        checked = validate_for_write(document, PolicyType.RESOURCE, partition=self._store.partition)
        RESOURCE.check(RESOURCE.size(checked.text))
        with self._store.write_transaction() as records:
            stored = _stored(records, arn, owner)
            self._replace(records, arn, owner, checked)
            before = None if stored is None else stored["digest"]
        self._change_recorder.record(
            CallResult(
                action="iam-guard:PutResourcePolicy",
                resource=arn,
                owner=owner,
                parameters={"resourceArn": arn, "policy": checked.text},
                document=ChangedDocument(before, checked.digest),
                epoch=records.epoch,
            )
        )

    def get(self, arn: str) -> str | None:
        """Return the policy of a resource as text, or None.

        Deleted principals appear by their unique ids, accounts by the ARNs of their roots.
        """
        with self._store.read_transaction() as records:
            row = records.one(resources, arn=self._completed(arn), text=PRESENT)
            if row is None:
                return None
            return read_current_text(records, self._store.partition, row["text"], row["bindings"], shown=True)

    def current(self, arn: str) -> str | None:
        """Return the policy of a resource as decisions read it: as `get` does, but accounts by their ids.

        Raises `PolicyError` for a policy that can't be parsed.
        """
        with self._store.read_transaction() as records:
            return self._current_text(records, records.one(resources, arn=self._completed(arn)))

    def delete(self, arn: str) -> None:
        """Delete the policy of a resource. Raises `NoSuchEntity` if there is none, and as `put` does."""
        self._change_recorder.prepare()
        arn = self._completed(arn)
        with self._store.write_transaction() as records:
            row = records.one(resources, arn=arn, text=PRESENT)
            if row is None:
                raise NoSuchEntity(f"The resource {arn[:ARN_BYTES]} has no policy.")
            _clear(records, arn)
        self._change_recorder.record(
            CallResult(
                action="iam-guard:DeleteResourcePolicy",
                resource=arn,
                owner=row["account"],
                parameters={"resourceArn": arn},
                document=ChangedDocument(before=row["digest"]),
                epoch=records.epoch,
            )
        )

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
        """Replace the policy of a resource by what `change` returns for it, and return that; None for no policy.

        `change` gets the text that decisions read, with deleted principals by their unique ids. It is called before the
        transaction, and again in it if the policy has changed meanwhile, so that no other change is lost. The change is
        recorded as the call `action` with these parameters. `grantee` is an account or principal that must exist. A
        change that `only_removes` statements is not refused for what else is in the policy. Raises `NoSuchEntity` for
        an unknown account, `PolicyError` for a policy that can't be parsed, and as `put` and `change` do.
        """
        self._change_recorder.prepare()
        arn = self._completed(arn)
        owner, change = _owner(arn, account), cache(change)
        with self._store.read_transaction() as records:
            seen = self._current_text(records, _stored(records, arn, owner))
        change(seen)  # cached, so that checks of the policy rarely run while other writers wait
        with self._store.write_transaction() as records:
            if grantee is not None and is_account_id(grantee):
                _require_account(records, grantee)
            stored = _stored(records, arn, owner)
            before = self._current_text(records, stored)
            after = change(before)
            digest = None if stored is None else stored["digest"]
            change_of_document = ChangedDocument(digest, digest)
            if after != before:
                saved = self._save(records, arn, owner, after, grantee, only_removes=only_removes)
                change_of_document = ChangedDocument(digest, saved)
        self._change_recorder.record(
            CallResult(
                action=action,
                resource=arn,
                owner=owner,
                parameters={"resourceArn": arn, **parameters},
                document=change_of_document,
                changed=after != before,
                epoch=records.epoch,
            )
        )
        return after

    def list(
        self, *, account: str | None = None, after: str | None = None, limit: int = MAX_LISTED
    ) -> list[ListedPolicy]:
        """Return a page of the resources with a policy, by ARN; `after` is the last ARN of the previous page."""
        where = {} if account is None else {"account": account}
        with self._store.read_transaction() as records:
            rows = records.page(
                resources, order=("arn",), after=None if after is None else (after,), limit=limit, text=PRESENT, **where
            )
        return [ListedPolicy(row["arn"], row["account"]) for row in rows]

    def _save(
        self,
        records: Records,
        arn: str,
        owner: str,
        after: str | None,
        grantee: str | None,
        *,
        only_removes: bool,
    ) -> str | None:
        """Store an edited policy, and return its digest."""
        if after is None:
            _clear(records, arn)
            return None
        row = records.one(resources, arn=arn, text=PRESENT)
        unbound = set() if row is None else unbound_in(parse(row["text"], PolicyType.RESOURCE), row["bindings"])
        if only_removes:
            checked = parse(after, PolicyType.RESOURCE)
        else:
            checked = validate_for_write(after, PolicyType.RESOURCE, partition=self._store.partition)
            RESOURCE.check(RESOURCE.size(after))
        self._replace(records, arn, owner, checked, unbound=unbound - {grantee})
        return checked.digest

    def _replace(
        self, records: Records, arn: str, owner: str, checked: Document, *, unbound: Collection[str] = ()
    ) -> None:
        """Store a policy; principals that are `unbound` stay so. Raises `AccountStateConflict`."""
        require_kept(records, owner)
        values = {
            "text": checked.text,
            "digest": checked.digest,
            "bindings": bind_principals(records, checked, partition=self._store.partition, unbound=unbound),
            "listed_digest": checked.digest,
        }
        if records.one(resources, arn=arn) is None:
            records.insert(resources, arn=arn, account=owner, tags={}, **values)
        else:
            records.update(resources, values, arn=arn)
        replace_statements(records, {"arn": arn, "account": owner, **values})

    def _current_text(self, records: Records, row: Row | None) -> str | None:
        """Return the policy in a row as decisions read it. Raises `PolicyError` if it can't be parsed."""
        if row is None or row["text"] is None:
            return None
        parse(row["text"], PolicyType.RESOURCE)
        return read_current_text(records, self._store.partition, row["text"], row["bindings"])


def _stored(records: Records, arn: str, owner: str) -> Row | None:
    """Return the row of a resource, or None. Raises `NoSuchEntity` for an unknown owner, `InvalidInput` for another."""
    _require_account(records, owner)
    row = records.one(resources, arn=arn)
    if row is not None and row["account"] != owner:
        raise InvalidInput(f"the resource `{arn}` belongs to another account", place="account")
    return row


def _require_account(records: Records, account: str) -> None:
    if records.one(accounts, id=account) is None:
        raise NoSuchEntity(f"The account {account} cannot be found.")


def _clear(records: Records, arn: str) -> None:
    """Delete the policy of a resource, and the resource if it has no tags."""
    row = records.one(resources, arn=arn)
    if row is not None and row["tags"]:
        nothing: dict[str, Any] = {"text": None, "digest": None, "bindings": {}, "listed_digest": None}
        records.update(resources, nothing, arn=arn)
        records.delete(resource_statements, arn=arn)
    else:
        records.delete(resources, arn=arn)


def _owner(arn: str, account: str | None) -> str:
    """Return the account that owns a resource. Raises `InvalidInput` for an invalid ARN or a missing account."""
    if not isinstance(arn, str):
        raise InvalidInput(f"expected the ARN of a resource, got `{type(arn).__name__}`", place="arn")
    parsed = Arn.parse(arn)
    if not is_complete(arn):
        raise InvalidInput(f"expected a complete ARN, with its partition and region, got `{arn[:200]}`", place="arn")
    if len(arn.encode(errors="replace")) > ARN_BYTES or not arn.isprintable():
        raise InvalidInput(f"expected an ARN of at most {ARN_BYTES} printable bytes", place="arn")
    if is_iam_or_sts(arn):
        raise InvalidInput("expected a resource of the application, got one of IAM", place="arn")
    if "*" in arn or "?" in arn:
        raise InvalidInput("expected the ARN of one resource, got a wildcard", place="arn")
    arn_account = parsed.account or None
    if arn_account is not None and account is not None and arn_account != account:
        raise InvalidInput(f"expected the account of the ARN, got `{account}`", place="account")
    owner = account or arn_account
    if owner is None or not is_account_id(owner):
        raise InvalidInput("expected the account that owns the resource, as 12 digits", place="account")
    return owner

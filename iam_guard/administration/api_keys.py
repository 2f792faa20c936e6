"""Management of API keys: `guard.api_keys` creates, lists, updates, rotates and deletes them.

A key belongs to a user or role, can be restricted by a session policy, and can expire. Its text is generated here and
shown once; only a digest is stored. Rotation creates a second key with the same owner and restriction; both are valid
until the old one ends, and a third is refused until then.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from iam_guard.authn import api_key
from iam_guard.authn.api_key import NewApiKey
from iam_guard.errors import InvalidInput, LimitExceeded, NoSuchEntity
from iam_guard.model.arn import Arn
from iam_guard.model.decision import PolicyType
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.accounts.account_state_rows import require_kept
from iam_guard.store.database.records import Records, Row, row_arn
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import api_keys, identities

MAX_API_KEYS_LISTED: Final = 1000
STATUSES: Final = ("Active", "Inactive")


@dataclass(frozen=True, slots=True)
class ListedApiKey:
    """An API key without its secret. `status` is `Active`, `Inactive` or `Expired`.

    `replaces` is the key it was rotated from. `used` is the time of its last use, accurate to a quarter of an hour.
    """

    id: str
    principal: str
    status: str
    created: datetime
    expires: datetime | None
    used: datetime | None
    session_policy: str | None
    replaces: str | None


class ApiKeys:
    """The API keys of a store. Safe to share between threads. `clock` returns seconds since 1970."""

    def __init__(
        self, store: RecordStore, change_recorder: ChangeRecorder, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._change_recorder = change_recorder
        self._clock = clock

    def create(
        self,
        principal: str,
        *,
        expires: datetime | None = None,
        session_policy: Mapping[str, Any] | str | None = None,
    ) -> NewApiKey:
        """Create a key for a user or role (ARN); its `text` is returned only here.

        `session_policy` restricts the owner's policies. Raises `NoSuchEntity`, `InvalidInput`, `PolicyError`,
        `LimitExceeded` for too long a policy, `StoreIsReadOnly`; `RecordUnavailable` if the key was created but the
        audit record could not be written, and then the text is lost.
        """
        self._change_recorder.prepare()
        policy = None
        if session_policy is not None:
            policy = validate_for_write(session_policy, PolicyType.SESSION, partition=self._store.partition).text
        ends = self._checked_expiry(expires)
        with self._store.write_transaction() as records:
            owner = self._owner(records, principal)
            require_kept(records, owner["account"])
            key = self._insert(records, owner["id"], expires=ends, session_policy=policy, replaces=None)
        parameters = {"principalArn": self._arn(owner), "expires": _iso(ends), "sessionPolicy": policy}
        self._record("CreateApiKey", owner, records, parameters, key.id)
        return key

    def list(
        self,
        principal: str | None = None,
        *,
        account: str | None = None,
        after: str | None = None,
        limit: int = MAX_API_KEYS_LISTED,
    ) -> list[ListedApiKey]:
        """Return keys sorted by id: of one principal, of an account, or of all.

        `after` is the last id of the previous page. Raises `NoSuchEntity`, `InvalidInput`.
        """
        with self._store.read_transaction() as records:
            where: dict[str, Any] = {}
            if principal is not None:
                where = {"identity_id": self._owner(records, principal)["id"]}
            elif account is not None:
                where = {"identity_id": records.values_of(identities, "id", account=account)}
            start = None if after is None else (after,)
            rows = records.page(api_keys, order=("id",), after=start, limit=limit, **where)
            ids = {row["identity_id"] for row in rows}
            owners = {owner["id"]: owner for owner in records.all(identities, id=ids)}
        return [self._described(row, owners[row["identity_id"]]) for row in rows]

    def update(self, id: str, status: str) -> None:
        """Set a key's status, `Active` or `Inactive`. Raises `NoSuchEntity`, `InvalidInput`, `StoreIsReadOnly`."""
        if status not in STATUSES:
            raise InvalidInput(f"expected {' or '.join(STATUSES)}", place="status")
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            owner = _owner_of(records, _find_key(records, id))
            records.update(api_keys, {"status": status}, id=id)
        self._record("UpdateApiKey", owner, records, {"apiKeyId": id, "status": status})

    def delete(self, id: str) -> None:
        """Delete a key. Raises `NoSuchEntity`, `StoreIsReadOnly`."""
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            owner = _owner_of(records, _find_key(records, id))
            records.delete(api_keys, id=id)
        self._record("DeleteApiKey", owner, records, {"apiKeyId": id})

    def rotate(self, id: str, *, expires: datetime | None = None, overlap: timedelta | None = None) -> NewApiKey:
        """Create a second key with the same owner and restriction; the old one stays valid.

        With `overlap` the old key expires after that time; without, it is valid until it is deactivated or deleted. The
        new key expires at `expires`, by default after the lifetime of the old one. Raises `InvalidInput` for a key that
        is not active, `LimitExceeded` if two are already valid, and the errors of `create`.
        """
        now = int(self._clock())
        if overlap is not None and overlap < timedelta(0):
            raise InvalidInput("expected an overlap of 0 or more", place="overlap")
        ends = self._checked_expiry(expires)
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            row = _find_key(records, id)
            owner = _owner_of(records, row)
            if row["status"] != "Active":
                raise InvalidInput("expected an active API key", place="id")
            self._refuse_third(records, row)
            if ends is None and row["expires"] is not None:
                ends = now + max(row["expires"] - row["created"], 1)
            policy = row["session_policy"]
            key = self._insert(records, row["identity_id"], expires=ends, session_policy=policy, replaces=id)
            if overlap is not None:
                old_ends = now + int(overlap.total_seconds())
                old_ends = old_ends if row["expires"] is None else min(old_ends, row["expires"])
                records.update(api_keys, {"expires": old_ends}, id=id)
        seconds = None if overlap is None else int(overlap.total_seconds())
        parameters = {"apiKeyId": id, "expires": _iso(ends), "overlapSeconds": seconds}
        self._record("RotateApiKey", owner, records, parameters, key.id)
        return key

    def _record(
        self, name: str, owner: Row, records: Records, parameters: Mapping[str, Any], created: str | None = None
    ) -> None:
        """Record a change; the record never contains the text of a key."""
        self._change_recorder.record(
            CallResult(
                action=f"iam-guard:{name}",
                resource=self._arn(owner),
                owner=owner["account"],
                parameters={name: value for name, value in parameters.items() if value is not None},
                elements=None if created is None else {"apiKey": {"id": created}},
                epoch=records.epoch,
            )
        )

    # --- rows ----------------------------------------------------------------------------------------------------

    def _insert(
        self, records: Records, owner: str, *, expires: int | None, session_policy: str | None, replaces: str | None
    ) -> NewApiKey:
        key = api_key.generate_api_key(secrets.token_bytes)
        records.insert(
            api_keys,
            id=key.id,
            identity_id=owner,
            digest=key.digest,
            status="Active",
            expires=expires,
            session_policy=session_policy,
            created=int(self._clock()),
            replaces=replaces,
        )
        return key

    def _refuse_third(self, records: Records, row: Row) -> None:
        """Raise `LimitExceeded` if the key has a successor, or its predecessor is still active."""
        successors = records.all(api_keys, replaces=row["id"])
        predecessors = [] if row["replaces"] is None else records.all(api_keys, id=row["replaces"])
        if successors or any(self._status(predecessor) == "Active" for predecessor in predecessors):
            raise LimitExceeded("Cannot exceed quota for API keys of one rotation: 2")

    def _owner(self, records: Records, principal: str) -> Row:
        """Return the user or role with exactly this ARN (P-16). Raises `InvalidInput`, `NoSuchEntity`."""
        arn = Arn.parse(principal)
        kind, _, rest = arn.resource.partition("/")
        if arn.service != "iam" or kind not in (Kind.USER, Kind.ROLE):
            raise InvalidInput("expected the ARN of a user or role", place="principal")
        name = fold(rest.rpartition("/")[2])
        row = records.one(identities, account=arn.account, kind=kind, folded=name)
        if row is None or self._arn(row) != principal:
            raise NoSuchEntity(f"The {kind} {principal[:200]} cannot be found.")
        return row

    def _described(self, row: Row, owner: Row) -> ListedApiKey:
        return ListedApiKey(
            row["id"],
            self._arn(owner),
            self._status(row),
            datetime.fromtimestamp(row["created"], UTC),
            _utc(row["expires"]),
            _utc(row["used"]),
            row["session_policy"],
            row["replaces"],
        )

    def _status(self, row: Row) -> str:
        is_expired = row["expires"] is not None and row["expires"] <= self._clock()
        status: str = row["status"]
        return "Expired" if is_expired else status

    def _arn(self, row: Row) -> str:
        return row_arn(self._store.partition, row)

    def _checked_expiry(self, expires: datetime | None) -> int | None:
        if expires is None:
            return None
        if expires.tzinfo is None or expires.timestamp() <= self._clock():
            raise InvalidInput("expected a timezone-aware datetime in the future", place="expires")
        return int(expires.timestamp())


def _find_key(records: Records, id: str) -> Row:
    row = records.one(api_keys, id=id)
    if row is None:
        raise NoSuchEntity(f"The API key {id[:32]} cannot be found.")
    return row


def _owner_of(records: Records, key: Row) -> Row:
    [owner] = records.all(identities, id=key["identity_id"])
    return owner


def _iso(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _utc(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

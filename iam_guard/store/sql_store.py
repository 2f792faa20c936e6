"""The Store on a database. Each read is one transaction and, except for client certificates, one statement; services
that change rows open transactions through `read_transaction` and `write_transaction`.

Rules P-1 to P-16, S-21, R-1, T-9.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine

from iam_guard.errors import StoreUnavailable
from iam_guard.forking import on_fork
from iam_guard.model.credential import AccessKey, ApiKey, BrowserSession, Session
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.trust import CertificateTrust
from iam_guard.store.cache.change_feed import ChangesSince, State, read_changes, record_change
from iam_guard.store.credentials.certificate_trust import read_trust
from iam_guard.store.credentials.last_used_rows import Use, write_uses
from iam_guard.store.credentials.session_tokens import read_session, write_session
from iam_guard.store.database import queries
from iam_guard.store.database.engine import (
    acquire_write_lock,
    lone_connection,
    reading,
    reading_once,
    reopen_if_replaced,
    reset_in_child,
    writing,
)
from iam_guard.store.database.queries import storable
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import (
    Kind,
    UniqueIds,
    fold,
    iam_arn,
    identity_of_arn,
    random_id,
    root_arn,
    session_arn,
)
from iam_guard.store.people.browser_session_rows import role_principal, session_of_row
from iam_guard.store.people.federated_session_rows import joined_federated_session
from iam_guard.store.policies.decision_query import decision_query
from iam_guard.store.policies.decision_rows import DecisionRows
from iam_guard.store.protocol import (
    AccountRecord,
    ArnsPage,
    DecisionRecords,
    PrincipalRecord,
    ResourceRecord,
    StoredPolicy,
)
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.readiness import require_store
from iam_guard.store.schema import access_keys, sealing_context
from iam_guard.store.sealing import Sealer

if TYPE_CHECKING:
    from iam_guard.store.cache.change_listener import ChangeListener

logger = logging.getLogger("iam_guard.store")

_FULL_ACCESS = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
_ALL_OF_ROOT = StoredPolicy.of("root user", PolicyType.IDENTITY, None, _FULL_ACCESS)
"""The root user's permissions as a policy, which the session policies of its federated users limit."""


class SqlStore:
    """A `Store` on SQLite or PostgreSQL. `ids` generates the unique ids of new entities."""

    def __init__(
        self,
        engine: Engine,
        sealer: Sealer,
        *,
        partition: str = "aws",
        ids: UniqueIds = random_id,
        quotas: Mapping[str, int] = QUOTAS,
    ) -> None:
        self.engine = engine
        self.sealer = sealer
        self.partition = partition
        self.ids = ids
        self.quotas = quotas
        self._thread_state = threading.local()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Drop the parent's connections and lock."""
        reset_in_child(self.engine)

    @property
    def is_remote(self) -> bool:
        """Whether the database is on a server, which may hang."""
        return self.engine.dialect.name != "sqlite"

    @contextmanager
    def at_once(self) -> Iterator[int]:
        if getattr(self._thread_state, "connection", None) is not None:
            yield self._thread_state.epoch
            return
        with self._reading() as connection:
            self._thread_state.epoch = int(connection.execute(queries.epoch()).scalar_one())
            self._thread_state.connection = connection
            try:
                yield self._thread_state.epoch
            finally:
                self._thread_state.connection = None

    @contextmanager
    def _reading(self, *, bounded: bool = True) -> Iterator[Connection]:
        connection: Connection | None = getattr(self._thread_state, "connection", None)
        if connection is not None:
            yield connection
            return
        with reading(self.engine, bounded=bounded) as connection:
            yield connection

    @contextmanager
    def read_transaction(self) -> Iterator[Records]:
        """Read rows in one transaction, without a time limit for the whole: there may be many rows."""
        with ExitStack() as stack:
            yield Records(lambda: stack.enter_context(self._reading(bounded=False)), writes=False, quotas=self.quotas)

    @contextmanager
    def write_transaction(self) -> Iterator[Records]:
        """Change rows in one transaction, which is recorded in the change feed; rolled back when the block raises."""
        with writing(self.engine) as connection:
            acquire_write_lock(connection)
            records = Records(lambda: connection, writes=True, quotas=self.quotas)
            yield records
            if records.changed:
                records.step = record_change(connection, records.invalidation.names)

    def save_uses(self, uses: Sequence[Use]) -> None:
        with writing(self.engine) as connection:
            acquire_write_lock(connection)
            write_uses(connection, uses)

    def epoch(self) -> int:
        with self._reading() as connection:
            return int(connection.execute(queries.epoch()).scalar_one())

    def changes(self, since: State | None) -> ChangesSince:
        kept = getattr(self._thread_state, "feed_connection", None)
        if kept is not None:
            with suppress(StoreUnavailable), reading_once(self.engine, kept) as connection:
                return read_changes(connection, since)
            self._thread_state.feed_connection = None  # it has failed
        reopen_if_replaced(self.engine, lambda engine: require_store(engine, self.sealer))
        with reading_once(self.engine) as connection:
            return read_changes(connection, since)

    def listen(self, wake: Callable[[], object]) -> ChangeListener | None:
        if not self.is_remote:
            return None
        listener: type[ChangeListener] = import_module("iam_guard.store.cache.change_listener").ChangeListener
        return listener(self._feed_connection, wake)

    @contextmanager
    def _feed_connection(self) -> Iterator[Any]:
        """Open a connection with which this thread reads the change feed, too; yield that of the driver."""
        with lone_connection(self.engine) as connection:
            self._thread_state.feed_connection = connection
            try:
                yield connection.connection.dbapi_connection
            finally:
                self._thread_state.feed_connection = None

    def access_key(self, access_key_id: str) -> AccessKey | None:
        with self._reading() as connection:
            row = connection.execute(queries.access_key(access_key_id)).mappings().one_or_none()
        if row is None:
            return None
        try:
            secret = self.sealer.open(row["sealed"], access_key_context(access_key_id)).decode()
        except StoreUnavailable as error:  # which no retry can fix
            logger.error("access key %s cannot be used: %s", access_key_id, error)
            raise
        return AccessKey(access_key_id, secret, row["status"] == "Active", self._owner(row), row["epoch"])

    def api_key(self, api_key_id: str) -> ApiKey | None:
        with self._reading() as connection:
            rows = connection.execute(queries.api_key(api_key_id)).mappings().all()
        row = min(rows, key=lambda found: found["hex_digest"] is not None, default=None)  # an API key comes first
        if row is None:
            return None
        digest = bytes(row["digest"]) if row["hex_digest"] is None else bytes.fromhex(row["hex_digest"])
        principal = self._user(row) if row["kind"] == "user" else self._session(row, api_key_id)
        if row["session_policy"] is not None:
            principal = replace(principal, session_policies=(row["session_policy"],))
        expires = None if row["expires"] is None else datetime.fromtimestamp(row["expires"], UTC)
        return ApiKey(api_key_id, digest, row["status"] == "Active", principal, expires, row["epoch"])

    def browser_session(self, digest: str) -> BrowserSession | None:
        token = {"digest": storable(digest)}
        with self._reading() as connection:
            row = connection.execute(queries.browser_session(), token).mappings().one_or_none()
            if row is None:
                other = connection.execute(queries.federated_session(), token).mappings().one_or_none()
                return None if other is None else joined_federated_session(self.partition, other)
        if row["user_id"] is not None and row["identity_id"] is None:
            return None
        role = None
        if row["role_id"] is not None:
            parts = {name: row[f"role_{name}"] for name in ("id", "account", "path", "name")}
            role = role_principal(self.partition, parts, row["role_session"])
        return session_of_row(row, self._owner(row), role, row["epoch"])

    def seal_session(self, session: Session, *, at_least: int = 0) -> str:
        return write_session(session, self.sealer, at_least=at_least)

    def open_session(self, token: str) -> Session | None:
        return read_session(token, self.sealer)

    def principal(self, principal: Principal) -> PrincipalRecord:
        return cast(PrincipalRecord, self.decision_records(principal, (), None).principal)

    def account(self, account_id: str) -> AccountRecord:
        return self.decision_records(None, (account_id,), None).accounts[account_id]

    def resource(self, arn: str) -> ResourceRecord:
        return cast(ResourceRecord, self.decision_records(None, (), arn).resource)

    def decision_records(
        self, principal: Principal | None, account_ids: Collection[str], arn: str | None
    ) -> DecisionRecords:
        identity_key = None if principal is None else _identity_of(principal)
        ids = dict.fromkeys(account_ids)
        if principal is not None and self._has_root(principal):
            ids[str(principal.account)] = None
        key = map(storable, identity_key or ())
        values: dict[str, str] = dict(zip(("account", "kind", "folded"), key, strict=False))
        values |= {f"account{number}": storable(id) for number, id in enumerate(ids)}
        if arn is not None:
            values["arn"] = storable(arn)
        query = decision_query(
            self.engine.dialect.name,
            has_principal=identity_key is not None,
            account_count=len(ids),
            has_resource=arn is not None,
        )
        with self._reading() as connection:
            rows = DecisionRows(connection.execute(query, values).mappings(), self.partition)
        accounts = {id: rows.account(id, number) for number, id in enumerate(ids)}
        return DecisionRecords(
            None if principal is None else self._principal(principal, rows, accounts),
            accounts,
            None if arn is None else rows.resource(arn),
        )

    def resource_arns(self, since: State, after: str | None, limit: int) -> ArnsPage:
        with self._reading() as connection:
            changes = read_changes(connection, since)
            return ArnsPage(changes, connection.execute(queries.resource_arns(after, limit)).scalars().all())

    def certificate_trust(self) -> CertificateTrust:
        with self._reading() as connection:
            return read_trust(connection)

    def refresh(self) -> None:
        """Do nothing: every read queries the database."""

    def close(self) -> None:
        self.engine.dispose()

    # --- principals ----------------------------------------------------------------------------------------------

    def _has_root(self, principal: Principal) -> bool:
        """Return whether the caller's permissions are those of a root user, which has no row of its own."""
        is_federated = principal.type is PrincipalType.FEDERATED_USER
        root = self._root_arn(principal)
        return principal.type is PrincipalType.ROOT or (is_federated and principal.user_arn == root)

    def _principal(
        self, principal: Principal, rows: DecisionRows, accounts: Mapping[str, AccountRecord]
    ) -> PrincipalRecord:
        if self._has_root(principal):
            return self._of_root(principal, accounts[str(principal.account)])
        row = rows.identity()
        if row is None or not self._is(principal, row):
            return PrincipalRecord(rows.epoch, False, principal)
        identity, boundary = rows.identity_policies(), rows.boundary(row)
        return PrincipalRecord(rows.epoch, True, self._completed(principal, row), identity, boundary, row["id"])

    def _of_root(self, principal: Principal, account: AccountRecord) -> PrincipalRecord:
        """Return the record of a root user, or of its federated user, whose session policies limit it (R-1, S-32)."""
        exists = account.exists
        if principal.type is PrincipalType.FEDERATED_USER:
            return PrincipalRecord(account.epoch, exists, principal, (_ALL_OF_ROOT,) if exists else ())
        exists = exists and principal.arn == self._root_arn(principal) and principal.userid in (None, account.id)
        return PrincipalRecord(account.epoch, exists, replace(principal, userid=account.id) if exists else principal)

    def _root_arn(self, principal: Principal) -> str:
        return root_arn(self.partition, str(principal.account))

    def _is(self, principal: Principal, row: Row) -> bool:
        """Return whether the row is this caller: the same ARN, case-sensitively (P-16), and unique id (P-6)."""
        arn = self._arn(row)
        match principal.type:
            case PrincipalType.USER:
                return principal.arn == arn and principal.userid in (None, row["id"])
            case PrincipalType.ASSUMED_ROLE:
                session = session_arn(self.partition, row["account"], row["name"], principal.name)
                return (
                    principal.arn == session
                    and principal.role_arn in (arn, self._arn(row, path="/"))  # P-2
                    and principal.userid in (None, _session_id(row["id"], principal.name))
                )
            case _:
                return principal.user_arn == arn

    def _completed(self, principal: Principal, row: Row) -> Principal:
        has_boundary = row["target"] is not None
        completed = replace(principal, tags=_merged(row["tags"], principal.tags), has_boundary=has_boundary)
        match principal.type:
            case PrincipalType.USER:
                return replace(completed, userid=row["id"])
            case PrincipalType.ASSUMED_ROLE:
                return replace(completed, userid=_session_id(row["id"], principal.name), role_arn=self._arn(row))
            case _:
                return completed

    def _owner(self, row: Row) -> Principal:
        """Return the user or root user that a key or session belongs to."""
        account = row["owner_account"]
        if row["identity_id"] is None:
            return Principal.from_arn(root_arn(self.partition, account), userid=account)
        return self._user(row)

    def _user(self, row: Row) -> Principal:
        """Return the user that a key belongs to, without tags: `principal` adds them, and a caller's win (S-21)."""
        return Principal.from_arn(
            self._arn(row), userid=row["identity_id"], has_boundary=row["boundary_id"] is not None
        )

    def _session(self, row: Row, session: str) -> Principal:
        """Return the session of a role's API key, which is named after the key's id."""
        return Principal.from_arn(
            session_arn(self.partition, row["account"], row["name"], session),
            role_arn=self._arn(row),
            userid=_session_id(row["identity_id"], session),
            has_boundary=row["boundary_id"] is not None,
        )

    def _arn(self, row: Row, path: str | None = None) -> str:
        return iam_arn(self.partition, row["account"], row["kind"], path or row["path"], row["name"])


def access_key_context(access_key_id: str) -> bytes:
    """Return the sealing context of a secret access key."""
    return sealing_context(access_keys.c.sealed, access_key_id)


def _identity_of(principal: Principal) -> tuple[str, str, str] | None:
    """Return account, kind and folded name of the identity whose policies the caller has."""
    kind = Kind.ROLE if principal.type is PrincipalType.ASSUMED_ROLE else Kind.USER
    parsed = identity_of_arn(principal.identity_arn)
    if parsed is None or parsed[:2] != (principal.account, kind):
        return None
    return parsed[0], kind.value, fold(parsed[2])


def _session_id(role_id: str, session: str) -> str:
    return f"{role_id}:{session}"  # P-13


def _merged(stored: Mapping[str, str], session: Mapping[str, str]) -> Mapping[str, str]:
    """Return the stored tags, overridden by session tags; keys are compared case-insensitively (S-21)."""
    overridden = {key.lower() for key in session}
    remaining = {key: value for key, value in stored.items() if key.lower() not in overridden}
    return MappingProxyType(remaining | dict(session))

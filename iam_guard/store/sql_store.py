"""The Store on a database: what the rows mean. One transaction a question, at most two statements in it; beside it, the
transactions of those who change rows.

Must not live here: SQL (`queries`), caching (`cached`), changes (`seed_apply`). Rules P-1 to P-16, S-21, R-1, E-10 to
E-14, T-9.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from types import MappingProxyType
from typing import TypeAlias

from sqlalchemy import Connection, Engine, RowMapping

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn
from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.trust import CertificateTrust
from iam_guard.store import queries
from iam_guard.store.bindings import current_text
from iam_guard.store.certificate_trust import read_trust
from iam_guard.store.engine import bump_epoch, keep_others_out, reading, writing
from iam_guard.store.identifiers import (
    PREFIXES,
    UniqueIds,
    control_policy_arn,
    fold,
    iam_arn,
    random_id,
    root_arn,
    session_arn,
)
from iam_guard.store.protocol import AccountRecord, Organization, PrincipalRecord, ResourceRecord, StoredPolicy
from iam_guard.store.records import Records
from iam_guard.store.sealing import Sealer
from iam_guard.store.session_tokens import read_session, write_session
from iam_guard.store.stored_policies import inline_policy, managed_policy
from iam_guard.store.use_rows import Use, write_uses

Row: TypeAlias = RowMapping
Rows: TypeAlias = Sequence[RowMapping]

_FULL_ACCESS = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
_ALL_OF_ROOT = StoredPolicy(
    PolicyRef("root user", PolicyType.IDENTITY, None, hashlib.sha256(_FULL_ACCESS.encode()).hexdigest()), _FULL_ACCESS
)
"""What the root user may do in its account, as a policy: it has none, and who it federates is limited from there."""

_CONTROL_TYPES = {"SCP": PolicyType.SCP, "RCP": PolicyType.RCP}


class SqlStore:
    """A `Store` on SQLite or PostgreSQL. `ids` makes the unique ids of what is created in it."""

    def __init__(self, engine: Engine, sealer: Sealer, *, partition: str = "aws", ids: UniqueIds = random_id) -> None:
        self.engine = engine
        self.sealer = sealer
        self.partition = partition
        self.ids = ids
        self._open = threading.local()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Answer this thread's questions inside the block from one transaction, so of one epoch."""
        with reading(self.engine, bounded=True) as connection:
            self._open.connection = connection
            try:
                yield
            finally:
                del self._open.connection

    @contextmanager
    def _reading(self, *, bounded: bool = True) -> Iterator[Connection]:
        connection: Connection | None = getattr(self._open, "connection", None)
        if connection is not None:
            yield connection
            return
        with reading(self.engine, bounded=bounded) as connection:
            yield connection

    @contextmanager
    def viewing(self) -> Iterator[Records]:
        """Read rows in one transaction, which may be many: it has no limit as a whole."""
        with ExitStack() as stack:
            yield Records(lambda: stack.enter_context(self._reading(bounded=False)), writes=False)

    @contextmanager
    def changing(self) -> Iterator[Records]:
        """Change rows in one transaction that ends with a higher epoch; nothing is changed when the block raises."""
        with writing(self.engine) as connection:
            keep_others_out(connection)
            records = Records(lambda: connection, writes=True)
            yield records
            if records.changed:
                records.epoch = bump_epoch(connection)

    def keep_uses(self, uses: Sequence[Use]) -> None:
        """Keep what was used last; the epoch stays, since no decision depends on it."""
        with writing(self.engine) as connection:
            keep_others_out(connection)
            write_uses(connection, uses)

    def epoch(self) -> int:
        with self._reading() as connection:
            return int(connection.execute(queries.epoch()).scalar_one())

    def access_key(self, access_key_id: str) -> AccessKey | None:
        with self._reading() as connection:
            row = connection.execute(queries.access_key(access_key_id)).mappings().one_or_none()
        if row is None:
            return None
        secret = self.sealer.open(row["sealed"], access_key_context(access_key_id)).decode()
        account = row["key_account"]
        if row["identity_id"] is None:
            principal = Principal.from_arn(root_arn(self.partition, account), userid=account)
        else:
            principal = self._user(row)
        return AccessKey(access_key_id, secret, row["status"] == "Active", principal)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        with self._reading() as connection:
            row = connection.execute(queries.api_key(api_key_id)).mappings().one_or_none()
            if row is None and api_key_id.startswith(PREFIXES["service-credential"]):
                row = connection.execute(queries.service_api_key(api_key_id)).mappings().one_or_none()
        if row is None:
            return None
        digest = bytes.fromhex(row["digest"]) if isinstance(row["digest"], str) else bytes(row["digest"])
        principal = self._user(row) if row["kind"] == "user" else self._session(row, api_key_id)
        if row["session_policy"] is not None:
            principal = replace(principal, session_policies=(row["session_policy"],))
        expires = None if row["expires"] is None else datetime.fromtimestamp(row["expires"], UTC)
        return ApiKey(api_key_id, digest, row["status"] == "Active", principal, expires)

    def seal_session(self, session: Session, *, at_least: int = 0) -> str:
        return write_session(session, self.sealer, at_least=at_least)

    def open_session(self, token: str) -> Session | None:
        return read_session(token, self.sealer)

    def principal(self, principal: Principal) -> PrincipalRecord:
        if principal.type is PrincipalType.ROOT:
            return self._root(principal)
        if principal.type is PrincipalType.FEDERATED_USER and principal.user_arn == self._root_arn(principal):
            return self._federated_by_root(principal)
        with self._reading() as connection:
            named = _identity_of(principal)
            if named is None:
                return PrincipalRecord(connection.execute(queries.epoch()).scalar_one(), False, principal)
            row = connection.execute(queries.identity(*named)).mappings().one()
            if row["identity_id"] is None or not self._is(principal, row):
                return PrincipalRecord(row["epoch"], False, principal)
            found = connection.execute(queries.identity_policies(row["identity_id"])).mappings().all()
        identity = sorted((self._identity_policy(policy) for policy in found), key=lambda policy: policy.ref.name)
        boundary = None if row["boundary_id"] is None else self._boundary(row)
        return PrincipalRecord(row["epoch"], True, self._completed(principal, row), tuple(identity), boundary)

    def account(self, account_id: str) -> AccountRecord:
        with self._reading() as connection:
            row = connection.execute(queries.account(account_id)).mappings().one()
            if row["unit_id"] is None:
                return AccountRecord(row["epoch"], account_id, row["id"] is not None)
            levels = connection.execute(queries.control_levels(account_id, row["unit_id"])).mappings().all()
        is_management = row["management_account"] == account_id
        return AccountRecord(
            row["epoch"],
            account_id,
            exists=True,
            organization=Organization(row["organization_id"], _organization_path(row, levels), is_management),
            scps=self._levels("SCP", row, levels) if row["scps_enabled"] and not is_management else None,  # E-10
            rcps=self._levels("RCP", row, levels) if row["rcps_enabled"] and not is_management else None,  # E-11
        )

    def resource(self, arn: str) -> ResourceRecord:
        with self._reading() as connection:
            row = connection.execute(queries.resource(arn)).mappings().one()
            if row["account"] is None:
                return ResourceRecord(row["epoch"], arn)
            text = row["text"] and self._current_text(connection, row["text"], row["bindings"])
        policy = None
        if text is not None:
            digest = row["digest"] if text is row["text"] else hashlib.sha256(text.encode()).hexdigest()
            policy = StoredPolicy(PolicyRef(arn, PolicyType.RESOURCE, None, digest), text)
        return ResourceRecord(row["epoch"], arn, row["account"], MappingProxyType(row["tags"]), policy)

    def certificate_trust(self) -> CertificateTrust:
        with self._reading() as connection:
            return read_trust(connection)

    def refresh(self) -> None:
        """Do nothing: every question is put to the database."""

    def close(self) -> None:
        self.engine.dispose()

    # --- who is who ----------------------------------------------------------------------------------------------

    def _root(self, principal: Principal) -> PrincipalRecord:
        account = str(principal.account)
        epoch, exists = self._account_exists(account)
        exists = exists and principal.arn == self._root_arn(principal) and principal.userid in (None, account)
        return PrincipalRecord(epoch, exists, replace(principal, userid=account) if exists else principal)

    def _federated_by_root(self, principal: Principal) -> PrincipalRecord:
        """Give a federated user whom the root user made: its session policies limit full access (R-1, S-32)."""
        epoch, exists = self._account_exists(str(principal.account))
        return PrincipalRecord(epoch, exists, principal, (_ALL_OF_ROOT,) if exists else ())

    def _account_exists(self, account: str) -> tuple[int, bool]:
        with self._reading() as connection:
            row = connection.execute(queries.account_existence(account)).mappings().one()
        return row["epoch"], row["id"] is not None

    def _root_arn(self, principal: Principal) -> str:
        return root_arn(self.partition, str(principal.account))

    def _is(self, principal: Principal, row: Row) -> bool:
        """Tell whether the row is this caller: same ARN, letter by letter (P-16), and the same unique id (P-6)."""
        arn = self._arn(row)
        match principal.type:
            case PrincipalType.USER:
                return principal.arn == arn and principal.userid in (None, row["identity_id"])
            case PrincipalType.ASSUMED_ROLE:
                session = session_arn(self.partition, row["account"], row["name"], principal.name)
                return (
                    principal.arn == session
                    and principal.role_arn in (arn, self._arn(row, path="/"))  # P-2
                    and principal.userid in (None, _session_id(row, principal.name))
                )
            case _:
                return principal.user_arn == arn

    def _completed(self, principal: Principal, row: Row) -> Principal:
        filled = replace(
            principal, tags=_merged(row["tags"], principal.tags), has_boundary=row["boundary_id"] is not None
        )
        match principal.type:
            case PrincipalType.USER:
                return replace(filled, userid=row["identity_id"])
            case PrincipalType.ASSUMED_ROLE:
                return replace(filled, userid=_session_id(row, principal.name), role_arn=self._arn(row))
            case _:
                return filled

    def _user(self, row: Row) -> Principal:
        """Make the caller behind a user's key. Its tags are left to `principal`: those of a caller win there (S-21)."""
        return Principal.from_arn(
            self._arn(row), userid=row["identity_id"], has_boundary=row["boundary_id"] is not None
        )

    def _session(self, row: Row, session: str) -> Principal:
        """Make the caller behind a role's API key: a session that bears the key's id as its name."""
        return Principal.from_arn(
            session_arn(self.partition, row["account"], row["name"], session),
            role_arn=self._arn(row),
            userid=_session_id(row, session),
            has_boundary=row["boundary_id"] is not None,
        )

    def _arn(self, row: Row, path: str | None = None) -> str:
        return iam_arn(self.partition, row["account"], row["kind"], path or row["path"], row["name"])

    # --- policies ------------------------------------------------------------------------------------------------

    def _identity_policy(self, row: Row) -> StoredPolicy:
        if row["arn_account"] is None:
            return inline_policy(row["holder_kind"], row["holder_name"], row["name"], row["text"], row["digest"])
        return managed_policy(
            *(self.partition, row["arn_account"], row["arn_path"], row["name"]),
            type=PolicyType.IDENTITY,
            text=row["text"],
            digest=row["digest"],
        )

    def _boundary(self, row: Row) -> StoredPolicy:
        return managed_policy(
            *(self.partition, row["boundary_account"], row["boundary_path"], row["boundary_name"]),
            type=PolicyType.BOUNDARY,
            text=row["boundary_text"],
            digest=row["boundary_digest"],
        )

    def _levels(self, type: str, account: Row, rows: Rows) -> tuple[tuple[StoredPolicy, ...], ...]:
        """Give the policies of one type level by level, root first; a level without any is an empty tuple (E-12)."""
        highest = max(row["height"] for row in rows)
        levels: list[list[StoredPolicy]] = [[] for _ in range(highest + 1)]
        for row in rows:
            if row["type"] == type:
                levels[highest - row["height"]].append(self._control_policy(row, account))
        return tuple(tuple(sorted(level, key=lambda policy: policy.ref.name)) for level in levels)

    def _control_policy(self, row: Row, account: Row) -> StoredPolicy:
        owner = row["policy_organization"]
        arn = control_policy_arn(self.partition, account["management_account"], owner, row["type"], row["policy_id"])
        return StoredPolicy(PolicyRef(row["name"], _CONTROL_TYPES[row["type"]], arn, row["digest"]), row["text"])

    def _current_text(self, connection: Connection, text: str, bindings: Mapping[str, str]) -> str:
        rows = connection.execute(queries.names_of(list(bindings.values()))).mappings() if bindings else ()
        arns = {row["id"]: self._arn(row) for row in rows}
        return current_text(text, bindings, arns.get)


def access_key_context(access_key_id: str) -> bytes:
    """Give what a secret access key is sealed to."""
    return b"access-key:" + access_key_id.encode()


def _identity_of(principal: Principal) -> tuple[str, str, str] | None:
    """Give account, kind and folded name of the identity whose policies the caller has."""
    match principal.type:
        case PrincipalType.USER:
            arn = principal.arn
        case PrincipalType.ASSUMED_ROLE:
            arn = principal.role_arn or ""
        case PrincipalType.FEDERATED_USER:
            arn = principal.user_arn or ""
        case _:
            return None
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        return None
    kind = "role" if principal.type is PrincipalType.ASSUMED_ROLE else "user"
    if parsed.account != principal.account:
        return None
    return parsed.account, kind, fold(parsed.resource.rsplit("/", 1)[-1])


def _session_id(row: Row, session: str) -> str:
    return f"{row['identity_id']}:{session}"  # P-13


def _merged(stored: Mapping[str, str], session: Mapping[str, str]) -> Mapping[str, str]:
    """Lay session tags over stored ones; keys are the same without regard to case (S-21)."""
    overridden = {key.lower() for key in session}
    kept = {key: value for key, value in stored.items() if key.lower() not in overridden}
    return MappingProxyType(kept | dict(session))


def _organization_path(account: Row, rows: Rows) -> str:
    """Write `o-…/r-…/ou-…/` (E.1)."""
    by_height = sorted((row for row in rows if row["unit_id"] is not None), key=lambda row: -row["height"])
    units = [unit for unit, _ in groupby(row["unit_id"] for row in by_height)]
    return "/".join([account["organization_id"], *units]) + "/"

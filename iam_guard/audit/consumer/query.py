"""SQL queries over a trail with DuckDB; the only module that imports it (extra `query`).

Queries read the view `records`, a row for each line (`COLUMNS`). Closed segments are compacted
once into Parquet files in `.columns` next to the shards, a tenth of the size and many times faster to query. The last
segment of an open shard is read directly. With keys, a shard is verified before it is compacted, and damage raises;
lines without a checkpoint yet are accepted. Compacted files are only a copy for queries.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from iam_guard.audit.verify.shard import COLUMNS_FOLDER, Segment, present_segments, shards_of
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_verifier import first_damage
from iam_guard.errors import InvalidInput, TrailDamaged
from iam_guard.imports import requires_extra

with requires_extra("query", "`audit query`"):
    import duckdb

MAX_LINE = 1024 * 1024

COLUMNS = {
    "time": "try_cast(json ->> '$.eventTime' AS TIMESTAMP)",
    "event_id": "json ->> '$.eventID'",
    "action": "replace(json ->> '$.eventSource', '.amazonaws.com', '') || ':' || (json ->> '$.eventName')",
    "principal": "coalesce(json ->> '$.userIdentity.arn', json ->> '$.userIdentity.invokedBy',"
    " json ->> '$.userIdentity.accessKeyId', json ->> '$.userIdentity.credentialId', json ->> '$.userIdentity.type')",
    "principal_type": "json ->> '$.userIdentity.type'",
    "role": "CASE WHEN json ->> '$.userIdentity.sessionContext.sessionIssuer.type' = 'Role'"
    " THEN json ->> '$.userIdentity.sessionContext.sessionIssuer.arn' END",
    "resource": "json ->> '$.resources[0].ARN'",
    "account": "json ->> '$.recipientAccountId'",
    "outcome": "json ->> '$.iamGuard.outcome'",
    "reason": "json ->> '$.iamGuard.reason'",
    "policy": "json ->> '$.iamGuard.reasons[0].policy'",
    "error_code": "json ->> '$.errorCode'",
    "read_only": "try_cast(json ->> '$.readOnly' AS BOOLEAN)",
    "source": "json ->> '$.sourceIPAddress'",
    "request_id": "json ->> '$.requestID'",
    "kind": "json ->> '$.iamGuard.kind'",
    "shard": "json ->> '$.iamGuard.shard'",
    "sequence": "try_cast(json ->> '$.iamGuard.sequence' AS BIGINT)",
    "record": "json",
}
"""The columns of `records` and their expressions over a line; `refused` and `caller` are additional columns."""

CALLER = "record ->> '$.iamGuard.caller.arn'"
"""On whose request an application made a change; read from the line, since compacted files have no such column."""

REFUSALS = "SELECT record ->> '$.iamGuard.refusedEventID' AS event_id FROM lines WHERE kind = 'audit_refused'"
"""Selects the records of requests that were allowed, then refused because the record could not be written."""

QUESTIONS = {
    "who-used": "SELECT role, principal, action, count(*) AS calls, min(time) AS first, max(time) AS last FROM records"
    " WHERE (role = $asked OR (NOT starts_with($asked, 'arn:') AND ends_with(role, '/' || $asked)))"
    " AND outcome = 'Allowed' AND NOT refused GROUP BY ALL ORDER BY last DESC, principal, action",
    "denied": "SELECT principal, action, resource, reason, policy, count(*) AS denials, min(time) AS first,"
    " max(time) AS last FROM records WHERE outcome LIKE '%Denied' OR kind = 'authentication'"
    " GROUP BY ALL ORDER BY denials DESC, last DESC, principal, action",
    "first-and-last-use": "SELECT action, count(*) AS calls, min(time) AS first, max(time) AS last FROM records"
    " WHERE (principal = $asked OR role = $asked) AND outcome = 'Allowed' AND NOT refused"
    " GROUP BY ALL ORDER BY last DESC, action",
    "by": "SELECT time, kind, action, resource, outcome, error_code, request_id FROM records"
    " WHERE principal = $asked OR role = $asked OR caller = $asked ORDER BY time DESC, shard, sequence DESC",
    "changes": "SELECT time, kind, principal, caller, action, resource, error_code, request_id FROM records"
    " WHERE kind IN ('policy_change', 'admin_call', 'session_issue') AND (NOT read_only OR kind = 'session_issue')"
    " ORDER BY time DESC, shard, sequence DESC",
}
"""Predefined queries; `$asked` is the role or principal."""


ORDER = "ORDER BY role, principal, time"
FORM = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 8192"
"""The layout of a compacted file: sorted, so that a query for a role or principal skips most row groups."""

_MEMBER = re.compile(r"json ->> '([^']+)'")


class QueryAnswer(NamedTuple):
    """The result of a query."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def query_trail(trail: Path, ring: KeyRing | None, sql: str, asked: str | None = None) -> QueryAnswer:
    """Compact closed segments and run a query with the parameter `$asked` over the whole trail.

    Raises `InvalidInput` with DuckDB's message.
    """
    with duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    ) as connection:
        with _errors_about(str(trail)):
            _create_views(connection, trail, ring)
        with _errors_about("SQL"):
            result = connection.execute(sql, None if asked is None else {"asked": asked})
            columns = tuple(column[0] for column in result.description or ())
            return QueryAnswer(columns, result.fetchall())


@contextmanager
def _errors_about(place: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise InvalidInput(" ".join(str(error).split()), place=place) from None


def _create_views(connection: duckdb.DuckDBPyConnection, trail: Path, ring: KeyRing | None) -> None:
    compacted, live = _compact(connection, trail, ring)
    parts = [f"SELECT * FROM read_parquet({_texts(compacted)})"] if compacted else []  # noqa: S608 - quoted
    parts += [_lines(live)] if live else []
    parts = parts or ["SELECT " + ", ".join(f"NULL AS {name}" for name in COLUMNS) + " WHERE false"]
    connection.execute(f"CREATE VIEW lines AS {' UNION ALL '.join(parts)}")
    columns = f"*, {_refused(connection)} AS refused, {CALLER} AS caller"
    connection.execute(f"CREATE VIEW records AS SELECT {columns} FROM lines")  # noqa: S608 - our own


def _refused(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the expression of the column `refused`: a constant if the trail has no refusals, as almost all trails."""
    connection.execute(f"CREATE TEMP TABLE refusals AS {REFUSALS}")
    row = connection.execute("SELECT count(*) FROM refusals").fetchone()
    return "coalesce(event_id IN (SELECT event_id FROM refusals), false)" if row and row[0] else "false"


def _compact(connection: duckdb.DuckDBPyConnection, trail: Path, ring: KeyRing | None) -> tuple[list[Path], list[Path]]:
    """Return the compacted files, and the line files to read directly."""
    columns = trail / COLUMNS_FOLDER
    compacted: list[Path] = []
    live: list[Path] = []
    for shard in shards_of(trail):
        closed, still_open = present_segments(shard)
        copies = {columns / shard.name / f"{segment.name}.parquet": segment for segment in closed}
        missing = [path for path in copies if not path.exists()]
        if ring is not None and (missing or still_open):
            damage = first_damage(shard, ring)
            if damage is not None:
                raise TrailDamaged(damage.detail, verdict=damage.verdict.value, place=damage.place)
        for path in missing:
            _write(connection, copies[path], path)
        compacted += copies
        live += [segment.lines for segment in still_open]
    for path in set(columns.glob("*/*.parquet")) - set(compacted):
        path.unlink(missing_ok=True)  # a copy of a segment that retention dropped
    return compacted, live


def _write(connection: duckdb.DuckDBPyConnection, segment: Segment, path: Path) -> None:
    """Write one compacted file, atomically."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        connection.execute(f"COPY ({_lines([segment.lines])} {ORDER}) TO {_text(str(draft))} ({FORM})")
        draft.chmod(0o600)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _lines(paths: Sequence[Path]) -> str:
    """Return the SQL that reads lines into columns; an incomplete last line is ignored.

    All members are extracted at once: extracting them one by one would parse the line each time.
    """
    members = list(dict.fromkeys(path for expression in COLUMNS.values() for path in _MEMBER.findall(expression)))
    positions = {member: f"members[{position}]" for position, member in enumerate(members, 1)}
    columns = ", ".join(
        f"{_MEMBER.sub(lambda match: positions[match[1]], expression)} AS {name}"
        for name, expression in COLUMNS.items()
    )
    extracted = f"json_extract_string(json, [{', '.join(_text(member) for member in members)}]) AS members"
    options = f"ignore_errors = true, maximum_object_size = {MAX_LINE}"
    lines = f"SELECT json, {extracted} FROM read_ndjson_objects({_texts(paths)}, {options}) WHERE json IS NOT NULL"  # noqa: S608 - quoted
    return f"SELECT {columns} FROM ({lines})"  # noqa: S608 - quoted


def _texts(paths: Sequence[Path]) -> str:
    """Return paths as an SQL list, with glob characters escaped."""
    escaped = ["".join(f"[{char}]" if char in "*?[" else char for char in str(path)) for path in paths]
    return f"[{', '.join(_text(path) for path in escaped)}]"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

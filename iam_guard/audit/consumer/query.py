"""Questions to a trail in SQL, by DuckDB: the one file that knows it (extra `query`).

`open_trail` gives a connection with the view `records`, a row for each line (`COLUMNS`). Segments that are closed are
first written to Parquet files in `.columns` beside the shards, once; those are a tenth of the size and many times as
fast to ask. The last segment of a shard that is being written is read as it stands. Given keys, a shard is verified
before any of it is compacted, and what is not as it was signed raises; only lines that have no checkpoint yet are
believed. Compacted files are a copy for asking, never the trail.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from iam_guard.audit.verify.segment_reader import Progress
from iam_guard.audit.verify.shard import COLUMNS_FOLDER, LOCK, Segment, segments_of, shards_of
from iam_guard.audit.verify.shard_check import ShardCheck
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.errors import InvalidInput, TrailDamaged

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
"""Columns of `records`, and how each is read from a line; `refused` is one besides."""

REFUSALS = "SELECT record ->> '$.iamGuard.refusedEventID' AS event_id FROM lines WHERE kind = 'audit_refused'"
"""Which records are of requests that were refused for want of them, though they say what was decided."""

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
    "changes": "SELECT time, kind, principal, action, resource, error_code, request_id FROM records"
    " WHERE kind IN ('policy_change', 'admin_call', 'session_issue') AND (NOT read_only OR kind = 'session_issue')"
    " ORDER BY time DESC, shard, sequence DESC",
}
"""Ready-made questions; `$asked` is what they are about."""


ORDER = "ORDER BY role, principal, time"
FORM = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 8192"
"""How a compacted file is laid out: what is asked about a role or a principal lies together, and the rest is passed."""

_MEMBER = re.compile(r"json ->> '([^']+)'")


class Answer(NamedTuple):
    """What came of a question."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class OpenTrail:
    """A trail that can be asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def ask(self, sql: str, asked: str | None = None) -> Answer:
        """Run one question; `asked` is its `$asked`. Raises `InvalidInput` with DuckDB's own words."""
        try:
            found = self._connection.execute(sql, None if asked is None else {"asked": asked})
            columns = tuple(each[0] for each in found.description or ())
            return Answer(columns, found.fetchall())
        except duckdb.Error as error:
            raise InvalidInput(" ".join(str(error).split()), place="SQL") from None

    def close(self) -> None:
        self._connection.close()


def open_trail(
    trail: Path, ring: KeyRing | None, *, columns: Path | None = None, progress: Progress = lambda _: None
) -> OpenTrail:
    """Compact what is closed, and open the whole trail; `columns` is another folder for the compacted files."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    try:
        compacted, live = _compact(connection, trail, ring, columns or trail / COLUMNS_FOLDER, progress)
        parts = [f"SELECT * FROM read_parquet({_texts(compacted)})"] if compacted else []  # noqa: S608 - quoted
        parts += [_lines(live)] if live else []
        parts = parts or ["SELECT " + ", ".join(f"NULL AS {name}" for name in COLUMNS) + " WHERE false"]
        connection.execute(f"CREATE VIEW lines AS {' UNION ALL '.join(parts)}")
        connection.execute(f"CREATE VIEW records AS SELECT *, {_refused(connection)} AS refused FROM lines")  # noqa: S608 - our own
    except duckdb.Error as error:
        connection.close()
        raise InvalidInput(" ".join(str(error).split()), place=str(trail)) from None
    except BaseException:
        connection.close()
        raise
    return OpenTrail(connection)


def _refused(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the expression for whether a request was refused for want of its record.

    Hardly any trail has such a one. Where there is none, no question has to look at the ids of all records.
    """
    connection.execute(f"CREATE TEMP TABLE refusals AS {REFUSALS}")
    found = connection.execute("SELECT count(*) FROM refusals").fetchone()
    return "coalesce(event_id IN (SELECT event_id FROM refusals), false)" if found and found[0] else "false"


def _compact(
    connection: duckdb.DuckDBPyConnection, trail: Path, ring: KeyRing | None, columns: Path, progress: Progress
) -> tuple[list[Path], list[Path]]:
    """Return the compacted files, and the segments that are to be read as they stand."""
    compacted: list[Path] = []
    live: list[Path] = []
    for shard in shards_of(trail):
        closed, still_open = _segments(shard)
        wanted = {columns / shard.name / f"{each.name}.parquet": each for each in closed}
        fresh = [path for path in wanted if not path.exists()]
        if ring is not None and (fresh or still_open):
            _verify(shard, ring, progress)
        for path in fresh:
            _write(connection, wanted[path], path)
        compacted += wanted
        live += [each.lines for each in still_open]
    for path in set(columns.glob("*/*.parquet")) - set(compacted):
        path.unlink(missing_ok=True)  # of what retention dropped no copy stays
    return compacted, live


def _segments(shard: Path) -> tuple[list[Segment], list[Segment]]:
    """Return the segments that are closed, and those that are not; of what was dropped there is nothing to ask."""
    segments = segments_of(shard)
    cut = len(segments) - 1 if (shard / LOCK).exists() else len(segments)
    there = [[each for each in part if each.lines.exists()] for part in (segments[:cut], segments[cut:])]
    return there[0], there[1]


def _verify(shard: Path, ring: KeyRing, progress: Progress) -> None:
    check = ShardCheck(shard, ring, None, progress)
    check.run()
    for finding in check.report().findings:
        if finding.verdict not in (Verdict.GAP, Verdict.UNSIGNED_TAIL):
            raise TrailDamaged(finding.detail, verdict=finding.verdict.value, place=finding.place)


def _write(connection: duckdb.DuckDBPyConnection, segment: Segment, path: Path) -> None:
    """Make one compacted file, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        connection.execute(f"COPY ({_lines([segment.lines])} {ORDER}) TO {_text(str(draft))} ({FORM})")
        draft.chmod(0o600)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _lines(paths: Sequence[Path]) -> str:
    """Read lines into columns; half a line at the end of a live segment is no row.

    All members are taken out of a line in one go: each on its own would read the line again.
    """
    members = list(dict.fromkeys(found for expression in COLUMNS.values() for found in _MEMBER.findall(expression)))
    places = {member: f"members[{place}]" for place, member in enumerate(members, 1)}
    chosen = ", ".join(
        f"{_MEMBER.sub(lambda found: places[found[1]], expression)} AS {name}" for name, expression in COLUMNS.items()
    )
    taken = f"json_extract_string(json, [{', '.join(_text(member) for member in members)}]) AS members"
    options = f"ignore_errors = true, maximum_object_size = {MAX_LINE}"
    lines = f"SELECT json, {taken} FROM read_ndjson_objects({_texts(paths)}, {options}) WHERE json IS NOT NULL"  # noqa: S608 - quoted
    return f"SELECT {chosen} FROM ({lines})"  # noqa: S608 - quoted


def _texts(paths: Sequence[Path]) -> str:
    """Write paths as a list of SQL, in which a glob's characters stand for themselves."""
    escaped = ["".join(f"[{each}]" if each in "*?[" else each for each in str(path)) for path in paths]
    return f"[{', '.join(_text(each) for each in escaped)}]"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

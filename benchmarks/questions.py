"""The time of a query of a trail: which actions did a role use in the last 90 days, on compacted data.

A trail of one year, of 1,000 roles and 500 actions. By default it has a million records and the figure for ten million
is extrapolated, since the time grows with the number of compacted files; `BENCH_RECORDS=10000000` writes a
trail of that size (a quarter of an hour, 16 GB), and verifies and queries all of it. CPU time of all threads: DuckDB
uses two for a query, so an idle machine answers in half of it. The peers are an SQLite table of the same columns with
an index over role and time, and plain Python that searches every line for the role and parses the matching ones.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from iam_guard.audit.consumer.query import open_trail
from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.writer.segment_writer import SegmentWriter

RECORDS = int(os.environ.get("BENCH_RECORDS", "1000000"))
TEN_MILLION = 10_000_000
ROLES, ACTIONS, PORTION, ROUNDS = 1000, 500, 1000, 15
YEAR = 365 * 86_400
BEGIN = 1_767_225_600  # 2026-01-01
SINCE = "2026-10-03"
ACCOUNT = "111122223333"
ASKED = f"arn:aws:iam::{ACCOUNT}:role/Role77"

QUESTION = (
    "SELECT action, count(*) AS calls, max(time) AS last FROM records"  # noqa: S608 - ours
    f" WHERE role = $asked AND time >= TIMESTAMP '{SINCE}' AND outcome = 'Allowed' AND NOT refused"
    " GROUP BY action ORDER BY action"
)
SQLITE, PYTHON = "SQLite with an index over role and time", "plain Python over the lines"
_COUNT = f"{RECORDS // 1_000_000:,} million" if RECORDS >= 1_000_000 else f"{RECORDS:,}"
SIZE = f"{'ten million' if RECORDS == TEN_MILLION else _COUNT} records"


def measure() -> Iterator[Row]:
    """Write a trail, verify it, compact it, and query it."""
    with tempfile.TemporaryDirectory() as folder:
        trail, key = Path(folder, "trail"), SignerKey.new("trail.example/audit")
        writing = _written(trail, key)
        begun = time.process_time()
        assert verify_trail(trail, KeyRing([key.verifier])).is_ok
        verifying = time.process_time() - begun
        begun = time.process_time()
        opened = open_trail(trail, None)
        compacting = time.process_time() - begun
        answer = opened.ask(QUESTION, ASKED).rows
        ours = _best(lambda: opened.ask(QUESTION, ASKED), ROUNDS)
        table = _table(Path(folder, "records.db"), opened)
        opened.close()
        assert [row[:2] for row in answer] == table.execute(IN_SQLITE, (ASKED, SINCE)).fetchall()
        others = {
            SQLITE: _best(lambda: table.execute(IN_SQLITE, (ASKED, SINCE)).fetchall(), ROUNDS),
            PYTHON: _best(lambda: _plainly(trail), 1),
        }
        table.close()
    for peer, value in others.items():
        yield Row(f"actions of a role in 90 days, {SIZE}", ours, "s", ours / value, peer)
    many = ours * TEN_MILLION / RECORDS
    if RECORDS != TEN_MILLION:
        yield Row("actions of a role in 90 days, ten million, extrapolated", many, "s", ours / others[PYTHON], PYTHON)
    reading = others[PYTHON] / RECORDS
    yield _per_record("writing, CPU time", writing, reading)
    yield _per_record("verifying, CPU time", verifying / RECORDS, reading)
    yield _per_record("compacting, CPU time", compacting / RECORDS, reading)
    scale = "" if RECORDS == TEN_MILLION else ", extrapolated"
    seconds = verifying * TEN_MILLION / RECORDS
    yield Row(f"verifying ten million{scale}", seconds, "s", verifying / others[PYTHON], PYTHON)


def _per_record(what: str, seconds: float, reading: float) -> Row:
    return Row(f"{what}: records a second", 1 / seconds, "1/s", reading / seconds, PYTHON)


def _best(ask: Callable[[], object], rounds: int) -> float:
    least = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        ask()
        least = min(least, time.process_time() - begun)
    return least


# --- the trail ---------------------------------------------------------------------------------------------------


def _written(trail: Path, key: SignerKey) -> float:
    """Write the trail, and return the writer's CPU time per record in seconds."""
    chance, taken = random.Random(1), 0.0
    writer = SegmentWriter(trail, key)
    for begin in range(0, RECORDS, PORTION):
        lines = [_line(number, chance) for number in range(begin, min(begin + PORTION, RECORDS))]
        begun = time.process_time()
        writer.append(lines)
        writer.commit()
        taken += time.process_time() - begun
    writer.close()
    return taken / RECORDS


def _line(number: int, chance: random.Random) -> bytes:
    """Return a record like a guard's for a role session; formatted by hand, since there are millions."""
    role, action = chance.randrange(ROLES), chance.randrange(ACTIONS)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + number * YEAR // RECORDS))
    issuer = (
        f'{{"type":"Role","principalId":"AROAEXAMPLE{role:08}","arn":"arn:aws:iam::{ACCOUNT}:role/Role{role}",'
        f'"accountId":"{ACCOUNT}","userName":"Role{role}"}}'
    )
    return (
        f'{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE{role:08}:work",'
        f'"arn":"arn:aws:sts::{ACCOUNT}:assumed-role/Role{role}/work{number % 50}","accountId":"{ACCOUNT}",'
        f'"sessionContext":{{"sessionIssuer":{issuer},"attributes":{{"mfaAuthenticated":"false"}}}}}},'
        f'"eventTime":"{moment}","eventSource":"docs","eventName":"Get{action}","awsRegion":"us-east-1",'
        f'"sourceIPAddress":"203.0.113.{number % 250}","userAgent":"Boto3/1.40","requestParameters":{{"method":"GET",'
        f'"path":"/documents/{{document_id}}","host":"docs.example.com"}},"responseElements":null,'
        f'"requestID":"{chance.getrandbits(128):032x}","eventID":"{chance.getrandbits(128):032x}","readOnly":true,'
        f'"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"{ACCOUNT}","eventCategory":"Data",'
        f'"resources":[{{"ARN":"arn:aws:docs:us-east-1:{ACCOUNT}:document/{chance.randrange(10**6)}"}}],'
        f'"iamGuard":{{"version":"1.0","kind":"decision","outcome":"Allowed","reason":"AllowIdentity","reasons":['
        f'{{"policyType":"identity-based policy","effect":"Allow","policy":"Read{role % 20}","statement":0}}],'
        f'"epoch":42,"stale":false,"enforced":true,"durationMicros":7}}}}\n'
    ).encode()


# --- the peers ---------------------------------------------------------------------------------------------------

IN_SQLITE = "SELECT action, count(*) FROM records WHERE role = ? AND time >= ? GROUP BY action ORDER BY action"


def _table(path: Path, opened: Any) -> sqlite3.Connection:
    table = sqlite3.connect(path)
    table.execute("CREATE TABLE records (time TEXT, role TEXT, action TEXT)")
    for begin in range(0, YEAR, YEAR // 10):
        part = opened.ask(
            "SELECT CAST(time AS VARCHAR), role, action FROM records WHERE role IS NOT NULL"  # noqa: S608 - ours
            f" AND epoch(time) >= {BEGIN + begin} AND epoch(time) < {BEGIN + begin + YEAR // 10}"
        )
        table.executemany("INSERT INTO records VALUES (?, ?, ?)", part.rows)
    table.execute("CREATE INDEX by_role ON records (role, time, action)")
    table.commit()
    return table


def _plainly(trail: Path) -> dict[str, int]:
    """Count the actions from the lines alone."""
    found: dict[str, int] = {}
    needle = f'"arn":"{ASKED}"'.encode()
    for segment in (segment for shard in shards_of(trail) for segment in segments_of(shard)):
        with segment.lines.open("rb") as file:
            for line in file:
                if needle in line and (record := json.loads(line))["eventTime"] >= SINCE:
                    action = f"{record['eventSource']}:{record['eventName']}"
                    found[action] = found.get(action, 0) + 1
    return found

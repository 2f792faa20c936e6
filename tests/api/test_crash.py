"""A server that is killed in the middle of writing loses nothing that it acknowledged, and leaves nothing half-written.

Ten times in a row on one SQLite file, each time in an account of its own, so that no quota is met; in the end all of
them are read once more. What is written, and how it is told: `crash_writes`.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from itertools import chain, count, islice
from pathlib import Path

import pytest

from iam_guard.settings import Settings
from iam_guard.store.open_store import open_database
from iam_guard.store.schema import access_keys, identities
from iam_guard.store.sql_store import access_key_context
from tests.api.crash_writes import Fact, Write, facts, family
from tests.api.raw import Connection, Key, RawRequest, form, signed
from tests.cli.test_serve import Served

ROUNDS = 10
WRITES = 1000
CLIENTS = 4
ACCOUNTS = [f"{number:012}" for number in range(100000000001, 100000000001 + ROUNDS)]


def root_key(account: str) -> Key:
    return f"AKIA{account}ROOT", f"secret-of-{account}"


class Writer(threading.Thread):
    """One client: sends its writes one after the other over one connection, until nobody answers."""

    def __init__(self, url: str, account: str, number: int) -> None:
        super().__init__()
        families = (family(account, f"family-{number}-{each}") for each in count())
        self._writes = list(islice(chain.from_iterable(families), WRITES // CLIENTS))
        key = root_key(account)
        self._requests = [signed(url, key, form(write.action, write.fields)) for write in self._writes]
        self._connection = Connection(url)
        self.acknowledged: list[Fact] = []
        self.keys: dict[str, Key] = {}
        self.open: Write | None = None
        self.refused: str | None = None

    def run(self) -> None:
        for write, request in zip(self._writes, self._requests, strict=True):
            self.open = write
            if not self._send(write, request):
                return
            self.open = None

    def _send(self, write: Write, request: RawRequest) -> bool:
        try:
            answer = self._connection.send(request)
        except (OSError, HTTPException):
            return False
        if answer.status != 200:
            self.refused = f"{write}: {answer.status} {answer.body!r}"
            return False
        if write.action == "CreateAccessKey":
            self.keys[write.fact[1]] = answer.text("AccessKeyId"), answer.text("SecretAccessKey")
        self.acknowledged.append(write.fact)
        return True


class Survivors:
    """What one round had acknowledged in its account, and what may or may not be there."""

    def __init__(self, account: str, writers: Sequence[Writer]) -> None:
        self.account = account
        self.facts = {fact for writer in writers for fact in writer.acknowledged}
        self.open = {writer.open.fact for writer in writers if writer.open is not None}
        self.keys = {user: key for writer in writers for user, key in writer.keys.items()}

    def check(self, served: Served) -> None:
        """Find everything that was acknowledged whole, and nothing else but what was under way."""
        seen = facts(served.client(root_key(self.account)))
        expected = {fact for fact in self.facts if fact[0] != "key"}
        assert expected - seen == set(), "lost, or not whole"
        assert seen - expected <= self.open, "nobody asked for this"
        url, form_of = served.url, form("GetUser")
        connection = Connection(url)
        for user, key in self.keys.items():
            answer = connection.send(signed(url, key, form_of))
            assert (answer.status, f":user/crash/{user} is not" in answer.text("Message")) == (403, True), answer
        connection.close()


@pytest.fixture
def servers() -> Iterator[list[Served]]:
    """The servers that were started; all end with the test."""
    started: list[Served] = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(servers: list[Served], tmp_path: Path) -> None:
    """A kill in the middle of a thousand writes, ten times in a row."""
    url = f"sqlite:///{tmp_path}/iam.db"
    rounds: list[Survivors] = []
    served = start(servers, url, seed_file(tmp_path))
    for account in ACCOUNTS:
        rounds.append(written_and_killed(served, account))
        served = start(servers, url)
        rounds[-1].check(served)
        check_file(tmp_path / "iam.db", at_least=sum(len(each.facts) for each in rounds))
    check_keys(url, rounds)
    for each in rounds:
        each.check(served)
    assert sum(len(each.facts) for each in rounds) > ROUNDS * 50, "too little was written to tell anything"


def seed_file(folder: Path) -> Path:
    """Write a seed with an account for each round, in which nothing is but the root user's key."""
    accounts = [
        {"id": account, "name": f"round-{account}", "root": {"email": f"root@{account}.example", "access_keys": [key]}}
        for account in ACCOUNTS
        for key in [dict(zip(("id", "secret"), root_key(account), strict=True))]
    ]
    seed = folder / "seed.json"
    seed.write_text(json.dumps({"version": 1, "accounts": accounts}))
    return seed


def start(servers: list[Served], url: str, seed: Path | None = None) -> Served:
    servers.append(Served("--store", url, *(() if seed is None else ("--seed", str(seed)))))
    assert servers[-1].url, "the server does not start"
    return servers[-1]


def written_and_killed(served: Served, account: str) -> Survivors:
    """Let clients write, kill the server after a random number of answers, and give what it had acknowledged."""
    writers = [Writer(served.url, account, number) for number in range(CLIENTS)]
    last = random.randint(WRITES // 10, WRITES * 7 // 10)
    for writer in writers:
        writer.start()
    while sum(len(writer.acknowledged) for writer in writers) < last and any(each.is_alive() for each in writers):
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.01))
    served.process.kill()
    for writer in writers:
        writer.join()
    assert [writer.refused for writer in writers if writer.refused] == []
    return Survivors(account, writers)


def check_file(path: Path, *, at_least: int) -> None:
    """Look into the file itself: its pages, its references, its JSON, its epoch."""
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
        without_default = """
            SELECT p.id FROM policies p LEFT JOIN policy_versions v
            ON v.policy_id = p.id AND v.version = p.default_version WHERE v.version IS NULL
        """
        assert file.execute(without_default).fetchall() == []
        for text in file.execute("SELECT text FROM policy_versions UNION ALL SELECT text FROM inline_policies"):
            json.loads(text[0])
        for columns in file.execute("SELECT tags, trust_bindings, coalesce(trust_text, '{}') FROM identities"):
            assert all(isinstance(json.loads(column), dict) for column in columns)
        (epoch,) = file.execute("SELECT epoch FROM meta").fetchone()
    assert epoch >= at_least
    file.close()


def check_keys(url: str, rounds: Sequence[Survivors]) -> None:
    """Open every access key with the sealing key; each belongs to a user, and none is there that nobody asked for."""
    store = open_database(url, Settings())
    with store.viewing() as records:
        names = {row["id"]: (row["account"], row["name"]) for row in records.all(identities, kind="user")}
        rows = [row for row in records.all(access_keys) if row["user_id"] is not None]
    secrets = {row["id"]: store.sealer.open(row["sealed"], access_key_context(row["id"])).decode() for row in rows}
    owners = {row["id"]: names[row["user_id"]] for row in rows}
    store.close()
    known = {key[0]: (each.account, user) for each in rounds for user, key in each.keys.items()}
    assert secrets.items() >= {key for each in rounds for key in each.keys.values()}
    assert owners.items() >= known.items()
    unasked = {owners[id] for id in owners.keys() - known.keys()}
    assert unasked <= {(each.account, fact[1]) for each in rounds for fact in each.open if fact[0] == "key"}

"""A server that is killed while writing loses no acknowledged write, and leaves no partial one.

Four rounds on one SQLite file, each in its own account because of the quotas; at the end all accounts are read again.
The writes: `crash_writes`.
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
from iam_guard.store.opening import open_database
from iam_guard.store.schema import access_keys, identities
from iam_guard.store.sql_store import access_key_context
from tests.api.crash_writes import Fact, Write, facts, family
from tests.api.raw import Connection, Key, RawRequest, form, signed
from tests.cli.test_serve import Served

ROUNDS = 4
WRITES = 1000
CLIENTS = 4
ACCOUNTS = [f"{number:012}" for number in range(100000000001, 100000000001 + ROUNDS)]


def root_key(account: str) -> Key:
    return f"AKIA{account}ROOT", f"secret-of-{account}"


class Writer(threading.Thread):
    """A client that sends its writes over one connection until the server is gone."""

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
    """The acknowledged writes of one round, and those that may exist."""

    def __init__(self, account: str, writers: Sequence[Writer]) -> None:
        self.account = account
        self.facts = {fact for writer in writers for fact in writer.acknowledged}
        self.open = {writer.open.fact for writer in writers if writer.open is not None}
        self.keys = {user: key for writer in writers for user, key in writer.keys.items()}

    def check(self, served: Served) -> None:
        """Check that all acknowledged writes are complete, and that only pending ones are added."""
        seen = facts(served.client(root_key(self.account)))
        expected = {fact for fact in self.facts if fact[0] != "key"}
        assert expected - seen == set(), "lost, or not whole"
        assert seen - expected <= self.open, "an unexpected fact"
        url, form_of = served.url, form("GetUser")
        connection = Connection(url)
        for user, key in self.keys.items():
            answer = connection.send(signed(url, key, form_of))
            assert (answer.status, f":user/crash/{user} is not" in answer.text("Message")) == (403, True), answer
        connection.close()


@pytest.fixture
def servers() -> Iterator[list[Served]]:
    """The started servers, which end with the test."""
    started: list[Served] = []
    yield started
    for served in started:
        if served.process.poll() is None:
            served.process.kill()
        served.process.communicate()


@pytest.mark.slow
def test_killed_server_loses_no_acknowledged_write(servers: list[Served], tmp_path: Path) -> None:
    """Within a thousand writes, ten times."""
    url = f"sqlite:///{tmp_path}/iam.db"
    rounds: list[Survivors] = []
    served = start(servers, url, seed_file(tmp_path))
    for account in ACCOUNTS:
        rounds.append(written_and_killed(served, account))
        served = start(servers, url)
        rounds[-1].check(served)
        check_file(tmp_path / "iam.db", at_least=sum(len(each.facts) for each in rounds))
    check_keys(url, rounds)
    for survivors in rounds:
        survivors.check(served)
    assert sum(len(each.facts) for each in rounds) > ROUNDS * 50, "too few writes for a meaningful test"


def seed_file(folder: Path) -> Path:
    """Write a seed with an account for each round, which has only a root key."""
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
    """Run clients, kill the server after a random number of responses, and return the acknowledged writes."""
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
    """Check the file itself: pages, references, JSON, epoch."""
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
    """Unseal every access key; each belongs to a user and was requested."""
    store = open_database(url, Settings())
    with store.read_transaction() as records:
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

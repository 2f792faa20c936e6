"""Concurrent writes to one store by several processes with several threads, and a reader (rule T-9)."""

from __future__ import annotations

import json
from contextlib import closing
from subprocess import Popen
from threading import Event, Thread

from sqlalchemy import select

from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.database.engine import reading
from iam_guard.store.opening import open_database
from iam_guard.store.schema import policies, policy_versions
from iam_guard.store.sql_store import SqlStore
from tests.store.databases import start

PROCESSES, THREADS, TURNS = 2, 3, 6

WRITER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text

url, process, threads, turns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def seed(name, turn):
    mark = f"{name}.{turn}"
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": f"docs:{mark}", "Resource": "*"}]}
    user = {"tags": {"mark": mark}, "inline": {"I": document}, "attached": ["Shared"]}
    policies = [{"name": "Shared", "description": mark, "document": document}]
    users = [user | {"name": name}, user | {"name": "shared"}]
    account = {"id": "111122223333", "policies": policies, "users": users}
    return load_seed_text(json.dumps({"version": 1, "accounts": [account]}))

def work(thread):
    name = f"w{process}{thread}"
    return [(apply_seed(store, seed(name, turn)).epoch, f"{name}.{turn}") for turn in range(turns)]

store = open_database(url, load_settings())
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    written = [each for some in pool.map(work, range(threads)) for each in some]
print(json.dumps(written))
store.close()
"""


def marks(store: SqlStore, name: str) -> tuple[int, set[str]]:
    """Return the epoch and the marks of a user's policies and tag; several marks would be a partial write."""
    record = store.principal(Principal.from_arn(f"arn:aws:iam::111122223333:user/{name}"))
    found = {json.loads(policy.text)["Statement"][0]["Action"].removeprefix("docs:") for policy in record.identity}
    return record.epoch, found | {tag for key, tag in record.principal.tags.items() if key == "mark"}


def run_together(writers: list[Popen[str]]) -> dict[int, str]:
    """Start the writers together; return epoch -> mark."""
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    written: list[tuple[int, str]] = []
    for writer in writers:
        output, _ = writer.communicate(timeout=300)
        assert writer.returncode == 0
        written += [(epoch, mark) for epoch, mark in json.loads(output)]
    assert len(written) == len(dict(written))  # no epoch was used twice
    return dict(written)


def test_concurrent_writes_are_complete_and_ordered(database: str, settings: Settings) -> None:
    """Each write has an epoch of its own; readers see whole writes, in order."""
    seen: list[tuple[int, set[str]]] = []
    done = Event()
    with closing(open_database(database, settings)) as store:
        reader = Thread(target=lambda: follow(store, seen, done))
        reader.start()
        writers = [start(WRITER, database, str(number), str(THREADS), str(TURNS)) for number in range(PROCESSES)]
        try:
            written = run_together(writers)
        finally:
            done.set()
            reader.join()
            for writer in writers:
                writer.kill()
                writer.communicate()
        assert sorted(written) == list(range(2, 2 + PROCESSES * THREADS * TURNS))
        assert store.epoch() == max(written)
        for epoch, found in seen:
            assert found == ({written[epoch]} if epoch > 1 else set())
        assert [epoch for epoch, _ in seen] == sorted(epoch for epoch, _ in seen)
        assert len({epoch for epoch, _ in seen}) > 3
        assert_last_writes(store, written)


def follow(store: SqlStore, seen: list[tuple[int, set[str]]], done: Event) -> None:
    while not done.is_set():
        seen.append(marks(store, "shared"))


def assert_last_writes(store: SqlStore, written: dict[int, str]) -> None:
    """Check the last mark of each user and of the shared policy, and the number of versions."""
    last = written[max(written)]
    for process in range(PROCESSES):
        for thread in range(THREADS):
            assert marks(store, f"w{process}{thread}")[1] == {f"w{process}{thread}.{TURNS - 1}", last}
    with reading(store.engine) as connection:
        shared = connection.execute(select(policies).where(policies.c.name == "Shared")).mappings().one()
        of_it = select(policy_versions.c.version).where(policy_versions.c.policy_id == shared["id"])
        versions = connection.execute(of_it).scalars().all()
    assert (shared["description"], shared["default_version"]) == (last, len(written))
    assert sorted(versions) == list(range(len(written) - 4, len(written) + 1))

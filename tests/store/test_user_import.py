"""Bulk import of users (`administration/user_import`) on each database: batches, resuming, API keys, two at once."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from iam_guard.administration.api_key_file import ApiKeyFile
from iam_guard.administration.user_import import UserImport
from iam_guard.authn import api_key
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.errors import (
    AccountStateConflict,
    ConfigurationError,
    IamGuardError,
    LimitExceeded,
    SeedError,
    StoreIsReadOnly,
)
from iam_guard.factory import guard_with_store
from iam_guard.model.principal import Principal
from iam_guard.model.result import CallResult
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.opening import open_database, open_store
from iam_guard.store.quotas import effective_quotas
from iam_guard.store.schema import accounts, api_keys, identities, login_profiles, memberships
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from iam_guard.web.service import Service
from tests.tables import table

ACCOUNT = "111122223333"
SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    name: acme
    policies: [{{name: Readers, document: {{Version: "2012-10-17", Statement: []}}}}]
    groups:
      - name: readers
        inline: {{Read: {{Version: "2012-10-17", Statement: [{{Effect: Allow, Action: "docs:Read", Resource: "*"}}]}}}}
"""
PASSWORD = "$argon2id$v=19$m=19456,t=2,p=1$" + "c2FsdHNhbHRzYWx0c2FsdA" + "$" + "A" * 43


class Recorder:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.results: list[CallResult] = []

    def prepare(self) -> None:
        pass

    def record(self, result: CallResult) -> None:
        self.results.append(result)


@pytest.fixture
def store(database: str, settings: Settings) -> Iterator[SqlStore]:
    with closing(open_database(database, settings)) as opened:
        apply_seed(
            opened,
            load_seed_text(SEED.replace("Statement: []", 'Statement: [{Effect: Deny, Action: "a:B", Resource: "*"}]')),
        )
        yield opened


@pytest.fixture
def load(store: SqlStore) -> Callable[..., Any]:
    def import_rows(rows: list[Any], recorder: Recorder | None = None, **options: Any) -> Any:
        flags = {"create_groups": options.pop("create_groups", False)}
        run = UserImport(
            store, recorder or Recorder(), ACCOUNT, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), **flags
        )
        return run.run(enumerate(rows, 1), **options)

    return import_rows


def users_of(store: SqlStore) -> list[str]:
    with store.read_transaction() as records:
        return [row["name"] for row in records.all(identities, order=("name",), account=ACCOUNT, kind="user")]


def test_thousands_of_users_are_imported_and_resumed(store: SqlStore, load: Callable[..., Any], tmp_path: Path) -> None:
    """The second time, all exist; one record for each batch, without secrets."""
    rows = [
        {"name": f"u{n:04}", "path": "/p/", "tags": {"n": str(n)}, "groups": ["Readers"], "api_key": n % 2 == 0}
        for n in range(2000)
    ]
    recorder, seen = Recorder(), []
    done = load(rows, recorder, keys=tmp_path / "keys", batch=300, progress=seen.append)
    assert (done.created, done.api_keys, sum(seen), len(recorder.results)) == (2000, 1000, 2000, 7)
    assert recorder.results[0].parameters == {
        "accountId": ACCOUNT, "users": 300, "newApiKeys": 150, "firstUserName": "u0000", "lastUserName": "u0299",
    }  # fmt: skip
    assert "igk_" not in repr(recorder.results)
    listed = [json.loads(line) for line in (tmp_path / "keys").read_text().splitlines()]
    assert [entry["user"] for entry in listed] == [f"u{n:04}" for n in range(0, 2000, 2)]
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert not (tmp_path / "keys.pending").exists()
    with store.read_transaction() as records:
        digests = {row["id"]: bytes(row["digest"]) for row in records.all(api_keys)}
    assert digests == {key.id: key.digest for key in (api_key.parse(entry["api_key"]) for entry in listed)}
    before = store.epoch()
    again = load(rows, recorder, keys=tmp_path / "keys", batch=300)
    assert (again.created, again.unchanged, again.differing, again.api_keys) == (0, 2000, 0, 0)
    assert (store.epoch(), len(recorder.results)) == (before, 7)


def test_imported_user_is_decided_for_at_once(store: SqlStore, settings: Settings, tmp_path: Path) -> None:
    """Negative answers about the user and its key are cached before; the batch invalidates them, and little else."""
    guard = guard_with_store(store, replace(settings, epoch_poll=0.0), services=[Service("docs")])
    ann = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ann")
    key = api_key.generate_api_key(os.urandom)
    assert not guard.decide(ann, "docs:Read").allowed
    assert guard.store.api_key(key.id) is None  # type: ignore[attr-defined]
    row = {"name": "ann", "groups": ["readers"], "api_key": {"id": key.id, "digest": key.digest.hex()}}
    others = [{"name": f"u{number}"} for number in range(600)]
    assert guard.users.import_rows(ACCOUNT, [row, *others]).created == 601
    assert guard.decide(ann, "docs:Read").allowed
    assert guard.store.api_key(key.id).principal.arn == ann.arn  # type: ignore[attr-defined]
    guard.close()


def test_batch_names_newcomers_only(store: SqlStore, load: Callable[..., Any], tmp_path: Path) -> None:
    """Not each user, nor everything."""
    before = store.changes(None).state
    load([{"name": f"u{number}", "groups": ["readers"], "api_key": True} for number in range(400)], keys=tmp_path / "k")
    assert store.changes(before).names == {f"newcomers:{ACCOUNT}", "newkeys"}


INVALID: list[tuple[object, str]] = [
    ({}, "expected the key `name`"),
    ([], "expected an object"),
    ("line is no JSON", "line is no JSON"),
    ({"name": 7}, "expected text for `name`"),
    ({"name": "a" * 65}, "user name of at most 64"),
    ({"name": "ümlaut"}, "user name of at most 64"),
    ({"name": "a\0"}, "without NUL"),
    ({"name": "a\n"}, "user name of at most 64"),
    ({"name": "\ud800"}, "user name of at most 64"),
    ({"name": "A1"}, "the name `A1` is also that of line 1"),
    ({"name": "x", "pth": "/"}, "unknown key `pth`, did you mean `path`?"),
    ({"name": "x", "path": "a"}, "expected a path"),
    ({"name": "x", "path": "/" + "a" * 511 + "/"}, "expected a path"),
    ({"name": "x", "tags": {str(n): "" for n in range(51)}}, "at most 50 tags, got 51"),
    ({"name": "x", "tags": {"k": "v" * 257}}, "expected a tag value"),
    ({"name": "x", "tags": {"k": 1}}, "expected text in `tags`"),
    ({"name": "x", "tags": {"aws:k": ""}}, "reserved"),
    ({"name": "x", "tags": {"k": "", "K": ""}}, "differ by letter case"),
    ({"name": "x", "tags": []}, "expected an object for `tags`"),
    ({"name": "x", "groups": "readers"}, "expected a list of texts for `groups`"),
    ({"name": "x", "groups": [str(n) for n in range(11)]}, "at most 10 groups per user, got 11"),
    ({"name": "x", "groups": ["nothing"]}, "the group `nothing` does not exist"),
    ({"name": "x", "attached": ["Nothing"]}, "no managed policy `Nothing`"),
    ({"name": "x", "boundary": f"arn:aws:iam::{ACCOUNT}:policy/readers"}, "no managed policy"),
    ({"name": "x", "boundary": "arn:aws:iam::444455556666:policy/Readers"}, "no managed policy"),
    ({"name": "x", "api_key": "igk_secret"}, "expected `true` for `api_key`"),
    ({"name": "x", "api_key": {"id": "a", "digest": "0" * 64}}, "expected an API key id"),
    ({"name": "x", "api_key": {"id": "abcd", "digest": "0"}}, "64 hexadecimal digits"),
    ({"name": "x", "password_digest": "$2b$12$" + "a" * 53}, "passwords can't be compared with others, as bcrypt's"),
    ({"name": "x", "password_digest": PASSWORD.replace("19456", "999999999")}, "memory in KiB times passes"),
    ({"name": "x", "password_digest": PASSWORD.replace("m=19456,t=2", "m=65536,t=5")}, "of at most 262144"),
    ({"name": "x", "password_digest": PASSWORD[:-4]}, "expected 32 bytes of digest"),
    ({"name": "x", "password_digest": PASSWORD.replace("p=1", "p=0")}, "lanes"),
]


@table(("row", "message"), INVALID)
def test_invalid_row_stops_before_its_batch(
    row: object, message: str, load: Callable[..., Any], store: SqlStore
) -> None:
    """With its line, and without quoting secrets; skipped rows leave the others."""
    rows = [{"name": "a1"}, {"name": "b1"}, {"name": "c1"}, row, {"name": "e1"}]
    with pytest.raises(SeedError) as caught:
        load(rows, batch=2)
    assert any(f"row:4: {message}" in text or message in text for text in caught.value.problems), caught.value.problems
    assert caught.value.line == 4
    assert "$2b$" not in str(caught.value.problems)
    assert "igk_secret" not in str(caught.value.problems)
    assert users_of(store) == ["a1", "b1"]
    skipped: list[tuple[int, object, str]] = []
    done = load(rows, batch=2, skip=lambda *found: skipped.append(found))
    assert [(line, given) for line, given, _ in skipped] == [(4, row)]
    assert message in skipped[0][2]
    assert (done.skipped, users_of(store)) == (1, ["a1", "b1", "c1", "e1"])
    with store.write_transaction() as records:
        records.delete(identities, account=ACCOUNT, kind="user")


def test_existing_users_are_compared_not_changed(load: Callable[..., Any], store: SqlStore) -> None:
    full = {"name": "ann", "path": "/a/", "tags": {"k": "v"}, "groups": ["READERS"], "attached": ["readers"],
            "boundary": f"arn:aws:iam::{ACCOUNT}:policy/Readers", "password_digest": PASSWORD}  # fmt: skip
    load([full])
    assert load([full]).unchanged == 1
    done = load([{"name": "Ann", "api_key": {"id": "abcd", "digest": "0" * 64}}])
    assert done.differences == {1: ("name", "path", "tags", "groups", "attached", "boundary", "api_key")}
    assert users_of(store) == ["ann"]


def test_missing_groups_are_created_on_request(load: Callable[..., Any], store: SqlStore) -> None:
    rows = [{"name": f"u{n}", "groups": [f"Team-{n % 3}", "readers"]} for n in range(9)]
    assert load(rows, create_groups=True).created == 9
    with store.read_transaction() as records:
        groups = records.all(identities, order=("name",), account=ACCOUNT, kind="group")
        assert [row["name"] for row in groups] == ["Team-0", "Team-1", "Team-2", "readers"]
        assert records.count(memberships) == 18


def test_quotas_apply(load: Callable[..., Any], store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start if the number of rows is known, else in the batch; the message names the setting."""
    monkeypatch.setattr(store, "quotas", effective_quotas(["users per account=3"]))
    rows = [{"name": f"u{n}"} for n in range(4)]
    with pytest.raises(LimitExceeded, match=r"UsersPerAccount: 3: .*`users per account=4`.*`quotas`"):
        load(rows, total=4)
    assert users_of(store) == []
    with pytest.raises(LimitExceeded, match="UsersPerAccount: 3"):
        load(rows, batch=2)
    assert users_of(store) == ["u0", "u1"]
    monkeypatch.setattr(store, "quotas", effective_quotas(["groups per account=1"]))
    with pytest.raises(LimitExceeded, match="GroupsPerAccount: 1"):
        load([{"name": "x", "groups": ["new"]}], create_groups=True)


@table("state", ["suspended", "closed", "deleting"])
def test_account_must_be_active(state: str, load: Callable[..., Any], store: SqlStore) -> None:
    with store.write_transaction() as records:
        records.update(accounts, {"state": state}, id=ACCOUNT)
    with pytest.raises(AccountStateConflict, match=f"expected an active account, got one that is {state}"):
        load([{"name": "ann"}])
    with store.write_transaction() as records:
        records.update(accounts, {"state": "active"}, id=ACCOUNT)


def test_group_deleted_meanwhile_stops_the_batch(load: Callable[..., Any], store: SqlStore) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"name": "a", "groups": ["readers"]}
        with store.write_transaction() as records:
            records.delete(identities, account=ACCOUNT, folded="readers")
        yield {"name": "b", "groups": ["readers"]}

    with pytest.raises(SeedError, match="the group `readers` does not exist"):
        load(rows(), batch=1)
    assert users_of(store) == ["a"]


def test_key_of_a_user_is_not_taken_over(load: Callable[..., Any]) -> None:
    load([{"name": "ann", "api_key": {"id": "abcd", "digest": "0" * 64}}])
    with pytest.raises(SeedError, match="the API key `abcd` exists already"):
        load([{"name": "eve", "api_key": {"id": "abcd", "digest": "1" * 64}}])
    with pytest.raises(ConfigurationError, match="expected a file for new API keys"):
        load([{"name": "eve", "api_key": True}])


def test_two_imports_at_once_create_each_user_once(
    database: str, settings: Settings, store: SqlStore, tmp_path: Path
) -> None:
    """Each user has one key, listed in the file of the import that created it."""
    rows = [{"name": f"u{number}", "api_key": True} for number in range(300)]
    results, errors = [], []

    def work(number: int) -> None:
        try:
            with closing(open_database(database, settings)) as own:
                run = UserImport(own, Recorder(), ACCOUNT, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
                results.append(run.run(enumerate(rows, 1), batch=20, keys=tmp_path / f"keys{number}"))
        except IamGuardError as error:
            errors.append(error)

    threads = [Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sum(done.created for done in results) == 300
    assert all(done.created + done.unchanged == 300 for done in results)
    listed = [
        json.loads(line)["user"]
        for number in range(2)
        for line in (tmp_path / f"keys{number}").read_text().splitlines()
    ]
    assert sorted(listed) == sorted(row["name"] for row in rows)
    with store.read_transaction() as records:
        assert records.count(api_keys) == 300


KILLED = """
import os, sys
from datetime import UTC, datetime
from iam_guard.administration import api_key_file
from iam_guard.administration.user_import import UserImport
from iam_guard.model.result import NoChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database, open_store
url, path, key, step = sys.argv[1:]
original, calls = getattr(api_key_file.ApiKeyFile, step), []
def killed(self, *arguments):
    if len(calls) == 2:
        if step == "stage":
            original(self, *arguments)
        os.kill(os.getpid(), 9)
    calls.append(1)
    return original(self, *arguments)
setattr(api_key_file.ApiKeyFile, step, killed)
store = open_database(url, Settings(sealing_keys=(key,)))
rows = enumerate([{"name": f"u{n}", "api_key": True} for n in range(50)], 1)
UserImport(store, NoChangeRecorder(), "111122223333", clock=lambda: datetime.now(UTC)).run(rows, batch=10, keys=path)
"""


@table(("step", "committed"), [("stage", 20), ("commit", 30)])
def test_killed_import_loses_no_key(
    step: str,
    committed: int,
    database: str,
    settings: Settings,
    store: SqlStore,
    load: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Killed between the second file and the transaction, or between the transaction and the file; then run again."""
    path = tmp_path / f"keys-{step}"
    arguments = [database, str(path), settings.sealing_keys[0], step]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=120)
    assert killed.returncode == -9
    assert len(users_of(store)) == committed
    assert len(path.read_text().splitlines()) == 20
    done = load([{"name": f"u{n}", "api_key": True} for n in range(50)], batch=10, keys=path)
    assert (done.created, done.unchanged, done.recovered_keys) == (50 - committed, committed, committed - 20)
    listed = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(entry["user"] for entry in listed) == sorted(f"u{n}" for n in range(50))
    with store.write_transaction() as records:
        assert {row["id"] for row in records.all(api_keys)} == {api_key.parse(entry["api_key"]).id for entry in listed}
        records.delete(identities, account=ACCOUNT, kind="user")


def test_key_file_must_be_private_and_unused(tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.touch(0o644)
    (tmp_path / "link").symlink_to(public)
    with closing(ApiKeyFile(tmp_path / "keys")):
        for name, message in (
            ("public", "only its owner can read"),
            ("link", "symbolic link"),
            ("keys", "another import"),
            ("missing/keys", "cannot be opened"),
        ):
            with pytest.raises(ConfigurationError, match=message):
                ApiKeyFile(tmp_path / name)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_statistics_are_updated(load: Callable[..., Any], store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, then when the number of users has grown four times."""
    calls: list[int] = []
    original = Records.update_statistics
    monkeypatch.setattr(Records, "update_statistics", lambda self, *tables: (calls.append(1), original(self, *tables)))
    load([{"name": f"u{number}"} for number in range(100)], batch=10)
    assert len(calls) == 3


@table(("memory", "passes", "lanes", "salt"), [(64, 3, 4, b"s" * 8), (19456, 2, 1, b"s" * 16), (64, 1, 1, b"s" * 64)])
def test_imported_digest_is_compared(
    memory: int, passes: int, lanes: int, salt: bytes, load: Callable[..., Any], store: SqlStore
) -> None:
    """As other Argon2 libraries write it; the longest name is accepted, too."""
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    name = f"{memory}-{lanes}-{len(salt)}".ljust(64, "x")
    assert load([{"name": name, "password_digest": kdf.derive_phc_encoded(b"correct horse")}]).created == 1
    with store.read_transaction() as records:
        [user] = records.all(identities, account=ACCOUNT, name=name)
        [profile] = records.all(login_profiles, user_id=user["id"])
    hasher = PasswordHasher()
    assert hasher.matches("correct horse", profile["digest"])
    assert not hasher.matches("wrong horse", profile["digest"])


def test_store_of_a_file_is_read_only(tmp_path: Path) -> None:
    file = tmp_path / "iam.yaml"
    file.write_text(f'version: 1\naccounts: [{{id: "{ACCOUNT}", name: acme}}]\n')
    with closing(open_store(str(file), Settings())) as followed:
        run = UserImport(followed, Recorder(), ACCOUNT, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        with pytest.raises(StoreIsReadOnly):
            run.run([(1, {"name": "ann"})])

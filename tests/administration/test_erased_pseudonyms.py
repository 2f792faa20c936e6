"""A person who works in two processes is erased: both deny its requests, and no pseudonym of it can be derived."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Principal, open_guard
from iam_guard.audit.record.privacy import MASK
from iam_guard.audit.record.pseudonyms import (
    PREFIX,
    make_pseudonym_key,
    person_pseudonyms,
    pseudonym,
    pseudonyms_of,
    read_pseudonym_keys,
    subjects_of,
)
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.model.principal import Credential
from iam_guard.model.result import CallResult
from iam_guard.settings import Settings
from iam_guard.store.accounts.pseudonym_salts import StoredSalts
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.schema import browser_sessions, pseudonym_salts
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.administration.personal_world import (
    ACME,
    ALICE,
    ALICE2,
    DOCUMENT,
    NAMESAKE,
    UMBRELLA,
    id_of,
    insert_filled,
    seeded,
)
from tests.audit.pipelines import eventually, facts_in

PLACES = (
    *("/userIdentity/arn", "/userIdentity/userName", "/userIdentity/principalId", "/userIdentity/accessKeyId"),
    *("/requestParameters", "/responseElements", "/sourceIPAddress", "/resources/*/ARN"),
)


class World:
    """Two guards on one store, with a trail each; their clocks for polls stand still between requests."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.keys = folder, folder / "keys"
        self.url = f"sqlite:///{folder}/iam.db"
        store = seeded(create_store(self.url, Settings()))
        self.ids = {ALICE: id_of(store, ACME, "alice"), ALICE2: id_of(store, ACME, "alice2")}
        store.close()
        for account in (ACME, UMBRELLA):
            make_pseudonym_key(self.keys, account)
        create_signing_key_file(folder / "signing")
        self.guards = [stack.enter_context(closing(self._opened(name))) for name in ("one", "two")]

    def _opened(self, name: str) -> Guard:
        return open_guard(
            self.url,
            audit=f"{self.folder}/{name}/",
            audit_key_file=str(self.folder / "signing"),
            audit_pseudonym_key_file=str(self.keys),
            audit_pseudonyms=PLACES,
            audit_mask=["/errorMessage"],
            epoch_poll=3600.0,
        )

    def work(self, guard: Guard, arn: str = ALICE, *, key: str = "AKIAALICE00000000001") -> bool:
        user = Principal.from_arn(arn, userid=self.ids.get(arn))
        return guard.decide(replace(user, credential=Credential("sigv4", key)), "docs:Get", DOCUMENT).allowed

    def records(self, name: str, count: int) -> list[dict[str, Any]]:
        """Return the records of requests and changes in a trail, as soon as there are so many."""
        kinds = ("decision", "admin_call", "policy_change")

        def found() -> list[dict[str, Any]]:
            return [record for record in facts_in(self.folder / name) if record["iamGuard"]["kind"] in kinds]

        eventually(lambda: len(found()) >= count)
        return found()

    def derivable(self, *texts: str) -> set[str]:
        with closing(create_store(self.url, Settings())) as store:
            return person_pseudonyms(self.keys, ACME, texts, texts, StoredSalts(store))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def identities_in(records: list[dict[str, Any]]) -> set[str]:
    return {value for record in records for value in record["userIdentity"].values() if str(value).startswith(PREFIX)}


def test_both_processes_write_the_same_pseudonyms(world: World) -> None:
    for guard in world.guards:
        assert world.work(guard)
    [one], [two] = world.records("one", 1), world.records("two", 1)
    assert one["userIdentity"] == two["userIdentity"]
    assert {one["userIdentity"][name][: len(PREFIX)] for name in ("arn", "userName", "principalId", "accessKeyId")} == {
        PREFIX
    }
    assert "redacted" not in one["iamGuard"]
    found = world.derivable("alice", ALICE, world.ids[ALICE], "AKIAALICE00000000001")
    assert identities_in([one]) <= found
    [key] = read_pseudonym_keys(world.keys)[ACME]
    assert one["userIdentity"]["userName"] != pseudonym(key, "alice")


def test_erased_person_is_denied_everywhere_and_not_derivable(world: World) -> None:
    """Late records of the other process are masked, and create no salt; those of others keep their pseudonyms."""
    one, two = world.guards
    for guard in world.guards:
        assert world.work(guard)
        assert world.work(guard, ALICE2, key="AKIAALICE00000000002")
    before = identities_in(world.records("one", 2)) | identities_in(world.records("two", 2))
    erasure = one.people.personal_data.erase(ALICE, also=["AKIAALICE00000000001"])
    assert erasure.salts == 4
    assert not world.work(one)
    two.refresh()  # which happens within `epoch_poll`
    assert not world.work(two)
    late = world.records("two", 3)[-1]
    assert {late["userIdentity"][name] for name in ("arn", "userName", "principalId", "accessKeyId")} == {MASK}
    texts = ("alice", ALICE, world.ids[ALICE], "AKIAALICE00000000001")
    left = before & world.derivable(*texts)
    assert left == set()
    assert len(before & world.derivable("alice2", ALICE2, world.ids[ALICE2], "AKIAALICE00000000002")) == 4
    with one.store.read_transaction() as records:
        stored = {row["subject"] for row in records.all(pseudonym_salts, account=ACME)}
    assert stored.isdisjoint(subjects_of(world.keys, ACME, texts, texts)[ACME])


def test_record_of_the_erasure_has_no_name(world: World) -> None:
    one, _ = world.guards
    world.work(one)
    one.people.personal_data.erase(ALICE)
    [*_, record] = world.records("one", 2)
    assert record["eventName"] == "ErasePerson"
    assert record["requestParameters"]["principalId"] == MASK, "the unique id is erased, too"
    assert not any(text in json.dumps(record) for text in ("alice", world.ids[ALICE]))


def test_namesake_of_another_account_keeps_its_pseudonyms(world: World) -> None:
    one, _ = world.guards
    namesake = Principal.from_arn(NAMESAKE)
    for _ in range(2):
        one.decide(namesake, "docs:Get", DOCUMENT)
    one.people.personal_data.erase(ALICE)
    one.decide(namesake, "docs:Get", DOCUMENT)
    of_umbrella = [one for one in world.records("one", 4) if one["userIdentity"].get("accountId") == UMBRELLA]
    names = {record["userIdentity"]["userName"] for record in of_umbrella}
    assert len(names) == 1
    assert names != {MASK}


def test_event_loop_never_waits_for_salts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines are completed by the writer thread, and have pseudonyms."""
    one, _ = world.guards
    loads: list[bool] = []
    load = StoredSalts.load

    def watched(self: StoredSalts, *arguments: Any, **options: Any) -> Any:
        try:
            asyncio.get_running_loop()
            loads.append(True)
        except RuntimeError:
            loads.append(False)
        return load(self, *arguments, **options)

    monkeypatch.setattr(StoredSalts, "load", watched)

    async def work() -> bool:
        user = Principal.from_arn(ALICE, userid=world.ids[ALICE])
        return one.decide(user, "docs:Put", DOCUMENT).allowed

    assert asyncio.run(work())
    [record] = world.records("one", 1)
    assert record["userIdentity"]["userName"].startswith(PREFIX)
    assert loads == [False]


def test_name_in_an_administrators_call_has_the_same_pseudonym(world: World) -> None:
    one, _ = world.guards
    world.work(one)
    result = CallResult(action="iam:TagUser", owner=ACME, parameters={"userName": "alice", "tags": ["x"]})
    one.trail.record_result(result, None, Principal.from_arn(f"arn:aws:iam::{ACME}:root"))
    [own, admin] = world.records("one", 2)
    assert admin["requestParameters"]["userName"] == own["userIdentity"]["userName"]


def test_export_finds_pseudonymised_and_plain_records(world: World) -> None:
    """By the person as the caller, and where another caller's record names it; not those of others."""
    one, _ = world.guards
    world.work(one)
    world.work(one, ALICE2)
    result = CallResult(action="iam:TagUser", owner=ACME, parameters={"userName": "alice"})
    one.trail.record_result(result, None, Principal.from_arn(f"arn:aws:iam::{ACME}:root"))
    world.records("one", 3)
    assert one.trail.end_shard()
    found = one.people.personal_data.export(ALICE)
    assert [(entry["relation"], entry["record"]["eventName"]) for entry in found["trail"]] == [
        ("caller", "Get"),
        ("named", "TagUser"),
    ]
    assert set(pseudonyms_of(world.keys, ACME, "alice", StoredSalts(one.store))) <= set(found["pseudonyms"])


def test_role_session_named_after_the_person_is_erased(world: World) -> None:
    """As after a switch to a role; not one that is named after another."""
    one, _ = world.guards
    sessions = [f"arn:aws:sts::{ACME}:assumed-role/work/{name}" for name in ("alice", "alice2")]
    for arn in sessions:
        one.decide(Principal.from_arn(arn), "docs:Get", DOCUMENT)
    before = identities_in(world.records("one", 2))
    assert len(before & world.derivable(*sessions)) == 2
    one.people.personal_data.erase(ALICE)
    assert before & world.derivable(sessions[0]) == set()
    assert before & world.derivable(sessions[1])


def test_session_of_an_erased_person_ends_in_another_process(world: World) -> None:
    one, two = world.guards
    with one.store.write_transaction() as records:
        insert_filled(records, browser_sessions, digest="d", account=ACME, user_id=world.ids[ALICE], role_id=None)
    store = two.store
    assert isinstance(store, CachedStore)
    assert store.browser_session("d") is not None
    one.people.personal_data.erase(ALICE)
    two.refresh()
    assert store.browser_session("d") is None


def test_name_in_an_error_message_needs_a_mask(tmp_path: Path) -> None:
    """An e-mail address as a name is in the sentence of a denial, which `audit_mask` removes."""
    name = "bob@example.com"
    seed = {"version": 1, "accounts": [{"id": ACME, "users": [{"name": name}]}]}
    make_pseudonym_key(tmp_path / "keys", ACME)
    for masked, is_left in (((), True), (("/errorMessage",), False)):
        url, log = f"sqlite:///{tmp_path}/{is_left}.db", tmp_path / f"{is_left}.jsonl"
        with closing(create_store(url, Settings())) as store:
            apply_seed(store, load_seed_text(json.dumps(seed)))
        options = {"audit_mask": masked, "audit_pseudonym_key_file": str(tmp_path / "keys")}
        with closing(open_guard(url, audit=str(log), audit_pseudonyms=PLACES, **options)) as guard:
            bob = Principal.from_arn(f"arn:aws:iam::{ACME}:user/{name}")
            assert not guard.decide(bob, "docs:Get", DOCUMENT).allowed
        assert (name in log.read_text()) is is_left
        assert PREFIX in log.read_text()

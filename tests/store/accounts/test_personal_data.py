"""Export and erasure of a person on both kinds of database, while it signs in and works elsewhere."""

from __future__ import annotations

import json
from contextlib import closing
from threading import Barrier, Thread

from iam_guard import Principal
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.accounts.personal_tables import PERSONAL_TABLES
from iam_guard.store.opening import open_database
from iam_guard.store.schema import browser_sessions, identities
from tests.administration.personal_world import (
    ACME,
    ALICE,
    ALICE2,
    DOCUMENT,
    dumped,
    id_of,
    insert_filled,
    plant,
    plant_others,
    seeded,
)


def test_person_is_exported_and_erased(database: str, settings: Settings) -> None:
    store = seeded(open_database(database, settings))
    with closing(guard_with_store(store, settings)) as guard:
        alice = id_of(store, ACME, "alice")
        with store.write_transaction() as records:
            plant(records, ACME, alice)
            plant(records, ACME, id_of(store, ACME, "alice2"))
            plant_others(records, store)
        assert set(PERSONAL_TABLES) <= set(guard.people.personal_data.export(ALICE)["store"])
        before = {name: len(rows) for name, rows in dumped(store).items()}
        erasure = guard.people.personal_data.erase(ALICE)
        after = dumped(store)
        assert erasure.rows["policies of resources"] == 2
        assert all(len(after[name]) < before[name] for name in PERSONAL_TABLES)
        assert ALICE not in json.dumps(after["resources"])
        assert guard.people.personal_data.export(ALICE2)["store"]["browser_sessions"]


def test_person_that_signs_in_meanwhile_has_nothing_left(database: str, settings: Settings) -> None:
    """Sessions that other processes begin at the same time are erased, or can't begin any more."""
    store = seeded(open_database(database, settings))
    user_id, barrier, refused = id_of(store, ACME, "alice"), Barrier(3), list[bool]()
    others = [open_database(database, settings) for _ in range(2)]

    def sign_in(number: int) -> None:
        barrier.wait(60)
        for _ in range(20):
            with others[number].write_transaction() as records:
                if records.one(identities, id=user_id) is None:
                    refused.append(True)
                    return
                insert_filled(records, browser_sessions, account=ACME, user_id=user_id, role_id=None)
        completed.append(number)

    completed: list[int] = []
    threads = [Thread(target=sign_in, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    with closing(guard_with_store(store, settings)) as guard:
        assert guard.decide(Principal.from_arn(ALICE), "docs:Get", DOCUMENT).allowed
        barrier.wait(60)
        guard.people.personal_data.erase(ALICE)
        for thread in threads:
            thread.join()
        assert len(refused) + len(completed) == 2
        assert dumped(store)["browser_sessions"] == []
        assert not guard.decide(Principal.from_arn(ALICE), "docs:Get", DOCUMENT).allowed
    for other in others:
        other.close()

"""The sessions of an account: listed page by page, ended in all processes, and both in the trail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from iam_guard import Guard
from iam_guard.authn.people.person import Person, PersonRef, find_person, root_of
from iam_guard.errors import NoSuchEntity
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store, open_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.passwords import ref_of
from tests.signed_in import give_password, issue_session

ACME, GLOBEX = "111122223333", "444455556666"
SEED = f"""
version: 1
accounts:
  - {{id: "{ACME}", name: acme, users: [{{name: ada}}, {{name: bob}}]}}
  - {{id: "{GLOBEX}", name: globex, users: [{{name: gus}}]}}
"""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class World:
    """Two processes on one store, and people who sign in with the first."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/iam.db"
        self.folder = folder
        self.now = NOON
        self.store: SqlStore = create_store(self.url, Settings())
        apply_seed(self.store, load_seed_text(SEED))
        settings = Settings(epoch_poll=3600, audit=str(folder / "audit.jsonl"))
        self.guard = self.open(settings)
        self.other = self.open(Settings(epoch_poll=3600))

    def open(self, settings: Settings) -> Guard:
        guard = guard_with_store(open_store(self.url, settings), settings)
        guard.clock = lambda: self.now
        return guard

    def person(self, name: str, account: str = ACME) -> Person:
        with self.store.read_transaction() as records:
            found = find_person(records, "aws", account=account, name=name)
        assert found is not None
        return found

    def issue(self, person: Person) -> str:
        give_password(self.guard, person)
        return issue_session(self.guard, person, address="192.0.2.7", user_agent="B")[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with closing(made.guard), closing(made.other), closing(made.store):
        yield made


def test_sessions_of_an_account_are_listed(world: World) -> None:
    """Of its users and its root user, not of other accounts, and not those that are over."""
    world.issue(world.person("ada"))
    world.now += timedelta(minutes=59)
    for person in (world.person("ada"), world.person("bob"), root_of("aws", ACME), world.person("gus", GLOBEX)):
        world.issue(person)
    sessions = world.guard.people.account_sessions
    assert len(sessions.list(ACME).sessions) == 4
    world.now += timedelta(minutes=1)
    found = sorted(session.principal.arn for session in sessions.list(ACME).sessions)
    assert found == [f"arn:aws:iam::{ACME}:{name}" for name in ("root", "user/ada", "user/bob")]
    for person in (world.person("ada"), root_of("aws", ACME)):
        [session] = sessions.list(ref_of(person)).sessions
        assert session.principal.arn == person.arn
        assert (session.address, session.user_agent, session.task) == ("192.0.2.7", "B", None)


def test_pages_have_all_sessions_once(world: World) -> None:
    """With as many statements for each page, whatever its length."""
    for _ in range(7):
        world.issue(world.person("ada"))
        world.issue(world.person("bob"))
    sessions = world.guard.people.account_sessions
    executed: list[str] = []
    engine = world.guard.store.behind.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *args: executed.append(args[2]))
    statements = set()
    for limit, pages in ((1, 15), (5, 3), (14, 2), (100, 1)):
        found, after = [], None
        for number in range(pages):
            executed.clear()
            page = sessions.list(ACME, after=after, limit=limit)
            statements.add(len(executed))
            found += [session.id for session in page.sessions]
            after = page.after
            assert (after is None) == (number == pages - 1)
        assert len(found) == len(set(found)) == 14
    assert len(statements) == 1


def test_ended_session_is_over_in_all_processes(world: World) -> None:
    tokens = {name: world.issue(world.person(name)) for name in ("ada", "bob")}
    for guard in (world.guard, world.other):
        assert all(guard.people.browser_sessions.find(token) is not None for token in tokens.values())
    [session] = world.guard.people.account_sessions.list(PersonRef(ACME, "ada")).sessions
    world.guard.people.account_sessions.end(ACME, session.id)
    world.other.refresh()
    for guard in (world.guard, world.other):
        assert guard.people.browser_sessions.find(tokens["ada"]) is None
        assert guard.people.browser_sessions.find(tokens["bob"]) is not None


def test_all_sessions_of_an_account_end(world: World) -> None:
    """Or of one of its people; those of other accounts go on."""
    people = [world.person("ada"), world.person("bob"), root_of("aws", ACME), world.person("gus", GLOBEX)]
    tokens = [world.issue(person) for person in people]
    assert all(world.other.people.browser_sessions.find(token) is not None for token in tokens)
    ada = ref_of(people[0])
    for owner, ended, left in ((ada, 1, tokens[1:]), (ada, 0, tokens[1:]), (ACME, 2, tokens[3:])):
        assert world.guard.people.account_sessions.end_all(owner) == ended
        world.other.refresh()
        assert [token for token in tokens if world.other.people.browser_sessions.find(token) is not None] == left


def test_session_of_another_account_is_not_ended(world: World) -> None:
    token = world.issue(world.person("gus", GLOBEX))
    [session] = world.guard.people.account_sessions.list(GLOBEX).sessions
    for account, id in ((ACME, session.id), (GLOBEX, "bs-none"), (GLOBEX, "")):
        with pytest.raises(NoSuchEntity, match="has no session"):
            world.guard.people.account_sessions.end(account, id)
    assert world.guard.people.browser_sessions.find(token) is not None


def test_ends_are_recorded(world: World) -> None:
    token = world.issue(world.person("ada"))
    [session] = world.guard.people.account_sessions.list(ACME).sessions
    world.guard.people.account_sessions.end(ACME, session.id)
    world.guard.people.account_sessions.end_all(ACME)
    world.guard.close()
    text = (world.folder / "audit.jsonl").read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    assert [(event["eventName"], event["requestParameters"]) for event in events] == [
        ("EndBrowserSession", {"accountId": ACME, "principalArn": world.person("ada").arn, "sessionId": session.id}),
        ("EndBrowserSessions", {"accountId": ACME, "ended": 0}),
    ]
    assert [event["recipientAccountId"] for event in events] == [ACME, ACME]
    assert token not in text

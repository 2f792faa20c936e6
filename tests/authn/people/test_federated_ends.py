"""What ends a browser session without a stored person: at once in its own process, in others with the next poll."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from iam_guard.errors import AccessDenied
from iam_guard.factory import guard_with_store
from iam_guard.model.credential import BrowserSession, Session
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import fold
from iam_guard.store.opening import create_store
from iam_guard.store.schema import access_keys, accounts, federated_sessions, identities, inline_policies, used_tokens
from iam_guard.store.sql_store import SqlStore
from tests.authn.people.federated_parts import KEY, ROOT_KEY, FederatedWorld
from tests.authn.people.role_parts import ACME, CALL, HOUR, MINUTE, START, UMBRELLA
from tests.tables import table

End = Callable[[FederatedWorld, BrowserSession], object]


def _changed(change: Callable[[Records], object]) -> End:
    def end(world: FederatedWorld, _: BrowserSession) -> None:
        with world.guard.store.write_transaction() as records:
            change(records)

    return end


def _create_again(records: Records) -> None:
    """Delete the role, and create another one with the same name, policies and trust."""
    row = records.one(identities, kind="role", name="Support")
    assert row is not None
    records.delete(identities, id=row["id"])
    records.insert(identities, **{**row, "id": "AROAANOTHERROLE000001"})


def _key_of_another(records: Records) -> None:
    """Delete Ada's key, and create one with its id for Bob."""
    row = records.one(access_keys, id=KEY)
    bob = records.one(identities, kind="user", name="bob")
    assert row is not None
    assert bob is not None
    records.delete(access_keys, id=KEY)
    records.insert(access_keys, **{**row, "user_id": bob["id"]})


def _user_again(records: Records) -> None:
    """Delete Ada, and create another user of that name with a key of that id."""
    key, ada = records.one(access_keys, id=KEY), records.one(identities, kind="user", name="ada")
    assert key is not None
    assert ada is not None
    records.delete(identities, id=ada["id"])
    records.insert(identities, **{**ada, "id": "AIDAANOTHERUSER000001"})
    records.insert(access_keys, **{**key, "user_id": "AIDAANOTHERUSER000001"})


ANY: dict[str, End] = {
    "signed out": lambda world, session: world.guard.people.sign_in.sign_out(session, CALL),
    "ended by the one who signed in": lambda world, session: world.guard.people.federated_sessions.end(
        session.id, session
    ),
    "row deleted": _changed(lambda records: records.delete(federated_sessions)),
}
ROLE: dict[str, End] = {
    **ANY,
    "ended by an administrator": lambda world, session: world.guard.people.account_sessions.end(UMBRELLA, session.id),
    "all ended": lambda world, _: world.guard.people.account_sessions.end_all(UMBRELLA),
    "role deleted": _changed(lambda records: records.delete(identities, kind="role", name="Support")),
    "role created again": _changed(_create_again),
    "role moved": _changed(lambda records: records.update(identities, {"path": "/x/"}, kind="role", name="Support")),
    "account deleted": _changed(lambda records: records.delete(accounts, id=UMBRELLA)),
}
USER: dict[str, End] = {
    **ANY,
    "key deactivated": _changed(lambda records: records.update(access_keys, {"status": "Inactive"}, id=KEY)),
    "key deleted": _changed(lambda records: records.delete(access_keys, id=KEY)),
    "key of another user": _changed(_key_of_another),
    "user deleted": _changed(lambda records: records.delete(identities, kind="user", name="ada")),
    "user created again": _changed(_user_again),
    "account deleted": _changed(lambda records: records.delete(accounts, id=ACME)),
}
ROOT: dict[str, End] = {
    "key deactivated": _changed(lambda records: records.update(access_keys, {"status": "Inactive"}, id=ROOT_KEY)),
    "key deleted": _changed(lambda records: records.delete(access_keys, id=ROOT_KEY)),
    "account deleted": _changed(lambda records: records.delete(accounts, id=ACME)),
}
SESSIONS: dict[str, tuple[Callable[[FederatedWorld], BrowserSession], dict[str, End]]] = {
    "role": (lambda world: world.in_role(), ROLE),
    "user": (lambda world: world.as_federated_user(), USER),
    "root": (lambda world: world.as_federated_user(ROOT_KEY), ROOT),
}


@table("kind, name", [(kind, name) for kind, (_, ends) in SESSIONS.items() for name in ends])
def test_session_ends_with_what_it_depends_on(tmp_path: Path, kind: str, name: str) -> None:
    """At once, though it is cached; in another process with the next poll, without clearing its cache."""
    (folder := tmp_path / f"{kind} {name}").mkdir()
    world = FederatedWorld(folder)
    other = world.on(guard_with_store(create_store(world.url, Settings()), Settings(epoch_poll=0.0)))
    enter, ends = SESSIONS[kind]
    session = enter(world)
    for guard in (world.guard, other):
        for _ in range(2):
            assert guard.people.browser_sessions.find_by_digest(session.digest) is not None
    ends[name](world, session)
    for guard in (world.guard, other):
        assert guard.people.browser_sessions.find_by_digest(session.digest) is None
        assert guard.people.federated_sessions.of(session) == []
    other.close()
    world.guard.close()


BEGINS: dict[str, tuple[Callable[[FederatedWorld], Session], dict[str, End]]] = {
    "role": (lambda world: world.opened(world.assumed()), ROLE),
    "user": (lambda world: world.opened(world.federated()), USER),
    "root": (lambda world: world.opened(world.federated(ROOT_KEY)), ROOT),
}
CHANGES = [
    (kind, name)
    for kind, (_, ends) in BEGINS.items()
    for name in ends
    if name.split()[0] in ("role", "account", "key", "user")
]


@table("kind, name", CHANGES)
def test_session_does_not_begin_without_what_it_depends_on(kind: str, name: str) -> None:
    """Credentials that were verified before get no session, and what counts once is not used by it."""
    world = FederatedWorld()
    make, ends = BEGINS[kind]
    session = make(world)
    ends[name](world, world.in_role())
    with world.guard.store.write_transaction() as records:
        records.delete(federated_sessions)
    with pytest.raises(AccessDenied):
        world.enter(session, used=("sign-in", "1"), used_until=int(START.timestamp()) + 60)
    with world.guard.store.read_transaction() as records:
        assert records.all(federated_sessions) == records.all(used_tokens) == []
    world.guard.close()


def test_key_that_is_activated_again_continues_it(tmp_path: Path) -> None:
    """As at AWS: its temporary credentials are valid again, too."""
    world = FederatedWorld(tmp_path)
    session = world.as_federated_user()
    for status, is_found in (("Inactive", False), ("Active", True)):
        with world.guard.store.write_transaction() as records:
            records.update(access_keys, {"status": status}, id=KEY)
        assert (world.find(session) is not None) is is_found
    world.guard.close()


def test_session_ends_when_it_is_idle_or_expires(tmp_path: Path) -> None:
    """Its uses are recorded, in its own table; one that is over is deleted."""
    world = FederatedWorld(tmp_path, role={"max_session_duration": 14_400})
    session = world.enter(world.opened(world.assumed(DurationSeconds=14_400)))
    idle = world.enter(world.opened(world.assumed(DurationSeconds=14_400)))
    for _ in range(7):
        world.now += HOUR / 2
        world.guard.uses.flush()
        assert world.find(session) is not None
    assert world.find(idle) is None
    world.guard.uses.flush()
    world.now += HOUR / 2 - MINUTE
    assert world.find(session) is not None
    world.now = START + 4 * HOUR
    assert world.find(session) is None
    with world.guard.store.read_transaction() as records:
        assert records.all(federated_sessions) == []
    world.guard.close()


def test_policies_are_current(tmp_path: Path) -> None:
    """Also the one that revokes the older sessions of a role (S-50): the session is as old as its credentials."""
    world = FederatedWorld(tmp_path)
    session = world.opened(world.assumed())
    world.now += 10 * MINUTE
    entered = world.enter(session)
    assert world.may(entered.principal, "docs:GetDocument")
    before = (START + MINUTE).isoformat()
    statement = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": before}},
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with world.guard.store.write_transaction() as records:
        name = "AWSRevokeOlderSessions"
        values = {"identity_id": world.role_id(), "name": name, "folded": fold(name), "text": text, "digest": ""}
        records.insert(inline_policies, **values)
    found = world.find(entered)
    assert found is not None
    assert not world.may(found.principal, "docs:GetDocument")
    world.guard.close()


def test_lookup_of_an_unknown_token_takes_one_query_more(tmp_path: Path) -> None:
    """And none once it is cached, whether or not it was found."""
    world = FederatedWorld(tmp_path)
    store = world.guard.store.behind
    assert isinstance(store, SqlStore)
    person, federated = world.sign_in(), world.in_role()
    executed: list[str] = []
    listener = lambda *arguments: executed.append(arguments[2])  # noqa: E731
    event.listen(store.engine, "before_cursor_execute", listener)
    for digest, queries in ((person.digest, 1), (federated.digest, 2), ("0" * 64, 2)):
        for expected in (queries, 0):
            executed.clear()
            world.guard.people.browser_sessions.find_by_digest(digest)
            assert len([text for text in executed if text.startswith("SELECT")]) == expected
    world.guard.close()

"""The browser session of a person who switched to a role: what it is, what it may not do, and when it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from iam_guard import Guard
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.person import owner_of, person_of
from iam_guard.authn.people.second_factors.passkey_challenges import RelyingParty
from iam_guard.authn.people.second_factors.passkey_steps import NewPasskey
from iam_guard.authn.people.sessions import role_switch
from iam_guard.authn.people.sessions.browser_sessions import MAX_LABEL, BrowserSession
from iam_guard.authn.people.sessions.role_switch import TypedRole
from iam_guard.errors import AccessDenied
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import fold
from iam_guard.store.opening import create_store
from iam_guard.store.schema import accounts, identities, inline_policies, login_profiles
from tests.authn.people.role_parts import (
    ACME,
    ADA,
    ASSUMES,
    AUDITOR,
    CALL,
    HOUR,
    MINUTE,
    START,
    SUPPORT,
    SUPPORT_ARN,
    UMBRELLA,
    Json,
    World,
    policy,
)
from tests.passwords import set_password
from tests.tables import table


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.guard.close()


# --- what the session is ----------------------------------------------------------------------------------------------


def test_session_is_that_of_assume_role(world: World) -> None:
    """The same principal with the same condition keys, but for the credential."""
    person = world.sign_in()
    found = world.find(world.switch(person))
    assert found is not None
    principal, assumed = found.principal, world.assume(person.principal, SUPPORT_ARN)
    assert principal == assumed
    assert principal.arn == f"arn:aws:sts::{UMBRELLA}:assumed-role/Support/ada"
    keys = (
        "principalarn",
        "principalaccount",
        "principaltype",
        "userid",
        "username",
        "tokenissuetime",
        "sourceidentity",
    )
    for key in (*keys, "multifactorauthpresent", "multifactorauthage"):
        assert principal.key(f"aws:{key}") == assumed.key(f"aws:{key}"), key
    assert found.person.arn == ADA
    assert owner_of(found) == world.person()


def test_role_decides_instead_of_the_person(world: World) -> None:
    """With the role's policies and tags, in the role's account; the path is part of its ARN only."""
    person = world.sign_in()
    support = world.switch(person).principal
    assert (world.may(support, "docs:GetDocument"), world.may(support, "docs:ListDocuments")) == (True, False)
    assert world.guard.decide(support, "docs:GetDocument").request.principal.key("aws:principaltag/team") == "blue"
    auditor = world.switch(world.sign_in(), AUDITOR).principal
    assert (auditor.arn, auditor.role_arn) == (
        f"arn:aws:sts::{ACME}:assumed-role/Auditor/ada",
        f"arn:aws:iam::{ACME}:role/team/Auditor",
    )
    assert (world.may(auditor, "docs:GetDocument"), world.may(auditor, "docs:ListDocuments")) == (False, True)


def test_limits_are_those_of_the_role() -> None:
    """The control policies of its account, and its boundary, whatever the person has."""
    no_get = {"name": "NoGet", "type": "SCP", "document": policy("Deny", "docs:GetDocument")}
    limited = [ACME, {"id": UMBRELLA, "scps": ["FullAWSAccess", "NoGet"]}]
    organization = {"id": "o-exampleorg", "management_account": ACME, "policies": [no_get], "accounts": limited}
    of_role: Json = {"inline": {"All": policy("Allow", "*")}}
    boundary = {"boundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    cases: list[tuple[Json, list[bool]]] = [
        ({"role": of_role}, [True, True]),
        ({"role": of_role, "top": {"organization": organization}}, [False, True]),
        ({"role": of_role | boundary}, [False, False]),
    ]
    for facts, expected in cases:
        world = World(**facts)
        principal = world.switch(world.sign_in()).principal
        assert [world.may(principal, action) for action in ("docs:GetDocument", "docs:PutDocument")] == expected
        world.guard.close()


def test_each_switch_makes_a_new_token(world: World) -> None:
    """And ends the one before, so there is one session for each sign-in."""
    sessions = [world.sign_in()]
    for step in (world.switch, lambda found: world.switch(found, AUDITOR), world.leave, world.switch, world.leave):
        sessions.append(step(sessions[-1]))
        assert [found is not None for found in map(world.find, sessions)] == [False] * (len(sessions) - 1) + [True]
    assert len({session.digest for session in sessions}) == len({session.id for session in sessions}) == 6
    assert sessions[-1].principal == sessions[0].principal


def test_role_leads_to_no_other_role_by_itself(world: World) -> None:
    """The person switches, whatever role its session has: roles are not chained, in both directions."""
    auditor = world.switch(world.sign_in(), AUDITOR)  # whose policies allow no sts:AssumeRole
    support = world.switch(auditor, SUPPORT)
    assert (support.person.arn, support.principal.role_arn) == (ADA, SUPPORT_ARN)
    with world.guard.store.write_transaction() as records:
        role = records.one(identities, account=UMBRELLA, kind="role", name="Support")
        assert role is not None
        user = records.one(identities, account=ACME, kind="user", name="ada")
        assert user is not None
        records.update(inline_policies, {"text": json.dumps(ASSUMES)}, identity_id=role["id"])
        records.delete(inline_policies, identity_id=user["id"])
    assert world.guard.people.role_switch.switch(support, SUPPORT, CALL) is None
    assert world.guard.people.role_switch.switch(support, AUDITOR, CALL) is not None  # which trusts the person


def test_person_is_as_before_after_switching_back(world: World) -> None:
    """Not younger, so policies that deny older sessions go on to; nor with a later second factor, or a later end."""
    before = world.sign_in(mfa_at=START - MINUTE, methods=["password", "totp"])
    world.now += 10 * MINUTE
    in_role = world.switch(before)
    assert in_role.principal.key("aws:tokenissuetime") == "2026-03-01T12:10:00Z"
    world.now += 10 * MINUTE
    after = world.leave(in_role)
    for name in ("created", "expires", "mfa_at", "methods", "address", "user_agent", "task", "role"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.principal.condition_keys.value("aws:tokenissuetime") == "2026-03-01T12:00:00Z"
    assert after.principal.key("aws:multifactorauthpresent") == "true"


def test_older_sessions_of_a_role_can_be_revoked(world: World) -> None:
    """With the policy that AWS's console attaches to a role (S-50)."""
    in_role = world.switch(world.sign_in())
    world.now += MINUTE
    revoked = {"DateLessThan": {"aws:TokenIssueTime": "2026-03-01T12:01:00Z"}}
    with world.guard.store.write_transaction() as records:
        role = records.one(identities, account=UMBRELLA, kind="role", name="Support")
        assert role is not None
        document = json.dumps(policy("Deny", "*", Condition=revoked))
        row = dict(records.all(inline_policies, identity_id=role["id"])[0])
        records.insert(
            inline_policies, **{**row, "name": "Revoke", "folded": "revoke", "text": document, "digest": "1"}
        )
    assert not world.may(in_role.principal, "docs:GetDocument")
    assert world.may(world.switch(in_role).principal, "docs:GetDocument")


def test_renamed_user_keeps_the_name_of_the_role_session(world: World) -> None:
    """As in the credentials of AssumeRole."""
    in_role = world.switch(world.sign_in())
    assert world.find(in_role) is not None
    with world.guard.store.write_transaction() as records:
        records.update(identities, {"name": "eva", "folded": fold("eva")}, id=world.person().user_id)
    found = world.find(in_role)
    assert found is not None
    assert (found.principal.name, found.person.name) == ("ada", "eva")


def test_label_is_only_shown(world: World) -> None:
    """Without what can't be stored, or changes how the text around it is shown."""
    label = "Prod\x00\n\N{RIGHT-TO-LEFT OVERRIDE}<b>\udcff" + "é" * 100
    in_role = world.switch(world.sign_in(), TypedRole("umbrella", "Support", label))
    assert in_role.role is not None
    assert in_role.role.label == ("Prod<b>" + "é" * 100)[:MAX_LABEL]


# --- what belongs to the person ---------------------------------------------------------------------------------------

PARTY = RelyingParty("localhost", "http://localhost")
OWN: dict[str, Callable[[Guard, BrowserSession], object]] = {
    "person_of": lambda _, session: person_of(session),
    "with_code": lambda guard, session: guard.people.sign_in.with_code(session, "123456", CALL),
    "with_recovery_code": lambda guard, session: guard.people.sign_in.with_recovery_code(session, "x", CALL),
    "change_password": lambda guard, session: guard.people.own_credentials.change_password(session, "old", "new", CALL),
    "may_all_change_passwords": lambda guard, session: guard.people.own_credentials.may_all_change_passwords(session),
    "devices": lambda guard, session: guard.people.own_credentials.devices(session),
    "passkeys": lambda guard, session: guard.people.passkeys.of(session),
    "options of a passkey": lambda guard, session: guard.people.passkeys.creation_options(session, PARTY, "passkey"),
    "new passkey": lambda guard, session: guard.people.passkeys.add(
        session, PARTY, NewPasskey("passkey", "x", "{}"), CALL
    ),
    "removed passkey": lambda guard, session: guard.people.own_credentials.remove_factor(session, "x", CALL),
    "new_device": lambda guard, session: guard.people.own_credentials.new_device(session),
    "enable_device": lambda guard, session: guard.people.own_credentials.enable_device(session, "x", ("1", "2"), CALL),
}


@table("name", OWN)
def test_role_can_not_act_for_the_person(world: World, name: str) -> None:
    """Its password, its second factors, and the renewal of its sign-in."""
    in_role = world.switch(world.sign_in())
    with pytest.raises(AccessDenied):
        OWN[name](world.guard, in_role)


def test_every_use_of_a_session_for_its_person_is_tested() -> None:
    """The functions are found in the source."""
    source = Path(role_switch.__file__).parents[1]
    uses = sum(path.read_text("utf-8").count("person_of(session)") for path in source.rglob("*.py"))
    owners = {path.name for path in source.rglob("*.py") if "owner_of(session)" in path.read_text("utf-8")}
    assert uses == 11  # those in the table, and `go_on` after a second factor; more need rows
    assert owners == {"browser_sessions.py", "person.py", "tool_sessions.py"}


# --- when it ends -----------------------------------------------------------------------------------------------------

DURATIONS = [  # the role's maximum; how long the person has been signed in; how long the session of the role lasts
    (7200, timedelta(), 2 * HOUR),
    (3600, timedelta(), HOUR),
    (43200, timedelta(), 12 * HOUR),
    (7200, 11 * HOUR, HOUR),
    (7200, 12 * HOUR - MINUTE, MINUTE),
]


@table("maximum, passed, expected", DURATIONS)
def test_time_in_a_role_is_limited(maximum: int, passed: timedelta, expected: timedelta) -> None:
    """By the role, and by the rest of the person's session: switching never lengthens that."""
    world = World(role={"max_session_duration": maximum}, idle=24 * HOUR)
    session = world.sign_in()
    world.now += passed
    in_role = world.switch(session)
    assert in_role.role is not None
    assert in_role.role.until - world.now == expected
    assert in_role.expires == session.expires
    assert in_role.principal.credential is not None
    assert in_role.principal.credential.issued is not None
    assert in_role.principal.credential.issued.expires == in_role.role.until
    world.guard.close()


def test_role_whose_time_is_over_authorizes_nothing(world: World) -> None:
    """The person may switch again, or back, until its own session ends."""
    in_role = world.switch(world.sign_in())
    for _ in range(2):
        world.now += HOUR - MINUTE
        found = world.find(in_role)
        assert found is not None
        assert found.task is None
        world.guard.uses.flush()
    world.now += 2 * MINUTE
    found = world.find(in_role)
    assert found is not None
    assert found.task == "role"
    cached = world.guard.people.browser_sessions.find_by_digest(in_role.digest, cache_only=True)
    assert cached is not None
    assert cached.task == "role"
    assert [session.task for session in world.guard.people.browser_sessions.of(world.person())] == ["role"]
    again = world.switch(found)
    assert (again.task, again.role and again.role.since) == (None, world.now)
    assert world.leave(again).task is None


def _sign_out(world: World, in_role: BrowserSession) -> None:
    world.guard.people.sign_in.sign_out(in_role, CALL)


def _end(world: World, in_role: BrowserSession) -> None:
    assert world.guard.people.browser_sessions.end(in_role.id, world.person())


def _end_all(world: World, in_role: BrowserSession) -> None:
    assert world.guard.people.browser_sessions.end_all(world.person()) == 1


def _changed(change: Callable[[Records, World], object]) -> Callable[[World, BrowserSession], None]:
    def end(world: World, in_role: BrowserSession) -> None:
        with world.guard.store.write_transaction() as records:
            change(records, world)

    return end


def _new_password(records: Records, world: World) -> None:
    person, hasher = world.person(), PasswordHasher(8, 1)
    records.update(login_profiles, {"digest": hasher.digest("correct horse battery")}, owner=person.owner)
    assert set_password(records, hasher, person, "another staple entirely", 0) is None


ENDS: dict[str, Callable[[World, BrowserSession], None]] = {
    "signed out": _sign_out,
    "ended by the person": _end,
    "all ended": _end_all,
    "password changed": _changed(_new_password),
    "password deleted": _changed(lambda records, world: delete_password(records, world.person())),
    "user deleted": _changed(lambda records, world: records.delete(identities, id=world.person().user_id)),
    "account of the person deleted": _changed(lambda records, world: records.delete(accounts, id=ACME)),
    "role deleted": _changed(lambda records, world: records.delete(identities, kind="role", name="Support")),
    "account of the role deleted": _changed(lambda records, world: records.delete(accounts, id=UMBRELLA)),
}


@table("name", ENDS)
def test_session_ends_with_its_person_and_its_role(tmp_path: Path, name: str) -> None:
    """At once, though it is cached; in another process with the next poll, without clearing its cache."""
    (folder := tmp_path / name).mkdir()
    world = World(folder)
    other = world.on(guard_with_store(create_store(world.url, Settings()), Settings(epoch_poll=0.0)))
    in_role = world.switch(world.sign_in())
    kept = world.sign_in("bob")
    for guard in (world.guard, other):
        assert guard.people.browser_sessions.find_by_digest(in_role.digest) == in_role
        assert guard.people.browser_sessions.find_by_digest(kept.digest) == kept
    ENDS[name](world, in_role)
    for guard in (world.guard, other):
        assert guard.people.browser_sessions.find_by_digest(in_role.digest) is None
    assert (other.people.browser_sessions.find_by_digest(kept.digest) is None) == (
        name == "account of the person deleted"
    )
    assert world.guard.people.role_switch.leave(in_role, CALL) is None  # nothing leads from it to another session
    assert world.guard.people.role_switch.switch(in_role, AUDITOR, CALL) is None
    other.close()
    world.guard.close()


def test_idle_session_in_a_role_ends(world: World) -> None:
    in_role = world.switch(world.sign_in())
    world.now += HOUR
    assert world.guard.people.role_switch.leave(in_role, CALL) is None
    assert world.guard.people.role_switch.switch(in_role, SUPPORT, CALL) is None
    assert world.find(in_role) is None


def test_session_in_a_role_ends_with_that_of_the_person() -> None:
    """Whatever the role allows."""
    world = World(idle=24 * HOUR)
    session = world.sign_in()
    world.now = session.expires - MINUTE
    in_role = world.switch(session)
    assert world.find(in_role) is not None
    world.now = session.expires
    assert world.guard.people.role_switch.leave(in_role, CALL) is None
    assert world.find(in_role) is None
    world.guard.close()


def test_changed_role_and_person_are_loaded_again(tmp_path: Path) -> None:
    """A cached session depends on both: here the role's path, then the user's name, changed in another process."""
    world = World(tmp_path)
    other = world.on(guard_with_store(create_store(world.url, Settings()), Settings(epoch_poll=0.0)))
    in_role = world.switch(world.sign_in())
    assert other.people.browser_sessions.find_by_digest(in_role.digest) == in_role
    with world.guard.store.write_transaction() as records:
        records.update(identities, {"path": "/moved/"}, kind="role", name="Support")
    found = other.people.browser_sessions.find_by_digest(in_role.digest)
    assert found is not None
    assert found.principal.role_arn == f"arn:aws:iam::{UMBRELLA}:role/moved/Support"
    with world.guard.store.write_transaction() as records:
        records.update(identities, {"name": "eva", "folded": "eva"}, id=world.person().user_id)
    found = other.people.browser_sessions.find_by_digest(in_role.digest)
    assert found is not None
    assert found.person.name == "eva"
    other.close()
    world.guard.close()


def test_policies_of_the_role_are_current(world: World) -> None:
    in_role = world.switch(world.sign_in())
    assert world.may(in_role.principal, "docs:GetDocument")
    with world.guard.store.write_transaction() as records:
        role = records.one(identities, kind="role", name="Support")
        assert role is not None
        records.delete(inline_policies, identity_id=role["id"])
    assert not world.may(in_role.principal, "docs:GetDocument")

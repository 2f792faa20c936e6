"""What people of an account that is not active get: no session, no step of a sign-in, and no reason before a password.

The state is changed by one guard; another one on the same database has everything cached.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from iam_guard import Guard
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.tool_sessions import SAME_DEVICE, ToolRequest
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.errors import AccessDenied, AccountNotActive
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import browser_sessions, federated_sessions, login_profiles, tool_sessions
from tests.authn.people.federated_parts import FederatedWorld, users
from tests.authn.people.role_parts import ACME, CALL, SUPPORT, UMBRELLA, policy
from tests.authn.people.test_admission import PASSWORD, PATHS, accept_codes
from tests.authn.people.test_admission import World as PersonWorld
from tests.authn.people.test_admission import world as person_world  # noqa: F401  a fixture
from tests.passwords import set_password

ALLOWED = users(inline={"All": policy("Allow", "*")})


class TwoGuards(FederatedWorld):
    """A world with another guard on its database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, user=ALLOWED, settings={"password_memory": 8, "password_passes": 1})
        self.other = self.on(guard_with_store(create_store(self.url, Settings()), Settings(epoch_poll=3600.0)))

    def sees(self, session: BrowserSession) -> list[bool]:
        """Return whether each guard finds a session, waiting or not."""
        self.other.refresh()
        found = [guard.people.browser_sessions.find_by_digest(session.digest) for guard in (self.guard, self.other)]
        return [one is not None for one in found]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TwoGuards]:
    made = TwoGuards(tmp_path)
    yield made
    made.guard.close()
    made.other.close()


SESSIONS: dict[str, tuple[Callable[[TwoGuards], BrowserSession], set[str]]] = {
    "of a user": (lambda world: world.sign_in(), {ACME}),
    "of the root user": (lambda world: world.sign_in("root"), {ACME}),
    "in a role of another account": (lambda world: world.switch(world.sign_in()), {ACME, UMBRELLA}),
    "of a federated role": (lambda world: world.in_role(), {UMBRELLA}),
    "of a federated user": (lambda world: world.as_federated_user(), {ACME}),
}
"""Session -> the accounts that it depends on."""


@pytest.mark.parametrize("kind", SESSIONS)
def test_session_is_not_found_while_an_account_of_it_is_not_active(world: TwoGuards, kind: str) -> None:
    """That of its person, and that of its role; it goes on afterwards, unless it has expired."""
    make, depends = SESSIONS[kind]
    session = make(world)
    assert world.sees(session) == world.sees(session) == [True, True]
    accounts = world.guard.accounts
    for account in (ACME, UMBRELLA):
        for change in (accounts.suspend, accounts.close):
            change(account)
            assert world.sees(session) == [account not in depends] * 2, (account, change.__name__)
        accounts.resume(account)
        assert world.sees(session) == [True, True]


def test_no_session_begins_in_a_role_of_a_suspended_account(world: TwoGuards) -> None:
    """By a switch, by a sign-in with credentials of it, and by a sign-in token that was made before."""
    credentials, session = world.assumed(), world.sign_in()
    names = {"sessionId": "AccessKeyId", "sessionKey": "SecretAccessKey", "sessionToken": "SessionToken"}
    text = json.dumps({name: credentials[member] for name, member in names.items()})
    federation = world.guard.people.credential_sign_in
    token = federation.sign_in_token(text, None, CALL)
    world.guard.accounts.suspend(UMBRELLA)
    assert world.guard.people.role_switch.switch(session, SUPPORT, CALL) is None
    with pytest.raises(AccountNotActive, match="suspended"):
        federation.sign_in_token(text, None, CALL)
    assert federation.sign_in(token, CALL) is None
    with pytest.raises(AccessDenied):
        world.assumed()
    with world.guard.store.read_transaction() as records:
        assert records.count(federated_sessions) == 0


def test_tools_of_a_suspended_account_get_no_access(world: TwoGuards) -> None:
    """No tool is approved, by a person of the account or in a role of it."""
    asked = ToolRequest(SAME_DEVICE, "http://127.0.0.1:1/oauth/callback", "challenge", "state")
    sessions = {ACME: world.sign_in(), UMBRELLA: world.switch(world.sign_in())}
    tools = world.guard.people.tool_sessions
    assert tools.approve(sessions[ACME], asked, CALL)
    for account, session in sessions.items():
        world.guard.accounts.suspend(account)
        with pytest.raises(AccessDenied):
            tools.approve(session, asked, CALL)
        world.guard.accounts.resume(account)
    with world.guard.store.read_transaction() as records:
        assert records.count(tool_sessions) == 1


# --- steps of a sign-in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["suspend", "close"])
@pytest.mark.parametrize("path", PATHS)
def test_no_step_gives_a_session(
    person_world: PersonWorld,  # noqa: F811
    path: str,
    change: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even with a session that a request found just before, or with codes that are right."""
    accept_codes(person_world, monkeypatch)
    with person_world.guard.store.read_transaction() as records:
        before = {row["id"] for row in records.all(browser_sessions)}
    getattr(person_world.guard.accounts, change)(person_world.person.account)
    with suppress(AccessDenied, AccountNotActive):
        assert not hasattr(PATHS[path](person_world), "session")
    with person_world.guard.store.read_transaction() as records:
        assert {row["id"] for row in records.all(browser_sessions)} <= before
    link = person_world.people.own_credentials.reset_password(person_world.reset, "another staple entirely", CALL)
    assert link == "reset_over"


def _answers(guard: Guard) -> list[str]:
    """Return what sign-ins answer: of a person and of an unknown name, with a wrong and a right password."""
    answers = []
    for name in ("bob", "unknown"):
        for password in ("wrong password here", PASSWORD):
            try:
                signed_in = guard.people.sign_in.with_password(TypedName(account=ACME, username=name), password, CALL)
                answers.append("refused" if signed_in is None else "signed in")
            except AccountNotActive as error:
                answers.append(error.message)
    return answers


def test_reason_is_shown_after_the_right_password_only(world: TwoGuards) -> None:
    """An unknown name and a wrong password get the same answer as ever."""
    bob = world.person("bob")
    with world.guard.store.write_transaction() as records:
        records.delete(login_profiles, owner=bob.owner)
        assert set_password(records, PasswordHasher(8, 1), bob, PASSWORD, 0) is None
    assert _answers(world.guard) == ["refused", "signed in", "refused", "refused"]
    world.guard.accounts.suspend(ACME)
    shown = "the account of this credential is suspended"
    assert _answers(world.guard) == ["refused", shown, "refused", "refused"]
    assert world.guard.people.own_credentials.request_reset("root@acme.example", CALL) is None
    world.guard.accounts.resume(ACME)
    assert _answers(world.guard) == ["refused", "signed in", "refused", "refused"]


def test_person_with_a_second_factor_gets_no_reason(person_world: PersonWorld) -> None:  # noqa: F811
    """It would show that the password is right, before the second factor is."""
    person_world.guard.accounts.suspend(person_world.person.account)
    assert PATHS["with_password"](person_world) is None


def test_passkey_that_was_verified_gets_the_reason(person_world: PersonWorld) -> None:  # noqa: F811
    """It is a second factor, too; another key's answer is refused without one."""
    person_world.guard.accounts.suspend(person_world.person.account)
    with pytest.raises(AccountNotActive, match="suspended"):
        PATHS["sign_in"](person_world)
    person_world.alone = person_world.second
    assert PATHS["sign_in"](person_world) is None

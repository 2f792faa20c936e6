"""Every function that gives a session or token refuses a principal who may not have one any more.

The functions are found in the source: a new one without a row here fails. Those of sessions without a stored person are
tried in `test_federated_ends`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from iam_guard import Guard
from iam_guard.authn.people import own_credentials, sign_in
from iam_guard.authn.people.own_credentials import EnabledDevice
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.person import Person, PersonRef, find_person
from iam_guard.authn.people.second_factors.factors import FactorUse
from iam_guard.authn.people.second_factors.passkey_challenges import RelyingParty
from iam_guard.authn.people.second_factors.passkey_steps import NewPasskey
from iam_guard.authn.people.second_factors.passkeys import passkey_evidence
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.role_switch import TypedRole
from iam_guard.authn.people.sessions.session_steps import SessionSteps
from iam_guard.authn.people.sign_in import SignIn, TypedName
from iam_guard.authn.people.verified_steps import VerifiedStep
from iam_guard.errors import DecisionUnavailable, IamGuardError
from iam_guard.factory import guard_with_store
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.opening import create_store
from iam_guard.store.schema import accounts, browser_sessions, identities, passkeys, password_policies, sign_in_failures
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.authn.people.authenticator import Key
from tests.passwords import set_password

ROOT = Path(sign_in.__file__).parents[2]
ACCOUNT, PASSWORD, NEW_PASSWORD = "111122223333", "correct horse battery", "another staple entirely"
SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    name: acme
    users: [{{name: ada}}]
    roles:
      - name: Auditor
        trust:
          Version: "2012-10-17"
          Statement: {{Effect: Allow, Principal: {{AWS: "arn:aws:iam::{ACCOUNT}:user/ada"}}, Action: "sts:AssumeRole"}}
"""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALL = Call("1")
AUDITOR = TypedRole(ACCOUNT, "Auditor")
PARTY = RelyingParty("localhost", "http://localhost")


class World:
    """A person with everything that one can sign in with, and a session that was found before."""

    def __init__(self, guard: Guard) -> None:
        self.guard, self.people = guard, guard.people
        hasher = PasswordHasher(8, 1)
        with guard.store.write_transaction() as records:
            person = find_person(records, "aws", account=ACCOUNT, name="ada")
            assert person is not None
            self.person: Person = person
            assert set_password(records, hasher, person, PASSWORD, 0) is None
        self.session: BrowserSession = self.sign_in()
        in_role = guard.people.role_switch.switch(self.sign_in(), AUDITOR, CALL)
        assert in_role is not None
        self.in_role: BrowserSession = in_role.session
        self.reset = guard.people.own_credentials.make_reset(PersonRef(ACCOUNT, "ada"), "an administrator")
        self.device = guard.people.own_credentials.new_device(self.session)
        strong = replace(self.session, mfa_at=NOON)
        key = Key()
        answer = key.create(guard.people.passkeys.creation_options(strong, PARTY, "passkey"))
        added = guard.people.passkeys.add(strong, PARTY, NewPasskey("passkey", "laptop", answer), CALL)
        assert isinstance(added, EnabledDevice)
        self.session, self.recovery = added.signed_in.session, added.recovery_codes
        self.alone = key.get(guard.people.passkeys.sign_in_options(PARTY, "form"))
        self.second = key.get(guard.people.passkeys.factor_options(self.session, PARTY))
        with guard.store.read_transaction() as records:
            [row] = records.all(passkeys)
        self.evidence = passkey_evidence(row)
        self.another = Key().create(guard.people.passkeys.creation_options(self.session, PARTY, "passkey"))

    def sign_in(self) -> BrowserSession:
        signed_in = self.guard.people.sign_in.with_password(TypedName(None, ACCOUNT, "ada"), PASSWORD, CALL)
        assert signed_in is not None
        return signed_in.session


PATHS: dict[str, Callable[[World], Any]] = {
    "with_password": lambda w: w.people.sign_in.with_password(
        TypedName(account=ACCOUNT, username="ada"), PASSWORD, CALL
    ),
    "with_code": lambda w: w.people.sign_in.with_code(w.session, "123456", CALL),
    "with_recovery_code": lambda w: w.people.sign_in.with_recovery_code(w.session, w.recovery[0], CALL),
    "change_password": lambda w: w.people.own_credentials.change_password(w.session, PASSWORD, NEW_PASSWORD, CALL),
    "enable_device": lambda w: w.people.own_credentials.enable_device(w.session, w.device.serial, ("1", "2"), CALL),
    "switch": lambda w: w.people.role_switch.switch(w.session, AUDITOR, CALL),
    "leave": lambda w: w.people.role_switch.leave(w.in_role, CALL),
    "with_factor": lambda w: w.people.sign_in.with_factor(
        w.session, CALL, "code", "totp", lambda *_: FactorUse(w.evidence, {"MFAIdentifier": "device"})
    ),
    "sign_in": lambda w: w.people.passkeys.sign_in(PARTY, "form", w.alone, CALL),
    "with_passkey": lambda w: w.people.passkeys.with_passkey(w.session, PARTY, w.second, CALL),
    "add": lambda w: w.people.passkeys.add(w.session, PARTY, NewPasskey("passkey", "phone", w.another), CALL),
    "issue": lambda w: w.people.browser_sessions.issue(
        VerifiedStep(w.person, w.evidence), methods=("passkey",), mfa_at=NOON, address="", user_agent=""
    ),
}


def delete_user(records: Records, person: Person) -> None:
    records.delete(identities, id=person.user_id)


def delete_account(records: Records, person: Person) -> None:
    records.delete(accounts, id=person.account)


def accept_codes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every code be right: it was checked before what each test changes."""
    monkeypatch.setattr(own_credentials, "enable_device", lambda *_: world.evidence)
    monkeypatch.setattr(SignIn, "_use_code", lambda *_: {"serial": "device"})
    monkeypatch.setattr(sign_in, "device_evidence", lambda _: world.evidence)


@pytest.fixture
def world() -> Iterator[World]:
    store = create_store("sqlite://", Settings())
    apply_seed(store, load_seed_text(SEED))
    guard = guard_with_store(store, Settings(password_memory=8, password_passes=1))
    yield World(guard)
    guard.close()


@pytest.mark.parametrize("end", [delete_password, delete_user, delete_account])
@pytest.mark.parametrize("path", PATHS)
def test_person_who_may_not_sign_in_gets_no_session(
    world: World, path: str, end: Callable[[Records, Person], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even with a session that a request found just before, or with codes that are right."""
    accept_codes(world, monkeypatch)
    with world.guard.store.write_transaction() as records:
        end(records, world.person)
    with suppress(IamGuardError):  # refused, or without result
        assert not hasattr(PATHS[path](world), "session")
    with world.guard.store.read_transaction() as records:
        assert records.all(browser_sessions) == []
    for session in (world.session, world.in_role):
        assert world.people.browser_sessions.find_by_digest(session.digest) is None


def lock_by_age(records: Records, person: Person) -> None:
    """Let the password expire so that only an administrator can set another one (R-25)."""
    records.insert(password_policies, account=person.account, policy={"MaxPasswordAge": 1, "HardExpiry": True})


def lock_by_guesses(records: Records, person: Person) -> None:
    """Fail each secret of the person so often that it stays refused."""
    for secret in get_args(attempts.Secret):
        subject = attempts.guess_subject(person, "", secret)
        records.delete(sign_in_failures, subject=subject)
        records.insert(sign_in_failures, subject=subject, failures=attempts.MAX_FAILURES, last=0)


LOCKED = [(lock_by_age, path) for path in PATHS]
LOCKED += [(lock_by_guesses, path) for path in ("with_password", "with_code", "with_recovery_code")]


@pytest.mark.parametrize(("lock", "path"), LOCKED)
def test_person_who_is_locked_out_gets_no_session(
    world: World, lock: Callable[[Records, Person], None], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sessions go on, but no other one begins."""
    accept_codes(world, monkeypatch)
    with world.guard.store.write_transaction() as records:
        lock(records, world.person)
    with suppress(IamGuardError):
        assert not hasattr(PATHS[path](world), "session")
    with world.guard.store.read_transaction() as records:
        assert {row["id"] for row in records.all(browser_sessions)} <= {world.session.id, world.in_role.id}


ENDED = ["with_code", "with_recovery_code", "change_password", "enable_device", "switch", "leave"]


@pytest.mark.parametrize("path", ENDED)
def test_session_that_was_ended_meanwhile_is_followed_by_none(
    world: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process has found it before it read that."""
    accept_codes(world, monkeypatch)
    with world.guard.store.write_transaction() as records:
        records.delete(browser_sessions, id=[world.session.id, world.in_role.id])
    assert not hasattr(PATHS[path](world), "session")
    with world.guard.store.read_transaction() as records:
        assert records.all(browser_sessions) == []
    assert world.people.sign_in.with_password(TypedName(None, ACCOUNT, "ada"), PASSWORD, CALL) is not None


def test_session_that_cannot_be_recorded_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token was not returned yet."""

    def record(_: SessionSteps, event: SignInEvent, call: Call) -> None:
        if event.name == "ConsoleLogin":
            raise DecisionUnavailable("the trail is full")

    monkeypatch.setattr(SessionSteps, "record", record)
    with pytest.raises(DecisionUnavailable):
        PATHS["sign_in"](world)
    with world.guard.store.read_transaction() as records:
        assert {row["id"] for row in records.all(browser_sessions)} == {world.session.id, world.in_role.id}


def test_session_with_a_task_enables_no_device(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a password alone would replace the second factor that is asked for."""
    accept_codes(world, monkeypatch)
    for task in ("factor", "password"):
        session = replace(world.session, task=task)
        assert world.people.own_credentials.enable_device(session, world.device.serial, ("1", "2"), CALL) == "refused"


def test_password_that_changes_during_the_comparison_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was right when it was read, and is the former one when it was compared."""
    matches = PasswordHasher.matches

    def matching(hasher: PasswordHasher, password: str, digest: str | None) -> bool:
        with world.guard.store.write_transaction() as records:
            assert set_password(records, PasswordHasher(8, 1), world.person, NEW_PASSWORD, 1) is None
        return matches(hasher, password, digest)

    monkeypatch.setattr(PasswordHasher, "matches", matching)
    assert PATHS["with_password"](world) is None


@pytest.mark.parametrize("end", [delete_password, delete_user, delete_account])
def test_reset_link_of_such_a_person_changes_nothing(world: World, end: Callable[[Records, Person], None]) -> None:
    """It ends with the password that it would have replaced."""
    with world.guard.store.write_transaction() as records:
        end(records, world.person)
    assert world.people.own_credentials.reset_password(world.reset, NEW_PASSWORD, CALL) == "reset_over"


PEOPLE = "authn/people/"
DECIDE = {
    (f"{PEOPLE}sessions/browser_sessions.py", "issue"): "issue",
    (f"{PEOPLE}sessions/browser_sessions.py", "switch"): "switch",
    (f"{PEOPLE}sessions/federated_sessions.py", "_row"): "sign_in",
    (f"{PEOPLE}sessions/federated_sessions.py", "sign_in"): "sign_in",
    (f"{PEOPLE}credential_sign_in.py", "_sealed"): "sign_in_token",
    (f"{PEOPLE}sessions/tool_sessions.py", "_row"): "approve",
    (f"{PEOPLE}sessions/tool_sessions.py", "approve"): "approve",
    ("api/signin/tokens.py", "_credentials"): "create_token",
}
"""What inserts a session or seals a token of one -> the function of the same file that calls it, and asks first."""
SEALED_BY_STS = {("api/sts/credentials.py", "issue")}
"""Operations that are authorized by policies, for the credentials of their caller."""
TABLES = {"browser_sessions", "federated_sessions", "tool_sessions"}
SEALERS = {"seal_session", "write_session", "session_row"}


def test_every_function_that_issues_a_session_asks_the_one_place() -> None:
    """The row of a session is inserted, and a session token sealed, by functions of this table only."""
    nodes, calls = functions_of_the_package()
    issuing = {key for key, found in nodes.items() if any(issues_session(node) for node in found)}
    assert issuing == DECIDE.keys() | SEALED_BY_STS
    for (file, name), decider in DECIDE.items():
        reached = reached_from((file, decider), calls)
        assert (file, name) in reached
        assert (f"{PEOPLE}sessions/session_admission.py", "may_have_session") in reached, (file, decider)


STANDS_ON = {
    ("sessions/browser_sessions.py", "issue"): ("verified_steps.py", "holds"),
    ("sessions/federated_sessions.py", "sign_in"): ("verified_steps.py", "find_unchanged"),
    ("sessions/tool_sessions.py", "approve"): ("sessions/tool_grants.py", "keeps_credentials"),
    ("passwords/password_resets.py", "make_reset"): ("passwords/stored_passwords.py", "find_profile"),
}
"""What makes a session, code or link of people -> how it finds again what that stands on."""
RESTS_ON_A_SESSION = (
    (f"{PEOPLE}own_credentials.py", "enable_device"),
    (f"{PEOPLE}second_factors/passkey_steps.py", "add"),
)


def test_every_session_code_and_link_rests_on_what_is_found_again() -> None:
    """In the transaction that makes it; recovery codes come with a second factor, which a session adds."""
    _, calls = functions_of_the_package()
    for (file, name), (checking, check) in STANDS_ON.items():
        assert (PEOPLE + checking, check) in reached_from((PEOPLE + file, name), calls), name
    makers = {key for key, names in calls.items() if "codes_of_first_factor" in names}
    assert makers == set(RESTS_ON_A_SESSION)
    for maker in makers:
        assert (f"{PEOPLE}sessions/session_steps.py", "was_ended") in reached_from(maker, calls), maker


def functions_of_the_package() -> tuple[dict[tuple[str, str], list[ast.AST]], dict[tuple[str, str], set[str]]]:
    """Return the nodes of each function by file and name, and what it calls."""
    nodes: dict[tuple[str, str], list[ast.AST]] = {}
    for path in ROOT.rglob("*.py"):
        file = path.relative_to(ROOT).as_posix()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and not file.startswith("store/"):
                nodes.setdefault((file, function.name), []).extend(ast.walk(function))
    return nodes, {key: {called(node) for node in found if isinstance(node, ast.Call)} for key, found in nodes.items()}


def reached_from(start: tuple[str, str], calls: dict[tuple[str, str], set[str]]) -> set[tuple[str, str]]:
    """Return the functions that one calls, directly or not: those of its file, else the only one with the name."""
    reached, left = {start}, [start]
    by_name: dict[str, list[tuple[str, str]]] = {}
    for key in calls:
        by_name.setdefault(key[1], []).append(key)
    while left:
        file, name = left.pop()
        for callee in calls[file, name]:
            own = [(file, callee)] if (file, callee) in calls else by_name.get(callee, [])
            if len(own) == 1 and own[0] not in reached:
                reached.add(own[0])
                left.append(own[0])
    return reached


VERIFIERS = {
    (f"{PEOPLE}sign_in.py", "with_password"),
    (f"{PEOPLE}own_credentials.py", "change_password"),
    (f"{PEOPLE}second_factors/passkey_steps.py", "sign_in"),
    (f"{PEOPLE}sessions/session_steps.py", "go_on"),
}
"""What says that something was verified: right after the comparison, or with the evidence of a second factor."""


def test_every_verified_step_is_made_by_a_function_that_verifies() -> None:
    made = set()
    for path in ROOT.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            if isinstance(function, ast.FunctionDef) and any(called(call) == "VerifiedStep" for call in calls):
                made.add((path.relative_to(ROOT).as_posix(), function.name))
    assert made == VERIFIERS


def test_every_function_that_gives_a_person_a_session_is_tested() -> None:
    """What calls one of those that insert its rows is in the table of paths, directly or by a helper."""
    calls: dict[str, set[str]] = {}
    for path in Path(sign_in.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                found = {called(call) for call in ast.walk(function) if isinstance(call, ast.Call)}
                calls.setdefault(function.name, set()).update(found)
    issuing = {name for file, name in DECIDE if file.endswith("/browser_sessions.py")}
    while more := {name for name, names in calls.items() if name not in issuing and names & issuing}:
        issuing |= more
    assert {name for name in issuing if not name.startswith("_")} - {"go_on"} == PATHS.keys()
    for method, caller in (("issue", "session_steps.py"), ("switch", "role_switch.py")):
        callers = [
            path.name for path in ROOT.rglob("*.py") if f"sessions.{method}(" in path.read_text(encoding="utf-8")
        ]
        assert callers == [caller]


def issues_session(node: ast.AST) -> bool:
    """Return whether a node inserts a session, or makes a token of one."""
    if not isinstance(node, ast.Call):
        return False
    is_insert = called(node) == "insert" and any(ast.unparse(argument) in TABLES for argument in node.args)
    return is_insert or called(node) in SEALERS


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)

"""Advisory: a session of the old password survived its change.

A password was compared in one transaction, and the session inserted in another, which only checked that the person had
a password at all. So a caller who signed in in a loop with a stolen password often had a session just after its owner
had changed it, by whichever way. Codes, recovery codes, passkeys and password changes had the same gap: the device or
the session could end in between. Each step now returns what it has verified, and the transaction that issues the
session finds it again, unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import delete_password, renew_digest
from iam_guard.authn.people.person import find_person
from iam_guard.authn.people.second_factors import recovery_codes
from iam_guard.authn.people.sessions.browser_sessions import BrowserSessions
from iam_guard.authn.people.sessions.session_steps import SessionSteps
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.factory import guard_with_store
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.opening import create_store
from iam_guard.store.schema import browser_sessions, mfa_devices, passkeys
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.authn.people.test_admission import ACCOUNT, CALL, PASSWORD, PATHS, SEED, World, accept_codes
from tests.authn.people.test_admission import world as world  # a fixture
from tests.passwords import set_password

OTHER = "a password of the owner"


def change_password(world: World, records: Records) -> None:
    assert set_password(records, PasswordHasher(8, 1), world.person, OTHER, 1) is None


def create_password_again(world: World, records: Records) -> None:
    """Create the login profile again, even with the same password: a session must not have begun before."""
    delete_password(records, world.person)
    assert set_password(records, PasswordHasher(8, 1), world.person, PASSWORD, 1) is None


def end_sessions(world: World, records: Records) -> None:
    records.delete(browser_sessions, **world.person.where)


def remove_factors(world: World, records: Records) -> None:
    records.delete(passkeys, **world.person.where)
    records.delete(mfa_devices, account=world.person.account)


def give_factors_away(world: World, records: Records) -> None:
    records.update(passkeys, {"user_id": None}, **world.person.where)


def replace_codes(world: World, records: Records) -> None:
    recovery_codes.replace_codes(records, world.person, 1)


FACTORS = ("with_code", "with_passkey", "sign_in", "add", "enable_device", "with_factor")
CONTINUED = ("with_code", "with_recovery_code", "with_passkey", "add", "enable_device", "with_factor")
CHANGES: dict[Callable[[World, Records], None], tuple[str, ...]] = {
    change_password: ("with_password", "change_password", *CONTINUED),
    create_password_again: ("with_password", "change_password"),
    end_sessions: CONTINUED,
    remove_factors: FACTORS,
    give_factors_away: ("with_code", "sign_in"),
    replace_codes: ("with_recovery_code",),
}
"""What happens between a verification and its session, and the paths that get none then."""


def after_verification(
    world: World, change: Callable[[World, Records], None], monkeypatch: pytest.MonkeyPatch
) -> set[str]:
    """Change something between each verification and its session; return the ids of the sessions that stay then."""
    issue, kept = BrowserSessions.issue, set[str]()

    def late(*arguments: Any, **more: Any) -> Any:
        with world.guard.store.write_transaction() as records:
            change(world, records)
            kept.update(row["id"] for row in records.all(browser_sessions))
        return issue(*arguments, **more)

    monkeypatch.setattr(BrowserSessions, "issue", late)
    return kept


@pytest.mark.parametrize(("change", "path"), [(change, path) for change, paths in CHANGES.items() for path in paths])
def test_change_after_the_verification_leaves_no_session(
    world: World, change: Callable[[World, Records], None], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a record of a success."""
    accept_codes(world, monkeypatch)
    kept = after_verification(world, change, monkeypatch)
    events: list[SignInEvent] = []
    monkeypatch.setattr(SessionSteps, "record", lambda _, event, call: events.append(event))
    assert PATHS[path](world) in (None, "refused")
    with world.guard.store.read_transaction() as records:
        assert {row["id"] for row in records.all(browser_sessions)} <= kept
    logins = [event for event in events if event.name == "ConsoleLogin"]
    assert [login.succeeded for login in logins] == [False]


@pytest.mark.parametrize("path", sorted({path for paths in CHANGES.values() for path in paths}))
def test_change_of_something_else_does_not_matter(world: World, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    accept_codes(world, monkeypatch)
    after_verification(world, lambda world, records: None, monkeypatch)
    assert PATHS[path](world) not in (None, "refused")


def test_second_factor_that_is_added_meanwhile_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that a password alone has begun says what to do next as of its own transaction."""
    with world.guard.store.write_transaction() as records:
        keys = [dict(row) for row in records.all(passkeys)]
        records.delete(passkeys)

    def add_again(world: World, records: Records) -> None:
        records.insert(passkeys, **keys[0])

    after_verification(world, add_again, monkeypatch)
    assert PATHS["with_password"](world).session.task == "factor"


def test_password_that_is_hashed_again_meanwhile_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sign-ins at once compute the digest of a higher cost: it is that of the same password."""
    store, matches = create_store("sqlite://", Settings()), PasswordHasher.matches
    apply_seed(store, load_seed_text(SEED))
    with closing(guard_with_store(store, Settings(password_memory=16, password_passes=1))) as guard:
        with store.write_transaction() as records:
            person = find_person(records, "aws", account=ACCOUNT, name="ada")
            assert person is not None
            assert set_password(records, PasswordHasher(8, 1), person, PASSWORD, 0) is None

        def matching(hasher: PasswordHasher, password: str, digest: str | None) -> bool:
            assert digest is not None
            with store.write_transaction() as records:
                renew_digest(records, person, password, outdated=digest, digest=hasher.digest(password, digest))
            return matches(hasher, password, digest)

        monkeypatch.setattr(PasswordHasher, "matches", matching)
        assert guard.people.sign_in.with_password(TypedName(None, ACCOUNT, "ada"), PASSWORD, CALL) is not None

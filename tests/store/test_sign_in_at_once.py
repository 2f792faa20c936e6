"""A sign-in in one process, and in another one the end of what it has verified: no session of it is left.

The child stops after each verification, before its session is issued, until this process sends a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from subprocess import Popen

import pytest

from iam_guard import Guard, open_guard
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.people.second_factors.one_time_codes import _generator
from iam_guard.model.request import Call
from iam_guard.store.database.records import Records
from iam_guard.store.schema import browser_sessions, mfa_devices
from tests.passwords import ref_of, set_password
from tests.store.databases import SEALING_KEY, start

ACCOUNT = "111122223333"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD, OTHER, THIRD = "correct horse battery", "another staple entirely", "a third one of the owner"
SIGN_IN = """
import sys
from datetime import UTC, datetime
from iam_guard import open_guard
from iam_guard.authn.people.sessions.browser_sessions import BrowserSessions
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.model.request import Call

guard, issue = open_guard(sys.argv[1], password_memory=8, password_passes=1), BrowserSessions.issue
guard.clock = lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)

def wait_and_issue(*arguments, **more):
    print("verified", flush=True)
    sys.stdin.readline()
    return issue(*arguments, **more)

BrowserSessions.issue, session = wait_and_issue, None
print("ready", flush=True)
for line in sys.stdin:
    step, _, secret = line.strip().partition(":")
    if step == "password":
        made = guard.people.sign_in.with_password(TypedName(account="111122223333", username="ada"), secret, Call("1"))
    elif step == "code":
        made = guard.people.sign_in.with_code(session, secret, Call("1"))
    else:
        made = guard.people.own_credentials.change_password(session, *secret.split("|"), Call("1"))
    session = getattr(made, "session", None)
    print("refused" if session is None else "signed in", flush=True)
guard.close()
"""


class Race:
    """A guard of this process, and a child that signs in to the same database."""

    def __init__(self, guard: Guard, child: Popen[str]) -> None:
        self.guard, self.child = guard, child
        with guard.store.write_transaction() as records:
            person = find_person(records, "aws", account=ACCOUNT, name="ada")
            assert person is not None
            self.person: Person = person
            self.set(records, PASSWORD)

    def set(self, records: Records, password: str) -> None:
        assert set_password(records, PasswordHasher(8, 1), self.person, password, 0) is None

    def say(self, line: str, answer: str) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{line}\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == f"{answer}\n"

    def verify(self, step: str) -> None:
        """Let the child verify something; it then waits."""
        self.say(step, "verified")

    def go_on(self, answer: str) -> None:
        self.say("", answer)
        with self.guard.store.read_transaction() as records:
            assert records.count(browser_sessions) == (answer == "signed in")

    def sign_in(self) -> None:
        self.verify(f"password:{PASSWORD}")
        self.go_on("signed in")


@pytest.fixture
def race(database: str) -> Iterator[Race]:
    settings = {"password_memory": 8, "password_passes": 1, "sealing_keys": (SEALING_KEY,)}
    with closing(open_guard(database, **settings)) as guard:
        guard.clock = lambda: NOON
        guard.accounts.create("acme", id=ACCOUNT, seed={"users": [{"name": "ada"}]})
        child = start(SIGN_IN, database)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield Race(guard, child)
        child.communicate()
        assert child.returncode == 0


@pytest.mark.slow
def test_session_of_what_has_changed_is_not_issued(race: Race) -> None:
    change_passwords(race)
    change_devices(race)


def change_passwords(race: Race) -> None:
    """Set them by an administrator, by a link, with another login profile, and after the person itself."""
    race.sign_in()
    own, person = race.guard.people.own_credentials, race.person

    race.verify(f"password:{PASSWORD}")
    with race.guard.store.write_transaction() as records:
        race.set(records, OTHER)
    race.go_on("refused")

    race.verify(f"password:{OTHER}")
    assert own.reset_password(own.make_reset(ref_of(person), "an administrator"), PASSWORD, Call("1")) is None
    race.go_on("refused")

    race.verify(f"password:{PASSWORD}")
    with race.guard.store.write_transaction() as records:
        delete_password(records, person)
        race.set(records, PASSWORD)
    race.go_on("refused")

    race.sign_in()
    race.verify(f"change:{PASSWORD}|{OTHER}")
    with race.guard.store.write_transaction() as records:
        race.set(records, THIRD)
    race.go_on("refused")


def change_devices(race: Race) -> None:
    """Delete a device whose code was right, and end the session that continues."""
    own = race.guard.people.own_credentials
    with race.guard.store.write_transaction() as records:
        race.set(records, PASSWORD)
    for end in ("device", "password", "nothing"):
        race.sign_in()
        with race.guard.store.write_transaction() as records:
            records.delete(mfa_devices)
        [session] = race.guard.people.browser_sessions.of(race.person)
        device = own.new_device(session)
        with race.guard.store.write_transaction() as records:
            enabled = {"user_id": race.person.user_id, "enabled": 0, "last_step": 0, "drift": 0}
            records.update(mfa_devices, enabled, serial=device.serial)
            [row] = records.all(mfa_devices)
        code = _generator(row, race.guard.store.sealer).generate(int(NOON.timestamp())).decode()
        race.verify(f"code:{code}")
        with race.guard.store.write_transaction() as records:
            if end == "device":
                records.delete(mfa_devices)
            if end == "password":
                race.set(records, PASSWORD)
        race.say("", "signed in" if end == "nothing" else "refused")
        with race.guard.store.write_transaction() as records:
            assert all((row["mfa_at"] is not None) is (end == "nothing") for row in records.all(browser_sessions))
            records.delete(mfa_devices)
            records.delete(browser_sessions)

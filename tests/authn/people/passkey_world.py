"""Accounts whose people have passkeys, for tests: a guard with an injected clock, and the events that it records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from iam_guard import Guard
from iam_guard.authn.people.own_credentials import EnabledDevice, OwnCredentials
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.people.second_factors.passkey_challenges import Kind, RelyingParty
from iam_guard.authn.people.second_factors.passkey_steps import NewPasskey, PasskeySteps
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.session_steps import SignedIn
from iam_guard.factory import guard_with_store
from iam_guard.model.request import Call
from iam_guard.model.result import NoChangeRecorder
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.settings import Settings
from iam_guard.store.database.records import Row
from iam_guard.store.opening import create_store
from iam_guard.store.schema import passkeys
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.authn.people.authenticator import PRESENT, VERIFIED, Key, encode
from tests.passwords import set_password
from tests.signed_in import issue_session

ACCOUNT, OTHER_ACCOUNT, PASSWORD = "111122223333", "444455556666", "correct horse battery"
SEED = f"""
version: 1
accounts:
  - {{id: "{ACCOUNT}", name: acme, root: {{email: root@acme.example}}, users: [{{name: ada}}, {{name: bob}}]}}
  - {{id: "{OTHER_ACCOUNT}", name: globex, users: [{{name: eve}}]}}
"""
CALL = Call("1", path="/signin/passkey", host="localhost")
PARTY = RelyingParty("localhost", "http://localhost")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
FORM = "a form"


class World:
    """People with a password each, and the passkeys that a test adds."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.now = START
        store = create_store(url, settings)
        apply_seed(store, load_seed_text(SEED))
        settings = replace(settings, epoch_poll=3600, password_memory=8, password_passes=1)
        self.guard: Guard = guard_with_store(store, settings)
        self.guard.clock = lambda: self.now
        self.events: list[SignInEvent] = []
        steps = replace(self.guard.people.passkeys._steps, audit=lambda event, _: self.events.append(event))
        self.steps, self.own = PasskeySteps(steps), OwnCredentials(steps, NoChangeRecorder())
        people = [(ACCOUNT, "ada"), (ACCOUNT, "bob"), (OTHER_ACCOUNT, "eve")]
        with store.write_transaction() as records:
            found = {name: find_person(records, "aws", account=account, name=name) for account, name in people}
            found["root"] = find_person(records, "aws", email="root@acme.example")
            self.people: dict[str, Person] = {name: person for name, person in found.items() if person is not None}
            for person in self.people.values():
                assert set_password(records, PasswordHasher(8, 1), person, PASSWORD, int(START.timestamp())) is None

    def pass_time(self, **time: float) -> None:
        self.now += timedelta(**time)

    def session(self, name: str = "ada", *, mfa: bool = True, task: str | None = None) -> BrowserSession:
        """Return a session of a person, as if it had just signed in."""
        return issue_session(self.guard, self.people[name], mfa_at=self.now if mfa else None, task=task)[1]

    def add(self, name: str = "ada", kind: Kind = "passkey", **changed: Any) -> Key:
        """Add a key to a person."""
        key = Key(**{"flags": PRESENT | VERIFIED if kind == "passkey" else PRESENT, **changed})
        session = self.session(name)
        answer = key.create(self.steps.creation_options(session, PARTY, kind))
        added = self.steps.add(session, PARTY, NewPasskey(kind, "laptop", answer), CALL)
        assert isinstance(added, EnabledDevice), added
        self.pass_time(seconds=1)
        return key

    def sign_in(self, text: str, binding: str = FORM) -> SignedIn | None:
        return self.steps.sign_in(PARTY, binding, text, CALL)

    def answer(self, key: Key, **changed: Any) -> str:
        """Return the answer of a key to a new challenge for a sign-in."""
        return key.get(self.steps.sign_in_options(PARTY, FORM), **changed)

    def row(self, key: Key) -> Row | None:
        with self.guard.store.read_transaction() as records:
            return records.one(passkeys, id=encode(key.id))

    def last_check(self) -> tuple[bool, str | None, str]:
        """Return result, reason and kind of the last check that was recorded."""
        event = [event for event in self.events if event.name == "CheckMfa"][-1]
        return event.succeeded, event.facts.get("Reason"), event.facts["MfaType"]


@contextmanager
def opened_world(url: str = "sqlite://", settings: Settings | None = None) -> Iterator[World]:
    """Open a world, and close it."""
    world = World(url, settings or Settings())
    yield world
    world.guard.close()

"""Browser sessions: issued, found, and over at once when they end, expire, are idle, or lose their person."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard
from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.people.sessions.browser_sessions import MAX_SESSIONS, BrowserSession, BrowserSessions
from iam_guard.authn.people.verified_steps import VerifiedStep, password_evidence
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.errors import CacheMiss, StoreIsReadOnly
from iam_guard.factory import guard_with_store, open_guard
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import accounts, browser_sessions, identities, login_profiles
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.signed_in import give_password, issue_session
from tests.tables import table

ACME = "111122223333"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
READS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
SEED: dict[str, Any] = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "name": "acme",
            "users": [{"name": "rita", "inline": {"Reads": READS}}, {"name": "ada"}],
        }
    ],
}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


class Harness:
    """A guard on a database with a test clock."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.url = f"sqlite:///{folder}/iam.db"
        self.clock = Clock()
        store = create_store(self.url, Settings())
        apply_seed(store, load_seed_text(json.dumps(SEED)))
        with store.write_transaction() as records:
            records.update(accounts, {"email": "root@acme.example"}, id=ACME)
        self.guard = self.on(guard_with_store(store, Settings(epoch_poll=3600, **settings)))
        self.sessions = self.guard.people.browser_sessions
        for name in ("rita", "ada", "root"):
            give_password(self.guard, self.person(name))

    def on(self, guard: Guard) -> Guard:
        guard.clock = self.clock
        return guard

    def person(self, name: str = "rita") -> Person:
        with self.guard.store.read_transaction() as records:
            person = find_person(records, "aws", account=ACME, name=name)
            root = find_person(records, "aws", email="root@acme.example")
        found = root if name == "root" else person
        assert found is not None
        return found

    def issue(self, name: str = "rita", **more: Any) -> tuple[str, BrowserSession]:
        terms = {"address": "192.0.2.1", "user_agent": "Browser/1", **more}
        return issue_session(self.guard, self.person(name), sessions=self.sessions, **terms)

    def stored(self) -> list[dict[str, Any]]:
        with self.guard.store.read_transaction() as records:
            return [dict(row) for row in records.all(browser_sessions)]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.guard.close()


# --- issued and found -------------------------------------------------------------------------------------------------


def test_session_is_found_by_its_token(harness: Harness) -> None:
    """The same session as issued; its principal is the user, without MFA."""
    token, issued = harness.issue()
    assert harness.sessions.find(token) == issued
    principal = issued.principal
    assert (principal.type, principal.arn) == (PrincipalType.USER, f"arn:aws:iam::{ACME}:user/rita")
    assert principal.userid == harness.person().user_id
    assert principal.credential is not None
    assert (principal.credential.kind, principal.credential.id) == ("session", issued.id)
    keys = {name: principal.key(name) for name in ("aws:multifactorauthpresent", "aws:tokenissuetime")}
    assert keys == {"aws:multifactorauthpresent": "false", "aws:tokenissuetime": "2026-03-01T12:00:00Z"}
    assert harness.guard.decide(principal, "docs:GetDocument", Resource("*")).allowed
    assert not harness.guard.decide(principal, "docs:PutDocument", Resource("*")).allowed


def test_session_with_mfa_has_its_keys(harness: Harness) -> None:
    """`aws:MultiFactorAuthAge` counts from the second factor, not from the sign-in."""
    _, issued = harness.issue(mfa_at=START - MINUTE)
    harness.clock.advance(MINUTE)
    decision = harness.guard.decide(issued.principal, "docs:GetDocument", Resource("*"))
    assert decision.request.context.value("aws:multifactorauthage") == "120"
    assert issued.principal.key("aws:multifactorauthpresent") == "true"


def test_session_of_the_root_user(harness: Harness) -> None:
    token, issued = harness.issue("root")
    found = harness.sessions.find(token)
    assert found == issued
    assert (found.principal.type, found.principal.userid) == (PrincipalType.ROOT, ACME)
    assert harness.guard.decide(found.principal, "docs:PutDocument", Resource("*", ACME)).allowed


def test_token_is_random_and_not_stored(harness: Harness) -> None:
    """43 characters of URL-safe base64; the store has its SHA-256; neither is shown."""
    tokens = {harness.issue()[0] for _ in range(20)}
    assert len(tokens) == 20
    assert {len(token) for token in tokens} == {43}
    assert {row["digest"] for row in harness.stored()} == set(map(token_digest, tokens))
    token, issued = harness.issue()
    shown = repr((issued, issued.principal, harness.sessions.of(harness.person()), harness.stored()[0]["id"]))
    assert token not in shown
    assert token_digest(token) not in shown


def test_unknown_token_is_not_found(harness: Harness) -> None:
    token, _ = harness.issue()
    for text in ("", "x", token[:-1], token + "A", token.swapcase(), "\udcff", "é"):
        assert harness.sessions.find(text) is None


def test_cached_session_needs_no_query(harness: Harness) -> None:
    """An event loop gets a miss first, then the identical session."""
    token, _ = harness.issue()
    digest = token_digest(token)
    with pytest.raises(CacheMiss):
        harness.sessions.find_by_digest(digest, cache_only=True)
    found = harness.sessions.find(token)
    assert harness.sessions.find_by_digest(digest, cache_only=True) is found


def test_read_only_store_issues_no_session(tmp_path: Path) -> None:
    (tmp_path / "iam.json").write_text(json.dumps(SEED))
    with closing(open_guard(tmp_path / "iam.json")) as guard:
        with guard.store.read_transaction() as records:
            person = find_person(records, "aws", account=ACME, name="rita")
        assert person is not None
        verified = VerifiedStep(person, password_evidence({"owner": person.owner, "digest": ""}))
        with pytest.raises(StoreIsReadOnly):
            guard.people.browser_sessions.issue(verified, methods=(), mfa_at=None, address="", user_agent="")


# --- over -------------------------------------------------------------------------------------------------------------


def _end(harness: Harness, session: BrowserSession) -> None:
    assert harness.sessions.end(session.id, harness.person())


def _end_all(harness: Harness, _: BrowserSession) -> None:
    assert harness.sessions.end_all(harness.person()) == 1


def _delete_user(harness: Harness, _: BrowserSession) -> None:
    with harness.guard.store.write_transaction() as records:
        records.delete(identities, id=harness.person().user_id)


def _delete_account(harness: Harness, _: BrowserSession) -> None:
    with harness.guard.store.write_transaction() as records:
        records.delete(accounts, id=ACME)


def _wait_to_expire(harness: Harness, session: BrowserSession) -> None:
    harness.clock.now = session.expires


def _wait_idle(harness: Harness, _: BrowserSession) -> None:
    harness.clock.advance(HOUR)


@table("end", [_end, _end_all, _delete_user, _delete_account, _wait_to_expire, _wait_idle])
def test_ended_session_is_over_at_once(end: Callable[[Harness, BrowserSession], None], tmp_path: Path) -> None:
    """Though it was cached; and the row is gone."""
    (folder := tmp_path / end.__name__).mkdir()
    made = Harness(folder)
    token, issued = made.issue()
    assert made.sessions.find(token) == issued
    end(made, issued)
    with pytest.raises(CacheMiss):
        made.sessions.find_by_digest(token_digest(token), cache_only=True)
    assert made.sessions.find(token) is None
    assert made.stored() == []
    assert made.sessions.find(token) is None
    assert made.sessions.find_by_digest(token_digest(token), cache_only=True) is None
    made.guard.close()


def test_session_ends_in_other_processes(harness: Harness) -> None:
    """With the next poll of the change feed, and nothing else does."""
    other = harness.on(guard_with_store(create_store(harness.url, Settings()), Settings(epoch_poll=0.0)))
    token, issued = harness.issue()
    assert other.people.browser_sessions.find(token) == issued
    assert harness.sessions.end(issued.id, harness.person())
    assert other.people.browser_sessions.find(token) is None
    kept, _ = harness.issue("ada")
    assert other.people.browser_sessions.find(kept) is not None
    assert other._store.feed_usage().cleared == {}
    other.close()


def test_renamed_user_keeps_the_session(harness: Harness) -> None:
    token, _ = harness.issue()
    assert harness.sessions.find(token) is not None
    with harness.guard.store.write_transaction() as records:
        records.update(identities, {"name": "rose", "folded": "rose"}, id=harness.person().user_id)
    found = harness.sessions.find(token)
    assert found is not None
    assert found.principal.arn == f"arn:aws:iam::{ACME}:user/rose"


def test_only_sessions_of_the_person_end(harness: Harness) -> None:
    """Neither those of another user, nor the one that is kept."""
    ritas, kept, adas, roots = (harness.issue(name)[1] for name in ("rita", "rita", "ada", "root"))
    assert not harness.sessions.end(adas.id, harness.person())
    assert not harness.sessions.end(roots.id, harness.person())
    assert not harness.sessions.end(ritas.id, harness.person("root"))
    assert harness.sessions.end_all(harness.person(), but=kept.id) == 1
    assert {row["id"] for row in harness.stored()} == {kept.id, adas.id, roots.id}
    assert harness.sessions.end_all(harness.person("root")) == 1
    assert {row["id"] for row in harness.stored()} == {kept.id, adas.id}


def test_sessions_of_a_person_are_listed(harness: Harness) -> None:
    """The latest first, without those that are over."""
    _, old = harness.issue()
    harness.clock.advance(HOUR)
    _, first = harness.issue(user_agent="a\x00" * 600)
    harness.clock.advance(MINUTE)
    _, second = harness.issue(task="password")
    harness.issue("ada")
    assert harness.sessions.of(harness.person()) == [second, first]
    assert old.id not in {row["id"] for row in harness.stored()}  # deleted when the next one was issued
    assert len(first.user_agent) == 512
    assert second.task == "password"


def test_person_has_a_limited_number_of_sessions(harness: Harness) -> None:
    """A further one ends the one that was not used for the longest time."""
    first, _ = harness.issue()
    second, _ = harness.issue()
    for _ in range(MAX_SESSIONS - 2):
        harness.clock.advance(timedelta(seconds=1))
        harness.issue()
    harness.clock.advance(MINUTE)
    assert harness.sessions.find(first) is not None
    harness.guard.uses.flush()
    harness.issue()
    assert harness.sessions.find(second) is None
    assert harness.sessions.find(first) is not None
    assert len(harness.stored()) == MAX_SESSIONS


# --- durations --------------------------------------------------------------------------------------------------------


def test_login_profile_limits_the_duration(harness: Harness) -> None:
    for limit, hours in ((3600, 1), (86_400, 12), (None, 12)):
        with harness.guard.store.write_transaction() as records:
            person = harness.person()
            records.delete(login_profiles, owner=person.owner)
            profile = {"digest": "", "reset_required": False, "created": 0, "changed": 0}
            limits = {"max_signin_session_duration": limit}
            records.insert(login_profiles, owner=person.owner, **person.where, **profile, **limits)
        _, issued = harness.issue()
        assert issued.expires - issued.created == hours * HOUR


def test_used_session_is_not_idle(harness: Harness) -> None:
    """Uses are recorded once a minute, in the background; the session expires all the same."""
    token, issued = harness.issue()
    while harness.clock.now + 50 * MINUTE < issued.expires:
        harness.clock.advance(50 * MINUTE)
        assert harness.sessions.find(token) is not None
        harness.guard.uses.flush()
        assert harness.stored()[0]["seen"] == harness.clock.now.timestamp()
    harness.clock.now = issued.expires
    assert harness.sessions.find(token) is None


def test_use_is_recorded_once_a_minute(harness: Harness) -> None:
    """And neither raises the epoch nor drops the cached session."""
    token, _ = harness.issue()
    harness.sessions.find(token)
    harness.guard.uses.flush()
    epoch = harness.guard._store.behind.epoch()
    for seconds, recorded in ((59, 0), (60, 60), (61, 60), (119, 60), (121, 121)):
        harness.clock.now = START + timedelta(seconds=seconds)
        assert harness.sessions.find_by_digest(token_digest(token), cache_only=True) is not None
        harness.guard.uses.flush()
        assert harness.stored()[0]["seen"] == START.timestamp() + recorded
    assert harness.guard._store.behind.epoch() == epoch


def test_session_used_elsewhere_is_not_idle(harness: Harness) -> None:
    """The cached one seems to be idle, and is read again, but not on an event loop."""
    other = harness.on(guard_with_store(create_store(harness.url, Settings()), Settings(epoch_poll=3600)))
    token, _ = harness.issue()
    assert harness.sessions.find(token) is not None
    for _ in range(2):
        harness.clock.advance(45 * MINUTE)
        assert other.people.browser_sessions.find(token) is not None
        other.uses.flush()
    with pytest.raises(CacheMiss):
        harness.sessions.find_by_digest(token_digest(token), cache_only=True)
    found = harness.sessions.find(token)
    assert found is not None
    assert harness.sessions.find_by_digest(token_digest(token), cache_only=True) is found
    other.close()


def test_idle_session_is_refused_even_if_it_stays_stored(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token, issued = harness.issue()
    harness.clock.advance(HOUR)

    def read_only() -> Any:
        raise StoreIsReadOnly("the store is read-only")

    monkeypatch.setattr(harness.guard._store, "write_transaction", read_only)
    with caplog.at_level(logging.WARNING, "iam_guard.authn"):
        assert harness.sessions.find(token) is None
    assert issued.id in caplog.text
    assert token not in caplog.text


def test_sessions_without_a_tracker_find(harness: Harness) -> None:
    token, issued = harness.issue()
    sessions = BrowserSessions(harness.guard._store, Settings(), harness.clock)
    assert sessions.find(token) == issued

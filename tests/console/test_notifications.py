"""Notifications: which events people are informed of, and that no failure of the application's function matters."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from iam_guard.authn.people.notifications import Notification
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.person import PersonRef
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.errors import DecisionUnavailable
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent, SignInEventName
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site

ADA, ROOT = f"arn:aws:iam::{ACCOUNT}:user/ada", f"arn:aws:iam::{ACCOUNT}:root"


class NotifiedSite(Site):
    """A site whose notifications are collected."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.received: list[Notification] = []
        self.guard.people.notifications.add(self.received.append)

    def kinds(self) -> list[str]:
        """Return the kinds of the notifications until now, and forget them."""
        done = threading.Event()
        self.guard.people.notifications._queue.put("", done.set)
        assert done.wait(60)
        kinds = [str(notification.kind) for notification in self.received]
        self.received.clear()
        return kinds


@pytest.fixture
def site(tmp_path: Path) -> Iterator[NotifiedSite]:
    made = NotifiedSite(tmp_path)
    yield made
    made.guard.close()


def test_notification_names_person_time_and_client(site: NotifiedSite) -> None:
    call = Call("1", source_ip="192.0.2.7", user_agent="Firefox")
    for typed in (TypedName(account="acme", username="ada"), TypedName(email="root@acme.example")):
        assert site.guard.people.sign_in.with_password(typed, PASSWORD, call) is not None
    site.guard.close()
    ada, root = site.received
    assert ada == Notification("new_browser", ADA, ACCOUNT, None, site.now, "192.0.2.7", "Firefox")
    assert (root.arn, root.email) == (ROOT, "root@acme.example")
    assert PASSWORD not in repr(site.received)


def test_only_a_new_browser_is_notified(site: NotifiedSite) -> None:
    """After the right password alone: the second factor may still be missing."""
    site.sign_in(password="wrong")
    assert site.kinds() == []
    for expected in (["new_browser"], []):
        site.sign_in()
        assert site.kinds() == expected
        site.send("/signin/out")
    site.sign_in("bob")
    assert site.kinds() == ["new_browser"]


def test_changes_of_factors_and_passwords_are_notified(site: NotifiedSite) -> None:
    site.sign_in()
    recovery = site.enrol()
    assert site.kinds() == ["new_browser", "factor_added"]
    site.browser = site.new_browser()
    site.now += timedelta(minutes=2)
    site.sign_in()
    assert site.kinds() == ["new_browser"]
    site.send("/signin/recovery", recovery_code="0" * 27)
    assert site.kinds() == []
    site.send("/signin/recovery", recovery_code=recovery[0])
    assert site.kinds() == ["recovery_code_used"]
    site.send("/signin/password", password=PASSWORD, new_password="short")
    assert site.kinds() == []
    site.send("/signin/password", password=PASSWORD, new_password=NEW_PASSWORD)
    assert site.kinds() == ["password_changed"]
    token = site.guard.people.own_credentials.make_reset(PersonRef(ACCOUNT, "ada"), "an administrator")
    assert site.guard.people.own_credentials.reset_password(token, PASSWORD, Call("1")) is None
    assert site.kinds() == ["password_changed"]


def test_failed_steps_are_not_notified(site: NotifiedSite) -> None:
    """Nor those without a person, and those of no interest."""
    names: tuple[SignInEventName, ...] = ("MfaEnrolled", "MfaRemoved", "PasswordUpdated", "ExitSession")
    ada = site.person("ada").principal()
    for name in names:
        for principal, succeeded in ((ada, True), (ada, False), (None, True)):
            event = SignInEvent(name=name, principal=principal, succeeded=succeeded)
            site.guard.people.notifications.send_step(event, None)
    assert site.kinds() == ["factor_added", "factor_removed", "password_changed"]


def test_last_guess_is_notified_once(site: NotifiedSite) -> None:
    """Of passwords and of codes; refused guesses after it are not."""
    for guess in range(attempts.MAX_FAILURES + 3):
        site.sign_in(password="wrong")
        assert site.kinds() == (["guesses_exhausted"] if guess + 1 == attempts.MAX_FAILURES else [])
        site.now += timedelta(hours=1)


def test_last_guess_of_a_code_is_notified_once(site: NotifiedSite) -> None:
    site.sign_in()
    site.enrol()
    assert site.kinds() == ["new_browser", "factor_added"]
    for guess in range(attempts.MAX_FAILURES + 3):
        site.now += timedelta(hours=1)
        site.sign_in()
        site.send("/signin/mfa", mfa_code="123456")
        assert site.kinds() == (["guesses_exhausted"] if guess + 1 == attempts.MAX_FAILURES else [])


def test_failing_function_does_not_matter(site: NotifiedSite, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, without its message; other functions are called, and people sign in."""
    failing: list[Notification] = []

    def fail(notification: Notification) -> None:
        failing.append(notification)
        raise ValueError(notification.arn)

    site.guard.people.notifications.add(fail)
    for _ in range(2):
        assert site.send("/signin/", site.new_browser(), account="acme", username="ada", password=PASSWORD).is_redirect
    assert site.kinds() == ["new_browser"] * 2
    assert len(failing) == 2
    assert set(caplog.messages) == {"notification failed: ValueError"}


def test_waiting_function_delays_no_one(site: NotifiedSite) -> None:
    """Nor do more notifications than the queue takes."""
    go = threading.Event()
    site.guard.people.notifications.add(lambda _: go.wait(60) and None)
    for _ in range(3):
        assert site.send("/signin/", site.new_browser(), account="acme", username="ada", password=PASSWORD).is_redirect
    go.set()
    assert site.kinds() == ["new_browser"] * 3


def test_change_that_cannot_be_recorded_is_notified(site: NotifiedSite) -> None:
    """It is done: the person must know of it all the more."""
    token = site.guard.people.own_credentials.make_reset(PersonRef(ACCOUNT, "ada"), "an administrator")
    site.guard.trail.close()
    with pytest.raises(DecisionUnavailable):
        site.guard.people.own_credentials.reset_password(token, NEW_PASSWORD, Call("1"))
    assert site.kinds() == ["password_changed"]


def test_notification_has_no_secret(site: NotifiedSite) -> None:
    site.sign_in()
    recovery = site.enrol()
    site.guard.close()
    shown = json.dumps([repr(notification) for notification in site.received])
    assert len(site.received) == 2
    assert not any(secret in shown for secret in (PASSWORD, recovery[0], str(site.browser.cookies["iam-guard-dev"])))

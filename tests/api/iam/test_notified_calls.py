"""Calls of the IAM API that people are informed of, by boto3."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from iam_guard.authn.people.notifications import Notification
from tests.api.conftest import ACCOUNT, Client, Running, refusal
from tests.api.iam.mfa_parts import codes_at, step_now

PASSWORD = "Kj7-a-long-password"
JANE = f"arn:aws:iam::{ACCOUNT}:user/jane"


@pytest.fixture
def received(server: Running) -> Iterator[list[Notification]]:
    """Collect the notifications of the server."""
    collected: list[Notification] = []
    before = server.guard.people.notifications._receivers
    server.guard.people.notifications.add(collected.append)
    yield collected
    server.guard.people.notifications._receivers = before


def kinds(server: Running, received: list[Notification]) -> list[str]:
    """Return kinds and people of the notifications until now, and forget them."""
    done = threading.Event()
    server.guard.people.notifications._queue.put("", done.set)
    assert done.wait(60)
    found = [f"{notification.kind} {notification.arn}" for notification in received]
    received.clear()
    return found


@pytest.mark.usefixtures("cheap_passwords")
def test_passwords_of_administrators_are_notified(server: Running, iam: Client, received: list[Notification]) -> None:
    """Other changes of a login profile are not, nor are refused calls."""
    iam.create_user(UserName="jane")
    assert kinds(server, received) == []
    iam.create_login_profile(UserName="jane", Password=PASSWORD)
    assert kinds(server, received) == [f"password_changed {JANE}"]
    with refusal("EntityAlreadyExists"):
        iam.create_login_profile(UserName="jane", Password=PASSWORD)
    iam.update_login_profile(UserName="jane", PasswordResetRequired=True)
    assert kinds(server, received) == []
    iam.update_login_profile(UserName="jane", Password=f"{PASSWORD}-2")
    assert kinds(server, received) == [f"password_changed {JANE}"]


@pytest.mark.parametrize("name", ["jane", "root"])
def test_devices_are_notified(server: Running, root: Client, received: list[Notification], name: str) -> None:
    """Added and removed ones, of users and of the root user."""
    arn = JANE if name == "jane" else f"arn:aws:iam::{ACCOUNT}:root"
    if name == "jane":
        root.create_user(UserName="jane")
    device = root.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
    serial, seed = device["SerialNumber"], device["Base32StringSeed"].decode()
    root.enable_mfa_device(UserName=name, SerialNumber=serial, **codes_at(seed, step_now() - 1))
    assert kinds(server, received) == [f"factor_added {arn}"]
    root.deactivate_mfa_device(UserName=name, SerialNumber=serial)
    assert kinds(server, received) == [f"factor_removed {arn}"]

"""What people must be informed of about their own credentials: the application is called for each such event.

    guard.people.notifications.add(notify)     notify(notification), in a thread of its own

The events are derived from the steps of a sign-in and the calls of the IAM API, so each path to a change has them. No
request waits for such a function, or fails with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from iam_guard.authn.people.work_queue import WorkQueue
from iam_guard.model.arn import account_of
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent, SignInEventName
from iam_guard.store.identifiers import root_arn
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import accounts

NotificationKind: TypeAlias = Literal[
    "factor_added", "factor_removed", "recovery_code_used", "password_changed", "new_browser", "guesses_exhausted"
]


@dataclass(frozen=True, slots=True)
class Notification:
    """An event that a person must be informed of; nothing secret. `arn` is the person's, `email` a root user's.

    `address` and `user_agent` are those of the client, which may be an attacker; empty if unknown.
    """

    kind: NotificationKind
    arn: str
    account: str
    email: str | None
    at: datetime
    address: str
    user_agent: str


Notify: TypeAlias = Callable[[Notification], None]

_STEPS: Final[Mapping[SignInEventName, NotificationKind]] = {
    "MfaEnrolled": "factor_added",
    "MfaRemoved": "factor_removed",
    "PasswordUpdated": "password_changed",
}
"""Successful steps of a sign-in."""
_CALLS: Final[Mapping[str, NotificationKind]] = {
    "iam:EnableMFADevice": "factor_added",
    "iam:DeactivateMFADevice": "factor_removed",
    "iam:ChangePassword": "password_changed",
    "iam:CreateLoginProfile": "password_changed",
    "iam:UpdateLoginProfile": "password_changed",
}
"""Successful calls whose resource is the person."""


class Notifications:
    """Calls functions of the application with notifications, one after the other. Safe to share between threads."""

    def __init__(self, store: RecordStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._receivers: tuple[Notify, ...] = ()
        self._queues: list[WorkQueue] = []
        self._queue = self.new_queue("notification")

    def add(self, notify: Notify) -> None:
        """Call a function with each notification from now on."""
        self._receivers = (*self._receivers, notify)

    def send_step(self, event: SignInEvent, call: Call | None) -> None:
        """Send the notification of a step of a sign-in, if there is one."""
        kind = _STEPS.get(event.name)
        if event.name == "CheckMfa" and event.facts.get("MfaType") == "recovery":
            kind = "recovery_code_used"
        if kind is not None and event.succeeded and event.principal is not None:
            self.send(kind, event.principal.arn, call)

    def send_call(self, action: str, arn: str, parameters: Mapping[str, Any], call: Call) -> None:
        """Send the notification of a successful call of the IAM API on the person with an ARN, if there is one."""
        kind = _CALLS.get(action)
        if kind is not None and (action != "iam:UpdateLoginProfile" or "Password" in parameters):
            self.send(kind, arn, call)

    def send(self, kind: NotificationKind, arn: str, call: Call | None) -> None:
        """Send a notification about the person with an ARN. Never raises, and waits for nothing."""
        at = self._clock()
        address, user_agent = (None, None) if call is None else (call.source_ip, call.user_agent)
        notification = Notification(kind, arn, account_of(arn) or "", None, at, address or "", user_agent or "")
        for notify in self._receivers:
            self._queue.put(notification.account, partial(self._call, notify, notification))

    def new_queue(self, purpose: str) -> WorkQueue:
        """Return a queue, such as for e-mails, that `close` closes."""
        queue = WorkQueue(purpose)
        self._queues.append(queue)
        return queue

    def close(self) -> None:
        """Wait some seconds for the calls that are left in each queue."""
        for queue in self._queues:
            queue.close()

    def _call(self, notify: Notify, notification: Notification) -> None:
        account = notification.account
        if notification.arn == root_arn(self._store.partition, account):
            with self._store.read_transaction() as records:
                row = records.one(accounts, id=account)
            notification = replace(notification, email=None if row is None else row["email"])
        notify(notification)

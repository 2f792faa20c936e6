"""What the steps of a sign-in share: the parts of a guard that they need, and what follows a step.

A session with a task authorizes nothing else (`browser_sessions`). `next_task` is the one place that gives tasks:

    factor      use a second factor
    password    choose a new password: it was reset, or has expired
    enrol       add the first second factor: the account requires one
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from iam_guard.authn.people import recovery_codes
from iam_guard.authn.people.browser_sessions import BrowserSession, BrowserSessions
from iam_guard.authn.people.factors import MAX_DEVICES, count_factors, has_second_factor
from iam_guard.authn.people.known_browsers import browser_of, with_person
from iam_guard.authn.people.notifications import Notifications
from iam_guard.authn.people.passwords import PasswordHasher, shared_hasher
from iam_guard.authn.people.person import Person, person_of
from iam_guard.authn.people.stored_passwords import (
    find_profile,
    password_state,
    policy_of,
    requires_second_factor,
)
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.settings import Settings
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Records
from iam_guard.store.schema import browser_sessions

Task = Literal["factor", "password", "enrol"]


def next_task(records: Records, person: Person, now: int, *, has_used_factor: bool) -> Task | None:
    """Return what a person must do next, after a step of a sign-in; None if it is signed in.

    `has_used_factor` is whether a second factor was used in this sign-in, or in the session that is continued.
    """
    has_factor = has_second_factor(records, person)
    if has_factor and not has_used_factor:
        return "factor"
    profile = find_profile(records, person)
    if profile is None or profile["reset_required"]:
        return "password"
    if password_state(profile, policy_of(records, person), now) != "valid":
        return "password"
    return "enrol" if not has_factor and requires_second_factor(records, person) else None


def was_ended(records: Records, session: BrowserSession) -> bool:
    """Return whether a session was ended since it was found, as in another process: no other one follows it."""
    return records.count(browser_sessions, id=session.id) == 0


FactorRefusal: TypeAlias = Literal["refused", "needs_factor", "too_many_factors", "wrong_codes"]
"""Why a second factor is not added; the texts of the pages have these keys."""


def refusal_of_new_factor(records: Records, session: BrowserSession, person: Person) -> FactorRefusal | None:
    """Return why a session can't add a second factor; None if it can.

    A person who has one must have used it in this session: else a password alone would replace the factor that is asked
    for. A session with a task can't, but for `enrol`.
    """
    if session.task not in (None, "enrol") or was_ended(records, session):
        return "refused"
    count = count_factors(records, person)
    if count and session.mfa_at is None:
        return "needs_factor"
    return "too_many_factors" if count >= MAX_DEVICES else None


def codes_of_first_factor(records: Records, person: Person, now: int) -> list[str]:
    """Return the recovery codes that come with the first second factor, which was just added; none with another."""
    return recovery_codes.replace_codes(records, person, now) if count_factors(records, person) == 1 else []


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. `token` is for the cookie, and shown only here; `session.task` is what must be done first.

    `browser` is the cookie of the browser, which the person is known to use from now on (`known_browsers`).
    """

    token: str = field(repr=False)
    session: BrowserSession
    browser: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SessionSteps:
    """The parts of one guard that the steps share. `audit` writes a step to the audit trail."""

    store: RecordStore
    sessions: BrowserSessions
    hasher: PasswordHasher
    clock: Callable[[], datetime]
    audit: Callable[[SignInEvent, Call | None], None]
    notifications: Notifications

    def now(self) -> int:
        """Return the present time in seconds."""
        return int(self.clock().timestamp())

    def record(self, event: SignInEvent, call: Call) -> None:
        """Record a step, which is done already, and inform its person. Raises `DecisionUnavailable`."""
        self.notifications.send_step(event, call)
        self.audit(event, call)

    def remember_browser(self, cookie: str, person: Person, call: Call) -> str:
        """Return the cookie of a browser in which a person has just signed in, and inform it of a new browser."""
        if not browser_of(self.store.sealer, cookie, person):
            self.notifications.send("new_browser", person.arn, call)
        return with_person(self.store.sealer, cookie, person)

    def go_on(
        self, session: BrowserSession, call: Call, method: str, task: Task | None, device: str | None
    ) -> SignedIn:
        """Return the session that follows a session in which a second factor was just used.

        One that is signed in already ends when it would have: only a password starts the time again.
        """
        person = person_of(session)
        methods = (*(name for name in session.methods if name != method), method)
        not_after = session.expires if session.task is None else None
        signed_in = self.issue(
            person, call, methods=methods, task=task, mfa_at=self.clock(), device=device, not_after=not_after
        )
        self.sessions.end(session.id, person)
        return signed_in

    def issue(
        self,
        person: Person,
        call: Call,
        *,
        methods: tuple[str, ...],
        task: Task | None,
        mfa_at: datetime | None = None,
        device: str | None = None,
        not_after: datetime | None = None,
    ) -> SignedIn:
        """Return a new session of a person, recorded as `ConsoleLogin` if it has no task. Raises `AccessDenied`."""
        if task is None:
            facts = {"LoginTo": call.path, "MobileVersion": "No", "MFAUsed": "No" if mfa_at is None else "Yes"}
            facts |= {} if device is None else {"MFAIdentifier": device}
            self.record(SignInEvent(name="ConsoleLogin", principal=person.principal(), facts=facts), call)
        address, user_agent = call.source_ip or "", call.user_agent or ""
        token, session = self.sessions.issue(
            person,
            methods=methods,
            mfa_at=mfa_at,
            address=address,
            user_agent=user_agent,
            task=task,
            not_after=not_after,
        )
        return SignedIn(token, session)


def session_steps(
    store: RecordStore,
    sessions: BrowserSessions,
    settings: Settings,
    clock: Callable[[], datetime],
    audit: Callable[[SignInEvent, Call | None], None],
) -> SessionSteps:
    """Return the steps of a guard with these settings; the hasher is shared by the guards of a process."""
    hasher = shared_hasher(settings.password_memory, settings.password_passes)
    return SessionSteps(store, sessions, hasher, clock, audit, Notifications(store, clock))

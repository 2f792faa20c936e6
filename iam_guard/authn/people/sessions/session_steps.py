"""What the steps of a sign-in share: the parts of a guard that they need, and the session that follows a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias

from iam_guard.authn.people.known_browsers import browser_of, with_person
from iam_guard.authn.people.notifications import Notifications
from iam_guard.authn.people.passwords.passwords import PasswordHasher, shared_hasher
from iam_guard.authn.people.person import Person, person_of
from iam_guard.authn.people.second_factors import recovery_codes
from iam_guard.authn.people.second_factors.factors import count_factors
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession, BrowserSessions
from iam_guard.authn.people.verified_steps import Evidence, VerifiedStep
from iam_guard.errors import AccessDenied, IamGuardError
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import browser_sessions


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
    return "too_many_factors" if count >= records.quotas["MFA devices per user"] else None


def codes_of_first_factor(records: Records, person: Person, now: int) -> list[str]:
    """Return the recovery codes that come with the first second factor, which was just added; none with another."""
    return recovery_codes.replace_codes(records, person, now) if count_factors(records, person) == 1 else []


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. `token` is for the cookie, and shown only here; `session.task` is what must be done first.

    `browser` is the cookie of the browser, which the person is known to use from now on (`known_browsers`); empty: as
    before, since a second factor is missing.
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

    def remember_browser(self, signed_in: SignedIn, cookie: str, person: Person, call: Call) -> SignedIn:
        """Return a person's new session with the cookie of its browser, and inform the person of a new browser."""
        sealer, session = self.store.sealer, signed_in.session
        if not browser_of(sealer, cookie, person, "password"):
            self.notifications.send("new_browser", person.arn, call)
        if session.task == "factor":
            return signed_in
        return replace(signed_in, browser=with_person(sealer, cookie, person, has_factor=session.mfa_at is not None))

    def go_on(
        self,
        session: BrowserSession,
        call: Call,
        method: str,
        evidence: Evidence,
        device: str | None,
        *,
        browser: str = "",
    ) -> SignedIn | None:
        """Return the session that replaces a session in which a second factor was just used; None if it is refused.

        One that is signed in already ends when it would have: only a password starts the time again. `browser` is the
        browser's cookie.
        """
        verified = VerifiedStep(person_of(session), evidence, follows=session.id)
        methods = (*(name for name in session.methods if name != method), method)
        not_after = session.expires if session.task is None else None
        signed_in = self.issue(verified, call, methods=methods, mfa_at=self.clock(), device=device, not_after=not_after)
        if signed_in is None:
            return None
        cookie = with_person(self.store.sealer, browser, verified.person, has_factor=True)
        return replace(signed_in, browser=cookie)

    def issue(
        self,
        verified: VerifiedStep,
        call: Call,
        *,
        methods: tuple[str, ...],
        mfa_at: datetime | None = None,
        device: str | None = None,
        not_after: datetime | None = None,
    ) -> SignedIn | None:
        """Return a new session of a person; None if what was verified does not hold any more.

        A session without a task is recorded as `ConsoleLogin`, and so is a refusal.
        """
        facts = {"LoginTo": call.path, "MobileVersion": "No", "MFAUsed": "No" if mfa_at is None else "Yes"}
        facts |= {} if device is None else {"MFAIdentifier": device}
        principal, agent = verified.person.principal(), call.user_agent or ""
        try:
            token, session = self.sessions.issue(
                verified,
                methods=methods,
                mfa_at=mfa_at,
                address=call.source_ip or "",
                user_agent=agent,
                not_after=not_after,
            )
        except AccessDenied as error:
            facts["Reason"] = error.message
            self.record(SignInEvent(name="ConsoleLogin", principal=principal, succeeded=False, facts=facts), call)
            return None
        if session.task is None:
            self._record_login(session, SignInEvent(name="ConsoleLogin", principal=principal, facts=facts), call)
        return SignedIn(token, session)

    def _record_login(self, session: BrowserSession, event: SignInEvent, call: Call) -> None:
        """Record a session whose token is not known yet, or end it. Raises `DecisionUnavailable`."""
        try:
            self.record(event, call)
        except IamGuardError:
            self.sessions.end_session(session)
            raise


def session_steps(
    store: RecordStore,
    sessions: BrowserSessions,
    settings: Settings,
    clock: Callable[[], datetime],
    audit: Callable[[SignInEvent, Call | None], None],
) -> SessionSteps:
    """Return the steps of a guard with these settings; the hasher is shared by the guards of a process."""
    hasher = shared_hasher(settings.password_memory, settings.password_passes, settings.password_hashes)
    return SessionSteps(store, sessions, hasher, clock, audit, Notifications(store, clock))

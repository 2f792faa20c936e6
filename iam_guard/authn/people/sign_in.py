"""The steps of a sign-in: a password, then a second factor if the person has one, then perhaps a new password.

    unknown, wrong password, refused for its guesses   the same answer, the same statements, one hash
    a second factor is enrolled                        a session with the task `factor`
    the password was reset, or has expired             a session with the task `password`
    otherwise                                          a session

A session with a task authorizes nothing but the task (`browser_sessions`). Each step makes a new token, and ends the
one before. Guesses are limited by `failed_attempts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from iam_guard.authn.people import failed_attempts as attempts
from iam_guard.authn.people import recovery_codes
from iam_guard.authn.people.browser_sessions import BrowserSession, BrowserSessions
from iam_guard.authn.people.factors import NewDevice, devices_of, enable_device, make_device
from iam_guard.authn.people.known_browsers import browser_of, with_person
from iam_guard.authn.people.one_time_codes import check_code
from iam_guard.authn.people.password_resets import end_resets, has_recent_reset, make_reset, person_of_reset
from iam_guard.authn.people.passwords import PasswordHasher
from iam_guard.authn.people.person import Person, find_person, person_of
from iam_guard.authn.people.stored_passwords import (
    find_profile,
    has_second_factor,
    password_state,
    policy_of,
    record_sign_in,
    renew_digest,
    set_password,
)
from iam_guard.model.arn import is_account_id
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Records, Row
from iam_guard.store.schema import mfa_devices

Task = Literal["factor", "password"]
_UNKNOWN: Final = Person("", "", "unknown")
"""Its rows are looked for like those of a person, so that an unknown name takes the same statements."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person typed to name itself: an e-mail address, or an account (id or alias) and a user name."""

    email: str | None = None
    account: str = ""
    username: str = ""

    @property
    def name(self) -> str:
        """The whole name as one text."""
        return self.email if self.email is not None else f"{self.account}/{self.username}"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. `token` is for the cookie, and shown only here; `session.task` is what must be done first.

    `browser` is the cookie of the browser, which the person is known to use from now on (`known_browsers`).
    """

    token: str = field(repr=False)
    session: BrowserSession
    browser: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class EnabledDevice:
    """The session after a device was enabled, and the recovery codes that were made, which are shown once."""

    signed_in: SignedIn
    recovery_codes: list[str] = field(repr=False)


class _Found(NamedTuple):
    """What a password is compared with. Without a person, the same rows were looked for."""

    person: Person | None
    profile: Row | None
    policy: Mapping[str, Any] | None
    has_factor: bool
    subject: str
    is_open: bool


class SignIn:
    """Signs people in to one store. Safe to share between threads; each call may wait for the store, and for a hash.

    Methods that make a session or change something raise `StoreUnavailable`, `ServerBusy` if too many passwords are
    compared, and `DecisionUnavailable` if a success can't be recorded.
    """

    def __init__(
        self,
        store: RecordStore,
        sessions: BrowserSessions,
        hasher: PasswordHasher,
        clock: Callable[[], datetime],
        record: Callable[[SignInEvent, Call | None], None],
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._hasher = hasher
        self._clock = clock
        self._record = record

    # --- a password ----------------------------------------------------------------------------------------------

    def with_password(self, typed: Typed, password: str, call: Call, *, browser: str = "") -> SignedIn | None:
        """Sign in with a password; None if it is refused, for whatever reason. `browser` is the browser's cookie."""
        now = self._now()
        with self._store.write_transaction() as records:
            found = self._find(records, typed, browser, now)
        person, profile = found.person, found.profile
        digest = None if profile is None else str(profile["digest"])
        is_right = self._hasher.matches(password, digest)
        state = "valid" if profile is None else password_state(profile, found.policy, now)
        if not (is_right and found.is_open and state != "locked_out") or person is None or profile is None:
            self._record(_failed(person, typed), call)
            return None
        with self._store.write_transaction() as records:
            current = find_profile(records, person)
            is_current = current is not None and current["digest"] == digest  # else changed during the comparison
            if is_current:
                attempts.clear(records, found.subject)
                record_sign_in(records, person, now)
        if not is_current:
            self._record(_failed(person, typed), call)
            return None
        if digest is not None and self._hasher.is_outdated(digest):
            renewed = self._hasher.digest(password, digest)
            with self._store.write_transaction() as records:
                renew_digest(records, person, password, outdated=digest, digest=renewed)
        must_change = state == "expired" or profile["reset_required"]
        task: Task | None = "factor" if found.has_factor else "password" if must_change else None
        signed_in = self._issue(person, call, methods=("password",), task=task)
        return replace(signed_in, browser=with_person(self._store.sealer, browser, person))

    def _find(self, records: Records, typed: Typed, browser: str, now: int) -> _Found:
        partition, email = self._store.partition, typed.email
        person = find_person(records, partition, email=email, account=typed.account, name=typed.username)
        sought = person or _UNKNOWN
        profile = find_profile(records, sought)
        policy = policy_of(records, sought)
        has_factor = has_second_factor(records, sought)
        known = browser_of(self._store.sealer, browser, person)
        subject = attempts.guess_subject(person, typed.name, "password", known)
        return _Found(person, profile, policy, has_factor, subject, attempts.is_open(records, subject, now))

    # --- a second factor -----------------------------------------------------------------------------------------

    def with_code(self, session: BrowserSession, code: str, call: Call) -> SignedIn | None:
        """Continue a sign-in, or renew the second factor of a session, with a code of a device; None if it is wrong."""

        def use(records: Records, person: Person, now: int) -> str | None:
            return self._use_code(records, person, code, now)

        return self._with_factor(session, call, "code", "totp", use)

    def with_recovery_code(self, session: BrowserSession, code: str, call: Call) -> SignedIn | None:
        """Continue a sign-in with a recovery code, which is used by it; None if it is wrong."""

        def use(records: Records, person: Person, now: int) -> str | None:
            return "recovery code" if recovery_codes.use_code(records, person, code, now) else None

        return self._with_factor(session, call, "recovery", "recovery", use)

    def _with_factor(
        self,
        session: BrowserSession,
        call: Call,
        secret: attempts.Secret,
        method: str,
        use: Callable[[Records, Person, int], str | None],
    ) -> SignedIn | None:
        now, person = self._now(), person_of(session.principal)
        subject = attempts.guess_subject(person, "", secret)
        with self._store.write_transaction() as records:
            is_open = attempts.is_open(records, subject, now)
            device = use(records, person, now) if is_open else None
            if device is not None:
                attempts.clear(records, subject)
            profile, policy = find_profile(records, person), policy_of(records, person)
        facts = {"MfaType": method, **({} if device is None else {"MFAIdentifier": device})}
        is_done = device is not None and profile is not None
        self._record(SignInEvent(name="CheckMfa", principal=person.principal(), succeeded=is_done, facts=facts), call)
        if not is_done or profile is None:
            if not is_open:
                self._sessions.end(session.id, person)  # the next guess needs the password again
            return None
        must_change = profile["reset_required"] or password_state(profile, policy, now) != "valid"
        return self._go_on(session, call, method, "password" if must_change else None, device)

    def _use_code(self, records: Records, person: Person, code: str, now: int) -> str | None:
        """Consume a code of one of the person's devices; return the serial number of the device."""
        for row in devices_of(records, person):
            step = check_code(row, code, now, self._store.sealer)
            if step is not None:
                records.update(mfa_devices, {"last_step": step}, serial=row["serial"])
                return str(row["serial"])
        return None

    # --- what a person changes -----------------------------------------------------------------------------------

    def change_password(self, session: BrowserSession, old: str, new: str, call: Call) -> SignedIn | str:
        """Change the password of a session's person; its other sessions end. A text says why it is refused.

        A session with the task `password` goes on without it; one with the task `factor` can't.
        """
        now, person = self._now(), person_of(session.principal)
        subject = attempts.guess_subject(person, "", "password", session.id)
        with self._store.write_transaction() as records:
            is_open = attempts.is_open(records, subject, now)
            profile = find_profile(records, person)
        digest = None if profile is None else profile["digest"]
        if not (self._hasher.matches(old, digest) and is_open and session.task != "factor"):
            return "refused"
        with self._store.write_transaction() as records:
            problem = set_password(records, self._hasher, person, new, now, reset_required=False)
            if problem is not None:
                return problem
            attempts.clear(records, subject)
        self._record(SignInEvent(name="PasswordUpdated", principal=person.principal()), call)
        signed_in = self._issue(person, call, methods=session.methods, task=None, mfa_at=session.mfa_at)
        self._sessions.end_all(person, but=signed_in.session.id)
        return signed_in

    def make_reset(self, person: Person, made_by: str) -> str:
        """Return the token of a link that lets a person choose a new password; `made_by` is an administrator's ARN."""
        with self._store.write_transaction() as records:
            return make_reset(records, person, self._now(), made_by)

    def request_reset(self, email: str) -> str | None:
        """Return the token of a link to send to a root user's address; None if it is unknown, or has just got one."""
        now = self._now()
        with self._store.write_transaction() as records:
            person = find_person(records, self._store.partition, email=email)
            if person is None or has_recent_reset(records, person, now):
                return None
            return make_reset(records, person, now, None)

    def reset_password(self, token: str, new: str, call: Call) -> str | None:
        """Set a new password with the token of a link; return why it is refused, None if it is done."""
        now = self._now()
        with self._store.write_transaction() as records:
            person = person_of_reset(records, self._store.partition, token, now)
            if person is None:
                return "reset_over"
            problem = set_password(records, self._hasher, person, new, now, reset_required=False)
            if problem is not None:
                return problem
            end_resets(records, person)
        self._record(SignInEvent(name="PasswordUpdated", principal=person.principal()), call)
        return None

    def may_all_change_passwords(self, session: BrowserSession) -> bool:
        """Return whether the account of a session's person lets all its users change their passwords (R-20)."""
        person = person_of(session.principal)
        with self._store.read_transaction() as records:
            policy = policy_of(records, person)
        is_limited = session.principal.has_boundary or session.principal.session_policies is not None
        return policy is not None and bool(policy["AllowUsersToChangePassword"]) and not is_limited

    def devices(self, session: BrowserSession) -> list[str]:
        """Return the serial numbers of the person's enabled devices."""
        with self._store.read_transaction() as records:
            return [row["serial"] for row in devices_of(records, person_of(session.principal))]

    def new_device(self, session: BrowserSession) -> NewDevice:
        """Make an authenticator app for the person, which `enable_device` enables."""
        with self._store.write_transaction() as records:
            return make_device(records, self._store.sealer, person_of(session.principal), self._now())

    def enable_device(
        self, session: BrowserSession, serial: str, codes: tuple[str, str], call: Call
    ) -> EnabledDevice | None:
        """Enable a device with two codes in a row; None if they are wrong. The first one comes with recovery codes.

        A session with a task can't: else a password alone would replace the second factor that is asked for.
        """
        if session.task is not None:
            return None
        now, person = self._now(), person_of(session.principal)
        with self._store.write_transaction() as records:
            is_first = not devices_of(records, person)
            if not enable_device(records, self._store.sealer, person, serial, codes, now):
                return None
            made = recovery_codes.replace_codes(records, person, now) if is_first else []
        facts = {"MFAIdentifier": serial}
        self._record(SignInEvent(name="MfaEnrolled", principal=person.principal(), facts=facts), call)
        return EnabledDevice(self._go_on(session, call, "totp", None, serial), made)

    def sign_out(self, session: BrowserSession, call: Call) -> None:
        """End a session."""
        self._sessions.end(session.id, person_of(session.principal))
        self._record(SignInEvent(name="ExitSession", principal=session.principal), call)

    # --- sessions ------------------------------------------------------------------------------------------------

    def _go_on(
        self, session: BrowserSession, call: Call, method: str, task: Task | None, device: str | None
    ) -> SignedIn:
        """Return the session that follows a session in which a second factor was just used."""
        person = person_of(session.principal)
        methods = (*(name for name in session.methods if name != method), method)
        signed_in = self._issue(person, call, methods=methods, task=task, mfa_at=self._clock(), device=device)
        self._sessions.end(session.id, person)
        return signed_in

    def _issue(
        self,
        person: Person,
        call: Call,
        *,
        methods: tuple[str, ...],
        task: Task | None,
        mfa_at: datetime | None = None,
        device: str | None = None,
    ) -> SignedIn:
        if task is None:
            facts = {"LoginTo": call.path, "MobileVersion": "No", "MFAUsed": "No" if mfa_at is None else "Yes"}
            facts |= {} if device is None else {"MFAIdentifier": device}
            self._record(SignInEvent(name="ConsoleLogin", principal=person.principal(), facts=facts), call)
        address, user_agent = call.source_ip or "", call.user_agent or ""
        token, session = self._sessions.issue(
            person, methods=methods, mfa_at=mfa_at, address=address, user_agent=user_agent, task=task
        )
        return SignedIn(token, session)

    def _now(self) -> int:
        return int(self._clock().timestamp())


def _failed(person: Person | None, typed: Typed) -> SignInEvent:
    account = typed.account if is_account_id(typed.account) else None
    principal = None if person is None else person.principal()
    return SignInEvent(name="ConsoleLogin", principal=principal, account=account, succeeded=False)

"""The steps of a sign-in: a password, then a second factor if the person has one, and what else must be done.

An unknown name, a wrong password and a refused guess have the same answer, after the same statements and one hash. A
right one gets a session, with what `next_task` says must be done first. Each step makes a new token, and ends the one
before. Guesses are limited by `failed_attempts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from iam_guard.authn.people.known_browsers import browser_of
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.passwords import unmatchable
from iam_guard.authn.people.passwords.stored_passwords import (
    find_profile,
    may_sign_in,
    password_state,
    policy_of,
    record_sign_in,
    renew_digest,
)
from iam_guard.authn.people.person import Person, find_person, person_of, similar_digest, stand_in
from iam_guard.authn.people.second_factors import recovery_codes
from iam_guard.authn.people.second_factors.factors import FactorUse, device_evidence, devices_of
from iam_guard.authn.people.second_factors.one_time_codes import check_code
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.session_admission import next_task
from iam_guard.authn.people.sessions.session_steps import SessionSteps, SignedIn, was_ended
from iam_guard.authn.people.verified_steps import Evidence, VerifiedStep, password_evidence
from iam_guard.errors import AccountNotActive
from iam_guard.model.account import AccountState
from iam_guard.model.arn import is_account_id
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.store.accounts.account_state_rows import account_state
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import mfa_devices


@dataclass(frozen=True, slots=True)
class TypedName:
    """What a person typed to name itself: an e-mail address, or an account (id or alias) and a user name."""

    email: str | None = None
    account: str = ""
    username: str = ""

    @property
    def name(self) -> str:
        """The whole name as one text."""
        return self.email if self.email is not None else f"{self.account}/{self.username}"


class _Found(NamedTuple):
    """What a password is compared with. Without a person, the same rows were looked for."""

    person: Person | None
    profile: Row | None
    policy: Mapping[str, Any] | None
    similar: str | None
    """A digest that costs what one of a person with such a name may cost."""
    subject: str
    is_open: bool
    is_last: bool
    """Whether this was the last guess, unless the password is right."""


class SignIn:
    """Signs people in to one store. Safe to share between threads; each call may wait for the store, and for a hash.

    Methods that make a session or change something raise `StoreUnavailable`, `ServerBusy` if too many passwords are
    compared, and `DecisionUnavailable` if a success can't be recorded.
    """

    def __init__(self, steps: SessionSteps) -> None:
        self._steps = steps
        self._store = steps.store

    # --- a password ----------------------------------------------------------------------------------------------

    def with_password(self, typed: TypedName, password: str, call: Call, *, browser: str = "") -> SignedIn | None:
        """Sign in with a password; None if it is refused, for whatever reason. `browser` is the browser's cookie.

        Raises `AccountNotActive` for the right password of a person who needs no second factor, in an account that is
        not active; with a second factor, which would have to be checked first, it is refused.
        """
        now = self._steps.now()
        with self._store.write_transaction() as records:
            found = self._find(records, typed, browser, now)
        person, profile = found.person, found.profile
        digest = None if profile is None else str(profile["digest"])
        is_right = self._steps.hasher.matches(password, unmatchable(found.similar) if digest is None else digest)
        is_locked = profile is not None and password_state(profile, found.policy, now) == "locked_out"
        if not (is_right and found.is_open and not is_locked) or person is None or profile is None:
            self._steps.record(_failed(person, typed), call)
            if found.is_last and person is not None:
                self._steps.notifications.send("guesses_exhausted", person.arn, call)
            return None
        renewed = self._renewed(password, str(profile["digest"]))
        evidence = password_evidence(profile, *renewed)
        with self._store.write_transaction() as records:
            is_current = evidence.find_unchanged(records) is not None  # else changed during the comparison
            state = account_state(records, person.account)
            if is_current and state is AccountState.ACTIVE:
                attempts.clear(records, found.subject)
                record_sign_in(records, person, now)
                for better in renewed:
                    renew_digest(records, person, password, outdated=profile["digest"], digest=better)
            task = next_task(records, person, now, has_used_factor=False)
        if not is_current or state is not AccountState.ACTIVE:
            self._steps.record(_failed(person, typed), call)
            if is_current and state is not None and task != "factor":
                raise AccountNotActive(state)
            return None
        signed_in = self._steps.issue(VerifiedStep(person, evidence), call, methods=("password",))
        return None if signed_in is None else self._steps.remember_browser(signed_in, browser, person, call)

    def _renewed(self, password: str, digest: str) -> tuple[str, ...]:
        """Return the digest of the same password that replaces an outdated one; empty for a current one.

        It has the same salt, so sign-ins at the same time compute the same one.
        """
        hasher = self._steps.hasher
        return (hasher.digest(password, digest),) if hasher.is_outdated(digest) else ()

    def _find(self, records: Records, typed: TypedName, browser: str, now: int) -> _Found:
        partition, email = self._store.partition, typed.email
        person = find_person(records, partition, email=email, account=typed.account, name=typed.username)
        sought = person or stand_in(records, partition, email=email, account=typed.account)
        profile = find_profile(records, sought)
        policy = policy_of(records, sought)
        similar = similar_digest(records, email=email, account=typed.account, name=typed.username)
        known = browser_of(self._store.sealer, browser, person, "password")
        subject = attempts.guess_subject(person, typed.name, "password", known)
        is_open = attempts.is_open(records, subject, now)
        is_last = attempts.is_exhausted(records, subject) and is_open  # in this order, for the same statements
        return _Found(person, profile, policy, similar, subject, is_open, is_last)

    # --- a second factor -----------------------------------------------------------------------------------------

    def with_code(self, session: BrowserSession, code: str, call: Call, *, browser: str = "") -> SignedIn | None:
        """Continue a sign-in, or renew the second factor of a session, with a code of a device; None if it is wrong.

        `browser` is the browser's cookie, as in all steps.
        """

        def use(records: Records, person: Person, now: int) -> FactorUse:
            row = self._use_code(records, person, code, now)
            return _factor_use("totp") if row is None else _factor_use("totp", device_evidence(row), row["serial"])

        return self.with_factor(session, call, "code", "totp", use, browser=browser)

    def with_recovery_code(
        self, session: BrowserSession, code: str, call: Call, *, browser: str = ""
    ) -> SignedIn | None:
        """Continue a sign-in with a recovery code, which is used by it; None if it is wrong."""

        def use(records: Records, person: Person, now: int) -> FactorUse:
            return _factor_use("recovery", recovery_codes.use_code(records, person, code, now), "recovery code")

        return self.with_factor(session, call, "recovery", "recovery", use, browser=browser)

    def with_factor(
        self,
        session: BrowserSession,
        call: Call,
        secret: attempts.Secret,
        method: str,
        use: Callable[[Records, Person, int], FactorUse],
        *,
        browser: str = "",
    ) -> SignedIn | None:
        """Continue a session with a second factor that `use` checks and consumes; None if it is wrong."""
        now, person = self._steps.now(), person_of(session)
        known = browser_of(self._store.sealer, browser, person, secret)
        subject = attempts.guess_subject(person, "", secret, known)
        with self._store.write_transaction() as records:
            is_open = attempts.is_open(records, subject, now)
            used = use(records, person, now) if is_open else _factor_use(method)
            if used.succeeded:
                attempts.clear(records, subject)
            is_admitted = may_sign_in(records, person, now) and not was_ended(records, session)
            is_last = is_open and attempts.is_exhausted(records, subject)
        evidence = used.evidence if is_admitted else None
        is_done = evidence is not None
        self._steps.record(
            SignInEvent(name="CheckMfa", principal=person.principal(), succeeded=is_done, facts=used.facts), call
        )
        if evidence is None:
            if is_last:
                self._steps.notifications.send("guesses_exhausted", person.arn, call)
            if not is_open:
                self._steps.sessions.end(session.id, person)  # the next guess needs the password again
            return None
        return self._steps.go_on(session, call, method, evidence, used.facts["MFAIdentifier"], browser=browser)

    def _use_code(self, records: Records, person: Person, code: str, now: int) -> Row | None:
        """Consume a code of one of the person's devices; return the row of the device."""
        for row in devices_of(records, person):
            step = check_code(row, code, now, self._store.sealer)
            if step is not None:
                records.update(mfa_devices, {"last_step": step}, serial=row["serial"])
                return row
        return None

    def sign_out(self, session: BrowserSession, call: Call) -> None:
        """End a session."""
        self._steps.sessions.end_session(session)
        self._steps.record(SignInEvent(name="ExitSession", principal=session.principal), call)


def _factor_use(kind: str, evidence: Evidence | None = None, device: str = "") -> FactorUse:
    return FactorUse(evidence, {"MfaType": kind, **({} if evidence is None else {"MFAIdentifier": device})})


def _failed(person: Person | None, typed: TypedName) -> SignInEvent:
    named = typed.account.strip()
    account = named if is_account_id(named) else None
    principal = None if person is None else person.principal()
    return SignInEvent(name="ConsoleLogin", principal=principal, account=account, succeeded=False)

"""What people do with passkeys and security keys: sign in with them, and add them.

    sign in             a passkey alone, which verifies its owner: no password, and no second factor
    second factor       one of the person's keys, after the password
    add                 a session without a task, and with a second factor if the person has one

A sign-in with a passkey leaves the password out: neither an expired one nor one that was reset has to be changed first.
It has to be at the next sign-in with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iam_guard.authn.people.known_browsers import browser_of
from iam_guard.authn.people.own_credentials import EnabledDevice
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.stored_passwords import may_sign_in
from iam_guard.authn.people.person import Person, load_person, person_of
from iam_guard.authn.people.second_factors.factors import FactorUse
from iam_guard.authn.people.second_factors.passkey_challenges import Ceremony, Kind, RelyingParty
from iam_guard.authn.people.second_factors.passkeys import (
    PasskeyAnswer,
    add_passkey,
    creation_options,
    passkey_evidence,
    passkey_kind,
    passkeys_of,
    read_answer,
    request_options,
    use_passkey,
)
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.session_steps import (
    FactorRefusal,
    SessionSteps,
    SignedIn,
    codes_of_first_factor,
    refusal_of_new_factor,
)
from iam_guard.authn.people.sign_in import SignIn
from iam_guard.authn.people.verified_steps import VerifiedStep
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.store.accounts.account_state_rows import is_active, require_accepted
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import passkeys

_NOT_ACTIVE = "AccountNotActive"


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What a person wants to add, and what the browser answered."""

    kind: Kind
    name: str
    answer: str


class PasskeySteps:
    """The steps with passkeys in one store. Safe to share between threads; raises as `SignIn` does."""

    def __init__(self, steps: SessionSteps) -> None:
        self._steps = steps
        self._store = steps.store
        self._sign_in = SignIn(steps)

    # --- sign in -------------------------------------------------------------------------------------------------

    def sign_in_options(self, party: RelyingParty, binding: str) -> Any:
        """Return the browser's options for a sign-in with a passkey alone; `binding` identifies the form."""
        return request_options(party, None, self._challenge(Ceremony(party, "sign in", binding)))

    def sign_in(
        self, party: RelyingParty, binding: str, text: str, call: Call, *, browser: str = ""
    ) -> SignedIn | None:
        """Sign in with a passkey alone; None if it is refused, for whatever reason.

        Raises `AccountNotActive` for a passkey that was verified, of a person in an account that is not active.
        """
        ceremony, answer = Ceremony(party, "sign in", binding), read_answer(text)
        issued = None if answer is None else self._issued(ceremony, answer)
        if answer is None or issued is None:  # nothing is looked up
            self._record_check(None, FactorUse(None, {"MfaType": "passkey", "Reason": "InvalidChallenge"}), call)
            return None
        person, used = self._use_alone(ceremony, answer, issued, call, browser=browser)
        self._record_check(person, used, call)
        if person is None or used.evidence is None:
            if person is not None and used.facts.get("Reason") == _NOT_ACTIVE:
                with self._store.read_transaction() as records:
                    require_accepted(records, person.account)
            return None
        device, now = used.facts["MFAIdentifier"], self._steps.clock()
        verified = VerifiedStep(person, used.evidence, leaves_password_out=True)
        signed_in = self._steps.issue(verified, call, methods=("passkey",), mfa_at=now, device=device)
        return None if signed_in is None else self._steps.remember_browser(signed_in, browser, person, call)

    def _use_alone(
        self, ceremony: Ceremony, answer: PasskeyAnswer, issued: int, call: Call, *, browser: str
    ) -> tuple[Person | None, FactorUse]:
        now, partition = self._steps.now(), self._store.partition
        with self._store.write_transaction() as records:
            row = records.one(passkeys, id=answer.id)
            person = None if row is None else load_person(records, partition, row["account"], row["user_id"])
            known = browser_of(self._store.sealer, browser, person, "passkey")
            subject = attempts.guess_subject(person, answer.id, "passkey", known)
            is_open = attempts.is_open(records, subject, now)
            if row is None or person is None:
                return None, FactorUse(None, {"MfaType": "passkey", "Reason": "UnknownKey"})
            if not is_open:
                return person, _refused(row, "TooManyTries")
            is_closed = not is_active(records, person.account)
            if not is_closed and not may_sign_in(records, person, now):
                return person, _refused(row, "MayNotSignIn")
            used = _use(records, row, ceremony, answer, issued=issued, owner=person, now=now)
            if used.succeeded:
                attempts.clear(records, subject)
                used = _refused(row, _NOT_ACTIVE) if is_closed else used
            elif attempts.is_exhausted(records, subject):
                self._steps.notifications.send("guesses_exhausted", person.arn, call)
            return person, used

    # --- a second factor -----------------------------------------------------------------------------------------

    def factor_options(self, session: BrowserSession, party: RelyingParty) -> Any:
        """Return the browser's options to use one of the person's keys as second factor."""
        challenge = self._challenge(Ceremony(party, "second factor", session.id))
        return request_options(party, self.of(session), challenge)

    def with_passkey(
        self, session: BrowserSession, party: RelyingParty, text: str, call: Call, *, browser: str = ""
    ) -> SignedIn | None:
        """Continue a sign-in, or renew the second factor of a session, with one of the person's keys."""
        ceremony, answer = Ceremony(party, "second factor", session.id), read_answer(text)
        issued = None if answer is None else self._issued(ceremony, answer)

        def use(records: Records, person: Person, now: int) -> FactorUse:
            if answer is None or issued is None:
                return FactorUse(None, {"MfaType": "passkey", "Reason": "InvalidChallenge"})
            row = records.one(passkeys, id=answer.id, **person.where)
            if row is None:
                return FactorUse(None, {"MfaType": "passkey", "Reason": "UnknownKey"})
            return _use(records, row, ceremony, answer, issued=issued, owner=person, now=now)

        return self._sign_in.with_factor(session, call, "passkey", "passkey", use, browser=browser)

    # --- own keys ------------------------------------------------------------------------------------------------

    def of(self, session: BrowserSession) -> list[Row]:
        """Return the keys of a session's person."""
        with self._store.read_transaction() as records:
            return passkeys_of(records, person_of(session))

    def creation_options(self, session: BrowserSession, party: RelyingParty, kind: Kind) -> Any:
        """Return the browser's options to make a key."""
        challenge = self._challenge(Ceremony(party, kind, session.id))
        return creation_options(party, kind, person_of(session), self.of(session), challenge)

    def add(
        self, session: BrowserSession, party: RelyingParty, new: NewPasskey, call: Call, *, browser: str = ""
    ) -> EnabledDevice | FactorRefusal:
        """Store a key that a browser has made. The first second factor of a person comes with recovery codes."""
        now, person = self._steps.now(), person_of(session)
        ceremony, answer = Ceremony(party, new.kind, session.id), read_answer(new.answer)
        if answer is None or self._issued(ceremony, answer) is None:
            return "refused"
        with self._store.write_transaction() as records:
            refusal = refusal_of_new_factor(records, session, person)
            if refusal is not None:
                return refusal
            row = add_passkey(records, person, ceremony, answer, kind=new.kind, name=new.name, now=now)
            if row is not None:
                attempts.clear_all(records, person, "passkey")
            codes = [] if row is None else codes_of_first_factor(records, person, now)
        facts = {"MfaType": new.kind} if row is None else _facts(row)
        succeeded, principal = row is not None, person.principal()
        self._steps.record(SignInEvent(name="MfaEnrolled", principal=principal, succeeded=succeeded, facts=facts), call)
        if row is None:
            return "refused"
        evidence = passkey_evidence(row)
        signed_in = self._steps.go_on(session, call, "passkey", evidence, row["serial"], browser=browser)
        return "refused" if signed_in is None else EnabledDevice(signed_in, codes)

    # --- shared --------------------------------------------------------------------------------------------------

    def _challenge(self, ceremony: Ceremony) -> bytes:
        return ceremony.challenge(self._store.sealer, self._steps.clock())

    def _issued(self, ceremony: Ceremony, answer: PasskeyAnswer) -> int | None:
        return ceremony.issued(self._store.sealer, answer.challenge, self._steps.clock())

    def _record_check(self, person: Person | None, used: FactorUse, call: Call) -> None:
        principal = None if person is None else person.principal()
        event = SignInEvent(name="CheckMfa", principal=principal, succeeded=used.succeeded, facts=used.facts)
        self._steps.record(event, call)


def _use(
    records: Records, row: Row, ceremony: Ceremony, answer: PasskeyAnswer, *, issued: int, owner: Person, now: int
) -> FactorUse:
    reason = use_passkey(records, row, ceremony, answer, issued=issued, owner=owner, now=now)
    return FactorUse(passkey_evidence(row), _facts(row)) if reason is None else _refused(row, reason)


def _facts(row: Row) -> dict[str, str]:
    return {"MfaType": passkey_kind(row), "MFAIdentifier": row["serial"]}


def _refused(row: Row, reason: str) -> FactorUse:
    return FactorUse(None, {**_facts(row), "Reason": reason})

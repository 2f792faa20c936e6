"""What people change about their own credentials: the password, also by a link, and the second factors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.password_resets import (
    LinkedPerson,
    create_link,
    make_reset,
    may_request,
    may_send,
    person_of_link,
)
from iam_guard.authn.people.passwords.stored_passwords import (
    find_profile,
    follow_removal_of_factor,
    hash_password,
    may_sign_in,
    policy_of,
    set_password,
)
from iam_guard.authn.people.person import PersonRef, find_person, person_of
from iam_guard.authn.people.second_factors.factors import NewDevice, devices_of, enable_device, make_device
from iam_guard.authn.people.second_factors.passkeys import passkey_kind
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.session_steps import (
    FactorRefusal,
    SessionSteps,
    SignedIn,
    codes_of_first_factor,
    refusal_of_new_factor,
    was_ended,
)
from iam_guard.authn.people.verified_steps import VerifiedStep, password_evidence
from iam_guard.model.account import AccountState
from iam_guard.model.request import Call
from iam_guard.model.result import ChangeRecorder
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.store.database.records import PRESENT, Row
from iam_guard.store.schema import accounts, mfa_devices, passkeys


@dataclass(frozen=True, slots=True)
class EnabledDevice:
    """The session after a device was enabled, and the recovery codes that were made, which are shown once."""

    signed_in: SignedIn
    recovery_codes: list[str] = field(repr=False)


class ResetMail(NamedTuple):
    """A link to send: the token, and the address of the root user as stored, which may differ from the typed one."""

    email: str
    token: str


class RemovedFactor(NamedTuple):
    """A second factor that was removed; `passkey` is the credential id of a passkey, for its browser, else empty."""

    passkey: str


class OwnCredentials:
    """Changes of people's own credentials in one store. Safe to share between threads; raises as `SignIn` does."""

    def __init__(self, steps: SessionSteps, change_recorder: ChangeRecorder) -> None:
        self._steps = steps
        self._change_recorder = change_recorder
        self._store = steps.store

    def change_password(self, session: BrowserSession, old: str, new: str, call: Call) -> SignedIn | str:
        """Change the password of a session's person; its other sessions end. A text says why it is refused.

        A session with the task `password` goes on to what follows; one with another task can't.
        """
        now, person = self._steps.now(), person_of(session)
        subject = attempts.guess_subject(person, "", "password", attempts.SESSIONS)
        with self._store.write_transaction() as records:
            is_open = attempts.is_open(records, subject, now)
            profile = find_profile(records, person)
            is_admitted = may_sign_in(records, person, now)
        digest = None if profile is None else profile["digest"]
        is_right = self._steps.hasher.matches(old, digest) and session.task in (None, "password")
        if profile is None or not (is_right and is_open and is_admitted):
            return "refused"
        hashed = hash_password(self._store, self._steps.hasher, person, new)
        with self._store.write_transaction() as records:
            if was_ended(records, session) or password_evidence(profile).find_unchanged(records) is None:
                return "refused"
            attempts.clear(records, subject)
            if isinstance(hashed, str):
                return hashed
            problem = set_password(records, person, hashed, now, reset_required=False)
            if problem is not None:
                return problem
        self._steps.record(SignInEvent(name="PasswordUpdated", principal=person.principal()), call)
        verified = VerifiedStep(person, password_evidence({"owner": person.owner, "digest": hashed.digest}))
        return self._steps.issue(verified, call, methods=session.methods, mfa_at=session.mfa_at) or "refused"

    def make_reset(self, person: PersonRef, made_by: str) -> str:
        """Return the token of a link that lets a person choose another password; `made_by` is an administrator's ARN.

        The caller must have checked that the administrator may; the client of the service `iam-guard` decides that.
        The audit trail has the link without its token. Raises `NoSuchEntity`, also for a person without a password;
        `StoreIsReadOnly`.
        """
        return create_link(self._store, self._change_recorder, person, self._steps.now(), made_by)

    def make_invitation(self, person: PersonRef, made_by: str) -> str:
        """Return the token of a link that lets a user without a password choose the first one; as `make_reset`.

        Raises `EntityAlreadyExists` for a user with a password, `InvalidInput` for a root user.
        """
        return create_link(self._store, self._change_recorder, person, self._steps.now(), made_by, invites=True)

    def person_of_link(self, token: str) -> LinkedPerson | None:
        """Return whose link it is, and its kind; None for one that is not valid."""
        with self._store.read_transaction() as records:
            return person_of_link(records, self._store.partition, token, self._steps.now())

    def request_reset(self, email: str, call: Call) -> ResetMail | None:
        """Return the link to send to a root user; None if the address is unknown, or a limit is reached.

        Also None for a root user without a password, which a link would make.
        """
        now = self._steps.now()
        with self._store.write_transaction() as records:
            if not may_request(records, call.source_ip, now):
                return None
            person = find_person(records, self._store.partition, email=email)
            account = None if person is None else records.one(accounts, id=person.account)
            if person is None or account is None or account["state"] != AccountState.ACTIVE:
                return None
            if find_profile(records, person) is None or not may_send(records, person, now):
                return None
            mail = ResetMail(account["email"], make_reset(records, person, now, None))
        self._steps.record(SignInEvent(name="PasswordRecoveryRequested", principal=person.principal()), call)
        return mail

    def reset_password(self, token: str, new: str, call: Call) -> str | None:
        """Set a password with the token of a link of any kind; return why it is refused, None if it is done."""
        now, partition, linked = self._steps.now(), self._store.partition, self.person_of_link(token)
        if linked is None:
            return "reset_over"
        person = linked.person
        hashed = hash_password(self._store, self._steps.hasher, person, new)
        if isinstance(hashed, str):
            return hashed
        with self._store.write_transaction() as records:
            if person_of_link(records, partition, token, now) != linked:
                return "reset_over"
            problem = set_password(records, person, hashed, now, reset_required=False)
            if problem is not None:
                return problem
        self._steps.record(SignInEvent(name="PasswordUpdated", principal=person.principal()), call)
        return None

    def may_all_change_passwords(self, session: BrowserSession) -> bool:
        """Return whether the account of a session's person lets all its users change their passwords (R-20)."""
        person = person_of(session)
        with self._store.read_transaction() as records:
            policy = policy_of(records, person)
        is_limited = session.principal.has_boundary or session.principal.session_policies is not None
        return policy is not None and bool(policy["AllowUsersToChangePassword"]) and not is_limited

    def devices(self, session: BrowserSession) -> list[Row]:
        """Return the rows of the person's enabled devices."""
        with self._store.read_transaction() as records:
            return devices_of(records, person_of(session))

    def new_device(self, session: BrowserSession) -> NewDevice:
        """Make an authenticator app for the person, which `enable_device` enables."""
        with self._store.write_transaction() as records:
            return make_device(records, self._store.sealer, person_of(session), self._steps.now())

    def enable_device(
        self, session: BrowserSession, serial: str, codes: tuple[str, str], call: Call, *, browser: str = ""
    ) -> EnabledDevice | FactorRefusal:
        """Enable a device with two codes in a row. The first second factor of a person comes with recovery codes."""
        now, person = self._steps.now(), person_of(session)
        with self._store.write_transaction() as records:
            refusal = refusal_of_new_factor(records, session, person)
            if refusal is not None:
                return refusal
            evidence = enable_device(records, self._store.sealer, person, serial, codes, now)
            if evidence is None:
                return "wrong_codes"
            made = codes_of_first_factor(records, person, now)
        facts = {"MFAIdentifier": serial}
        self._steps.record(SignInEvent(name="MfaEnrolled", principal=person.principal(), facts=facts), call)
        signed_in = self._steps.go_on(session, call, "totp", evidence, serial, browser=browser)
        return "refused" if signed_in is None else EnabledDevice(signed_in, made)

    def remove_factor(self, session: BrowserSession, serial: str, call: Call) -> RemovedFactor | FactorRefusal:
        """Remove an app, a passkey or a security key of the person, who has used a second factor in the session.

        With the last one, the recovery codes end, and a password that is short without it must be changed.
        """
        person = person_of(session)
        if session.mfa_at is None:
            return "needs_factor"
        with self._store.write_transaction() as records:
            if session.task is not None or was_ended(records, session):
                return "refused"
            key = records.one(passkeys, serial=serial, **person.where)
            owner = {**person.where, "for_root": person.user_id is None, "enabled": PRESENT}
            removed = records.delete(passkeys, serial=serial, **person.where)
            if not removed and not records.delete(mfa_devices, serial=serial, **owner):
                return "refused"
            follow_removal_of_factor(records, person)
        facts = {"MfaType": "totp" if key is None else passkey_kind(key), "MFAIdentifier": serial}
        self._steps.record(SignInEvent(name="MfaRemoved", principal=person.principal(), facts=facts), call)
        return RemovedFactor("" if key is None else key["id"])

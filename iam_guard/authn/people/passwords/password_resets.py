"""Links that set a password, once: made by an administrator, or sent to a root user's address.

A reset link replaces the password only, within an hour: it makes none for a person without one, and a second factor is
still asked for afterwards. An invitation link gives a user without a password the first one, within a week, and never a
root user. A link is void for a person who has a password meanwhile, or has none any more.

Any client can ask for a link by e-mail, so such a link ends no other, and these links are limited: for a client's
network, and for a person.
"""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.stored_passwords import find_profile
from iam_guard.authn.people.person import Person, PersonRef, load_person, person_named
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.errors import EntityAlreadyExists, InvalidInput, NoSuchEntity
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.accounts.account_state_rows import is_active
from iam_guard.store.database.records import Records
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import password_resets

SECONDS: Final = 3600
"""How long a reset link is valid."""
INVITATION_SECONDS: Final = 7 * 24 * 3600
"""How long an invitation link is valid."""
PAUSE: Final = 300
"""Seconds within which no other link is sent to a person."""
MAX_DAILY: Final = 5
"""Links that are sent to a person in a day."""
MAX_HOURLY: Final = 20
"""Requests for links that are accepted from a client's network in an hour."""
_DAY: Final = 24 * 60 * 60
_TOKEN_BYTES: Final = 32


def create_link(
    store: RecordStore,
    change_recorder: ChangeRecorder,
    named: PersonRef,
    now: int,
    made_by: str,
    *,
    invites: bool = False,
) -> str:
    """Return the token of a link that an administrator makes; the audit trail has who made it, without the link.

    Raises `NoSuchEntity`, `StoreIsReadOnly`, and what `make_reset` or, with `invites`, `make_invitation` raises.
    """
    change_recorder.prepare()
    make = make_invitation if invites else make_reset
    with store.write_transaction() as records:
        person = person_named(records, store.partition, named)
        token = make(records, person, now, made_by)
    user = {} if person.name is None else {"userName": person.name}
    change_recorder.record(
        CallResult(
            action="iam-guard:CreateInvitationLink" if invites else "iam-guard:CreateResetLink",
            resource=person.arn,
            owner=person.account,
            parameters={"accountId": person.account, **user, "madeBy": made_by},
            epoch=records.epoch,
        )
    )
    return token


def make_reset(records: Records, person: Person, now: int, made_by: str | None) -> str:
    """Return the token of a new link for another password, which is not stored.

    `made_by` is the administrator, whose link ends the earlier ones; None for a link that is sent by e-mail. Raises
    `NoSuchEntity` for a person without a password.
    """
    if find_profile(records, person) is None:
        owner, remedy = "user", "aws iam create-login-profile"
        if person.user_id is None:
            owner, remedy = "root user", "iam-guard account root-password"
        raise NoSuchEntity(f"the {owner} has no password to reset: set the first one with `{remedy}`")
    return _make(records, person, now, now + SECONDS, made_by=made_by, is_invitation=None)


def make_invitation(records: Records, person: Person, now: int, made_by: str) -> str:
    """Return the token of a new link for the first password of a user, which ends the earlier links.

    Raises `EntityAlreadyExists` for a user with a password, `InvalidInput` for a root user.
    """
    if person.user_id is None:
        raise InvalidInput("expected a user: a root user is not invited")
    if find_profile(records, person) is not None:
        raise EntityAlreadyExists(f"The user {person.name} has a password already: make a link to reset it")
    return _make(records, person, now, now + INVITATION_SECONDS, made_by=made_by, is_invitation=True)


def _make(
    records: Records, person: Person, now: int, expires: int, *, made_by: str | None, is_invitation: bool | None
) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    rows = records.all(password_resets, columns=("digest", "expires"), **person.where)
    ended = [row["digest"] for row in rows if made_by is not None or now >= row["expires"]]
    records.delete(password_resets, digest=ended)
    records.insert(
        password_resets,
        digest=token_digest(token),
        created=now,
        expires=expires,
        made_by=made_by,
        is_invitation=is_invitation,
        **person.where,
    )
    return token


def address_of_link(settings: Settings, token: str) -> str:
    """Return the address of a link; without the setting `site_url`, its path."""
    return f"{settings.site_url}{(settings.sign_in_url or '/signin').rstrip('/')}/reset?token={token}"


class LinkedPerson(NamedTuple):
    """The person of a link, and whether it is for the first password."""

    person: Person
    is_invited: bool


def may_request(records: Records, address: str | None, now: int) -> bool:
    """Return whether a client may ask for a link now, and count that."""
    subject = attempts.network_subject(address, "reset")
    return attempts.is_within(records, subject, MAX_HOURLY, SECONDS, now)


def may_send(records: Records, person: Person, now: int) -> bool:
    """Return whether a link may be sent to a person now, and count that."""
    sent = records.all(password_resets, columns=("created", "made_by"), **person.where)
    if any(row["made_by"] is None and now - row["created"] < PAUSE for row in sent):
        return False
    return attempts.is_within(records, attempts.guess_subject(person, "", "reset"), MAX_DAILY, _DAY, now)


def person_of_link(records: Records, partition: str, token: str, now: int) -> LinkedPerson | None:
    """Return the person of a link; None if it was used, is over, or was never made.

    Also None if its account is not active, if the person of a reset link has no password any more, or if that of an
    invitation has one.
    """
    row = records.one(password_resets, digest=token_digest(token))
    if row is None or now >= row["expires"] or not is_active(records, row["account"]):
        return None
    person, is_invited = load_person(records, partition, row["account"], row["user_id"]), bool(row["is_invitation"])
    if person is None or (find_profile(records, person) is None) is not is_invited:
        return None
    return LinkedPerson(person, is_invited)

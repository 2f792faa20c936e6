"""Links that set a new password, once and within an hour: made by an administrator, or sent to a root user's address.

A link replaces the password only: it makes none for a person without one, and a second factor is still asked for
afterwards. Any client can ask for a link by e-mail, so such a link ends no other, and these links are limited: for a
client's network, and for a person.
"""

from __future__ import annotations

import secrets
from typing import Final

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.stored_passwords import find_profile
from iam_guard.authn.people.person import Person, load_person, require_stored
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.errors import NoSuchEntity
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.store.accounts.account_state_rows import is_active
from iam_guard.store.database.records import Records
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import password_resets

SECONDS: Final = 3600
"""How long a link is valid."""
PAUSE: Final = 300
"""Seconds within which no other link is sent to a person."""
MAX_DAILY: Final = 5
"""Links that are sent to a person in a day."""
MAX_HOURLY: Final = 20
"""Requests for links that are accepted from a client's network in an hour."""
_DAY: Final = 24 * 60 * 60
_TOKEN_BYTES: Final = 32


def create_reset(store: RecordStore, change_recorder: ChangeRecorder, person: Person, now: int, made_by: str) -> str:
    """Return the token of a link that an administrator makes; the audit trail has who made it, without the link.

    Raises `NoSuchEntity` for a person that was changed or deleted, or has no password; `StoreIsReadOnly`.
    """
    change_recorder.prepare()
    with store.write_transaction() as records:
        require_stored(records, store.partition, person)
        token = make_reset(records, person, now, made_by)
    user = {} if person.name is None else {"userName": person.name}
    change_recorder.record(
        CallResult(
            action="iam-guard:CreateResetLink",
            resource=person.arn,
            owner=person.account,
            parameters={"accountId": person.account, **user, "madeBy": made_by},
            epoch=records.epoch,
        )
    )
    return token


def make_reset(records: Records, person: Person, now: int, made_by: str | None) -> str:
    """Return the token of a new link, which is not stored.

    `made_by` is the administrator, whose link ends the earlier ones; None for a link that is sent by e-mail. Raises
    `NoSuchEntity` for a person without a password.
    """
    if find_profile(records, person) is None:
        owner, remedy = "user", "aws iam create-login-profile"
        if person.user_id is None:
            owner, remedy = "root user", "iam-guard account root-password"
        raise NoSuchEntity(f"the {owner} has no password to reset: set the first one with `{remedy}`")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    rows = records.all(password_resets, columns=("digest", "expires"), **person.where)
    ended = [row["digest"] for row in rows if made_by is not None or now >= row["expires"]]
    records.delete(password_resets, digest=ended)
    records.insert(
        password_resets,
        digest=token_digest(token),
        created=now,
        expires=now + SECONDS,
        made_by=made_by,
        **person.where,
    )
    return token


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


def person_of_reset(records: Records, partition: str, token: str, now: int) -> Person | None:
    """Return the person of a link; None if it was used, is over, or was never made.

    Also None if its account is not active, or the person has no password any more.
    """
    row = records.one(password_resets, digest=token_digest(token))
    if row is None or now >= row["expires"] or not is_active(records, row["account"]):
        return None
    person = load_person(records, partition, row["account"], row["user_id"])
    return person if person is not None and find_profile(records, person) is not None else None

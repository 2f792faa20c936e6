"""Links that set a new password, once and within an hour: made by an administrator, or sent to a root user's address.

A link replaces the password only. A second factor is still asked for afterwards.
"""

from __future__ import annotations

import secrets
from typing import Final

from iam_guard.authn.people.person import Person, load_person
from iam_guard.authn.session_cookie import token_digest
from iam_guard.store.records import Records
from iam_guard.store.schema import password_resets

SECONDS: Final = 3600
"""How long a link is valid."""
PAUSE: Final = 300
"""Seconds within which no other link is sent to a person."""
_TOKEN_BYTES: Final = 32


def make_reset(records: Records, person: Person, now: int, made_by: str | None) -> str:
    """Return the token of a new link, which is not stored; earlier links of the person end.

    `made_by` is the ARN of the administrator; None for a link that is sent by e-mail.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    records.delete(password_resets, **person.where)
    records.insert(
        password_resets,
        digest=token_digest(token),
        created=now,
        expires=now + SECONDS,
        made_by=made_by,
        **person.where,
    )
    return token


def has_recent_reset(records: Records, person: Person, now: int) -> bool:
    """Return whether a link was made for a person just now."""
    return any(now - row["created"] < PAUSE for row in records.all(password_resets, **person.where))


def person_of_reset(records: Records, partition: str, token: str, now: int) -> Person | None:
    """Return the person of a link; None if it was used, is over, or was never made."""
    row = records.one(password_resets, digest=token_digest(token))
    if row is None or now >= row["expires"]:
        return None
    return load_person(records, partition, row["account"], row["user_id"])


def end_resets(records: Records, person: Person) -> None:
    """End all links of a person."""
    records.delete(password_resets, **person.where)

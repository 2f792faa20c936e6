"""The tables of people who sign in: browser sessions, passkeys, recovery codes, and failed attempts.

Their owner is a user, or the root user of an account, for whom `user_id` is NULL. Tokens and codes are stored as
SHA-256 of at least 128 random bits, passwords as argon2id (`credentials`). Rules R-3, R-10, R-32.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, LargeBinary, String, Text

from iam_guard.store.schema.core import owned_by, required, table
from iam_guard.store.schema.facts import UNCACHED, Facts


def _of_a_person() -> list[Column[str]]:
    return [
        owned_by("accounts.id", "account", index=True),
        owned_by("identities.id", "user_id", optional=True, index=True),
    ]


browser_sessions = table(
    "browser_sessions",
    Facts(
        "session:{digest}",
        unread="seen address user_agent",
        owner="person",
        exported="id created seen expires mfa_at methods task address user_agent "
        "role_id role_session role_label role_since role_until",
        withheld="digest",
        recorded="id",
    ),
    # of the token in the cookie
    Column("digest", String(64), primary_key=True),
    # shown in lists and in the trail
    Column("id", String, nullable=False, unique=True),
    *_of_a_person(),
    # `expires`: at the latest; `seen`: the last use, to the minute
    *required(BigInteger, "created", "seen", "expires"),
    # the time of the last second factor; NULL: none
    Column("mfa_at", BigInteger),
    # how the person signed in: `password`, `totp`, `passkey`, `recovery`
    *required(JSON, "methods"),
    # what must be done before anything else: `factor`, `password` or `enrol`; NULL: nothing
    Column("task", String),
    *required(String, "address"),
    *required(Text, "user_agent"),
    # the role that the person switched to, with all columns below; NULL: none, with all columns below
    owned_by("identities.id", "role_id", optional=True, index=True),
    Column("role_session", String),
    # the person's name for it
    Column("role_label", String),
    Column("role_since", BigInteger),
    Column("role_until", BigInteger),
)

passkeys = table(
    "passkeys",
    Facts(
        UNCACHED,
        owner="person",
        exported="serial name created used transports is_discoverable is_synced",
        withheld="id public_key sign_count last_challenge",
        recorded="serial",
    ),
    # the credential id, in URL-safe base64
    Column("id", String, primary_key=True),
    *_of_a_person(),
    # the serial number in the IAM API, and the person's name for it
    Column("serial", String, nullable=False, unique=True),
    *required(String, "name"),
    *required(LargeBinary, "public_key"),
    *required(BigInteger, "sign_count", "created"),
    *required(JSON, "transports"),
    # whether it can sign in without a user name, and whether it is synchronized between devices
    *required(Boolean, "is_discoverable", "is_synced"),
    Column("used", BigInteger),
    # when the last challenge that it answered was issued, in microseconds: each counts once
    Column("last_challenge", BigInteger),
)

recovery_codes = table(
    "recovery_codes",
    Facts(UNCACHED, owner="person", exported="created used", withheld="digest"),
    Column("digest", String(64), primary_key=True),
    *_of_a_person(),
    *required(BigInteger, "created"),
    # NULL: not yet
    Column("used", BigInteger),
)

password_resets = table(
    "password_resets",
    Facts(UNCACHED, owner="person", exported="created expires made_by is_invitation", withheld="digest"),
    # of the token in the link
    Column("digest", String(64), primary_key=True),
    *_of_a_person(),
    *required(BigInteger, "created", "expires"),
    # the ARN of the administrator who made the link; NULL: sent by e-mail
    Column("made_by", String),
    # for the first password of a person without one; NULL: for another one
    Column("is_invitation", Boolean),
)

sign_in_failures = table(
    "sign_in_failures",
    Facts(
        UNCACHED,
        naming="the person's failures are exported and erased; those of a known browser expire",
        exported="failures last",
    ),
    # what is guessed: SHA-256 of a person's name, as typed, the kind of secret, and the browser if it is a known one
    Column("subject", String(64), primary_key=True),
    # in a row
    Column("failures", Integer, nullable=False),
    Column("last", BigInteger, nullable=False, index=True),
)

"""The passkeys and security keys of people in the store: offered to a browser, enrolled, used, removed (R-3, R-32).

A passkey verifies its owner, by a PIN or a fingerprint, when it is enrolled and when it replaces the password. What was
enrolled without is a security key, and stays a second factor. All functions run in the caller's transaction.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import import_module
from typing import Any, Final, NamedTuple

from iam_guard.authn.constant_time import same
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.second_factors.passkey_challenges import ALGORITHMS, Ceremony, Kind, RelyingParty
from iam_guard.authn.people.verified_steps import Evidence
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import random_id
from iam_guard.store.schema import passkeys

MAX_NAME: Final = 64
MAX_TEXT: Final = 16 * 1024
"""Characters of a browser's answer."""
MAX_ID: Final = 1364
"""Characters of a credential id: 1,023 bytes in base64."""
TIMEOUT: Final = 300_000
"""Milliseconds for which a browser waits for its person."""


class PasskeyAnswer(NamedTuple):
    """What a browser answered: as text, and the parts that are needed to verify it. Nothing in it is verified."""

    text: str
    id: str
    challenge: bytes
    user_handle: bytes | None
    is_cross_origin: bool


def read_answer(text: str) -> PasskeyAnswer | None:
    """Return an answer of a browser; None for a text that is none."""
    if len(text) > MAX_TEXT:
        return None
    try:
        members = json.loads(text)
        response = members["response"]
        client = json.loads(_decode(response["clientDataJSON"]))
        handle = response.get("userHandle")
        user_handle = None if handle is None else _decode(handle)
        crossed = client.get("crossOrigin") is not None and client["crossOrigin"] is not False
        id = members["id"]
        challenge = _decode(client["challenge"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID:
        return None
    _responses()  # takes a while at first, which it must not in the caller's transaction
    return PasskeyAnswer(text, id, challenge, user_handle, crossed or "topOrigin" in client)


def passkeys_of(records: Records, person: Person) -> list[Row]:
    """Return the passkeys and security keys of a person, the oldest first."""
    return records.all(passkeys, order=("created", "serial"), **person.where)


def passkey_kind(row: Row) -> Kind:
    """Return what a stored key is."""
    return "passkey" if row["is_discoverable"] else "security key"


def user_handle(person: Person) -> bytes:
    """Return what authenticators know a person by: it reveals no name, and never changes."""
    return hashlib.sha256(f"passkey owner 1\n{person.account}\n{person.owner}".encode()).digest()


# --- options for the browser -------------------------------------------------------------------------------------


def creation_options(party: RelyingParty, kind: Kind, person: Person, known: list[Row], challenge: bytes) -> Any:
    """Return the options with which a browser makes a key; it refuses an authenticator that has a key in `known`."""
    name = f"{person.name or 'root'} ({person.account})"
    is_passkey = kind == "passkey"
    return {
        "rp": {"id": party.id, "name": party.id},
        "user": {"id": _encode(user_handle(person)), "name": name, "displayName": name},
        "challenge": _encode(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": number} for number in ALGORITHMS],
        "timeout": TIMEOUT,
        "excludeCredentials": _descriptors(known),
        "authenticatorSelection": {
            "residentKey": "required" if is_passkey else "discouraged",
            "requireResidentKey": is_passkey,
            "userVerification": "required" if is_passkey else "discouraged",
            **({} if is_passkey else {"authenticatorAttachment": "cross-platform"}),
        },
        "attestation": "none",
    }


def request_options(party: RelyingParty, known: list[Row] | None, challenge: bytes) -> Any:
    """Return the options with which a browser uses one of these keys; None: any passkey, which verifies its owner."""
    return {
        "challenge": _encode(challenge),
        "timeout": TIMEOUT,
        "rpId": party.id,
        "allowCredentials": _descriptors(known or []),
        "userVerification": "required" if known is None else "discouraged",
    }


def _descriptors(rows: list[Row]) -> list[dict[str, Any]]:
    return [{"type": "public-key", "id": row["id"], "transports": row["transports"]} for row in rows]


# --- answers -----------------------------------------------------------------------------------------------------


def add_passkey(
    records: Records, person: Person, ceremony: Ceremony, answer: PasskeyAnswer, *, kind: Kind, name: str, now: int
) -> Row | None:
    """Store the key of an answer whose challenge is valid; return its row, None if the answer is not valid."""
    if answer.is_cross_origin:
        return None
    party, is_passkey, responses = ceremony.party, kind == "passkey", _responses()
    try:
        key = responses.enrolled_key(answer.text, answer.challenge, *party, verified_user=is_passkey)
    except Exception:  # noqa: BLE001  whatever is wrong with it, it is refused; the caller records that
        return None
    if records.one(passkeys, id=key.id) is not None:
        return None
    records.insert(
        passkeys,
        id=key.id,
        **person.where,
        serial=_new_serial(person, kind),
        name=_clean(name) or kind,
        public_key=key.public_key,
        sign_count=key.sign_count,
        created=now,
        transports=key.transports,
        is_discoverable=is_passkey,
        is_synced=key.is_synced,
    )
    return records.one(passkeys, id=key.id)


def use_passkey(
    records: Records, row: Row, ceremony: Ceremony, answer: PasskeyAnswer, *, issued: int, owner: Person, now: int
) -> str | None:
    """Accept an answer with a person's key, whose challenge was `issued` at that time; return why not, None if it is.

    The reason is for the audit trail. `row` may be older than a use at the same time: then the other one wins.
    """
    is_alone = ceremony.purpose == "sign in"
    if is_alone and (not row["is_discoverable"] or not same(answer.user_handle or b"", user_handle(owner))):
        return "NotAPasskey"
    if answer.is_cross_origin:
        return "OtherOrigin"
    responses = _responses()
    try:
        used = responses.used_key(
            answer.text, answer.challenge, *ceremony.party, public_key=row["public_key"], verified_user=is_alone
        )
    except Exception:  # noqa: BLE001  whatever is wrong with it, it is refused; the caller records that
        return "InvalidAnswer"
    if used.is_synced != row["is_synced"]:
        return "BackupEligibilityChanged"
    if row["sign_count"] > 0 and used.sign_count <= row["sign_count"]:
        return "CounterDidNotGrow"
    if row["last_challenge"] is not None and issued <= row["last_challenge"]:
        return "UsedChallenge"
    values = {"last_challenge": issued, "sign_count": used.sign_count, "used": now}
    unchanged = {"last_challenge": row["last_challenge"], "sign_count": row["sign_count"]}
    return None if records.update(passkeys, values, id=row["id"], **unchanged) == 1 else "UsedChallenge"


def passkey_evidence(row: Row) -> Evidence:
    """Return the evidence of a key whose answer was accepted: its owner and its public key."""
    return Evidence.of(passkeys, row, "account", "user_id", "public_key")


def _new_serial(person: Person, kind: Kind) -> str:
    partition = person.arn.split(":", 2)[1]
    owner = "root-account" if person.user_id is None else f"user/{person.name}"
    return random_id(f"arn:{partition}:iam::{person.account}:u2f/{owner}/{kind.replace(' ', '-')}-", "")


def _clean(name: str) -> str:
    return "".join(character for character in name if character.isprintable()).strip()[:MAX_NAME]


def _responses() -> Any:
    return import_module("iam_guard.authn.people.second_factors.webauthn_responses")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""SSH public keys of users (rules R-11, G-77): RSA keys, taken in the form of OpenSSH or in PEM, given in either.

What is kept is the key itself in the form of OpenSSH, without the comment that may stand behind it.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
    load_ssh_public_key,
)

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.credential_owners import settable_status
from iam_guard.api.iam.entities import require_room, the_user
from iam_guard.api.iam.iam_errors import DuplicateSSHPublicKey, InvalidPublicKey, UnrecognizedPublicKeyEncoding
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import NoSuchEntity
from iam_guard.store.records import Row
from iam_guard.store.schema import ssh_keys

RSA_BITS = range(2048, 16384 + 1)
_FORMS = {
    "ssh-rsa ": load_ssh_public_key,
    "-----BEGIN PUBLIC KEY-----": load_pem_public_key,
    "-----BEGIN RSA PUBLIC KEY-----": load_pem_public_key,
}


# --- the operations ----------------------------------------------------------------------------------------------


def upload_ssh_public_key(call: ServiceCall, given: Input) -> Output:
    """Take an RSA key that the user has not yet."""
    owner = the_user(call, given)
    key = read_public_key(given["SSHPublicKeyBody"])
    body = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    held = call.records.all(ssh_keys, user_id=owner["id"])
    if body in {row["body"] for row in held}:
        raise DuplicateSSHPublicKey("The SSH public key is already associated with the specified IAM user.")
    require_room("SSH keys per user", "SSHPublicKeysPerUser", len(held))
    id = call.new_id("ssh-key", body)
    call.records.insert(
        ssh_keys,
        id=id,
        user_id=owner["id"],
        body=body,
        fingerprint=fingerprint(body),
        status="Active",
        created=call.now,
    )
    return {"SSHPublicKey": _described(owner, _the_key(call, owner, id), body)}


def get_ssh_public_key(call: ServiceCall, given: Input) -> Output:
    """Return a key in the form that is asked for."""
    owner = the_user(call, given)
    row = _the_key(call, owner, given["SSHPublicKeyId"])
    body = row["body"] if given["Encoding"] == "SSH" else _in_pem(row["body"])
    return {"SSHPublicKey": _described(owner, row, body)}


def list_ssh_public_keys(call: ServiceCall, given: Input) -> Output:
    """List the keys of a user, by id, without the keys themselves."""
    owner = the_user(call, given)
    order = ("id",)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(ssh_keys, order=order, after=after, limit=limit, user_id=owner["id"]),
    )
    return {"SSHPublicKeys": [_metadata(owner, row) for row in page.rows], **page.members}


def update_ssh_public_key(call: ServiceCall, given: Input) -> None:
    """Turn a key on or off."""
    row = _the_key(call, the_user(call, given), given["SSHPublicKeyId"])
    call.records.update(ssh_keys, {"status": settable_status(given)}, id=row["id"])


def delete_ssh_public_key(call: ServiceCall, given: Input) -> None:
    """Remove a key."""
    row = _the_key(call, the_user(call, given), given["SSHPublicKeyId"])
    call.records.delete(ssh_keys, id=row["id"])


# --- keys --------------------------------------------------------------------------------------------------------


def read_public_key(text: str) -> RSAPublicKey:
    """Read an RSA key. Raises `UnrecognizedPublicKeyEncoding`, `InvalidPublicKey`; nothing of the text is repeated."""
    text = text.strip()
    load = next((load for beginning, load in _FORMS.items() if text.startswith(beginning)), None)
    if load is None:
        raise UnrecognizedPublicKeyEncoding("The public key encoding format is unsupported or unrecognized.")
    try:
        key = load(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        raise InvalidPublicKey("The public key is malformed or otherwise invalid.") from None
    if not isinstance(key, RSAPublicKey) or key.key_size not in RSA_BITS:
        raise InvalidPublicKey(f"The public key must be an RSA key of {RSA_BITS[0]} to {RSA_BITS[-1]} bits.")
    return key


def fingerprint(body: str) -> str:
    """Return the MD5 of a key in the form of OpenSSH, as `ssh-keygen -l -E md5` shows it."""
    digest = hashlib.md5(base64.b64decode(body.split(" ")[1]), usedforsecurity=False).digest()
    return digest.hex(":")


def _in_pem(body: str) -> str:
    key = read_public_key(body)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _the_key(call: ServiceCall, owner: Row, id: str) -> Row:
    row = call.records.one(ssh_keys, id=id, user_id=owner["id"])
    if row is None:
        raise NoSuchEntity(f"The Public Key with id {id} cannot be found.")
    return row


def _metadata(owner: Row, row: Row) -> Output:
    return {
        "UserName": owner["name"],
        "SSHPublicKeyId": row["id"],
        "Status": row["status"],
        "UploadDate": instant(row["created"]),
    }


def _described(owner: Row, row: Row, body: str) -> Output:
    return {**_metadata(owner, row), "Fingerprint": row["fingerprint"], "SSHPublicKeyBody": body}

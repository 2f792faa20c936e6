"""SSH public keys of users: RSA keys, accepted and returned in OpenSSH format or PEM (R-11, G-77).

Keys are stored in OpenSSH format, without a comment.
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

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.credentials.user_credentials import (
    CredentialKind,
    describe_credential,
    insert_credential,
    load_credential,
)
from iam_guard.api.iam.entities import load_user, require_quota
from iam_guard.api.service_errors import DuplicateSSHPublicKey, InvalidPublicKey, UnrecognizedPublicKeyEncoding
from iam_guard.store.database.records import Row
from iam_guard.store.schema import ssh_keys

SSH_KEY = CredentialKind(
    ssh_keys, load_user, "The Public Key with id {} cannot be found.", member="SSHPublicKeyId", created="UploadDate"
)
RSA_BITS = range(2048, 16384 + 1)
_LOADERS = {
    "ssh-rsa ": load_ssh_public_key,
    "-----BEGIN PUBLIC KEY-----": load_pem_public_key,
    "-----BEGIN RSA PUBLIC KEY-----": load_pem_public_key,
}


def upload_ssh_public_key(call: ServiceCall, parameters: Input) -> Output:
    """Upload an RSA key that is new to the user."""
    owner = load_user(call, parameters)
    key = read_public_key(parameters["SSHPublicKeyBody"])
    body = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    rows = call.records.all(ssh_keys, user_id=owner["id"])
    if body in {row["body"] for row in rows}:
        raise DuplicateSSHPublicKey("The SSH public key is already associated with the specified IAM user.")
    require_quota(call.records, "SSH keys per user", "SSHPublicKeysPerUser", len(rows))
    id = call.new_id("ssh-key", body)
    row = insert_credential(call, SSH_KEY, owner, id, body=body, fingerprint=fingerprint(body))
    return {"SSHPublicKey": _describe(owner, row, body)}


def get_ssh_public_key(call: ServiceCall, parameters: Input) -> Output:
    """Return a key in the requested encoding."""
    owner = load_user(call, parameters)
    row = load_credential(call, SSH_KEY, owner, parameters["SSHPublicKeyId"])
    body: str = row["body"]
    if parameters["Encoding"] != "SSH":
        body = read_public_key(body).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    return {"SSHPublicKey": _describe(owner, row, body)}


def read_public_key(text: str) -> RSAPublicKey:
    """Parse an RSA key. Raises `UnrecognizedPublicKeyEncoding`, `InvalidPublicKey`, without quoting the text."""
    text = text.strip()
    load = next((load for prefix, load in _LOADERS.items() if text.startswith(prefix)), None)
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
    """Return the MD5 fingerprint of a key in OpenSSH format, as `ssh-keygen -l -E md5` shows it."""
    digest = hashlib.md5(base64.b64decode(body.split(" ")[1]), usedforsecurity=False).digest()
    return digest.hex(":")


def _describe(owner: Row, row: Row, body: str) -> Output:
    described = describe_credential(SSH_KEY, row, owner["name"])
    return {**described, "Fingerprint": row["fingerprint"], "SSHPublicKeyBody": body}

"""Signing certificates of users and of the root user (R-11, G-77)."""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.credential_owners import owner_id, owner_name, settable_status
from iam_guard.api.iam.entities import owner_of_credentials, require_quota
from iam_guard.api.iam.iam_errors import DuplicateCertificate, InvalidCertificate
from iam_guard.api.iam.pem_certificates import in_pem, is_valid_at, read_certificate
from iam_guard.api.paging import page_of_table
from iam_guard.errors import NoSuchEntity
from iam_guard.store.records import Row
from iam_guard.store.schema import signing_certificates

_ID_BYTES = 20  # 32 base-32 characters


def upload_signing_certificate(call: ServiceCall, parameters: Input) -> Output:
    """Upload a currently valid certificate that is new to the account."""
    owner = owner_of_credentials(call, parameters)
    certificate = read_certificate(parameters["CertificateBody"])
    if not is_valid_at(certificate, call.now):
        raise InvalidCertificate("The certificate must be valid at the time of upload.")
    fingerprint = certificate.fingerprint(SHA256()).hex()
    if call.records.count(signing_certificates, account=call.account, fingerprint=fingerprint):
        raise DuplicateCertificate("The same certificate is associated with an IAM user in the account.")
    current = call.records.count(signing_certificates, account=call.account, user_id=owner_id(owner))
    require_quota("signing certificates per user", "CertificatesPerUser", current)
    id = base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode("ascii")
    call.records.insert(
        signing_certificates,
        id=id,
        account=call.account,
        user_id=owner_id(owner),
        body=in_pem([certificate]),
        fingerprint=fingerprint,
        status="Active",
        created=call.now,
    )
    return {"Certificate": _describe(_load_certificate(call, owner, id), owner_name(call, owner))}


def list_signing_certificates(call: ServiceCall, parameters: Input) -> Output:
    """List the certificates of one owner, sorted by id."""
    owner = owner_of_credentials(call, parameters)
    where = {"account": call.account, "user_id": owner_id(owner)}
    page = page_of_table(call, parameters, signing_certificates, ("id",), **where)
    name = owner_name(call, owner)
    return {"Certificates": [_describe(row, name) for row in page.rows], **page.members}


def update_signing_certificate(call: ServiceCall, parameters: Input) -> None:
    """Activate or deactivate a certificate."""
    row = _load_certificate(call, owner_of_credentials(call, parameters), parameters["CertificateId"])
    call.records.update(signing_certificates, {"status": settable_status(parameters)}, id=row["id"])


def delete_signing_certificate(call: ServiceCall, parameters: Input) -> None:
    """Delete a certificate."""
    row = _load_certificate(call, owner_of_credentials(call, parameters), parameters["CertificateId"])
    call.records.delete(signing_certificates, id=row["id"])


def _load_certificate(call: ServiceCall, owner: Row | None, id: str) -> Row:
    row = call.records.one(signing_certificates, id=id, account=call.account, user_id=owner_id(owner))
    if row is None:
        raise NoSuchEntity(f"The Certificate with id {id} cannot be found.")
    return row


def _describe(row: Row, name: str) -> Output:
    return {
        "UserName": name,
        "CertificateId": row["id"],
        "CertificateBody": row["body"],
        "Status": row["status"],
        "UploadDate": instant(row["created"]),
    }

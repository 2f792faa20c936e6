"""Signing certificates of users and of the root user (rules R-11, G-77)."""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.credential_owners import owner_id, owner_name, settable_status
from iam_guard.api.iam.entities import owner_of_credentials, require_room
from iam_guard.api.iam.iam_errors import DuplicateCertificate, InvalidCertificate
from iam_guard.api.iam.pem_certificates import holds, in_pem, read_certificate
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import NoSuchEntity
from iam_guard.store.records import Row
from iam_guard.store.schema import signing_certificates

_ID_BYTES = 20  # 32 base-32 characters


def upload_signing_certificate(call: ServiceCall, given: Input) -> Output:
    """Take a certificate that holds now, and that nobody in the account has."""
    owner = owner_of_credentials(call, given)
    certificate = read_certificate(given["CertificateBody"])
    if not holds(certificate, call.now):
        raise InvalidCertificate("The certificate must be valid at the time of upload.")
    fingerprint = certificate.fingerprint(SHA256()).hex()
    if call.records.count(signing_certificates, account=call.account, fingerprint=fingerprint):
        raise DuplicateCertificate("The same certificate is associated with an IAM user in the account.")
    held = call.records.count(signing_certificates, account=call.account, user_id=owner_id(owner))
    require_room("signing certificates per user", "CertificatesPerUser", held)
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
    return {"Certificate": _described(_the_certificate(call, owner, id), owner_name(call, owner))}


def list_signing_certificates(call: ServiceCall, given: Input) -> Output:
    """List the certificates of one owner, by id."""
    owner = owner_of_credentials(call, given)
    order = ("id",)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            signing_certificates, order=order, after=after, limit=limit, account=call.account, user_id=owner_id(owner)
        ),
    )
    name = owner_name(call, owner)
    return {"Certificates": [_described(row, name) for row in page.rows], **page.members}


def update_signing_certificate(call: ServiceCall, given: Input) -> None:
    """Turn a certificate on or off."""
    row = _the_certificate(call, owner_of_credentials(call, given), given["CertificateId"])
    call.records.update(signing_certificates, {"status": settable_status(given)}, id=row["id"])


def delete_signing_certificate(call: ServiceCall, given: Input) -> None:
    """Remove a certificate."""
    row = _the_certificate(call, owner_of_credentials(call, given), given["CertificateId"])
    call.records.delete(signing_certificates, id=row["id"])


def _the_certificate(call: ServiceCall, owner: Row | None, id: str) -> Row:
    row = call.records.one(signing_certificates, id=id, account=call.account, user_id=owner_id(owner))
    if row is None:
        raise NoSuchEntity(f"The Certificate with id {id} cannot be found.")
    return row


def _described(row: Row, name: str) -> Output:
    return {
        "UserName": name,
        "CertificateId": row["id"],
        "CertificateBody": row["body"],
        "Status": row["status"],
        "UploadDate": instant(row["created"]),
    }

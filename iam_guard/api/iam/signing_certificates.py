"""Signing certificates of users and of the root user (R-11, G-77)."""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.credential_owners import owner_id, owner_name
from iam_guard.api.iam.entities import owner_of_credentials, require_quota
from iam_guard.api.iam.pem_certificates import in_pem, is_valid_at, read_certificate
from iam_guard.api.iam.user_credentials import CredentialKind, load_credential
from iam_guard.api.service_errors import DuplicateCertificate, InvalidCertificate
from iam_guard.store.records import Row
from iam_guard.store.schema import signing_certificates

_ID_BYTES = 20  # 32 base-32 characters

SIGNING_CERTIFICATE = CredentialKind(
    signing_certificates, "CertificateId", "The Certificate with id {} cannot be found.", owner_of_credentials
)


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
    row = load_credential(call, SIGNING_CERTIFICATE, owner, id)
    return {"Certificate": describe_signing_certificate(row, owner_name(call, owner))}


def describe_signing_certificate(row: Row, name: str) -> Output:
    """Describe a certificate."""
    return {
        "UserName": name,
        "CertificateId": row["id"],
        "CertificateBody": row["body"],
        "Status": row["status"],
        "UploadDate": instant(row["created"]),
    }

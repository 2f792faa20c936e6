"""Signing certificates of users and of the root user (R-11, G-77)."""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.credentials.pem_certificates import in_pem, is_valid_at, read_certificate
from iam_guard.api.iam.credentials.user_credentials import (
    CredentialKind,
    describe_credential,
    insert_credential,
    owner_id,
    owner_name,
)
from iam_guard.api.iam.entities import owner_of_credentials, require_quota
from iam_guard.api.service_errors import DuplicateCertificate, InvalidCertificate
from iam_guard.store.schema import signing_certificates

_ID_BYTES = 20  # 32 base-32 characters

SIGNING_CERTIFICATE = CredentialKind(
    signing_certificates,
    owner_of_credentials,
    "The Certificate with id {} cannot be found.",
    member="CertificateId",
    created="UploadDate",
    columns={"CertificateBody": "body"},
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
    require_quota(call.records, "signing certificates per user", "CertificatesPerUser", current)
    id = base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode("ascii")
    columns = {"body": in_pem([certificate]), "fingerprint": fingerprint}
    row = insert_credential(call, SIGNING_CERTIFICATE, owner, id, **columns)
    return {"Certificate": describe_credential(SIGNING_CERTIFICATE, row, owner_name(call, owner))}

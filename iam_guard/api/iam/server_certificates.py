"""Server certificates of an account, with their chains and private keys (rule G-77).

A private key is sealed and never shown again.
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import require_room
from iam_guard.api.iam.iam_errors import MalformedCertificate
from iam_guard.api.iam.output_members import tag_list
from iam_guard.api.iam.pem_certificates import (
    holds,
    in_pem,
    key_in_pem,
    read_certificate,
    read_certificates,
    read_private_key,
    require_chain,
    require_pair,
)
from iam_guard.api.iam.tags import given_tags
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import EntityAlreadyExists, NoSuchEntity
from iam_guard.store.identifiers import fold, iam_arn
from iam_guard.store.records import Row
from iam_guard.store.schema import server_certificates


def server_key_context(certificate_id: str) -> bytes:
    """Return what the private key of a server certificate is sealed to."""
    return b"server-certificate:" + certificate_id.encode()


def upload_server_certificate(call: ServiceCall, given: Input) -> Output:
    """Take a certificate that holds now, its chain in order, and its private key."""
    name: str = given["ServerCertificateName"]
    _require_free(call, name)
    held = call.records.count(server_certificates, account=call.account)
    require_room("server certificates per account", "ServerCertificatesPerAccount", held)
    tags = given_tags(given)
    certificate = read_certificate(given["CertificateBody"])
    chain = read_certificates(given["CertificateChain"]) if "CertificateChain" in given else []
    key = read_private_key(given["PrivateKey"])
    require_pair(certificate, key)
    require_chain(certificate, chain)
    if not holds(certificate, call.now):
        raise MalformedCertificate("The certificate must be valid at the time of upload.")
    id = call.new_id("server-certificate", fold(name))
    call.records.insert(
        server_certificates,
        id=id,
        account=call.account,
        path=given.get("Path", "/"),
        name=name,
        folded=fold(name),
        body=in_pem([certificate]),
        chain=in_pem(chain) if chain else None,
        sealed=call.sealer.seal(key_in_pem(key), server_key_context(id)),
        expires=int(certificate.not_valid_after_utc.timestamp()),
        tags=tags,
        created=call.now,
    )
    metadata = _described(call, the_server_certificate(call, given))
    return {"ServerCertificateMetadata": metadata, "Tags": tag_list(tags) if tags else None}


def get_server_certificate(call: ServiceCall, given: Input) -> Output:
    """Describe a certificate with everything but its private key."""
    row = the_server_certificate(call, given)
    return {
        "ServerCertificate": {
            "ServerCertificateMetadata": _described(call, row),
            "CertificateBody": row["body"],
            "CertificateChain": row["chain"],
            "Tags": tag_list(row["tags"]),
        }
    }


def list_server_certificates(call: ServiceCall, given: Input) -> Output:
    """List the certificates below a path, by name."""
    order = ("folded",)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            server_certificates,
            order=order,
            after=after,
            limit=limit,
            path_prefix=given.get("PathPrefix"),
            account=call.account,
        ),
    )
    return {"ServerCertificateMetadataList": [_described(call, row) for row in page.rows], **page.members}


def update_server_certificate(call: ServiceCall, given: Input) -> None:
    """Rename a certificate, or move it to another path; its id stays."""
    row = the_server_certificate(call, given)
    name: str = given.get("NewServerCertificateName", row["name"])
    if fold(name) != row["folded"]:
        _require_free(call, name)
    values = {"path": given.get("NewPath", row["path"]), "name": name, "folded": fold(name)}
    call.records.update(server_certificates, values, id=row["id"])


def delete_server_certificate(call: ServiceCall, given: Input) -> None:
    """Remove a certificate and its private key."""
    call.records.delete(server_certificates, id=the_server_certificate(call, given)["id"])


def the_server_certificate(call: ServiceCall, given: Input) -> Row:
    """Find the certificate that a call names. Raises `NoSuchEntity`."""
    name: str = given["ServerCertificateName"]
    row = call.records.one(server_certificates, account=call.account, folded=fold(name))
    if row is None:
        raise NoSuchEntity(f"The Server Certificate with name {name} cannot be found.")
    return row


def _require_free(call: ServiceCall, name: str) -> None:
    if call.records.count(server_certificates, account=call.account, folded=fold(name)):
        raise EntityAlreadyExists(f"The Server Certificate with name {name} already exists.")


def _described(call: ServiceCall, row: Row) -> Output:
    return {
        "Path": row["path"],
        "ServerCertificateName": row["name"],
        "ServerCertificateId": row["id"],
        "Arn": iam_arn(call.partition, call.account, "server-certificate", row["path"], row["name"]),
        "UploadDate": instant(row["created"]),
        "Expiration": instant(row["expires"]),
    }

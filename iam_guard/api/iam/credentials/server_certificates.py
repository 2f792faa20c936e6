"""Server certificates of an account, with their chains and private keys (G-77).

A private key is sealed and never returned.
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.credentials.pem_certificates import (
    in_pem,
    is_valid_at,
    key_in_pem,
    read_certificate,
    read_certificates,
    read_private_key,
    require_chain,
    require_pair,
)
from iam_guard.api.iam.entities import named_columns, require_quota, require_row
from iam_guard.api.iam.output_members import tag_list
from iam_guard.api.iam.tags import new_tags
from iam_guard.api.paging import page_of_table
from iam_guard.api.service_errors import MalformedCertificate
from iam_guard.errors import EntityAlreadyExists
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import fold
from iam_guard.store.schema import sealing_context, server_certificates


def upload_server_certificate(call: ServiceCall, parameters: Input) -> Output:
    """Upload a currently valid certificate, its chain in order, and its private key."""
    name: str = parameters["ServerCertificateName"]
    _require_free(call, name)
    current = call.records.count(server_certificates, account=call.account)
    require_quota(call.records, "server certificates per account", "ServerCertificatesPerAccount", current)
    tags = new_tags(parameters)
    certificate = read_certificate(parameters["CertificateBody"])
    chain = read_certificates(parameters["CertificateChain"]) if "CertificateChain" in parameters else []
    key = read_private_key(parameters["PrivateKey"])
    require_pair(certificate, key)
    require_chain(certificate, chain)
    if not is_valid_at(certificate, call.now):
        raise MalformedCertificate("The certificate must be valid at the time of upload.")
    id = call.new_id("server-certificate", fold(name))
    call.records.insert(
        server_certificates,
        id=id,
        path=parameters.get("Path", "/"),
        body=in_pem([certificate]),
        chain=in_pem(chain) if chain else None,
        sealed=call.sealer.seal(key_in_pem(key), sealing_context(server_certificates.c.sealed, id)),
        expires=int(certificate.not_valid_after_utc.timestamp()),
        tags=tags,
        **named_columns(call, name),
    )
    metadata = _describe(call, load_server_certificate(call, parameters))
    return {"ServerCertificateMetadata": metadata, "Tags": tag_list(tags) or None}


def get_server_certificate(call: ServiceCall, parameters: Input) -> Output:
    """Describe a certificate without its private key."""
    row = load_server_certificate(call, parameters)
    return {
        "ServerCertificate": {
            "ServerCertificateMetadata": _describe(call, row),
            "CertificateBody": row["body"],
            "CertificateChain": row["chain"],
            "Tags": tag_list(row["tags"]),
        }
    }


def list_server_certificates(call: ServiceCall, parameters: Input) -> Output:
    """List the certificates below a path, sorted by name."""
    page = page_of_table(call, parameters, server_certificates, ("folded",), account=call.account)
    return {"ServerCertificateMetadataList": [_describe(call, row) for row in page.rows], **page.members}


def update_server_certificate(call: ServiceCall, parameters: Input) -> None:
    """Rename a certificate, or move it to another path; its id stays."""
    row = load_server_certificate(call, parameters)
    name: str = parameters.get("NewServerCertificateName", row["name"])
    if fold(name) != row["folded"]:
        _require_free(call, name)
    values = {"path": parameters.get("NewPath", row["path"]), "name": name, "folded": fold(name)}
    call.records.update(server_certificates, values, id=row["id"])


def delete_server_certificate(call: ServiceCall, parameters: Input) -> None:
    """Delete a certificate and its private key."""
    call.records.delete(server_certificates, id=load_server_certificate(call, parameters)["id"])


def load_server_certificate(call: ServiceCall, parameters: Input) -> Row:
    """Find the call's certificate. Raises `NoSuchEntity`."""
    name: str = parameters["ServerCertificateName"]
    row = call.records.one(server_certificates, account=call.account, folded=fold(name))
    return require_row(row, f"The Server Certificate with name {name} cannot be found.")


def _require_free(call: ServiceCall, name: str) -> None:
    if call.records.count(server_certificates, account=call.account, folded=fold(name)):
        raise EntityAlreadyExists(f"The Server Certificate with name {name} already exists.")


def _describe(call: ServiceCall, row: Row) -> Output:
    return {
        "Path": row["path"],
        "ServerCertificateName": row["name"],
        "ServerCertificateId": row["id"],
        "Arn": call.arn("server-certificate", row["path"], row["name"]),
        "UploadDate": instant(row["created"]),
        "Expiration": instant(row["expires"]),
    }

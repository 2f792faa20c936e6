"""SAML providers: identity providers whose assertions roles can trust (G-77, P-1).

The metadata document is stored unchanged if it can be parsed. Private keys decrypt assertions: they are sealed and
never returned; a provider has up to two, for key rotation.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import named_columns, require_quota, require_row
from iam_guard.api.iam.output_members import tag_list
from iam_guard.api.iam.policies.context_providers import (
    changed_propagation,
    changes_association,
    changes_context,
    describe_propagation,
    new_propagation,
)
from iam_guard.api.iam.tags import new_tags
from iam_guard.errors import EntityAlreadyExists, InvalidInput, NoSuchEntity
from iam_guard.model.saml_metadata import METADATA_VALIDITY, read_metadata
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import entity_digest, fold
from iam_guard.store.schema import saml_private_keys, saml_providers, sealing_context

_METADATA_MEMBERS = ("SAMLMetadataDocument", "AssertionEncryptionMode", "AddPrivateKey", "RemovePrivateKey")


def _arn(call: ServiceCall, name: str) -> str:
    return call.arn("saml-provider", "/", name)


def find_saml_provider(call: ServiceCall, arn: str) -> Row | None:
    """Find a provider of the account by its exact ARN."""
    name = arn.rpartition("/")[2]
    row = call.records.one(saml_providers, account=call.account, folded=fold(name))
    return row if row is not None and _arn(call, row["name"]) == arn else None


def load_saml_provider(call: ServiceCall, parameters: Input) -> Row:
    """Find the call's provider. Raises `NoSuchEntity`."""
    arn: str = parameters["SAMLProviderArn"]
    return require_row(find_saml_provider(call, arn), f"Manifest not found for arn {arn}")


def requested_issuers(parameters: Input) -> list[str]:
    """Return the issuer in a call's metadata; empty if it can't be parsed, since the handler rejects it."""
    document = parameters.get("SAMLMetadataDocument")
    try:
        return [] if document is None else [read_metadata(document).entity_id]
    except InvalidInput:
        return []


def stored_issuers(row: Row) -> list[str]:
    """Return the issuer in a provider's metadata."""
    return [read_metadata(row["document"]).entity_id]


def create_saml_provider(call: ServiceCall, parameters: Input) -> Output:
    name: str = parameters["Name"]
    if call.records.one(saml_providers, account=call.account, folded=fold(name)) is not None:
        raise EntityAlreadyExists(f"SAMLProvider with name {name} already exists.")
    current = call.records.count(saml_providers, account=call.account)
    require_quota(call.records, "SAML providers per account", "SAMLProvidersPerAccount", current)
    tags, id = new_tags(parameters), call.new_id("saml-provider", fold(name))
    call.records.insert(
        saml_providers,
        id=id,
        tags=tags,
        **named_columns(call, name),
        **_metadata_columns(call, parameters),
        **new_propagation(parameters),
    )
    _change_keys(call, id, parameters, parameters.get("AssertionEncryptionMode"))
    return {"SAMLProviderArn": _arn(call, name), "Tags": tag_list(tags) or None}


def get_saml_provider(call: ServiceCall, parameters: Input) -> Output:
    """Describe a provider, with the ids of its private keys."""
    row = load_saml_provider(call, parameters)
    metadata = read_metadata(row["document"])
    hashes = [hashlib.sha256(certificate).hexdigest() for certificate in metadata.certificates]
    return {
        "SAMLProviderUUID": row["id"],
        "SAMLMetadataDocument": row["document"],
        "SAMLKeyHashes": [{"IssuerURL": metadata.entity_id, "KeyHashes": hashes}],
        "CreateDate": instant(row["created"]),
        "ValidUntil": instant(row["valid_until"]),
        "Tags": tag_list(row["tags"]),
        "AssertionEncryptionMode": row["encryption_mode"] or "Allowed",
        "PrivateKeyList": [
            {"KeyId": key["id"], "Timestamp": instant(key["created"])}
            for key in call.records.all(saml_private_keys, provider_id=row["id"], order=("created", "id"))
        ],
        **describe_propagation(row),
    }


def list_saml_providers(call: ServiceCall, parameters: Input) -> Output:
    """List the providers, sorted by name."""
    columns = ("name", "valid_until", "created", "identity_center")
    rows = call.records.all(saml_providers, account=call.account, order=("folded",), columns=columns)
    return {
        "SAMLProviderList": [
            {
                "Arn": _arn(call, row["name"]),
                "ValidUntil": instant(row["valid_until"]),
                "CreateDate": instant(row["created"]),
                "IsTrustedIdentityPropagationEnabled": row["identity_center"] is not None,
            }
            for row in rows
        ]
    }


def update_saml_provider(call: ServiceCall, parameters: Input) -> Output:
    """Change a provider's metadata, encryption mode, keys and Identity Center, or else its context provider."""
    row = load_saml_provider(call, parameters)
    changes_metadata = changes_association(parameters) or any(name in parameters for name in _METADATA_MEMBERS)
    if changes_context(parameters) and changes_metadata:
        raise InvalidInput("A request can change either the context provider or the provider metadata.")
    values = {**_metadata_columns(call, parameters), **changed_propagation(row, parameters)}
    if values:
        call.records.update(saml_providers, values, id=row["id"])
    _change_keys(call, row["id"], parameters, parameters.get("AssertionEncryptionMode", row["encryption_mode"]))
    return {"SAMLProviderArn": _arn(call, row["name"])}


def _metadata_columns(call: ServiceCall, parameters: Input) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if "SAMLMetadataDocument" in parameters:
        metadata = read_metadata(parameters["SAMLMetadataDocument"])
        columns["document"] = parameters["SAMLMetadataDocument"]
        columns["entity_digest"] = entity_digest(metadata.entity_id)
        columns["valid_until"] = call.now + METADATA_VALIDITY if metadata.valid_until is None else metadata.valid_until
    if "AssertionEncryptionMode" in parameters:
        columns["encryption_mode"] = parameters["AssertionEncryptionMode"]
    return columns


def _change_keys(call: ServiceCall, provider_id: str, parameters: Input, encryption_mode: str | None) -> None:
    """Remove a key, then add one. Raises `InvalidInput` if encryption is required and no key remains."""
    if "RemovePrivateKey" in parameters:
        id = parameters["RemovePrivateKey"]
        if not call.records.delete(saml_private_keys, id=id, provider_id=provider_id):
            raise NoSuchEntity(f"The private key with id {id} cannot be found.")
    number = call.records.count(saml_private_keys, provider_id=provider_id)
    if "AddPrivateKey" in parameters:
        require_quota(call.records, "private keys per SAML provider", "PrivateKeysPerSAMLProvider", number)
        _add_key(call, provider_id, parameters["AddPrivateKey"])
        number += 1
    if encryption_mode == "Required" and not number:
        message = "A private key is required when the assertion encryption mode is Required."
        raise InvalidInput(message, place="AssertionEncryptionMode")


def _add_key(call: ServiceCall, provider_id: str, pem: str) -> None:
    try:
        key = load_pem_private_key(pem.encode("latin-1"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise InvalidInput("The private key must be an RSA key in PEM, without a password.", place="AddPrivateKey")
    id = call.new_id("saml-private-key", provider_id)
    call.records.insert(
        saml_private_keys,
        id=id,
        provider_id=provider_id,
        sealed=call.sealer.seal(pem.encode(), sealing_context(saml_private_keys.c.sealed, id)),
        created=call.now,
    )


def delete_saml_provider(call: ServiceCall, parameters: Input) -> None:
    """Delete a provider with its keys; roles that trust it stay unchanged."""
    call.records.delete(saml_providers, id=load_saml_provider(call, parameters)["id"])

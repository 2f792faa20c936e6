"""SAML providers (G-77)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.store import quotas, schema
from iam_guard.store.identifiers import entity_digest
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import ec_pem, metadata, pem

ARN = f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"
INSTANCE = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
CONTEXT = {"SubjectSourceKey": "sub", "KeyDefinitionList": [{"SourceKey": "a b", "TargetKey": "c"}]}


def make(iam: Client, **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = iam.create_saml_provider(**{"Name": "idp", "SAMLMetadataDocument": metadata(), **parameters})
    return made


def got(iam: Client) -> dict[str, Any]:
    found: dict[str, Any] = iam.get_saml_provider(SAMLProviderArn=ARN)
    del found["ResponseMetadata"]
    return found


def test_saml_provider_is_created_and_described(iam: Client) -> None:
    """The document is unchanged; without `validUntil` it is valid for a hundred years."""
    made = make(iam, Tags=[{"Key": "a", "Value": "1"}])
    assert (made["SAMLProviderArn"], made["Tags"]) == (ARN, [{"Key": "a", "Value": "1"}])
    found = got(iam)
    assert found["SAMLMetadataDocument"] == metadata()
    assert found["SAMLProviderUUID"].isalnum()
    assert len(found["SAMLProviderUUID"]) >= 22
    assert (found["AssertionEncryptionMode"], found["PrivateKeyList"]) == ("Allowed", [])
    assert found["Tags"] == made["Tags"]
    assert found["CreateDate"].timestamp() == CLOCK.seconds()
    years = (found["ValidUntil"] - found["CreateDate"]).days / 365.25
    assert 99.9 < years < 100.1
    assert found["SAMLKeyHashes"][0]["IssuerURL"] == "https://idp.example.com/saml"
    assert [len(each) for each in found["SAMLKeyHashes"][0]["KeyHashes"]] == [64]
    assert "Tags" not in make(iam, Name="other")


def test_saml_provider_is_found_by_its_entity_id(iam: Client, server: Running) -> None:
    """Of its present document: in the browser, a response has the entity id only."""

    def names(entity_id: str) -> list[str]:
        with server.store.read_transaction() as records:
            rows = records.all(schema.saml_providers, entity_digest=entity_digest(entity_id))
        return [row["name"] for row in rows]

    long = f"urn:{'ü' * 1020}"
    make(iam)
    assert names("https://idp.example.com/saml") == ["idp"]
    iam.update_saml_provider(SAMLProviderArn=ARN, SAMLMetadataDocument=metadata(entity_id=long))
    assert [names("https://idp.example.com/saml"), names(long)] == [[], ["idp"]]


def test_saml_providers_are_listed_by_name(iam: Client) -> None:
    """Without their documents."""
    for name in ("b", "A"):
        make(iam, Name=name)
    entries = iam.list_saml_providers()["SAMLProviderList"]
    assert [entry["Arn"].rpartition("/")[2] for entry in entries] == ["A", "b"]
    assert set(entries[0]) == {"Arn", "ValidUntil", "CreateDate", "IsTrustedIdentityPropagationEnabled"}


def test_saml_name_is_unique_in_an_account(iam: Client, other_account: Client) -> None:
    """In any letter case."""
    make(iam)
    make(other_account)
    with refusal("EntityAlreadyExists", status=409):
        make(iam, Name="IDP")


def test_metadata_is_replaced_with_its_validity(iam: Client) -> None:
    """Absent members stay unchanged."""
    make(iam, AssertionEncryptionMode="Allowed", Tags=[{"Key": "a", "Value": "1"}])
    document = metadata(entity_id="https://new.example.com", attributes='validUntil="2040-01-01T00:00:00Z"')
    answer = iam.update_saml_provider(SAMLProviderArn=ARN, SAMLMetadataDocument=document)
    assert answer["SAMLProviderArn"] == ARN
    found = got(iam)
    assert found["SAMLMetadataDocument"] == document
    assert found["ValidUntil"].year == 2040
    assert found["SAMLKeyHashes"][0]["IssuerURL"] == "https://new.example.com"
    assert found["Tags"]


def test_invalid_metadata_changes_nothing(iam: Client) -> None:
    """InvalidInput, above all for a document type."""
    bad = metadata(before='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>', inside="&e;")
    with refusal("InvalidInput", "Could not parse metadata", 400):
        make(iam, SAMLMetadataDocument=bad)
    make(iam)
    before = got(iam)
    with refusal("InvalidInput", "Could not parse metadata", 400):
        iam.update_saml_provider(SAMLProviderArn=ARN, SAMLMetadataDocument=bad, AssertionEncryptionMode="Allowed")
    assert got(iam) == before


def test_private_keys_are_sealed_and_never_returned(iam: Client, server: Running) -> None:
    """They can be unsealed, and are stored nowhere in plain text."""
    make(iam, AddPrivateKey=pem(), AssertionEncryptionMode="Required")
    found = got(iam)
    key = found["PrivateKeyList"][0]
    assert set(key) == {"KeyId", "Timestamp"}
    assert "PRIVATE" not in str(found).replace("PrivateKeyList", "")
    with server.store.read_transaction() as records:
        row = records.one(schema.saml_private_keys, id=key["KeyId"])
    assert row is not None
    assert b"PRIVATE" not in row["sealed"]
    assert server.store.sealer.open(row["sealed"], f"saml-private-key:{key['KeyId']}".encode()) == pem().encode()


def test_private_keys_are_rotated(iam: Client) -> None:
    """At most two; the old one stays until it is removed."""
    make(iam, AddPrivateKey=pem())
    iam.update_saml_provider(SAMLProviderArn=ARN, AddPrivateKey=pem())
    old, new = (key["KeyId"] for key in got(iam)["PrivateKeyList"])
    with refusal("LimitExceeded", status=409):
        iam.update_saml_provider(SAMLProviderArn=ARN, AddPrivateKey=pem())
    iam.update_saml_provider(SAMLProviderArn=ARN, RemovePrivateKey=old)
    assert [key["KeyId"] for key in got(iam)["PrivateKeyList"]] == [new]
    with refusal("NoSuchEntity", status=404):
        iam.update_saml_provider(SAMLProviderArn=ARN, RemovePrivateKey=old)


def test_private_key_of_another_provider_is_not_found(iam: Client, other_account: Client) -> None:
    """Nor one of another account."""
    make(iam)
    make(iam, Name="second", AddPrivateKey=pem())
    make(other_account, AddPrivateKey=pem())
    theirs = other_account.get_saml_provider(SAMLProviderArn=ARN.replace(ACCOUNT, OTHER_ACCOUNT))
    mine = iam.get_saml_provider(SAMLProviderArn=ARN.replace("idp", "second"))
    for provider in (theirs, mine):
        with refusal("NoSuchEntity"):
            iam.update_saml_provider(SAMLProviderArn=ARN, RemovePrivateKey=provider["PrivateKeyList"][0]["KeyId"])


def test_required_encryption_needs_a_key(iam: Client) -> None:
    with refusal("InvalidInput", "A private key is required", 400):
        make(iam, AssertionEncryptionMode="Required")
    make(iam)
    with refusal("InvalidInput", "A private key is required"):
        iam.update_saml_provider(SAMLProviderArn=ARN, AssertionEncryptionMode="Required")
    iam.update_saml_provider(SAMLProviderArn=ARN, AssertionEncryptionMode="Required", AddPrivateKey=pem())
    id = got(iam)["PrivateKeyList"][0]["KeyId"]
    with refusal("InvalidInput", "A private key is required"):
        iam.update_saml_provider(SAMLProviderArn=ARN, RemovePrivateKey=id)
    iam.update_saml_provider(SAMLProviderArn=ARN, RemovePrivateKey=id, AssertionEncryptionMode="Allowed")
    assert got(iam)["PrivateKeyList"] == []


@pytest.mark.parametrize(
    "key",
    ["x", pem(b"password"), ec_pem(), pem()[:-60], pem().replace("PRIVATE", "PUBLIC"), "\xff" * 100],
    ids=["no PEM", "with password", "no RSA", "cut off", "public", "letters"],
)
def test_invalid_private_key_is_rejected_without_quoting(key: str, iam: Client) -> None:
    with pytest.raises(iam.exceptions.InvalidInputException) as caught:
        make(iam, AddPrivateKey=key)
    assert caught.value.response["Error"]["Message"].startswith("The private key must be an RSA key in PEM")
    assert iam.list_saml_providers()["SAMLProviderList"] == []


def test_saml_provider_is_deleted_with_its_keys(iam: Client, server: Running) -> None:
    """Even if roles trust it."""
    make(iam, AddPrivateKey=pem())
    iam.delete_saml_provider(SAMLProviderArn=ARN)
    with server.store.read_transaction() as records:
        assert records.count(schema.saml_private_keys) == 0
    assert iam.list_saml_providers()["SAMLProviderList"] == []


NOT_HERE = [
    (ARN, "NoSuchEntity", "Manifest not found for arn {}"),
    (ARN.upper(), "InvalidInput", "ARN {} is not valid."),
    (ARN.replace(ACCOUNT, OTHER_ACCOUNT), "NoSuchEntity", "Manifest not found for arn {}"),
    (ARN.replace("saml-provider/", "saml-provider/x/"), "NoSuchEntity", "Manifest not found for arn {}"),
    (f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp", "NoSuchEntity", "Manifest not found for arn {}"),
    (f"arn:aws:iam::{ACCOUNT}:saml-provider/*", "NoSuchEntity", "Manifest not found for arn {}"),
    ("x" * 20, "InvalidInput", "ARN {} is not valid."),
]


@pytest.mark.parametrize(("arn", "code", "sentence"), NOT_HERE)
def test_missing_saml_provider_is_not_found(
    arn: str, code: str, sentence: str, iam: Client, other_account: Client
) -> None:
    """ARNs are compared exactly; those of other accounts don't exist."""
    make(other_account)
    make(iam, Name="x")
    uses: list[Callable[..., Any]] = [iam.get_saml_provider, iam.update_saml_provider, iam.delete_saml_provider]
    for use in uses:
        with refusal(code, sentence.format(arn)):
            use(SAMLProviderArn=arn)
    assert len(other_account.list_saml_providers()["SAMLProviderList"]) == 1


def test_saml_provider_quota_is_enforced(iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-77: 100 in an account."""
    assert quotas.QUOTAS["SAML providers per account"] == 100
    monkeypatch.setitem(quotas.QUOTAS, "SAML providers per account", 1)
    make(iam)
    with refusal("LimitExceeded", status=409):
        make(iam, Name="second")


def test_context_provider_and_metadata_change_separately(iam: Client) -> None:
    """Identity Center belongs to the metadata, and needs the context provider."""
    make(iam, ContextProvider=CONTEXT, IdentityCenterInstanceArn=INSTANCE)
    found = got(iam)
    assert (found["ContextProvider"], found["IdentityCenterInstanceArn"]) == (CONTEXT, INSTANCE)
    assert iam.list_saml_providers()["SAMLProviderList"][0]["IsTrustedIdentityPropagationEnabled"] is True
    for both in (
        {"ContextProvider": CONTEXT, "SAMLMetadataDocument": metadata()},
        {"RemoveContextProvider": True, "AssertionEncryptionMode": "Allowed"},
        {"RemoveContextProvider": True, "RemoveIdentityCenterInstance": True},
        {"RemoveContextProvider": True},
        {"ContextProvider": CONTEXT, "RemoveContextProvider": True},
        {"IdentityCenterInstanceArn": INSTANCE, "RemoveIdentityCenterInstance": True},
    ):
        with refusal("InvalidInput", status=400):
            iam.update_saml_provider(SAMLProviderArn=ARN, **both)
    assert got(iam) == found
    iam.update_saml_provider(SAMLProviderArn=ARN, RemoveIdentityCenterInstance=True, SAMLMetadataDocument=metadata())
    iam.update_saml_provider(SAMLProviderArn=ARN, RemoveContextProvider=True)
    assert {"ContextProvider", "IdentityCenterInstanceArn"}.isdisjoint(got(iam))
    with refusal("InvalidInput", "requires ContextProvider"):
        iam.update_saml_provider(SAMLProviderArn=ARN, IdentityCenterInstanceArn=INSTANCE)


def test_saml_issuer_is_a_condition_key(client_for: Callable[..., Client]) -> None:
    """A policy can limit the issuers of providers."""
    key = "ForAllValues:StringEquals"
    ours = "https://idp.example.com/saml"
    member = client_for(
        "member",
        allow("iam:CreateSAMLProvider", **{key: {"iam:RequestIdentityProviderIssuers": ours}, "Null": NOT_NULL}),
        allow("iam:UpdateSAMLProvider", StringEquals={"iam:ResourceIdentityProviderIssuers": ours}),
    )
    make(member)
    with refusal("AccessDenied"):
        make(member, Name="other", SAMLMetadataDocument=metadata(entity_id="https://evil.example.com"))
    with refusal("AccessDenied"):
        make(member, Name="other", SAMLMetadataDocument="x" * 1000)
    member.update_saml_provider(
        SAMLProviderArn=ARN, SAMLMetadataDocument=metadata(entity_id="https://evil.example.com")
    )
    with refusal("AccessDenied"):
        member.update_saml_provider(SAMLProviderArn=ARN, SAMLMetadataDocument=metadata())


NOT_NULL = {"iam:RequestIdentityProviderIssuers": "false"}

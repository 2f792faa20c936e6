"""Encrypted SAML assertions: private keys of the provider, their rotation, and the required mode."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.api.sts.saml_world import World, provider_arn
from tests.authn.saml.xml_signer import Encryption, KeyPair, key_pair

INVALID = "InvalidIdentityToken"


@pytest.fixture
def old() -> KeyPair:
    return key_pair("rsa", "old")


@pytest.fixture
def new() -> KeyPair:
    return key_pair("rsa", "new")


@pytest.fixture
def encrypted(saml: World, old: KeyPair) -> World:
    """The provider has one private key."""
    update(saml, AddPrivateKey=old.pem)
    return saml


def update(saml: World, **changes: str) -> None:
    saml.iam.update_saml_provider(SAMLProviderArn=provider_arn(), **changes)


def key_ids(saml: World) -> list[str]:
    """Return the ids of the provider's private keys, the oldest first."""
    keys = saml.iam.get_saml_provider(SAMLProviderArn=provider_arn())["PrivateKeyList"]
    return [key["KeyId"] for key in keys]


@pytest.mark.parametrize("signed", ["assertion", "response", "both"])
def test_encrypted_assertion_is_accepted(encrypted: World, old: KeyPair, signed: str) -> None:
    """With either signature, once, like any other."""
    text = encrypted.response(encryption=Encryption(key=old), signed=signed)
    assert encrypted.assume(text)["Subject"] == "ada@example.com"
    assert encrypted.error_of(text)[0] == INVALID


def test_assertion_for_another_key_is_refused(encrypted: World, new: KeyPair) -> None:
    assert encrypted.error_of(encrypted.response(encryption=Encryption(key=new)))[0] == INVALID


def test_encrypted_assertion_needs_a_key(saml: World, old: KeyPair) -> None:
    assert saml.error_of(saml.response(encryption=Encryption(key=old)))[0] == INVALID


def test_plain_assertion_is_refused_where_encryption_is_required(encrypted: World, old: KeyPair) -> None:
    """By the mode `Required`; `Allowed` accepts both."""
    assert encrypted.assume(encrypted.response())
    update(encrypted, AssertionEncryptionMode="Required")
    assert encrypted.error_of(encrypted.response())[0] == INVALID
    assert encrypted.assume(encrypted.response(encryption=Encryption(key=old)))
    update(encrypted, AssertionEncryptionMode="Allowed")
    assert encrypted.assume(encrypted.response())


def test_keys_are_rotated_in_two_calls(encrypted: World, old: KeyPair, new: KeyPair) -> None:
    """The old key decrypts until it is removed; the required mode keeps the last one."""
    update(encrypted, AssertionEncryptionMode="Required")
    [first] = key_ids(encrypted)
    update(encrypted, AddPrivateKey=new.pem)
    for key in (old, new):
        assert encrypted.assume(encrypted.response(encryption=Encryption(key=key)))
    update(encrypted, RemovePrivateKey=first)
    assert encrypted.error_of(encrypted.response(encryption=Encryption(key=old)))[0] == INVALID
    assert encrypted.assume(encrypted.response(encryption=Encryption(key=new)))
    with pytest.raises(ClientError, match="A private key is required"):
        update(encrypted, RemovePrivateKey=key_ids(encrypted)[0])


def test_private_key_of_another_provider_does_not_decrypt(encrypted: World, old: KeyPair) -> None:
    """A key is the provider's own, though another one of the account has the same issuer."""
    encrypted.iam.create_saml_provider(Name="second", SAMLMetadataDocument=encrypted.idp.metadata())
    pair = f"arn:aws:iam::111122223333:role/deploy,{provider_arn('second')}"
    text = encrypted.response({"Role": pair}, encryption=Encryption(key=old))
    assert encrypted.error_of(text, principal=provider_arn("second"))[0] == INVALID

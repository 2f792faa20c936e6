"""Advisory: a response was accepted without a signature, since there was no key to verify it with.

The hole: verification ran only if something was present that an attacker, or a careless administrator, can leave out:
the certificate of the provider (CVE-2026-28323 in Web Help Desk), a key with the `use` that was looked for
(CVE-2026-16443 in Keycloak), or the signature. Here, what is not verified is not read, and no key means no sign-in.
"""

from __future__ import annotations

import pytest

from iam_guard.authn.saml.assertion import SamlIdentityProvider
from iam_guard.errors import InvalidInput
from iam_guard.model.saml_metadata import read_metadata
from tests.authn.saml.hostile_documents import PROVIDER, refusal
from tests.authn.saml.identity_provider import ENTITY_ID, IdentityProvider
from tests.authn.saml.xml_signer import Encryption, key_pair
from tests.tables import table


@table("signed", ["assertion", "response", "both", "none"])
@table("encryption", [None, Encryption()])
def test_provider_without_certificate_signs_in_no_one(signed: str, encryption: Encryption | None) -> None:
    """CVE-2026-28323: an absent certificate was taken for a signature that need not be verified."""
    document = IdentityProvider().document(signed=signed, encryption=encryption)
    without = SamlIdentityProvider(ENTITY_ID, (), PROVIDER.private_keys)
    assert "signature" in refusal(document, without)


@table("encryption", [None, Encryption(), Encryption(cipher="aes256-cbc")])
def test_response_without_signature_is_refused(encryption: Encryption | None) -> None:
    assert refusal(IdentityProvider().document(signed="none", encryption=encryption))


def test_key_without_use_signs() -> None:
    """CVE-2026-16443: a key for both purposes was not found, so signatures were not verified."""
    metadata = IdentityProvider().metadata().replace(' use="signing"', "")
    assert read_metadata(metadata).certificates == PROVIDER.certificates


def test_provider_without_signing_key_is_not_registered() -> None:
    metadata = IdentityProvider().metadata().replace('use="signing"', 'use="encryption"')
    with pytest.raises(InvalidInput, match="signing certificate"):
        read_metadata(metadata)


@table("signed", ["assertion", "response", "both"])
def test_only_the_registered_key_counts(signed: str) -> None:
    """A certificate in the message, even of the same name, proves nothing."""
    attacker = IdentityProvider(key=key_pair("rsa", "attacker"))
    assert "any certificate of the provider" in refusal(attacker.document(signed=signed))


@table(
    "part", ["ds:Signature", "ds:SignedInfo", "ds:Reference", "ds:Transforms", "ds:DigestValue", "ds:SignatureValue"]
)
def test_incomplete_signature_is_no_signature(part: str) -> None:
    text = IdentityProvider().document()
    start = text.index(f"<{part}")
    end = text.index(f"</{part}>") + len(f"</{part}>")
    assert refusal(text[:start] + text[end:])

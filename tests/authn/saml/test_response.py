"""Responses of SAML identity providers: which signature counts for what, and that only signed content is read."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from iam_guard.authn.saml.assertion import SamlAssertion, SamlIdentityProvider, SamlReceiver
from iam_guard.authn.saml.response import claimed_issuer, read_response
from iam_guard.errors import ConfigurationError, IdpRejectedClaim, InvalidIdentityToken
from tests.authn.saml.identity_provider import ENTITY_ID, NOW, RECIPIENT, IdentityProvider, encoded
from tests.authn.saml.xml_signer import Encryption, key_pair
from tests.tables import table

PROVIDER = SamlIdentityProvider(ENTITY_ID, (key_pair("rsa").certificate,), (key_pair("rsa", "receiver").pem,))
RECEIVER = SamlReceiver({RECIPIENT: frozenset({RECIPIENT, "urn:example:service"})})
IDP = IdentityProvider()
ATTACKER = {"key": key_pair("rsa", "attacker")}
CBC, GCM = Encryption(cipher="aes256-cbc"), Encryption()


def read(text: str, provider: SamlIdentityProvider = PROVIDER) -> SamlAssertion:
    return read_response(text, provider, RECEIVER, NOW)


def refused(text: str, reason: str, provider: SamlIdentityProvider = PROVIDER) -> None:
    with pytest.raises(InvalidIdentityToken, match=reason):
        read(text, provider)


@table("signed", ["assertion", "response", "both"])
@table("encryption", [None, GCM, CBC])
def test_signature_counts_around_or_in_the_assertion(signed: str, encryption: Encryption | None) -> None:
    """Encrypted or not; the contents are the same."""
    expected = read(IDP.response())
    assert read(IDP.response(signed=signed, encryption=encryption)) == expected


@table("encryption", [None, GCM])
def test_signature_is_required(encryption: Encryption | None) -> None:
    """Encryption proves nothing, since its key is public."""
    refused(IDP.response(signed="none", encryption=encryption), "expected a signature in the Response or the Assertion")


@table("signing", ["assertion_signing", "response_signing"])
@table("encryption", [None, GCM, CBC])
def test_both_signatures_must_be_valid(signing: str, encryption: Encryption | None) -> None:
    """One of an attacker is not ignored beside a valid one."""
    text = IDP.response(signed="both", encryption=encryption, **{signing: ATTACKER})
    refused(text, "the signature is not valid for any certificate of the provider")


def test_contents_are_what_was_signed() -> None:
    """Not what the document says: a child of the response can be changed if only the assertion is signed."""
    document = IDP.document(in_response_to="_request")
    outside, middle, inside = document.partition("<samlp:Status>")
    for part in ("_response1", ' InResponseTo="_request"', f' Destination="{RECIPIENT}"'):
        assert part in outside
        outside = outside.replace(part, "_other" if part == "_response1" else "")
    assert read(encoded(outside + middle + inside)) == read(encoded(document))


@table(
    ("response", "confirmation", "expected"),
    [("", "", None), ("_a", "_a", "_a"), ("", "_a", "_a"), ("_a", "", "refused"), ("_a", "_b", "refused")],
)
@table("signed", ["assertion", "both"])
def test_request_is_the_one_that_the_assertion_names(
    response: str, confirmation: str, expected: str | None, signed: str
) -> None:
    """An attacker can remove what an unsigned response says, but gets nothing of it."""
    text = IDP.response(in_response_to=response, confirmed_in_response_to=confirmation, signed=signed)
    if expected == "refused":
        refused(text, "InResponseTo differs between Response and SubjectConfirmationData")
    else:
        assert read(text).in_response_to == expected


def test_old_response_around_an_assertion_shortens_no_validity() -> None:
    """Otherwise its use would be forgotten while a copy in a new response is accepted."""
    document = IDP.document()
    old = document.replace(f'IssueInstant="{NOW:%Y-%m-%dT%H:%M:%S}.000Z"', 'IssueInstant="2027-01-15T11:55:01Z"', 1)
    assert old != document
    assert read(encoded(old)).valid_until == read(encoded(document)).valid_until


def test_encryption_can_be_required() -> None:
    """A plain assertion is refused, signed or not."""
    provider = dataclasses.replace(PROVIDER, requires_encryption=True)
    assert read(IDP.response(encryption=GCM), provider).subject == "ada@example.com"
    refused(IDP.response(signed="both"), "expected an encrypted assertion", provider)


def test_encrypted_element_is_the_assertion_itself() -> None:
    """Not one that contains it, even if the response is signed."""
    text = IDP.response(signed="both", encryption=GCM, edit_signed=lambda text: f'<a xmlns="urn:x:x">{text}</a>')
    refused(text, "expected one Assertion in EncryptedAssertion")


def test_errors_reveal_no_plaintext_of_cbc() -> None:
    """Without a signature around the ciphertext, an attacker may change it: all errors are one."""
    reasons = set()
    for changes in (
        {"signed": "none"},
        {"assertion_signing": ATTACKER},
        {"edit_signed": lambda text: text.replace("ada@", "eve@")},
        {"edit_signed": lambda text: text + "<"},
        {"edit_signed": lambda text: text.replace("Assertion", "Other")},
        {"edit_signed": lambda text: "<!-- -->" + text},
    ):
        with pytest.raises(InvalidIdentityToken) as raised:
            read(IDP.response(encryption=CBC, **changes))
        reasons.add(str(raised.value))
    other_key = dataclasses.replace(PROVIDER, private_keys=(key_pair("rsa", "attacker").pem,))
    with pytest.raises(InvalidIdentityToken) as raised:
        read(IDP.response(encryption=CBC), other_key)
    assert reasons == {str(raised.value)} == {"the assertion cannot be decrypted, or its contents are not valid"}


def test_no_of_the_identity_provider_is_reported() -> None:
    """With its status codes; a signature is not needed for it, but must be valid if there is one."""
    answer = IDP.document(signed="none", status="urn:oasis:names:tc:SAML:2.0:status:Requester")
    start, end = answer.index("<saml:Assertion"), answer.index("</samlp:Response>")
    without = encoded(answer[:start] + answer[end:])
    with pytest.raises(IdpRejectedClaim, match="responded with the status `Requester`"):
        read(without)
    refused(IDP.response(signed="response", status="urn:x:Requester", response_signing=ATTACKER), "the signature is")


@table(("response_issuer", "expected"), [(None, ENTITY_ID), ("https://other.example.com", "https://other.example.com")])
def test_issuer_is_claimed_without_a_signature(response_issuer: str | None, expected: str) -> None:
    """By the response, for the choice of the provider that then verifies it."""
    text = IDP.response(signed="none", response_issuer=response_issuer)
    assert claimed_issuer(text) == expected


def test_issuer_of_the_assertion_counts_without_another() -> None:
    """A response may have no issuer; if its assertion is encrypted too, there is none."""
    own = f"<saml:Issuer>{ENTITY_ID}</saml:Issuer>"
    assert claimed_issuer(encoded(IDP.document(signed="none").replace(own, "", 1))) == ENTITY_ID
    with pytest.raises(InvalidIdentityToken, match="expected an Issuer in Response or Assertion, got none"):
        claimed_issuer(encoded(IDP.document(signed="none", encryption=GCM).replace(own, "", 1)))
    with pytest.raises(InvalidIdentityToken, match="a comment is not allowed"):
        claimed_issuer(encoded("<!-- -->" + IDP.document()))


def test_values_of_one_name_are_joined() -> None:
    """Keycloak writes an element for each role."""
    name = "https://aws.amazon.com/SAML/Attributes/Role"
    again = f'<saml:Attribute Name="{name}"><saml:AttributeValue> c </saml:AttributeValue></saml:Attribute>'
    text = IDP.response(
        attributes={name: ("a", "b")},
        edit=lambda text: text.replace("</saml:AttributeStatement>", f"{again}</saml:AttributeStatement>"),
    )
    assert read(text).attributes == {name: ("a", "b", " c ")}


def test_name_id_in_a_value_counts_by_its_text() -> None:
    """Shibboleth writes `eduPersonTargetedID` so. Nothing beside it is accepted, and nothing in it."""
    name, name_id = "urn:oid:1.3.6.1.4.1.5923.1.1.1.10", "<saml:NameID Format='urn:x'>ada-7</saml:NameID>"

    def edited(value: str) -> str:
        return IDP.response(
            attributes={name: ("VALUE",)}, edit=lambda text: text.replace(">VALUE<", f">{value}<"), signed="assertion"
        )

    assert read(edited(name_id)).attributes == {name: ("ada-7",)}
    for value in (name_id * 2, f"{name_id}x", f"<saml:NameID>{name_id}</saml:NameID>", "<saml:Issuer>x</saml:Issuer>"):
        with pytest.raises(InvalidIdentityToken):
            read(edited(value))


@table("module", ["lxml.etree", "signxml"])
def test_missing_library_is_a_configuration_error(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the administrator's to fix, not the client's; the modules can be imported all the same."""
    monkeypatch.setitem(sys.modules, module, None)
    for call in (lambda: read(IDP.response()), lambda: claimed_issuer("")):
        with pytest.raises(ConfigurationError, match="SAML requires the extra `saml` of iam_guard"):
            call()


def test_private_keys_are_not_shown() -> None:
    """In a log or traceback."""
    assert "PRIVATE" not in repr(PROVIDER)
    assert PROVIDER.private_keys

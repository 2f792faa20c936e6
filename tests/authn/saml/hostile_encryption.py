"""Hostile responses with encrypted assertions: encryption hides, but proves nothing, since its key is public."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from iam_guard.authn.saml.assertion import SamlIdentityProvider
from tests.authn.saml.hostile_documents import Hostile, edited, message
from tests.authn.saml.identity_provider import SAML
from tests.authn.saml.valid_responses import provider_of, replacing
from tests.authn.saml.xml_signer import DS, MORE, XENC, Encryption, encrypt, key_pair

UNDECRYPTABLE = "the assertion cannot be decrypted, or its contents are not valid"
NO_KEY = "the signature is not valid for any certificate of the provider"
CHANGED = "the digest in the signature does not match the content"
NOT_SIGNED = "expected a signature in the Response or the Assertion"
TRANSPORT = f"the key transport is not accepted: `{XENC}"
TWO_ASSERTIONS = "expected one assertion, in the Response, got 2"
WELL_FORMED = "expected well-formed XML"
ONE = "expected one Assertion in EncryptedAssertion"
ELSEWHERE = "a signature elsewhere than in the Response or the Assertion is not accepted"
WITHIN = "<saml:EncryptedAssertion/>"
OBJECT = "<ds:Object/>"
TO_US = Encryption()
FROM_ATTACKER = {"key": key_pair("rsa", "attacker")}


def encrypted(name: str, reason: str, edit: Callable[[str], str], **changes: object) -> Hostile:
    """Return a response whose encrypted form was changed as a text."""
    return edited(name, reason, edit, encryption=TO_US, **changes)


def inside(name: str, reason: str, edit: Callable[[str], str], **changes: object) -> Hostile:
    """Return a response whose assertion was changed between its signature and its encryption."""
    return message(name, reason, edit_signed=edit, encryption=TO_US, **changes)


def to(name: str, reason: str, provider: SamlIdentityProvider, encryption: Encryption | None = TO_US) -> Hostile:
    """Return a valid response to a provider that is set up in another way."""
    return dataclasses.replace(message(name, reason, encryption=encryption), provider=provider)


def shortened(text: str) -> str:
    """Return the document with the last 24 characters of the encrypted assertion lost."""
    return re.sub(r"[^<]{24}(</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>)", r"\1", text)


def flipped(text: str) -> str:
    """Return the document with a changed character in the middle of the encrypted assertion."""
    end = text.rindex("</xenc:CipherValue>")
    place = end - 400
    other = "A" if text[place] != "A" else "B"
    return text[:place] + other + text[place + 1 :]


def beside(text: str) -> str:
    """Return the document with an unsigned assertion beside the encrypted one."""
    start = text.index("<saml:EncryptedAssertion")
    return text[:start] + f'<saml:Assertion xmlns:saml="{SAML}" ID="_forged" Version="2.0"/>' + text[start:]


def doubled(text: str) -> str:
    [found] = re.findall(r"<saml:EncryptedAssertion.*</saml:EncryptedAssertion>", text, re.DOTALL)
    return text.replace(found, found + found.replace('Id="_key"', 'Id="_key2"'))


def without_key(text: str) -> str:
    return re.sub(r"<xenc:EncryptedKey.*?</xenc:EncryptedKey>", "", text, flags=re.DOTALL)


def two_keys(text: str) -> str:
    """Return the document with a second key, to an attacker, which another reader may take."""
    [found] = re.findall(r"<xenc:EncryptedKey.*?</xenc:EncryptedKey>", text, re.DOTALL)
    return text.replace(found, found + found.replace('Id="_key"', 'Id="_key2"'))


def encrypted_content(content: str, encryption: Encryption = TO_US) -> Callable[[str], str]:
    """Return a change of the encrypted content: an attacker needs the public key only."""

    def change(text: str) -> str:
        made = f"<saml:EncryptedAssertion>{encrypt(content, encryption)}</saml:EncryptedAssertion>"
        return re.sub(r"<saml:EncryptedAssertion.*</saml:EncryptedAssertion>", lambda _: made, text, flags=re.DOTALL)

    return change


def with_keys(*pems: str, requires: bool = False) -> SamlIdentityProvider:
    return dataclasses.replace(provider_of(), private_keys=pems, requires_encryption=requires)


RECEIVER_KEY = key_pair("rsa", "receiver").pem
ENCRYPTED = [
    message("encrypted, not signed", NOT_SIGNED, encryption=TO_US, signed="none"),
    message("encrypted, signed by an attacker", NO_KEY, encryption=TO_US, assertion_signing=FROM_ATTACKER),
    message("encrypted to another key", UNDECRYPTABLE, encryption=Encryption(key=key_pair("rsa", "attacker"))),
    to("no key to decrypt", "the assertion is encrypted, and the provider has no private key", with_keys()),
    to("key of another", UNDECRYPTABLE, with_keys(key_pair("rsa", "attacker").pem)),
    to(
        "not encrypted though required", "expected an encrypted assertion", with_keys(RECEIVER_KEY, requires=True), None
    ),
    message("RSA 1.5 key transport", TRANSPORT + "rsa-1_5`", encryption=Encryption(transport=XENC + "rsa-1_5")),
    encrypted("unknown key transport", TRANSPORT + "rsa-oaep-mgf2p`", replacing("rsa-oaep-mgf1p", "rsa-oaep-mgf2p")),
    encrypted("unknown cipher", "the encryption is not accepted: `", replacing("aes256-gcm", "aes256-ofb")),
    encrypted(
        "Triple DES",
        "the encryption is not accepted: `",
        replacing("2009/xmlenc11#aes256-gcm", "2001/04/xmlenc#tripledes-cbc"),
    ),
    encrypted("key for another cipher", UNDECRYPTABLE, replacing("aes256-gcm", "aes128-gcm")),
    encrypted("GCM as CBC", UNDECRYPTABLE, replacing("2009/xmlenc11#aes256-gcm", "2001/04/xmlenc#aes256-cbc")),
    encrypted("changed cipher text", UNDECRYPTABLE, flipped),
    encrypted("short cipher text", UNDECRYPTABLE, shortened),
    edited("changed CBC text", UNDECRYPTABLE, flipped, encryption=Encryption(cipher="aes256-cbc")),
    edited("short CBC text", UNDECRYPTABLE, shortened, encryption=Encryption(cipher="aes256-cbc")),
    encrypted("assertion beside the encrypted one", TWO_ASSERTIONS, beside),
    encrypted("two encrypted assertions", TWO_ASSERTIONS, doubled),
    encrypted(
        "no cipher value",
        "expected base64 in CipherValue",
        lambda text: re.sub(r"<xenc:CipherValue>[^<]*", "<xenc:CipherValue>", text),
    ),
    encrypted(
        "cipher reference",
        "expected one CipherValue in CipherData, got none",
        lambda text: re.sub(
            r"<xenc:CipherValue>.*?</xenc:CipherValue>",
            '<xenc:CipherReference URI="https://attacker.example.com"/>',
            text,
        ),
    ),
    encrypted("no key", "expected one EncryptedKey, got 0", without_key),
    edited("two keys", "expected one EncryptedKey, got 2", two_keys, encryption=Encryption(beside=True)),
    encrypted(
        "OAEP with a label", TRANSPORT, replacing("<ds:DigestMethod xmlns", "<xenc:OAEPparams/><ds:DigestMethod xmlns")
    ),
    encrypted("OAEP with MD5", "the digest of the key transport is not accepted", replacing(f"{DS}sha1", f"{MORE}md5")),
    encrypted(
        "encrypted content rather than an element",
        "expected an encrypted element",
        replacing("xmlenc#Element", "xmlenc#Content"),
    ),
    encrypted("encrypted text", WELL_FORMED, encrypted_content("ada@example.com")),
    encrypted("encrypted empty text", WELL_FORMED, encrypted_content("")),
    encrypted(
        "another encrypted element",
        "expected one Assertion in EncryptedAssertion",
        encrypted_content(f'<Issuer xmlns="{SAML}">https://idp.example.com/saml</Issuer>'),
    ),
    encrypted("two encrypted elements", WELL_FORMED, encrypted_content(f'<Assertion xmlns="{SAML}"/>' * 2)),
    encrypted(
        "encrypted document type",
        "a document type is not allowed",
        encrypted_content(f'<!DOCTYPE a><Assertion xmlns="{SAML}"/>'),
    ),
    encrypted(
        "encrypted assertion of an attacker",
        NOT_SIGNED,
        encrypted_content(f'<Assertion xmlns="{SAML}" ID="_a" Version="2.0"/>'),
    ),
    inside("changed before it was encrypted", CHANGED, lambda text: text.replace("ada@example.com", "eve@example.com")),
    inside(
        "comment before it was encrypted", "a comment is not allowed", lambda text: text.replace("ada@", "ada@<!-- -->")
    ),
    inside(
        "relative namespace before it was encrypted",
        "absolute namespace, got `1`",
        lambda text: text.replace("<saml:Subject", '<saml:Subject xmlns:r="1"'),
    ),
    inside("assertion in the encrypted one", ONE, replacing("</saml:Assertion>", "<saml:Assertion/></saml:Assertion>")),
    inside("encrypted one in the encrypted one", ONE, replacing("</saml:Assertion>", f"{WITHIN}</saml:Assertion>")),
    inside("signature elsewhere", ELSEWHERE, replacing("</saml:Subject>", f'<Signature xmlns="{DS}"/></saml:Subject>')),
    inside(
        "object in the signature",
        "an Object of XML signatures",
        replacing("</ds:Signature>", f"{OBJECT}</ds:Signature>"),
    ),
    inside(
        "ID of the response",
        NO_KEY,
        lambda text: text.replace('"_assertion1"', '"_response1"').replace("#_assertion1", "#_response1"),
    ),
    message(
        "encrypted NameID",
        "EncryptedID is not accepted in Subject",
        edit=lambda text: re.sub(
            r"<saml:NameID .*</saml:NameID>", f"<saml:EncryptedID>{encrypt('<a/>', TO_US)}</saml:EncryptedID>", text
        ),
    ),
]

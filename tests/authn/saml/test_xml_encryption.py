"""Encrypted assertions: the accepted ciphers and key transports, and errors that don't help an attacker."""

from __future__ import annotations

import base64
import re

import pytest

from iam_guard.authn.saml.xml_encryption import decrypted, is_authenticated_cipher
from iam_guard.authn.saml.xml_tree import XmlElement, parse_xml
from iam_guard.errors import InvalidIdentityToken
from tests.authn.saml.xml_signer import XENC, XENC11, Encryption, encrypt, key_pair
from tests.tables import table

PLAINTEXT = "<a>é</a>"
OURS = key_pair("rsa", "receiver").pem
OTHER = key_pair("rsa", "attacker").pem
OAEP = f"{XENC11}rsa-oaep"
UNDECRYPTABLE = "^the assertion cannot be decrypted, or its contents are not valid$"


def written(encryption: Encryption, content: str = PLAINTEXT) -> str:
    return f"<e>{encrypt(content, encryption)}</e>"


def parsed(document: str) -> XmlElement:
    return parse_xml(document.encode()).root


@table("cipher", ["aes128-gcm", "aes192-gcm", "aes256-gcm", "aes128-cbc", "aes192-cbc", "aes256-cbc"])
@table("beside", [False, True])
def test_ciphers_are_decrypted(cipher: str, beside: bool) -> None:
    """With the key in the encrypted data or beside it; only GCM authenticates."""
    encrypted = parsed(written(Encryption(cipher=cipher, beside=beside)))
    assert decrypted(encrypted, (OURS,)) == PLAINTEXT.encode()
    assert is_authenticated_cipher(encrypted) == cipher.endswith("gcm")


@table(
    ("transport", "digest", "mask"),
    [
        (f"{XENC}rsa-oaep-mgf1p", "sha1", "sha1"),
        (f"{XENC}rsa-oaep-mgf1p", "sha256", "sha1"),
        (OAEP, "sha256", "sha256"),
        (OAEP, "sha256", "sha1"),
        (OAEP, "sha384", "sha384"),
        (OAEP, "sha512", "sha512"),
    ],
)
def test_key_transports_are_decrypted(transport: str, digest: str, mask: str) -> None:
    """OAEP as identity providers send it, SHA-1 included: its collisions don't matter there."""
    encryption = Encryption(transport=transport, digest=digest, mask=mask)
    assert decrypted(parsed(written(encryption)), (OURS,)) == PLAINTEXT.encode()


def test_digest_of_the_transport_is_sha1_by_default() -> None:
    """Both algorithms may be left out."""
    document = re.sub(r"<ds:DigestMethod[^>]*/>|<m:MGF[^>]*/>", "", written(Encryption(transport=OAEP)))
    assert "DigestMethod" not in document
    assert decrypted(parsed(document), (OURS,)) == PLAINTEXT.encode()


def test_mask_of_the_first_transport_is_sha1() -> None:
    """Its name says so; the element that names another one belongs to the transport of XML Encryption 1.1."""
    mask = f'<m:MGF xmlns:m="{XENC11}" Algorithm="{XENC11}mgf1sha256"/></xenc:EncryptionMethod>'
    document = written(Encryption()).replace("</xenc:EncryptionMethod>", mask)
    assert decrypted(parsed(document), (OURS,)) == PLAINTEXT.encode()


def test_any_of_our_keys_decrypts() -> None:
    """While a key is rotated, there are two; a key that cannot be read is skipped."""
    encrypted = parsed(written(Encryption()))
    assert decrypted(encrypted, (OTHER, OURS)) == PLAINTEXT.encode()
    assert decrypted(encrypted, ("no key", key_pair("P-256").pem, OURS)) == PLAINTEXT.encode()
    with pytest.raises(InvalidIdentityToken, match=UNDECRYPTABLE):
        decrypted(encrypted, (OTHER,))
    with pytest.raises(InvalidIdentityToken, match="the provider has no private key"):
        decrypted(encrypted, ())


GCM = written(Encryption())
CBC = written(Encryption(cipher="aes256-cbc"))


@table(
    ("document", "reason"),
    [
        (written(Encryption(transport=f"{XENC}rsa-1_5")), "the key transport is not accepted: `.*rsa-1_5`"),
        (GCM.replace("mgf1p", "mgf2p"), "the key transport is not accepted"),
        (GCM.replace("xmldsig#sha1", "xmldsig#md5"), "the digest of the key transport is not accepted"),
        (written(Encryption(transport=OAEP)).replace("mgf1sha1", "mgf1md5"), "the digest of the key transport"),
        (
            GCM.replace("</xenc:EncryptionMethod>", "<xenc:OAEPparams>AAAA</xenc:OAEPparams></xenc:EncryptionMethod>"),
            "the key transport is not accepted",
        ),
        (CBC.replace("aes256-cbc", "tripledes-cbc"), "the encryption is not accepted: `.*tripledes-cbc`"),
        (CBC.replace("aes256-cbc", "kw-aes256"), "the encryption is not accepted"),
        (GCM.replace("xmlenc#Element", "xmlenc#Content"), "expected an encrypted element"),
        (re.sub(r"<xenc:EncryptedKey.*</xenc:EncryptedKey>", "", GCM), "expected one EncryptedKey, got 0"),
        (re.sub(r"(<xenc:EncryptedKey.*?</xenc:EncryptedKey>)", r"\1\1", GCM).replace("Id=", "x=", 1), "got 2"),
        (re.sub(r"<xenc:CipherValue>[^<]*", "<xenc:CipherValue>", GCM), "expected base64 in CipherValue"),
        (re.sub(r"<xenc:CipherValue>[^<]*", "<xenc:CipherValue>%%%%", GCM), "expected base64 in CipherValue"),
        (GCM.replace("CipherValue", "CipherReference"), "expected one CipherValue in CipherData, got none"),
        ("<e/>", "expected one EncryptedData in e, got none"),
    ],
)
def test_other_encryption_is_refused(document: str, reason: str) -> None:
    """Before any private key is used."""
    with pytest.raises(InvalidIdentityToken, match=reason):
        decrypted(parsed(document), (OURS,))


def changed(document: str, change: object) -> XmlElement:
    """Return the element with another content of its last CipherValue."""
    assert callable(change)
    start = document.rindex("<xenc:CipherValue>") + len("<xenc:CipherValue>")
    end = document.index("<", start)
    content = bytes(change(bytearray(base64.b64decode(document[start:end]))))
    return parsed(document[:start] + base64.b64encode(content).decode() + document[end:])


def flip(content: bytearray) -> bytearray:
    content[-1] ^= 1
    return content


@table("change", [flip, lambda content: content[:-1], lambda content: content[:20], lambda content: content[:1]])
def test_changed_gcm_is_refused(change: object) -> None:
    """The tag covers everything."""
    with pytest.raises(InvalidIdentityToken, match=UNDECRYPTABLE):
        decrypted(changed(GCM, change), (OURS,))


@table("document", [GCM.replace("aes256-gcm", "aes128-gcm"), CBC.replace("aes256-cbc", "aes128-cbc")])
def test_key_of_another_length_is_refused(document: str) -> None:
    """With the same error as a key that is not ours."""
    with pytest.raises(InvalidIdentityToken, match=UNDECRYPTABLE):
        decrypted(parsed(document), (OURS,))


def test_padding_of_cbc_is_no_oracle() -> None:
    """For any last byte of the plaintext, the parser decides, in the same way and with the same error."""
    for value in range(256):

        def change(content: bytearray, value: int = value) -> bytearray:
            content[-17] ^= value  # flips bits of the last byte of the plaintext
            return content

        with pytest.raises(InvalidIdentityToken, match=r"^expected (well-formed XML|XML in UTF-8)$"):
            parse_xml(decrypted(changed(CBC, change if value else flip), (OURS,)))


@table("length", [0, 1, 15, 16, 17, 31, 33])
def test_cbc_of_no_whole_blocks_is_refused(length: int) -> None:
    """The first block is the initialization vector."""
    with pytest.raises(InvalidIdentityToken, match=r"cannot be decrypted|expected base64"):
        decrypted(changed(CBC, lambda content: (content * 2)[:length]), (OURS,))

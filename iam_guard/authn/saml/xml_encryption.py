"""Decrypt XML Encryption in SAML assertions: AES with a key that RSA-OAEP transports.

RSA 1.5 key transport and triple DES are refused. All failures have one message, so they don't help to guess a
plaintext. AES-CBC does not authenticate: with it, the caller must not reveal how reading the plaintext failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from iam_guard.authn.saml.xml_tree import XmlElement, read_base64, shorten
from iam_guard.errors import InvalidIdentityToken

_XENC: Final = "http://www.w3.org/2001/04/xmlenc#"
_XENC11: Final = "http://www.w3.org/2009/xmlenc11#"
_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_CIPHERS: Final = {
    **{f"{_XENC11}aes{bits}-gcm": (bits // 8, True) for bits in (128, 192, 256)},
    **{f"{_XENC}aes{bits}-cbc": (bits // 8, False) for bits in (128, 192, 256)},
}
"""The length of the key, and whether the cipher authenticates."""
_OAEP_SHA1: Final = f"{_XENC}rsa-oaep-mgf1p"
_OAEP: Final = f"{_XENC11}rsa-oaep"
_HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    f"{_DS}sha1": hashes.SHA1,  # collisions don't matter for OAEP
    f"{_XENC}sha256": hashes.SHA256,
    f"{_XENC}sha512": hashes.SHA512,
    "http://www.w3.org/2001/04/xmldsig-more#sha384": hashes.SHA384,
    f"{_XENC11}mgf1sha1": hashes.SHA1,
    f"{_XENC11}mgf1sha256": hashes.SHA256,
    f"{_XENC11}mgf1sha384": hashes.SHA384,
    f"{_XENC11}mgf1sha512": hashes.SHA512,
}
_IV: Final = 12
_TAG: Final = 16
_BLOCK: Final = 16


def is_authenticated_cipher(encrypted: XmlElement) -> bool:
    """Return whether the cipher of an encrypted element authenticates it. Raises `InvalidIdentityToken`."""
    return _cipher(encrypted.only(f"{{{_XENC}}}EncryptedData"))[1]


def decrypted(encrypted: XmlElement, private_keys: Sequence[str]) -> bytes:
    """Return the plaintext of an element that contains `EncryptedData`. Raises `InvalidIdentityToken`."""
    data = encrypted.only(f"{{{_XENC}}}EncryptedData")
    if data.attributes.get("Type", f"{_XENC}Element") != f"{_XENC}Element":
        raise InvalidIdentityToken("expected an encrypted element")
    length, is_authenticated = _cipher(data)
    key = _content_key(_encrypted_key(encrypted), private_keys, length)
    ciphertext = _ciphertext(data)
    try:
        return _gcm(key, ciphertext) if is_authenticated else _cbc(key, ciphertext)
    except (InvalidTag, ValueError):
        raise undecryptable() from None


def undecryptable() -> InvalidIdentityToken:
    """Return the error for all that fails when an assertion is decrypted."""
    return InvalidIdentityToken("the assertion cannot be decrypted, or its contents are not valid")


def _cipher(data: XmlElement) -> tuple[int, bool]:
    algorithm = data.only(f"{{{_XENC}}}EncryptionMethod").attributes.get("Algorithm", "")
    if algorithm not in _CIPHERS:
        raise InvalidIdentityToken(f"the encryption is not accepted: `{shorten(algorithm)}`")
    return _CIPHERS[algorithm]


def _encrypted_key(encrypted: XmlElement) -> XmlElement:
    """Return the one encrypted key, inside the encrypted data or beside it."""
    found = [element for element in encrypted.walk() if element.name == f"{{{_XENC}}}EncryptedKey"]
    if len(found) != 1:
        raise InvalidIdentityToken(f"expected one EncryptedKey, got {len(found)}")
    return found[0]


def _content_key(encrypted_key: XmlElement, private_keys: Sequence[str], length: int) -> bytes:
    """Decrypt the key of the cipher with one of our keys."""
    if not private_keys:
        raise InvalidIdentityToken("the assertion is encrypted, and the provider has no private key")
    oaep, ciphertext = _oaep(encrypted_key), _ciphertext(encrypted_key)
    for pem in private_keys:
        try:
            private = load_pem_private_key(pem.encode("latin-1"), None, unsafe_skip_rsa_key_validation=True)
            key = private.decrypt(ciphertext, oaep) if isinstance(private, RSAPrivateKey) else b""
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        if len(key) == length:
            return key
    raise undecryptable()


def _oaep(encrypted_key: XmlElement) -> padding.OAEP:
    method = encrypted_key.only(f"{{{_XENC}}}EncryptionMethod")
    algorithm = method.attributes.get("Algorithm", "")
    if algorithm not in {_OAEP_SHA1, _OAEP} or method.named(f"{{{_XENC}}}OAEPparams"):
        raise InvalidIdentityToken(f"the key transport is not accepted: `{shorten(algorithm)}`")
    digest = _hash(method.optional(f"{{{_DS}}}DigestMethod"))
    mask = _hash(None if algorithm == _OAEP_SHA1 else method.optional(f"{{{_XENC11}}}MGF"))
    return padding.OAEP(padding.MGF1(mask), digest, label=None)


def _hash(method: XmlElement | None) -> hashes.HashAlgorithm:
    """Return the hash of a digest method or a mask generation function; SHA-1 by default."""
    algorithm = f"{_DS}sha1" if method is None else method.attributes.get("Algorithm", "")
    if algorithm not in _HASHES:
        raise InvalidIdentityToken(f"the digest of the key transport is not accepted: `{shorten(algorithm)}`")
    return _HASHES[algorithm]()


def _ciphertext(encrypted: XmlElement) -> bytes:
    return read_base64(encrypted.only(f"{{{_XENC}}}CipherData").only(f"{{{_XENC}}}CipherValue"))


def _gcm(key: bytes, ciphertext: bytes) -> bytes:
    if len(ciphertext) < _IV + _TAG:
        raise ValueError
    return AESGCM(key).decrypt(ciphertext[:_IV], ciphertext[_IV:], None)


def _cbc(key: bytes, ciphertext: bytes) -> bytes:
    """Decrypt; only the last byte of the padding counts (XML Encryption 5.2).

    Invalid padding gets a byte that the parser refuses, so that it takes the same path as an invalid document.
    """
    if len(ciphertext) < 2 * _BLOCK or len(ciphertext) % _BLOCK:
        raise ValueError
    decryptor = Cipher(algorithms.AES(key), modes.CBC(ciphertext[:_BLOCK])).decryptor()
    padded = decryptor.update(ciphertext[_BLOCK:]) + decryptor.finalize()
    return padded[: -padded[-1]] if 1 <= padded[-1] <= _BLOCK else padded + b"\0"

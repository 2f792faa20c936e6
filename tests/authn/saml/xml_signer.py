"""An independent signer and encrypter of XML for the tests: lxml's canonical form and `cryptography` only.

It works on text: a document has a marker where its signature goes, so that everything else stays as it was written.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID
from lxml import etree

DS = "http://www.w3.org/2000/09/xmldsig#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = DS + "enveloped-signature"

HASHES: Mapping[str, Any] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
DIGESTS = {"sha1": DS + "sha1", "sha256": XENC + "sha256", "sha384": MORE + "sha384", "sha512": XENC + "sha512"}
SIGNATURES = {
    "rsa-sha1": DS + "rsa-sha1",
    "hmac-sha1": DS + "hmac-sha1",
    **{
        f"{kind}-{hash}": f"{MORE}{kind}-{hash}"
        for kind in ("rsa", "ecdsa", "hmac")
        for hash in HASHES
        if hash != "sha1"
    },
}
CURVES: Mapping[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
KINDS = ("rsa", *CURVES)
VALUE = "@@value@@"


class KeyPair:
    """A private key with its self-signed certificate."""

    def __init__(self, kind: str = "rsa", name: str = "idp", bits: int = 2048) -> None:
        self.kind = kind
        self.private: Any
        if kind == "rsa":
            self.private = rsa.generate_private_key(65537, bits)
        else:
            self.private = ec.generate_private_key(CURVES[kind]())
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder(named, named, self.private.public_key(), x509.random_serial_number())
        made = made.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2021, 1, 1, tzinfo=UTC))
        self.certificate: bytes = made.sign(self.private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        form = serialization.PrivateFormat.PKCS8
        encoded: bytes = self.private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return encoded.decode("ascii")

    @property
    def certificate_text(self) -> str:
        return base64.b64encode(self.certificate).decode("ascii")

    def sign(self, content: bytes, algorithm: str) -> bytes:
        kind, _, hash = algorithm.partition("-")
        if kind == "hmac":  # the classic confusion: the certificate as the key
            made = hmac.HMAC(self.certificate, HASHES[hash]())
            made.update(content)
            return made.finalize()
        if kind == "rsa":
            return bytes(self.private.sign(content, padding.PKCS1v15(), HASHES[hash]()))
        r, s = decode_dss_signature(self.private.sign(content, ec.ECDSA(HASHES[hash]())))
        size = (self.private.key_size + 7) // 8
        return bytes(r.to_bytes(size) + s.to_bytes(size))


def key_pair(kind: str = "rsa", name: str = "idp") -> KeyPair:
    """Return the same pair of that kind and name each time, since RSA keys take long."""
    return _key_pair(kind, name)


_key_pair = functools.cache(KeyPair)


@dataclass(frozen=True, kw_only=True)
class Signing:
    """How one signature is made; each part can be wrong."""

    key: KeyPair = field(default_factory=key_pair)
    algorithm: str = ""
    digest: str = "sha256"
    prefix: str = "ds"
    transforms: str = ""
    """The Transform elements instead of the usual two."""
    inclusive: str = ""
    """The PrefixList of InclusiveNamespaces."""
    canonical: str = EXCLUSIVE
    reference: str | None = None
    """The URI instead of `#` and the id."""
    key_info: str = "certificate"
    """certificate | subject | value | named | none, or the whole element."""
    more_references: str = ""
    more: str = ""
    """What follows KeyInfo, like ds:Object."""
    wrapped: int = 0
    """Characters of a line of base64; 0 for one line."""
    indented: bool = False

    @property
    def method(self) -> str:
        return self.algorithm or ("rsa-sha256" if self.key.kind == "rsa" else "ecdsa-sha256")


def sign(text: str, marker: str, id: str, signing: Signing) -> str:
    """Return the document with a signature of the element with that id in the marker's place."""
    [element] = _parse(text.replace(marker, "")).xpath("//*[@ID = $id]", id=id)
    digest = hashlib.new(signing.digest, _canonical(element, signing.inclusive, signing.canonical)).digest()
    unsigned = text.replace(marker, _signature(id, _base64(digest), signing))
    [value] = _parse(unsigned).xpath("//*[text() = $value]", value=VALUE)
    content = _canonical(value.getparent()[0], "", signing.canonical)
    return unsigned.replace(VALUE, _base64(signing.key.sign(content, signing.method), signing.wrapped))


def _parse(text: str) -> Any:
    return etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, huge_tree=True))


def _canonical(element: Any, inclusive: str, method: str) -> bytes:
    exclusive = method.startswith(EXCLUSIVE)
    prefixes = [name if name != "#default" else "" for name in inclusive.split()] if exclusive else None
    return bytes(
        etree.tostring(
            element,
            method="c14n",
            exclusive=exclusive,
            inclusive_ns_prefixes=prefixes,
            with_comments="WithComments" in method,
        )
    )


def _base64(content: bytes, width: int = 0) -> str:
    text = base64.b64encode(content).decode("ascii")
    return "\n" + "\n".join(textwrap.wrap(text, width)) + "\n" if width else text


def _signature(id: str, digest: str, signing: Signing) -> str:
    """Return the element with the value still to come."""
    p = f"{signing.prefix}:" if signing.prefix else ""
    declared = f'xmlns:{signing.prefix}="{DS}"' if signing.prefix else f'xmlns="{DS}"'
    inclusive = f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{signing.inclusive}"/>'
    second = f">{inclusive}</{p}Transform>" if signing.inclusive else "/>"
    usual = f'<{p}Transform Algorithm="{ENVELOPED}"/><{p}Transform Algorithm="{signing.canonical}"{second}'
    reference = f"#{id}" if signing.reference is None else signing.reference
    text = (
        f"<{p}Signature {declared}><{p}SignedInfo>"
        f'<{p}CanonicalizationMethod Algorithm="{signing.canonical}"/>'
        f'<{p}SignatureMethod Algorithm="{SIGNATURES.get(signing.method, signing.method)}"/>'
        f'<{p}Reference URI="{reference}"><{p}Transforms>{signing.transforms or usual}</{p}Transforms>'
        f'<{p}DigestMethod Algorithm="{DIGESTS[signing.digest]}"/><{p}DigestValue>{digest}</{p}DigestValue>'
        f"</{p}Reference>{signing.more_references}</{p}SignedInfo>"
        f"<{p}SignatureValue>{VALUE}</{p}SignatureValue>{key_info(signing, p)}{signing.more}</{p}Signature>"
    )
    return text.replace("><", ">\n  <") if signing.indented else text


def key_info(signing: Signing, p: str) -> str:
    """Return the element KeyInfo, which no verifier may trust."""
    key = signing.key
    certificate = "\n".join(textwrap.wrap(key.certificate_text, signing.wrapped or 10_000))
    value = f"<{p}X509Certificate>{certificate}</{p}X509Certificate>"
    match signing.key_info:
        case "none":
            return ""
        case "certificate":
            content = f"<{p}X509Data>{value}</{p}X509Data>"
        case "subject":
            content = f"<{p}X509Data><{p}X509SubjectName>CN=idp</{p}X509SubjectName>{value}</{p}X509Data>"
        case "named":
            content = f"<{p}KeyName>key-1</{p}KeyName><{p}X509Data>{value}</{p}X509Data>{_key_value(key, p)}"
        case "value":
            content = _key_value(key, p)
        case element:
            return element
    return f"<{p}KeyInfo>{content}</{p}KeyInfo>"


def _key_value(key: KeyPair, p: str) -> str:
    public = key.private.public_key()
    if key.kind != "rsa":
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        oid = {"P-256": "1.2.840.10045.3.1.7", "P-384": "1.3.132.0.34", "P-521": "1.3.132.0.35"}[key.kind]
        return (
            f'<{p}KeyValue><ec11:ECKeyValue xmlns:ec11="http://www.w3.org/2009/xmldsig11#">'
            f'<ec11:NamedCurve URI="urn:oid:{oid}"/><ec11:PublicKey>{_base64(point)}</ec11:PublicKey>'
            f"</ec11:ECKeyValue></{p}KeyValue>"
        )
    numbers = public.public_numbers()
    modulus = _base64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8))
    exponent = _base64(numbers.e.to_bytes(3))
    return (
        f"<{p}KeyValue><{p}RSAKeyValue><{p}Modulus>{modulus}</{p}Modulus>"
        f"<{p}Exponent>{exponent}</{p}Exponent></{p}RSAKeyValue></{p}KeyValue>"
    )


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """How the assertion is encrypted, and to which key."""

    key: KeyPair = field(default_factory=lambda: key_pair("rsa", "receiver"))
    cipher: str = "aes256-gcm"
    """aes128-gcm | aes192-gcm | aes256-gcm | aes128-cbc | aes192-cbc | aes256-cbc"""
    transport: str = XENC + "rsa-oaep-mgf1p"
    digest: str = "sha1"
    """The hash of OAEP."""
    mask: str = "sha1"
    """The hash of its mask function; others than SHA-1 need the transport of XML Encryption 1.1."""
    beside: bool = False
    """EncryptedKey beside EncryptedData rather than in its KeyInfo."""
    prefix: str = "xenc"


def encrypt(text: str, encryption: Encryption) -> str:
    """Return EncryptedData (with EncryptedKey in or beside it) of that text."""
    size = int(encryption.cipher[3:6]) // 8
    secret = os.urandom(size)
    form = encryption.cipher[7:]
    if form == "gcm":
        nonce = os.urandom(12)
        content = nonce + AESGCM(secret).encrypt(nonce, text.encode(), None)
    else:
        content = _cbc(secret, text.encode())
    x = encryption.prefix
    encrypted_key = _encrypted_key(secret, encryption)
    inner = '<ds:RetrievalMethod Type="http://www.w3.org/2001/04/xmlenc#EncryptedKey" URI="#_key"/>'
    cipher = f"{XENC11 if form == 'gcm' else XENC}{encryption.cipher}"
    return (
        f'<{x}:EncryptedData xmlns:{x}="{XENC}" Type="{XENC}Element"><{x}:EncryptionMethod Algorithm="{cipher}"/>'
        f'<ds:KeyInfo xmlns:ds="{DS}">{inner if encryption.beside else encrypted_key}</ds:KeyInfo>'
        f"<{x}:CipherData><{x}:CipherValue>{_base64(content)}</{x}:CipherValue></{x}:CipherData></{x}:EncryptedData>"
        f"{encrypted_key if encryption.beside else ''}"
    )


def _cbc(secret: bytes, content: bytes) -> bytes:
    start = os.urandom(16)
    missing = 16 - len(content) % 16
    padded = content + bytes(missing - 1) + bytes([missing])
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(start)).encryptor()
    return start + encryptor.update(padded) + encryptor.finalize()


def _encrypted_key(secret: bytes, encryption: Encryption) -> str:
    public = encryption.key.private.public_key()
    if encryption.transport.endswith("rsa-1_5"):
        content = public.encrypt(secret, padding.PKCS1v15())
        methods = ""
    else:
        mask = padding.MGF1(HASHES[encryption.mask]())
        content = public.encrypt(secret, padding.OAEP(mask, HASHES[encryption.digest](), None))
        methods = f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{DIGESTS[encryption.digest]}"/>'
        if encryption.transport.startswith(XENC11):
            methods += f'<m:MGF xmlns:m="{XENC11}" Algorithm="{XENC11}mgf1{encryption.mask}"/>'
    x = encryption.prefix
    return (
        f'<{x}:EncryptedKey xmlns:{x}="{XENC}" Id="_key">'
        f'<{x}:EncryptionMethod Algorithm="{encryption.transport}">{methods}</{x}:EncryptionMethod>'
        f"<{x}:CipherData><{x}:CipherValue>{_base64(content)}</{x}:CipherValue></{x}:CipherData></{x}:EncryptedKey>"
    )

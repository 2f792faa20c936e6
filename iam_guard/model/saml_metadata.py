"""The metadata document of a SAML identity provider: its entity id, validity, signing keys and sign-on URLs.

The document is untrusted, so it is parsed as a stream of elements, attributes and text only: no document type, hence no
entities and nothing to fetch; limits for depth and number of elements. Signatures in it are not verified: the uploading
caller vouches for it. As at AWS, the expiry of its certificates is ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from xml.parsers import expat

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from iam_guard.errors import InvalidInput

METADATA_VALIDITY = 36_524 * 24 * 3600
"""Seconds of validity for metadata without `validUntil`: a hundred years, as at AWS."""
MAX_ELEMENTS = 10_000
MAX_LEVELS = 32
MIN_KEY_BITS = 1024
MAX_ENTITY_ID = 1024

_SEPARATOR = " "
_METADATA = "urn:oasis:names:tc:SAML:2.0:metadata "
_PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
_CERTIFICATE = "http://www.w3.org/2000/09/xmldsig# X509Certificate"
_SERVICE = _METADATA + "SingleSignOnService"
_URL = re.compile(r"https?://[!-~]{1,2000}")
_LATEST = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1


@dataclass(frozen=True, slots=True)
class SamlMetadata:
    """An identity provider: its entity id, the end of its validity, its signing certificates (DER).

    `sign_on_urls` has the first URL of its sign-on service for each binding.
    """

    entity_id: str
    valid_until: int | None
    certificates: tuple[bytes, ...]
    sign_on_urls: Mapping[str, str]


def read_metadata(text: str) -> SamlMetadata:
    """Parse a metadata document. Raises `InvalidInput`."""
    reader = _Reader()
    try:
        reader.parser.Parse(text, True)
    except (expat.ExpatError, UnicodeEncodeError):
        raise _invalid("it is not well-formed XML") from None
    if not reader.certificates:
        raise _invalid("expected an IDPSSODescriptor for SAML 2.0 with a signing certificate")
    certificates = tuple(dict.fromkeys(map(_certificate, reader.certificates)))
    return SamlMetadata(reader.entity_id, reader.valid_until, certificates, MappingProxyType(reader.sign_on_urls))


def _invalid(reason: str) -> InvalidInput:
    return InvalidInput(f"Could not parse metadata: {reason}", place="SAMLMetadataDocument")


class _Reader:
    """Handles the parser's events, with a stack of the open elements."""

    def __init__(self) -> None:
        self.entity_id = ""
        self.valid_until: int | None = None
        self.certificates: list[str] = []
        self.sign_on_urls: dict[str, str] = {}
        self._open: list[str] = []
        self._elements = 0
        self._signs: list[bool] = []
        self._text: list[str] | None = None
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _doctype(self, *_: object) -> None:
        raise _invalid("a document type is not allowed")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_LEVELS:
            raise _invalid("it has too many elements, or they are nested too deeply")
        if not self._open:
            self._root(name, attributes)
        self._open.append(name)
        self._signs.append(self._may_sign(name, attributes))
        if name == _CERTIFICATE and self._signs[-1]:
            self._text = []
        if name == _SERVICE and len(self._open) == 3 and self._signs[1]:
            self._sign_on_service(attributes.get("Binding", ""), attributes.get("Location", "").strip())

    def _root(self, name: str, attributes: dict[str, str]) -> None:
        if name != _METADATA + "EntityDescriptor":
            raise _invalid("expected an EntityDescriptor")
        self.entity_id = attributes.get("entityID", "").strip()
        if not 1 <= len(self.entity_id) <= MAX_ENTITY_ID:
            raise _invalid(f"expected an entityID of 1 to {MAX_ENTITY_ID} characters")
        if "validUntil" in attributes:
            self.valid_until = _seconds(attributes["validUntil"])

    def _sign_on_service(self, binding: str, url: str) -> None:
        """Keep the first URL of a binding, if a browser can be sent there."""
        if _URL.fullmatch(url):
            self.sign_on_urls.setdefault(binding, url)

    def _may_sign(self, name: str, attributes: dict[str, str]) -> bool:
        """Return whether this element contains certificates for signing assertions."""
        match len(self._open):
            case 2:
                protocols = attributes.get("protocolSupportEnumeration", "").split()
                return name == _METADATA + "IDPSSODescriptor" and _PROTOCOL in protocols
            case 3:
                is_for_signing = attributes.get("use", "signing") == "signing"
                return self._signs[-1] and name == _METADATA + "KeyDescriptor" and is_for_signing
            case depth:
                return depth > 3 and self._signs[-1]

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, name: str) -> None:
        self._open.pop()
        self._signs.pop()
        if name == _CERTIFICATE and self._text is not None:
            self.certificates.append("".join(self._text))
            self._text = None


def _seconds(text: str) -> int:
    try:
        instant = datetime.fromisoformat(text.strip())
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        seconds = int(aware.timestamp())
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds <= _LATEST:
        raise _invalid("expected a date and time as validUntil")
    return seconds


def _certificate(text: str) -> bytes:
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
        key = x509.load_der_x509_certificate(der).public_key()
    except (binascii.Error, ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
        raise _invalid("a certificate in it cannot be parsed") from None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_KEY_BITS:
        raise _invalid(f"a certificate in it has a key of less than {MIN_KEY_BITS} bits")
    return der

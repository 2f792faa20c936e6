"""Verify XML signatures in SAML messages, and return what they sign.

The one accepted shape (SAML core 5.4): a signature is a child of the element that it signs, has one reference, to the
ID of that element, and the transforms *enveloped signature* and *exclusive canonicalization*. Its structure is checked
here; signxml verifies digest and signature with the provider's certificates. `KeyInfo` is ignored: a message cannot
choose its key. The result is parsed again from the canonical bytes that were signed, so nothing else can be read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from iam_guard.authn.saml.xml_tree import (
    XmlDocument,
    XmlElement,
    load_etree,
    local_name,
    parse_xml,
    read_base64,
    shorten,
    xml_parser,
)
from iam_guard.errors import InvalidIdentityToken
from iam_guard.imports import requires_extra

DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
SIGNATURE: Final = f"{DS}Signature"
MAX_CERTIFICATES: Final = 10
"""Certificates that one signature is verified with at most."""

_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_METHODS: Final = {
    **{f"{_MORE}rsa-sha{bits}": (f"RSA_SHA{bits}", RSAPublicKey) for bits in (256, 384, 512)},
    **{f"{_MORE}ecdsa-sha{bits}": (f"ECDSA_SHA{bits}", EllipticCurvePublicKey) for bits in (256, 384, 512)},
}
"""signxml's name and the type of key of each accepted signature method."""
_DIGESTS: Final = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "SHA256",
    f"{_MORE}sha384": "SHA384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "SHA512",
}
_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_PREFIXES: Final = re.compile(r"(?:[A-Za-z_#][A-Za-z0-9_.-]{0,63}(?: [A-Za-z_#][A-Za-z0-9_.-]{0,63}){0,19})?")


def signed_part(document: XmlDocument, signed: XmlElement, certificates: Sequence[bytes]) -> XmlDocument:
    """Verify the signature of the root, or of a child of it, and return what it signs as a document.

    `certificates` are in DER; their validity is ignored, as at AWS. Raises `InvalidIdentityToken`.
    """
    method = _check_structure(signed)
    location = "./" if signed is document.root else f"./{signed.name}/"
    name, kind = _METHODS[method]
    for certificate in _usable_certificates(certificates, kind):
        content = _verified_bytes(document, location, name, certificate)
        if content is not None:
            return _reparsed(content, signed)
    raise InvalidIdentityToken("the signature is not valid for any certificate of the provider")


def _usable_certificates(certificates: Sequence[bytes], kind: type) -> list[x509.Certificate]:
    if len(certificates) > MAX_CERTIFICATES:
        message = f"expected at most {MAX_CERTIFICATES} certificates of the provider, got {len(certificates)}"
        raise InvalidIdentityToken(message)
    parsed = map(x509.load_der_x509_certificate, certificates)
    return [certificate for certificate in parsed if isinstance(certificate.public_key(), kind)]


def _verified_bytes(document: XmlDocument, location: str, method: str, certificate: x509.Certificate) -> bytes | None:
    """Return the signed bytes; None if the certificate's key did not make the signature."""
    signxml = load_signxml()
    configuration = signxml.SignatureConfiguration(
        require_x509=True,
        location=location,
        expect_references=1,
        signature_methods=frozenset({signxml.SignatureMethod[method]}),
        digest_algorithms=frozenset(signxml.DigestAlgorithm[name] for name in _DIGESTS.values()),
        ignore_ambiguous_key_info=True,
        verification_time=certificate.not_valid_before_utc,  # hence never outside its validity
    )
    try:
        result = signxml.XMLVerifier().verify(
            document.content,
            x509_cert=certificate,
            validate_schema=False,
            parser=xml_parser(),
            id_attribute="ID",
            expect_config=configuration,
        )
    except signxml.InvalidDigest:
        raise InvalidIdentityToken("the digest in the signature does not match the content") from None
    except signxml.InvalidSignature:
        return None
    except Exception:  # noqa: BLE001  an error must deny
        raise InvalidIdentityToken("the signature cannot be verified") from None
    signed: bytes = result.signed_data
    return signed


def _reparsed(content: bytes, signed: XmlElement) -> XmlDocument:
    document = parse_xml(content)
    root = document.root
    if root.name != signed.name or root.attributes.get("ID") != signed.attributes["ID"]:
        raise InvalidIdentityToken("the signature is for another element than the one that contains it")
    return document


def _check_structure(signed: XmlElement) -> str:
    """Check the form of the element's signature, and return its method. Raises `InvalidIdentityToken`."""
    signature = signed.only(SIGNATURE)
    parts = [part for part in signature.children if part.name != f"{DS}KeyInfo"]
    if len(signature.children) - len(parts) > 1:
        raise InvalidIdentityToken("expected at most one KeyInfo in Signature")
    info, value = _exactly(signature, parts, "SignedInfo", "SignatureValue")
    canonicalization, method, reference = _exactly(
        info, info.children, "CanonicalizationMethod", "SignatureMethod", "Reference"
    )
    _check_exclusive(canonicalization)
    algorithm = _algorithm(method, _METHODS)
    _exactly(method, method.children)
    if not signed.attributes.get("ID") or reference.attributes.get("URI") != f"#{signed.attributes['ID']}":
        raise InvalidIdentityToken("expected a signature for the element that contains it")
    transforms, digest, digest_value = _exactly(
        reference, reference.children, "Transforms", "DigestMethod", "DigestValue"
    )
    enveloped, exclusive = _exactly(transforms, transforms.children, "Transform", "Transform")
    _algorithm(enveloped, {_ENVELOPED})
    _exactly(enveloped, enveloped.children)
    _check_exclusive(exclusive)
    _algorithm(digest, _DIGESTS)
    _exactly(digest, digest.children)
    for number in (value, digest_value):
        read_base64(number)
    return algorithm


def _exactly(parent: XmlElement, children: Sequence[XmlElement], *names: str) -> Sequence[XmlElement]:
    """Return the children, which must have these names in this order."""
    if [child.name for child in children] != [DS + name for name in names]:
        expected = f"only {', '.join(names)}" if names else "nothing"
        raise InvalidIdentityToken(f"expected {expected} in {local_name(parent.name)}")
    return children


def _check_exclusive(element: XmlElement) -> None:
    _algorithm(element, {_EXCLUSIVE})
    for child in element.children:
        prefixes = child.attributes.get("PrefixList", "")
        is_known = child.name == f"{{{_EXCLUSIVE}}}InclusiveNamespaces" and not child.children
        if not is_known or len(element.children) > 1 or not _PREFIXES.fullmatch(prefixes):
            raise InvalidIdentityToken(f"expected only InclusiveNamespaces in {local_name(element.name)}")


def _algorithm(element: XmlElement, accepted: dict[str, Any] | set[str]) -> str:
    algorithm = element.attributes.get("Algorithm", "")
    if algorithm not in accepted:
        reason = "SHA-1 is not accepted" if algorithm.endswith("sha1") else "the algorithm is not accepted"
        raise InvalidIdentityToken(f"{reason} as {local_name(element.name)}: `{shorten(algorithm)}`")
    return algorithm


def load_signxml() -> Any:
    """Import signxml. Raises `ConfigurationError` if it is not installed."""
    load_etree()
    with requires_extra("saml", "SAML"):
        signxml = import_module("signxml")
    logging.getLogger("signxml").setLevel(logging.INFO)  # below, it logs assertions, which are credentials
    return signxml

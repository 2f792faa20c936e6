"""A second library, minisignxml, holds the same signatures for valid and reads the same signed bytes.

It verifies a signature and returns what is signed; rules about the rest of the document are not its concern. So the
tables below name the documents that only one of both accepts, and why.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import etree
from minisignxml.config import VerifyConfig
from minisignxml.verify import extract_verified_element

from iam_guard.authn.saml.assertion import SamlIdentityProvider
from iam_guard.authn.saml.response import read_response
from tests.authn.saml.hostile_documents import Hostile
from tests.authn.saml.hostile_signatures import SIGNATURES
from tests.authn.saml.hostile_xml import XML
from tests.authn.saml.identity_provider import NOW, SAML
from tests.authn.saml.valid_responses import RECEIVER, VALID, Valid, provider_of
from tests.authn.saml.wrapping import MALLORY
from tests.tables import table

SHA_2 = VerifyConfig({hashes.SHA256, hashes.SHA384, hashes.SHA512}, {hashes.SHA256, hashes.SHA384, hashes.SHA512})


def second_opinion(sent: str, provider: SamlIdentityProvider) -> Any:
    """Return the signed element, or None."""
    try:
        [certificate] = map(x509.load_der_x509_certificate, provider.certificates)
        document = base64.b64decode("".join(sent.split()), validate=True)
        return extract_verified_element(xml=document, certificate=certificate, config=SHA_2)
    except Exception:  # noqa: BLE001  errors of several libraries
        return None


def subjects(element: Any) -> list[str]:
    return ["".join(name.itertext()) for name in element.iter(f"{{{SAML}}}NameID")]


def attributes(element: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for attribute in element.iter(f"{{{SAML}}}Attribute"):
        name = attribute.get("Name")
        found[name] = found.get(name, ()) + tuple(value.text or "" for value in attribute)
    return found


def unsupported(valid: Valid) -> str | None:
    """Return why the second library does not verify a valid response."""
    root = etree.fromstring(base64.b64decode(valid.text))
    methods = [element.get("Algorithm") for element in root.findall(".//{*}SignedInfo//*[@Algorithm]")]
    signatures = len(root.findall(".//{*}SignedInfo"))
    if signatures != 1:
        return "two signatures" if signatures else "a signature that is encrypted"
    if any(method.endswith(("sha384", "sha512")) for method in methods):
        return "SHA-384 and SHA-512"
    if any("ecdsa" in method for method in methods):
        return "ECDSA"
    if not root.findall(".//{*}X509Certificate"):
        return "no certificate in KeyInfo"
    if "KeyInfo, after" in valid.name:
        return "another certificate in KeyInfo, which we ignore"
    prefixes = {element.get("PrefixList") for element in root.iter("{*}InclusiveNamespaces")}
    return "declarations that PrefixList names" if prefixes else None


@table("valid", VALID, ids=lambda valid: valid.name)
def test_valid_response_has_the_same_second_opinion(valid: Valid) -> None:
    """What it does not support is not a difference."""
    read = read_response(valid.text, provider_of(valid.kind), RECEIVER, NOW)
    signed = second_opinion(valid.text, provider_of(valid.kind))
    assert (signed is None) is bool(unsupported(valid)), unsupported(valid)
    if signed is not None and not valid.message.encryption:
        assert subjects(signed) == [read.subject]
        assert attributes(signed) == read.attributes


def test_second_opinion_is_about_many_responses() -> None:
    assert sum(not unsupported(valid) for valid in VALID) > len(VALID) / 2


ACCEPTED_BY_THE_OTHER: Mapping[str, tuple[str, ...]] = {
    "it returns the signed element, and leaves the document around it to its caller": (
        *(f"XSW{number}, response signed" for number in (1, 2)),
        *(f"XSW{number}, assertion signed" for number in range(3, 9)),
        "unsigned assertion at the end",
        "signed assertion in Advice",
        "response in Extensions",
        "response without ID",
        "protocol of SAML 1",
    ),
    "it finds the signature anywhere, and what it signs by its ID": (
        "signature beside its assertion",
        "signature in the subject",
        "signature in the status",
    ),
    "it ignores what else is in the signature": (
        "transforms in another order",
        "transform twice",
        "object",
        "manifest",
        "two KeyInfo",
        "long PrefixList",
    ),
    "it accepts what does not change the canonical form, or is signed as it is read": (
        *(f"{kind} {place} the root" for kind in ("comment", "instruction") for place in ("before", "after")),
        "CDATA in the subject",
        "signed CDATA in the subject",
        "signed instruction in the subject",
        "element in the subject",
        "text beside elements",
        "document type",
        "external document type",
        "default attribute",
        "samlp:ID beside ID",
    ),
    "it accepts all encodings that lxml knows": (
        "UTF-16",
        "UTF-32",
        "declared as Latin-1",
        "mark and declaration",
        "XML 1.1",
    ),
    "it has no limits": ("too long", "long blank space", "many elements", "many namespaces"),
    "the response is signed, so its assertion needs no ID": ("assertion without ID", "empty ID"),
}
EXPECTED = frozenset(name for names in ACCEPTED_BY_THE_OTHER.values() for name in names)


@table("hostile", SIGNATURES + XML, ids=lambda hostile: hostile.name)
def test_hostile_response_has_the_same_second_opinion(hostile: Hostile) -> None:
    """What it accepts for a reason in the table is nothing but what the provider signed."""
    signed = second_opinion(hostile.sent, hostile.provider)
    assert (signed is not None) is (hostile.name in EXPECTED)
    assert signed is None or MALLORY not in subjects(signed)


def test_differences_are_of_existing_documents() -> None:
    assert {hostile.name for hostile in SIGNATURES + XML} >= EXPECTED

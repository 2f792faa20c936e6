"""Hostile responses whose signature is missing, weak, of another key, elsewhere, or about something else."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from lxml import etree

from iam_guard.authn.saml.assertion import SamlIdentityProvider
from tests.authn.saml.hostile_documents import Hostile, edited, message, signed_by
from tests.authn.saml.identity_provider import ENTITY_ID, SAML, SAMLP, IdentityProvider, encoded
from tests.authn.saml.valid_responses import provider_of, replacing
from tests.authn.saml.wrapping import FORMS, MALLORY, assertion_of, forged, signature_of, tampered
from tests.authn.saml.xml_signer import DS, ENVELOPED, EXCLUSIVE, INCLUSIVE, MORE, Signing, key_info, key_pair

ATTACKER = key_pair("rsa", "attacker")
VOID = base64.b64encode(hashlib.sha256(b"").digest()).decode("ascii")
CHANGED = "the digest in the signature does not match the content"
NO_KEY = "the signature is not valid for any certificate of the provider"
NOT_ACCEPTED = "the algorithm is not accepted as {}: `"
SHA_1 = "SHA-1 is not accepted as {}: `"
TWO = "expected only Transform, Transform in Transforms"
OTHER_ELEMENT = "expected a signature for the element that contains it"
ELSEWHERE = "a signature elsewhere than in the Response or the Assertion is not accepted"
IN_SIGNATURE = "expected only SignedInfo, SignatureValue in Signature"
BASE64 = "expected base64 in {}"
TWO_ASSERTIONS = "expected one assertion, in the Response, got 2"
SAME_ID = "several elements have the ID"
OBJECT = "an Object of XML signatures is not accepted"
WRAPPED = {
    **{(number, signed): SAME_ID for number in (1, 2) for signed in ("assertion", "response", "both")},
    **{(number, "assertion"): TWO_ASSERTIONS for number in range(3, 9)},
    (7, "assertion"): "Extensions is not accepted in Response",
    **{(number, "response"): IN_SIGNATURE for number in (6, 8)},
}
"""The reasons of the forms that don't already fail at the signature of the changed response."""
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
INCLUSIVE_11 = "http://www.w3.org/2006/12/xml-c14n11"
URIS = (
    "",
    "#",
    "_assertion1",
    "#_response1",
    "#_nothing",
    "#_assertion1 ",
    "#xpointer(id('_assertion1'))",
    "#xpointer(/)",
    "https://attacker.example.com/assertion.xml",
    "file:///etc/passwd",
)
OF_THE_PROVIDER = key_info(Signing(), "ds:")


def _wrapped() -> list[Hostile]:
    """Return the eight forms for each signature."""
    found = []
    for number, form in FORMS.items():
        for signed in ("assertion", "response", "both"):
            name = f"XSW{number}, {signed} signed"
            found.append(changed(name, WRAPPED.get((number, signed), CHANGED), form, signed=signed))
    return found


def changed(name: str, reason: str, change: Callable[[Any], object], **changes: object) -> Hostile:
    return Hostile(name=name, reason=reason, document=lambda: tampered(change, **changes))


def transforms(*names: str) -> dict[str, object]:
    return {"transforms": "".join(f'<ds:Transform Algorithm="{name}"/>' for name in names)}


def _second_reference() -> str:
    return (
        f'<ds:Reference URI="#_response1"><ds:Transforms><ds:Transform Algorithm="{EXCLUSIVE}"/></ds:Transforms>'
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{VOID}</ds:DigestValue></ds:Reference>"
    )


def set_text(name: str, text: str | None) -> Callable[[Any], None]:
    """Return a change of the text of the first element of that name in the signature."""

    def change(root: Any) -> None:
        next(signature_of(root).iter(f"{{{DS}}}{name}")).text = text

    return change


def move_signature(place: Callable[[Any, Any, Any], None]) -> Callable[[Any], None]:
    """Return a change that puts the assertion's signature elsewhere: given the root, the assertion, the signature."""

    def change(root: Any) -> None:
        assertion = assertion_of(root)
        signature = signature_of(root)
        assertion.remove(signature)
        place(root, assertion, signature)

    return change


def two_signed_infos(root: Any) -> None:
    """The first is about something else, the second is the signed one."""
    signature = signature_of(root)
    made = etree.fromstring(etree.tostring(signature[0]))
    next(made.iter(f"{{{DS}}}DigestValue")).text = VOID
    signature.insert(0, made)


def second_signature(root: Any) -> None:
    signature = signature_of(root)
    signature.addnext(etree.fromstring(etree.tostring(signature)))


def nested_signature(root: Any) -> None:
    signature = signature_of(root)
    etree.SubElement(signature, f"{{{DS}}}Object").append(etree.fromstring(etree.tostring(signature)))


def renamed_subject(root: Any) -> None:
    next(root.iter(f"{{{SAML}}}NameID")).text = MALLORY


def added_attribute(root: Any) -> None:
    value = next(root.iter(f"{{{SAML}}}AttributeValue"))
    value.addnext(etree.fromstring(etree.tostring(value)))


def removed_condition(root: Any) -> None:
    element = next(root.iter(f"{{{SAML}}}AudienceRestriction"))
    element.getparent().remove(element)


def unsigned_beside(root: Any) -> None:
    root.append(forged(assertion_of(root)))


def in_advice(root: Any) -> None:
    """The signed assertion moves into the Advice of a forged one."""
    assertion = assertion_of(root)
    made = forged(assertion)
    root.replace(assertion, made)
    advice = etree.Element(f"{{{SAML}}}Advice")
    advice.append(assertion)
    made.find(f"{{{SAML}}}Conditions").addnext(advice)


def void_canonical(text: str) -> str:
    """Return the document with a relative namespace, of which some libraries hash the empty text."""
    text = text.replace("<saml:Assertion ", '<saml:Assertion xmlns:r="1" ')
    start, end = text.index("<ds:DigestValue>"), text.index("</ds:DigestValue>")
    return text[:start] + f"<ds:DigestValue>{VOID}" + text[end:]


def of_zeros(kind: str) -> str:
    """Return a document whose ECDSA signature is zero, which some libraries hold for valid."""
    text = IdentityProvider(key=kind).document()
    start, end = text.index("<ds:SignatureValue>") + 19, text.index("</ds:SignatureValue>")
    return text[:start] + encoded(bytes(64)) + text[end:]


def method(name: str, algorithm: str) -> Hostile:
    """Return a document that names another signature method than the one that signed."""
    edit = replacing(f'"{MORE}rsa-sha256"', f'"{algorithm}"')
    return edited(name, NOT_ACCEPTED.format("SignatureMethod"), edit)


def output_length(root: Any) -> None:
    element = next(root.iter(f"{{{DS}}}SignatureMethod"))
    etree.SubElement(element, f"{{{DS}}}HMACOutputLength").text = "0"


def response_in_extensions(root: Any) -> None:
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    etree.SubElement(extensions, f"{{{SAMLP}}}Response")
    root.insert(1, extensions)


KEYS = [
    message("not signed", "expected a signature in the Response or the Assertion", signed="none"),
    signed_by("signed by an attacker", NO_KEY, {"key": ATTACKER}),
    signed_by("attacker's key, provider's certificate", NO_KEY, {"key": ATTACKER, "key_info": OF_THE_PROVIDER}),
    signed_by("attacker's KeyValue", NO_KEY, {"key": ATTACKER, "key_info": "value"}),
    signed_by("attacker's key without KeyInfo", NO_KEY, {"key": ATTACKER, "key_info": "none"}),
    signed_by("key of another kind", NO_KEY, {"key": key_pair("P-256", "attacker")}),
    message("response signed by an attacker", NO_KEY, signed="both", response_signing={"key": ATTACKER}),
    message("assertion signed by an attacker", NO_KEY, signed="both", assertion_signing={"key": ATTACKER}),
    dataclasses.replace(message("no certificate", NO_KEY), provider=SamlIdentityProvider(ENTITY_ID, ())),
    dataclasses.replace(message("certificate of another kind", NO_KEY), provider=provider_of("P-256")),
    Hostile(name="ECDSA of zeros", reason=NO_KEY, document=lambda: of_zeros("P-256"), provider=provider_of("P-256")),
    Hostile(
        name="ECDSA of another curve", reason=NO_KEY, document=lambda: of_zeros("P-384"), provider=provider_of("P-256")
    ),
    signed_by("HMAC with the certificate", NOT_ACCEPTED.format("SignatureMethod"), {"algorithm": "hmac-sha256"}),
    signed_by("HMAC-SHA1 with the certificate", SHA_1.format("SignatureMethod"), {"algorithm": "hmac-sha1"}),
    signed_by("RSA-SHA1", SHA_1.format("SignatureMethod"), {"algorithm": "rsa-sha1"}),
    signed_by("SHA-1 digest", SHA_1.format("DigestMethod"), {"digest": "sha1"}),
    method("unknown method", MORE + "rsa-sha257"),
    method("RSA-PSS", "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1"),
    method("DSA", "http://www.w3.org/2009/xmldsig11#dsa-sha256"),
    method("RSA-MD5", MORE + "rsa-md5"),
    method("empty method", ""),
    method("method with a space", MORE + "rsa-sha256 "),
    edited("MD5 digest", NOT_ACCEPTED.format("DigestMethod"), replacing("xmlenc#sha256", "xmldsig-more#md5")),
    edited("SHA-224 digest", NOT_ACCEPTED.format("DigestMethod"), replacing("xmlenc#sha256", "xmldsig-more#sha224")),
    changed("HMAC length", "expected nothing in SignatureMethod", output_length),
]
REFERENCES = [
    signed_by("XSLT", TWO, transforms(ENVELOPED, EXCLUSIVE, XSLT)),
    signed_by("XSLT only", NOT_ACCEPTED.format("Transform"), transforms(ENVELOPED, XSLT)),
    signed_by("XPath", TWO, transforms(XPATH, ENVELOPED, EXCLUSIVE)),
    signed_by("XPath instead of enveloped", NOT_ACCEPTED.format("Transform"), transforms(XPATH, EXCLUSIVE)),
    signed_by("XPath filter", TWO, transforms(ENVELOPED, "http://www.w3.org/2002/06/xmldsig-filter2", EXCLUSIVE)),
    signed_by("base64 transform", TWO, transforms(ENVELOPED, EXCLUSIVE, DS + "base64")),
    signed_by("inclusive transform", NOT_ACCEPTED.format("Transform"), transforms(ENVELOPED, INCLUSIVE)),
    signed_by("canonical form 1.1", NOT_ACCEPTED.format("Transform"), transforms(ENVELOPED, INCLUSIVE_11)),
    signed_by("comments kept", NOT_ACCEPTED.format("Transform"), transforms(ENVELOPED, EXCLUSIVE + "WithComments")),
    signed_by("no canonical transform", TWO, transforms(ENVELOPED)),
    signed_by("no enveloped transform", TWO, transforms(EXCLUSIVE)),
    signed_by("transforms in another order", NOT_ACCEPTED.format("Transform"), transforms(EXCLUSIVE, ENVELOPED)),
    signed_by("transform twice", TWO, transforms(ENVELOPED, ENVELOPED, EXCLUSIVE)),
    signed_by("inclusive canonicalization", NOT_ACCEPTED.format("CanonicalizationMethod"), {"canonical": INCLUSIVE}),
    *(signed_by(f"reference {uri}", OTHER_ELEMENT, {"reference": uri}) for uri in URIS),
    edited("no reference URI", OTHER_ELEMENT, lambda text: text.replace(' URI="#_assertion1"', "")),
    signed_by("two references", "Reference in SignedInfo", {"more_references": _second_reference()}),
    signed_by("object", OBJECT, {"more": "<ds:Object>text</ds:Object>"}),
    signed_by("manifest", OBJECT, {"more": '<ds:Object><ds:Manifest Id="m"/></ds:Object>'}),
    signed_by("object in KeyInfo", OBJECT, {"key_info": "<ds:KeyInfo><ds:Object>text</ds:Object></ds:KeyInfo>"}),
    signed_by("two KeyInfo", "expected at most one KeyInfo in Signature", {"more": "<ds:KeyInfo/>"}),
    signed_by("long PrefixList", "expected only InclusiveNamespaces", {"inclusive": "xs " * 30}),
]
PLACES = [
    changed(
        "signature beside its assertion", OTHER_ELEMENT, move_signature(lambda root, _, made: root.insert(1, made))
    ),
    changed(
        "signature in the subject", ELSEWHERE, move_signature(lambda _, assertion, made: assertion[1].append(made))
    ),
    changed("signature in the status", ELSEWHERE, move_signature(lambda root, _, made: root[1].append(made))),
    changed("two signatures", "expected at most one Signature in Assertion, got 2", second_signature),
    changed("signature in a signature", ELSEWHERE, nested_signature),
    changed("two SignedInfo", IN_SIGNATURE, two_signed_infos),
    changed("unsigned assertion at the end", TWO_ASSERTIONS, unsigned_beside),
    changed("unsigned assertion, response signed", CHANGED, unsigned_beside, signed="response"),
    changed("signed assertion in Advice", TWO_ASSERTIONS, in_advice),
    changed("signed assertion in Advice, both signed", CHANGED, in_advice, signed="both"),
    changed("response in Extensions", "Extensions is not accepted in Response", response_in_extensions),
]
VALUES = [
    changed("empty digest", BASE64.format("DigestValue"), set_text("DigestValue", None)),
    changed("blank digest", BASE64.format("DigestValue"), set_text("DigestValue", " \n ")),
    changed("digest of nothing", NO_KEY, set_text("DigestValue", VOID)),
    changed("empty signature value", BASE64.format("SignatureValue"), set_text("SignatureValue", None)),
    changed("short signature value", NO_KEY, set_text("SignatureValue", "AAAA")),
    changed("signature value of zeros", NO_KEY, set_text("SignatureValue", encoded(bytes(256)))),
    changed("signature value that is no base64", BASE64.format("SignatureValue"), set_text("SignatureValue", "%%%")),
    changed("huge signature value", NO_KEY, set_text("SignatureValue", "A" * 20_000)),
    changed("empty signature", IN_SIGNATURE, lambda root: signature_of(root).clear()),
    changed("no signature value", IN_SIGNATURE, lambda root: signature_of(root).remove(signature_of(root)[1])),
    changed("other subject", CHANGED, renamed_subject),
    changed("other subject, response signed", CHANGED, renamed_subject, signed="response"),
    changed("other subject, both signed", CHANGED, renamed_subject, signed="both"),
    changed("one more value", CHANGED, added_attribute),
    changed("audience removed", CHANGED, removed_condition),
    edited("canonical form of nothing", "absolute namespace, got `1`", void_canonical),
    edited(
        "comment in the digest",
        "a comment is not allowed",
        replacing("<ds:DigestValue>", f"<ds:DigestValue>{VOID}<!-- -->"),
    ),
]
SIGNATURES = _wrapped() + KEYS + REFERENCES + PLACES + VALUES

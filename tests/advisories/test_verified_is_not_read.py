"""Advisory: the signature of one element was verified, and another one was read.

The hole, in many SAML libraries: verifier and reader search the document, each in its own way. An attacker with any
document that the provider signed adds a forged assertion where only the reader finds it (CVE-2025-47949 in samlify,
CVE-2025-46572 and 46573 in passport-wsfed-saml2), a digest where only the verifier finds it (CVE-2024-45409 in
ruby-saml), or something that two parsers see differently (CVE-2025-25291, 25292 and 66567 in ruby-saml). Here, a
signature is a child of what it signs, and only the bytes that it signs are parsed again and read.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from lxml import etree

from tests.authn.saml.hostile_documents import refusal
from tests.authn.saml.identity_provider import SAML, SAMLP, IdentityProvider
from tests.authn.saml.wrapping import FORMS, assertion_of, forge, forged, tampered, without_signature
from tests.authn.saml.xml_signer import DS, Signing, key_pair, sign
from tests.tables import table


def signed_document(text: str, id: str) -> Any:
    """Return an element that the provider signs for another purpose; its signature is in its end."""
    closed = re.search(r"</[\w:]+>$", text)
    assert closed
    with_marker = text[: closed.start()] + "@@" + closed[0]
    return etree.fromstring(sign(with_marker, "@@", id, Signing(key=key_pair("rsa"))))


OTHERS = {
    "metadata": (
        '<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" ID="_o"><x/></EntityDescriptor>',
        "_o",
    ),
    "logout": (f'<samlp:LogoutResponse xmlns:samlp="{SAMLP}" ID="_o" Version="2.0"><x/></samlp:LogoutResponse>', "_o"),
}


@table("name", sorted(OTHERS))
@table("takes_signature", [False, True])
def test_other_signed_document_signs_no_assertion(name: str, takes_signature: bool) -> None:
    """CVE-2025-46572, 46573: the provider's metadata or its response to a logout is signed, too, and public."""

    def change(root: Any) -> None:
        other = signed_document(*OTHERS[name])
        assertion = assertion_of(root)
        made = forged(assertion)
        root.replace(assertion, made)
        if takes_signature:
            made.insert(1, other.find(f"{{{DS}}}Signature"))
        made.insert(1, other)

    assert refusal(tampered(change))


def test_forged_assertion_before_the_signed_one_is_refused() -> None:
    """CVE-2025-47949: the reader took the first."""
    assert refusal(tampered(FORMS[3])) == "expected one assertion, in the Response, got 2"


@table("place", ["samlp:StatusDetail", "ds:Object", "ds:KeyInfo", "saml:Advice"])
def test_digest_elsewhere_does_not_count(place: str) -> None:
    """CVE-2024-45409: the digest of the forged assertion was found before the signed one."""

    def change(root: Any) -> None:
        assertion = assertion_of(root)
        forge(assertion, "_assertion1")
        canonical = etree.tostring(without_signature(assertion), method="c14n", exclusive=True)
        prefix, _, name = place.partition(":")
        outer = etree.Element(f"{{{ {'samlp': SAMLP, 'ds': DS, 'saml': SAML}[prefix] }}}{name}")
        digest = base64.b64encode(hashlib.sha256(canonical).digest()).decode("ascii")
        etree.SubElement(outer, f"{{{DS}}}DigestValue").text = digest
        if prefix == "ds":
            next(root.iter(f"{{{DS}}}Signature")).append(outer)
        else:
            root.find(f"{{{SAMLP}}}Status").append(outer)

    assert refusal(tampered(change))


def test_document_type_is_refused() -> None:
    """CVE-2025-25291: one parser took the signature for a part of an entity."""
    subset = f"<!DOCTYPE r [<!ENTITY e '<ds:Signature xmlns:ds=\"{DS}\"/>'>]>"
    assert refusal(subset + IdentityProvider().document()) == "a document type is not allowed"


@table(
    "namespace",
    ["", DS.rstrip("#"), DS + " ", DS.replace("http", "HTTP"), DS.replace("2000", "2&#48;00"), f"x {DS}"],
)
def test_signature_of_another_namespace_does_not_count(namespace: str) -> None:
    """CVE-2025-25292, 66567: two parsers disagreed about a namespace, hence about which signature there is."""
    text = IdentityProvider().document(signed="both")
    confused = text.replace(f'xmlns:ds="{DS}"', f'xmlns:ds="{namespace}"', 1)
    assert confused != text
    changed = confused.replace("ada@example.com</saml:NameID>", "mallory@example.com</saml:NameID>")
    assert refusal(changed)

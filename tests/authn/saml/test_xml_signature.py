"""XML signatures: what a valid one returns, whose keys count, and that its form leaves no choice."""

from __future__ import annotations

import logging

import pytest

from iam_guard.authn.saml.xml_signature import MAX_CERTIFICATES, SIGNATURE, signed_part
from iam_guard.authn.saml.xml_tree import XmlDocument, XmlElement, parse_xml
from iam_guard.errors import InvalidIdentityToken
from tests.authn.saml.identity_provider import MARKERS, SAML, IdentityProvider, Message, unsigned
from tests.authn.saml.xml_signer import DIGESTS, ENVELOPED, EXCLUSIVE, Signing, key_pair, sign
from tests.tables import table

OURS = key_pair("rsa").certificate
OTHER = key_pair("rsa", "attacker").certificate


def parsed(document: str) -> tuple[XmlDocument, XmlElement]:
    """Return the document with its assertion."""
    read = parse_xml(document.encode())
    return read, read.root.only(f"{{{SAML}}}Assertion")


def verified(document: str, *certificates: bytes) -> XmlDocument:
    return signed_part(*parsed(document), certificates or (OURS,))


def test_signed_part_is_the_canonical_form_without_signature() -> None:
    """Its bytes are those that were signed, and its tree is parsed from them."""
    document = IdentityProvider().document()
    part = verified(document)
    assert part.content.startswith(b'<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID=')
    assert part.root == parse_xml(part.content).root
    names = [element.name for element in parsed(document)[1].children]
    assert [element.name for element in part.root.children] == [name for name in names if name != SIGNATURE]


def test_signature_of_the_root_is_verified() -> None:
    """The part is the whole response, with the signature of its assertion."""
    document = parse_xml(IdentityProvider().document(signed="both").encode())
    part = signed_part(document, document.root, (OURS,))
    assert part.root.name == document.root.name
    assert [element.name for element in part.root.walk()].count(SIGNATURE) == 1


def test_text_outside_the_signed_element_does_not_matter() -> None:
    """An unsigned response can be changed around a signed assertion; the part is the same."""
    document = IdentityProvider().document()
    changed = document.replace("<samlp:Status>", "\n<samlp:Status xmlns:x='urn:x'>").replace("_response1", "_other")
    assert changed != document
    assert verified(changed).content == verified(document).content


@table("certificates", [(OURS,), (OTHER, OURS), (key_pair("P-256").certificate, OURS), (OURS, OTHER)])
def test_any_certificate_of_the_provider_counts(certificates: tuple[bytes, ...]) -> None:
    """While an identity provider rotates its keys, its metadata has two; all here expired in 2021."""
    assert verified(IdentityProvider().document(), *certificates).root


@table("certificates", [(OTHER,), (key_pair("P-256").certificate,), (OTHER,) * MAX_CERTIFICATES])
def test_other_certificates_verify_nothing(certificates: tuple[bytes, ...]) -> None:
    """Although the signature contains the certificate of the key that made it."""
    with pytest.raises(InvalidIdentityToken, match="not valid for any certificate of the provider"):
        verified(IdentityProvider().document(), *certificates)


def test_without_certificates_nothing_is_verified() -> None:
    """No key, no sign-in."""
    with pytest.raises(InvalidIdentityToken, match="not valid for any certificate of the provider"):
        signed_part(*parsed(IdentityProvider().document()), ())


def test_number_of_certificates_is_limited() -> None:
    """Each of them costs a verification."""
    with pytest.raises(InvalidIdentityToken, match="expected at most 10 certificates of the provider, got 11"):
        verified(IdentityProvider().document(), *[OURS] * (MAX_CERTIFICATES + 1))


@table("kind", ["rsa", "P-256", "P-384", "P-521"])
@table("bits", ["256", "384", "512"])
def test_algorithms_are_accepted(kind: str, bits: str) -> None:
    """RSA and ECDSA with SHA-2."""
    method = f"{'rsa' if kind == 'rsa' else 'ecdsa'}-sha{bits}"
    signing = {"algorithm": method, "digest": f"sha{bits}"}
    document = IdentityProvider(key=kind).document(assertion_signing=signing)
    assert verified(document, key_pair(kind).certificate).root


def test_curve_of_another_size_is_refused() -> None:
    """The length of the signature follows from the key, not from the method."""
    document = IdentityProvider(key="P-256").document()
    with pytest.raises(InvalidIdentityToken, match="not valid for any certificate"):
        verified(document, key_pair("P-384").certificate)


PREFIXES = f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{{}}"/>'


@table(
    ("prefixes", "is_accepted"),
    [("", True), ("xs", True), ("#default xs", True), ("xs  xsi", False), ("a" * 100, False), ("a " * 30 + "a", False)],
)
def test_prefixes_are_checked_before_anything_is_hashed(prefixes: str, is_accepted: bool) -> None:
    """A changed list of prefixes changes what is signed, so a valid one fails at the signature."""
    document = IdentityProvider().document()
    transform = f'<ds:Transform Algorithm="{EXCLUSIVE}"/>'
    opened = transform.removesuffix("/>") + ">" + PREFIXES.format(prefixes) + "</ds:Transform>"
    reason = "not valid for any certificate" if is_accepted else "expected only InclusiveNamespaces in Transform"
    with pytest.raises(InvalidIdentityToken, match=reason):
        verified(document.replace(transform, opened))


WITHOUT_CHILDREN = (
    f'<ds:Transform Algorithm="{ENVELOPED}"/>',
    '<ds:DigestMethod Algorithm="{}"/>'.format(DIGESTS["sha256"]),
)
KNOWN = PREFIXES.format("xs")


@table(
    ("old", "inside", "reason"),
    [
        (WITHOUT_CHILDREN[0], "<ds:XPath>self::node()</ds:XPath>", "expected nothing in Transform"),
        (WITHOUT_CHILDREN[1], KNOWN, "expected nothing in DigestMethod"),
        (f'<ds:Transform Algorithm="{EXCLUSIVE}"/>', KNOWN * 2, "expected only InclusiveNamespaces in Transform"),
        (f'<ds:Transform Algorithm="{EXCLUSIVE}"/>', "<ds:XPath>a</ds:XPath>", "expected only InclusiveNamespaces in"),
        (
            f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>',
            KNOWN.replace("/>", "><a/></ec:InclusiveNamespaces>"),
            "expected only InclusiveNamespaces in CanonicalizationMethod",
        ),
    ],
)
def test_parameters_of_algorithms_are_refused(old: str, inside: str, reason: str) -> None:
    """No library gets to see what it could interpret."""
    document = IdentityProvider().document()
    assert old in document
    with pytest.raises(InvalidIdentityToken, match=reason):
        verified(document.replace(old, f"{old[:-2]}>{inside}</{old[1:].split()[0]}>"))


def test_signature_of_an_element_without_id_is_refused() -> None:
    """It has nothing to refer to."""
    document = IdentityProvider().document().replace(' ID="_assertion1"', "").replace("#_assertion1", "#")
    with pytest.raises(InvalidIdentityToken, match="expected a signature for the element that contains it"):
        verified(document)


def test_signature_for_another_element_is_refused() -> None:
    """signxml removes every `#` at the start of a reference, and so finds another element than the ID says."""
    text = unsigned(Message(response_id="x", assertion_id="#x")).replace(MARKERS["response"], "")
    document = sign(text, MARKERS["assertion"], "x", Signing(key=key_pair("rsa"), reference="##x"))
    with pytest.raises(InvalidIdentityToken, match="the signature is for another element"):
        verified(document)


def test_time_of_a_check_does_not_explode_with_spaces() -> None:
    """A pattern with two ways to read a space took eleven seconds for this."""
    document = IdentityProvider().document()
    start = document.index("<ds:SignatureValue>") + len("<ds:SignatureValue>")
    for end in ("", "!"):
        with pytest.raises(InvalidIdentityToken, match=r"expected base64|not valid for any"):
            verified(document[:start] + "A" + " " * 60_000 + end + document[start:])


def test_library_does_not_log_assertions(caplog: pytest.LogCaptureFixture) -> None:
    """signxml logs canonical forms at the level DEBUG, and an assertion is a credential."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "signxml")
    assert verified(IdentityProvider().document()).root
    assert not caplog.records

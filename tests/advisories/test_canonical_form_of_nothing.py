"""Advisory: a signature of nothing, and of an element with two ids, was valid.

The hole ("The Fragile Lock", 2025; CVE-2025-66568 in ruby-saml): canonicalization fails for a relative namespace, and a
library went on with the empty text, whose digest an attacker can have in a signed document. Others found an element by
an attribute that is only spelled like its ID (`samlp:ID`), or let two prefixes mean one namespace. Here, such documents
are refused when they are parsed.
"""

from __future__ import annotations

import base64
import hashlib
import zlib

from tests.authn.saml.hostile_documents import refusal
from tests.authn.saml.identity_provider import IdentityProvider
from tests.authn.saml.wrapping import MALLORY
from tests.tables import table

NOTHING = base64.b64encode(hashlib.sha256(b"").digest()).decode("ascii")


@table("namespace", ["1", "a", "./a", "../a", "//a", "#a", "?a", " urn:x:x"])
@table("place", ["<samlp:Response ", "<saml:Assertion ", "<saml:Subject", "<saml:NameID ", "<ds:SignedInfo"])
def test_relative_namespace_is_refused(namespace: str, place: str) -> None:
    """CVE-2025-66568, also where the digest is that of the empty text."""
    text = IdentityProvider().document(signed="both")
    changed = text.replace(place, f'{place.rstrip()} xmlns:r="{namespace}" ', 1).replace(
        "ada@example.com<", MALLORY + "<"
    )
    assert "absolute namespace" in refusal(changed)
    start, end = changed.index("<ds:DigestValue>") + 16, changed.index("</ds:DigestValue>")
    assert "absolute namespace" in refusal(changed[:start] + NOTHING + changed[end:])


@table("attribute", ["samlp:ID", "saml:ID", "xml:id", "Id", "id", "iD"])
def test_second_id_is_refused(attribute: str) -> None:
    """One library signs by the first, the other finds by the second."""
    text = IdentityProvider().document()
    for element, own in (("<saml:Assertion", "_assertion1"), ("<samlp:Response", "_response1")):
        for value in ("_forged", own):
            changed = text.replace(element, f'{element} {attribute}="{value}"', 1)
            assert "at most one ID of an element, without a namespace" in refusal(changed)


def test_canonical_form_is_never_empty() -> None:
    """A signed digest of the empty text signs no element."""
    text = IdentityProvider().document(assertion_id="_assertion1")
    start, end = text.index("<ds:DigestValue>") + 16, text.index("</ds:DigestValue>")
    assert refusal(text[:start] + NOTHING + text[end:])


def test_compressed_response_is_not_inflated() -> None:
    """CVE-2025-25293: small messages filled the memory of ruby-saml. The POST binding knows no compression."""
    packed = zlib.compress(b"<" + b"a" * 50_000_000, 9)
    assert refusal(packed) == "expected XML in UTF-8"

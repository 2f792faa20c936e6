"""Advisory: a comment in a name signed in as another user.

The hole (CVE-2017-11427 in python-saml, 11428 to 11430 and CVE-2018-0489 in others): canonical XML has no comments, so
a signature remains valid when its attacker, who is `admin@example.com.attacker.example`, inserts a comment before
`.attacker.example`; the reader took the text before it. Processing instructions and CDATA sections split texts, too.
Here, a document with any of them is refused, and what is read was parsed from the canonical bytes.
"""

from __future__ import annotations

import pytest

from iam_guard.authn.saml.response import claimed_issuer, read_response
from iam_guard.errors import InvalidIdentityToken
from tests.authn.saml.identity_provider import NOW, IdentityProvider, encoded
from tests.authn.saml.valid_responses import RECEIVER, provider_of
from tests.tables import table

SUBJECT = "admin@example.com.attacker.example"
PIECES = {
    "<!---->": "a comment is not allowed",
    "<!-- x -->": "a comment is not allowed",
    "<?x?>": "a processing instruction is not allowed",
    "<![CDATA[]]>": "a CDATA section is not allowed",
    "<b xmlns='urn:x:x'/>": "text beside elements is not allowed",
    "&x;": "expected well-formed XML",
}
SPLIT = "admin@example.com{}.attacker.example"


@table("piece", PIECES)
@table("signed", ["assertion", "response", "both"])
def test_text_in_pieces_is_refused(piece: str, signed: str) -> None:
    """Everywhere: in the subject, an attribute and the issuer."""
    attributes = {"mail": (SUBJECT,)}
    document = IdentityProvider().document(subject=SUBJECT, attributes=attributes, signed=signed)
    assert document.count(SUBJECT) == 2
    for place in (1, 2):
        split = SPLIT.format(piece).join(document.split(SUBJECT, place)[:place]) + SPLIT.format(piece)
        rest = document.split(SUBJECT, place)[place]
        with pytest.raises(InvalidIdentityToken, match=PIECES[piece]):
            read_response(encoded(split + rest), provider_of(), RECEIVER, NOW)


@table("piece", PIECES)
def test_issuer_in_pieces_chooses_no_provider(piece: str) -> None:
    text = IdentityProvider().document().replace("idp.example.com", f"idp.example.com{piece}")
    with pytest.raises(InvalidIdentityToken, match=PIECES[piece]):
        claimed_issuer(encoded(text))

"""Hostile SAML responses are refused, each with its own code and reason."""

from __future__ import annotations

from contextlib import suppress

import pytest

from iam_guard.authn.saml.response import read_response
from iam_guard.errors import InvalidIdentityToken
from tests.authn.saml.hostile_claims import CLAIMS
from tests.authn.saml.hostile_documents import Hostile
from tests.authn.saml.hostile_encryption import ENCRYPTED, UNDECRYPTABLE, encrypted_content
from tests.authn.saml.hostile_signatures import SIGNATURES
from tests.authn.saml.hostile_xml import XML
from tests.authn.saml.identity_provider import NOW, SAML, IdentityProvider, encoded
from tests.authn.saml.valid_responses import RECEIVER, provider_of
from tests.authn.saml.xml_signer import Encryption
from tests.effort import effort
from tests.tables import table

HOSTILE = SIGNATURES + XML + CLAIMS + ENCRYPTED


@table("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_hostile_response_is_refused_for_its_reason(hostile: Hostile) -> None:
    with pytest.raises(hostile.error) as refused:
        read_response(hostile.sent, hostile.provider, RECEIVER, NOW)
    assert type(refused.value) is hostile.error
    assert hostile.reason in str(refused.value)
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_hostile_documents_have_distinct_names() -> None:
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) > 300
    assert all(hostile.reason for hostile in HOSTILE)


CONTENTS = {
    "nothing": "",
    "text": "ada@example.com",
    "document type": "<!DOCTYPE a><a/>",
    "comment": "<!-- --><a/>",
    "another element": "<a/>",
    "assertion that is not signed": f'<Assertion xmlns="{SAML}" ID="_a" Version="2.0"/>',
}


@table("name", CONTENTS)
def test_refusal_says_nothing_about_what_aes_cbc_hides(name: str) -> None:
    """Otherwise the reasons would decrypt the assertion of another person, by changes of its cipher text."""
    hidden = encrypted_content(CONTENTS[name], Encryption(cipher="aes256-cbc"))
    for signed in ("assertion", "none"):
        document = IdentityProvider().document(encryption=Encryption(), signed=signed)
        with pytest.raises(InvalidIdentityToken) as refused:
            read_response(encoded(hidden(document)), provider_of(), RECEIVER, NOW)
        assert str(refused.value) == UNDECRYPTABLE


NAMESPACES = " ".join(f'xmlns:n{number}="u:{number}"' for number in range(30))
ATTRIBUTES = " ".join(f"a{number}=''" for number in range(31))
EXPENSIVE = {
    "elements": "<a/>" * 4_000,
    "nesting": ("<a>" * 28 + "</a>" * 28) * 100,
    "namespaces": f"<a {NAMESPACES}/>" * 130,
    "nested namespaces": f"<a {NAMESPACES}>" * 28 + "</a>" * 28,
    "attributes": f"<a {ATTRIBUTES}/>" * 250,
    "references": f"<a>{'&#97;' * 12_000}</a>",
    "text": f"<a>{'x' * 60_000}</a>",
}


@table("name", EXPENSIVE)
@table("signed", ["assertion", "response"])
def test_hostile_response_takes_little_effort(name: str, signed: str) -> None:
    """About ten milliseconds on a fast machine, where an accepted one takes one."""
    document = IdentityProvider().document(signed=signed)
    for place in ("<samlp:Status>", "<ds:KeyInfo>", "<ds:SignedInfo>"):
        sent = encoded(document.replace(place, place + EXPENSIVE[name], 1))
        assert len(sent) < 100_000

        def read(sent: str = sent) -> None:
            with suppress(InvalidIdentityToken):
                read_response(sent, provider_of(), RECEIVER, NOW)

        assert effort(read, rounds=2) < 100

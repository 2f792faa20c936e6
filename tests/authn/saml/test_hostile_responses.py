"""Hostile SAML responses are refused, each with its own code and reason."""

from __future__ import annotations

from contextlib import suppress

import pytest

from iam_guard.authn.saml.response import read_response
from iam_guard.errors import InvalidIdentityToken
from tests.authn.saml.hostile_claims import CLAIMS
from tests.authn.saml.hostile_documents import Hostile
from tests.authn.saml.hostile_encryption import ENCRYPTED
from tests.authn.saml.hostile_signatures import SIGNATURES
from tests.authn.saml.hostile_xml import XML
from tests.authn.saml.identity_provider import NOW, IdentityProvider, encoded
from tests.authn.saml.valid_responses import RECEIVER, provider_of
from tests.effort import effort
from tests.tables import table

HOSTILE = SIGNATURES + XML + CLAIMS + ENCRYPTED


@table("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_hostile_response_is_refused_for_its_reason(hostile: Hostile) -> None:
    with pytest.raises(hostile.error) as refused:
        read_response(hostile.sent, hostile.provider, RECEIVER, NOW)
    assert type(refused.value) is hostile.error
    assert hostile.reason in str(refused.value)


def test_hostile_documents_have_distinct_names() -> None:
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) > 300
    assert all(hostile.reason for hostile in HOSTILE)


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

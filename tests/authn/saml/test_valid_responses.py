"""Valid SAML responses in the shapes of the known products are accepted with exactly what they say."""

from __future__ import annotations

from iam_guard.authn.saml.response import read_response
from tests.authn.saml.identity_provider import NOW
from tests.authn.saml.valid_responses import RECEIVER, VALID, Valid, provider_of
from tests.tables import table


@table("valid", VALID, ids=lambda valid: valid.name)
def test_valid_response_is_read_exactly(valid: Valid) -> None:
    assert read_response(valid.text, provider_of(valid.kind), RECEIVER, NOW) == valid.facts


def test_names_of_valid_responses_are_unique() -> None:
    assert len({valid.name for valid in VALID}) == len(VALID)

"""No change of a valid SAML response makes it say something else: what is accepted was signed as it is read."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import Counter
from contextlib import suppress
from random import Random

from lxml import etree

from iam_guard.authn.saml.assertion import SamlAssertion
from iam_guard.authn.saml.response import claimed_issuer, read_response
from iam_guard.errors import ExpiredIdentityToken, IdpRejectedClaim, InvalidIdentityToken
from tests.authn.saml.identity_provider import NOW, IdentityProvider, decoded, encoded
from tests.authn.saml.mutations import mutant
from tests.authn.saml.valid_responses import RECEIVER, VALID, Valid, provider_of
from tests.authn.saml.wrapping import MALLORY
from tests.authn.saml.xml_signer import key_pair

MUTANTS = int(os.environ.get("IAM_GUARD_TEST_SAML_MUTANTS", "500" if os.environ.get("CI") else "200"))
"""100,000 take some ten minutes."""
FIRST = int(os.environ.get("IAM_GUARD_TEST_SAML_SEED", "1"))
"""The seed of the first mutant."""
REFUSALS = (InvalidIdentityToken, IdpRejectedClaim, ExpiredIdentityToken)


def _distinct(number: int, valid: Valid) -> Valid:
    """Return the response about another person, so that no part of another one goes unnoticed."""
    if "edit" in valid.changes or "edit_signed" in valid.changes:
        return valid
    own = {
        "subject": f"person{number}@example.com",
        "assertion_id": f"_assertion{number}",
        "response_id": f"_response{number}",
        "attributes": {"Name": (f"value {number}",), "Other": ("a", f"b{number}")},
    }
    return dataclasses.replace(valid, changes={**own, **valid.changes})


@functools.cache
def originals() -> list[tuple[Valid, str]]:
    """Return the valid responses, with their documents."""
    made = [_distinct(number, valid) for number, valid in enumerate(VALID, 2)]
    return [(valid, decoded(valid.text)) for valid in made]


@functools.cache
def donors() -> list[str]:
    """Return documents of which parts are taken: valid, not signed, and of an attacker's key."""
    attacker = IdentityProvider(key=key_pair("rsa", "attacker"))
    forged = [
        attacker.document(subject=MALLORY, signed=signed, assertion_id=id)
        for signed in ("assertion", "response", "both", "none")
        for id in ("_assertion1", "_forged")
    ]
    return [text for _, text in originals()[::4]] + forged


def read(text: str, kind: str) -> SamlAssertion | str:
    """Return what is read from a document, or the code of its refusal; all other errors fail the test."""
    sent = encoded(text.encode("utf-8", "surrogatepass"))
    with suppress(InvalidIdentityToken):
        claimed_issuer(sent)
    try:
        return read_response(sent, provider_of(kind), RECEIVER, NOW)
    except REFUSALS as refused:
        return refused.code


def compare(first: int, count: int) -> Counter[str]:
    """Read mutants, and count the results. What is accepted must be the facts of a signed original."""
    signed = [valid.facts for valid, _ in originals()]
    results: Counter[str] = Counter()
    for seed in range(first, first + count):
        random = Random(seed)
        valid, text = random.choice(originals())
        made = mutant(random, text, donors())
        result = read(made, valid.kind)
        if isinstance(result, SamlAssertion):
            assert result in signed, f"seed {seed}: {result}"
            results["accepted" if result == valid.facts else "accepted as another signed one"] += 1
            results["accepted, " + difference(text, made)] += 1
        else:
            results[result] += 1
    return results


def difference(text: str, other: str) -> str:
    """Return whether two documents differ, and only as texts, or in their canonical forms."""
    if text == other:
        return "same text"
    forms = {etree.tostring(etree.fromstring(document.encode()), method="c14n") for document in (text, other)}
    return "same canonical form" if len(forms) == 1 else "changed elsewhere than in the signed bytes"


def test_mutant_is_refused_or_says_what_was_signed() -> None:
    results = compare(FIRST, MUTANTS)
    print(dict(results))
    assert MUTANTS / 50 < results["accepted"] < MUTANTS / 2

"""Advisory: two people of a provider must not have the same session name.

The session of a person is named after its subject. Where characters must be replaced, a digest keeps the name unique:
`auth0|5f7c` becomes `auth0-5f7c-DIGEST`. A person who can choose its subject at the provider chooses that text, and
would be the first one for policies that test `aws:userid` or the ARN of the session, and in the trail.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from iam_guard.authn.federation.bearer_tokens import session_name_of
from tests.authn.people.oidc_provider import OidcProvider, serving_provider
from tests.console.oidc_site import OidcSite

VALID = string.ascii_letters + string.digits + "_+=,.@-"
CASES = 2_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OidcSite]:
    with serving_provider(OidcProvider()) as provider:
        made = OidcSite(tmp_path, provider)
        yield made
        made.guard.close()


def name_of(site: OidcSite, subject: str) -> str:
    """Return the name of the session with which a person of the provider signs in."""
    browser = site.new_browser()
    site.provider.claims = {"sub": subject}
    assert site.sign_on(browser).status_code == 303
    return site.caller(browser).split()[0].rpartition("/")[2]


def test_subject_cannot_be_the_name_of_another(site: OidcSite) -> None:
    victim = name_of(site, "auth0|5f7c")
    assert victim.startswith("auth0-5f7c-")
    attacker = name_of(site, victim)
    assert attacker != victim
    assert name_of(site, attacker) not in (attacker, victim)


def test_made_name_is_never_the_name_of_the_subject_spelled_like_it() -> None:
    """Whatever the subject is: any characters, short or long."""
    generator = random.Random(36)
    for _ in range(CASES):
        length = generator.choice((1, 2, 16, 46, 47, 48, 63, 64, 65, 255))
        alphabet = generator.choice((VALID, VALID + "|: é", "-", "-|", "x", "0123456789abcdef-|"))
        subject = "".join(generator.choices(alphabet, k=length))
        name = session_name_of(subject)
        assert name == subject or session_name_of(name) != name, subject

"""The guide to company sign-on: its trust policies decide as it says, its console output and reasons are real."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Resource
from iam_guard.authn.federation.role_session import find_role
from iam_guard.factory import guard_with_store
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.tables import table
from tools.blocks import files_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/company-sign-on.md").read_text(encoding="utf-8")
ACCOUNT = "111122223333"
REALM = "sso.acme.example/realms/staff"
READER, WRITER = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "writer"))
OIDC, SAML = "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"
PROVIDERS = {
    OIDC: f"arn:aws:iam::{ACCOUNT}:oidc-provider/{REALM}",
    SAML: f"arn:aws:iam::{ACCOUNT}:saml-provider/Keycloak",
}
ACS = "https://app.acme.example/signin/saml/acs"


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    store = create_store("sqlite://", Settings())
    apply_seed(store, load_seed_text(files_of(PAGE)["iam.yaml"], environment={"ACME_CLIENT_SECRET": "secret"}))
    with closing(guard_with_store(store, Settings())) as made:
        yield made


@table(
    ("role", "action", "keys", "allowed"),
    [
        (READER, OIDC, {f"{REALM}:aud": "console"}, True),
        (READER, OIDC, {f"{REALM}:aud": "wiki"}, False),
        (READER, OIDC, {}, False),
        (READER, SAML, {"saml:aud": ACS}, False),
        (WRITER, OIDC, {f"{REALM}:aud": "console", f"{REALM}:groups": ["staff", "Documents Writers"]}, True),
        (WRITER, OIDC, {f"{REALM}:aud": "console", f"{REALM}:groups": ["staff"]}, False),
        (WRITER, OIDC, {f"{REALM}:aud": "console"}, False),
        (WRITER, OIDC, {f"{REALM}:aud": "wiki", f"{REALM}:groups": ["Documents Writers"]}, False),
        (WRITER, SAML, {"saml:aud": ACS}, True),
        (WRITER, SAML, {"saml:aud": "https://signin.aws.amazon.com/saml"}, False),
    ],
)
def test_trust_policies_decide(guard: Guard, role: str, action: str, keys: dict[str, Any], allowed: bool) -> None:
    """By the condition keys that the page names, for the identity provider that they name."""
    with guard.store.read_transaction() as records:
        found = find_role(records, "aws", role)
    assert found is not None
    resource = Resource(found.arn, found.account, found.tags, found.trust)
    for other in PROVIDERS.values():
        caller = Principal.federated(other, userid="ada", keys={})
        decision = guard.decide(caller, action, resource, keys)
        assert decision.allowed == (allowed and other == PROVIDERS[action])


def test_reasons_are_those_of_the_code() -> None:
    """A reason is the message of an error; a longer one quotes more."""
    reasons = re.findall(r"^\| `([^`]+)` \| [^|`]", PAGE, re.MULTILINE)
    assert len(reasons) > 8
    files = [path for folder in ("authn", "console") for path in (ROOT / "iam_guard" / folder).rglob("*.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files).replace("{action}", OIDC)
    assert [reason for reason in reasons if reason not in source] == []

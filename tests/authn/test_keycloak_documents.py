"""Keycloak's documents, in the form in which it writes them: our readers accept all of them.

The files in `keycloak/` have marks in place of keys and signatures, which the tests make.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.authn.federation.web_identity import flattened
from iam_guard.authn.people.sign_on.oidc_client import OidcClient
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider, possible_roles
from iam_guard.authn.saml.assertion import SamlIdentityProvider, SamlReceiver
from iam_guard.authn.saml.response import read_response
from iam_guard.authn.tokens.https_fetch import Fetcher
from iam_guard.authn.tokens.oidc_token import ID_TOKEN_TYPES
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.errors import InvalidIdentityToken
from iam_guard.model.saml_metadata import read_metadata
from iam_guard.settings import Settings
from tests.authn.issuer import encoded, number
from tests.authn.saml.identity_provider import encoded as base64_of
from tests.authn.saml.xml_signer import Signing, key_pair, sign
from tests.tables import table

FOLDER = Path(__file__).parent / "keycloak"
REALM = "https://sso.acme.example/realms/staff"
SITE = "https://app.acme.example"
NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
WRITER = "arn:aws:iam::111122223333:role/writer"
KEY_ID = "FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE"
PROVIDER = SignOnProvider(
    id="so-1",
    account="111122223333",
    name="Keycloak",
    kind="oidc",
    provider="arn:aws:iam::111122223333:oidc-provider/sso.acme.example/realms/staff",
    issuer=REALM,
    client_id="console",
    client_secret="s3cret",
    scopes=("openid",),
    roles=(f"groups=Documents Writers {WRITER}",),
    trusts_mfa=True,
)


def document(name: str) -> str:
    """Return a file with the key of the tests."""
    key = key_pair()
    text = (FOLDER / name).read_text(encoding="utf-8")
    modulus = number(key.private.public_key().public_numbers().n)
    return text.replace("@@certificate@@", key.certificate_text).replace("@@modulus@@", modulus)


class Realm(Fetcher):
    """Fetches the documents of the realm, and nothing else."""

    def __init__(self) -> None:
        super().__init__({})

    def fetch(self, url: str, issuer: str) -> bytes:
        names = {
            f"{REALM}/.well-known/openid-configuration": "openid-configuration.json",
            f"{REALM}/protocol/openid-connect/certs": "certs.json",
        }
        return document(names[url]).encode()


def id_token(**header: Any) -> str:
    """Return the ID token that Keycloak signs."""
    head = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID, **header}
    claims = json.loads(document("id-token.json"))
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{encoded(key_pair().private.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def test_discovery_document_has_the_endpoints() -> None:
    client = OidcClient(Realm(), SITE)
    found = client.endpoints(REALM)
    assert found.authorization == f"{REALM}/protocol/openid-connect/auth"
    assert found.token == f"{REALM}/protocol/openid-connect/token"
    assert found.end_session == f"{REALM}/protocol/openid-connect/logout"
    assert (found.announces_issuer, found.has_basic) == (True, True)
    assert client.authorization_url(PROVIDER, state="s", nonce="n", verifier="v" * 43).startswith(found.authorization)


def test_id_token_is_verified_and_gives_a_role() -> None:
    """The key set has a key for encryption, too, which verifies no token."""
    verifier = TokenVerifier(Settings(), Realm().fetch)
    token = verifier.read(id_token(), types=ID_TOKEN_TYPES)
    verifier.verify(token, NOW.timestamp())
    assert (token.issuer, token.audiences, token.authorized_party) == (REALM, ("console",), "console")
    assert possible_roles(PROVIDER, flattened(token.claims)) == [WRITER]
    other = verifier.read(id_token(kid="Qn3Vw0J1mTq5pG8sXyZ2aB4cD6eF8gH0iJ2kL4mN6oP"), types=ID_TOKEN_TYPES)
    with pytest.raises(InvalidIdentityToken):
        verifier.verify(other, NOW.timestamp())


def test_metadata_has_key_and_sign_on_url() -> None:
    metadata = read_metadata(document("descriptor.xml"))
    assert (metadata.entity_id, metadata.certificates) == (REALM, (key_pair().certificate,))
    bindings = {name.rpartition(":")[2] for name in metadata.sign_on_urls}
    assert {"HTTP-Redirect", "HTTP-POST"} <= bindings
    assert set(metadata.sign_on_urls.values()) == {f"{REALM}/protocol/saml"}


@table("signed", [("response",), ("assertion",), ("assertion", "response")])
def test_response_is_verified(signed: tuple[str, ...]) -> None:
    """Signed as its client's settings choose; the realm's roles are attributes of one name."""
    text = document("response.xml").strip()
    for name in ("assertion", "response"):
        mark = f"@@{name}@@"
        id = text.split(mark)[0].rpartition(' ID="')[2].partition('"')[0]
        signing = Signing(prefix="dsig", key_info="named")
        text = sign(text, mark, id, signing) if name in signed else text.replace(mark, "")
    metadata = read_metadata(document("descriptor.xml"))
    provider = SamlIdentityProvider(metadata.entity_id, metadata.certificates)
    receiver = SamlReceiver({f"{SITE}/signin/saml/acs": frozenset({f"{SITE}/signin/saml/metadata"})})
    assertion = read_response(base64_of(text), provider, receiver, NOW)
    assert (assertion.issuer, assertion.in_response_to) == (REALM, "_request")
    assert assertion.attributes["Role"] == ("offline_access", "uma_authorization")
    [pair] = assertion.attributes["https://aws.amazon.com/SAML/Attributes/Role"]
    assert pair == f"{WRITER},arn:aws:iam::111122223333:saml-provider/Keycloak"

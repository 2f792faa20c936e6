"""Advisory: a logout token must not authenticate the person whose sessions it ends.

An OIDC provider signs it with the same keys, for the same client, and it names the person: where its type is `JWT` or
missing, only the claim `events` tells it from an ID token (OpenID Connect Back-Channel Logout 1.0, 2.4). It is sent to
every application of the provider, which could present it as the person. The same holds for all security events (RFC
8417).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from iam_guard.api.protocol.app import aws_api
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import InvalidIdentityToken
from iam_guard.web.body_verification import EMPTY_HASH
from tests.authn.people.oidc_provider import CLIENT, ISSUER, OidcProvider, serving_provider
from tests.console.oidc_site import READER, OidcSite
from tests.serving import serving

LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}
EVENTS: list[Any] = [LOGOUT, {"https://schemas.openid.net/secevent/risc/event-type/account-disabled": {}}, {}, [], ""]
TYPES = ["JWT", "logout+jwt", "secevent+jwt", "at+jwt"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OidcSite]:
    with serving_provider(OidcProvider()) as provider:
        made = OidcSite(tmp_path, provider, oidc_roles=(f"{ISSUER} sub=ann-1 {READER}",))
        yield made
        made.guard.close()


def bearer(site: OidcSite, token: str) -> str | None:
    """Return whom a token authenticates at an application."""
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + token.encode())]
    request = HttpRequest("GET", b"/documents/7", b"", headers)
    try:
        return site.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH).arn
    except InvalidIdentityToken:
        return None


def test_logout_token_is_no_bearer_token(site: OidcSite) -> None:
    """An ID token for the same person is one."""
    facts = {"user": "ann", "client_id": CLIENT}
    assert bearer(site, site.provider.id_token(facts)) == "arn:aws:sts::111122223333:assumed-role/reader/ann-1"
    for kind in TYPES:
        for events in EVENTS:
            assert bearer(site, site.provider.logout_token({"typ": kind}, events=events)) is None


def test_logout_token_assumes_no_role(site: OidcSite) -> None:
    form = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": READER, "RoleSessionName": "ann"}
    with serving(aws_api(site.guard)) as url:

        def assume(token: str) -> requests.Response:
            return requests.post(url, data={**form, "WebIdentityToken": token}, timeout=30)

        assert assume(site.provider.id_token({"user": "ann", "client_id": CLIENT})).status_code == 200
        for kind in TYPES:
            for events in EVENTS:
                answer = assume(site.provider.logout_token({"typ": kind}, events=events))
                assert (answer.status_code, "InvalidIdentityToken" in answer.text) == (400, True)


def test_event_signs_in_no_one(site: OidcSite) -> None:
    """An ID token with an event is none, though its nonce is that of the browser."""
    for events in EVENTS:
        site.provider.claims = {"events": events}
        assert site.sign_on(site.new_browser()).status_code == 400
        assert site.reasons()[-1] == "expected a token that identifies its subject, got one of an event"

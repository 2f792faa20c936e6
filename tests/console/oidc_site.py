"""The application of `Site` with company sign-on by OIDC: one account with a provider, or two accounts."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.testclient import TestClient

from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider, redirect_uri
from iam_guard.store.schema import sign_on_providers
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.authn.people.oidc_provider import CLIENT, ISSUER, SECRET, OidcProvider
from tests.console.site import ACCOUNT, EVERYTHING, SEED, Site

OTHER_ACCOUNT = "444455556666"
READER, WRITER, CLOSED = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "team/writer", "closed"))
RULES = (READER, f"groups=writers {WRITER}", f"groups=closed {CLOSED}")


def arn_of(issuer: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:oidc-provider/{issuer.removeprefix('https://')}"


PROVIDER = arn_of(ISSUER)


def trusting(provider: str, action: Any = ("sts:AssumeRoleWithWebIdentity", "sts:TagSession")) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": list(action)}
    return {"Version": "2012-10-17", "Statement": [statement]}


def seed_with(provider: OidcProvider, other: OidcProvider | None) -> str:
    """Return the seed of `Site` with OIDC providers and their roles."""
    seed: dict[str, Any] = copy.deepcopy(SEED)
    account = seed["accounts"][0]
    trust = trusting(arn_of(provider.issuer))
    account["oidc_providers"] = [{"url": provider.issuer, "client_ids": [CLIENT]}]
    account["roles"] += [
        {"name": "reader", "trust": trust, "inline": {"all": EVERYTHING}},
        {
            "name": "writer",
            "path": "/team/",
            "trust": trust,
            "inline": {"all": EVERYTHING},
            "max_session_duration": 7200,
        },
        {"name": "closed", "trust": trusting(PROVIDER, ("sts:AssumeRoleWithSAML",))},
    ]
    if other is not None:
        arn = arn_of(other.issuer, OTHER_ACCOUNT)
        seed["accounts"].append(
            {
                "id": OTHER_ACCOUNT,
                "name": "evil",
                "alias": "evil",
                "oidc_providers": [{"url": other.issuer, "client_ids": [CLIENT]}],
                "roles": [{"name": "reader", "trust": trusting(arn)}],
            }
        )
    return json.dumps(seed)


class OidcSite(Site):
    """A site whose account `acme` signs people in with a provider, and `evil` with another, if there is one."""

    def __init__(
        self,
        folder: Path,
        provider: OidcProvider,
        other: OidcProvider | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        issuers = tuple(issuer.at for issuer in (provider, other) if issuer is not None)
        settings = {"site_url": "http://localhost", "oidc_addresses": issuers, "oidc_cooldown": 0.0, **settings}
        super().__init__(folder, **settings)
        self.provider = provider
        apply_seed(self.store, load_seed_text(seed_with(provider, other)))
        self.guard.refresh()
        secret = provider.clients[CLIENT].secret
        options = {"client_id": CLIENT, "client_secret": secret, "roles": RULES, **(options or {})}
        self.entry: SignOnProvider = self.guard.people.sign_on_providers.add(
            ACCOUNT, "Example Corp", arn_of(provider.issuer), **options
        )
        self.evil: SignOnProvider | None = None
        for issuer in filter(None, (provider, other)):
            issuer.clock = lambda: self.now.timestamp()
            issuer.clients[CLIENT].logout_redirect_uris.add(f"{settings['site_url']}/signin/")
        if other is not None:
            arn = arn_of(other.issuer, OTHER_ACCOUNT)
            role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/reader"
            self.evil = self.guard.people.sign_on_providers.add(
                OTHER_ACCOUNT, "Evil Corp", arn, client_id=CLIENT, client_secret=SECRET, roles=[role]
            )
            self.register(other, self.evil)
        self.register(provider, self.entry)

    def register(self, provider: OidcProvider, entry: SignOnProvider) -> str:
        """Register the redirect address of a sign-on provider at its identity provider, and return it."""
        address = redirect_uri(self.guard.settings.site_url, entry)
        provider.clients[CLIENT].redirect_uris.add(address)
        return address

    def share_redirect(self, entry: SignOnProvider) -> SignOnProvider:
        """Let a sign-on provider keep the common redirect address, as those of earlier stores do."""
        with self.store.write_transaction() as records:
            records.update(sign_on_providers, {"has_common_redirect": True}, id=entry.id)
        found = self.guard.people.sign_on_providers.get(entry.id)
        assert found is not None
        return found

    def start(self, entry: SignOnProvider | None = None, browser: TestClient | None = None, **query: str) -> Any:
        """Begin a sign-in, and return the answer, which leads to the provider."""
        params = {"provider": (entry or self.entry).id, **query}
        return (browser or self.browser).get("/signin/oidc/start", params=params)

    def at_provider(self, answer: Any, provider: OidcProvider | None = None, **changes: str) -> str:
        """Follow the redirect to the provider as a browser that is signed in there; return where that leads."""
        params = dict(parse_qsl(urlsplit(answer.headers["location"]).query)) | changes
        back = (provider or self.provider).respond("GET", "/authorize", params, {})
        return str(back.headers["location"])

    def come_back(self, url: str, browser: TestClient | None = None) -> Any:
        """Follow the redirect from the provider, and all that follow on this site."""
        browser = browser or self.browser
        answer = browser.get(url, headers={"sec-fetch-site": "cross-site"})
        while answer.status_code == 303 and "/continue?" in answer.headers["location"]:
            answer = browser.get(answer.headers["location"])
        return answer

    def sign_on(self, browser: TestClient | None = None, user: str = "ann", **query: str) -> Any:
        """Sign in with the provider, and return the answer that starts the session, or refuses it."""
        self.provider.signed_in = user
        return self.come_back(self.at_provider(self.start(browser=browser, **query)), browser)

    def reasons(self) -> list[str]:
        """Return the reasons of refusals in the trail."""
        refusals = [record for record in self.records() if record.get("errorMessage")]
        return [record["additionalEventData"]["Reason"] for record in refusals]

    def caller(self, browser: TestClient | None = None) -> str:
        return str((browser or self.browser).get("/documents/7").text)

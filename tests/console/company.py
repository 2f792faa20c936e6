"""A company whose people sign in to the tests' site by SAML: its accounts, roles and identity provider."""

from __future__ import annotations

import base64
import copy
import json
import re
import zlib
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.testclient import TestClient

from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider
from iam_guard.authn.saml.xml_tree import XmlElement, parse_xml
from iam_guard.store.identifiers import entity_digest, fold
from iam_guard.store.schema import saml_private_keys, saml_providers
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.authn.saml.identity_provider import ENTITY_ID, IdentityProvider
from tests.console.site import ACCOUNT, EVERYTHING, SEED, Site

OTHER = "444455556666"
AWS = "https://aws.amazon.com/SAML/Attributes/"
LONG_AFTER = 4_000_000_000


def provider_arn(account: str = ACCOUNT, name: str = "company") -> str:
    return f"arn:aws:iam::{account}:saml-provider/{name}"


def role_arn(name: str = "reader", account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def session_arn(name: str = "reader", account: str = ACCOUNT) -> str:
    return f"arn:aws:sts::{account}:assumed-role/{name}/ada@example.com"


def pairs(*roles: str) -> tuple[str, ...]:
    """Return the values of the attribute Role: each role with the provider of its account."""
    return tuple(f"{role},{provider_arn(role.split(':')[4])}" for role in roles or (role_arn(),))


def attributes(*roles: str, **more: str) -> dict[str, tuple[str, ...]]:
    """Return the attributes of a person that may have these roles; by default, the reader's."""
    values = {f"{AWS}{name}": (value,) for name, value in more.items()}
    return {f"{AWS}Role": pairs(*roles), f"{AWS}RoleSessionName": ("ada@example.com",), **values}


class Company:
    """A company at a site, with one identity provider for two accounts. `idp` signs its responses."""

    def __init__(self, site: Site, idp: IdentityProvider | None = None) -> None:
        self.site = site
        self.idp = idp or IdentityProvider(ENTITY_ID)
        self.acs = f"{site.guard.settings.site_url}/signin/saml/acs"
        apply_seed(site.store, load_seed_text(json.dumps(self._seed())))
        site.guard.refresh()
        self.sign_on = self.add_provider(ACCOUNT)
        self.other_sign_on = self.add_provider(OTHER)

    def _seed(self) -> dict[str, Any]:
        seed: dict[str, Any] = copy.deepcopy(SEED)
        names = {ACCOUNT: ("reader", "writer", "untrusting"), OTHER: ("reader",)}
        seed["accounts"].append({"id": OTHER, "name": "globex", "alias": "globex"})
        for account in seed["accounts"]:
            id = account["id"]
            roles = [{"name": name, "inline": {"all": EVERYTHING}, "trust": self.trust(id, name)} for name in names[id]]
            account["roles"] = [*account.get("roles", []), *roles]
        return seed

    def trust(self, account: str, name: str) -> Mapping[str, Any]:
        """Return the trust policy of a role; the one of `untrusting` is for another recipient."""
        aud = "https://signin.aws.amazon.com/saml" if name == "untrusting" else self.acs
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn(account)},
            "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {"StringEquals": {"SAML:aud": aud}},
        }
        return {"Version": "2012-10-17", "Statement": [statement]}

    def add_provider(
        self, account: str, name: str = "company", idp: IdentityProvider | None = None, **more: Any
    ) -> SignOnProvider:
        """Add a SAML provider to an account, and use it for sign-on."""
        signer = idp or self.idp
        with self.site.store.write_transaction() as records:
            records.insert(
                saml_providers,
                id=f"SAML{account}{name}",
                account=account,
                name=name,
                folded=fold(name),
                document=signer.metadata(),
                entity_digest=entity_digest(signer.entity_id),
                tags={},
                created=0,
                **{"valid_until": LONG_AFTER, "encryption_mode": None, **more},
            )
        return self.use(account, name)

    def use(self, account: str = ACCOUNT, name: str = "company", **terms: Any) -> SignOnProvider:
        """Use a SAML provider for sign-on, once more."""
        people = self.site.guard.people
        number = len(people.sign_on_providers.list(account))
        return people.sign_on_providers.add(account, f"Sign-on {number}", provider_arn(account, name), **terms)

    def change_provider(self, account: str = ACCOUNT, **values: Any) -> None:
        """Change the SAML provider of an account."""
        with self.site.store.write_transaction() as records:
            records.update(saml_providers, values, account=account, name="company")

    def add_key(self, pem: str, account: str = ACCOUNT, name: str = "company") -> None:
        """Add a private key to a SAML provider, which decrypts assertions."""
        id, provider_id = f"KEY{account}{name}", f"SAML{account}{name}"
        sealed = self.site.store.sealer.seal(pem.encode(), f"saml-private-key:{id}".encode())
        with self.site.store.write_transaction() as records:
            records.insert(saml_private_keys, id=id, provider_id=provider_id, sealed=sealed, created=0)

    def response(self, *roles: str, **changes: Any) -> str:
        """Return a response for these roles."""
        terms = {"now": self.site.now, "recipient": self.acs, "attributes": attributes(*roles), **changes}
        return self.idp.response(**terms)

    # --- a browser -------------------------------------------------------------------------------------------------

    def start(self, browser: TestClient, next: str = "", sign_on: SignOnProvider | None = None) -> str:
        """Begin a sign-on, and return the id of the request."""
        query = {"provider": (sign_on or self.sign_on).id, **({"next": next} if next else {})}
        answer = browser.get("/signin/saml/start", params=query)
        assert answer.status_code == 303, answer.text
        return request_of(answer.headers["location"]).attributes["ID"]

    def post(self, browser: TestClient, text: str, relay_state: str = "") -> Any:
        """Send a response as the page of another site does, without cookies; return the answer of the next page."""
        fields = {"SAMLResponse": text, **({"RelayState": relay_state} if relay_state else {})}
        other_site = self.site.new_browser()
        headers = {"origin": "null", "sec-fetch-site": "cross-site"}
        answer = other_site.post("/signin/saml/acs", data=fields, headers=headers)
        for name, value in other_site.cookies.items():
            browser.cookies.set(name, value, domain="localhost.local")
        assert answer.status_code == 303, answer.text
        return browser.get(answer.headers["location"])

    def press(self, browser: TestClient, page: Any, role: str = "", **fields: str) -> Any:
        """Press the button of the page to continue, with its only role, or the one that was chosen."""
        found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
        hidden = {name: unescape(value) for name, value in found.items()}
        choices = re.findall(r'name="role" value="([^"]+)"', page.text)
        chosen = {"role": role or (choices[0] if len(choices) == 1 else "")}
        return browser.post(str(page.url), data={**hidden, **chosen, **fields}, headers={"origin": "http://localhost"})

    def caller(self, browser: TestClient) -> str:
        """Return who the application says that this browser is, or the status of its answer without a session."""
        answer = browser.get("/documents/7")
        return answer.text.split()[0] if answer.status_code == 200 else str(answer.status_code)

    def refusals(self) -> list[str]:
        """Return the reasons of the refused sign-ons in the trail."""
        events = [record for record in self.site.records() if record["eventName"] == "ConsoleLogin"]
        return [event["additionalEventData"]["Reason"] for event in events if "errorMessage" in event]


def request_of(url: str) -> XmlElement:
    """Return the request in a URL of the redirect binding."""
    [text] = parse_qs(urlsplit(url).query)["SAMLRequest"]
    return parse_xml(zlib.decompress(base64.b64decode(text), wbits=-15)).root

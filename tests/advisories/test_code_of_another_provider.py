"""Advisory: an identity provider of one tenant must not get the code that the provider of another has issued (mix-up).

A victim signs in with the attacker's provider, which sends the browser on to the honest one, with the victim's attempt
and a challenge of the attacker's. The victim is signed in there, so the browser comes back at once, with a code of the
honest provider. If all providers share one redirect address, and the honest one does not name itself in its answers
(RFC 9207), the code is taken for one of the attacker's provider, and sent there. The attacker redeems it: with a
public client directly, else by a sign-in of its own that waits for a code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.authn.people.oidc_provider import CLIENT, OidcProvider, serving_provider
from tests.console.oidc_site import OidcSite
from tests.tables import table

EVIL = "https://id.evil.example/tenant"
ANNOUNCED = "authorization_response_iss_parameter_supported"


@dataclass(frozen=True)
class World:
    """The site, the provider of a tenant, and that of an attacker."""

    site: OidcSite
    honest: OidcProvider
    evil: OidcProvider

    def stolen_codes(self) -> list[str]:
        """Return the codes that the attacker's provider was given."""
        return [request.params["code"] for request in self.evil.received if "code" in request.params]

    def mix_up(self, *, with_challenge: bool = True) -> Any:
        """Send the victim through both providers; return the answer to the honest one's redirect.

        The challenge is of a sign-in that the attacker has begun here, or it makes one.
        """
        site, victim = self.site, self.site.new_browser()
        theirs = {"client_id": CLIENT, "response_type": "code", "scope": "openid", "nonce": "n", "code_challenge": "c"}
        theirs["redirect_uri"] = max(self.honest.clients[CLIENT].redirect_uris, key=len)
        if with_challenge:
            theirs = dict(parse_qsl(urlsplit(site.start().headers["location"]).query))
        begun = site.start(site.evil, victim)
        if begun.status_code != 303:
            return begun
        state = dict(parse_qsl(urlsplit(begun.headers["location"]).query))["state"]
        self.honest.signed_in = "ann"
        back = self.honest.respond("GET", "/authorize", {**theirs, "state": state}, {})
        return site.come_back(str(back.headers["location"]), victim)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving_provider(OidcProvider()) as honest, serving_provider(OidcProvider(EVIL)) as evil:
        site = OidcSite(tmp_path, honest, evil, oidc_refresh=0.0)
        yield World(site, honest, evil)
        site.guard.close()


def without_issuer(provider: OidcProvider) -> None:
    """Let a provider neither announce nor send the issuer, like Entra ID."""
    provider.document = {ANNOUNCED: None}
    provider.back = lambda params: {name: value for name, value in params.items() if name != "iss"}


@table("secret", [None, "s3cret of/the+client~"])
def test_code_of_a_silent_provider_goes_to_no_other(
    tmp_path_factory: pytest.TempPathFactory, secret: str | None
) -> None:
    """Whether or not its client has a secret: a code can be redeemed through a sign-in that the attacker began."""
    with serving_provider(OidcProvider()) as honest, serving_provider(OidcProvider(EVIL)) as evil:
        honest.clients[CLIENT].secret = secret
        world = World(OidcSite(tmp_path_factory.mktemp("site"), honest, evil), honest, evil)
        without_issuer(honest)
        without_issuer(evil)
        answer = world.mix_up()
        assert answer.status_code == 400
        assert world.stolen_codes() == []
        world.site.guard.close()


@dataclass(frozen=True)
class Providers:
    """Which of the two has the common address, as in earlier stores, and which one names itself in its answers."""

    common: str
    named: str


@table(
    "providers",
    [
        Providers(common, named)
        for common in ("", "honest", "evil", "honest evil")
        for named in ("", "honest", "evil", "honest evil")
    ],
)
def test_code_goes_to_its_own_provider_only(tmp_path_factory: pytest.TempPathFactory, providers: Providers) -> None:
    """Whatever address the providers have, and whatever they announce."""
    with serving_provider(OidcProvider()) as honest, serving_provider(OidcProvider(EVIL)) as evil:
        site = OidcSite(tmp_path_factory.mktemp("site"), honest, evil)
        world = World(site, honest, evil)
        for name, provider, entry in (("honest", honest, site.entry), ("evil", evil, site.evil)):
            assert entry is not None
            if name not in providers.named:
                without_issuer(provider)
            if name in providers.common:
                site.register(provider, site.share_redirect(entry))
        honest_refused = site.start().status_code == 400
        assert honest_refused is ("honest" in providers.common and "honest" not in providers.named)
        answer = world.mix_up(with_challenge=not honest_refused)
        assert answer.status_code == 400
        assert world.stolen_codes() == []
        site.guard.close()


def test_provider_that_stops_naming_itself_loses_the_common_address(world: World) -> None:
    """Announced when the sign-in begins, and no more when the answer comes; also an answer without the issuer."""
    site, honest = world.site, world.honest
    site.register(honest, site.share_redirect(site.entry))
    honest.signed_in = "ann"
    for document, is_named in (({}, False), ({ANNOUNCED: False}, False), ({ANNOUNCED: False}, True)):
        honest.behave()
        url = site.at_provider(site.start())
        honest.document = document
        answer = site.come_back(url if is_named else url.replace("&iss=", "&other="))
        assert answer.status_code == 400
        assert "token" not in {request.path.rpartition("/")[2] for request in honest.received}


def test_refusal_says_which_address_to_register(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """On the page, in the log and in the trail; with this address, and the command, people sign in again."""
    site, honest = world.site, world.honest
    without_issuer(honest)
    site.share_redirect(site.entry)
    address = f"http://localhost/signin/oidc/callback/{site.entry.id}"
    answer = site.start()
    assert (answer.status_code, address in answer.text) == (400, True)
    [logged] = [record.getMessage() for record in caplog.records if record.name == "iam_guard.console"]
    command = f"iam-guard account sign-on own-redirect {site.entry.account} '{site.entry.name}'"
    assert address in logged
    assert f"`{command}`" in logged
    assert site.reasons() == [logged.partition(": ")[2]]
    site.guard.people.sign_on_providers.use_own_redirect(site.entry.account, site.entry.name.upper())
    assert site.sign_on().status_code == 303
    assert "assumed-role/reader/ann-1" in site.caller()


def test_provider_that_names_itself_keeps_the_common_address(world: World) -> None:
    """Until it has its own; what comes back to the former address is refused then."""
    site, honest = world.site, world.honest
    assert site.register(honest, site.share_redirect(site.entry)) == "http://localhost/signin/oidc/callback"
    assert site.sign_on().status_code == 303
    url = site.at_provider(site.start())
    site.guard.people.sign_on_providers.use_own_redirect(site.entry.account, site.entry.name)
    assert site.come_back(url).status_code == 400
    assert site.sign_on().status_code == 303

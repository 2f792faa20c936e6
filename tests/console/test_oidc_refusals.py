"""What providers and attackers do wrong: each is refused with one page, and its reason is in the trail, never on it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from starlette.testclient import TestClient

from iam_guard.store.schema import oidc_providers
from tests.authn.issuer import SigningKey, encoded, signed
from tests.authn.people.oidc_provider import CLIENT, ISSUER, Answer, OidcProvider, serving_provider
from tests.console.oidc_site import ACCOUNT, CLOSED, OidcSite
from tests.tables import table

EVIL = "https://id.evil.example/tenant"


@dataclass
class World:
    """The site, an honest provider, and one of another account, which an attacker has."""

    site: OidcSite
    honest: OidcProvider
    evil: OidcProvider
    victim: TestClient = field(init=False)
    attacker: TestClient = field(init=False)

    def begin(self) -> None:
        """Put everything back, with new browsers."""
        for provider in (self.honest, self.evil):
            provider.behave()
            provider.signed_in = "ann"
        self.victim, self.attacker = self.site.new_browser(), self.site.new_browser()

    def back(self, **changes: str) -> str:
        """Return the URL that leads the victim back to the callback."""
        return self.site.at_provider(self.site.start(browser=self.victim), **changes)

    def come_back(self, url: str) -> Any:
        return self.site.come_back(url, self.victim)

    def sign_on(self) -> Any:
        return self.come_back(self.back())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving_provider(OidcProvider()) as honest, serving_provider(OidcProvider(EVIL)) as evil:
        site = OidcSite(tmp_path, honest, evil, oidc_refresh=0.0, oidc_timeout=60.0)
        yield World(site, honest, evil)
        site.guard.close()


Case = Callable[[World], Any]


def claims(**changes: Any) -> Case:
    """The ID token has other claims; a function is called with the present time."""

    def run(world: World) -> Any:
        now = int(world.site.now.timestamp())
        world.honest.claims = {name: value(now) if callable(value) else value for name, value in changes.items()}
        return world.sign_on()

    return run


def header(**changes: Any) -> Case:
    def run(world: World) -> Any:
        world.honest.header = changes
        return world.sign_on()

    return run


def token_endpoint(body: Answer) -> Case:
    def run(world: World) -> Any:
        world.honest.bodies["token"] = body
        return world.sign_on()

    return run


def token_answer(**changes: Any) -> Case:
    def run(world: World) -> Any:
        world.honest.answer = changes
        return world.sign_on()

    return run


def query(**changes: str | None) -> Case:
    """The answer at the callback has other parameters."""

    def run(world: World) -> Any:
        def change(params: dict[str, str]) -> dict[str, str]:
            return {name: value for name, value in (params | changes).items() if value is not None}

        world.honest.back = change
        return world.sign_on()

    return run


def more_query(text: str) -> Case:
    return lambda world: world.come_back(f"{world.back()}&{text}")


def document(**changes: Any) -> Case:
    def run(world: World) -> Any:
        world.honest.document = changes
        return world.site.start(browser=world.victim)

    return run


def discovery(body: Answer) -> Case:
    def run(world: World) -> Any:
        world.honest.bodies["openid-configuration"] = body
        return world.site.start(browser=world.victim)

    return run


# --- tokens that are made in another way ---------------------------------------------------------------------------


def with_sign(sign: Callable[[World, Mapping[str, Any]], str]) -> Case:
    def run(world: World) -> Any:
        world.honest.sign = lambda claims: sign(world, claims)
        return world.sign_on()

    return run


def unsigned(world: World, claims: Mapping[str, Any]) -> str:
    return f"{encoded(json.dumps({'alg': 'none', 'typ': 'JWT'}).encode())}.{encoded(json.dumps(claims).encode())}."


def with_client_secret(world: World, claims: Mapping[str, Any]) -> str:
    header = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    text = f"{header}.{encoded(json.dumps(claims).encode())}"
    secret = (world.honest.clients[CLIENT].secret or "").encode()
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def with_another_key(world: World, claims: Mapping[str, Any]) -> str:
    return signed(SigningKey("ES256"), claims)


def with_unknown_key(world: World, claims: Mapping[str, Any]) -> str:
    return signed(SigningKey("ES256", "key-2"), claims)


def altered(world: World, claims: Mapping[str, Any]) -> str:
    header, _, signature = world.honest._signed(claims).split(".")
    return f"{header}.{encoded(json.dumps({**claims, 'sub': 'admin'}).encode())}.{signature}"


def claims_twice(world: World, claims: Mapping[str, Any]) -> str:
    text = json.dumps(claims)
    return signed(world.honest.keys[-1], (text[:-1] + ', "sub": "admin"}').encode())


def encrypted(world: World, claims: Mapping[str, Any]) -> str:
    return ".".join([encoded(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), *[encoded(b"abc")] * 4])


# --- attacks -------------------------------------------------------------------------------------------------------


def without_attempt(world: World) -> Any:
    """A callback in a browser that has begun nothing."""
    return world.site.come_back(world.back(), world.attacker)


def login_csrf(world: World) -> Any:
    """The attacker's answer in the browser of a victim that is just signing in: to use the attacker's account."""
    theirs = world.site.at_provider(world.site.start(browser=world.attacker))
    world.site.start(browser=world.victim)
    return world.come_back(theirs)


def code_again(world: World) -> Any:
    """The same answer again, in the same browser."""
    url = world.back()
    assert world.come_back(url).status_code == 303
    world.victim.cookies.delete("iam-guard-dev")
    return world.come_back(url)


def stolen_code(world: World, lenient: bool) -> Any:
    """The attacker brings the code of a victim in an attempt of its own."""
    stolen = dict(parse_qsl(urlsplit(world.back()).query))["code"]
    theirs = dict(parse_qsl(urlsplit(world.site.at_provider(world.site.start(browser=world.attacker))).query))
    world.honest.is_lenient = lenient
    address = world.site.register(world.honest, world.site.entry)
    answer = world.site.come_back(f"{address}?{urlencode(theirs | {'code': stolen})}", world.attacker)
    assert "assumed-role" not in world.site.caller(world.attacker)
    return answer


def late_answer(world: World) -> Any:
    url = world.back()
    world.site.now += timedelta(minutes=10)
    return world.come_back(url)


def altered_attempt(world: World) -> Any:
    url = world.back()
    value = world.victim.cookies["iam-guard-dev-sign-on"]
    altered = value[:-8] + ("A" if value[-8] != "A" else "B") + value[-7:]
    return world.site.come_back(url, with_cookies(world, {"iam-guard-dev-sign-on": altered}))


def with_cookies(world: World, cookies: Mapping[str, str]) -> TestClient:
    browser = world.site.new_browser()
    browser.cookies.update(dict(cookies))
    return browser


def mix_up(world: World) -> Any:
    """The evil provider sends the victim on to the honest one (`tests/advisories/test_code_of_another_provider.py`)."""
    theirs = dict(parse_qsl(urlsplit(world.site.start(browser=world.attacker).headers["location"]).query))
    begun = world.site.start(world.site.evil, world.victim)
    changes = {name: theirs[name] for name in ("nonce", "code_challenge", "redirect_uri")}
    back = world.site.at_provider(begun, world.honest, **changes)
    first = world.come_back(back)
    assert not any("code" in request.params for request in world.evil.received)
    assert world.come_back(back).status_code == 400  # the attempt has ended
    return first


def common_address(world: World) -> Any:
    """The answer has the right state, at the address that all providers had."""
    return world.come_back(world.back().replace(f"/{world.site.entry.id}?", "?"))


def other_address(world: World) -> Any:
    return world.come_back(world.back().replace(f"/{world.site.entry.id}?", f"/{world.site.evil.id}?"))


def token_of_honest_issuer(world: World) -> Any:
    """The evil provider names the honest issuer in its tokens."""
    world.evil.claims = {"iss": ISSUER}
    begun = world.site.start(world.site.evil, world.victim)
    return world.come_back(world.site.at_provider(begun, world.evil))


def roles_of_another_account(world: World) -> Any:
    """The evil provider names a role of the other account, in a claim that is its own rule."""
    site = world.site
    entry = site.guard.people.sign_on_providers.add(
        site.evil.account, "Claims", site.evil.provider, client_id=CLIENT, roles=["role"]
    )
    site.register(world.evil, entry)
    world.evil.clients[CLIENT].secret, secret = None, world.evil.clients[CLIENT].secret
    world.evil.claims = {"role": f"arn:aws:iam::{ACCOUNT}:role/reader"}
    answer = world.come_back(site.at_provider(site.start(entry, world.victim), world.evil))
    world.evil.clients[CLIENT].secret = secret
    site.guard.people.sign_on_providers.remove(site.evil.account, "Claims")
    return answer


def removed_meanwhile(world: World) -> Any:
    providers = world.site.guard.people.sign_on_providers
    entry = providers.add(ACCOUNT, "Short", world.site.entry.provider, client_id=CLIENT, roles=[CLOSED])
    world.site.register(world.honest, entry)
    url = world.site.at_provider(world.site.start(entry, world.victim))
    providers.remove(ACCOUNT, "Short")
    return world.come_back(url)


def audience_removed_meanwhile(world: World) -> Any:
    url = world.back()
    where = {"account": ACCOUNT, "url": ISSUER.removeprefix("https://")}
    with world.site.store.write_transaction() as records:
        records.update(oidc_providers, {"client_ids": ["another"]}, **where)
    answer = world.come_back(url)
    with world.site.store.write_transaction() as records:
        records.update(oidc_providers, {"client_ids": [CLIENT]}, **where)
    return answer


def pending_of(world: World) -> str:
    answer = world.victim.get(world.back())
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def pending_elsewhere(world: World) -> Any:
    """The attacker opens the page that a verified sign-in goes on to, with an attempt of its own."""
    url = pending_of(world)
    world.site.start(browser=world.attacker)
    return world.attacker.get(url)


def nonce_again(world: World) -> Any:
    """One attempt gets two codes, and its cookies are copied: it becomes one session."""
    begun = world.site.start(browser=world.victim)
    urls = [world.victim.get(world.site.at_provider(begun)).headers["location"] for _ in range(2)]
    copy = with_cookies(world, world.victim.cookies)
    assert copy.get(urls[0]).status_code == 303
    return world.victim.get(urls[1])


def removed_while_choosing(world: World) -> Any:
    """The account removes the sign-on provider between the answer and the choice of a role."""
    providers = world.site.guard.people.sign_on_providers
    entry = providers.add(ACCOUNT, "Short", world.site.entry.provider, client_id=CLIENT, roles=[CLOSED])
    world.site.register(world.honest, entry)
    world.honest.is_lenient = True
    url = world.victim.get(world.site.at_provider(world.site.start(entry, world.victim))).headers["location"]
    providers.remove(ACCOUNT, "Short")
    before = len(world.site.reasons())
    answer = world.victim.get(url)
    assert len(world.site.reasons()) == before  # what waited was deleted with it
    return without_attempt(world) if answer.status_code == 400 else answer


def only_a_closed_role(world: World) -> Any:
    """A role whose trust policy is for SAML."""
    entry = world.site.guard.people.sign_on_providers.add(
        ACCOUNT, "Closed", world.site.entry.provider, client_id=CLIENT, client_secret="x", roles=[CLOSED]
    )
    world.site.register(world.honest, entry)
    world.honest.is_lenient = True
    answer = world.come_back(world.site.at_provider(world.site.start(entry, world.victim)))
    world.site.guard.people.sign_on_providers.remove(ACCOUNT, "Closed")
    return answer


def no_role(world: World) -> Any:
    entry = world.site.guard.people.sign_on_providers.add(
        ACCOUNT, "Groups", world.site.entry.provider, client_id=CLIENT, roles=[f"groups=no-one-has-it {CLOSED}"]
    )
    world.site.register(world.honest, entry)
    world.honest.is_lenient = True
    answer = world.come_back(world.site.at_provider(world.site.start(entry, world.victim)))
    world.site.guard.people.sign_on_providers.remove(ACCOUNT, "Groups")
    return answer


LATER: Callable[[int], int] = lambda now: now + 3600  # noqa: E731
STATE = "the state of this browser's sign-in"
CASES: dict[str, tuple[Case, str]] = {
    # --- the ID token
    "issuer of another provider": (claims(iss=EVIL), "provider that the sign-in began with"),
    "issuer with a slash": (claims(iss=ISSUER + "/"), "provider that the sign-in began with"),
    "no issuer": (claims(iss=None), "Missing a required claim: iss"),
    "another audience": (claims(aud="another"), "the client of the sign-on provider"),
    "no audience": (claims(aud=None), "Missing a required claim: aud"),
    "audiences without us": (claims(aud=["a", "b"], azp="a"), "the client of the sign-on provider"),
    "several audiences, no party": (claims(aud=[CLIENT, "another"]), "authorized party"),
    "party is another": (claims(azp="another"), "the client of the sign-on provider"),
    "unregistered audience": (claims(aud=[CLIENT, "another"], azp=CLIENT), "registered audiences only"),
    "no nonce": (claims(nonce=None), "expected the nonce"),
    "another nonce": (claims(nonce="n" * 43), "expected the nonce"),
    "nonce in a list": (claims(nonce=["n"]), "expected the nonce"),
    "expired": (claims(iat=lambda now: now - 7200, exp=lambda now: now - 3600), "Token expired"),
    "issued in the future": (claims(iat=LATER, exp=lambda now: now + 7200), "not valid yet"),
    "valid in the future": (claims(nbf=LATER, exp=lambda now: now + 7200), "not valid yet"),
    "no expiry": (claims(exp=None), "expected the claim `exp`"),
    "expiry as text": (claims(exp="2030-01-01"), "expected the claim `exp`"),
    "no subject": (claims(sub=None), "Missing a required claim: sub"),
    "long subject": (claims(sub="x" * 256), "at most 255"),
    "subject with a zero byte": (claims(sub="a\x00b"), "more than 1024 characters"),
    "long session of the provider": (claims(sid="s" * 2000), "more than 1024 characters"),
    "subject as number": (claims(sub=7), "Missing a required claim: sub"),
    "hash of another access token": (claims(at_hash="AAAAAAAAAAAAAAAAAAAAAA"), "hash of the access token"),
    "hash of no access token": (token_answer(access_token=None), "hash of the access token"),
    "claims differ by case": (claims(Groups=["a"], groups=["b"]), "differ by more than letter case"),
    "roles that the token is for": (
        claims(**{"https://aws.amazon.com/roles": [CLOSED]}),
        "not among those that the token is for",
    ),
    "tags without a value": (
        claims(**{"https://aws.amazon.com/tags": {"principal_tags": {"team": ["a", "b"]}}}),
        "one value for each session tag",
    ),
    "tag of AWS": (
        claims(**{"https://aws.amazon.com/tags": {"principal_tags": {"aws:a": ["b"]}}}),
        "session tags",
    ),
    # --- its signature
    "unsigned": (with_sign(unsigned), "not a valid JWT"),
    "signed with the secret": (with_sign(with_client_secret), "signed with one of"),
    "signed by another key": (with_sign(with_another_key), "not that of its issuer"),
    "signed by an unknown key": (with_sign(with_unknown_key), "retrieve verification key"),
    "altered": (with_sign(altered), "not that of its issuer"),
    "claims twice": (with_sign(claims_twice), "not a valid JWT"),
    "encrypted": (with_sign(encrypted), "not a valid JWT"),
    "an access token": (header(typ="at+jwt"), "type JWT"),
    "a logout token": (header(typ="logout+jwt"), "type JWT"),
    "a key in the header": (header(jwk={"kty": "oct", "k": "AA"}), "without `jwk`"),
    "a key's URL in the header": (header(jku=f"{EVIL}/jwks"), "without `jku`"),
    "critical extension": (header(crit=["b64"], b64=False), "without `b64`"),
    # --- the token endpoint
    "code refused": (token_endpoint(Answer(400, b'{"error":"invalid_grant"}')), "`invalid_grant`"),
    "client refused": (token_endpoint(Answer(401, b'{"error":"invalid_client"}')), "`invalid_client`"),
    "error is a text": (token_endpoint(Answer(400, b'{"error":"<b>no</b>"}')), "without a valid code"),
    "no ID token": (token_answer(id_token=None), "expected an ID token"),
    "ID token is a number": (token_answer(id_token=7), "expected strings"),
    "huge ID token": (token_answer(id_token="a" * 200_000), "at most 20000"),
    "a page": (token_endpoint(Answer(200, b"<html>")), "expected a JSON object"),
    "huge answer": (token_endpoint(Answer(200, b" " * 2_000_000)), "more than 262144 bytes"),
    "redirect": (token_endpoint(Answer(302, b"", {"location": "http://127.0.0.1/"})), "status 302"),
    "server error": (token_endpoint(Answer(500, b"")), "status 500"),
    # --- the answer in the browser
    "person refuses": (query(code=None, error="access_denied"), "answered with `access_denied`"),
    "error with a script": (query(error="<script>alert(1)</script>"), "without a valid code"),
    "no state": (query(state=None), STATE),
    "another state": (query(state="s" * 43), STATE),
    "empty state": (query(state=""), STATE),
    "state twice": (more_query("state=a"), STATE),
    "code twice": (more_query("code=a"), STATE),
    "issuer twice": (more_query("iss=a"), STATE),
    "no code": (query(code=None), "expected a code"),
    "long code": (query(code="c" * 8001), "expected a code"),
    "code with a line": (query(code="a\nb"), "expected a code"),
    "unknown code": (query(code="unknown"), "`invalid_grant`"),
    "answer of another provider": (query(iss=EVIL), "answer of the provider that"),
    "answer of none": (query(iss=None), "answer of the provider that"),
    # --- discovery
    "document of another issuer": (document(issuer=EVIL), "the registered URL as the issuer"),
    "document for all tenants": (document(issuer="https://id.example.com/{tenantid}"), "the registered URL"),
    "endpoint without TLS": (document(authorization_endpoint="http://id.example.com/a"), "expected an HTTPS URL"),
    "script as endpoint": (document(authorization_endpoint="javascript:alert(1)"), "expected an HTTPS URL"),
    "huge document": (discovery(Answer(200, b" " * 2_000_000)), "more than 262144 bytes"),
    "no document": (discovery(Answer(404, b"")), "status 404"),
    # --- attacks
    "no sign-on provider": (lambda world: world.victim.get("/signin/oidc/start"), "id of a sign-on provider"),
    "unknown sign-on provider": (
        lambda world: world.victim.get("/signin/oidc/start?provider=so-%00%3Cb%3E"),
        "id of a sign-on provider",
    ),
    "answer without an attempt": (without_attempt, "began in this browser"),
    "answer to another's attempt": (login_csrf, STATE),
    "answer again": (code_again, "began in this browser"),
    "stolen code, strict provider": (lambda world: stolen_code(world, False), "`invalid_grant`"),
    "stolen code, lenient provider": (lambda world: stolen_code(world, True), "expected the nonce"),
    "late answer": (late_answer, "within the last ten minutes"),
    "altered attempt": (altered_attempt, "began in this browser"),
    "mix-up": (mix_up, "redirect address of the provider"),
    "answer at the common address": (common_address, "redirect address of the provider"),
    "answer at another's address": (other_address, "redirect address of the provider"),
    "token of the honest issuer": (token_of_honest_issuer, "provider that the sign-in began with"),
    "role of another account": (roles_of_another_account, "no rule of the sign-on provider"),
    "sign-on provider removed": (removed_meanwhile, "began in this browser"),
    "sign-on provider removed while choosing": (removed_while_choosing, "began in this browser"),
    "audience removed": (audience_removed_meanwhile, "Incorrect token audience"),
    "pending in another browser": (pending_elsewhere, "present request of this browser"),
    "attempt used twice": (nonce_again, "has been used before"),
    "role that does not trust": (only_a_closed_role, "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    "no role": (no_role, "no rule of the sign-on provider"),
}


def test_misbehaviour_is_refused_with_a_reason(world: World, subtests: pytest.Subtests) -> None:
    """One page for all, with status 400 and no session; the reason is in the trail."""
    assert len(CASES) >= 40
    pages = set()
    for name, (run, reason) in CASES.items():
        with subtests.test(name):
            world.begin()
            before = len(world.site.reasons())
            answer = run(world)
            assert answer.status_code == 400, answer.text
            assert "assumed-role" not in world.site.caller(world.victim)
            assert reason in " ".join(world.site.reasons()[before:])
            assert reason not in answer.text
            pages.add(answer.text)
    assert len({page.split("<main", 1)[1] for page in pages}) == 1


@table("path", ["openid-configuration", "token", "jwks"])
def test_provider_that_hangs_is_refused(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    """After the time of `oidc_timeout`, whatever the site waits for."""
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider, oidc_timeout=0.5)
        provider.hanging, provider.signed_in = (path,), "ann"
        provider.answers.clear()
        begun = site.start()
        answer = begun if begun.status_code == 400 else site.come_back(site.at_provider(begun))
        assert answer.status_code == 400
        assert "the identity provider cannot be reached" in site.reasons()[0]
        site.guard.close()

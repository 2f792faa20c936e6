"""OIDC bearer tokens at the guard: roles, lifetime, caching (federation/bearer_tokens.py)."""

from __future__ import annotations

import ast
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Principal, Service, current_principal, open_guard
from iam_guard.audit.trail import Trail
from iam_guard.authn.federation.bearer_tokens import session_name_of
from iam_guard.authn.federation.role_rules import choose_role, read_rules
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import (
    AccessDenied,
    CacheMiss,
    ConfigurationError,
    ExpiredIdentityToken,
    IamGuardError,
    IdentityProviderUnavailable,
    InvalidClientTokenId,
    InvalidIdentityToken,
    StoreUnavailable,
    ValidationError,
)
from iam_guard.factory import guard_with_store
from iam_guard.model.principal import PrincipalType
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store, open_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.web.body_verification import EMPTY_HASH
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import eventually
from tests.authn.issuer import Issuer, SigningKey, publishing
from tests.tables import table

ACME = "111122223333"
HOST = "id.example.com/tenant"
NAME = f"https://{HOST}"
PROVIDER = f"arn:aws:iam::{ACME}:oidc-provider/{HOST}"
READER, WRITER = (f"arn:aws:iam::{ACME}:role/{name}" for name in ("app/Reader", "Writer"))
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"
KEY = SigningKey()
RULES = (f"{NAME} sub=ann {READER}", f"{NAME} sub=w* {WRITER}", f"{NAME} https://example.com/role")


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trusting(provider: str = PROVIDER, *actions: str, **condition: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithWebIdentity", *actions],
    }
    return document(found | ({"Condition": condition} if condition else {}))


def role(name: str, action: str, trust: dict[str, Any], **more: Any) -> dict[str, Any]:
    may = {"Effect": "Allow", "Action": f"docs:{action}", "Resource": "*", "Condition": more.pop("when", {})}
    return {"name": name, "trust": trust, "inline": {"P": document(may)}, **more}


def seed(*roles: dict[str, Any], client_ids: tuple[str, ...] = ("app",), providers: Any = None) -> str:
    registered = [{"url": NAME, "client_ids": client_ids}] if providers is None else providers
    account = {"id": ACME, "name": "acme", "roles": roles, "oidc_providers": registered}
    return json.dumps({"version": 1, "accounts": [account]})


ROLES = (
    role("Reader", "Get*", trusting(StringEquals={f"{HOST}:aud": "app"}), path="/app/"),
    role("Writer", "Put*", trusting(StringLike={f"{HOST}:sub": "w*"}), max_session_duration=7200),
)


class World:
    """A guard on a seed file, and an issuer; the time of both is `now`. The store is polled by `refresh` only."""

    def __init__(self, path: Path, issuer: Issuer, **settings: Any) -> None:
        self.path, self.issuer, self.now = path, issuer, datetime(2026, 11, 24, 12, tzinfo=UTC)
        issuer.clock = lambda: self.now.timestamp()
        path.write_text(seed(*ROLES))
        chosen: dict[str, Any] = {
            "oidc_addresses": (issuer.at,),
            "oidc_roles": RULES,
            "oidc_cooldown": 0.0,
            "oidc_timeout": 60.0,
        } | settings
        self.settings = Settings(**chosen)
        self.inner = open_store(str(path), self.settings)
        self.store = CachedStore(self.inner, self.settings, clock=lambda: 0.0)
        self.sink = ListSink()
        catalogues = [Service("docs").catalogue]
        self.guard = Guard(self.store, Trail(self.sink), self.settings, catalogues=catalogues, clock=lambda: self.now)

    def edit(self, text: str) -> None:
        self.path.write_text(text)
        self.guard.refresh()

    def enter(self, token: str, *headers: tuple[bytes, bytes]) -> Principal:
        return self.guard.authenticate(request(token, *headers), payload_hash=lambda: EMPTY_HASH)

    def refuses(self, token: str, error: type[IamGuardError], *headers: tuple[bytes, bytes]) -> str:
        with pytest.raises(error) as caught:
            self.enter(token, *headers)
        return caught.value.message

    def is_cached(self, token: str, *headers: tuple[bytes, bytes]) -> bool:
        """Return whether the guard authenticates or refuses the token from its cache."""
        try:
            self.guard.authenticate(request(token, *headers), payload_hash=lambda: EMPTY_HASH, cache_only=True)
        except CacheMiss:
            return False
        except IamGuardError:
            return True
        return True

    def may(self, principal: Principal, action: str) -> bool:
        return self.guard.decide(principal, f"docs:{action}", DOCUMENT).allowed

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.sink.lines]


def request(token: str, *headers: tuple[bytes, bytes]) -> HttpRequest:
    return HttpRequest("GET", b"/documents/7", b"", ((b"authorization", f"Bearer {token}".encode()), *headers))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with publishing(Issuer()) as made:
        made.keys = [KEY]
        yield made


@pytest.fixture
def make(tmp_path: Path, issuer: Issuer) -> Iterator[Any]:
    made: list[World] = []

    def world(**settings: Any) -> World:
        made.append(World(tmp_path / f"iam{len(made)}.json", issuer, **settings))
        return made[-1]

    yield world
    for world in made:
        world.guard.close()


@pytest.fixture
def world(make: Any) -> World:
    made: World = make()
    return made


# --- who gets in -------------------------------------------------------------------------------------------------


def test_token_becomes_role_session(world: World) -> None:
    """P-2, P-13, K-34: as by AssumeRoleWithWebIdentity, with the role's permissions."""
    principal = world.enter(world.issuer.token(amr=["mfa"], email="a@b"))
    assert principal.type is PrincipalType.ASSUMED_ROLE
    assert (principal.arn, principal.role_arn) == (f"arn:aws:sts::{ACME}:assumed-role/Reader/ann", READER)
    assert [world.may(principal, action) for action in ("Get", "Put")] == [True, False]
    found = {key: principal.key(f"{HOST}:{key}") for key in ("aud", "sub", "amr", "email", "oaud")}
    assert found == {"aud": "app", "sub": "ann", "amr": ("mfa",), "email": None, "oaud": None}
    assert principal.key("aws:federatedprovider") == PROVIDER
    assert principal.credential is not None
    assert principal.credential.kind == "oidc"
    assert principal.key("aws:multifactorauthpresent") is None


def test_first_matching_rule_chooses_the_role(world: World) -> None:
    """By a claim's value, by a pattern, and by a claim that is the role's ARN."""
    assert world.enter(world.issuer.token(sub="walt")).role_arn == WRITER
    claims = {"sub": "bob", "https://example.com/role": READER}
    assert world.enter(world.issuer.token(**claims)).role_arn == READER
    assert world.enter(world.issuer.token(**{**claims, "sub": "wim"})).role_arn == WRITER  # an earlier rule
    assert "no rule chooses a role" in world.refuses(world.issuer.token(sub="bob"), InvalidIdentityToken)
    world.refuses(world.issuer.token(**{**claims, "https://example.com/role": "Reader"}), ValidationError)
    world.refuses(world.issuer.token(**{**claims, "https://example.com/role": [READER, WRITER]}), InvalidIdentityToken)


def test_rule_does_not_override_trust_policy(world: World) -> None:
    """The trust policy decides, and errors do not reveal whether the role exists (S-11)."""
    denied = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    for arn in (WRITER, f"arn:aws:iam::{ACME}:role/Nobody"):
        token = world.issuer.token(sub="bob", **{"https://example.com/role": arn})
        assert world.refuses(token, AccessDenied) == denied
    other = world.issuer.token(sub="bob", **{"https://example.com/role": "arn:aws:iam::999999999999:role/Writer"})
    assert world.refuses(other, InvalidIdentityToken).startswith("No OpenIDConnect provider found")


def test_role_header_chooses_the_role(make: Any) -> None:
    """Among the roles that trust the token; it takes precedence over rules and is part of the cache key."""
    world = make(oidc_role_header="X-Role")
    token = world.issuer.token(sub="walt")
    assert world.enter(token).role_arn == WRITER
    reader, writer = ((b"x-role", arn.encode()) for arn in (READER, WRITER))
    assert not world.is_cached(token, reader)
    assert world.enter(token, reader).role_arn == READER
    assert world.enter(token, writer).role_arn == WRITER
    assert world.is_cached(token, reader)
    assert world.enter(token).role_arn == WRITER
    world.refuses(token, InvalidIdentityToken, reader, writer)
    world.refuses(token, ValidationError, (b"x-role", b"Reader"))
    assert world.refuses(world.issuer.token(), AccessDenied, writer)  # ann is no w*


def test_unconfigured_role_header_is_ignored(world: World) -> None:
    assert world.enter(world.issuer.token(sub="walt"), (b"x-role", READER.encode())).role_arn == WRITER


def test_tokens_without_configured_roles_are_refused(make: Any) -> None:
    """Without a query to the issuer."""
    world = make(oidc_roles=())
    assert "not accepted here" in world.refuses(world.issuer.token(), InvalidIdentityToken)
    assert world.is_cached(world.issuer.token())
    assert world.issuer.asked == {}


def bad_tokens(issuer: Issuer) -> dict[str, tuple[str, type[IamGuardError]]]:
    good, other = issuer.token(), SigningKey()
    head, body, signature = good.split(".")
    now = int(issuer.clock())
    return {
        "expired": (issuer.token(exp=now - 61), ExpiredIdentityToken),
        "not yet": (issuer.token(nbf=now + 300), InvalidIdentityToken),
        "another issuer": (issuer.token(iss="https://evil.example"), InvalidIdentityToken),
        "another audience": (issuer.token(aud="other"), InvalidIdentityToken),
        "alg none": (issuer.token({"alg": "none"}), InvalidIdentityToken),
        "alg none, unsigned": (f"{issuer.token({'alg': 'none'}).rpartition('.')[0]}.", InvalidIdentityToken),
        "HMAC": (issuer.token({"alg": "HS256"}), InvalidIdentityToken),
        "an unknown key": (issuer.token({"kid": "other"}), InvalidIdentityToken),
        "a key of its own": (issuer.token({"jwk": other.jwk()}), InvalidIdentityToken),
        "another subject": (f"{head}.{issuer.token(sub='walt').split('.')[1]}.{signature}", InvalidIdentityToken),
        "a bit of the signature": (f"{head}.{body}.{signature[:-2]}AA", InvalidIdentityToken),
        "no token": ("a.b.c", InvalidIdentityToken),
        "neither token nor API key": (body, InvalidClientTokenId),
        "an API key that is none": ("igk_a.b.c", InvalidIdentityToken),
    }


@pytest.mark.parametrize("name", bad_tokens(Issuer()))
def test_invalid_tokens_are_refused(world: World, name: str) -> None:
    """Also after a valid one of the same client; not cached, but recorded."""
    good = world.issuer.token()
    assert world.enter(good)
    token, error = bad_tokens(world.issuer)[name]
    for _ in range(2):
        world.refuses(token, error)
        last = world.records()[-1]
        assert last["errorCode"] == error.code
        assert last["userIdentity"]["type"] == "Unknown"
    assert world.is_cached(good)
    if token.count(".") == 2:
        assert not world.is_cached(token)
    assert not any(part in line.decode() for line in world.sink.lines for part in good.split(".")[1:])


# --- for how long ------------------------------------------------------------------------------------------------


def test_cached_token_needs_no_query(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same principal, without store and issuer, until it expires."""
    token = world.issuer.token()
    assert not world.is_cached(token)
    first = world.enter(token)
    monkeypatch.setattr(CachedStore, "read_transaction", lambda _: pytest.fail("the store was queried"))
    monkeypatch.setattr(type(world.inner), "epoch", lambda _: pytest.fail("the store was queried"))
    monkeypatch.setattr(world.store, "_poll_every", float("inf"))
    asked = dict(world.issuer.asked)
    assert world.is_cached(token)
    assert all(world.enter(token) is first for _ in range(5))
    assert world.issuer.asked == asked


def test_token_session_ends_with_the_token(world: World) -> None:
    token = world.issuer.token()  # 600 seconds
    principal = world.enter(token)
    assert principal.credential is not None
    assert principal.credential.issued is not None
    world.now += timedelta(seconds=598)
    assert world.enter(token) is principal
    world.now += timedelta(seconds=70)
    assert not world.is_cached(token)
    world.refuses(token, ExpiredIdentityToken)


def test_long_lived_token_is_verified_again(world: World) -> None:
    """After the role's maximum session duration (R-13) the whole token is verified."""
    token = world.issuer.token(exp=int(world.now.timestamp()) + 86400 * 365)
    first = world.enter(token)
    world.now += timedelta(seconds=3599)
    assert world.enter(token) is first
    world.now += timedelta(seconds=2)
    again = world.enter(token)
    assert again is not first
    assert again.arn == first.arn
    world.issuer.rotate()
    world.guard.authenticators.tokens.clear()
    world.now += timedelta(seconds=3599)
    assert world.enter(token) is again
    world.now += timedelta(seconds=2)
    world.refuses(token, InvalidIdentityToken)  # its issuer has withdrawn the key


EDITS: dict[str, tuple[str, type[IamGuardError]]] = {
    "the role trusts another provider": (
        seed(role("Reader", "Get*", trusting(PROVIDER + "x"), path="/app/")),
        AccessDenied,
    ),
    "the role wants another claim": (
        seed(role("Reader", "Get*", trusting(StringEquals={f"{HOST}:sub": "eve"}), path="/app/")),
        AccessDenied,
    ),
    "the role is gone": (seed(ROLES[1]), AccessDenied),
    "the role has moved": (seed(role("Reader", "Get*", trusting())), AccessDenied),
    "the provider is gone": (seed(*ROLES, providers=[]), InvalidIdentityToken),
    "the audience is gone": (seed(*ROLES, client_ids=("other",)), InvalidIdentityToken),
}


@pytest.mark.parametrize(("text", "error"), EDITS.values(), ids=EDITS.keys())
def test_change_of_store_ends_token_session(world: World, text: str, error: type[IamGuardError]) -> None:
    """INVARIANT: a decision of the current epoch. Undone, it works again without the issuer."""
    token = world.issuer.token()
    first = world.enter(token)
    world.issuer.is_down = True
    world.edit(text)
    assert not world.is_cached(token)
    world.refuses(token, error)
    world.edit(seed(*ROLES))
    assert world.enter(token) == first


def test_unrelated_change_reevaluates_trust_policy_only(world: World) -> None:
    """The signature is not verified again, and the session is not extended."""
    token = world.issuer.token(iat=int(world.now.timestamp()) + 5)  # by a clock that is a little fast
    first = world.enter(token)
    world.issuer.is_down = True
    world.now += timedelta(seconds=100)
    world.edit(seed(*ROLES, role("Other", "Get*", trusting())))
    again = world.enter(token)
    assert again == first
    assert again.credential is not None
    assert first.credential is not None
    assert again.credential.issued == first.credential.issued


def test_revoked_token_session_stays_revoked(world: World) -> None:
    """S-50: the issue time is the token's, so sending it again makes no newer session."""
    token = world.issuer.token(iat=int(world.now.timestamp()) - 120)
    assert world.may(world.enter(token), "Get")
    revoked = (world.now - timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    when = {"DateGreaterThan": {"aws:TokenIssueTime": revoked}}
    world.edit(seed(role("Reader", "Get*", trusting(), path="/app/", when=when)))
    assert not world.may(world.enter(token), "Get")
    assert world.may(world.enter(world.issuer.token()), "Get")


def test_cached_token_session_survives_store_outage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Static stability: cached clients stay authenticated, new ones are refused."""
    token = world.issuer.token()
    first = world.enter(token)

    def away(*_: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(type(world.inner), "epoch", away)
    monkeypatch.setattr(type(world.inner), "read_transaction", away)
    world.guard.refresh()
    assert world.enter(token) is first
    world.refuses(world.issuer.token(jti="another"), StoreUnavailable)


def test_unavailable_issuer_refuses_new_tokens(world: World) -> None:
    """503 for an unverified token, not for a cached one."""
    token = world.issuer.token()
    world.issuer.is_down = True
    world.refuses(token, IdentityProviderUnavailable)
    world.issuer.is_down = False
    assert world.enter(token)


def test_token_cache_is_bounded(make: Any) -> None:
    """The oldest entry is evicted; refused tokens are not cached."""
    world = make(cache_size=3)
    tokens = [world.issuer.token(jti=str(number)) for number in range(5)]
    for token in tokens:
        world.enter(token)
    assert [world.is_cached(token) for token in tokens] == [False, False, True, True, True]
    for number in range(5):
        world.refuses(world.issuer.token(aud="other", jti=str(number)), InvalidIdentityToken)
    assert world.is_cached(tokens[-1])


def test_concurrent_requests_fetch_keys_once(world: World) -> None:
    """All are authenticated."""
    token, start = world.issuer.token(), threading.Barrier(12)
    world.issuer.answers.clear()

    def enter() -> Principal:
        start.wait()
        return world.enter(token)

    with ThreadPoolExecutor(12) as pool:
        entering = [pool.submit(enter) for _ in range(12)]
        eventually(lambda: world.issuer.count("openid"))
        world.issuer.answers.set()
        found = [each.result() for each in entering]
    assert all(each == found[0] for each in found)
    assert world.issuer.count() == 1


def test_token_session_is_recorded(world: World) -> None:
    """The admission is a decision like any other; later calls are the role session's."""
    world.may(world.enter(world.issuer.token()), "Get")
    admission, use = world.records()
    assert (admission["eventName"], admission["userIdentity"]["type"]) == (
        "AssumeRoleWithWebIdentity",
        "WebIdentityUser",
    )
    assert use["userIdentity"]["arn"].endswith(":assumed-role/Reader/ann")
    assert len(use["userIdentity"]["credentialId"]) == 32


# --- by configuration alone --------------------------------------------------------------------------------------

KUBERNETES = "https://kubernetes.default.svc.cluster.local"
GITHUB = "https://token.actions.githubusercontent.com"
SERVICE_ACCOUNT = {
    "aud": ["docs"],
    "exp": 1732530000,
    "iat": 1732526400,
    "iss": KUBERNETES,
    "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
    "kubernetes.io": {
        "namespace": "shop",
        "node": {"name": "worker-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
        "pod": {"name": "orders-7d4b9c", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
        "serviceaccount": {"name": "orders", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
    },
    "nbf": 1732526400,
    "sub": "system:serviceaccount:shop:orders",
}
WORKFLOW = {
    "jti": "example-id",
    "sub": "repo:acme/docs:environment:production",
    "environment": "production",
    "aud": "https://docs.acme.example",
    "ref": "refs/heads/main",
    "sha": "example-sha",
    "repository": "acme/docs",
    "repository_owner": "acme",
    "actor_id": "12",
    "repository_visibility": "private",
    "repository_id": "74",
    "repository_owner_id": "65",
    "run_id": "example-run-id",
    "run_number": "10",
    "run_attempt": "2",
    "runner_environment": "github-hosted",
    "actor": "octocat",
    "workflow": "example-workflow",
    "head_ref": "",
    "base_ref": "",
    "event_name": "workflow_dispatch",
    "ref_type": "branch",
    "job_workflow_ref": "acme/automation/.github/workflows/oidc.yml@refs/heads/main",
    "iss": GITHUB,
    "nbf": 1632492967,
    "exp": 1632493867,
    "iat": 1632493567,
}
HEADERS: dict[str, dict[str, Any]] = {
    KUBERNETES: {"typ": None, "kid": "iNYnNGSkbaEZkGGfeHDmC3Y2WcPrqpeQ5q2R4M2GNKE"},
    GITHUB: {"typ": "JWT", "x5t": "example-thumbprint", "kid": "38826b17-6a30-5f9b-b169-8beb8202f723"},
}


@pytest.mark.parametrize(
    ("claims", "url", "wrong"),
    [
        (SERVICE_ACCOUNT, KUBERNETES, {"sub": "system:serviceaccount:shop:payments"}),
        (SERVICE_ACCOUNT, KUBERNETES, {"kubernetes.io": {"namespace": "other", "serviceaccount": {"name": "orders"}}}),
        (WORKFLOW, GITHUB, {"sub": "repo:acme/docs:pull_request"}),
        (WORKFLOW, GITHUB, {"repository_owner_id": "66"}),
        (WORKFLOW, GITHUB, {"sub": "repo:evil/docs:environment:production"}),
    ],
)
def test_kubernetes_and_github_tokens_are_accepted(
    tmp_path: Path, claims: dict[str, Any], url: str, wrong: dict[str, Any]
) -> None:
    """With the configuration of the how-to page, and tokens of their shape."""
    page = Path("docs/how-to/oidc-tokens.md").read_text()
    title = "Kubernetes" if url == KUBERNETES else "GitHub"
    section = page.split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]
    path = tmp_path / "iam.yaml"
    name = "kubernetes" if url == KUBERNETES else "github"
    path.write_text(section.split(f'```yaml title="{name}.yaml"\n', 1)[1].split("```", 1)[0])
    (rule,) = ast.literal_eval("(" + section.split("oidc_roles=(", 1)[1].split(")", 1)[0] + ")")
    key = SigningKey(id=HEADERS[url]["kid"])
    with publishing(Issuer(url)) as issuer:
        issuer.keys = [key]
        guard = open_guard(str(path), oidc_roles=(rule,), oidc_addresses=(issuer.at,), oidc_timeout=60.0)
        now = int(issuer.clock())
        times = {name: now + (3607 if name == "exp" else 0) for name in ("iat", "nbf", "exp")}
        token = issuer.token(HEADERS[url], **{**claims, **times})
        principal = guard.authenticate(request(token), payload_hash=lambda: EMPTY_HASH)
        assert guard.decide(principal, "docs:GetDocument", DOCUMENT).allowed
        assert principal.name.startswith(claims["sub"].replace(":", "-").replace("/", "-")[:47])
        bad = issuer.token(HEADERS[url], **{**claims, **times, **wrong})
        with pytest.raises((AccessDenied, InvalidIdentityToken)):
            guard.authenticate(request(bad), payload_hash=lambda: EMPTY_HASH)
        guard.close()


# --- over HTTP ---------------------------------------------------------------------------------------------------


def test_middleware_maps_token_errors_to_status(world: World) -> None:
    """401 invalid token, 403 no role, 503 no decision; a cache miss leaves the event loop."""
    docs = Service("docs")
    threads: list[str] = []

    @docs.requires("GetDocument", resource="document/{id}")
    async def get(request: Request) -> Response:
        return PlainTextResponse(current_principal().arn)

    fetch = world.guard.authenticators._bearers.principal  # to check in which thread it runs

    def principal(*args: Any, **kwargs: Any) -> Principal:
        threads.append(threading.current_thread().name)
        return fetch(*args, **kwargs)

    world.guard.authenticators._bearers.principal = principal  # type: ignore[method-assign]
    routes = [Route("/documents/{id}", get)]
    app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=world.guard)])
    world.edit(seed(*ROLES))
    with TestClient(app) as client:

        def status(token: str) -> int:
            return client.get("/documents/7", headers={"authorization": f"Bearer {token}"}).status_code

        good = world.issuer.token()
        assert [status(good), status(good)] == [200, 200]
        assert threads[0] != threads[1]
        assert "worker" in threads[0].lower()
        assert status(world.issuer.token(sub="walt")) == 403  # a Writer may not get
        assert status(world.issuer.token(sub="bob", **{"https://example.com/role": WRITER})) == 403
        answer = client.get("/documents/7", headers={"authorization": f"Bearer {world.issuer.token(aud='x')}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "InvalidIdentityToken")
        assert "www-authenticate" in answer.headers
        assert status(world.issuer.token(exp=1, iat=0)) == 401
        assert status("nonsense") == 401
        world.issuer.is_down = True
        world.issuer.rotate()
        world.guard.authenticators.tokens.clear()
        assert status(world.issuer.token()) == 503
        both = {"authorization": f"Bearer {good}", "x-api-key": "igk_x"}
        assert client.get("/documents/7", headers=both).status_code == 401


# --- rules and names ---------------------------------------------------------------------------------------------


@table(
    "rule",
    [
        "",
        NAME,
        f"{NAME} sub=ann",
        f"{NAME} sub=ann Reader",
        f"{NAME} sub {READER}",
        f"{NAME} =ann {READER}",
        f"{NAME} sub= {READER}",
        f"{NAME} sub=ann {READER} more",
        f"http://{HOST} sub=ann {READER}",
        f"{NAME} sub=ann arn:aws:iam::{ACME}:user/ann",
    ],
)
def test_malformed_role_rule_is_refused_at_start(rule: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a rule"):
        read_rules((rule,))


@pytest.mark.parametrize("header", ["x role", "Authorization", "x-api-key", "host", "x:role"])
def test_reserved_role_header_is_refused_at_start(tmp_path: Path, header: str) -> None:
    path = tmp_path / "iam.json"
    path.write_text(seed())
    with pytest.raises(ConfigurationError, match="an unreserved header name"):
        open_guard(path, oidc_role_header=header)


@table(
    ("claims", "expected"),
    [
        ({"groups": ("ops", "dev")}, "a"),
        ({"groups": "dev"}, "a"),
        ({"groups": ("ops",)}, None),
        ({"groups": ()}, None),
        ({}, None),
        ({"a/b": "Xy"}, "b"),
        ({"a/b": "X"}, "b"),
        ({"a/b": "x"}, None),
        ({"a/b": "X", "groups": "dev"}, "a"),
    ],
)
def test_role_rules_match_claims(claims: dict[str, Any], expected: str | None) -> None:
    """One list member suffices; `*` is a wildcard; the first match and the issuer count."""
    roles = {name: f"arn:aws:iam::{ACME}:role/{name}" for name in ("a", "b")}
    rules = read_rules((f"{NAME} groups=dev {roles['a']}", f"{NAME} a/b=X* {roles['b']}"))
    assert choose_role(rules, NAME, claims) == (roles[expected] if expected else None)
    assert choose_role(rules, NAME + "/", claims) is None


def test_session_name_is_unique_to_the_subject() -> None:
    """Valid names (P-12) are kept; others get a digest."""
    assert session_name_of("ann@example.com") == "ann@example.com"
    assert session_name_of("a" * 64) == "a" * 64
    subjects = ["a:b", "a/b", "a b", "a-b", "", "x", "é", "a" * 65, "a" * 66, "system:serviceaccount:shop:" + "x" * 60]
    names = [session_name_of(subject) for subject in subjects]
    assert len(set(names)) == len(subjects)
    assert all(2 <= len(name) <= 64 for name in names)


def test_subject_spelled_like_a_made_name_gets_another() -> None:
    """And so on: no name of one subject is that of another."""
    for subject in ("auth0|5f7c", "é", "x", "a b", "a" * 65, "|" * 80, "-", "a-b|c"):
        names = [subject]
        for _ in range(5):
            names.append(session_name_of(names[-1]))
        assert len(set(names)) == len(names)
        assert all(2 <= len(name) <= 64 for name in names[1:])


@table(
    "subject",
    [
        "0123456789abcdef",
        "run-0123456789abcdef",  # no subject but `run` could be named so, and that is a name itself
        "a-b-0123456789ABCDEF",
        "a-b-0123456789abcde",
        "6a0a1c5c-95b4-4d0a-8f2c-1f6b8a4b1c11",
        "-0123456789abcdef",
        "a-b-0123456789abcdef0",
    ],
)
def test_subject_that_no_other_can_be_named_like_is_kept(subject: str) -> None:
    assert session_name_of(subject) == subject


def test_missing_oidc_extra_is_reported_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the extra to install."""
    path = tmp_path / "iam.json"
    path.write_text(seed(*ROLES))
    monkeypatch.setitem(sys.modules, "joserfc", None)
    for name in ("jws", "issuer_keys"):
        monkeypatch.delitem(sys.modules, f"iam_guard.authn.tokens.{name}", raising=False)
    with pytest.raises(ConfigurationError, match="an OIDC token requires the extra `oidc` of iam_guard"):
        open_guard(path, oidc_roles=RULES)
    open_guard(path).close()  # who takes no tokens needs none of it


# --- accounts that are not active ----------------------------------------------------------------------------------


def test_token_gets_no_session_of_a_suspended_account(issuer: Issuer, tmp_path: Path) -> None:
    """Not even one that was admitted before; the answer is that of a role that does not trust the token."""
    settings = Settings(oidc_addresses=(issuer.at,), oidc_roles=RULES, oidc_cooldown=0.0, oidc_timeout=60.0)
    store = create_store(f"sqlite:///{tmp_path}/iam.db", settings)
    apply_seed(store, load_seed_text(seed(*ROLES)))
    guard, token = guard_with_store(store, settings), issuer.token()

    def enter(*, cache_only: bool = False) -> Principal:
        return guard.authenticate(request(token), payload_hash=lambda: EMPTY_HASH, cache_only=cache_only)

    assert enter() is enter()
    assert enter(cache_only=True).account == ACME
    for change in (guard.accounts.suspend, guard.accounts.close):
        change(ACME)
        with pytest.raises(CacheMiss):
            enter(cache_only=True)
        for _ in range(2):
            with pytest.raises(AccessDenied, match=r"^Not authorized to perform sts:AssumeRoleWithWebIdentity$"):
                enter()
    guard.accounts.resume(ACME)
    assert enter().account == ACME
    guard.close()

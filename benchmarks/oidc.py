"""The time to authenticate an OIDC token, in microseconds of CPU time.

A token like those of GitHub's jobs, of 1,300 characters, signed with RS256. It is measured as a cached token, and as a
new token with cached keys of its issuer. The peer is joserfc, which only verifies the signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from joserfc import jws
from joserfc.jwk import RSAKey

from benchmarks.clock import Call, least
from benchmarks.row import Row
from iam_guard.authn.api_key import digest_of
from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential_verifier import Authenticator
from iam_guard.authn.federation.bearer_tokens import BearerTokens
from iam_guard.authn.federation.role_session import TrustQuestion
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import TokenCredential
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.factory import guard_with_store
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call as RequestCall
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text

ISSUER = "https://token.actions.githubusercontent.com"
ACCOUNT = "111122223333"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER.removeprefix('https://')}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {f"{ISSUER.removeprefix('https://')}:sub": "repo:acme/docs:*"}},
    },
}
SEED = {
    "version": 1,
    "accounts": [
        {
            "id": ACCOUNT,
            "roles": [{"name": "deploy", "trust": TRUST}],
            "oidc_providers": [{"url": ISSUER, "client_ids": ["docs"]}],
        }
    ],
}
CLAIMS = {
    "iss": ISSUER,
    "aud": "docs",
    "sub": "repo:acme/docs:environment:production",
    "environment": "production",
    "ref": "refs/heads/main",
    "sha": digest_of("a commit").hex()[:40],
    "repository": "acme/docs",
    "repository_owner": "acme",
    "repository_id": "740000000",
    "repository_owner_id": "65000000",
    "run_id": "10000000000",
    "run_number": "1010",
    "run_attempt": "1",
    "runner_environment": "github-hosted",
    "actor": "octocat",
    "actor_id": "12000000",
    "workflow": "deploy",
    "event_name": "workflow_dispatch",
    "ref_type": "branch",
    "job_workflow_ref": "acme/docs/.github/workflows/deploy.yml@refs/heads/main",
}
KNOWN, FIRST, PEER = "OIDC token, known", "OIDC token, seen for the first time", "joserfc verifying its signature"


def token_rows() -> Iterator[Row]:
    """Measure a cached token and a new one."""
    now = datetime.now(UTC)
    key = RSAKey.generate_key(2048, {"kid": "key-1", "use": "sig"})
    times = {"iat": int(now.timestamp()), "exp": int(now.timestamp()) + 3600}
    claims = json.dumps({**CLAIMS, **times})
    token = jws.serialize_compact({"alg": "RS256", "kid": "key-1", "typ": "JWT"}, claims, key)
    published = {
        f"{ISSUER}/.well-known/openid-configuration": json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}),
        f"{ISSUER}/keys": json.dumps({"keys": [key.as_dict(private=False)]}),
    }
    settings = Settings(oidc_roles=(f"{ISSUER} sub=repo:acme/docs:* {ROLE}",), epoch_poll=3600.0)
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(json.dumps(SEED)))
    guard, cached = guard_with_store(store, settings), CachedStore(store, settings)
    tokens = TokenVerifier(settings, lambda url, issuer: published[url].encode())

    def decide(principal: Principal, asked: TrustQuestion) -> Decision:
        return guard.decide(principal, asked.action, asked.resource, asked.context)

    def entering(bearers: BearerTokens | None) -> Call:
        headers = ((b"host", b"docs.example.com"), (b"authorization", f"Bearer {token}".encode()))

        def admit(
            credential: TokenCredential, request: HttpRequest, _: RequestCall | None, moment: datetime
        ) -> Principal:
            among = BearerTokens(cached, tokens, settings) if bearers is None else bearers
            return among.principal(credential, request, now=moment, decide=decide)

        none = lambda _: None  # noqa: E731
        authenticator = Authenticator(
            find_access_key=none,
            find_api_key=none,
            find_account=lambda principal: cached.account(principal.account or ""),
            skew=300,
            callers=callers,
            admit_token=admit,
        )

        def enter() -> Principal:
            return authenticator.authenticate(
                HttpRequest("GET", b"/documents/42", b"", headers), payload_hash=str, now=now
            )

        return enter

    callers = CallerCache()
    verify = lambda: jws.deserialize_compact(token, key, algorithms=["RS256"])  # noqa: E731
    calls = {KNOWN: entering(BearerTokens(cached, tokens, settings)), FIRST: entering(None), PEER: verify}
    taken = least(calls)
    guard.close()
    for name in (KNOWN, FIRST):
        yield Row(name, taken[name] * 1e6, "us", taken[name] / taken[PEER], PEER)

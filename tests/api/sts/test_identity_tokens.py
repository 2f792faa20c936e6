"""GetWebIdentityToken: claims, signatures and keys (S-37).

Tokens are verified by joserfc with the published keys, independent of our code.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.error import HTTPError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from iam_guard.api import token_issuer as issuers
from iam_guard.api.call import ApiServer
from iam_guard.api.operation import OperationRequest, run
from iam_guard.api.sts.identity_tokens import CLAIMS, SESSION_CLAIMS
from iam_guard.api.sts.operations import STS
from iam_guard.model.principal import Principal
from iam_guard.store.schema import issuer_keys
from tests.api.conftest import ACCOUNT, OTHER_KEY, Client, Running, allow, refusal
from tests.api.iam.organization_parts import GOLD_PATH, ORGANIZATION, ROOT_PATH, make_organization
from tests.api.sts.sts_parts import ADMIN_ARN, admin_sts, make_role, policy, sts_of, with_session

ClientFor = Callable[..., Client]
SELF = f"arn:aws:sts::{ACCOUNT}:self"
AUDIENCE = "https://api.example.com"
ALGORITHMS = ("RS256", "ES384")


def ask(sts: Client, algorithm: str = "ES384", **more: Any) -> str:
    given = {"Audience": [AUDIENCE], "SigningAlgorithm": algorithm, **more}
    token: str = sts.get_web_identity_token(**given)["WebIdentityToken"]
    return token


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:  # noqa: S310  the server of this very test
        assert answer.headers["content-type"] == "application/json"
        return json.loads(answer.read())


def verified(token: str, issuer: str, audience: str = AUDIENCE) -> dict[str, Any]:
    """Verify a token with the issuer's address only, as a third party does."""
    discovery = fetch(f"{issuer}/.well-known/openid-configuration")
    assert discovery["issuer"] == issuer
    keys = KeySet.import_key_set(fetch(discovery["jwks_uri"]))
    opened = jwt.decode(token, keys, algorithms=discovery["id_token_signing_alg_values_supported"])
    JWTClaimsRegistry(iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience}).validate(
        opened.claims
    )
    return dict(opened.claims)


@pytest.fixture
def issuer(server: Running, iam: Client) -> str:
    """The account's issuer, enabled."""
    enabled: str = iam.enable_outbound_web_identity_federation()["IssuerIdentifier"]
    return enabled


@pytest.fixture
def sts(server: Running, issuer: str) -> Client:
    return admin_sts(server)


# --- verification by a third party ------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_third_party_verifies_the_token(iam: Client, sts: Client, issuer: str, algorithm: str) -> None:
    assert iam.get_outbound_web_identity_federation_info()["IssuerIdentifier"] == issuer
    answer = sts.get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm=algorithm)
    claims = verified(answer["WebIdentityToken"], issuer)
    assert claims["sub"] == ADMIN_ARN
    assert claims["aud"] == AUDIENCE
    assert claims["exp"] - claims["iat"] == 300
    assert answer["Expiration"].timestamp() == claims["exp"]
    assert claims[CLAIMS] == {"aws_account": ACCOUNT, "source_region": "us-east-1", "principal_id": ADMIN_ARN}


def test_published_keys_are_public_halves(sts: Client, issuer: str) -> None:
    """RFC 7517: one per algorithm, and nothing private."""
    keys = fetch(f"{issuer}/.well-known/jwks.json")["keys"]
    assert {key["alg"] for key in keys} == set(ALGORITHMS)
    for key in keys:
        assert key["use"] == "sig"
        assert set(key) <= {"kty", "n", "e", "crv", "x", "y", "kid", "alg", "use"}
    assert len({key["kid"] for key in keys}) == 2


@pytest.fixture
def signed(sts: Client, issuer: str) -> tuple[dict[str, str], KeySet]:
    """A token per algorithm, and the keys."""
    return {name: ask(sts, name) for name in ALGORITHMS}, KeySet.import_key_set(
        fetch(f"{issuer}/.well-known/jwks.json")
    )


def test_altered_identity_token_is_rejected(signed: tuple[dict[str, str], KeySet]) -> None:
    """Header, claims or signature, in any character."""
    tokens, keys = signed

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(ALGORITHMS), st.integers(0), st.integers(0, 6))
    def refused(name: str, place: int, bit: int) -> None:
        token = bytearray(tokens[name].encode())
        token[place % len(token)] ^= 1 << bit
        try:
            text = token.decode("ascii")
            opened = jwt.decode(text, keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            return
        # base64 leaves bits of a last character unread: then it is the same token
        assert opened.claims == jwt.decode(tokens[name], keys, algorithms=list(ALGORITHMS)).claims
        assert text.rpartition(".")[0] == tokens[name].rpartition(".")[0]

    refused()


def test_identity_tokens_are_unique(sts: Client, issuer: str) -> None:
    first, second = (verified(ask(sts), issuer) for _ in range(2))
    assert first["jti"] != second["jti"]


def test_issuer_signs_for_its_account_only(server: Running, sts: Client, issuer: str) -> None:
    """Another account has another issuer with other keys."""
    other = server.client(OTHER_KEY).enable_outbound_web_identity_federation()["IssuerIdentifier"]
    token = ask(server.client(OTHER_KEY, "sts"))
    assert verified(token, other)["sub"] == "arn:aws:iam::444455556666:user/admin"
    with pytest.raises(JoseError):
        verified(token, issuer)


# --- content -----------------------------------------------------------------------------------------------------


def test_several_audiences_are_a_list(sts: Client, issuer: str) -> None:
    token = ask(sts, Audience=[AUDIENCE, "https://other.example"], DurationSeconds=60)
    claims = verified(token, issuer)
    assert claims["aud"] == [AUDIENCE, "https://other.example"]
    assert claims["exp"] - claims["iat"] == 60


def test_role_session_has_the_role_as_subject(server: Running, iam: Client, sts: Client, issuer: str) -> None:
    """With its path; session tags override the role's; S-16, S-21."""
    make_role(iam, "deployer", Path="/ci/", Tags=[{"Key": "Team", "Value": "red"}, {"Key": "tier", "Value": "1"}])
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci/deployer"
    made = sts.assume_role(
        RoleArn=arn, RoleSessionName="build", SourceIdentity="ada", Tags=[{"Key": "team", "Value": "blue"}]
    )
    claims = verified(ask(with_session(server, made)), issuer)
    assert claims["sub"] == claims[CLAIMS]["principal_id"] == arn
    assert claims[CLAIMS]["principal_tags"] == {"team": "blue", "tier": "1"}
    assert claims[CLAIMS]["source_identity"] == "ada"
    assert claims[CLAIMS]["original_session_exp"] == made["Credentials"]["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")


def test_user_session_has_the_user_as_subject(server: Running, iam: Client, sts: Client, issuer: str) -> None:
    iam.tag_user(UserName="admin", Tags=[{"Key": "team", "Value": "blue"}])
    claims = verified(ask(with_session(server, sts.get_session_token())), issuer)
    assert claims["sub"] == ADMIN_ARN
    assert claims[CLAIMS]["principal_tags"] == {"team": "blue"}
    assert "original_session_exp" not in claims[CLAIMS]


def test_root_user_gets_a_token(server: Running, root: Client, sts: Client, issuer: str) -> None:
    assert verified(ask(sts_of(server, root)), issuer)["sub"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_token_has_the_organization(server: Running, sts: Client, issuer: str) -> None:
    make_organization(server)
    claims = verified(ask(sts), issuer)[CLAIMS]
    assert (claims["org_id"], claims["ou_path"]) == (ORGANIZATION, [f"{ROOT_PATH}/"])
    make_organization(server, management_account="444455556666", tenants={"accounts": []}, gold={"accounts": [ACCOUNT]})
    assert verified(ask(sts), issuer)[CLAIMS]["ou_path"] == [f"{GOLD_PATH}/"]


def test_token_has_the_request_tags(sts: Client, issuer: str) -> None:
    tags = [{"Key": "job", "Value": "42"}, {"Key": "empty", "Value": ""}]
    assert verified(ask(sts, Tags=tags), issuer)[CLAIMS]["request_tags"] == {"job": "42", "empty": ""}


def direct(server: Running, caller: Principal, *, now: int = 1_900_000_000, **more: Any) -> Any:
    """Run the operation for a caller, at a time."""
    given = {"Audience": [AUDIENCE], "SigningAlgorithm": "ES384", **more}
    operation = "GetWebIdentityToken"
    request = OperationRequest(ApiServer(server.store), STS, operation, given, caller, now=now)
    return run(request, lambda _: None).output


def test_token_has_the_sessions_frozen_keys(server: Running, issuer: str) -> None:
    """Each claim of AWS's table."""
    frozen = {key: f"value of {key}" for key in SESSION_CLAIMS.values()}
    caller = Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/gone/s1")
    token = direct(server, replace(caller, session=frozen))["WebIdentityToken"]
    keys = KeySet.import_key_set(fetch(f"{issuer}/.well-known/jwks.json"))
    claims = jwt.decode(token, keys, algorithms=["ES384"]).claims[CLAIMS]
    assert {claim: claims[claim] for claim in SESSION_CLAIMS} == {
        claim: f"value of {key}" for claim, key in SESSION_CLAIMS.items()
    }


# --- permissions and errors --------------------------------------------------------------------------------------


def test_token_permission_has_conditions(server: Running, sts: Client, client_for: ClientFor) -> None:
    """Audience, duration (with its default), algorithm."""
    conditions = {
        "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": AUDIENCE},
        "NumericLessThanEquals": {"sts:DurationSeconds": 300},
        "StringEquals": {"sts:SigningAlgorithm": "ES384", "sts:SubjectMode": "AWSIdentity"},
    }
    worker = sts_of(server, client_for("worker", allow("sts:GetWebIdentityToken", SELF, **conditions)))
    assert ask(worker)
    for options in (
        {"Audience": [AUDIENCE, "https://other.example"]},
        {"DurationSeconds": 301},
        {"algorithm": "RS256"},
    ):
        with refusal("AccessDenied", f"to perform: sts:GetWebIdentityToken on resource: {SELF} because", 403):
            ask(worker, **options)


def test_token_tags_need_permission(server: Running, sts: Client, client_for: ClientFor) -> None:
    may = allow("sts:GetWebIdentityToken", SELF)
    tags = [{"Key": "scope", "Value": "read"}]
    plain = sts_of(server, client_for("plain", may))
    assert ask(plain)
    with refusal("AccessDenied", f"to perform: sts:TagGetWebIdentityToken on resource: {SELF}", 403):
        ask(plain, Tags=tags)
    condition = {
        "StringEquals": {"aws:RequestTag/scope": "read"},
        "ForAllValues:StringEquals": {"aws:TagKeys": "scope"},
    }
    tagging = sts_of(server, client_for("tagging", may, allow("sts:TagGetWebIdentityToken", SELF, **condition)))
    assert ask(tagging, Tags=tags)
    for other in ([{"Key": "scope", "Value": "write"}], [*tags, {"Key": "more", "Value": "x"}]):
        with refusal("AccessDenied", "sts:TagGetWebIdentityToken"):
            ask(tagging, Tags=other)


def test_disabled_issuer_has_no_tokens_and_keys(server: Running, iam: Client, issuer: str) -> None:
    sts = admin_sts(server)
    assert ask(sts)
    iam.disable_outbound_web_identity_federation()
    with refusal("OutboundWebIdentityFederationDisabledException", "not enabled", 403):
        ask(sts)
    for document in ("openid-configuration", "jwks.json"):
        with pytest.raises(HTTPError, match="404"):
            fetch(f"{issuer}/.well-known/{document}")
    with server.store.read_transaction() as records:
        assert records.all(issuer_keys) == []


def test_token_does_not_outlive_its_session(server: Running, issuer: str, iam: Client) -> None:
    make_role(iam)
    made = admin_sts(server).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/worker", RoleSessionName="xx", DurationSeconds=900
    )
    assert ask(with_session(server, made), DurationSeconds=890)
    with refusal("SessionDurationEscalationException", "outlive the calling session", 403):
        ask(with_session(server, made), DurationSeconds=901)


def test_token_size_is_limited(sts: Client) -> None:
    """50 tags are allowed, but not of any length; a token fits into a header."""
    tags = [{"Key": f"key{number}", "Value": "x" * 80} for number in range(50)]
    assert len(ask(sts, "RS256", Tags=tags)) < 8192
    with refusal("JWTPayloadSizeExceededException", "too large", 400):
        ask(sts, Tags=[{**tag, "Value": "x" * 200} for tag in tags])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SigningAlgorithm": "HS256"}, "must be one of RS256, ES384"),
        ({"SigningAlgorithm": "rs256"}, "must be one of RS256, ES384"),
        ({"SigningAlgorithm": "none"}, "signingAlgorithm"),
        ({"DurationSeconds": 59}, "durationSeconds"),
        ({"DurationSeconds": 3601}, "durationSeconds"),
        ({"Audience": []}, "audience"),
        ({"Audience": ["a"] * 11}, "audience"),
        ({"Audience": ["x" * 1001]}, "audience"),
        ({"SubjectMode": "OriginIdentity"}, "no origin identity"),
        ({"SubjectMode": "Other"}, "subjectMode"),
        ({"Scope": "read"}, "only with the subject mode"),
    ],
    ids=str,
)
def test_unsupported_token_options_are_rejected(sts: Client, given: dict[str, Any], sentence: str) -> None:
    with refusal("ValidationError", sentence, 400):
        ask(sts, given.pop("SigningAlgorithm", "ES384"), **given)


def test_federated_users_get_no_token(server: Running, sts: Client) -> None:
    made = sts.get_federation_token(Name="app", Policy=policy(allow("*")))
    with refusal("AccessDenied", "Cannot call GetWebIdentityToken with session credentials"):
        ask(with_session(server, made))


def test_identity_token_is_no_credential_here(server: Running, sts: Client) -> None:
    """Bearer tokens of our own API are API keys."""
    request = urllib.request.Request(f"{server.url}/", b"Action=GetCallerIdentity&Version=2011-06-15")  # noqa: S310
    request.add_header("Authorization", f"Bearer {ask(sts)}")
    with pytest.raises(HTTPError, match=r"40[013]"):
        urllib.request.urlopen(request)  # noqa: S310


# --- keys --------------------------------------------------------------------------------------------------------


def ring(server: Running, algorithm: str = "ES384") -> list[tuple[str, int]]:
    with server.store.read_transaction() as records:
        rows = records.all(issuer_keys, order=("created",), algorithm=algorithm)
    return [(row["id"], row["created"]) for row in rows]


def key_of(token: str) -> str:
    head = token.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def test_signing_keys_are_rotated(server: Running, issuer: str) -> None:
    """A new key is published a day before it signs, and its predecessor until the next rotation."""
    caller = Principal.from_arn(ADMIN_ARN)

    def key_at(now: int) -> str:
        return key_of(direct(server, caller, now=now)["WebIdentityToken"])

    ((first, begun),) = ring(server)
    turn = begun + issuers.ROTATION_SECONDS
    assert key_at(begun) == key_at(turn - 1) == first
    assert [each for each, _ in ring(server)] == [first]
    assert key_at(turn) == first
    (_, (second, made)) = ring(server)
    assert made == turn
    assert {key["kid"] for key in fetch(f"{issuer}/.well-known/jwks.json")["keys"]} >= {first, second}
    assert key_at(turn + issuers.PUBLISH_LEAD_SECONDS - 1) == first
    assert key_at(turn + issuers.PUBLISH_LEAD_SECONDS) == key_at(turn + issuers.ROTATION_SECONDS - 1) == second
    assert [each for each, _ in ring(server)] == [first, second]
    assert key_at(turn + issuers.ROTATION_SECONDS) == second
    assert first not in {each for each, _ in ring(server)}
    assert len(ring(server)) == 2
    assert len(ring(server, "RS256")) == 1


def test_private_halves_are_sealed(server: Running, issuer: str) -> None:
    """No row and no representation shows one."""
    with server.store.read_transaction() as records:
        rows = records.all(issuer_keys)
    for row in rows:
        assert b'"d"' not in row["sealed"]
        with pytest.raises(ValueError, match=r"utf-8|Expecting|codec"):
            json.loads(row["sealed"])
    assert "private" not in repr(issuers.IdentityTokenKey("id", "ES384", {"d": "private"}))


def test_database_access_alone_publishes_no_key(server: Running, issuer: str) -> None:
    """A moved, renamed or altered row can't be unsealed: no key is published, no token signed."""
    with server.store.read_transaction() as records:
        row = dict(records.all(issuer_keys, algorithm="ES384")[0])
    altered = bytearray(row["sealed"])
    altered[-1] ^= 1
    for change in ({"sealed": bytes(altered)}, {"id": "other"}, {"algorithm": "RS256"}, {"sealed": b"{}"}):
        with server.store.write_transaction() as records:
            records.delete(issuer_keys, id=row["id"])
            records.insert(issuer_keys, **{**row, **change})
        with pytest.raises(HTTPError, match="503"):
            fetch(f"{issuer}/.well-known/jwks.json")
        with server.store.write_transaction() as records:
            records.delete(issuer_keys, id=change.get("id", row["id"]))
            records.insert(issuer_keys, **row)
    assert fetch(f"{issuer}/.well-known/jwks.json")["keys"]


@pytest.mark.parametrize(
    "path",
    [
        "/{name}/.well-known/other",
        "/.well-known/jwks.json",
        "/{name}/jwks.json",
        "/{upper}/.well-known/jwks.json",
        "/00000000-0000-0000-0000-000000000000/.well-known/jwks.json",
    ],
)
def test_other_issuer_paths_are_not_public(server: Running, issuer: str, path: str) -> None:
    name = issuer.rpartition("/")[2]
    with pytest.raises(HTTPError):
        fetch(server.url + path.format(name=name, upper=name.upper()))


# --- missing prerequisites ---------------------------------------------------------------------------------------


@pytest.mark.over_http
def test_outbound_federation_needs_an_issuer_url(server: Running, iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    server.change(monkeypatch, issuer_url="")
    with refusal("NotSupported", "setting issuer_url", 400):
        iam.enable_outbound_web_identity_federation()


def test_outbound_federation_needs_the_extra(server: Running, iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not half enabled."""
    monkeypatch.delitem(sys.modules, "iam_guard.api.token_signing", raising=False)
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with refusal("NotSupported", "the extra `oidc` of iam_guard is not installed", 400):
        iam.enable_outbound_web_identity_federation()
    with refusal("FeatureDisabled"):
        iam.get_outbound_web_identity_federation_info()

"""AssumeRoleWithWebIdentity: boto3, unsigned, against a running API and a local issuer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from iam_guard.api.protocol.app import aws_api
from iam_guard.audit.trail import Trail
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from tests.api.clock import CLOCK
from tests.api.conftest import (
    ACCOUNT,
    ADMIN_KEY,
    OTHER_ACCOUNT,
    OTHER_KEY,
    SEED,
    Client,
    Running,
    refusal,
)
from tests.api.sts.sts_parts import policy, role_arn, with_session
from tests.audit.list_sink import ListSink
from tests.authn.issuer import Issuer, SigningKey, publishing, signed
from tests.serving import serving

HOST = "id.example.com/tenant"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"
ARN = role_arn("deploy")
KEY = SigningKey()
DENIED = "Not authorized to perform sts:AssumeRoleWithWebIdentity"


@dataclass
class World:
    """A running API, a reachable issuer, and the audit trail."""

    server: Running
    issuer: Issuer
    settings: Settings
    sink: ListSink

    @property
    def iam(self) -> Client:
        return self.server.client(ADMIN_KEY)

    @property
    def sts(self) -> Client:
        """An unsigned STS client."""
        config = Config(signature_version=UNSIGNED, retries={"max_attempts": 1, "mode": "standard"})
        return boto3.client("sts", "us-east-1", endpoint_url=self.server.url, config=config)

    def assume(self, token: str, arn: str = ARN, name: str = "run-7", **more: Any) -> Any:
        return self.sts.assume_role_with_web_identity(RoleArn=arn, RoleSessionName=name, WebIdentityToken=token, **more)

    def error_of(self, token: str, arn: str = ARN, **more: Any) -> tuple[str, str]:
        """Return code and message of an error."""
        with pytest.raises(ClientError) as caught:
            self.assume(token, arn, **more)
        return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]

    def trust(self, *statements: dict[str, Any]) -> None:
        self.iam.update_assume_role_policy(RoleName="deploy", PolicyDocument=policy(*statements))


def trusting(*actions: str, effect: str = "Allow", principal: Any = None, **condition: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Effect": effect,
        "Principal": principal or {"Federated": PROVIDER},
        "Action": list(actions) or ["sts:AssumeRoleWithWebIdentity"],
    }
    return found | ({"Condition": condition} if condition else {})


ANN = trusting(StringEquals={f"{HOST}:sub": "ann", f"{HOST}:aud": "app"})


@pytest.fixture(scope="module")
def running_world() -> Iterator[World]:
    with publishing(Issuer()) as issuer:
        settings = Settings(oidc_addresses=(issuer.at,), oidc_cooldown=0.0, oidc_timeout=60.0)
        store = create_store("sqlite://", settings)
        apply_seed(store, load_seed_text(SEED))
        sink = ListSink()
        guard = Guard(CachedStore(store, settings), Trail(sink), settings, clock=CLOCK)
        api = aws_api(guard)
        with serving(api) as url:
            empty = Snapshot(store.engine)
            iam = Running(url, guard, store, empty).client(ADMIN_KEY)
            iam.create_open_id_connect_provider(Url=issuer.name, ClientIDList=["app", "web"])
            iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=policy(ANN), MaxSessionDuration=7200)
            iam.attach_role_policy(RoleName="deploy", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
            empty.close()
            snapshot = Snapshot(store.engine)
            yield World(Running(url, guard, store, snapshot, api=api), issuer, settings, sink)
            snapshot.close()
        guard.close()


@pytest.fixture
def world(running_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The initial state; nothing of the issuer is cached."""
    made = running_world
    made.server.reset()
    made.server.change(monkeypatch, tokens=TokenVerifier(made.settings))
    address = made.issuer.address
    made.issuer.__init__()  # type: ignore[misc]
    made.issuer.address, made.issuer.keys, made.issuer.clock = address, [KEY], CLOCK.seconds
    made.sink.lines.clear()
    CLOCK.stop()
    yield made
    CLOCK.resume()


# --- sessions ----------------------------------------------------------------------------------------------------


def test_web_identity_session_is_issued(world: World) -> None:
    """S-17, S-30: without signature and account, by the token."""
    made = world.assume(world.issuer.token())
    role_id = world.iam.get_role(RoleName="deploy")["Role"]["RoleId"]
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/run-7"
    assert made["AssumedRoleUser"] == {"Arn": session, "AssumedRoleId": f"{role_id}:run-7"}
    members = {
        name: made.get(name) for name in ("SubjectFromWebIdentityToken", "Audience", "Provider", "SourceIdentity")
    }
    assert members == {
        "SubjectFromWebIdentityToken": "ann",
        "Audience": "app",
        "Provider": world.issuer.name,
        "SourceIdentity": None,
    }
    assert "PackedPolicySize" not in made
    assert made["Credentials"]["Expiration"] == CLOCK() + timedelta(hours=1)
    assert with_session(world.server, made).get_caller_identity()["Arn"] == session
    assert with_session(world.server, made, "iam").list_users()["Users"]


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "ES256", "ES384", "ES512"])
def test_default_algorithms_are_accepted(world: World, algorithm: str) -> None:
    """S-30."""
    world.issuer.keys = [SigningKey(algorithm)]
    assert world.assume(world.issuer.token())["Audience"] == "app"


@pytest.mark.parametrize("algorithm", ["PS256", "EdDSA"])
def test_other_algorithms_are_rejected(world: World, algorithm: str) -> None:
    world.issuer.keys = [SigningKey(algorithm)]
    assert world.error_of(world.issuer.token())[0] == "InvalidIdentityToken"


def test_issuer_keys_are_rotated(world: World) -> None:
    """A new key is fetched, a withdrawn one becomes invalid."""
    old = world.issuer.token()
    assert world.assume(old)
    world.issuer.rotate()
    assert world.assume(world.issuer.token())
    assert world.error_of(old)[0] == "InvalidIdentityToken"


def test_session_keeps_some_claims(world: World) -> None:
    """K-34: `aud`, `sub`, `amr` and the provider; other claims are for the trust policy only."""
    keys = [f"{HOST}:{claim}" for claim in ("aud", "sub", "amr")] + ["aws:FederatedProvider"]
    present = dict.fromkeys(keys, "false")
    absent = {f"{HOST}:{claim}": "true" for claim in ("email", "oaud", "iss")} | {"aws:MultiFactorAuthPresent": "true"}
    allowed = {"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*", "Condition": {"Null": present | absent}}
    world.iam.detach_role_policy(RoleName="deploy", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    world.iam.put_role_policy(RoleName="deploy", PolicyName="p", PolicyDocument=policy(allowed))
    made = world.assume(world.issuer.token(amr=["mfa", "otp"], email="ann@example.com"))
    assert with_session(world.server, made, "iam").list_users()["Users"]
    with refusal("AccessDenied"):
        with_session(world.server, world.assume(world.issuer.token()), "iam").list_users()  # without `amr`


@pytest.mark.parametrize(("seconds", "minutes"), [(900, 15), (7200, 120)])
def test_web_identity_session_duration(world: World, seconds: int, minutes: int) -> None:
    """S-3: as the role allows; the token itself may expire before."""
    token = world.issuer.token(exp=CLOCK.seconds() + 30)
    ends = world.assume(token, DurationSeconds=seconds)["Credentials"]["Expiration"]
    assert ends == CLOCK() + timedelta(minutes=minutes)
    code, sentence = world.error_of(token, DurationSeconds=7201)
    assert (code, sentence) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )


def test_web_identity_session_policies_limit(world: World) -> None:
    """S-41: inline and managed."""
    only = policy({"Effect": "Allow", "Action": "iam:ListRoles", "Resource": "*"})
    made = world.assume(world.issuer.token(), Policy=only)
    assert made["PackedPolicySize"] > 0
    session = with_session(world.server, made, "iam")
    assert session.list_roles()["Roles"]
    with refusal("AccessDenied", "because no session policy allows"):
        session.list_users()
    assert world.error_of(world.issuer.token(), Policy="{")[0] == "MalformedPolicyDocument"


def test_sdk_uses_two_environment_variables(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pod: botocore reads the token file, exchanges the token, and signs."""
    (tmp_path / "token").write_text(world.issuer.token())
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ROLE_ARN", ARN)
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "pod-1")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.server.url)
    session = boto3.Session(region_name="us-east-1")
    assert session.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/deploy/pod-1")
    assert session.client("iam").list_users()["Users"]


# --- trust policy ------------------------------------------------------------------------------------------------

CLAIMS: list[Any] = [
    pytest.param(ANN, {}, True, id="subject and audience"),
    pytest.param(ANN, {"sub": "eve"}, False, id="another subject"),
    pytest.param(ANN, {"aud": "web"}, False, id="another audience"),
    pytest.param(ANN, {"sub": "Ann"}, False, id="another case"),
    pytest.param(trusting(StringEquals={f"{HOST}:email": "a@b"}), {"email": "a@b"}, True, id="any claim"),
    pytest.param(trusting(Bool={f"{HOST}:email_verified": "true"}), {"email_verified": True}, True, id="a truth"),
    pytest.param(trusting(Bool={f"{HOST}:email_verified": "true"}), {"email_verified": False}, False, id="a lie"),
    pytest.param(trusting(NumericLessThan={f"{HOST}:level": "5"}), {"level": 4}, True, id="a number"),
    pytest.param(
        trusting(**{"ForAnyValue:StringEquals": {f"{HOST}:amr": "mfa"}}), {"amr": ["pwd", "mfa"]}, True, id="a list"
    ),
    pytest.param(
        trusting(**{"ForAnyValue:StringEquals": {f"{HOST}:amr": "mfa"}}), {"amr": ["pwd"]}, False, id="not in"
    ),
    pytest.param(trusting(StringEquals={f"{HOST}:groups": "ops"}), {"groups": ["ops", "x"]}, False, id="no one value"),
    pytest.param(
        trusting(StringEquals={f"{HOST}:kubernetes.io/namespace": "shop"}),
        {"kubernetes.io": {"namespace": "shop"}},
        True,
        id="inside",
    ),
    pytest.param(trusting(StringEquals={f"{HOST}:aud": "app"}), {"aud": ["x", "app"]}, True, id="ours of several"),
    pytest.param(trusting(StringEquals={f"{HOST}:aud": "web"}), {"aud": "app", "azp": "web"}, True, id="azp is aud"),
    pytest.param(
        trusting(StringEquals={f"{HOST}:oaud": "app"}), {"aud": "app", "azp": "web"}, True, id="oaud is the token's aud"
    ),
    pytest.param(trusting(StringEquals={"aws:FederatedProvider": PROVIDER}), {}, True, id="the provider"),
    pytest.param(trusting(StringEquals={"sts:RoleSessionName": "run-7"}), {}, True, id="the session's name"),
    pytest.param(trusting(Bool={"sts:RoleAuthorizedByIdp": "true"}), {}, False, id="no roles claim"),
    pytest.param(
        trusting(Bool={"sts:RoleAuthorizedByIdp": "true"}), {"https://aws.amazon.com/roles": [ARN]}, True, id="roles"
    ),
    pytest.param(
        trusting(Bool={"sts:RoleAuthorizedByIdp": "true"}),
        {"https://aws.amazon.com/roles": f"x; {ARN}"},
        True,
        id="roles in a text",
    ),
    # claims cannot name another provider
    pytest.param(
        trusting(StringEquals={"aws:SourceIp": "8.8.8.8"}), {"aws:SourceIp": "8.8.8.8"}, False, id="aws: claim"
    ),
    pytest.param(trusting(StringEquals={f"{HOST}:aud": "web"}), {"oaud": "web"}, False, id="a claim called oaud"),
    pytest.param(trusting(principal={"AWS": ACCOUNT}), {}, False, id="the account"),
    pytest.param(trusting(principal={"Federated": PROVIDER + "2"}), {}, False, id="another provider"),
    pytest.param(trusting("sts:AssumeRoleWithSAML"), {}, False, id="SAML only"),
    pytest.param(trusting(principal={"Federated": "accounts.google.com"}), {}, False, id="a built-in provider"),
]


@pytest.mark.parametrize(("trust", "claims", "expected"), CLAIMS)
def test_web_identity_trust_policy_decides(
    world: World, trust: dict[str, Any], claims: dict[str, Any], expected: bool
) -> None:
    """S-30, K-32, K-34, G-48."""
    if trust["Principal"] == {"AWS": ACCOUNT}:
        trust = {**trust, "Action": ["sts:AssumeRole*"]}
    world.trust(trust)
    token = world.issuer.token(**claims)
    if expected:
        assert world.assume(token)
    else:
        assert world.error_of(token) == ("AccessDenied", DENIED)


def test_web_identity_deny_wins(world: World) -> None:
    world.trust(ANN, trusting("sts:*", effect="Deny", principal="*", StringLike={f"{HOST}:sub": "a*"}))
    assert world.error_of(world.issuer.token()) == ("AccessDenied", DENIED)


def test_web_identity_denial_does_not_reveal_roles(world: World) -> None:
    """S-11: the same for untrusting and missing roles."""
    token = world.issuer.token(sub="eve")
    for arn in (ARN, role_arn("nobody"), role_arn("Deploy"), role_arn("x/deploy"), ARN.replace("aws:", "aws-cn:", 1)):
        assert world.error_of(token, arn) == ("AccessDenied", DENIED)


def test_provider_is_for_its_own_account(world: World) -> None:
    """Only for roles of the account that registered it."""
    other = world.server.client(OTHER_KEY)
    trust = policy(ANN, trusting(principal={"Federated": PROVIDER.replace(ACCOUNT, OTHER_ACCOUNT)}))
    other.create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)
    arn = role_arn("theirs", OTHER_ACCOUNT)
    refused = ("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {world.issuer.name}")
    assert world.error_of(world.issuer.token(), arn) == refused
    other.create_open_id_connect_provider(Url=world.issuer.name, ClientIDList=["app"])
    assert world.assume(world.issuer.token(), arn)["AssumedRoleUser"]["Arn"].startswith(
        f"arn:aws:sts::{OTHER_ACCOUNT}:"
    )
    assert world.error_of(world.issuer.token(), role_arn("theirs", "999999999999")) == refused


# --- tags and source identity ------------------------------------------------------------------------------------

TAGS = "https://aws.amazon.com/tags"
TAGGED = {"principal_tags": {"team": ["blue"], "cost": ["7"]}, "transitive_tag_keys": ["team"]}
FLAT = {
    f"{TAGS}/principal_tags/team": "blue",
    f"{TAGS}/principal_tags/cost": "7",
    f"{TAGS}/transitive_tag_keys": "team",
}
BOTH = trusting("sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity")


@pytest.mark.parametrize("claims", [{TAGS: TAGGED}, FLAT], ids=["one claim", "several"])
def test_token_supplies_session_tags(world: World, claims: dict[str, Any]) -> None:
    """S-24, E-47, S-22: in both forms; transitive ones are inherited."""
    assert world.error_of(world.issuer.token(**claims)) == ("AccessDenied", "Not authorized to perform sts:TagSession")
    required = {"aws:RequestTag/team": "blue", "aws:RequestTag/cost": "7"}
    passed_on = {"ForAllValues:StringEquals": {"sts:TransitiveTagKeys": "team"}}
    world.trust(ANN, trusting("sts:TagSession", StringEquals=required, **passed_on))
    made = world.assume(world.issuer.token(**claims))
    assert made["PackedPolicySize"] > 0
    other = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    other["Condition"] = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    world.iam.create_role(RoleName="next", AssumeRolePolicyDocument=policy(other))
    assert with_session(world.server, made).assume_role(RoleArn=role_arn("next"), RoleSessionName="next")


def test_token_supplies_the_source_identity(world: World) -> None:
    """S-16, E-47: returned and kept."""
    claims = {"https://aws.amazon.com/source_identity": "ann@example.com"}
    assert world.error_of(world.issuer.token(**claims)) == (
        "AccessDenied",
        "Not authorized to perform sts:SetSourceIdentity",
    )
    world.trust(BOTH)
    made = world.assume(world.issuer.token(**claims))
    assert made["SourceIdentity"] == "ann@example.com"
    with refusal("AccessDenied", "already set"):
        with_session(world.server, made).assume_role(RoleArn=ARN, RoleSessionName="next", SourceIdentity="eve")


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "tags of two values": {TAGS: {"principal_tags": {"team": ["a", "b"]}}},
    "tags of no value": {TAGS: {"principal_tags": {"team": []}}},
    "a number as tag": {TAGS: {"principal_tags": {"team": 7}}},
    "a list of tags": {TAGS: ["team"]},
    "tags in both forms": {TAGS: TAGGED, **FLAT},
    "tags that differ by case": {TAGS: {"principal_tags": {"team": "a", "Team": "b"}}},
    "a tag of AWS": {TAGS: {"principal_tags": {"aws:x": "a"}}},
    "a key that is no tag": {TAGS: {"principal_tags": {"a": "b"}, "transitive_tag_keys": ["b"]}},
    "too many tags": {TAGS: {"principal_tags": {str(number): "x" for number in range(51)}}},
    "a source identity of AWS": {"https://aws.amazon.com/source_identity": "aws:root"},
    "a source identity with spaces": {"https://aws.amazon.com/source_identity": "a b"},
    "a list as source identity": {"https://aws.amazon.com/source_identity": ["ann"]},
    "other roles": {"https://aws.amazon.com/roles": [role_arn("other")]},
    "no roles": {"https://aws.amazon.com/roles": []},
    "a number as roles": {"https://aws.amazon.com/roles": 7},
    "two claims that differ by case": {"Email": "a", "email": "b"},
    "another subject by case": {"SUB": "root"},
    "a claim that looks like one inside": {"a": {"b": 1}, "a/b": 2},
    "a number of many digits": {"x": 10**2000},
}


@pytest.mark.parametrize("claims", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_invalid_claims_are_rejected(world: World, claims: dict[str, Any]) -> None:
    """S-20, S-16, S-30, C-4: whatever the trust policy."""
    world.trust(BOTH)
    assert world.assume(world.issuer.token())
    assert world.error_of(world.issuer.token(**claims))[0] == "InvalidIdentityToken"


# --- invalid tokens ----------------------------------------------------------------------------------------------


def bad_tokens(issuer: Issuer) -> dict[str, tuple[str, str]]:
    now, other = int(issuer.clock()), SigningKey()
    good = issuer.token()
    head, body, signature = good.split(".")
    return {
        "no token": ("aaaa", "InvalidIdentityToken"),
        "expired": (issuer.token(exp=now - 61), "ExpiredTokenException"),
        "not valid yet": (issuer.token(nbf=now + 120), "InvalidIdentityToken"),
        "from the future": (issuer.token(iat=now + 120), "InvalidIdentityToken"),
        "signed with another key": (signed(other, issuer.claims()), "InvalidIdentityToken"),
        "an unknown key": (issuer.token({"kid": "other"}), "InvalidIdentityToken"),
        "without signature": (f"{head}.{body}.", "InvalidIdentityToken"),
        "another body": (f"{head}.{issuer.token(sub='root').split('.')[1]}.{signature}", "InvalidIdentityToken"),
        "alg none": (issuer.token({"alg": "none"}), "InvalidIdentityToken"),
        "alg HS256": (issuer.token({"alg": "HS256"}), "InvalidIdentityToken"),
        "jku": (issuer.token({"jku": "https://evil.example/jwks"}), "InvalidIdentityToken"),
        "a key in the header": (signed(other, issuer.claims(), {"jwk": other.jwk()}), "InvalidIdentityToken"),
        "crit": (issuer.token({"crit": ["x"], "x": 1}), "InvalidIdentityToken"),
        "another issuer": (issuer.token(iss="https://other.example.com"), "InvalidIdentityToken"),
        "an issuer with a slash": (issuer.token(iss=issuer.name + "/"), "InvalidIdentityToken"),
        "an issuer without TLS": (issuer.token(iss=issuer.name.replace("https", "http")), "InvalidIdentityToken"),
        "an issuer in another case": (issuer.token(iss=issuer.name.upper()), "InvalidIdentityToken"),
        "no issuer": (issuer.token(iss=None), "InvalidIdentityToken"),
        "another audience": (issuer.token(aud="other"), "InvalidIdentityToken"),
        "other audiences": (issuer.token(aud=["other", "third"]), "InvalidIdentityToken"),
        "another party": (issuer.token(azp="other"), "InvalidIdentityToken"),
        "our party, another audience": (issuer.token(aud="other", azp="app"), "InvalidIdentityToken"),
        "no subject": (issuer.token(sub=None), "InvalidIdentityToken"),
    }


@pytest.mark.parametrize("name", bad_tokens(Issuer()))
def test_invalid_tokens_are_rejected(world: World, name: str) -> None:
    """S-4, S-30: with AWS's code, whatever the role trusts."""
    world.trust(trusting())
    assert world.assume(world.issuer.token())
    token, code = bad_tokens(world.issuer)[name]
    assert world.error_of(token)[0] == code


def test_only_registered_issuers_are_contacted(world: World) -> None:
    """Nothing in a token causes a request elsewhere."""
    world.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)
    assert world.error_of(world.issuer.token())[0] == "InvalidIdentityToken"
    assert world.issuer.asked == {}


def test_unregistered_audience_is_rejected_at_once(world: World) -> None:
    """At once, though the token was good before."""
    token = world.issuer.token()
    assert world.assume(token)
    world.iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER, ClientID="app")
    assert world.error_of(token) == ("InvalidIdentityToken", "Incorrect token audience")


def test_unreachable_issuer_is_retryable(world: World) -> None:
    """S-4: by its code; a malformed token is rejected without a request."""
    world.issuer.is_down = True
    assert world.error_of(world.issuer.token())[0] == "IDPCommunicationError"
    assert world.error_of(world.issuer.token(exp=1))[0] == "ExpiredTokenException"
    world.issuer.is_down = False
    assert world.assume(world.issuer.token())


def test_oauth_access_tokens_are_not_supported(world: World) -> None:
    assert world.error_of(world.issuer.token(), ProviderId="graph.facebook.com")[0] == "NotSupported"


@pytest.mark.parametrize("arn", [f"arn:aws:iam::{ACCOUNT}:user/admin", "arn:aws:iam::12:role/deploy", "x" * 20])
def test_invalid_web_identity_role_is_rejected(world: World, arn: str) -> None:
    assert world.error_of(world.issuer.token(), arn)[0] == "ValidationError"


@pytest.mark.parametrize("url", ["https://aws", "https://sts", "https://id.example.com/a:b"])
def test_provider_names_cannot_collide_with_keys(world: World, url: str) -> None:
    """A host `aws` would make the claim `SourceIp` an AWS key; a colon could confuse providers."""
    world.iam.create_open_id_connect_provider(Url=url, ClientIDList=["app"])
    world.trust(trusting(principal={"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{url[8:]}"}))
    code, sentence = world.error_of(world.issuer.token(iss=url, SourceIp="127.0.0.1"))
    assert (code, sentence[:33]) == ("InvalidIdentityToken", "No OpenIDConnect provider found i")


def test_web_identity_audit_record(world: World) -> None:
    """CloudTrail: `WebIdentityUser`, the provider and the subject, never the token."""
    token = world.issuer.token()
    world.assume(token)
    world.error_of(world.issuer.token(sub="eve"))
    world.error_of(world.issuer.token(aud="other"))
    records = [json.loads(line) for line in world.sink.lines]
    records = [record for record in records if record["eventName"] == "AssumeRoleWithWebIdentity"]
    assert [record.get("errorCode") for record in records] == [None, None, "AccessDenied", "InvalidIdentityToken"]
    assert [record["iamGuard"]["kind"] for record in records[:2]] == ["decision", "session_issue"]
    assert records[1]["userIdentity"] == records[0]["userIdentity"]
    assert records[1]["requestParameters"]["webIdentityToken"] == "[redacted]"
    assert records[1]["responseElements"]["credentials"]["sessionToken"] == "[redacted]"
    assert records[0]["userIdentity"] == {
        "type": "WebIdentityUser",
        "principalId": f"{PROVIDER}:app:ann",
        "userName": "ann",
        "identityProvider": PROVIDER,
    }
    assert not any(part in line.decode() for line in world.sink.lines for part in token.split(".")[1:])

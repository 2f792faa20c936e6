"""Role sessions of federated identities: admission and contents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Principal, open_guard
from iam_guard.authn.federation.role_session import (
    FederatedIdentity,
    Role,
    TrustQuestion,
    admit,
    find_role,
    questions,
    session_principal,
    session_seconds,
)
from iam_guard.errors import AccessDenied, DecisionUnavailable, InvalidInput, ValidationError
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from tests.tables import table

ACCOUNT, OTHER = "111122223333", "444455556666"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example.com"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/Deploy"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WEB = "sts:AssumeRoleWithWebIdentity"


def statement(principal: Any, *actions: str, effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": effect, "Principal": principal, "Action": list(actions) or [WEB]}
    return found | ({"Condition": condition} if condition else {})


def seed(*statements: dict[str, Any], rcp: Any = None, max_seconds: int = 3600) -> str:
    trust = {"Version": "2012-10-17", "Statement": list(statements)}
    role = {
        "name": "Deploy",
        "path": "/ci/",
        "trust": trust,
        "tags": {"team": "blue"},
        "max_session_duration": max_seconds,
    }
    document: dict[str, Any] = {
        "version": 1,
        "accounts": [{"id": ACCOUNT, "name": "a", "roles": [role]}, {"id": OTHER, "name": "b"}],
    }
    if rcp is not None:
        document["organization"] = {
            "id": "o-example0001",
            "management_account": OTHER,
            "policies": [{"type": "RCP", "name": "perimeter", "document": rcp}],
            "accounts": [{"id": ACCOUNT, "rcps": ["RCPFullAWSAccess", "perimeter"]}, OTHER],
        }
    return json.dumps(document)


TRUSTING = statement({"Federated": PROVIDER}, StringEquals={"id.example.com:sub": "ann", "id.example.com:aud": "app"})


def proved(**more: Any) -> FederatedIdentity:
    facts: dict[str, Any] = {
        "principal": Principal.federated(PROVIDER, userid=f"{PROVIDER}:app:ann", keys={"id.example.com:sub": "ann"}),
        "action": WEB,
        "session_name": "ann",
        "keys": {"id.example.com:sub": "ann", "id.example.com:aud": "app"},
        "session_keys": {"id.example.com:sub": "ann", "aws:FederatedProvider": PROVIDER},
    }
    return FederatedIdentity(**(facts | more))


class World:
    """A guard on a seed, with admission to its roles."""

    def __init__(self, path: Path, *statements: dict[str, Any], **more: Any) -> None:
        path.write_text(seed(*statements, **more))
        self.guard: Guard = open_guard(str(path))

    def decide(self, principal: Principal, question: TrustQuestion) -> Decision:
        return self.guard.decide(principal, question.action, question.resource, question.context)

    def find(self, arn: str = ROLE) -> Role | None:
        with self.guard.store.read_transaction() as records:
            return find_role(records, "aws", arn)

    def admits(self, identity: FederatedIdentity, arn: str = ROLE) -> bool:
        role = self.find(arn)
        if all(self.decide(identity.principal, question).allowed for question in questions(identity, arn, role)):
            assert admit(identity, arn, role, self.decide) is role
            return True
        with pytest.raises(AccessDenied, match=f"^Not authorized to perform {identity.action}$"):
            admit(identity, arn, role, self.decide)
        return False


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    worlds: list[World] = []

    def make(*statements: dict[str, Any], **more: Any) -> World:
        worlds.append(World(tmp_path / f"iam{len(worlds)}.json", *statements, **more))
        return worlds[-1]

    yield make
    for world in worlds:
        world.guard.close()


CASES = [
    pytest.param([TRUSTING], {}, True, id="trusted by provider and claims"),
    pytest.param([TRUSTING], {"keys": {"id.example.com:sub": "eve", "id.example.com:aud": "app"}}, False, id="subject"),
    pytest.param([TRUSTING], {"keys": {"id.example.com:sub": "ann", "id.example.com:aud": "x"}}, False, id="audience"),
    pytest.param([TRUSTING], {"keys": {}}, False, id="no claims"),
    pytest.param([statement({"Federated": PROVIDER + "/x"})], {}, False, id="another provider"),
    pytest.param([statement({"Federated": PROVIDER}, "sts:AssumeRoleWithSAML")], {}, False, id="another action"),
    pytest.param([statement({"AWS": ACCOUNT}, "sts:AssumeRole*")], {}, False, id="the account is no provider"),
    pytest.param([statement({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "sts:AssumeRole*")], {}, False, id="nor is root"),
    pytest.param([TRUSTING, statement("*", "sts:*", effect="Deny")], {}, False, id="a deny for all principals"),
    pytest.param([TRUSTING, statement({"Federated": PROVIDER}, effect="Deny")], {}, False, id="an explicit deny"),
    pytest.param([TRUSTING], {"tags": {"team": "red"}}, False, id="tags without TagSession"),
    pytest.param(
        [TRUSTING, statement({"Federated": PROVIDER}, "sts:TagSession", StringEquals={"aws:RequestTag/team": "red"})],
        {"tags": {"team": "red"}},
        True,
        id="tags with it",
    ),
    pytest.param(
        [TRUSTING, statement({"Federated": PROVIDER}, "sts:TagSession", StringEquals={"aws:RequestTag/team": "red"})],
        {"tags": {"team": "blue"}},
        False,
        id="other tags",
    ),
    pytest.param([TRUSTING], {"source_identity": "ann"}, False, id="a source identity without SetSourceIdentity"),
    pytest.param(
        [
            TRUSTING,
            statement({"Federated": PROVIDER}, "sts:SetSourceIdentity", StringLike={"sts:SourceIdentity": "a*"}),
        ],
        {"source_identity": "ann"},
        True,
        id="a source identity with it",
    ),
    pytest.param(
        [statement({"Federated": PROVIDER}, StringEquals={"sts:RoleSessionName": "bob"})], {}, False, id="session name"
    ),
    pytest.param(
        [statement({"Federated": PROVIDER}, StringEquals={"iam:ResourceTag/team": "x"})], {}, False, id="role's tags"
    ),
    pytest.param(
        [statement({"Federated": PROVIDER}, StringEquals={"aws:ResourceTag/team": "blue"})], {}, True, id="its own tags"
    ),
    # certificates: the principal is a service
    pytest.param(
        [statement({"Service": "rolesanywhere.amazonaws.com"}, "sts:AssumeRole")],
        {"principal": Principal.service("rolesanywhere.amazonaws.com"), "action": "sts:AssumeRole"},
        True,
        id="a service",
    ),
    pytest.param(
        [statement({"Service": "ec2.amazonaws.com"}, "sts:AssumeRole")],
        {"principal": Principal.service("rolesanywhere.amazonaws.com"), "action": "sts:AssumeRole"},
        False,
        id="another service",
    ),
]


@pytest.mark.parametrize(("trust", "facts", "expected"), CASES)
def test_trust_policy_admits_identity(
    world: Any, trust: list[dict[str, Any]], facts: dict[str, Any], expected: bool
) -> None:
    """G-48, E-42, E-46, E-47, S-30: by provider, action and condition keys only."""
    assert world(*trust).admits(proved(**facts)) is expected


def test_missing_role_has_same_error_as_untrusting_one(world: Any) -> None:
    """S-11: also another spelling of path or account, and unknown accounts."""
    made = world(TRUSTING)
    for arn in (
        f"arn:aws:iam::{ACCOUNT}:role/ci/Nobody",
        f"arn:aws:iam::{ACCOUNT}:role/Deploy",
        f"arn:aws:iam::{ACCOUNT}:role/ci/deploy",
        f"arn:aws:iam::{OTHER}:role/ci/Deploy",
        "arn:aws:iam::999999999999:role/ci/Deploy",
        f"arn:aws-cn:iam::{ACCOUNT}:role/ci/Deploy",
    ):
        assert made.find(arn) is None
        assert not made.admits(proved(), arn)


@pytest.mark.parametrize("arn", ["", "role/x", f"arn:aws:iam::{ACCOUNT}:user/x", "arn:aws:iam::12:role/x"])
def test_invalid_role_arn_is_refused_undecided(world: Any, arn: str) -> None:
    """Nothing can be decided about it."""
    with pytest.raises(ValidationError):
        questions(proved(), arn, None)


def test_resource_control_policy_limits_role_sessions(world: Any) -> None:
    """E-13: an RCP applies to the roles of its accounts for all principals."""
    deny = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Deny",
            "Principal": "*",
            "Action": WEB,
            "Resource": "*",
            "Condition": {"StringNotEquals": {"id.example.com:aud": "other"}},
        },
    }
    assert world(TRUSTING, rcp=deny).admits(proved()) is False
    deny["Statement"]["Condition"]["StringNotEquals"]["id.example.com:aud"] = "app"  # type: ignore[index]
    assert world(TRUSTING, rcp=deny).admits(proved()) is True


def test_decision_error_is_no_admission(world: Any) -> None:
    """Nor is it a denial."""
    made = world(TRUSTING)

    def undecided(principal: Principal, question: TrustQuestion) -> Decision:
        allowed = made.decide(principal, question)
        request = AccessRequest(principal, question.action, ROLE)
        return Decision(allowed.outcome, request, allowed.reasons, error="the store cannot be reached")

    with pytest.raises(DecisionUnavailable):
        admit(proved(), ROLE, made.find(), undecided)


def test_allow_without_role_is_refused() -> None:
    """Even if the decision allows it."""
    request = AccessRequest(proved().principal, WEB, ROLE)
    with pytest.raises(AccessDenied):
        admit(proved(), ROLE, None, lambda principal, question: Decision(Outcome.ALLOWED, request, ()))


def test_session_has_contents_of_the_identity(world: Any) -> None:
    """P-2, P-13, K-21, S-21: with the role's permissions and the session's tags."""
    made = world(TRUSTING)
    role = made.find()
    assert role is not None
    identity = proved(tags={"team": "red"}, source_identity="ann@x", session_policies=("{}",))
    session = session_principal(identity, role, "aws", NOW)
    assert session.type is PrincipalType.ASSUMED_ROLE
    assert session.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/ann"
    assert (session.role_arn, session.account) == (ROLE, ACCOUNT)
    assert session.userid == f"{role.id}:ann"
    assert session.session_policies == ("{}",)
    found = {key: session.key(key) for key in ("aws:principaltag/team", "id.example.com:sub", "aws:sourceidentity")}
    assert found == {"aws:principaltag/team": "red", "id.example.com:sub": "ann", "aws:sourceidentity": "ann@x"}
    assert session.key("aws:federatedprovider") == PROVIDER
    assert session.key("aws:tokenissuetime") == "2026-11-24T12:00:00Z"
    assert session.key("id.example.com:aud") is None  # was not among what is kept


@pytest.mark.parametrize(("requested", "expected"), [(None, 3600), (900, 900), (7200, 7200), (7201, None)])
def test_session_duration_is_limited_by_role(world: Any, requested: int | None, expected: int | None) -> None:
    """S-3, R-13."""
    role = world(TRUSTING, max_seconds=7200).find()
    if expected is None:
        with pytest.raises(ValidationError, match="MaxSessionDuration"):
            session_seconds(role, requested)
    else:
        assert session_seconds(role, requested) == expected


@table(
    "wrong",
    [
        {"session_name": "a"},
        {"session_name": "a" * 65},
        {"session_name": "a b"},
        {"session_name": "a/b"},
        {"session_name": "ann\n"},
        {"session_name": "änne"},
        {"source_identity": "a"},
        {"source_identity": "aws:ann"},
        {"source_identity": "AWS:ann"},
        {"source_identity": "a:b"},
        {"tags": {"aws:x": "1"}},
        {"tags": {"": "1"}},
        {"tags": {"a": "1", "A": "2"}},
        {"tags": {"a" * 129: "1"}},
        {"tags": {"a": "1" * 257}},
        {"tags": {"a": "x\ny"}},
        {"tags": {str(number): "1" for number in range(51)}},
        {"transitive_tag_keys": ("a",)},
    ],
)
def test_invalid_session_contents_are_refused(wrong: dict[str, Any]) -> None:
    """S-20, S-22, S-16."""
    with pytest.raises(InvalidInput):
        proved(**wrong)

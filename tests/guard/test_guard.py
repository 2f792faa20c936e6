"""Decisions of a guard on a seed with an organization (guard.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iam_guard import AccessDenied, Decision, Guard, Principal, Resource, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import ConfigurationError, DecisionUnavailable, InvalidInput
from iam_guard.model.request import Call
from iam_guard.web.service import Service
from tests.tables import table

ACME, GLOBEX, MANAGEMENT, OUTSIDE = "111122223333", "444455556666", "999900000000", "555566667777"


def statement(effect: str, action: str, **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": "*", **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def when(key: str, value: str) -> dict[str, Any]:
    return {"Condition": {"StringEquals": {key: value}}}


def doc(name: str, account: str = ACME) -> str:
    return f"arn:aws:docs:us-east-1:{account}:document/{name}"


def share(principal: Any, action: str = "docs:Get*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return document({**statement(effect, action, **more), "Principal": principal})


def user(name: str, *statements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, **({"inline": {"P": document(*statements)}} if statements else {}), **more}


NO_DELETE = document(statement("Deny", "docs:Delete*"), statement("Allow", "*"))
ONLY_READ = document(statement("Allow", "docs:Get*"))
ONLY_TLS = document(
    {**statement("Deny", "docs:Get*", Condition={"Bool": {"aws:SecureTransport": "false"}}), "Principal": "*"}
)
SEED: dict[str, Any] = {
    "version": 1,
    "organization": {
        "id": "o-example1234",
        "root_id": "r-ab12",
        "management_account": MANAGEMENT,
        "units": [
            {"name": "tenants", "id": "ou-ab12-11111111", "scps": ["NoDelete"], "rcps": ["OnlyTls"],
             "accounts": [ACME]},
            {"name": "others", "id": "ou-ab12-22222222", "accounts": [GLOBEX]},
        ],
        "policies": [
            {"name": "NoDelete", "type": "SCP", "document": NO_DELETE},
            {"name": "OnlyTls", "type": "RCP", "document": ONLY_TLS},
        ],
    },
    "accounts": [
        {"id": MANAGEMENT, "name": "m", "users": [user("mia", statement("Allow", "docs:*"))]},
        {
            "id": ACME,
            "name": "acme",
            "policies": [{"name": "Read", "document": ONLY_READ}, {"name": "AtMostRead", "document": ONLY_READ}],
            "groups": [{"name": "writers", "inline": {"W": document(statement("Allow", "docs:Put*"))}}],
            "users": [
                user("ada", statement("Allow", "docs:*"), tags={"team": "blue"}),
                user("attached", attached=["Read"]),
                user("grouped", groups=["writers"]),
                user("bounded", statement("Allow", "docs:*"), boundary="AtMostRead"),
                user("nothing"),
                user("tag", statement("Allow", "docs:*", **when("aws:ResourceTag/team", "${aws:PrincipalTag/team}")),
                     tags={"team": "blue"}),
                user("org", statement("Allow", "docs:*", **when("aws:ResourceOrgID", "${aws:PrincipalOrgID}"))),
                user("own", statement("Allow", "docs:*", **when("aws:ResourceAccount", "${aws:PrincipalAccount}"))),
                user("path", {**statement("Allow", "docs:*"), "Condition": {"ForAnyValue:StringLike": {
                    "aws:PrincipalOrgPaths": "o-example1234/r-ab12/ou-ab12-11111111/*"}}}),
            ],
            "roles": [{"name": "Editor", "path": "/team/", "attached": ["Read"], "trust": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACME}}]}}],
            "resources": [
                {"arn": doc("stored"), "tags": {"team": "blue"},
                 "policy": share({"AWS": f"arn:aws:iam::{ACME}:user/nothing"})},
                {"arn": "arn:aws:docs:::shelf", "policy": share({"AWS": GLOBEX})},
            ],
        },
        {"id": GLOBEX, "name": "globex", "users": [user("gus", statement("Allow", "docs:*"))]},
        {"id": OUTSIDE, "name": "outside", "users": [user("odd", statement("Allow", "docs:*"))]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """A guard on the seed above."""
    seed = tmp_path_factory.mktemp("guard") / "iam.json"
    seed.write_text(json.dumps(SEED))
    opened = open_guard(seed, services=[Service("docs")])
    yield opened
    opened.close()


def test_undecidable_request_is_logged(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets no details; the administrator finds them in the log."""
    decision = guard.decide(who("ada"), "docs:GetDocument", Resource("document/7", ACME))
    assert decision.error == "expected a resource ARN or `*`, got `document/7`"
    assert caplog.messages == [f"no decision could be made: {decision.error}"]


@pytest.mark.parametrize(
    "questions", [["docs:GetDocument"], ("docs:GetDocument", "*"), [("docs:GetDocument",)], ["ab"]]
)
def test_questions_must_be_pairs(guard: Guard, questions: Any) -> None:
    """An action alone, or a single pair, raises an error before any decision."""
    for ask in (guard.ask, guard.decide_many):
        with pytest.raises(InvalidInput, match="expected questions as a list of pairs"):
            ask(who("ada"), questions)


@table("services", [["docs"], "docs", Service("docs")])
def test_services_must_be_a_list(services: Any) -> None:
    """The usual mistakes: a name, or a single service."""
    with pytest.raises(ConfigurationError, match=r"expected a list of services such as `Service\(\"docs\"\)`, got"):
        open_guard("sqlite://", services=services)


def who(name: str, account: str = ACME) -> Principal:
    return Principal.from_arn(f"arn:aws:iam::{account}:{'root' if name == 'root' else f'user/{name}'}")


ROOTS = "Allowed the root user has full access to its own account"
EDITOR = Principal.from_arn(
    f"arn:aws:sts::{ACME}:assumed-role/Editor/s", role_arn=f"arn:aws:iam::{ACME}:role/team/Editor"
)
TLS = Call("r", "http", secure=True)


def summary(decision: Decision) -> str:
    """Return the outcome and the first reason in a few words."""
    reason = decision.reasons[0] if decision.reasons else None
    return f"{decision.outcome} {reason.note or reason.policy_type.value if reason else decision.error}"


@pytest.mark.parametrize(
    ("caller", "action", "resource", "expected"),
    [
        pytest.param(who("ada"), "Get", doc("1"), "Allowed identity-based policy", id="inline"),
        pytest.param(who("attached"), "Get", doc("1"), "Allowed identity-based policy", id="managed"),
        pytest.param(who("attached"), "Put", doc("1"), "ImplicitlyDenied identity-based policy", id="not in managed"),
        pytest.param(who("grouped"), "Put", doc("1"), "Allowed identity-based policy", id="group"),
        pytest.param(who("nothing"), "Get", doc("1"), "ImplicitlyDenied identity-based policy", id="nothing"),
        pytest.param(who("bounded"), "Get", doc("1"), "Allowed identity-based policy", id="within the boundary"),
        pytest.param(who("bounded"), "Put", doc("1"), "ImplicitlyDenied permissions boundary", id="boundary"),
        pytest.param(who("ada"), "Delete", doc("1"), "ExplicitlyDenied service control policy", id="SCP"),
        pytest.param(who("root"), "Delete", doc("1"), "ExplicitlyDenied service control policy", id="SCP on root"),
        pytest.param(who("root"), "Put", doc("1"), ROOTS, id="root"),
        pytest.param(EDITOR, "Get", doc("1"), "Allowed identity-based policy", id="role session"),
        pytest.param(EDITOR, "Put", doc("1"), "ImplicitlyDenied identity-based policy", id="role session, not"),
        pytest.param(who("mia", MANAGEMENT), "Delete", doc("1", MANAGEMENT), "Allowed identity-based policy", id="m"),
        pytest.param(who("nothing"), "Get", doc("stored"), "Allowed resource-based policy", id="stored policy"),
        pytest.param(who("nothing"), "Put", doc("stored"), "ImplicitlyDenied identity-based policy", id="stored, not"),
        pytest.param(who("gus", GLOBEX), "Get", "arn:aws:docs:::shelf", "Allowed resource-based policy", id="E-54"),
        pytest.param(who("ada"), "Get", "arn:aws:docs:::shelf", "Allowed identity-based policy", id="stored owner"),
        pytest.param(who("gus", GLOBEX), "Get", doc("1"), "ImplicitlyDenied resource-based policy", id="E-53"),
        pytest.param(who("ada"), "Get", "arn:aws:docs:::book",
                     "ImplicitlyDenied the owner of the resource is unknown", id="no owner"),
        pytest.param(who("root"), "Get", "arn:aws:docs:::book",
                     "ImplicitlyDenied the owner of the resource is unknown", id="no owner, root"),
        pytest.param(who("ada"), "List", "*", "Allowed identity-based policy", id="no resource"),
        pytest.param(Principal.anonymous(), "Get", doc("1"), "ImplicitlyDenied resource-based policy", id="anonymous"),
        pytest.param(Principal.anonymous(), "List", "*", "ImplicitlyDenied resource-based policy", id="anonymous on *"),
        pytest.param(Principal.service("x.amazonaws.com"), "Get", doc("1"), "ImplicitlyDenied resource-based policy",
                     id="service"),
    ],
)  # fmt: skip
def test_decision_combines_all_policy_types(
    guard: Guard, caller: Principal, action: str, resource: str, expected: str
) -> None:
    """F: identity, group, boundary, SCP, resource and owner from the store."""
    assert summary(guard.decide(caller, f"docs:{action}", resource, call=TLS)) == expected


GONE = "ImplicitlyDenied the principal does not exist (any more)"


@pytest.mark.parametrize(
    "caller",
    [
        pytest.param(who("nobody"), id="unknown user"),
        pytest.param(who("ADA"), id="another letter case (P-16)"),
        pytest.param(Principal.from_arn(f"arn:aws:iam::{ACME}:user/other/ada"), id="another path"),
        pytest.param(Principal.from_arn(who("ada").arn, userid="AIDAOFSOMEBODYBEFORE"), id="another unique id (P-6)"),
        pytest.param(Principal.from_arn(f"arn:aws:sts::{ACME}:assumed-role/Nobody/s"), id="unknown role"),
        pytest.param(Principal.from_arn(f"arn:aws:sts::{ACME}:federated-user/ada"), id="unknown federated user"),
        pytest.param(who("root", "123456789012"), id="root of an unknown account"),
        pytest.param(who("ada", "123456789012"), id="user of an unknown account"),
        pytest.param(who("ada", GLOBEX), id="user of another account"),
        pytest.param(Principal.from_arn(f"arn:aws-cn:iam::{ACME}:user/ada"), id="another partition"),
    ],
)
@pytest.mark.parametrize("resource", [doc("1"), "*", doc("stored")])
def test_missing_principal_is_denied(guard: Guard, caller: Principal, resource: str) -> None:
    """P-6, S-51: even if a resource's policy allows everyone."""
    assert summary(guard.decide(caller, "docs:Get", resource, call=TLS)) == GONE
    shared = Resource(doc("1"), policy=share("*"))
    assert summary(guard.decide(caller, "docs:Get", shared, call=TLS)) == GONE


@pytest.mark.parametrize(
    ("caller", "resource", "expected"),
    [
        pytest.param(who("gus", GLOBEX), Resource(doc("1"), policy=share({"AWS": GLOBEX})), True, id="shared"),
        pytest.param(who("gus", GLOBEX), Resource(doc("1"), policy=json.dumps(share({"AWS": GLOBEX}))), True, id="txt"),
        pytest.param(who("gus", GLOBEX), Resource(doc("1"), policy=share({"AWS": OUTSIDE})), False, id="shared"),
        pytest.param(who("nothing"), Resource(doc("stored"), policy=document()), False, id="an empty policy"),
        pytest.param(who("nothing"), Resource(doc("stored"), policy=share({"AWS": GLOBEX})), False, id="hides"),
        pytest.param(who("ada"), Resource(doc("1"), policy=share("*", effect="Deny")), False, id="denied to all"),
        pytest.param(Principal.anonymous(), Resource(doc("1"), policy=share("*")), True, id="public"),
        pytest.param(Principal.service("x.amazonaws.com"), Resource(doc("1"), policy=share(
            {"Service": "x.amazonaws.com"})), True, id="service"),
        pytest.param(who("ada"), Resource(doc("1"), policy_required=True), False, id="policy required"),
        pytest.param(who("root"), Resource(doc("1"), policy_required=True), False, id="policy required, root"),
        pytest.param(who("ada"), Resource(doc("1"), policy=share({"AWS": ACME}), policy_required=True), True, id="in"),
        pytest.param(who("ada"), Resource("arn:aws:docs:::book", ACME), True, id="owner given"),
        pytest.param(who("ada"), Resource(doc("1"), GLOBEX), False, id="owner differs from the ARN"),
        pytest.param(who("ada"), Resource(doc("1"), policy="{"), None, id="a policy that is none"),
        pytest.param(who("tag"), Resource(doc("1"), tags={"Team": "blue"}), True, id="tags"),
        pytest.param(who("tag"), Resource(doc("1"), tags={"team": "red"}), False, id="other tags"),
        pytest.param(who("tag"), Resource(doc("1")), False, id="no tags"),
        pytest.param(who("tag"), doc("stored"), True, id="stored tags"),
        pytest.param(who("tag"), Resource(doc("1"), tags={"team": "blue", "Team": "blue"}), False, id="C-4"),
        pytest.param(who("org"), doc("1"), True, id="own organization"),
        pytest.param(who("org"), "*", True, id="own organization, no resource"),
        pytest.param(who("org"), Resource(doc("1", OUTSIDE), policy=share("*")), False, id="no organization"),
        pytest.param(who("own"), doc("1"), True, id="own account"),
        pytest.param(who("own"), "*", True, id="own account, no resource"),
        pytest.param(who("own"), Resource(doc("1", GLOBEX), policy=share("*")), False, id="other account"),
        pytest.param(who("path"), doc("1"), True, id="organization path"),
    ],
)  # fmt: skip
def test_resource_facts_affect_the_decision(
    guard: Guard, caller: Principal, resource: str | Resource, expected: bool | None
) -> None:
    """E-42, E-53, E-54 and the keys of E.1 and E.4; None is no decision and denies (E-6)."""
    decision = guard.decide(caller, "docs:Get", resource, call=TLS)
    assert decision.allowed is (expected is True), summary(decision)
    assert (decision.error is not None) is (expected is None), summary(decision)


def test_resource_control_policy_applies_to_every_caller(guard: Guard) -> None:
    """E-11: also outside of the organization and anonymous."""
    public = Resource(doc("1"), policy=share("*"))
    for caller in (who("ada"), who("root"), who("odd", OUTSIDE), Principal.anonymous(), Principal.service("x")):
        assert guard.decide(caller, "docs:Get", public, call=TLS).allowed
        denied = guard.decide(caller, "docs:Get", public, call=Call("r", "http"))
        assert summary(denied) == "ExplicitlyDenied resource control policy"


def test_session_policies_restrict_a_caller(guard: Guard) -> None:
    """As for API keys: both must allow, and an invalid session policy allows nothing."""

    def scoped(*policies: str) -> Decision:
        caller = Principal.from_arn(who("ada").arn, session_policies=policies)
        return guard.decide(caller, "docs:Put", doc("1"), call=TLS)

    assert summary(scoped(json.dumps(ONLY_READ))) == "ImplicitlyDenied session policy"
    assert summary(scoped(json.dumps(document(statement("Deny", "docs:Put*"))))) == "ExplicitlyDenied session policy"
    assert scoped(json.dumps(document(statement("Allow", "*")))).allowed
    assert summary(scoped()) == "ImplicitlyDenied session policy"
    assert not (broken := scoped("{")).allowed
    assert broken.error


def test_authorize_raises_access_denied(guard: Guard) -> None:
    assert guard.authorize(who("ada"), "docs:Get", doc("1"), call=TLS).allowed
    with pytest.raises(AccessDenied, match="is not authorized to perform: docs:Get on resource") as denied:
        guard.authorize(who("nothing"), "docs:Get", doc("1"), call=TLS)
    assert isinstance(denied.value.decision, Decision)
    with pytest.raises(DecisionUnavailable) as unavailable:
        guard.authorize(who("ada"), "docs:Get", Resource(doc("1"), policy='{"secret": 1}'))
    assert "secret" not in str(unavailable.value)


def test_decide_many_decides_each_question_separately(guard: Guard) -> None:
    """M-28."""
    questions: list[tuple[str, str | Resource]] = [
        ("docs:Get", doc("1")), ("docs:Delete", doc("1")), ("nonsense", doc("1")), ("docs:List", "*"),
        ("docs:Get", Resource(doc("1", GLOBEX))),
    ]  # fmt: skip
    decisions = guard.decide_many(who("ada"), questions, call=TLS)
    assert [decision.allowed for decision in decisions] == [True, False, False, True, False]
    assert [decision.request.action for decision in decisions] == [action for action, _ in questions]


def test_context_argument_reaches_conditions(guard: Guard) -> None:
    """K-1: it takes precedence; a value that cannot be computed denies (C-45, E-6)."""
    assert not guard.decide(who("own"), "docs:Get", doc("1"), {"aws:ResourceAccount": GLOBEX}, call=TLS).allowed
    assert guard.decide(who("tag"), "docs:Get", doc("1"), {"aws:resourcetag/TEAM": lambda: "blue"}, call=TLS).allowed

    def broken() -> str:
        raise RuntimeError("secret")

    decision = guard.decide(who("tag"), "docs:Get", doc("1"), {"aws:ResourceTag/team": broken}, call=TLS)
    assert not decision.allowed
    assert "secret" not in f"{decision.error}{decision.reasons}"


@pytest.mark.parametrize("action", ["", "docs", "docs:", ":Get", "docs:Get:More", "*"])
@pytest.mark.parametrize("caller", [who("ada"), who("root")], ids=["user", "root"])
def test_invalid_action_is_denied(guard: Guard, caller: Principal, action: str) -> None:
    """A `*` in a policy matches any text; deny in doubt."""
    decision = guard.decide(caller, action, doc("1"), call=TLS)
    assert (decision.allowed, decision.error is None) == (False, False)


@pytest.mark.parametrize("resource", ["", "document/1", "arn:aws:docs", "ARN:aws:docs:us-east-1:111122223333:a", "**"])
def test_invalid_resource_is_denied(guard: Guard, resource: str) -> None:
    assert not guard.decide(who("root"), "docs:Get", resource, call=TLS).allowed


def test_every_decision_is_recorded_with_its_epoch(tmp_path: Path) -> None:
    """Allowed or denied; also if no decision could be made."""
    seed = tmp_path / "iam.json"
    seed.write_text(json.dumps(SEED))
    guard = open_guard(seed, audit=str(tmp_path / "audit.jsonl"))
    decisions = [
        guard.decide(who("ada"), "docs:Get", doc("1"), call=TLS),
        *guard.decide_many(who("ada"), [("docs:Delete", doc("1")), ("nonsense", doc("1"))]),
    ]
    guard.close()
    records = [record["iamGuard"] for record in read_records(tmp_path / "audit.jsonl")]
    assert [each["outcome"] for each in records] == ["Allowed", "ExplicitlyDenied", "ImplicitlyDenied"]
    assert [each.get("epoch") for each in records] == [decision.epoch for decision in decisions]
    assert records[0]["epoch"] is not None
    assert records[2]["error"]

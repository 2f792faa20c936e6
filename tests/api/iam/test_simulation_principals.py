"""SimulatePrincipalPolicy by boto3: simulated policies, exclusions, permissions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.errors import InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.store.schema import identities, inline_policies
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.policy_parts import TRUST, join, prepare
from tests.api.iam.simulation_parts import OBJECT, document, entry, run_as_admin, saying, sources

ADA = f"arn:aws:iam::{ACCOUNT}:user/staff/ada"
TEAM = f"arn:aws:iam::{ACCOUNT}:group/staff/team"
WORKER = f"arn:aws:iam::{ACCOUNT}:role/app/worker"
LIMIT = f"arn:aws:iam::{ACCOUNT}:policy/limits/Limit"
READER = f"arn:aws:iam::{ACCOUNT}:policy/docs/Reader"
ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "iam:ListUsers"]
DECIDED = dict[str, tuple[str, list[str]]]


def statements(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [saying("Allow", action)]}


@pytest.fixture
def people(server: Running) -> Running:
    """ada with an inline policy, an attached one, and a group with one inline and two attached policies; and a role."""
    prepare(
        server,
        policies=[
            {"name": "Reader", "path": "/docs/", "document": statements("s3:GetObject")},
            {"name": "Limit", "path": "/limits/", "document": statements("s3:*")},
        ],
        users=[
            {
                "name": "ada",
                "path": "/staff/",
                "inline": {"Writing": statements("s3:PutObject")},
                "attached": ["Reader"],
            }
        ],
        groups=[
            {
                "name": "team",
                "path": "/staff/",
                "inline": {"Tidying": statements("s3:DeleteObject")},
                "attached": ["Reader", "ReadOnlyAccess"],
            }
        ],
        roles=[
            {
                "name": "worker",
                "path": "/app/",
                "trust": TRUST,
                "inline": {"Working": statements("s3:GetObject")},
                "boundary": "Limit",
            }
        ],
    )
    join(server, "ada", "team")
    return server


def simulated(iam: Client, source: str = ADA, **more: Any) -> list[dict[str, Any]]:
    parameters = {"PolicySourceArn": source, "ActionNames": ACTIONS} | more
    return list(iam.simulate_principal_policy(**parameters)["EvaluationResults"])


def tried(server: Running, source: str, *actions: str, **more: Any) -> list[dict[str, Any]]:
    """Simulate without HTTP, since the simulated policies may limit the caller too."""
    answer = run_as_admin(server.store, "SimulatePrincipalPolicy", PolicySourceArn=source, ActionNames=actions, **more)
    return list(answer["EvaluationResults"])


def decided(results: list[dict[str, Any]]) -> DECIDED:
    return {result["EvalActionName"]: (result["EvalDecision"], sources(result)) for result in results}


# --- policies of a principal ---------------------------------------------------------------------------------------

NO = ("implicitDeny", [])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            ADA,
            {
                "s3:GetObject": ("allowed", ["Reader"]),
                "s3:PutObject": ("allowed", ["user_ada_Writing"]),
                "s3:DeleteObject": ("allowed", ["group_team_Tidying"]),
                "iam:ListUsers": ("allowed", ["ReadOnlyAccess"]),
            },
        ),
        (
            TEAM,
            {
                "s3:GetObject": ("allowed", ["Reader"]),
                "s3:PutObject": NO,
                "s3:DeleteObject": ("allowed", ["group_team_Tidying"]),
                "iam:ListUsers": ("allowed", ["ReadOnlyAccess"]),
            },
        ),
        (
            WORKER,
            {
                "s3:GetObject": ("allowed", ["role_worker_Working"]),
                "s3:PutObject": NO,
                "s3:DeleteObject": NO,
                "iam:ListUsers": NO,
            },
        ),
    ],
)
def test_all_policies_of_an_entity_are_simulated(iam: Client, people: Running, source: str, expected: DECIDED) -> None:
    """E-15: own and group policies, managed ones once, with AWS's ids."""
    results = simulated(iam, source)
    assert decided(results) == expected
    kinds = {statement["SourcePolicyType"] for result in results for statement in result["MatchedStatements"]}
    assert kinds == {"IAM Policy"}


def test_passed_policies_are_added(iam: Client, people: Running) -> None:
    """Their ids are positions in the call."""
    more = document(saying("Deny", "s3:PutObject"), saying("Allow", "s3:GetObject"))
    result = decided(simulated(iam, PolicyInputList=[more]))
    assert result["s3:GetObject"] == ("allowed", ["Reader", "PolicyInputList.1"])
    assert result["s3:PutObject"] == ("explicitDeny", ["PolicyInputList.1"])


def test_default_version_is_simulated(iam: Client, people: Running) -> None:
    """G-75."""
    newer = json.dumps(statements("s3:ListBucket"))
    iam.create_policy_version(PolicyArn=READER, PolicyDocument=newer, SetAsDefault=True)
    assert decided(simulated(iam))["s3:GetObject"] == NO


def test_statement_positions_are_of_the_stored_text(iam: Client, people: Running) -> None:
    """As AWS's for its own managed policy."""
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    (result,) = simulated(iam, ActionNames=["docs:Anything"])
    assert result["MatchedStatements"] == [
        {
            "SourcePolicyId": "AdministratorAccess",
            "SourcePolicyType": "IAM Policy",
            "StartPosition": {"Line": 3, "Column": 17},
            "EndPosition": {"Line": 8, "Column": 6},
        }
    ]


# --- boundary and organization -------------------------------------------------------------------------------------


def test_passed_boundary_replaces_the_stored_one(iam: Client, people: Running) -> None:
    """G-38."""
    (stored,) = simulated(iam, WORKER, ActionNames=["iam:ListUsers"], PolicyInputList=[document(saying("Allow", "*"))])
    assert stored["EvalDecision"] == "implicitDeny"
    assert stored["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    (passed,) = simulated(
        iam,
        WORKER,
        ActionNames=["iam:ListUsers"],
        PolicyInputList=[document(saying("Allow", "*"))],
        PermissionsBoundaryPolicyInputList=[document(saying("Allow", "iam:*"))],
    )
    assert passed["EvalDecision"] == "allowed"
    assert passed["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}


def test_deny_of_the_stored_boundary_has_its_id(iam: Client, people: Running) -> None:
    """E-33."""
    text = json.dumps({"Version": "2012-10-17", "Statement": [saying("Deny", "s3:GetObject"), saying("Allow", "*")]})
    iam.create_policy_version(PolicyArn=LIMIT, PolicyDocument=text, SetAsDefault=True)
    (result,) = simulated(iam, WORKER, ActionNames=["s3:GetObject"])
    assert (result["EvalDecision"], sources(result)) == ("explicitDeny", ["Limit"])
    assert result["MatchedStatements"][0]["SourcePolicyType"] == "Permissions Boundary Policy"


def in_organization(server: Running, management: str, *, root: list[str], account: list[str], unit: list[str]) -> None:
    control = {"type": "SCP"}
    organization = {
        "id": "o-exampleorgid",
        "management_account": management,
        "policies": [
            {**control, "name": "OnlyS3", "document": statements("s3:*")},
            {
                **control,
                "name": "NoTidying",
                "document": {
                    "Version": "2012-10-17",
                    "Statement": [saying("Deny", "s3:DeleteObject"), saying("Allow", "*")],
                },
            },
        ],
        "scps": root,
        "units": [{"name": "teams", "scps": unit, "accounts": [{"id": ACCOUNT, "scps": account}]}],
        "accounts": [OTHER_ACCOUNT],
    }
    accounts = [{"id": id, "name": id} for id in (ACCOUNT, OTHER_ACCOUNT)]
    apply_seed(
        server.store, load_seed_text(json.dumps({"version": 1, "accounts": accounts, "organization": organization}))
    )
    server.guard.refresh()


FULL = ["FullAWSAccess"]


@pytest.mark.parametrize(
    ("root", "unit", "account", "expected"),
    [
        (FULL, FULL, FULL, {"s3:DeleteObject": "allowed", "iam:ListUsers": "allowed"}),
        (["OnlyS3"], FULL, FULL, {"s3:DeleteObject": "allowed", "iam:ListUsers": "implicitDeny"}),
        (FULL, ["OnlyS3"], FULL, {"s3:DeleteObject": "allowed", "iam:ListUsers": "implicitDeny"}),
        (FULL, FULL, ["NoTidying"], {"s3:DeleteObject": "explicitDeny", "iam:ListUsers": "allowed"}),
    ],
)
def test_organization_limits_the_principal(
    people: Running, root: list[str], unit: list[str], account: list[str], expected: dict[str, str]
) -> None:
    """E-12: root, unit and account must each allow; their decision is reported separately."""
    in_organization(people, OTHER_ACCOUNT, root=root, account=account, unit=unit)
    results = {each["EvalActionName"]: each for each in tried(people, ADA, *expected)}
    assert {action: results[action]["EvalDecision"] for action in expected} == expected
    for action, decision in expected.items():
        allowed = decision == "allowed"
        assert results[action]["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": allowed}
        assert bool(results[action]["MatchedStatements"]) is allowed


def test_management_account_has_no_organization_detail(iam: Client, people: Running) -> None:
    """E-10."""
    in_organization(people, ACCOUNT, root=["OnlyS3"], account=FULL, unit=FULL)
    (result,) = simulated(iam, ActionNames=["iam:ListUsers"])
    assert result["EvalDecision"] == "allowed"
    assert "OrganizationsDecisionDetail" not in result


def test_account_without_organization_has_no_detail(iam: Client, people: Running) -> None:
    """API reference."""
    assert "OrganizationsDecisionDetail" not in simulated(iam)[0]


# --- exclusions ----------------------------------------------------------------------------------------------------


def inline(name: str, kind: str, holder: str) -> dict[str, Any]:
    return {"InlinePolicyIdentifier": {"PolicyName": name, "AttachmentType": kind, "AttachmentName": holder}}


@pytest.mark.parametrize(
    ("entries", "gone"),
    [
        ([{"PolicyType": "inline"}], {"s3:PutObject", "s3:DeleteObject"}),
        ([{"PolicyType": "user-managed"}], {"s3:GetObject"}),
        ([{"PolicyType": "aws-managed"}], {"iam:ListUsers"}),
        ([{"PolicyType": "rcp"}, {"PolicyType": "scp"}, {"PolicyType": "permission-boundary"}], set()),
        ([{"PolicyArn": READER}], {"s3:GetObject"}),
        ([{"PolicyArn": READER.replace("Reader", "R*der")}], {"s3:GetObject"}),
        ([{"PolicyArn": READER.replace("Reader", "R?????")}], {"s3:GetObject"}),
        ([{"PolicyArn": READER.replace("docs", "other")}], set()),
        ([{"PolicyArn": "arn:aws:iam::aws:policy/ReadOnly*"}], {"iam:ListUsers"}),
        ([inline("Writing", "user", "ada")], {"s3:PutObject"}),
        ([inline("Tidying", "group", "team")], {"s3:DeleteObject"}),
        ([inline("Tidying", "user", "ada")], set()),
        ([inline("Writing", "group", "ada")], set()),
        ([inline("Writing", "user", "ad")], set()),
        ([{"PolicyType": "inline"}, {"PolicyArn": READER}], {"s3:PutObject", "s3:DeleteObject", "s3:GetObject"}),
    ],
)
def test_policies_are_excluded(iam: Client, people: Running, entries: list[dict[str, Any]], gone: set[str]) -> None:
    """Only the principal's own; entries without a match are ignored."""
    result = decided(simulated(iam, PolicyExclusionList=entries))
    assert {action for action, (decision, _) in result.items() if decision != "allowed"} == gone


def test_exclusion_wildcards_match_the_holder(people: Running) -> None:
    """API reference: one `*`, any number of `?`."""
    for holder, decision in (("a*", "implicitDeny"), ("?d?", "implicitDeny"), ("b*", "allowed")):
        entries = [inline("Writing", "user", holder)]
        results = tried(people, ADA, "s3:PutObject", "s3:DeleteObject", PolicyExclusionList=entries)
        assert [result["EvalDecision"] for result in results] == [decision, "allowed"]


def test_passed_policies_are_never_excluded(iam: Client, people: Running) -> None:
    """The list is about the policies that are attached."""
    types = ["inline", "user-managed", "aws-managed", "permission-boundary"]
    (result,) = simulated(
        iam,
        WORKER,
        ActionNames=["s3:PutObject"],
        PolicyInputList=[document(saying("Allow", "s3:PutObject"))],
        PermissionsBoundaryPolicyInputList=[document(saying("Allow", "s3:GetObject"))],
        PolicyExclusionList=[{"PolicyType": type} for type in types],
    )
    assert result["EvalDecision"] == "implicitDeny"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}


def test_boundary_and_organization_are_excluded_by_type(iam: Client, people: Running) -> None:
    """The ARN of the boundary excludes only attachments."""
    in_organization(people, OTHER_ACCOUNT, root=FULL, account=["OnlyS3"], unit=FULL)
    everything = [document(saying("Allow", "*"))]

    def asked_for(*entries: dict[str, str]) -> dict[str, Any]:
        (result,) = tried(
            people, WORKER, "iam:ListUsers", PolicyInputList=everything, PolicyExclusionList=list(entries)
        )
        return result

    scp, boundary = {"PolicyType": "scp"}, {"PolicyType": "permission-boundary"}
    assert asked_for(scp)["EvalDecision"] == "implicitDeny"
    assert asked_for(boundary)["EvalDecision"] == "implicitDeny"
    assert asked_for(scp, {"PolicyArn": LIMIT})["EvalDecision"] == "implicitDeny"
    both = asked_for(scp, boundary)
    assert both["EvalDecision"] == "allowed"
    assert both["OrganizationsDecisionDetail"] is both["PermissionsBoundaryDecisionDetail"] is None


@pytest.mark.parametrize(
    ("identifier", "sentence"),
    [
        ({"PolicyArn": "not-an-arn-but-long-enough"}, "Invalid ARN provided in the request: not-an-arn"),
        ({"PolicyArn": f"arn:aws:iam::{ACCOUNT}:user/ada-the-long"}, "Invalid ARN provided in the request"),
        ({"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/"}, "Invalid ARN provided in the request"),
        ({"PolicyArn": "arn:aws:iam::*:policy/Reader"}, "Invalid ARN provided in the request"),
        ({"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/*/Reader"}, "Invalid ARN provided in the request"),
        ({"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/R*d*"}, "may have one `*` at most"),
        ({}, "must have exactly one of PolicyType, PolicyArn and InlinePolicyIdentifier"),
        ({"PolicyType": "inline", "PolicyArn": READER}, "must have exactly one of"),
    ],
)
def test_malformed_exclusion_is_rejected(people: Running, identifier: dict[str, str], sentence: str) -> None:
    """API reference: malformed ARNs and misplaced wildcards."""
    with pytest.raises(InvalidInput) as caught:
        tried(people, ADA, "s3:GetObject", PolicyExclusionList=[identifier])
    assert sentence in caught.value.message


# --- the caller ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "table", "pattern"),
    [(ADA, "ada", "{id}"), (WORKER, "worker", "{id}:*"), (TEAM, "team", "{id}")],
)
def test_source_is_the_default_caller(iam: Client, people: Running, source: str, table: str, pattern: str) -> None:
    """K-10: with its own keys, including its unique id."""
    with people.store.read_transaction() as records:
        row = records.one(identities, account=ACCOUNT, folded=table)
    assert row is not None
    conditions = {
        "StringLike": {"aws:userid": pattern.format(id=row["id"])},
        "StringEquals": {"aws:PrincipalArn": source},
    }
    policy = document(saying("Allow", "docs:Get", Condition=conditions))
    parameters: dict[str, Any] = {"ActionNames": ["docs:Get"], "PolicyInputList": [policy]}
    parameters["PermissionsBoundaryPolicyInputList"] = [document(saying("Allow", "*"))]
    assert simulated(iam, source, **parameters)[0]["EvalDecision"] == "allowed"
    other = f"arn:aws:iam::{ACCOUNT}:user/bob"
    assert simulated(iam, source, CallerArn=other, **parameters)[0]["EvalDecision"] == "implicitDeny"


def test_other_caller_has_the_sources_policies(iam: Client, people: Running) -> None:
    """API reference: as if Bob had David's policies."""
    bob = f"arn:aws:iam::{ACCOUNT}:user/bob"
    policy = document(saying("Allow", "docs:Get", Condition={"StringEquals": {"aws:username": "bob"}}))
    results = simulated(iam, CallerArn=bob, ActionNames=["docs:Get", "s3:GetObject"], PolicyInputList=[policy])
    assert [result["EvalDecision"] for result in results] == ["allowed", "allowed"]


def test_resource_policy_can_name_the_source(iam: Client, people: Running) -> None:
    """Without CallerArn, the entity itself calls."""
    policy = document(saying("Allow", "docs:Get", Resource=OBJECT, Principal={"AWS": WORKER})).replace(
        '"Resource":"*",', ""
    )
    (result,) = simulated(
        iam,
        WORKER,
        ActionNames=["docs:Get"],
        ResourceArns=[OBJECT],
        ResourcePolicy=policy,
        PolicyExclusionList=[{"PolicyType": "permission-boundary"}],
    )
    assert (result["EvalDecision"], sources(result)) == ("allowed", ["ResourcePolicy"])


def test_tags_are_passed_as_context(iam: Client, people: Running) -> None:
    """As at AWS, the entity's stored tags are missing keys."""
    iam.tag_user(UserName="ada", Tags=[{"Key": "team", "Value": "red"}])
    condition = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
    parameters: dict[str, Any] = {
        "ActionNames": ["docs:Get"],
        "PolicyInputList": [document(saying("Allow", "docs:Get", Condition=condition))],
    }
    (untagged,) = simulated(iam, **parameters)
    assert (untagged["EvalDecision"], untagged["MissingContextValues"]) == ("implicitDeny", ["aws:PrincipalTag/team"])
    (tagged,) = simulated(iam, ContextEntries=[entry("aws:PrincipalTag/team", "red")], **parameters)
    assert tagged["EvalDecision"] == "allowed"


def test_simulation_agrees_with_the_real_call(server: Running, client_for: Callable[..., Client], iam: Client) -> None:
    """For operations of IAM itself."""
    document_of_rita = [
        allow("iam:GetUser", f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"),
        allow("iam:ListUsers"),
        {
            "Effect": "Deny",
            "Action": "iam:List*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:username": "x"}},
        },
    ]
    rita = client_for("rita", *document_of_rita)
    arn = iam.get_user(UserName="rita")["User"]["Arn"]
    results = simulated(
        iam,
        arn,
        ActionNames=["iam:GetUser"],
        ResourceArns=[arn, f"arn:aws:iam::{ACCOUNT}:user/admin"],
    )
    decisions = [result["EvalResourceDecision"] for result in results[0]["ResourceSpecificResults"]]
    assert decisions == ["allowed", "implicitDeny"]
    assert rita.get_user(UserName="rita")["User"]["Arn"] == arn
    with refusal("AccessDenied"):
        rita.get_user(UserName="admin")
    assert [each["EvalDecision"] for each in simulated(iam, arn, ActionNames=["iam:ListUsers", "iam:ListRoles"])] == [
        "allowed",
        "implicitDeny",
    ]
    assert rita.list_users()["Users"]
    with refusal("AccessDenied"):
        rita.list_roles()


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arn", "code", "sentence"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/staff/nobody", "NoSuchEntity", "Unable to retrieve specified IAM entity."),
        (f"arn:aws:iam::{ACCOUNT}:user/ada", "NoSuchEntity", "Unable to retrieve specified IAM entity."),
        (f"arn:aws:iam::{ACCOUNT}:user/staff/ADA", "NoSuchEntity", "Unable to retrieve specified IAM entity."),
        (f"arn:aws:iam::{ACCOUNT}:group/staff/ada", "NoSuchEntity", "Unable to retrieve specified IAM entity."),
        (f"arn:aws-cn:iam::{ACCOUNT}:user/staff/ada", "NoSuchEntity", "Unable to retrieve specified IAM entity."),
        (
            f"arn:aws:iam::{ACCOUNT}:root",
            "InvalidInput",
            f"Invalid ARN provided in the request: arn:aws:iam::{ACCOUNT}:root",
        ),
        (READER, "InvalidInput", f"Invalid ARN provided in the request: {READER}"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s", "InvalidInput", "Invalid ARN provided in the request"),
        ("arn:aws:iam::abcdefghijkl:user/ada", "InvalidInput", "Invalid ARN provided in the request"),
        ("not-an-arn-but-long-enough", "InvalidInput", "Invalid ARN provided in the request: not-an-arn"),
        ("arn:aws:iam-and-nothing-else", "InvalidInput", "Invalid ARN provided in the request"),
        (
            f"arn:aws:iam::{OTHER_ACCOUNT}:user/admin",
            "InvalidInput",
            f"caller's account {ACCOUNT} does not have access to policies in account {OTHER_ACCOUNT}.",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["simulate", "keys", "services"])
def test_source_must_be_an_entity_of_the_account(
    iam: Client, people: Running, operation: str, arn: str, code: str, sentence: str
) -> None:
    """Found by its exact ARN, which is also the authorized resource."""
    with refusal(code, sentence):
        match operation:
            case "simulate":
                iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject"])
            case "keys":
                iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)
            case _:
                iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=["s3"])


@pytest.mark.parametrize("operation", ["simulate", "keys", "services"])
def test_invalid_stored_policy_is_a_server_error(iam: Client, people: Running, operation: str) -> None:
    """PolicyEvaluation, since the caller can't fix it."""
    with people.store.write_transaction() as records:
        records.update(inline_policies, {"text": "{"}, folded="writing")
    with refusal("PolicyEvaluation", "a stored policy could not be evaluated", 500):
        match operation:
            case "simulate":
                simulated(iam)
            case "keys":
                iam.get_context_keys_for_principal_policy(PolicySourceArn=ADA)
            case _:
                iam.list_policies_granting_service_access(Arn=ADA, ServiceNamespaces=["s3"])


# --- permissions ---------------------------------------------------------------------------------------------------


def test_simulation_is_authorized_on_its_source(people: Running, client_for: Callable[..., Client]) -> None:
    """K-33: the entity's ARN and tags."""
    one = client_for("one", allow("iam:*", ADA))
    assert simulated(one)
    assert one.get_context_keys_for_principal_policy(PolicySourceArn=ADA)["ContextKeyNames"] == []
    assert one.list_policies_granting_service_access(Arn=ADA, ServiceNamespaces=["s3"])["IsTruncated"] is False
    for action, call in (
        ("SimulatePrincipalPolicy", lambda: simulated(one, WORKER)),
        ("GetContextKeysForPrincipalPolicy", lambda: one.get_context_keys_for_principal_policy(PolicySourceArn=WORKER)),
        (
            "ListPoliciesGrantingServiceAccess",
            lambda: one.list_policies_granting_service_access(Arn=WORKER, ServiceNamespaces=["s3"]),
        ),
    ):
        with refusal("AccessDenied", f"is not authorized to perform: iam:{action} on resource: {WORKER}", 403):
            call()


def test_service_linked_role_is_not_limited_by_organizations(people: Running) -> None:
    """E-10."""
    in_organization(people, OTHER_ACCOUNT, root=FULL, account=["OnlyS3"], unit=FULL)
    with people.store.write_transaction() as records:
        records.update(
            identities, {"path": "/aws-service-role/jobs.amazonaws.com/", "boundary_id": None}, name="worker"
        )
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/jobs.amazonaws.com/worker"
    (result,) = tried(people, arn, "iam:ListUsers", PolicyInputList=[document(saying("Allow", "*"))])
    assert (result["EvalDecision"], result["OrganizationsDecisionDetail"]) == ("allowed", None)


def test_simulated_policies_match_the_stores(people: Running) -> None:
    """E-4, E-15: the same policies as for a decision."""
    stored = people.store.principal(Principal.from_arn(ADA))
    named = {name for result in tried(people, ADA, *ACTIONS) for name in sources(result)}
    assert len({policy.text for policy in stored.identity}) == len(named) == 4

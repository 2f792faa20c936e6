"""SimulateCustomPolicy by boto3: decisions, statement positions, missing keys, details, errors, pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.api.iam.simulation import policy_simulator, simulator
from iam_guard.api.iam.simulation.documents import MAX_CHARACTERS
from iam_guard.errors import InvalidInput
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, refusal
from tests.api.iam.simulation_parts import (
    OBJECT,
    OTHER_OBJECT,
    document,
    entry,
    run_as_admin,
    saying,
    sources,
    store_with_admin,
)

READ = document(saying("Allow", "s3:GetObject"))
WRITE = document(saying("Allow", "s3:PutObject"))
REFUSE = document(saying("Deny", "s3:GetObject"))
ALL = document(saying("Allow", "*"))
ADA = f"arn:aws:iam::{ACCOUNT}:user/staff/ada"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1"


def simulate_one(iam: Client, *policies: str, action: str = "s3:GetObject", **more: Any) -> dict[str, Any]:
    """Simulate one action, and return its result."""
    (result,) = iam.simulate_custom_policy(PolicyInputList=list(policies), ActionNames=[action], **more)[
        "EvaluationResults"
    ]
    return dict(result)


def place(line: int, column: int) -> dict[str, int]:
    return {"Line": line, "Column": column}


# --- decisions and statements --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policies", "decision", "named"),
    [
        ([READ], "allowed", ["PolicyInputList.1"]),
        ([READ, WRITE, READ], "allowed", ["PolicyInputList.1", "PolicyInputList.3"]),
        ([WRITE], "implicitDeny", []),
        ([READ, REFUSE, ALL], "explicitDeny", ["PolicyInputList.2"]),
        ([], "implicitDeny", []),
    ],
)
def test_policies_are_combined(iam: Client, policies: list[str], decision: str, named: list[str]) -> None:
    """E-2, E-4: one Deny or one Allow suffices; the deciding statements are listed."""
    result = simulate_one(iam, *policies)
    assert (result["EvalDecision"], sources(result)) == (decision, named)
    assert {statement["SourcePolicyType"] for statement in result["MatchedStatements"]} <= {"IAM Policy"}
    assert result["MissingContextValues"] == []
    assert (result["EvalActionName"], result["EvalResourceName"]) == ("s3:GetObject", "*")


def test_star_has_no_resource_results(iam: Client) -> None:
    """API reference: neither ResourceSpecificResults nor EvalDecisionDetails."""
    result = simulate_one(iam, READ)
    assert result.keys() == {
        "EvalActionName",
        "EvalResourceName",
        "EvalDecision",
        "MatchedStatements",
        "MissingContextValues",
    }
    assert simulate_one(iam, READ, ResourceArns=["*"]) == result


def test_one_resource_has_its_own_result(iam: Client) -> None:
    """API reference: within an account EvalDecisionDetails is empty."""
    result = simulate_one(iam, READ, ResourceArns=[OBJECT])
    (specific,) = result["ResourceSpecificResults"]
    assert (result["EvalResourceName"], result["EvalDecisionDetails"]) == (OBJECT, {})
    assert specific == {
        "EvalResourceName": OBJECT,
        "EvalResourceDecision": "allowed",
        "MatchedStatements": result["MatchedStatements"],
        "MissingContextValues": [],
    }


def test_several_resources_are_combined_per_action(iam: Client) -> None:
    """API reference: the most restrictive decision, all statements, and a result per resource."""
    first, second = document(saying("Allow", "s3:*", OBJECT)), document(saying("Deny", "s3:PutObject", OTHER_OBJECT))
    answer = iam.simulate_custom_policy(
        PolicyInputList=[first, second],
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=[OBJECT, OTHER_OBJECT, OBJECT],
    )
    got, put = answer["EvaluationResults"]
    assert (got["EvalDecision"], got["EvalResourceName"], sources(got)) == ("implicitDeny", "*", ["PolicyInputList.1"])
    assert (put["EvalDecision"], sources(put)) == ("explicitDeny", ["PolicyInputList.2"])
    decisions = [
        (each["EvalResourceName"], each["EvalResourceDecision"], sources(each))
        for each in put["ResourceSpecificResults"]
    ]
    assert decisions == [
        (OBJECT, "allowed", ["PolicyInputList.1"]),
        (OTHER_OBJECT, "explicitDeny", ["PolicyInputList.2"]),
        (OBJECT, "allowed", ["PolicyInputList.1"]),
    ]


def test_action_is_case_insensitive_and_returned_unchanged(iam: Client) -> None:
    """M-3."""
    result = simulate_one(iam, READ, action="S3:gEtObJeCt")
    assert (result["EvalDecision"], result["EvalActionName"]) == ("allowed", "S3:gEtObJeCt")


@pytest.mark.parametrize("action", ["s3:*", "s3:Get?bject", "made-up:Action", "s3:", "s3:Get Object", "a:b:c"])
def test_wildcard_in_the_action_is_no_pattern(iam: Client, action: str) -> None:
    """M-21."""
    assert simulate_one(iam, READ, action=action)["EvalDecision"] == "implicitDeny"


def test_wildcard_in_a_resource_is_a_character(iam: Client) -> None:
    """M-21."""
    policy = document(saying("Allow", "s3:GetObject", OBJECT))
    assert simulate_one(iam, policy, ResourceArns=["arn:aws:s3:::bucket/*"])["EvalDecision"] == "implicitDeny"


# --- positions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        pytest.param(READ, place(1, 38), place(1, 95), id="one line"),
        pytest.param(
            '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":'
            '{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}',
            place(1, 38),
            place(1, 167),
            id="the example of the command line's reference",
        ),
        pytest.param(
            '{\n  "Version":"2012-10-17",\n  "Statement":{\n    "Effect":"Allow",\n    "Action":"s3:PutObject",\n'
            '    "Resource":"arn:aws:s3:::my-test-bucket"\n  }\n}',
            place(3, 16),
            place(7, 4),
            id="the example of the API reference",
        ),
        pytest.param(
            json.dumps(json.loads(READ), indent=2).replace("\n", "\r\n"),
            place(3, 17),
            place(8, 6),
            id="indented, CR LF",
        ),
        pytest.param(json.dumps(json.loads(READ), indent=2).replace("\n", "\r"), place(3, 17), place(8, 6), id="CR"),
    ],
)
def test_statement_positions_match_aws(iam: Client, text: str, start: object, end: object) -> None:
    """Lines and columns of AWS's examples."""
    actions = ["s3:GetObject", "s3:PutObject", "dynamodb:CreateBackup"]
    answer = iam.simulate_custom_policy(
        PolicyInputList=[text],
        ActionNames=actions,
        ResourceArns=["arn:aws:s3:::my-test-bucket"],
        ContextEntries=[entry("aws:CurrentTime", "2019-04-25T11:00:00Z", type="date")],
    )
    found = [each["MatchedStatements"] for each in answer["EvaluationResults"] if each["MatchedStatements"]]
    assert [[(each["StartPosition"], each["EndPosition"]) for each in one] for one in found] == [[(start, end)]]


def test_later_statement_starts_after_the_previous_one(iam: Client) -> None:
    """As at AWS, it includes the comma."""
    policy = document(saying("Allow", "s3:PutObject"), saying("Allow", "s3:GetObject", Sid="é"))
    (statement,) = simulate_one(iam, policy)["MatchedStatements"]
    between = policy[statement["StartPosition"]["Column"] - 1 : statement["EndPosition"]["Column"] - 1]
    assert between == ',{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Sid":"\\u00e9"}'


# --- context -------------------------------------------------------------------------------------------------------


def conditional(operator: str, key: str, *values: str, effect: str = "Allow") -> str:
    return document(saying(effect, "s3:GetObject", Condition={operator: {key: list(values)}}))


@pytest.mark.parametrize(
    ("operator", "value", "parameters"),
    [
        ("StringEquals", "red", entry("docs:Key", "red")),
        ("StringEquals", "red", entry("DOCS:KEY", "red")),
        ("ForAllValues:StringEquals", "red", entry("docs:Key", "red", "red", type="stringList")),
        ("NumericLessThan", "10", entry("docs:Key", "9.5", type="numeric")),
        ("ForAnyValue:NumericEquals", "2", entry("docs:Key", "1", "2", type="numericList")),
        ("Bool", "true", entry("docs:Key", "TRUE", type="boolean")),
        ("Bool", "false", entry("docs:Key", "yes", type="boolean")),
        ("ForAllValues:Bool", "false", entry("docs:Key", "false", "no", type="booleanList")),
        ("IpAddress", "10.0.0.0/8", entry("docs:Key", "10.1.2.3", type="ip")),
        ("ForAnyValue:IpAddress", "10.0.0.0/8", entry("docs:Key", "9.9.9.9", "10.1.2.3", type="ipList")),
        ("BinaryEquals", "QmluYXJ5", entry("docs:Key", "QmluYXJ5", type="binary")),
        ("ForAnyValue:BinaryEquals", "QmluYXJ5", entry("docs:Key", "QmluYXJ5", type="binaryList")),
        ("DateLessThan", "2030-01-01T00:00:00Z", entry("docs:Key", "2026-11-24T00:00:00Z", type="date")),
        ("ForAnyValue:DateLessThan", "2030-01-01", entry("docs:Key", "2026-11-24", type="dateList")),
    ],
)
def test_context_entry_has_its_value(iam: Client, operator: str, value: str, parameters: dict[str, Any]) -> None:
    """Each type works with its operators; names are case-insensitive (C-3)."""
    policy = conditional(operator, "docs:Key", value)
    assert simulate_one(iam, policy)["EvalDecision"] != "allowed" or operator.startswith("ForAllValues")
    result = simulate_one(iam, policy, ContextEntries=[parameters])
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", [])


def test_list_value_fails_single_valued_operators(iam: Client) -> None:
    """C-7, N-10."""
    policy = conditional("StringEquals", "docs:Key", "red")
    one, two = entry("docs:Key", "red", type="stringList"), entry("docs:Key", "red", "red", type="stringList")
    assert simulate_one(iam, policy, ContextEntries=[one])["EvalDecision"] == "allowed"
    assert simulate_one(iam, policy, ContextEntries=[two])["EvalDecision"] == "implicitDeny"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ([entry("docs:Key", "a", "b")], "Context key string expected a single value, but received 2."),
        ([entry("docs:Key")], "Context values for context key docs:Key cannot be null or empty."),
        ([entry("docs:Key", "a"), entry("DOCS:KEY", "b")], "Duplicate context key: DOCS:KEY."),
        (
            [entry("docs:Key", "abc", type="numeric")],
            "Invalid context value for key docs:Key: expected numeric format.",
        ),
        ([entry("docs:Key", "NaN", type="numeric")], "expected numeric format."),
        ([entry("docs:Key", "1", "x", type="numericList")], "expected numeric format."),
        (
            [entry("docs:Key", "tomorrow", type="date")],
            "Invalid context value for key docs:Key: expected DateTime format.",
        ),
        ([entry("docs:Key", "999.0.0.1", type="ip")], "Invalid context value for key docs:Key: expected IP address."),
        ([entry("docs:Key", "!base64", type="binary")], "expected base-64 encoded binary format."),
        ([{"ContextKeyName": "docs:Key", "ContextKeyValues": ["a"]}], "Context key docs:Key has invalid type null."),
        ([{"ContextKeyValues": ["a"], "ContextKeyType": "string"}], "ContextKeyName cannot be null or empty."),
    ],
)
def test_invalid_context_entry_is_rejected(iam: Client, parameters: list[dict[str, Any]], sentence: str) -> None:
    """A value that is not of its type would be a key without meaning."""
    with refusal("InvalidInput", sentence, 400):
        simulate_one(iam, READ, ContextEntries=parameters)


def test_unknown_context_type_is_rejected(iam: Client) -> None:
    """The model lists them."""
    with refusal("ValidationError", "contextEntries.1.member.contextKeyType", 400):
        simulate_one(iam, READ, ContextEntries=[entry("docs:Key", "a", type="text")])


# --- missing keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        (saying("Allow", "s3:GetObject", Condition={"StringEquals": {"aws:SourceIP": "x"}}), ["aws:SourceIP"]),
        (saying("Deny", "s3:*", Condition={"Null": {"Docs:Owner": "false"}}), ["Docs:Owner"]),
        (saying("Allow", "s3:PutObject", Condition={"StringEquals": {"docs:Owner": "x"}}), []),
        (saying("Allow", "s3:*", OTHER_OBJECT, Condition={"StringEquals": {"docs:Owner": "x"}}), []),
        (saying("Allow", "s3:*", "arn:aws:s3:::bucket/${aws:UserName}"), ["aws:UserName"]),
        (saying("Allow", "s3:*", "arn:aws:s3:::other/${aws:username}"), []),
        (saying("Allow", "s3:*", "arn:aws:s3:::bucket/${docs:Dir, 'x'}"), ["docs:Dir"]),
        (saying("Allow", "s3:*", "arn:aws:s3:::bucket/${*}"), []),
        (
            saying("Allow", "s3:*", Condition={"StringLike": {"docs:A": "${docs:B}"}, "Bool": {"docs:a": "true"}}),
            ["docs:A", "docs:B"],
        ),
        (saying("Allow", "s3:*", Condition={"NumericEquals": {"docs:A": "${docs:B}"}}), ["docs:A"]),
        (saying("Allow", "s3:*", Condition={"StringEquals": {"docs:given": "x"}}), []),
    ],
)
def test_missing_keys_are_reported(iam: Client, statement: dict[str, Any], missing: list[str]) -> None:
    """Keys and variables of the matching statements, as the policy writes them, each once."""
    parameters = [entry("docs:Given", "x")]
    result = simulate_one(iam, document(statement), ResourceArns=[OBJECT], ContextEntries=parameters)
    assert result["MissingContextValues"] == missing
    assert result["ResourceSpecificResults"][0]["MissingContextValues"] == missing


def test_missing_keys_of_several_resources_are_merged(iam: Client) -> None:
    """API reference: deduplicated at the top."""
    policy = document(
        saying("Allow", "s3:*", OBJECT, Condition={"StringEquals": {"docs:A": "x"}}),
        saying("Allow", "s3:*", "*", Condition={"StringEquals": {"docs:B": "x"}}),
    )
    result = simulate_one(iam, policy, ResourceArns=[OTHER_OBJECT, OBJECT])
    assert [each["MissingContextValues"] for each in result["ResourceSpecificResults"]] == [
        ["docs:B"],
        ["docs:A", "docs:B"],
    ]
    assert sorted(result["MissingContextValues"]) == ["docs:A", "docs:B"]


def test_old_policy_version_has_no_variables(iam: Client) -> None:
    """G-5."""
    text = json.dumps({"Statement": saying("Allow", "s3:*", "arn:aws:s3:::bucket/${aws:username}")})
    assert simulate_one(iam, text, ResourceArns=[OBJECT])["MissingContextValues"] == []


# --- the caller ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "present"),
    [
        (None, {"aws:PrincipalAccount", "aws:userid"}),
        ("user", {"aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:userid", "aws:username"}),
        ("role", {"aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:userid"}),
        ("group", {"aws:PrincipalArn", "aws:PrincipalAccount", "aws:userid"}),
    ],
)
def test_caller_supplies_its_keys(iam: Client, kind: str | None, present: set[str]) -> None:
    """K-10, as far as they follow from an ARN."""
    keys = ["aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:userid", "aws:username"]
    policy = document(saying("Deny", "s3:*", Condition={"Null": dict.fromkeys(keys, "false")}))
    caller = {} if kind is None else {"CallerArn": f"arn:aws:iam::{ACCOUNT}:{kind}/staff/ada"}
    assert set(keys) - set(simulate_one(iam, policy, **caller)["MissingContextValues"]) == present


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws:PrincipalArn", ADA),
        ("aws:PrincipalAccount", ACCOUNT),
        ("aws:PrincipalType", "User"),
        ("aws:username", "ada"),
        ("aws:userid", ADA),
    ],
)
def test_context_entry_overrides_the_callers_key(iam: Client, key: str, value: str) -> None:
    """As at AWS, the ARN replaces the unique id of a user without a stored entity."""
    policy = conditional("StringEquals", key, value)
    assert simulate_one(iam, policy, CallerArn=ADA)["EvalDecision"] == "allowed"
    other = [entry(key, "other")]
    assert simulate_one(iam, policy, CallerArn=ADA, ContextEntries=other)["EvalDecision"] == "implicitDeny"


def test_custom_simulation_uses_only_its_input(iam: Client) -> None:
    """The caller's own policies, tags and unique id are not loaded."""
    iam.tag_user(UserName="admin", Tags=[{"Key": "team", "Value": "red"}])
    admin = iam.get_user()["User"]
    policy = conditional("StringEquals", "aws:userid", admin["UserId"])
    assert simulate_one(iam, policy, CallerArn=admin["Arn"])["EvalDecision"] == "implicitDeny"
    tagged = conditional("StringEquals", "aws:PrincipalTag/team", "red")
    assert simulate_one(iam, tagged, CallerArn=admin["Arn"])["MissingContextValues"] == ["aws:PrincipalTag/team"]


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:root",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/role/session",
        f"arn:aws:sts::{ACCOUNT}:federated-user/ada",
        f"arn:aws:iam::{ACCOUNT}:user/",
        f"arn:aws:iam::{ACCOUNT}:policy/ada",
        "arn:aws:iam::12345:user/ada",
        "ec2.amazonaws.com",
        "ada",
    ],
)
def test_caller_must_be_a_user_group_or_role(iam: Client, arn: str) -> None:
    """API reference: no session, no service, not the root user."""
    with refusal("InvalidInput", "Caller must be an IAM user, role or group", 400):
        simulate_one(iam, READ, CallerArn=arn)


# --- boundaries and organizations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("boundary", "decision", "allows", "named"),
    [
        (READ, "allowed", True, ["PolicyInputList.1"]),
        (WRITE, "implicitDeny", False, []),
        (REFUSE, "explicitDeny", False, ["PermissionsBoundaryPolicyInputList.1"]),
    ],
)
def test_boundary_limits_the_simulation(
    iam: Client, boundary: str, decision: str, allows: bool, named: list[str]
) -> None:
    """G-38, E-30: its own decision is reported, at the top and per resource; its Deny is shown."""
    result = simulate_one(iam, READ, PermissionsBoundaryPolicyInputList=[boundary], ResourceArns=[OBJECT])
    assert (result["EvalDecision"], sources(result)) == (decision, named)
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": allows}
    assert result["ResourceSpecificResults"][0]["PermissionsBoundaryDecisionDetail"] == {
        "AllowedByPermissionsBoundary": allows
    }
    if named and named[0].startswith("Permissions"):
        assert result["MatchedStatements"][0]["SourcePolicyType"] == "Permissions Boundary Policy"


def test_boundary_keys_can_be_missing(iam: Client) -> None:
    """Like those of other policies."""
    boundary = conditional("StringEquals", "docs:Limit", "x")
    result = simulate_one(iam, READ, PermissionsBoundaryPolicyInputList=[boundary])
    assert result["MissingContextValues"] == ["docs:Limit"]


def test_second_boundary_is_rejected(iam: Client) -> None:
    """API reference."""
    with refusal("InvalidInput", "The list of Permissions Boundary policies cannot exceed 1 items.", 400):
        simulate_one(iam, READ, PermissionsBoundaryPolicyInputList=[READ, READ])


@pytest.mark.parametrize(
    ("levels", "decision"),
    [
        ([[ALL], [ALL]], "allowed"),
        ([[WRITE, READ], [ALL]], "allowed"),
        ([[ALL], [WRITE]], "implicitDeny"),
        ([[REFUSE, ALL], [ALL]], "explicitDeny"),
        ([[ALL], [conditional("StringEquals", "docs:Key", "x")]], "implicitDeny"),
    ],
)
def test_organization_levels_limit_the_simulation(iam: Client, levels: list[list[str]], decision: str) -> None:
    """E-12: a denial ends the simulation: no statements, no missing keys, no details."""
    result = simulate_one(
        iam,
        READ,
        OrderedOrganizationPolicyInputList=[{"ServiceControlPolicyInputList": level} for level in levels],
        PermissionsBoundaryPolicyInputList=[conditional("StringEqualsIfExists", "docs:Other", "x")],
        ResourceArns=[OBJECT],
    )
    is_allowed = decision == "allowed"
    assert result["EvalDecision"] == decision
    assert result["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": is_allowed}
    assert sources(result) == (["PolicyInputList.1"] if is_allowed else [])
    assert result["MissingContextValues"] == (["docs:Other"] if is_allowed else [])
    assert ("EvalDecisionDetails" in result) is is_allowed
    assert ("PermissionsBoundaryDecisionDetail" in result) is is_allowed
    assert "OrganizationsDecisionDetail" not in result["ResourceSpecificResults"][0]


def test_empty_organization_level_is_rejected(iam: Client) -> None:
    """G-76."""
    with refusal(
        "InvalidInput", "Organization policy at index 2 must contain at least one service control policy", 400
    ):
        simulate_one(
            iam,
            READ,
            OrderedOrganizationPolicyInputList=[
                {"ServiceControlPolicyInputList": [ALL]},
                {"ServiceControlPolicyInputList": []},
            ],
        )


# --- resource-based policies ---------------------------------------------------------------------------------------


def shared_with(principal: str, action: str = "s3:GetObject", effect: str = "Allow") -> str:
    return document(saying(effect, action, "arn:aws:s3:::bucket/*", Principal={"AWS": principal}))


@pytest.mark.parametrize(
    ("principal", "identity", "decision", "named"),
    [
        (ADA, [], "allowed", ["ResourcePolicy"]),
        (ADA, [READ], "allowed", ["PolicyInputList.1", "ResourcePolicy"]),
        (ACCOUNT, [], "implicitDeny", []),
        (ACCOUNT, [READ], "allowed", ["PolicyInputList.1", "ResourcePolicy"]),
        (f"arn:aws:iam::{ACCOUNT}:user/rita", [], "implicitDeny", []),
    ],
)
def test_resource_policy_is_evaluated(
    iam: Client, principal: str, identity: list[str], decision: str, named: list[str]
) -> None:
    """E-30 to E-36: within an account, a directly named caller needs no other policy."""
    result = simulate_one(iam, *identity, ResourcePolicy=shared_with(principal), CallerArn=ADA, ResourceArns=[OBJECT])
    assert (result["EvalDecision"], sources(result), result["EvalDecisionDetails"]) == (decision, named, {})


def test_resource_policy_names_a_role_by_its_arn(iam: Client) -> None:
    """E-20, P-3: as the role of any session, so that a boundary still limits it."""
    role = f"arn:aws:iam::{ACCOUNT}:role/app/worker"
    parameters = {"ResourcePolicy": shared_with(role), "CallerArn": role, "ResourceArns": [OBJECT]}
    assert simulate_one(iam, **parameters)["EvalDecision"] == "allowed"
    limited = simulate_one(iam, PermissionsBoundaryPolicyInputList=[WRITE], **parameters)
    assert limited["EvalDecision"] == "implicitDeny"


@pytest.mark.parametrize(
    ("identity", "resource", "decision", "details"),
    [
        ([READ], ADA, "allowed", {"IAM Policy": "allowed", "Resource Policy": "allowed"}),
        ([], ADA, "implicitDeny", {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}),
        ([READ], OTHER_ACCOUNT, "implicitDeny", {"IAM Policy": "allowed", "Resource Policy": "implicitDeny"}),
        ([REFUSE], ADA, "explicitDeny", {"IAM Policy": "explicitDeny", "Resource Policy": "allowed"}),
    ],
)
def test_cross_account_access_needs_both_sides(
    iam: Client, identity: list[str], resource: str, decision: str, details: dict[str, str]
) -> None:
    """E-50: each side's decision is reported, at the top and per resource."""
    result = simulate_one(
        iam,
        *identity,
        ResourcePolicy=shared_with(resource),
        ResourceOwner=f"arn:aws:iam::{OTHER_ACCOUNT}:root",
        CallerArn=ADA,
        ResourceArns=[OBJECT],
    )
    assert (result["EvalDecision"], result["EvalDecisionDetails"]) == (decision, details)
    assert result["ResourceSpecificResults"][0]["EvalDecisionDetails"] == details


def test_cross_account_details_are_the_most_restrictive(iam: Client) -> None:
    """API reference: per policy type across all resources, with the boundary."""
    result = simulate_one(
        iam,
        document(saying("Allow", "s3:GetObject", OBJECT)),
        PermissionsBoundaryPolicyInputList=[document(saying("Deny", "s3:*", OTHER_OBJECT), saying("Allow", "s3:*"))],
        ResourcePolicy=shared_with(ADA),
        ResourceOwner=OTHER_ACCOUNT,
        CallerArn=ADA,
        ResourceArns=[OBJECT, OTHER_OBJECT],
    )
    assert result["EvalDecisionDetails"] == {
        "IAM Policy": "implicitDeny",
        "Resource Policy": "allowed",
        "Permissions Boundary Policy": "explicitDeny",
    }
    assert result["ResourceSpecificResults"][0]["EvalResourceDecision"] == "allowed"


def test_resource_owner_follows_from_its_arn(iam: Client) -> None:
    """E-54: with a resource policy and without ResourceOwner."""
    queue = f"arn:aws:sqs:eu-west-1:{OTHER_ACCOUNT}:jobs"
    policy = document(saying("Allow", "sqs:*", queue, Principal={"AWS": ADA}))
    parameters: dict[str, Any] = {"action": "sqs:SendMessage", "ResourceArns": [queue], "CallerArn": ADA}
    assert simulate_one(iam, ResourcePolicy=policy, **parameters)["EvalDecision"] == "implicitDeny"
    own = f"arn:aws:iam::{ACCOUNT}:root"
    assert simulate_one(iam, ResourcePolicy=policy, ResourceOwner=own, **parameters)["EvalDecision"] == "allowed"


def test_missing_resource_policy_delegates_to_the_caller(iam: Client) -> None:
    """Resource policies are not loaded."""
    foreign = f"arn:aws:sqs:eu-west-1:{OTHER_ACCOUNT}:jobs"
    assert simulate_one(iam, ALL, action="sqs:SendMessage", ResourceArns=[foreign])["EvalDecision"] == "allowed"
    assert simulate_one(iam, ALL, action="kms:Decrypt", ResourceArns=[KEY])["EvalDecision"] == "allowed"
    assert sources(simulate_one(iam, ALL, action="kms:Decrypt", ResourceArns=[KEY])) == ["PolicyInputList.1"]


def test_explicit_owner_without_resource_policy(iam: Client) -> None:
    """E-40, E-53: a key that admits no principal, a foreign resource that is not shared."""
    own, other = (f"arn:aws:iam::{account}:root" for account in (ACCOUNT, OTHER_ACCOUNT))
    key = simulate_one(iam, ALL, action="kms:Decrypt", ResourceArns=[KEY], ResourceOwner=own, CallerArn=ADA)
    assert key["EvalDecision"] == "implicitDeny"
    foreign = simulate_one(iam, ALL, ResourceArns=[OBJECT], ResourceOwner=other, CallerArn=ADA)
    assert foreign["EvalDecision"] == "implicitDeny"
    assert foreign["EvalDecisionDetails"] == {"IAM Policy": "allowed", "Resource Policy": "implicitDeny"}
    assert simulate_one(iam, ALL, ResourceArns=[OBJECT], ResourceOwner=own)["EvalDecision"] == "allowed"


def test_resource_policy_requires_a_caller(iam: Client) -> None:
    """For its Principal element."""
    with refusal("InvalidInput", "Invalid caller - Caller cannot be null or empty.", 400):
        simulate_one(iam, READ, ResourcePolicy=shared_with(ADA), ResourceArns=[OBJECT])


@pytest.mark.parametrize("resources", [None, ["*"]])
def test_resource_policy_requires_a_resource(iam: Client, resources: list[str] | None) -> None:
    """It belongs to one."""
    named = {} if resources is None else {"ResourceArns": resources}
    with refusal("InvalidInput", "Invalid Entity Arn: * does not clearly define entity type and name.", 400):
        simulate_one(iam, READ, ResourcePolicy=shared_with(ADA), CallerArn=ADA, **named)


@pytest.mark.parametrize("owner", ["ada", "1234", ADA, f"arn:aws:s3::{ACCOUNT}:root", "arn:aws:iam::12:root"])
def test_resource_owner_must_be_an_account(iam: Client, owner: str) -> None:
    """The root user's ARN, or the account's id."""
    with refusal("InvalidInput", f"'{owner}' is not a valid as a Resource Owner.", 400):
        simulate_one(iam, READ, ResourceOwner=owner)


# --- errors --------------------------------------------------------------------------------------------------------

BROKEN = ["{", "[]", '{"Version":"2099-01-01","Statement":[]}', '{"Statement":{"Effect":"Maybe"}}', "é", '"\\ud800"']


@pytest.mark.parametrize("text", [*BROKEN, document(saying("Allow", "s3:*", Principal="*"))])
def test_invalid_policy_is_rejected_with_its_index(iam: Client, text: str) -> None:
    """N-9, G-30."""
    with refusal("InvalidInput", "Policy input list item 2 has invalid content", 400):
        simulate_one(iam, READ, text)


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize(
    ("member", "sentence"),
    [
        ("PermissionsBoundaryPolicyInputList", "Permissions boundary policy input list item 1 has invalid content"),
        ("OrderedOrganizationPolicyInputList", "Organization policy at index 1 has invalid content"),
        ("ResourcePolicy", "Resource policy has invalid content"),
    ],
)
def test_invalid_policy_error_names_its_kind(iam: Client, text: str, member: str, sentence: str) -> None:
    parameters: dict[str, Any] = {
        "PermissionsBoundaryPolicyInputList": [text],
        "OrderedOrganizationPolicyInputList": [{"ServiceControlPolicyInputList": [text]}],
        "ResourcePolicy": text,
    }
    with refusal("InvalidInput", sentence, 400):
        simulate_one(iam, READ, CallerArn=ADA, ResourceArns=[OBJECT], **{member: parameters[member]})


@pytest.mark.parametrize("arn", ["not-an-arn", "arn:aws:s3", "arn:aws:s3:::", "arn::s3:::bucket", "aws:arn:s3:::b:k"])
def test_resource_must_be_an_arn(iam: Client, arn: str) -> None:
    """Or `*` alone."""
    with refusal("InvalidInput", f"ResourceNames are not in a valid ARN format: {arn}.", 400):
        simulate_one(iam, READ, ResourceArns=[arn])


def test_star_among_other_resources_is_rejected(iam: Client) -> None:
    """M-11."""
    with refusal("InvalidInput", "ResourceNames are not in a valid ARN format: *.", 400):
        simulate_one(iam, READ, ResourceArns=[OBJECT, "*"])


def test_action_needs_a_service(iam: Client) -> None:
    """G-60: also beyond the first page."""
    with refusal("InvalidInput", "The action is invalid since it is missing names", 400):
        iam.simulate_custom_policy(PolicyInputList=[READ], ActionNames=["s3:GetObject", "GetObject"], MaxItems=1)


@pytest.mark.parametrize(
    ("option", "types", "sentence"),
    [
        ("EC2-Classic", ["instance"], "Invalid input resource handling options: EC2-Classic."),
        ("EC2-VPC-EBS", ["instance", "image"], "requires the resources: security-group, network-interface, volume"),
        ("EC2-VPC-InstanceStore", ["instance", "image", "security-group", "network-interface"], None),
        ("EC2-VPC-InstanceStore-Subnet", ["instance", "image", "security-group", "network-interface"], "subnet"),
        ("EC2-VPC-EBS-Subnet", ["instance", "image", "security-group", "network-interface", "subnet", "volume"], None),
    ],
)
def test_resource_handling_option_requires_its_resources(
    iam: Client, option: str, types: list[str], sentence: str | None
) -> None:
    """API reference."""
    parameters = {
        "ResourceArns": [f"arn:aws:ec2:eu-west-1:{ACCOUNT}:{type}/1" for type in types],
        "ResourceHandlingOption": option,
    }
    if sentence is None:
        assert simulate_one(iam, ALL, action="ec2:RunInstances", **parameters)["EvalDecision"] == "allowed"
        return
    with refusal("InvalidInput", sentence, 400):
        simulate_one(iam, ALL, action="ec2:RunInstances", **parameters)


# --- pages and limits ----------------------------------------------------------------------------------------------


def test_actions_are_paged_in_order(iam: Client) -> None:
    """Repeated ones too; each page has all resources of its actions."""
    actions = ["s3:PutObject", "iam:GetUser", "s3:PutObject", "s3:GetObject", "a:b"]
    parameters: dict[str, Any] = {
        "PolicyInputList": [READ],
        "ActionNames": actions,
        "ResourceArns": [OBJECT, OTHER_OBJECT],
    }
    pages = list(iam.get_paginator("simulate_custom_policy").paginate(**parameters, PaginationConfig={"PageSize": 2}))
    assert [len(page["EvaluationResults"]) for page in pages] == [2, 2, 1]
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert [result["EvalActionName"] for result in results] == actions
    assert {len(result["ResourceSpecificResults"]) for result in results} == {2}
    assert [page["IsTruncated"] for page in pages] == [True, True, False]


def test_marker_is_an_index(iam: Client) -> None:
    """As at AWS, in whatever actions the next call has."""
    parameters: dict[str, Any] = {"PolicyInputList": [READ], "MaxItems": 1}
    marker = iam.simulate_custom_policy(ActionNames=["a:b", "c:d"], **parameters)["Marker"]
    other = iam.simulate_custom_policy(ActionNames=["e:f", "g:h"], Marker=marker, **parameters)
    assert [each["EvalActionName"] for each in other["EvaluationResults"]] == ["g:h"]
    shorter = iam.simulate_custom_policy(ActionNames=["a:b"], Marker=marker, **parameters)
    assert (shorter["EvaluationResults"], shorter["IsTruncated"]) == ([], False)


@pytest.mark.parametrize("marker", ["x", "WyJhIl0", "WyItMSJd", "WyI5OTk5OTk5OTk5OTk5OTk5OTk5OSJd", "WzFd", "bnVsbA"])
def test_invalid_simulation_marker_is_rejected(iam: Client, marker: str) -> None:
    """Whatever it decodes to: `["a"]`, `["-1"]`, a too large number, `[1]`, `null`."""
    with refusal("ValidationError", "Invalid Marker.", 400):
        iam.simulate_custom_policy(PolicyInputList=[READ], ActionNames=["a:b"], Marker=marker)


def test_page_ends_at_its_maximum_cost(iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As AWS reserves; the next pages have all other actions once."""
    monkeypatch.setattr(policy_simulator, "MAX_PAGE_COST", 4)
    actions = [f"s3:Action{number}" for number in range(5)]
    parameters: dict[str, Any] = {
        "PolicyInputList": [READ],
        "ActionNames": actions,
        "ResourceArns": [OBJECT, OTHER_OBJECT],
    }
    pages = list(iam.get_paginator("simulate_custom_policy").paginate(**parameters))
    assert [len(page["EvaluationResults"]) for page in pages] == [1, 1, 1, 1, 1]
    assert [page["EvaluationResults"][0]["EvalActionName"] for page in pages] == actions


def test_simulation_of_a_million_pairs_is_bounded() -> None:
    """A page has as many actions as fit into half a second; statements count, too."""
    store = store_with_admin()
    parameters: dict[str, Any] = {
        "ActionNames": [f"s3:Get{number}" for number in range(1_000)],
        "ResourceArns": [f"{OBJECT}{number}" for number in range(1_000)],
        "MaxItems": 1_000,
    }
    output = run_as_admin(store, "SimulateCustomPolicy", PolicyInputList=[READ], **parameters)
    assert output["IsTruncated"]
    assert sum(len(each["ResourceSpecificResults"]) for each in output["EvaluationResults"]) < 8_000
    many = document(*[saying("Deny", "s3:*")] * 1_000)
    with pytest.raises(InvalidInput, match="too large"):
        run_as_admin(
            store, "SimulateCustomPolicy", PolicyInputList=[many], **{**parameters, "ResourceArns": [OBJECT] * 100}
        )
    store.close()


def test_too_large_simulation_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies times resources, and the characters of all policies, are limited."""
    store = store_with_admin()
    monkeypatch.setattr(simulator, "MAX_COST", 2_000)
    parameters: dict[str, Any] = {"ActionNames": ["s3:GetObject"], "PolicyInputList": [READ]}
    assert run_as_admin(store, "SimulateCustomPolicy", ResourceArns=[OBJECT], **parameters)["EvaluationResults"]
    for more in ({"ResourceArns": [OBJECT] * 3}, {"PolicyInputList": [READ, READ + " " * 2_000]}):
        with pytest.raises(InvalidInput, match="too large"):
            run_as_admin(store, "SimulateCustomPolicy", **{**parameters, **more})
    long = "x" * (MAX_CHARACTERS // 2 + 1)
    with pytest.raises(InvalidInput, match="characters together"):
        run_as_admin(store, "SimulateCustomPolicy", **{**parameters, "PolicyInputList": [long], "ResourcePolicy": long})
    store.close()


# --- permissions ---------------------------------------------------------------------------------------------------


def test_simulation_needs_permission(client_for: Any) -> None:
    """SimulateCustomPolicy has no resource."""
    powerless = client_for("powerless")
    with refusal("AccessDenied", "is not authorized to perform: iam:SimulateCustomPolicy", 403):
        powerless.simulate_custom_policy(PolicyInputList=[READ], ActionNames=["s3:GetObject"])

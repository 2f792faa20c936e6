"""The search for paths: what it reports, its order, its laws, and that accounts stay apart."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.analysis.escalation.escalation_path import EscalationPath, EscalationStep
from iam_guard.analysis.escalation.escalation_search import escalation_paths
from tests.analysis.escalation.escalation_worlds import (
    ACME,
    EVERYTHING,
    GLOBEX,
    Json,
    account,
    allow,
    arn,
    deny,
    document,
    found,
    policy,
    role,
    seeded,
    trust,
    user,
)
from tests.analysis.escalation.random_worlds import random_world
from tests.tables import table

TO_ADMINISTRATOR = ("user/ada", "administrator")
SEEDS = st.integers(0, 10_000)


def test_path_has_its_fixed_form() -> None:
    step = EscalationStep("iam:PutUserPolicy", arn("user/ada"), "why")
    assert EscalationPath(arn("user/ada"), "administrator", (step,)).to_dict() == {
        "from": arn("user/ada"),
        "to": "administrator",
        "steps": [{"action": "iam:PutUserPolicy", "resource": arn("user/ada"), "why": "why"}],
    }


NOW = datetime(2026, 3, 1, tzinfo=UTC)


@table(
    ("operator", "moment", "has_path"),
    [
        ("DateLessThan", "2020-01-01T00:00:00Z", False),
        ("DateEquals", "1577836799", False),
        ("DateGreaterThan", "2026-03-01T00:00:00Z", False),
        ("DateGreaterThan", "2020-01-01T00:00:00Z", True),
        ("DateLessThan", "2026-02-28T23:59:00Z", True),
        ("DateEquals", "2026-02-28T23:59:00.5Z", True),
        ("DateLessThanIfExists", "2020-01-01T00:00:00Z", True),
    ],
)
def test_no_path_needs_a_session_of_another_time(operator: str, moment: str, has_path: bool) -> None:
    """Credentials were issued between 2020 and the call, or are those of no session."""
    condition: Json = {operator: {"aws:TokenIssueTime": moment}}
    world = account(user("ada", allow("iam:PutUserPolicy", on=arn("user/ada"), **condition)))
    with seeded(world) as store:
        assert bool(escalation_paths(store, now=NOW)) is has_path


def test_deny_of_old_sessions_blocks_no_path() -> None:
    """As AWS revokes sessions (S-50): a Deny of credentials that are too old to be in use."""
    old = deny("*", Resource="*", Condition={"DateLessThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"}})
    world = account(user("ada", allow("iam:PutUserPolicy", on=arn("user/ada")), old))
    with seeded(world) as store:
        [path] = escalation_paths(store, now=NOW)
    assert "aws:TokenIssueTime" not in path.steps[0].why


def test_step_names_its_statements_and_conditions() -> None:
    """By the policy, the group that it comes from, and the conditions that the caller is taken to satisfy."""
    own = document({"Sid": "Join", **allow("iam:AddUserToGroup", on=arn("group/ops"))})
    writes = document(allow("iam:PutUserPolicy", IpAddress={"aws:SourceIp": "203.0.113.0/24"}))
    world = account(
        {"name": "ada", "groups": ["team"]},
        groups=[{"name": "team", "inline": {"Own": own}}, {"name": "ops", "inline": {"Write": writes}}],
    )
    with seeded(world) as store:
        [path] = escalation_paths(store)
    ada = arn("user/ada")
    assert [step.why for step in path.steps] == [
        f"statement Join in identity-based policy group/team/Own (through group team) allows {ada} to call "
        f"iam:AddUserToGroup on {arn('group/ops')}; it adds {ada} to the group",
        f"statement 0 in identity-based policy group/ops/Write allows {ada} to call iam:PutUserPolicy on {ada}; "
        "it depends on aws:SourceIp, which the caller is taken to satisfy; it writes a policy that allows everything",
    ]


def test_administrators_and_root_users_are_no_start() -> None:
    world = account(user("ada", EVERYTHING), user("bob", attached=["AdministratorAccess"]), role("ops", trust(ACME)))
    assert found(world) == {}


def test_iam_alone_is_no_administrator_but_one_step_away() -> None:
    assert found(account(user("ada", attached=["IAMFullAccess"])))[TO_ADMINISTRATOR][0].startswith("iam:")
    assert found(account(user("ada", attached=["PowerUserAccess"]))) == {}


def test_shortest_path_is_reported() -> None:
    """One call rather than two, whatever their order in the policy."""
    statements = allow("iam:UpdateAssumeRolePolicy", "sts:AssumeRole"), allow("iam:PutUserPolicy", on=arn("user/ada"))
    world = account(user("ada", *statements), role("ops", trust("ec2.amazonaws.com", kind="Service"), EVERYTHING))
    assert found(world) == {TO_ADMINISTRATOR: ["iam:PutUserPolicy"]}


def test_loss_by_a_step_counts() -> None:
    """Who must join a group with a Deny keeps that Deny."""
    denies = document({"Effect": "Deny", "NotAction": "iam:AttachUserPolicy"}, allow("iam:AttachUserPolicy"))
    groups = [{"name": "trap", "inline": {"Own": denies}}]
    assert found(account(user("ada", allow("iam:AddUserToGroup")), groups=groups)) == {}
    leaving = user("ada", allow("iam:AddUserToGroup"), allow("iam:RemoveUserFromGroup"))
    assert found(account(leaving, groups=groups)) == {}


def test_accounts_stay_apart() -> None:
    """IAM calls are about the caller's own account."""
    acme = account(user("ada", allow("iam:CreateAccessKey", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy")))
    globex = account(user("gus", EVERYTHING), role("ops", trust(GLOBEX), EVERYTHING), id=GLOBEX)
    assert found(acme, globex) == {}


def test_many_changes_of_one_principal_are_combined() -> None:
    """Five policies deny a part each; detaching three of them is enough."""
    denied = ["iam:Put*", "iam:Attach*", "iam:Create*", "iam:Any*", "any-service:*"]
    policies = [policy(f"No{number}", deny(action)) for number, action in enumerate(denied)]
    names = [policy["name"] for policy in policies]
    steps = found(account(user("ada", EVERYTHING, attached=names), policies=policies))[TO_ADMINISTRATOR]
    assert steps == ["iam:DetachUserPolicy"] * 3


@settings(max_examples=25)
@given(SEEDS)
def test_deny_of_iam_and_sts_ends_all_paths(seed: int) -> None:
    """Law: a principal that may call neither IAM nor STS starts no path."""
    world = random_world(random.Random(seed))
    ada = world["users"][0]
    ada["inline"] = {**ada.get("inline", {}), "Never": document(deny("iam:*", "sts:*"))}
    assert not [start for start, _ in found(world) if start == "user/ada"]


@settings(max_examples=25)
@given(SEEDS)
def test_order_of_entities_does_not_matter(seed: int) -> None:
    """Law: the same paths, of the same length, for another order of principals, policies and statements."""
    world = random_world(random.Random(seed))
    assert lengths(world) == lengths(reversed_world(world))


@settings(max_examples=25)
@given(SEEDS)
def test_more_permissions_never_lose_an_administrator(seed: int) -> None:
    """Law: one more Allow for the start keeps its way to an administrator, or makes it one."""
    world = random_world(random.Random(seed))
    before = found(world)
    ada = world["users"][0]
    ada["inline"] = {**ada.get("inline", {}), "More": document(allow("iam:AttachGroupPolicy", "sts:AssumeRole"))}
    assert TO_ADMINISTRATOR not in before or TO_ADMINISTRATOR in found(world)


def lengths(world: Json) -> dict[tuple[str, str], int]:
    return {key: len(steps) for key, steps in found(world).items()}


def reversed_world(value: Any) -> Any:
    """Return a value with every list and mapping in reverse order."""
    match value:
        case dict():
            return {key: reversed_world(item) for key, item in reversed(value.items())}
        case list():
            return [reversed_world(item) for item in reversed(value)]
    return value


@table(
    ("statement", "target"),
    [
        ({"Action": ["iam:*"], "Resource": "*"}, "administrator"),
        ({"NotAction": ["docs:*", "iam:AnyAction"], "Resource": "*"}, "administrator"),
        ({"NotAction": ["docs:*"], "Resource": "*"}, None),  # an administrator already
        ({"Action": ["iam:P*Policy"], "NotResource": arn("role/*")}, "administrator"),
        ({"Action": ["iam:Put?serPolicy"], "Resource": arn("user/*d*")}, "administrator"),
        ({"Action": ["iam:PutUserPolicy"], "NotResource": arn("user/*")}, None),
        ({"Action": ["IAM:putuserpolicy"], "Resource": "arn:aws:iam::*:user/a?a"}, "administrator"),
        ({"Action": ["iam:PutUserPolicy"], "Resource": "arn:aws:iam::*:user/A?A"}, None),
    ],
    ids=str,
)
def test_written_forms_of_statements(statement: Json, target: str | None) -> None:
    written = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}}
    paths = found(account({"name": "ada", "inline": {"Own": written}}))
    assert {name for _, name in paths} == ({target} if target else set())

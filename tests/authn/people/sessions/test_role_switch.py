"""Who may switch to which role with a browser session, and what the trail has of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.authn.federation import role_session
from iam_guard.authn.people.sessions import role_switch
from iam_guard.authn.people.sessions.role_switch import TypedRole
from iam_guard.errors import AccessDenied
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.schema import browser_sessions, identities
from tests.authn.people.role_parts import (
    ACME,
    ADA,
    ASSUMES,
    CALL,
    HOUR,
    START,
    SUPPORT,
    SUPPORT_ARN,
    UMBRELLA,
    Json,
    World,
    policy,
    trust,
)
from tests.tables import table


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.guard.close()


def for_team(key: str, team: str) -> Json:
    return policy("Allow", "sts:AssumeRole", Condition={"StringEquals": {key: team}})


FROM_ACME = f"arn:aws:iam::{ACME}:root"
WITH_MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
RECENT = {"NumericLessThan": {"aws:MultiFactorAuthAge": "120"}}
CASES: dict[str, tuple[Json, bool]] = {
    "both sides allow": ({}, True),
    "trust of the user": ({"role": {"trust": trust(ADA)}}, True),
    "trust of another user": ({"role": {"trust": trust(f"arn:aws:iam::{ACME}:user/bob")}}, False),
    "trust of another account": ({"role": {"trust": trust(f"arn:aws:iam::{UMBRELLA}:root")}}, False),
    "no identity policy": ({"user": {"inline": {}}, "role": {"trust": trust(ADA)}}, False),
    "another role allowed": ({"user": {"inline": {"A": policy("Allow", "sts:AssumeRole", f"{SUPPORT_ARN}2")}}}, False),
    "denied": ({"user": {"inline": {"A": ASSUMES, "D": policy("Deny", "sts:*")}}}, False),
    "external id": ({"role": {"trust": trust(FROM_ACME, StringEquals={"sts:ExternalId": "7"})}}, False),
    "session name": ({"role": {"trust": trust(FROM_ACME, StringEquals={"sts:RoleSessionName": "ada"})}}, True),
    "session name by variable": (
        {"role": {"trust": trust(FROM_ACME, StringLike={"sts:RoleSessionName": "${aws:username}"})}},
        True,
    ),
    "another session name": ({"role": {"trust": trust(FROM_ACME, StringEquals={"sts:RoleSessionName": "bob"})}}, False),
    "second factor without": ({"role": {"trust": trust(FROM_ACME, **WITH_MFA)}}, False),
    "second factor": ({"role": {"trust": trust(FROM_ACME, **WITH_MFA)}, "mfa_at": START}, True),
    "recent second factor": ({"role": {"trust": trust(FROM_ACME, **RECENT)}, "mfa_at": START}, True),
    "old second factor": ({"role": {"trust": trust(FROM_ACME, **RECENT)}, "mfa_at": START - HOUR}, False),
    "source identity": ({"role": {"trust": trust(FROM_ACME, Null={"sts:SourceIdentity": "false"})}}, False),
    "tag of the role": (
        {"user": {"inline": {"A": for_team("iam:ResourceTag/team", "blue")}}},
        True,
    ),
    "another tag of the role": (
        {"user": {"inline": {"A": for_team("aws:ResourceTag/team", "red")}}},
        False,
    ),
    "boundary": (
        {
            "user": {"boundary": f"arn:aws:iam::{ACME}:policy/Reads"},
            "account": {"policies": [{"name": "Reads", "document": policy("Allow", "docs:*")}]},
        },
        False,
    ),
}  # fmt: skip


@table("name", CASES)
def test_person_may_switch_if_it_may_assume_the_role(name: str) -> None:
    """By a table of policies, and exactly as STS's AssumeRole decides for the same caller."""
    facts, expected = CASES[name]
    world = World(**{key: value for key, value in facts.items() if key != "mfa_at"})
    session = world.sign_in(mfa_at=facts.get("mfa_at"))
    try:
        assumed: Principal | None = world.assume(session.principal, SUPPORT_ARN)
    except AccessDenied:
        assumed = None
    signed_in = world.guard.people.role_switch.switch(session, SUPPORT, CALL)
    assert (signed_in is not None, assumed is not None) == (expected, expected)
    assert signed_in is None or signed_in.session.principal == assumed
    assert (world.find(session) is None) == expected  # the person's session goes on after a refusal
    world.guard.close()


REFUSED: dict[str, tuple[str, TypedRole]] = {
    "root user": ("root", SUPPORT),
    "user without permission": ("bob", SUPPORT),
    "unknown role": ("ada", TypedRole("umbrella", "Nothing")),
    "role in other case": ("ada", TypedRole("umbrella", "support")),
    "role without its path": ("ada", TypedRole(ACME, "Auditor")),
    "role with another path": ("ada", TypedRole(ACME, "other/Auditor")),
    "unknown alias": ("ada", TypedRole("nothing", "Support")),
    "unknown account": ("ada", TypedRole("999999999999", "Support")),
    "no account": ("ada", TypedRole("", "Support")),
    "no role": ("ada", TypedRole(UMBRELLA, "")),
    "path without role": ("ada", TypedRole(ACME, "team/")),
    "wildcard": ("ada", TypedRole(UMBRELLA, "*")),
    "ARN": ("ada", TypedRole(UMBRELLA, SUPPORT_ARN)),
    "a user": ("ada", TypedRole(ACME, "../user/ada")),
    "control characters": ("ada", TypedRole(UMBRELLA, "Sup\nport")),
    "too long": ("ada", TypedRole(UMBRELLA, "p/" * 50 + "Support")),
    "name too short for a session": ("x", SUPPORT),
    "service-linked account": ("ada", TypedRole(role_switch.NO_ACCOUNT, "Support")),
}


@table("name", REFUSED)
def test_refused_switch_changes_nothing(world: World, name: str) -> None:
    person, typed = REFUSED[name]
    session = world.sign_in(person)
    assert world.guard.people.role_switch.switch(session, typed, CALL) is None
    assert world.find(session) == session


def test_account_is_typed_by_id_or_alias(world: World) -> None:
    """With what people copy around it; the role with or without the first slash."""
    for account, role in ((UMBRELLA, "Support"), (" Umbrella ", " Support "), (UMBRELLA, "/Support")):
        assert world.switch(world.sign_in(), TypedRole(account, role)).principal.role_arn == SUPPORT_ARN


@table("task", ["factor", "password"])
def test_session_with_a_task_can_not_switch(world: World, task: str) -> None:
    """Not even if the request found it before it had the task."""
    session = world.sign_in(task=task)
    assert world.guard.people.role_switch.switch(session, SUPPORT, CALL) is None
    with pytest.raises(AccessDenied):
        world.guard.people.browser_sessions.switch(session, None)
    assert world.find(session) is not None


def test_session_that_ends_meanwhile_is_not_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the decision and the new session, in another process: signed out stays signed out."""
    session = world.sign_in()

    def admit_and_end(*args: Any) -> Any:
        role = role_session.admit(*args)
        world.guard.people.browser_sessions.end(session.id, world.person())
        return role

    monkeypatch.setattr(role_switch, "admit", admit_and_end)
    assert world.guard.people.role_switch.switch(session, SUPPORT, CALL) is None
    with world.guard.store.read_transaction() as records:
        assert records.all(browser_sessions) == []


def test_role_that_is_deleted_meanwhile_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session = world.sign_in()

    def admit_and_delete(*args: Any) -> Any:
        role = role_session.admit(*args)
        with world.guard.store.write_transaction() as records:
            records.delete(identities, id=role.id)
        return role

    monkeypatch.setattr(role_switch, "admit", admit_and_delete)
    assert world.guard.people.role_switch.switch(session, SUPPORT, CALL) is None
    assert world.find(session) == session


def test_one_of_several_switches_at_once_succeeds(world: World) -> None:
    """Of one session, in several threads: the others find that it has ended."""
    session = world.sign_in()
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: world.guard.people.role_switch.switch(session, SUPPORT, CALL), range(8)))
    [signed_in] = [result for result in done if result is not None]
    with world.guard.store.read_transaction() as records:
        assert [row["digest"] for row in records.all(browser_sessions)] == [signed_in.session.digest]


@given(st.text(max_size=80), st.text(max_size=40) | st.sampled_from([UMBRELLA, "umbrella"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_any_text_is_refused_alike(world: World, role: str, account: str) -> None:
    """Without another error."""
    session = world.guard.people.browser_sessions.of(world.person()) or [world.sign_in()]
    assert world.guard.people.role_switch.switch(session[0], TypedRole(account, f"x{role}"), CALL) is None


# --- the trail --------------------------------------------------------------------------------------------------------


def test_trail_has_both_steps_as_in_cloudtrail(world: World) -> None:
    in_role = world.switch(world.sign_in(mfa_at=START))
    world.may(in_role.principal, "docs:GetDocument")
    world.leave(in_role)
    records = world.trail()
    asked = next(record for record in records if record["eventName"] == "AssumeRole")
    assert (asked["userIdentity"]["arn"], asked["resources"][0]["ARN"]) == (ADA, SUPPORT_ARN)
    assert asked["sharedEventID"]
    switched, left = (
        next(record for record in records if record["eventName"] == name) for name in ("SwitchRole", "ExitRole")
    )
    assert switched["additionalEventData"] == {"SwitchFrom": ADA, "RedirectTo": "/documents/7"}
    for record in (switched, left):
        assert (record["eventSource"], record["eventType"]) == ("signin.amazonaws.com", "AwsConsoleSignIn")
        assert record["responseElements"] == {record["eventName"]: "Success"}
        assert record["recipientAccountId"] == UMBRELLA
        identity = record["userIdentity"]
        assert (identity["type"], identity["arn"]) == ("AssumedRole", in_role.principal.arn)
        assert identity["credentialId"] == in_role.id
    used = next(record for record in records if record["eventName"] == "GetDocument")
    assert used["sessionCredentialFromConsole"] == "true"
    context = used["userIdentity"]["sessionContext"]
    assert context["sessionIssuer"]["arn"] == SUPPORT_ARN
    assert context["attributes"] == {"creationDate": "2026-03-01T12:00:00Z", "mfaAuthenticated": "false"}


def test_trail_has_the_reason_of_a_refusal(world: World) -> None:
    """The decision if there was one; never what is not the name of a role, which may be a password."""
    for person, typed in REFUSED.values():
        assert world.guard.people.role_switch.switch(world.sign_in(person), typed, CALL) is None
    assert world.guard.people.role_switch.switch(world.sign_in(task="factor"), SUPPORT, CALL) is None
    records = world.trail()
    failures = [record for record in records if record["eventName"] == "SwitchRole"]
    assert len(failures) == len(REFUSED) + 1
    for record in failures:
        assert record["responseElements"] == {"SwitchRole": "Failure"}
        assert record["additionalEventData"]["Reason"]
        assert record["userIdentity"]["type"] in ("IAMUser", "Root")
        assert record["recipientAccountId"] == ACME
    reasons = {record["additionalEventData"]["Reason"] for record in failures}
    assert {"Roles may not be assumed by root accounts.", "The sign-in is not complete."} <= reasons
    denials = [record for record in records if record["eventName"] == "AssumeRole"]
    assert all(record["errorCode"] == "AccessDenied" for record in denials)
    assert len(denials) >= 8
    assert "Sup\\nport" not in json.dumps(records)
    assert PrincipalType.ASSUMED_ROLE.value not in {record["userIdentity"]["type"] for record in records}

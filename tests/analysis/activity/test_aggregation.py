"""Activity of a principal: which records count, what is aggregated, and how gaps of the trail are reported."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from iam_guard.analysis.activity import ArnTemplates, aggregate_activity
from iam_guard.analysis.activity.actor import Actor
from iam_guard.analysis.activity.aggregation import MAX_NAMES, Activity
from iam_guard.analysis.activity.observations import GrantSource
from iam_guard.errors import InvalidInput
from iam_guard.model.catalogue import Catalogue
from tests.analysis.activity.records import (
    ACME,
    GLOBEX,
    RESOURCE,
    RITA,
    RITA_ID,
    ROLE,
    ROLE_ID,
    decided,
    document,
    own,
    refused,
    session,
    user,
)
from tests.tables import table

SESSION = f"arn:aws:sts::{ACME}:assumed-role/auditor/carol"
FEDERATED = {
    "type": "FederatedUser",
    "principalId": f"{ACME}:fred",
    "arn": f"arn:aws:sts::{ACME}:federated-user/fred",
    "accountId": ACME,
    "sessionContext": {"sessionIssuer": {"type": "IAMUser", "arn": RITA}},
}
ROOT = {"type": "Root", "principalId": ACME, "arn": f"arn:aws:iam::{ACME}:root", "accountId": ACME}
MAILER = {"type": "AWSService", "invokedBy": "mailer.example.com"}
ALL_CALLERS = [
    user(),
    user(f"{RITA}2", "AIDAEXAMPLERITA000002"),
    session(),
    session("dave"),
    session(role=f"arn:aws:iam::{ACME}:role/other/auditor", id="AROAEXAMPLEROLE000002"),
    FEDERATED,
    ROOT,
    MAILER,
    {"type": "AWSAccount", "principalId": "", "accountId": "anonymous"},
]


def counted(activity: Activity) -> int:
    return sum(action.allowed.count + action.denied.count for action in activity.actions.values())


@table(
    ("principal", "count", "kind"),
    [
        (RITA, 2, "user"),  # and whom she federates
        (RITA_ID, 1, "id"),
        (ROLE, 2, "role"),
        (ROLE_ID, 2, "id"),
        (SESSION, 2, "session"),  # of two roles that have the same name, for the ARN has no path
        (FEDERATED["arn"], 1, "session"),
        (ROOT["arn"], 1, "root"),
        ("mailer.example.com", 1, "service"),
        (f"arn:aws:iam::{ACME}:user/nobody", 0, "user"),
    ],
)
def test_records_of_principal_are_counted(principal: str, count: int, kind: str) -> None:
    """Users and roles by ARN or unique id, roles with all their sessions, services by name."""
    activity = aggregate_activity([decided(who=each) for each in ALL_CALLERS], principal)
    assert (counted(activity), activity.actor.kind) == (count, kind)
    assert sum(activity.callers.values()) == count


@table(
    "name",
    [
        "",
        "rita",
        "*",
        "AIDASHORT",
        f"arn:aws:iam::{ACME}:group/g",
        "arn:aws:iam::acme:user/rita",
        f"arn:aws:iam::{ACME}:user/",
        document(),
    ],
)
def test_invalid_principal_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="expected the ARN of a user, a role"):
        Actor.parse(name)


def test_actions_are_aggregated() -> None:
    """Counts, first and last time, grant source, resource and keys read; action names are case-insensitive."""
    moments = [f"2026-11-24T12:00:0{second}Z" for second in range(6)]
    conditions = [{"key": "aws:SourceIp", "value": "203.0.113.7"}, {"key": "docs:owner", "missing": True}]
    activity = aggregate_activity(
        [
            decided(time=moments[3], conditions=conditions),
            decided("docs:get", time=moments[1], policySet={"digest": "d", "sessionPolicies": 1}),
            decided(time=moments[2], outcome="ImplicitlyDenied"),
            decided(time=moments[4], reasons=[RESOURCE]),
            decided(resource="*", time=moments[5], reasons=[{"policyType": "identity-based policy", "note": "none"}]),
            decided("docs:Put", document(8), time=moments[0]),
        ],
        RITA,
    )
    get = activity.actions["docs:get"]
    assert (get.action, get.allowed.count, get.allowed.first, get.allowed.last) == (
        "docs:Get",
        4,
        moments[1],
        moments[5],
    )
    assert (get.denied.count, get.denied.first) == (1, moments[2])
    assert {leave: each.count for leave, each in get.resources[document()].by_source.items()} == {
        GrantSource.IDENTITY: 2,
        GrantSource.DENIED: 1,
        GrantSource.RESOURCE: 1,
    }
    assert list(get.resources["*"].by_source) == [GrantSource.NONE_NEEDED]
    assert (get.keys, get.with_session_policies) == ({"aws:SourceIp": 1, "docs:owner": 1}, 1)
    assert (activity.unique_ids, activity.accounts) == ({RITA_ID: 6}, {ACME: 6})
    assert (activity.seen.first, activity.seen.last, activity.is_complete) == (moments[0], moments[5], True)


def test_period_excludes_its_end() -> None:
    records = [decided(time=f"2026-11-24T12:00:0{second}Z") for second in range(5)]
    since, until = (datetime(2026, 11, 24, 12, 0, second, tzinfo=UTC) for second in (1, 4))
    activity = aggregate_activity(records, RITA, since=since, until=until)
    assert activity.actions["docs:get"].allowed.count == 3
    assert activity.seen.count == 3
    with pytest.raises(InvalidInput, match="expected a time with a time zone"):
        aggregate_activity([], RITA, since=datetime(2026, 11, 24))  # noqa: DTZ001


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@table(
    ("record", "gap"),
    [
        (own("audit_segment"), None),
        (own("audit_end"), None),
        (own("audit_refused"), None),
        (own("audit_gap", reason="DiskFull", lost=3), "3 records are missing (DiskFull)"),
        (own("audit_gap", reason="ProcessEnded"), "some records are missing (ProcessEnded)"),
        (
            own(
                "audit_gap",
                "2026-11-24T14:00:00Z",
                reason="X",
                firstTime="2026-11-24T12:30:00Z",
                lastTime="2026-11-24T12:40:00Z",
            ),
            "2026-11-24T12:30:00Z to 2026-11-24T12:40:00Z",
        ),
        (
            own("audit_gap", "2026-11-24T14:00:00Z", firstTime="2026-11-24T13:30:00Z", lastTime="2026-11-24T13:40:00Z"),
            None,
        ),
        (own("audit_gap", "2026-11-24T11:00:00Z", reason="X"), None),
        (own("audit_sampled", sampledOut=12, fraction=0.1), "sampling left out 12 read-only requests"),
        (
            own("audit_retention", dropped={"shard": "s-1", "first": 0, "last": 9}),
            "retention dropped records of the shard s-1",
        ),
    ],
)
def test_gaps_of_trail_are_reported(record: dict[str, Any], gap: str | None) -> None:
    """A gap of the period makes the activity incomplete; one before or after it does not."""
    activity = aggregate_activity([decided(), record], RITA, since=NOON, until=NOON.replace(hour=13))
    assert activity.is_complete == (gap is None)
    assert (gap or "") in "".join(activity.gaps)
    assert len(activity.gaps) == (gap is not None)


def test_unknown_trail_records_make_it_incomplete() -> None:
    activity = aggregate_activity([own("audit_novelty")], RITA)
    assert (activity.is_complete, activity.unknown) == (False, {"audit_novelty": 1})


@table(("begins", "is_reported"), [(10, True), (11, False)])
def test_old_retention_is_no_gap(begins: int, is_reported: bool) -> None:
    """If the shard has lines after the dropped ones and before the period, the period is complete."""
    first = decided(shard="s-1", sequence=begins)
    dropped = own("audit_retention", dropped={"shard": "s-1", "first": 0, "last": 9}, shard="s-2", sequence=5)
    assert bool(aggregate_activity([first, dropped], RITA, since=NOON).gaps) == is_reported
    assert aggregate_activity([first, dropped], RITA).gaps


@table("listed", ["redacted", "truncated", "dropped", "pseudonymised"])
def test_altered_members_are_not_used(listed: str) -> None:
    """A record without its action or resource is unreadable, one without its caller unattributed."""
    records = [
        decided(**{listed: ["/resources/0/ARN"]}),
        decided(**{listed: ["/userIdentity/arn"]}),
        decided(**{listed: ["/userAgent"]}),
    ]
    activity = aggregate_activity(records, RITA)
    assert activity.unreadable == {"the action or the resource was redacted or truncated": 1}
    assert (activity.unattributed, counted(activity), activity.is_complete) == (1, 1, False)


@table("place", ["/userIdentity/userName", "/userIdentity/accessKeyId", "/userIdentity/credentialId"])
def test_altered_unneeded_members_are_ignored(place: str) -> None:
    """For example the name of a user whose ARN is present."""
    activity = aggregate_activity([decided(pseudonymised=[place])], RITA)
    assert (activity.unattributed, counted(activity), activity.is_complete) == (0, 1, True)


@table("place", ["/userIdentity/sessionContext", "/userIdentity/sessionContext/sessionIssuer/arn"])
def test_session_without_role_is_unattributed(place: str) -> None:
    activity = aggregate_activity([decided(who=session(), dropped=[place])], ROLE)
    assert (activity.unattributed, activity.is_complete) == (1, False)


@table("place", ["/iamGuard/reasons", "/iamGuard/reasons/0/effect", "/iamGuard/reasons/0/policyType"])
def test_altered_grant_source_is_unreadable(place: str) -> None:
    """A mask must not be taken for the policy of the resource."""
    reasons = [{"policyType": "[redacted]", "effect": "Allow"}]
    activity = aggregate_activity([decided(reasons=reasons, redacted=[place])], RITA)
    assert activity.unreadable == {"what allowed the request was redacted or truncated": 1}
    assert aggregate_activity([decided(redacted=["/iamGuard/reasons/0/policy"])], RITA).is_complete


@table(
    ("record", "problem"),
    [
        (decided("docs:Get*"), "no policy can name the action"),
        (decided("docs:*"), "no policy can name the action"),
        (decided("docs:"), "no policy can name the action"),
        (decided() | {"resources": [{}]}, "the record is incomplete"),
        (decided() | {"iamGuard": {"kind": "decision"}}, "the record is incomplete"),
    ],
)
def test_malformed_records_are_counted(record: dict[str, Any], problem: str) -> None:
    """An action with a wildcard would be a wildcard in a policy."""
    activity = aggregate_activity([record], RITA)
    assert (activity.unreadable, counted(activity)) == ({problem: 1}, 0)


@table(
    "record",
    [
        {},
        {"iamGuard": None},
        decided() | {"eventTime": None},
        decided(error="the store is away"),
        decided() | {"iamGuard": {"kind": "authentication"}},
        decided() | {"iamGuard": {"kind": "admin_call"}},
    ],
)
def test_records_without_decision_are_ignored(record: dict[str, Any]) -> None:
    assert aggregate_activity([record], RITA).actions == {}


def test_resources_over_limit_are_aggregated() -> None:
    """By template; those without one are counted as left out."""
    docs = Catalogue("docs")
    docs.declare("Get", "document/{id}")
    other = f"arn:aws:docs:us-east-1:{ACME}:thing/"
    records = [decided(resource=document(number), conditions=[{"key": f"docs:k{number}"}]) for number in range(1500)]
    records += [decided(resource=f"{other}{number}") for number in range(30)]
    activity = aggregate_activity(records, RITA, templates=ArnTemplates([docs]), max_resources=100)
    get = activity.actions["docs:get"]
    assert (len(get.resources), len(get.keys)) == (100, MAX_NAMES)
    [pattern] = get.patterns
    assert (pattern, get.patterns[pattern].by_source[GrantSource.IDENTITY].count) == (document("*"), 1400)
    assert (get.left_out.count, activity.is_complete) == (30, False)


def test_actions_over_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iam_guard.analysis.activity.aggregation.MAX_ACTIONS", 3)
    activity = aggregate_activity([decided(f"docs:A{number}") for number in range(5)], RITA)
    assert (len(activity.actions), activity.left_out.count, activity.is_complete) == (3, 2, False)


def test_owner_of_allowed_resource_is_recorded() -> None:
    activity = aggregate_activity([decided(resource=document(1, GLOBEX))], RITA)
    assert activity.actions["docs:get"].resources[document(1, GLOBEX)].owners == {GLOBEX}


# --- refused for want of the record ----------------------------------------------------------------------------------

GET_USER = "arn:aws:iam::111122223333:user/carol"


def gotten(event: str, **more: Any) -> dict[str, Any]:
    return decided("iam:GetUser", GET_USER, event=event, **more)


def counts(activity: Activity, action: str = "iam:getuser") -> tuple[int, int, int]:
    found = activity.actions[action]
    return found.allowed.count, found.denied.count, found.refused.count


@table("is_later", [True, False])
def test_rejected_request_is_attempt_not_use(is_later: bool) -> None:
    """The record that reports the rejection may be in another file, which is read first."""
    late = gotten("e2", time="2026-11-25T12:00:00Z")
    records = [gotten("e1"), late, refused("e2")] if is_later else [refused("e2"), gotten("e1"), late]
    activity = aggregate_activity(records, RITA)
    assert counts(activity) == (1, 0, 1)
    get = activity.actions["iam:getuser"]
    assert (get.allowed.last, get.refused.first) == ("2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z")
    assert set(get.resources[GET_USER].by_source) == {GrantSource.IDENTITY, GrantSource.REFUSED}
    assert activity.is_complete


def test_record_read_twice_is_rejected_twice() -> None:
    records = [gotten("e1"), gotten("e1"), refused("e1"), gotten("e1")]
    assert counts(aggregate_activity(records, RITA)) == (0, 0, 3)


def test_rejection_after_period_counts() -> None:
    records = [gotten("e1"), gotten("e2"), gotten("e3", who=session()), refused("e3"), refused("e1"), refused("e9")]
    activity = aggregate_activity(records, RITA, until=datetime(2026, 11, 24, 12, 0, 1, tzinfo=UTC))
    assert counts(activity) == (1, 0, 1)
    assert activity.is_complete


def test_denial_is_not_marked_as_rejected() -> None:
    records = [gotten("e1", outcome="ImplicitlyDenied"), refused("e1")]
    assert counts(aggregate_activity(records, RITA)) == (0, 1, 0)


def test_rejection_over_limit_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iam_guard.analysis.activity.aggregation.MAX_PENDING", 2)
    records = [gotten(f"e{number}") for number in range(4)]
    assert aggregate_activity(records, RITA).is_complete
    activity = aggregate_activity([*records, refused("e3")], RITA)
    assert counts(activity) == (3, 0, 1)
    assert activity.is_complete
    activity = aggregate_activity([*records, refused("e0")], RITA)
    assert counts(activity) == (4, 0, 0)
    assert activity.gaps == ["the request of the record e0 was rejected, but may be counted as allowed"]

"""Internal access: the same answers as asking for each principal and action, and what findings say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.analysis.access.access_answers import Access, AccessVerdict
from iam_guard.analysis.access.who_can import who_can
from iam_guard.analysis.findings.internal_access import InternalAccess, InternalFinding
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.reference import ActionEntry, ActionTarget, ResourceType, ServiceReference
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import control_policies
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.analysis.findings.organizations import ACCOUNTS, ACTIONS, DOCUMENTS, MANAGEMENT, random_seed

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ROLE = f"arn:aws:iam::{ACCOUNTS[0]}:role/r0"
ZONE = (*ACCOUNTS, MANAGEMENT)
DOCS = ServiceReference(
    "docs",
    tuple(ActionEntry(action.partition(":")[2], resources=(ActionTarget("document"),)) for action in ACTIONS),
    (ResourceType("document", ("arn:${Partition}:docs:${Region}:${Account}:document/${Id}",)),),
)


@contextmanager
def store_of(seed: dict[str, Any]) -> Iterator[SqlStore]:
    with closing(create_store("sqlite://", Settings())) as store:
        apply_seed(store, load_seed_text(json.dumps(seed)))
        yield store


def expected(store: SqlStore, action: str, resource: str) -> dict[str, tuple[AccessVerdict, frozenset[str]]]:
    """Return the verdict and the keys about each principal of the zone that can perform an action, by brute force."""
    found = who_can(store, action, resource, now=NOW)
    able = [access for access in found if access.verdict is not AccessVerdict.DENIED]
    answers = {access.principal: access for access in able if access.kind in ("user", "role") and in_zone(access)}
    for access in able:
        if access.kind in ("session", "federated user") and in_zone(access):
            role = access.principal.replace(":sts:", ":iam:").replace("assumed-role", "role").rpartition("/")[0]
            if role not in answers or answers[role].verdict is not AccessVerdict.ALLOWED:
                answers[access.principal] = access
    return {
        principal: (
            # the policies of a federated user are assumed to allow
            AccessVerdict.ALLOWED
            if access.kind == "federated user" and not access.answer.open_keys
            else access.verdict,
            frozenset(key.lower() for key in access.answer.open_keys),
        )
        for principal, access in answers.items()
    }


def in_zone(access: Access) -> bool:
    return access.principal.split(":")[4] in ZONE


def answers(findings: list[InternalFinding], action: str) -> dict[str, tuple[AccessVerdict, frozenset[str]]]:
    """Return the verdict and the keys about each principal with an action in its findings."""
    return {
        finding.principal: (
            AccessVerdict.CONDITIONAL if finding.condition else AccessVerdict.ALLOWED,
            frozenset(key.lower() for key in finding.condition),
        )
        for finding in findings
        if action in finding.actions
    }


@given(st.integers(min_value=0, max_value=2**32))
@settings(max_examples=12)
def test_findings_equal_brute_force(number: int) -> None:
    """Every principal and action: with all actions known, and with any."""
    with store_of(random_seed(Random(number))) as store:
        known = InternalAccess(store, references=[DOCS], now=NOW)
        unknown = InternalAccess(store, now=NOW)
        for resource in DOCUMENTS:
            findings = known.findings(resource)
            for action in ACTIONS:
                assert answers(findings, action) == expected(store, action, resource), (resource, action)
            check_unknown_actions(store, unknown.findings(resource), resource)
        findings = known.findings(ROLE)
        for action in ("sts:AssumeRole", "sts:TagSession", "iam:DeleteRole", "iam:PassRole"):
            assert answers(findings, action) == expected(store, action, ROLE), action


def check_unknown_actions(store: SqlStore, findings: list[InternalFinding], resource: str) -> None:
    """Check that a wildcard of the findings of a principal matches each action that it can perform."""
    names = {name for finding in findings for name in finding.actions}
    for action in ACTIONS:
        if action in names:
            assert answers(findings, action) == expected(store, action, resource), (resource, action)
    for action in ("docs:GetOther", "docs:PutOtherDocument", "docs:GetOtherDocument", "docs:GutSecret", "docs:Other"):
        for principal in expected(store, action, resource):
            entries = [name for finding in findings if finding.principal == principal for name in finding.actions]
            assert any(compile_glob(entry)(action) for entry in entries), (resource, action, principal)


def test_zone_limits_principals_and_resources() -> None:
    """Another account of the organization is outside of a zone of one account."""
    with store_of(small_seed()) as store:
        own, other = InternalAccess(store, [ACCOUNTS[0]], now=NOW), InternalAccess(store, [ACCOUNTS[1]], now=NOW)
        assert [finding.access_type for finding in own.findings(DOCUMENTS[0])] == ["INTRA_ACCOUNT"]
        with pytest.raises(InvalidInput, match="zone of trust"):
            other.findings(DOCUMENTS[0])
        found = InternalAccess(store, now=NOW).findings(DOCUMENTS[0])
        assert [finding.access_type for finding in found] == ["INTRA_ACCOUNT", "INTRA_ORG"]


def test_control_policies_are_flagged() -> None:
    """Applied, not applicable, or unreadable, where the guard denies."""
    with store_of(small_seed()) as store:
        access = InternalAccess(store, now=NOW)
        restrictions = {(found.scp_restriction, found.rcp_restriction) for found in access.findings(DOCUMENTS[0])}
        assert restrictions == {("APPLIED", "APPLIED")}
        [finding] = access.findings(f"arn:aws:docs:us-east-1:{MANAGEMENT}:document/x")
        assert (finding.scp_restriction, finding.rcp_restriction) == ("NOT_APPLICABLE", "NOT_APPLICABLE")
        with store.write_transaction() as records:
            records.update(control_policies, {"text": "{"}, name="S")
        found = InternalAccess(store, now=NOW).findings(DOCUMENTS[0])
        assert {finding.scp_restriction for finding in found} == {"FAILED_TO_EVALUATE_SCP"}
        [finding] = InternalAccess(store, now=NOW).findings(f"arn:aws:docs:us-east-1:{MANAGEMENT}:document/x")
        assert finding.scp_restriction == "NOT_APPLICABLE"


def test_too_complex_actions_are_an_error() -> None:
    """Within seconds; a reference of the service makes them simple."""
    seed = small_seed()
    letters = "abcdefghijkl"
    entries = [f"docs:*{one}*{other}*" for one in letters for other in letters]
    seed["accounts"][1]["users"][0]["inline"]["I"]["Statement"][0]["Action"] = entries
    with store_of(seed) as store:
        with pytest.raises(InvalidInput, match="describe the actions with a reference"):
            InternalAccess(store, now=NOW).findings(DOCUMENTS[0])
        found = InternalAccess(store, references=[DOCS], now=NOW).findings(DOCUMENTS[0])
        assert [finding.access_type for finding in found] == ["INTRA_ACCOUNT", "INTRA_ORG"]


def small_seed() -> dict[str, Any]:
    """Return a seed in which one user of each account may get a document of the first."""
    allow = {"Effect": "Allow", "Action": "docs:GetDocument", "Resource": "*"}
    user = {"name": "u", "inline": {"I": {"Version": "2012-10-17", "Statement": [allow]}}}
    shared = {"Version": "2012-10-17", "Statement": [{**allow, "Principal": {"AWS": ACCOUNTS[1]}}]}
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    return {
        "version": 1,
        "organization": {
            "id": "o-exampleorg1",
            "management_account": MANAGEMENT,
            "policies": [
                {"name": "S", "type": "SCP", "document": everything},
                {
                    "name": "R",
                    "type": "RCP",
                    "document": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {"Effect": "Deny", "Principal": "*", "Action": "docs:Purge", "Resource": "*"},
                        ],
                    },
                },
            ],
            "units": [{"name": "t", "scps": ["FullAWSAccess", "S"], "rcps": ["R"], "accounts": list(ACCOUNTS)}],
        },
        "accounts": [
            {"id": MANAGEMENT, "users": [user]},
            {"id": ACCOUNTS[0], "users": [user], "resources": [{"arn": DOCUMENTS[0], "policy": shared}]},
            {"id": ACCOUNTS[1], "users": [user]},
        ],
    }

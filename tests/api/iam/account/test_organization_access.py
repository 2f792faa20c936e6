"""Organizations access reports: allowed services and last attempts (R-34)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from iam_guard.analysis.allowed_services import SERVICE_NAMES
from iam_guard.api.iam.account.organization_access import _ORGANIZATIONS_ACTIONS
from iam_guard.store.schema import control_policies, identities, service_uses
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Running, allow
from tests.api.iam.organization_parts import (
    GOLD_PATH,
    ROOT_PATH,
    TENANTS_PATH,
    THIRD_ACCOUNT,
    document,
    make_organization,
)

Refused = Callable[..., AbstractContextManager[None]]

OTHER_PATH = f"{TENANTS_PATH}/{OTHER_ACCOUNT}"
THIRD_PATH = f"{GOLD_PATH}/{THIRD_ACCOUNT}"
POLICIES = [
    {"name": "OnlyDocs", "type": "SCP", "document": document(allow(["docs:*", "iam:*", "wiki:Read*"]))},
    {
        "name": "NoIam",
        "type": "SCP",
        "document": document(allow("*"), {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}),
    },
    {"name": "Idle", "type": "SCP", "document": document(allow("archive:*"))},
]


@pytest.fixture
def organization(server: Running) -> Running:
    """`tenants` may use docs, iam and wiki; `gold` below it everything except iam, hence docs and wiki."""
    make_organization(server, policies=POLICIES, tenants={"scps": ["OnlyDocs"]}, gold={"scps": ["NoIam"]})
    return server


def use(server: Running, account: str, user: str, service: str, at: int, region: str = "eu-west-1") -> None:
    with server.store.write_transaction() as records:
        row = records.one(identities, account=account, kind="user", folded=user)
        assert row is not None
        values = {"service": service, "action": "Get", "at": at, "region": region}
        records.insert(service_uses, identity_id=row["id"], **values)
    server.guard.refresh()


def scp(server: Running, name: str) -> str:
    with server.store.read_transaction() as records:
        row = records.one(control_policies, name=name, type="SCP")
        assert row is not None
        return str(row["id"])


def job_of(client: Any, path: str, policy_id: str | None = None) -> str:
    more = {} if policy_id is None else {"OrganizationsPolicyId": policy_id}
    id: str = client.generate_organizations_access_report(EntityPath=path, **more)["JobId"]
    return id


def report(client: Any, path: str, policy_id: str | None = None) -> dict[str, dict[str, Any]]:
    """Generate and fetch a report; return the details by service."""
    answer = client.get_organizations_access_report(JobId=job_of(client, path, policy_id))
    details = {each["ServiceNamespace"]: each for each in answer["AccessDetails"]}
    assert (answer["JobStatus"], answer["IsTruncated"]) == ("COMPLETED", False)
    assert list(details) == sorted(details)
    assert answer["NumberOfServicesAccessible"] == len(details)
    assert answer["NumberOfServicesNotAccessed"] == sum("Region" not in detail for detail in details.values())
    return details


# --- entities ---


def test_services_are_allowed_by_every_level(iam: Any, organization: Running) -> None:
    """E-12: a unit can't allow what its parent doesn't; a denied service is missing."""
    assert set(report(iam, TENANTS_PATH)) == {"docs", "iam", "wiki"}
    assert set(report(iam, GOLD_PATH)) == {"docs", "wiki"}
    assert set(report(iam, THIRD_PATH)) == {"docs", "wiki"}
    assert set(report(iam, ROOT_PATH)) == {*SERVICE_NAMES}
    assert set(report(iam, f"{GOLD_PATH}/")) == {"docs", "wiki"}


def test_attempts_are_those_of_member_accounts(iam: Any, organization: Running, now: int) -> None:
    """The latest with its account's path, and the number of accounts; never the management account's."""
    use(organization, OTHER_ACCOUNT, "admin", "docs", now - 30)
    use(organization, THIRD_ACCOUNT, "tess", "docs", now - 20, "us-west-2")
    use(organization, ACCOUNT, "admin", "docs", now - 10)
    docs = report(iam, TENANTS_PATH)["docs"]
    assert int(docs.pop("LastAuthenticatedTime").timestamp()) == now - 20
    assert docs == {
        "ServiceName": "docs",
        "ServiceNamespace": "docs",
        "Region": "us-west-2",
        "EntityPath": THIRD_PATH,
        "TotalAuthenticatedEntities": 2,
    }
    assert report(iam, ROOT_PATH)["docs"]["TotalAuthenticatedEntities"] == 2
    other = report(iam, OTHER_PATH)["docs"]
    assert (other["EntityPath"], other["TotalAuthenticatedEntities"]) == (OTHER_PATH, 1)
    assert report(iam, GOLD_PATH)["docs"]["TotalAuthenticatedEntities"] == 1
    assert report(iam, TENANTS_PATH)["wiki"] == {
        "ServiceName": "wiki",
        "ServiceNamespace": "wiki",
        "TotalAuthenticatedEntities": 0,
    }


def test_management_account_has_all_services(iam: Any, organization: Running, now: int) -> None:
    """E-10: with its own attempts only; a policy is ignored."""
    use(organization, ACCOUNT, "admin", "archive", now - 10)
    use(organization, OTHER_ACCOUNT, "admin", "docs", now - 10)
    path = f"{ROOT_PATH}/{ACCOUNT}"
    for found in (report(iam, path), report(iam, path, scp(organization, "OnlyDocs"))):
        assert set(found) == {*SERVICE_NAMES, "archive"}
        assert found["archive"]["EntityPath"] == path


# --- policies ---


def test_policy_report_has_the_allowed_services(iam: Any, organization: Running, now: int) -> None:
    """With the attempts of the accounts to which it applies."""
    use(organization, OTHER_ACCOUNT, "admin", "docs", now - 10)
    use(organization, THIRD_ACCOUNT, "tess", "docs", now - 20)
    only_docs, no_iam, idle = (scp(organization, name) for name in ("OnlyDocs", "NoIam", "Idle"))
    assert set(report(iam, GOLD_PATH, only_docs)) == {"docs", "iam", "wiki"}
    assert report(iam, ROOT_PATH, only_docs)["docs"]["TotalAuthenticatedEntities"] == 2
    assert report(iam, ROOT_PATH, no_iam)["docs"]["EntityPath"] == THIRD_PATH
    assert "iam" not in report(iam, ROOT_PATH, no_iam)
    assert report(iam, OTHER_PATH, no_iam).get("docs") is None
    assert report(iam, ROOT_PATH, idle) == {
        "archive": {"ServiceName": "archive", "ServiceNamespace": "archive", "TotalAuthenticatedEntities": 0}
    }


def test_foreign_policy_is_not_found(iam: Any, organization: Running, refused: Refused) -> None:
    with refused("NoSuchEntity", "p-doesnotexist", 404):
        job_of(iam, ROOT_PATH, "p-doesnotexist")
    with refused("ValidationError"):
        job_of(iam, ROOT_PATH, "nonsense")


# --- callers and missing entities ---


@pytest.mark.parametrize(
    "path",
    [
        "o-otherotherother/r-ab12",
        "o-exampleorg/r-zz12",
        f"{ROOT_PATH}/ou-ab12-22222222",
        f"{ROOT_PATH}/{OTHER_ACCOUNT}",
        f"{TENANTS_PATH}/{THIRD_ACCOUNT}",
        f"{TENANTS_PATH}/123123123123",
        f"{OTHER_PATH}/ou-ab12-22222222",
        f"{ROOT_PATH}//",
        f"{ROOT_PATH}/-",
    ],
)
def test_unknown_path_is_not_found(iam: Any, organization: Running, refused: Refused, path: str) -> None:
    """Only the full path from the organization is valid."""
    with refused("NoSuchEntity", status=404):
        job_of(iam, path)


def test_report_needs_the_management_account(iam: Any, other_account: Any, server: Running, refused: Refused) -> None:
    with refused("OrganizationNotFoundException"):
        job_of(iam, ROOT_PATH)
    make_organization(server, policies=POLICIES)
    job = job_of(iam, ROOT_PATH)
    with refused("CallerIsNotManagementAccountException"):
        job_of(other_account, OTHER_PATH)
    with refused("CallerIsNotManagementAccountException"):
        other_account.get_organizations_access_report(JobId=job)
    with refused("NoSuchEntity"):
        iam.get_service_last_accessed_details(JobId=job)


def test_report_needs_enabled_control_policies(iam: Any, server: Running, refused: Refused) -> None:
    make_organization(server)
    with refused("InvalidInput", "must be enabled", 400):
        job_of(iam, ROOT_PATH)


def test_report_needs_organizations_permissions(
    client_for: Callable[..., Any], organization: Running, refused: Refused
) -> None:
    """The dependent actions of the service authorization reference, and the report as resource."""
    reading = [f"organizations:{action}" for action in _ORGANIZATIONS_ACTIONS]
    mine = client_for(
        "mine",
        allow("iam:GenerateOrganizationsAccessReport", f"arn:aws:iam::{ACCOUNT}:access-report/{TENANTS_PATH}"),
        allow(reading),
    )
    assert job_of(mine, TENANTS_PATH)
    with refused("AccessDenied", "iam:GenerateOrganizationsAccessReport"):
        job_of(mine, ROOT_PATH)
    for number, missing in enumerate(reading):
        rest = [action for action in reading if action != missing]
        client = client_for(f"u{number}", allow("iam:GenerateOrganizationsAccessReport"), allow(rest))
        with refused("AccessDenied", missing):
            job_of(client, TENANTS_PATH)


# --- pages ---


def test_report_is_paged_in_four_orders(iam: Any, organization: Running, now: int) -> None:
    """By namespace or by time; a missing time is the oldest."""
    use(organization, OTHER_ACCOUNT, "admin", "iam", now - 30)
    use(organization, OTHER_ACCOUNT, "admin", "wiki", now - 10)
    job = job_of(iam, TENANTS_PATH)
    orders = {
        "SERVICE_NAMESPACE_ASCENDING": ["docs", "iam", "wiki"],
        "SERVICE_NAMESPACE_DESCENDING": ["wiki", "iam", "docs"],
        "LAST_AUTHENTICATED_TIME_ASCENDING": ["docs", "iam", "wiki"],
        "LAST_AUTHENTICATED_TIME_DESCENDING": ["wiki", "iam", "docs"],
    }
    for order, expected in orders.items():
        found: list[str] = []
        marker: dict[str, str] = {}
        for _ in range(3):
            answer = iam.get_organizations_access_report(JobId=job, SortKey=order, MaxItems=1, **marker)
            found += [each["ServiceNamespace"] for each in answer["AccessDetails"]]
            assert (answer["NumberOfServicesAccessible"], answer["NumberOfServicesNotAccessed"]) == (3, 1)
            marker = {"Marker": answer["Marker"]} if answer["IsTruncated"] else {}
        assert found == expected
        assert marker == {}

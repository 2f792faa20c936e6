"""The versions of managed policies by boto3: G-75, and the default version's effect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from iam_guard.store.schema import policies, policy_versions
from tests.api.conftest import Client, Running, refusal
from tests.api.iam.policy_parts import allowing

LISTS, GETS = allowing("iam:ListPolicies"), allowing("iam:GetPolicy")


@pytest.fixture
def arn(iam: Client) -> str:
    """A policy with one version."""
    made: str = iam.create_policy(PolicyName="Reader", PolicyDocument=LISTS)["Policy"]["Arn"]
    return made


def add(iam: Client, arn: str, *, default: bool = False) -> str:
    made: str = iam.create_policy_version(PolicyArn=arn, PolicyDocument=GETS, SetAsDefault=default)["PolicyVersion"][
        "VersionId"
    ]
    return made


def versions(iam: Client, arn: str) -> dict[str, bool]:
    return {
        version["VersionId"]: version["IsDefaultVersion"]
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]
    }


def test_new_version_is_not_the_default(iam: Client, arn: str) -> None:
    """Responses name the default version, and have documents only as in the model."""
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=GETS)["PolicyVersion"]
    assert made.keys() == {"VersionId", "IsDefaultVersion", "CreateDate"}
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", False)
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=GETS, SetAsDefault=True)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v3", True)
    assert list(versions(iam, arn).items()) == [("v3", True), ("v2", False), ("v1", False)], "newest first"
    assert all(
        "Document" not in list_policy_version
        for list_policy_version in iam.list_policy_versions(PolicyArn=arn)["Versions"]
    )
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"
    got = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert got["Document"]["Statement"][0]["Action"] == "iam:ListPolicies"
    assert got["IsDefaultVersion"] is False


def test_default_version_takes_effect_at_once(iam: Client, arn: str, client_for: Callable[..., Client]) -> None:
    """M."""
    ada = client_for("ada")
    iam.attach_user_policy(UserName="ada", PolicyArn=arn)
    add(iam, arn)
    ada.list_policies()
    with refusal("AccessDenied", "iam:GetPolicy"):
        ada.get_policy(PolicyArn=arn)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert ada.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    with refusal("AccessDenied", "iam:ListPolicies"):
        ada.list_policies()
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=LISTS, SetAsDefault=True)
    ada.list_policies()
    with refusal("AccessDenied", "iam:GetPolicy"):
        ada.get_policy(PolicyArn=arn)


def test_sixth_version_exceeds_the_quota(iam: Client, arn: str) -> None:
    """G-75."""
    for _ in range(4):
        add(iam, arn)
    sentence = (
        "A managed policy can have up to 5 versions. "
        "Before you create a new version, you must delete an existing version."
    )
    with refusal("LimitExceeded", sentence, 409):
        add(iam, arn, default=True)
    assert versions(iam, arn) == {"v5": False, "v4": False, "v3": False, "v2": False, "v1": True}
    iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    assert add(iam, arn) == "v6"


def test_version_numbers_are_never_reused(iam: Client, arn: str) -> None:
    add(iam, arn)
    add(iam, arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    assert add(iam, arn) == "v4"
    iam.delete_policy_version(PolicyArn=arn, VersionId="v4")
    assert add(iam, arn, default=True) == "v5"
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert add(iam, arn) == "v6"


def test_default_version_cannot_be_deleted(iam: Client, arn: str) -> None:
    """G-75; a former default version can."""
    add(iam, arn)
    with refusal("DeleteConflict", "Cannot delete the default version of a policy.", 409):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert versions(iam, arn) == {"v2": True}


@pytest.mark.parametrize("operation", ["get_policy_version", "set_default_policy_version", "delete_policy_version"])
def test_missing_version_is_not_found(iam: Client, arn: str, operation: str) -> None:
    """For every form that the model accepts."""
    for version in ("v2", "v1.", "v1.x", "v10", "v999999999", "v2147483648", "v" + "9" * 100):
        with refusal("NoSuchEntity", f"Policy {arn} version {version} does not exist or is not attachable.", 404):
            getattr(iam, operation)(PolicyArn=arn, VersionId=version)
    for version in ("v0", "v01", "1", "V1", "v1 ", "v-1", "v١"):
        with refusal("ValidationError", status=400):
            getattr(iam, operation)(PolicyArn=arn, VersionId=version)
    assert versions(iam, arn) == {"v1": True}


def test_new_version_sets_the_update_date(iam: Client, arn: str, server: Running) -> None:
    """As in the model."""
    with server.store.write_transaction() as records:
        records.update(policies, {"created": 1}, folded="reader")
        records.update(policy_versions, {"created": 1}, policy_id=records.one(policies, folded="reader")["id"])
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert policy["CreateDate"] == policy["UpdateDate"] == datetime.fromtimestamp(1, UTC)
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=GETS)["PolicyVersion"]
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert policy["CreateDate"] == datetime.fromtimestamp(1, UTC)
    assert policy["UpdateDate"] == made["CreateDate"] > policy["CreateDate"]
    first = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert first["CreateDate"] == datetime.fromtimestamp(1, UTC)


def test_version_list_pages_survive_writes(iam: Client, arn: str) -> None:
    """Newest first, with a version deleted between pages."""
    for _ in range(4):
        add(iam, arn)
    first = iam.list_policy_versions(PolicyArn=arn, MaxItems=2)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v4")
    second = iam.list_policy_versions(PolicyArn=arn, MaxItems=2, Marker=first["Marker"])
    third = iam.list_policy_versions(PolicyArn=arn, MaxItems=2, Marker=second["Marker"])
    found = [[version["VersionId"] for version in page["Versions"]] for page in (first, second, third)]
    assert found == [["v5", "v4"], ["v3", "v2"], ["v1"]]
    assert not third["IsTruncated"]

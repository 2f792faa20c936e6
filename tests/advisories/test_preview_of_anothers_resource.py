"""Advisory: an access preview showed the grants of another tenant's resource.

The hole: the ARN of a bucket names no account, so a bucket without a policy had no owner, and everyone could preview
it. The owner was checked when the preview was created, and the present policy was read when the preview was first read:
if another account had put a policy on the bucket in between, its findings were shown to the account of the preview. Now
the owner is checked by each answer. The same holds for what the manager of an organization asked about a member that
left, as previews of its roles, and recommendations, which are also computed when they are first read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError

from iam_guard.api.protocol.app import aws_api
from iam_guard.factory import guard_with_store
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import identities, policy_versions, service_uses
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.serving import serving

ACME, GLOBEX, PARTNER = "111122223333", "444455556666", "777788889999"
KEY = ("AKIAADMINKEY00000001", "admin-secret")
BUCKET = "arn:aws:s3:::reports"
ROLE = f"arn:aws:iam::{GLOBEX}:role/guest"
TRUST = {"Effect": "Allow", "Principal": {"AWS": PARTNER}, "Action": "sts:AssumeRole"}
READ = {"Effect": "Allow", "Action": ["docs:Get", "docs:Put"], "Resource": "*"}


class Tenants(NamedTuple):
    """Two accounts, and Acme's client of Access Analyzer."""

    guard: Guard
    store: SqlStore
    acme: Any

    def share(self, account: str) -> None:
        """Put a policy on the bucket for an account, which lets the partner in."""
        statement = {"Effect": "Allow", "Principal": {"AWS": PARTNER}, "Action": "s3:GetObject", "Resource": BUCKET}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        self.guard.resource_policies.put(BUCKET, document, account=account)

    def analyzer(self, type: str, **more: Any) -> str:
        """Create an analyzer, and return its ARN."""
        arn: str = self.acme.create_analyzer(analyzerName="own", type=type, **more)["arn"]
        return arn

    def preview(self, analyzer: str, arn: str, kind: str) -> dict[str, Any]:
        """Create a preview of a resource with its present policy, and return the parameters that read it."""
        id = self.acme.create_access_preview(analyzerArn=analyzer, configurations={arn: {kind: {}}})["id"]
        return {"analyzerArn": analyzer, "accessPreviewId": id}


def seed(*members: str) -> str:
    version = {"Version": "2012-10-17"}
    keys = [{"id": KEY[0], "secret": KEY[1]}]
    admin = {"name": "admin", "attached": ["AdministratorAccess"], "access_keys": keys}
    reader = {"name": "reader", "inline": {"Read": {**version, "Statement": [READ]}}}
    guest = {"name": "guest", "trust": {**version, "Statement": [TRUST]}}
    organization = {
        "id": "o-exampleorg",
        "management_account": ACME,
        "root_id": "r-ab12",
        "accounts": [ACME, *members],
    }
    accounts = [
        {"id": ACME, "name": "acme", "users": [admin]},
        {"id": GLOBEX, "name": "globex", "users": [reader], "roles": [guest]},
    ]
    return json.dumps({"version": 1, "accounts": accounts, "organization": organization})


@pytest.fixture
def tenants() -> Iterator[Tenants]:
    """Acme, which manages an organization with Globex."""
    settings = Settings()
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(seed(GLOBEX)))
    guard = guard_with_store(store, settings)
    with serving(aws_api(guard)) as url:
        names = {"aws_access_key_id": KEY[0], "aws_secret_access_key": KEY[1], "region_name": "us-east-1"}
        yield Tenants(guard, store, boto3.client("accessanalyzer", endpoint_url=url, **names))
    guard.close()


def assert_failed(tenants: Tenants, preview: dict[str, Any]) -> None:
    """Neither findings nor a status tell what the resource of another account has."""
    described = tenants.acme.get_access_preview(**preview)["accessPreview"]
    assert (described["status"], described["statusReason"]) == ("FAILED", {"code": "INVALID_CONFIGURATION"})
    [listed] = tenants.acme.list_access_previews(analyzerArn=preview["analyzerArn"])["accessPreviews"]
    assert listed["status"] == "FAILED"
    with pytest.raises(ClientError, match=r"ValidationException.*failed"):
        tenants.acme.list_access_preview_findings(**preview)


def test_later_policy_of_another_tenant_is_not_shown(tenants: Tenants) -> None:
    """The preview was created while the bucket had no owner, and is read once it has one."""
    preview = tenants.preview(tenants.analyzer("ACCOUNT"), BUCKET, "s3Bucket")
    tenants.share(GLOBEX)
    assert_failed(tenants, preview)


def test_findings_of_a_resource_end_with_its_owner(tenants: Tenants) -> None:
    """The preview was analysed, and the bucket then passed to another account."""
    tenants.share(ACME)
    preview = tenants.preview(tenants.analyzer("ACCOUNT"), BUCKET, "s3Bucket")
    [finding] = tenants.acme.list_access_preview_findings(**preview)["findings"]
    assert finding["principal"] == {"AWS": PARTNER}
    tenants.guard.resource_policies.delete(BUCKET)
    tenants.share(GLOBEX)
    assert_failed(tenants, preview)


@pytest.mark.parametrize("is_read_before", [False, True])
def test_member_that_left_is_not_previewed(tenants: Tenants, is_read_before: bool) -> None:
    preview = tenants.preview(tenants.analyzer("ORGANIZATION"), ROLE, "iamRole")
    if is_read_before:
        [finding] = tenants.acme.list_access_preview_findings(**preview)["findings"]
        assert finding["principal"] == {"AWS": PARTNER}
    apply_seed(tenants.store, load_seed_text(seed()))
    assert_failed(tenants, preview)


@pytest.mark.parametrize("is_read_before", [False, True])
def test_member_that_left_has_no_recommendations(tenants: Tenants, is_read_before: bool) -> None:
    with tenants.store.write_transaction() as records:
        for changed in (identities, policy_versions):
            records.update(changed, {"created": 86_400})
        [reader] = records.all(identities, name="reader")
        used = {"service": "docs", "action": "Get", "at": int(time.time()), "region": "us-east-1"}
        records.insert(service_uses, identity_id=reader["id"], **used)
    analyzer = tenants.analyzer("ORGANIZATION_UNUSED_ACCESS")
    wanted = {"resource": {"eq": [f"arn:aws:iam::{GLOBEX}:user/reader"]}}
    [finding] = tenants.acme.list_findings_v2(analyzerArn=analyzer, filter=wanted)["findings"]
    about = {"analyzerArn": analyzer, "id": finding["id"]}
    tenants.acme.generate_finding_recommendation(**about)
    if is_read_before:
        assert tenants.acme.get_finding_recommendation(**about)["status"] == "SUCCEEDED"
    apply_seed(tenants.store, load_seed_text(seed()))
    answer = tenants.acme.get_finding_recommendation(**about)
    assert (answer["status"], answer["error"]["code"]) == ("FAILED", "RESOURCE_NOT_FOUND_ERROR")
    assert answer["recommendedSteps"] == []

"""Service last accessed reports (R-33, R-34)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from iam_guard.analysis.allowed_services import SERVICE_NAMES
from iam_guard.api.iam.account.last_attempts import TRACKING_SECONDS
from iam_guard.model.principal import Principal
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema import jobs, service_uses
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_ACCOUNT, Running, allow

Refused = Callable[..., AbstractContextManager[None]]

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
DOCUMENT = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7"


def policy(*actions: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [allow(list(actions))]})


def use(server: Running, identity_id: str, service: str, action: str, at: int, region: str = "eu-west-1") -> None:
    """Insert an attempt."""
    with server.store.write_transaction() as records:
        records.insert(service_uses, identity_id=identity_id, service=service, action=action, at=at, region=region)
    server.guard.refresh()


def job_of(client: Any, arn: str, granularity: str = "SERVICE_LEVEL") -> str:
    id: str = client.generate_service_last_accessed_details(Arn=arn, Granularity=granularity)["JobId"]
    return id


def services(client: Any, arn: str, granularity: str = "SERVICE_LEVEL") -> dict[str, dict[str, Any]]:
    """Generate and fetch a report; return the entries by service."""
    answer = client.get_service_last_accessed_details(JobId=job_of(client, arn, granularity))
    assert (answer["JobStatus"], answer["JobType"], answer["IsTruncated"]) == ("COMPLETED", granularity, False)
    assert answer["JobCreationDate"] == answer["JobCompletionDate"]
    return {each["ServiceNamespace"]: each for each in answer["ServicesLastAccessed"]}


def entities(client: Any, arn: str, service: str) -> list[tuple[str, int | None]]:
    answer = client.get_service_last_accessed_details_with_entities(JobId=job_of(client, arn), ServiceNamespace=service)
    assert (answer["JobStatus"], answer["IsTruncated"]) == ("COMPLETED", False)
    return [
        (each["EntityInfo"]["Name"], int(at.timestamp()) if (at := each.get("LastAuthenticated")) else None)
        for each in answer["EntityDetailsList"]
    ]


@pytest.fixture
def ada(iam: Any) -> dict[str, Any]:
    """A user in the group `readers`, with an own policy."""
    made: dict[str, Any] = iam.create_user(UserName="ada", Path="/staff/")["User"]
    iam.put_user_policy(UserName="ada", PolicyName="Own", PolicyDocument=policy("wiki:Edit*"))
    iam.create_group(GroupName="readers")
    iam.put_group_policy(GroupName="readers", PolicyName="Read", PolicyDocument=policy("docs:Get*", "docs:List*"))
    iam.add_user_to_group(GroupName="readers", UserName="ada")
    return made


# --- subjects ---


def test_user_report_has_the_services_of_all_policies(iam: Any, ada: dict[str, Any], server: Running, now: int) -> None:
    """Own and group policies; unused services have no date, forbidden ones are missing."""
    use(server, ada["UserId"], "docs", "GetDocument", now - 20)
    use(server, ada["UserId"], "docs", "DeleteDocument", now - 10, "us-west-2")
    use(server, ada["UserId"], "iam", "GetUser", now - 5)
    found = services(iam, ada["Arn"])
    assert list(found) == ["docs", "wiki"]
    docs = found["docs"]
    assert docs["ServiceName"] == "docs"
    assert int(docs["LastAuthenticated"].timestamp()) == now - 10
    assert (docs["LastAuthenticatedEntity"], docs["LastAuthenticatedRegion"]) == (ada["Arn"], "us-west-2")
    assert docs["TotalAuthenticatedEntities"] == 1
    assert "TrackedActionsLastAccessed" not in docs
    assert found["wiki"] == {"ServiceName": "wiki", "ServiceNamespace": "wiki", "TotalAuthenticatedEntities": 0}


def test_actions_are_returned_on_request(iam: Any, ada: dict[str, Any], server: Running, now: int) -> None:
    use(server, ada["UserId"], "docs", "GetDocument", now - 20)
    use(server, ada["UserId"], "docs", "ListDocuments", now - 10, "us-west-2")
    tracked = services(iam, ada["Arn"], "ACTION_LEVEL")["docs"]["TrackedActionsLastAccessed"]
    assert [
        (each["ActionName"], int(each["LastAccessedTime"].timestamp()), each["LastAccessedRegion"]) for each in tracked
    ] == [("GetDocument", now - 20, "eu-west-1"), ("ListDocuments", now - 10, "us-west-2")]
    assert {each["LastAccessedEntity"] for each in tracked} == {ada["Arn"]}


def test_group_report_has_the_attempts_of_members(iam: Any, ada: dict[str, Any], server: Running, now: int) -> None:
    """The group's policies only, and the latest member."""
    bob = iam.create_user(UserName="bob")["User"]
    iam.add_user_to_group(GroupName="readers", UserName="bob")
    carol = iam.create_user(UserName="carol")["User"]
    for member, at in ((ada, now - 30), (bob, now - 20), (carol, now - 10)):
        use(server, member["UserId"], "docs", "GetDocument", at)
    group = iam.get_group(GroupName="readers")["Group"]["Arn"]
    found = services(iam, group)
    assert list(found) == ["docs"]
    assert found["docs"]["LastAuthenticatedEntity"] == bob["Arn"]
    assert found["docs"]["TotalAuthenticatedEntities"] == 2
    assert entities(iam, group, "docs") == [("bob", now - 20), ("ada", now - 30)]


def test_policy_report_has_the_attempts_of_its_users(iam: Any, ada: dict[str, Any], server: Running, now: int) -> None:
    """Attached directly or to a group; the default version counts."""
    arn = iam.create_policy(PolicyName="P", PolicyDocument=policy("old:*"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("docs:*"), SetAsDefault=True)
    iam.attach_group_policy(GroupName="readers", PolicyArn=arn)
    role = make_role(iam, "Reader")
    iam.attach_role_policy(RoleName="Reader", PolicyArn=arn)
    bob = iam.create_user(UserName="bob")["User"]
    iam.attach_user_policy(UserName="bob", PolicyArn=arn)
    use(server, role["RoleId"], "docs", "GetDocument", now - 10)
    use(server, ada["UserId"], "docs", "GetDocument", now - 20)
    found = services(iam, arn)
    assert list(found) == ["docs"]
    assert found["docs"]["LastAuthenticatedEntity"] == role["Arn"]
    assert found["docs"]["TotalAuthenticatedEntities"] == 2
    assert entities(iam, arn, "docs") == [("Reader", now - 10), ("ada", now - 20), ("bob", None)]
    answer = iam.get_service_last_accessed_details_with_entities(JobId=job_of(iam, arn), ServiceNamespace="docs")
    assert answer["EntityDetailsList"][1]["EntityInfo"] == {
        "Arn": ada["Arn"],
        "Name": "ada",
        "Type": "USER",
        "Id": ada["UserId"],
        "Path": "/staff/",
    }
    assert bob["UserId"] in [each["EntityInfo"]["Id"] for each in answer["EntityDetailsList"]]


def make_role(iam: Any, name: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    made: dict[str, Any] = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]
    return made


def test_aws_policy_report_excludes_other_accounts(iam: Any, other_account: Any, server: Running, now: int) -> None:
    """Both accounts use it; each sees only its own attempts."""
    theirs = other_account.get_user(UserName="admin")["User"]
    use(server, theirs["UserId"], "secretwiki", "Read", now - 1)
    iam.get_user()
    server.guard.uses.flush()
    found = services(iam, ADMINISTRATOR)
    assert set(found) == set(SERVICE_NAMES)
    assert found["iam"]["LastAuthenticatedEntity"] == f"arn:aws:iam::{ACCOUNT}:user/admin"
    assert entities(iam, ADMINISTRATOR, "secretwiki") == []
    assert [name for name, _ in entities(iam, ADMINISTRATOR, "iam")] == ["admin"]
    theirs_found = services(other_account, ADMINISTRATOR)
    assert theirs_found["secretwiki"]["LastAuthenticatedEntity"] == theirs["Arn"]


def test_old_attempts_are_not_reported(iam: Any, ada: dict[str, Any], server: Running, now: int) -> None:
    """R-33: 400 days, to the second."""
    use(server, ada["UserId"], "docs", "GetDocument", now - TRACKING_SECONDS - 1)
    use(server, ada["UserId"], "wiki", "EditPage", now - TRACKING_SECONDS)
    found = services(iam, ada["Arn"], "ACTION_LEVEL")
    assert "LastAuthenticated" not in found["docs"]
    assert "LastAuthenticated" in found["wiki"]


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/nobody", "NoSuchEntity"),
        (f"arn:aws:iam::{ACCOUNT}:user/admin ", "NoSuchEntity"),
        (f"arn:aws:iam::{OTHER_ACCOUNT}:user/admin", "NoSuchEntity"),
        (f"arn:aws:iam::{ACCOUNT}:policy/nothing", "NoSuchEntity"),
        (f"arn:aws:iam::{ACCOUNT}:mfa/phone", "InvalidInput"),
        (f"arn:aws:iam::{ACCOUNT}:root", "InvalidInput"),
        ("arn:aws:docs:us-east-1:1:document/7", "InvalidInput"),
        ("twenty characters and no ARN", "InvalidInput"),
        ("arn:aws:iam:::::::::::user", "InvalidInput"),
    ],
)
def test_report_on_a_missing_entity_is_rejected(iam: Any, refused: Refused, arn: str, code: str) -> None:
    """Also on another account's user."""
    with refused(code):
        iam.generate_service_last_accessed_details(Arn=arn)


def test_forbidden_service_has_no_entities(iam: Any, ada: dict[str, Any]) -> None:
    assert entities(iam, ada["Arn"], "iam") == []
    assert entities(iam, ada["Arn"], "DOCS") == [("ada", None)]


# --- jobs ---


def test_report_is_immutable(iam: Any, ada: dict[str, Any], server: Running, now: int) -> None:
    job = job_of(iam, ada["Arn"])
    use(server, ada["UserId"], "docs", "GetDocument", now)
    iam.remove_user_from_group(GroupName="readers", UserName="ada")
    answer = iam.get_service_last_accessed_details(JobId=job)
    assert [each["ServiceNamespace"] for each in answer["ServicesLastAccessed"]] == ["docs", "wiki"]
    assert "LastAuthenticated" not in answer["ServicesLastAccessed"][0]
    assert list(services(iam, ada["Arn"])) == ["wiki"]


def test_job_belongs_to_its_account(
    iam: Any, root: Any, other_account: Any, ada: dict[str, Any], refused: Refused
) -> None:
    """The services of a report belong to its caller, as AWS says."""
    job = job_of(iam, ada["Arn"])
    for client in (other_account, root):
        with refused("NoSuchEntity", job, 404):
            client.get_service_last_accessed_details(JobId=job)
    with refused("NoSuchEntity", job, 404):
        other_account.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="docs")
    assert root.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="docs")
    for unknown in (str(uuid.uuid4()), "x" * 36):
        with refused("NoSuchEntity", unknown, 404):
            iam.get_service_last_accessed_details(JobId=unknown)
    with refused("OrganizationNotFoundException"):
        iam.get_organizations_access_report(JobId=job)


def test_reports_are_paged(iam: Any, ada: dict[str, Any], refused: Refused) -> None:
    """Services by namespace, entities by date."""
    iam.put_user_policy(UserName="ada", PolicyName="More", PolicyDocument=policy(*(f"s{n}:Get" for n in range(10, 33))))
    job = job_of(iam, ada["Arn"])
    found, marker = [], {}
    while True:
        answer = iam.get_service_last_accessed_details(JobId=job, MaxItems=7, **marker)
        found += [each["ServiceNamespace"] for each in answer["ServicesLastAccessed"]]
        if not answer["IsTruncated"]:
            break
        marker = {"Marker": answer["Marker"]}
    assert found == sorted(found)
    assert len(found) == 25
    with refused("ValidationError", "Invalid Marker."):
        iam.get_service_last_accessed_details(JobId=job, Marker="nonsense")

    for number in range(5):
        iam.create_user(UserName=f"user{number}")
        iam.add_user_to_group(GroupName="readers", UserName=f"user{number}")
    job = job_of(iam, iam.get_group(GroupName="readers")["Group"]["Arn"])
    first = iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="docs", MaxItems=4)
    rest = iam.get_service_last_accessed_details_with_entities(
        JobId=job, ServiceNamespace="docs", MaxItems=4, Marker=first["Marker"]
    )
    names = [each["EntityInfo"]["Name"] for each in first["EntityDetailsList"] + rest["EntityDetailsList"]]
    assert sorted(names) == ["ada", *(f"user{number}" for number in range(5))]
    assert (first["IsTruncated"], rest["IsTruncated"]) == (True, False)


def test_number_of_stored_jobs_is_limited(
    iam: Any, other_account: Any, server: Running, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is deleted; another account's stay."""
    monkeypatch.setitem(QUOTAS, "jobs kept per account", 3)
    theirs = job_of(other_account, f"arn:aws:iam::{OTHER_ACCOUNT}:user/admin")
    made = []
    for number in range(5):
        made.append(job_of(iam, f"arn:aws:iam::{ACCOUNT}:user/admin"))
        with server.store.write_transaction() as records:
            records.update(jobs, {"created": number}, id=made[-1])
    for job in made[:2]:
        with refused("NoSuchEntity"):
            iam.get_service_last_accessed_details(JobId=job)
    for job in made[2:]:
        iam.get_service_last_accessed_details(JobId=job)
    other_account.get_service_last_accessed_details(JobId=theirs)


def test_report_is_authorized_on_its_subject(
    iam: Any, ada: dict[str, Any], client_for: Callable[..., Any], refused: Refused
) -> None:
    mine = client_for("mine", allow("iam:GenerateServiceLastAccessedDetails", ada["Arn"]))
    assert job_of(mine, ada["Arn"])
    with refused("AccessDenied", f"on resource: {ADMINISTRATOR} "):
        job_of(mine, ADMINISTRATOR)


# --- recording attempts ---


@pytest.mark.over_http
def test_signed_call_updates_the_keys_last_use(iam: Any, server: Running) -> None:
    """R-33: date, region and service, once it is written; `N/A` before."""
    before = int(time.time())
    key = iam.create_access_key(UserName="admin")["AccessKey"]
    unused = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
    assert (unused["ServiceName"], unused["Region"], "LastUsedDate" in unused) == ("N/A", "N/A", False)
    server.client((key["AccessKeyId"], key["SecretAccessKey"]), region="eu-central-1").get_user()
    server.guard.uses.flush()
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert used["UserName"] == "admin"
    assert (used["AccessKeyLastUsed"]["ServiceName"], used["AccessKeyLastUsed"]["Region"]) == ("iam", "eu-central-1")
    assert before <= used["AccessKeyLastUsed"]["LastUsedDate"].timestamp() <= time.time()


def test_decision_updates_the_roles_last_use(iam: Any, server: Running) -> None:
    """R-33, for a principal built by hand, whose id the store finds; denied or not."""
    before = int(time.time())
    role = make_role(iam, "Reader")
    assert not role.get("RoleLastUsed")
    session = Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/s1")
    assert not server.guard.decide(session, "docs:GetDocument", DOCUMENT).allowed
    server.guard.uses.flush()
    found = iam.get_role(RoleName="Reader")["Role"]["RoleLastUsed"]
    assert found["Region"] == "us-east-1"
    assert before <= found["LastUsedDate"].timestamp() <= time.time()


@pytest.mark.over_http
def test_denied_attempts_count(iam: Any, client_for: Callable[..., Any], server: Running, refused: Refused) -> None:
    """R-34: in the region of the signature."""
    client_for("bob", allow("iam:GetUser"), allow("iam:List*", "arn:aws:iam::111122223333:user/none"))
    bob = server.client((f"AKIA{'BOB':0>16}", "secret-of-bob"), region="ap-south-1")
    with refused("AccessDenied"):
        bob.list_users()
    bob.get_user()
    server.guard.uses.flush()
    found = services(iam, f"arn:aws:iam::{ACCOUNT}:user/bob", "ACTION_LEVEL")["iam"]
    tracked = {each["ActionName"]: each["LastAccessedRegion"] for each in found["TrackedActionsLastAccessed"]}
    assert tracked == {"GetUser": "ap-south-1", "ListUsers": "ap-south-1"}


def test_explaining_a_decision_is_no_attempt(iam: Any, server: Running) -> None:
    ada = iam.create_user(UserName="ada")["User"]
    server.guard.explain(Principal.from_arn(ada["Arn"]), "docs:GetDocument", DOCUMENT)
    server.guard.uses.flush()
    with server.store.read_transaction() as records:
        assert records.count(service_uses, identity_id=ada["UserId"]) == 0


@pytest.mark.over_http
def test_invalid_signature_does_not_update_last_use(iam: Any, server: Running, refused: Refused) -> None:
    key = iam.create_access_key(UserName="admin")["AccessKey"]
    with refused("SignatureDoesNotMatch"):
        server.client((key["AccessKeyId"], ADMIN_KEY[1])).get_user()
    server.guard.uses.flush()
    assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"] == "N/A"

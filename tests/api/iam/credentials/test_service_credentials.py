"""Service-specific credentials by boto3: R-11, K-33."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.api.iam.credentials.service_credentials import SERVICES
from iam_guard.store.schema import service_credentials
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal

GIT, CASSANDRA, BEDROCK = "codecommit.amazonaws.com", "cassandra.amazonaws.com", "bedrock.amazonaws.com"
DAY = 24 * 60 * 60


@pytest.fixture
def jane(iam: Client) -> str:
    iam.create_user(UserName="jane")
    return "jane"


def create(iam: Client, service: str = GIT, user: str = "jane", **more: Any) -> dict[str, Any]:
    made = iam.create_service_specific_credential(UserName=user, ServiceName=service, **more)
    credential: dict[str, Any] = made["ServiceSpecificCredential"]
    return credential


def ids(answer: dict[str, Any]) -> list[str]:
    return [each["ServiceSpecificCredentialId"] for each in answer["ServiceSpecificCredentials"]]


def secret_digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def digest_of(server: Running, id: str) -> str:
    with server.store.read_transaction() as records:
        row = records.one(service_credentials, id=id)
    assert row is not None
    digest: str = row["digest"]
    return digest


def test_password_credential_is_returned_once(iam: Client, server: Running, jane: str) -> None:
    """A digest is stored."""
    made = create(iam)
    assert re.fullmatch(r"ACCA[A-Z2-7]{17}", made["ServiceSpecificCredentialId"])
    assert (made["UserName"], made["ServiceName"], made["Status"]) == (jane, GIT, "Active")
    assert made["ServiceUserName"] == f"jane-at-{ACCOUNT}"
    assert len(made["ServicePassword"]) == 60
    assert not {"ServiceCredentialAlias", "ServiceCredentialSecret", "ExpirationDate"} & set(made)
    (listed,) = iam.list_service_specific_credentials(UserName=jane)["ServiceSpecificCredentials"]
    assert listed == {name: value for name, value in made.items() if name != "ServicePassword"}
    assert digest_of(server, made["ServiceSpecificCredentialId"]) == secret_digest(made["ServicePassword"])


@pytest.mark.parametrize(("service", "prefix"), [(BEDROCK, "ABSK"), ("logs.amazonaws.com", "ACWL")])
def test_api_key_credential_contains_its_alias(
    iam: Client, server: Running, jane: str, service: str, prefix: str
) -> None:
    """Only the alias is returned later."""
    made = create(iam, service)
    alias, secret = made["ServiceCredentialAlias"], made["ServiceCredentialSecret"]
    assert alias == f"jane-at-{ACCOUNT}"
    assert secret.startswith(prefix)
    assert base64.b64decode(secret.removeprefix(prefix)).decode().startswith(f"{alias}:")
    assert not {"ServiceUserName", "ServicePassword"} & set(made)
    (listed,) = iam.list_service_specific_credentials(UserName=jane)["ServiceSpecificCredentials"]
    assert listed["ServiceCredentialAlias"] == alias
    assert "ServiceCredentialSecret" not in listed
    assert digest_of(server, made["ServiceSpecificCredentialId"]) == secret_digest(secret)


@pytest.mark.parametrize("service", ["s3.amazonaws.com", "CodeCommit.amazonaws.com", "codecommit.amazonaws.com "])
def test_unsupported_services_are_rejected(iam: Client, jane: str, service: str) -> None:
    """Names are exact, as in conditions."""
    sentence = f"No such service {service} is supported for Service Specific Credentials"
    with refusal("NotSupportedService", sentence, 404):
        create(iam, service)
    with refusal("NotSupportedService", sentence, 404):
        iam.list_service_specific_credentials(UserName=jane, ServiceName=service)


def test_third_credential_for_a_service_exceeds_the_quota(iam: Client, jane: str) -> None:
    """Inactive ones count; services count separately; names are unique."""
    first = create(iam)
    second = create(iam)
    assert second["ServiceUserName"] == f"jane+1-at-{ACCOUNT}"
    id = first["ServiceSpecificCredentialId"]
    iam.update_service_specific_credential(UserName=jane, ServiceSpecificCredentialId=id, Status="Inactive")
    with refusal("LimitExceeded", "Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2", 409):
        create(iam)
    assert create(iam, CASSANDRA)["ServiceUserName"] == f"jane-at-{ACCOUNT}"
    iam.delete_service_specific_credential(UserName=jane, ServiceSpecificCredentialId=id)
    assert create(iam)["ServiceUserName"] == f"jane-at-{ACCOUNT}"


def test_credential_name_survives_renaming(iam: Client, jane: str) -> None:
    """Clients are configured with it; another user of the old name gets another one."""
    create(iam)
    iam.update_user(UserName=jane, NewUserName="janet")
    (listed,) = iam.list_service_specific_credentials(UserName="janet")["ServiceSpecificCredentials"]
    assert (listed["UserName"], listed["ServiceUserName"]) == ("janet", f"jane-at-{ACCOUNT}")
    iam.create_user(UserName="jane")
    assert create(iam)["ServiceUserName"] == f"jane+1-at-{ACCOUNT}"


def test_credential_expires_by_age(iam: Client, server: Running, jane: str) -> None:
    """Its status is then `Expired`, whatever was set."""
    made = create(iam, BEDROCK, CredentialAgeDays=30)
    assert (made["ExpirationDate"] - made["CreateDate"]).total_seconds() == 30 * DAY
    id = made["ServiceSpecificCredentialId"]
    with server.store.write_transaction() as records:
        records.update(service_credentials, {"expires": CLOCK.seconds() - 1}, id=id)
    iam.update_service_specific_credential(UserName=jane, ServiceSpecificCredentialId=id, Status="Active")
    (listed,) = iam.list_service_specific_credentials(UserName=jane)["ServiceSpecificCredentials"]
    assert listed["Status"] == "Expired"


@pytest.mark.parametrize("service", SERVICES)
def test_reset_replaces_the_secret(iam: Client, server: Running, jane: str, service: str) -> None:
    """The old one becomes invalid; all else stays."""
    made = create(iam, service, CredentialAgeDays=3)
    id = made["ServiceSpecificCredentialId"]
    answer = iam.reset_service_specific_credential(UserName=jane, ServiceSpecificCredentialId=id)
    reset = answer["ServiceSpecificCredential"]
    member = SERVICES[service].secret
    assert reset[member] != made[member]
    assert {**reset, member: ""} == {**made, member: ""}
    assert digest_of(server, id) == secret_digest(reset[member])


def test_credential_is_deactivated_and_deleted(iam: Client, jane: str) -> None:
    """`Expired` can't be set."""
    id = create(iam)["ServiceSpecificCredentialId"]
    iam.update_service_specific_credential(UserName=jane, ServiceSpecificCredentialId=id, Status="Inactive")
    (listed,) = iam.list_service_specific_credentials(UserName=jane)["ServiceSpecificCredentials"]
    assert listed["Status"] == "Inactive"
    with refusal("InvalidInput", status=400):
        iam.update_service_specific_credential(UserName=jane, ServiceSpecificCredentialId=id, Status="Expired")
    iam.delete_service_specific_credential(UserName=jane, ServiceSpecificCredentialId=id)
    assert ids(iam.list_service_specific_credentials(UserName=jane)) == []


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("reset_service_specific_credential", {}),
        ("update_service_specific_credential", {"Status": "Inactive"}),
        ("delete_service_specific_credential", {}),
    ],
)
def test_credential_of_another_user_is_not_found(
    iam: Client, other_account: Client, server: Running, jane: str, operation: str, more: dict[str, str]
) -> None:
    """Only those of the named user in the caller's account are searched."""
    made = create(iam)
    id = made["ServiceSpecificCredentialId"]
    iam.create_user(UserName="joe")
    other_account.create_user(UserName="jane")
    for client, name in ((iam, "joe"), (other_account, "jane"), (iam, "admin")):
        with refusal("NoSuchEntity", f"No such credential {id} exists", 404):
            getattr(client, operation)(UserName=name, ServiceSpecificCredentialId=id, **more)
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam, operation)(UserName="nobody", ServiceSpecificCredentialId=id, **more)
    assert digest_of(server, id) == secret_digest(made["ServicePassword"])


# --- lists -------------------------------------------------------------------------------------------------------


def test_credential_lists_are_paged(iam: Client, other_account: Client, jane: str) -> None:
    """Of one user or all users, for one service or all."""
    iam.create_user(UserName="joe")
    made = {
        (user, service): create(iam, service, user)["ServiceSpecificCredentialId"]
        for user in ("jane", "joe")
        for service in (GIT, BEDROCK)
    }
    in_order = sorted(made.values())
    page = iam.list_service_specific_credentials(AllUsers=True, MaxItems=1)
    assert (ids(page), page["IsTruncated"]) == (in_order[:1], True)
    rest = iam.list_service_specific_credentials(AllUsers=True, Marker=page["Marker"])
    assert (ids(rest), rest["IsTruncated"]) == (in_order[1:], False)
    owners = {each["ServiceSpecificCredentialId"]: each["UserName"] for each in rest["ServiceSpecificCredentials"]}
    assert all(owners[id] == user for (user, _), id in made.items() if id in owners)
    for_git = iam.list_service_specific_credentials(AllUsers=True, ServiceName=GIT)
    assert ids(for_git) == sorted([made["jane", GIT], made["joe", GIT]])
    assert ids(iam.list_service_specific_credentials(UserName="joe", ServiceName=GIT)) == [made["joe", GIT]]
    assert ids(iam.list_service_specific_credentials(UserName="joe", AllUsers=False)) == sorted(
        [made["joe", GIT], made["joe", BEDROCK]]
    )
    assert ids(iam.list_service_specific_credentials()) == []
    assert ids(other_account.list_service_specific_credentials(AllUsers=True)) == []


def test_all_users_and_user_name_are_exclusive(iam: Client, jane: str) -> None:
    """As documented."""
    with refusal("InvalidInput", status=400):
        iam.list_service_specific_credentials(AllUsers=True, UserName=jane)


# --- permissions -------------------------------------------------------------------------------------------------


def test_permission_for_users_does_not_cover_all_users(client_for: Callable[..., Client]) -> None:
    """Permission on each user is not permission for `AllUsers`."""
    own = f"arn:aws:iam::{ACCOUNT}:user/"
    jane = client_for("jane", allow("iam:ListServiceSpecificCredentials", [f"{own}${{aws:username}}", f"{own}*"]))
    jane.list_service_specific_credentials()
    jane.list_service_specific_credentials(UserName="admin")
    with refusal("AccessDenied", "iam:ListServiceSpecificCredentials", 403):
        jane.list_service_specific_credentials(AllUsers=True)


def test_credential_condition_keys(client_for: Callable[..., Client], iam: Client) -> None:
    """`iam:ServiceSpecificCredentialServiceName` for each operation, the age at creation (K-33)."""
    key = "iam:ServiceSpecificCredentialServiceName"
    jane = client_for(
        "jane",
        allow("iam:*ServiceSpecificCredential", StringEquals={key: GIT}),
        allow(
            "iam:CreateServiceSpecificCredential",
            StringEquals={key: BEDROCK},
            NumericLessThanEquals={"iam:ServiceSpecificCredentialAgeDays": "30"},
        ),
    )
    id = create(jane)["ServiceSpecificCredentialId"]
    key_id = create(jane, BEDROCK, CredentialAgeDays=30)["ServiceSpecificCredentialId"]
    for more in ({}, {"CredentialAgeDays": 31}):
        with refusal("AccessDenied"):
            create(jane, BEDROCK, **more)
    with refusal("AccessDenied"):
        create(jane, CASSANDRA)
    for operation, more in (
        ("update_service_specific_credential", {"Status": "Inactive"}),
        ("reset_service_specific_credential", {}),
        ("delete_service_specific_credential", {}),
    ):
        getattr(jane, operation)(ServiceSpecificCredentialId=id, **more)
        with refusal("AccessDenied"):
            getattr(jane, operation)(ServiceSpecificCredentialId=key_id, **more)


def test_deleting_a_user_with_credentials_raises_delete_conflict(iam: Client, jane: str) -> None:
    """R-11."""
    create(iam)
    with refusal("DeleteConflict", "must delete service specific credentials first"):
        iam.delete_user(UserName=jane)

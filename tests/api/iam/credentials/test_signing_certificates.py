"""Signing certificates by boto3: R-3, R-11, G-77."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from iam_guard.store.quotas import QUOTAS
from tests.api.conftest import ACCOUNT, Client, allow, refusal
from tests.api.iam.certificate_parts import FOREVER, certificate_pem, error_of, private_pem, quotes


@pytest.fixture
def jane(iam: Client) -> str:
    iam.create_user(UserName="jane")
    return "jane"


def upload(client: Client, name: str = "signer", **whose: str) -> str:
    """Upload a new certificate, and return its id."""
    made = client.upload_signing_certificate(CertificateBody=certificate_pem(name), **whose)["Certificate"]
    id: str = made["CertificateId"]
    return id


def test_signing_certificate_lifecycle(iam: Client, jane: str) -> None:
    """Uploaded, listed, deactivated, activated, deleted."""
    body = certificate_pem("signer")
    made = iam.upload_signing_certificate(UserName=jane, CertificateBody=body)["Certificate"]
    assert (made["UserName"], made["CertificateBody"], made["Status"]) == (jane, body, "Active")
    assert re.fullmatch(r"[A-Z2-7]{32}", made["CertificateId"])
    assert iam.list_signing_certificates(UserName=jane)["Certificates"] == [made]
    for status in ("Inactive", "Active"):
        iam.update_signing_certificate(UserName=jane, CertificateId=made["CertificateId"], Status=status)
        assert iam.list_signing_certificates(UserName=jane)["Certificates"][0]["Status"] == status
    iam.delete_signing_certificate(UserName=jane, CertificateId=made["CertificateId"])
    assert iam.list_signing_certificates(UserName=jane)["Certificates"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("invalid-certificate-body", "MalformedCertificate"),
        (private_pem("signer"), "MalformedCertificate"),
        (certificate_pem("signer", begins=-2, ends=-1), "InvalidCertificate"),
        (certificate_pem("signer", begins=FOREVER - 1), "InvalidCertificate"),
    ],
)
def test_invalid_signing_certificate_is_rejected(iam: Client, jane: str, body: str, code: str) -> None:
    """Malformed or expired; a private key is not quoted."""
    answer = error_of(iam.upload_signing_certificate, UserName=jane, CertificateBody=body)
    assert answer[:2] == (code, 400)
    assert not quotes(answer[2], body)


def test_signing_certificate_is_unique_in_its_account(iam: Client, other_account: Client, jane: str) -> None:
    """Another account may have the same."""
    body = certificate_pem("signer")
    iam.upload_signing_certificate(UserName=jane, CertificateBody=body)
    iam.create_user(UserName="joe")
    for name in ("jane", "joe"):
        with refusal("DuplicateCertificate", status=409):
            iam.upload_signing_certificate(UserName=name, CertificateBody=body)
    other_account.upload_signing_certificate(CertificateBody=body)


def test_third_signing_certificate_exceeds_the_quota(iam: Client, jane: str) -> None:
    """G-77."""
    assert QUOTAS["signing certificates per user"] == 2
    for name in ("one", "two"):
        upload(iam, name, UserName=jane)
    with refusal("LimitExceeded", "Cannot exceed quota for CertificatesPerUser: 2", 409):
        upload(iam, "three", UserName=jane)


def test_status_expired_cannot_be_set(iam: Client, jane: str) -> None:
    id = upload(iam, UserName=jane)
    with refusal("InvalidInput", status=400):
        iam.update_signing_certificate(UserName=jane, CertificateId=id, Status="Expired")


@pytest.mark.parametrize(
    ("operation", "more"), [("update_signing_certificate", {"Status": "Inactive"}), ("delete_signing_certificate", {})]
)
def test_signing_certificate_of_another_user_is_not_found(
    iam: Client, other_account: Client, jane: str, operation: str, more: dict[str, str]
) -> None:
    """Only those of the named user in the caller's account are searched."""
    id = upload(iam, UserName=jane)
    iam.create_user(UserName="joe")
    other_account.create_user(UserName="jane")
    for client, name in ((iam, "joe"), (other_account, "jane")):
        with refusal("NoSuchEntity", f"The Certificate with id {id} cannot be found.", 404):
            getattr(client, operation)(UserName=name, CertificateId=id, **more)
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam, operation)(UserName="nobody", CertificateId=id, **more)
    assert iam.list_signing_certificates(UserName=jane)["Certificates"][0]["Status"] == "Active"


def test_signing_certificate_pages_survive_deletions(iam: Client, jane: str) -> None:
    """A marker leads on although what came before it is gone."""
    ids = sorted(upload(iam, name, UserName=jane) for name in ("one", "two"))
    page = iam.list_signing_certificates(UserName=jane, MaxItems=1)
    assert [each["CertificateId"] for each in page["Certificates"]] == ids[:1]
    iam.delete_signing_certificate(UserName=jane, CertificateId=ids[0])
    rest = iam.list_signing_certificates(UserName=jane, Marker=page["Marker"])
    assert [each["CertificateId"] for each in rest["Certificates"]] == ids[1:]
    assert rest["IsTruncated"] is False


def test_root_user_has_signing_certificates(root: Client, iam: Client) -> None:
    """Without a user name, they are the caller's (R-3)."""
    id = upload(root)
    assert [
        list_signing_certificate["UserName"]
        for list_signing_certificate in root.list_signing_certificates()["Certificates"]
    ] == ["acme"]
    assert iam.list_signing_certificates()["Certificates"] == []
    with refusal("NoSuchEntity"):
        iam.delete_signing_certificate(CertificateId=id)
    root.update_signing_certificate(CertificateId=id, Status="Inactive")
    root.delete_signing_certificate(CertificateId=id)


def test_signing_certificate_permissions(client_for: Callable[..., Client]) -> None:
    """Authorized on the user's ARN."""
    jane = client_for("jane", allow("iam:*SigningCertificate*", f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"))
    upload(jane)
    with refusal("AccessDenied", "user/admin", 403):
        upload(jane, "other", UserName="admin")


def test_deleting_a_user_with_certificates_raises_conflict(iam: Client, jane: str) -> None:
    """R-11."""
    upload(iam, UserName=jane)
    with refusal("DeleteConflict", "must delete signing certificates first"):
        iam.delete_user(UserName=jane)

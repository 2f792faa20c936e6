"""Signing certificates through boto3: rules R-3, R-11, G-77."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from iam_guard.store.quotas import QUOTAS
from tests.api.conftest import ACCOUNT, Client, allow, refusal
from tests.api.iam.certificate_parts import FOREVER, certificate_pem, error_of, private_pem, repeats


@pytest.fixture
def jane(iam: Client) -> str:
    iam.create_user(UserName="jane")
    return "jane"


def upload(client: Client, name: str = "signer", **whose: str) -> str:
    """Upload a new certificate, and give its id."""
    made = client.upload_signing_certificate(CertificateBody=certificate_pem(name), **whose)["Certificate"]
    id: str = made["CertificateId"]
    return id


def test_a_certificate_from_beginning_to_end(iam: Client, jane: str) -> None:
    """Uploaded, listed, turned off and on, deleted."""
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
def test_what_is_not_taken(iam: Client, jane: str, body: str, code: str) -> None:
    """What cannot be read, and what does not hold now. A private key that was mistaken for it is not repeated."""
    answer = error_of(iam.upload_signing_certificate, UserName=jane, CertificateBody=body)
    assert answer[:2] == (code, 400)
    assert not repeats(answer[2], body)


def test_a_certificate_is_one_owners(iam: Client, other_account: Client, jane: str) -> None:
    """Nobody in the account has the same one; another account may."""
    body = certificate_pem("signer")
    iam.upload_signing_certificate(UserName=jane, CertificateBody=body)
    iam.create_user(UserName="joe")
    for name in ("jane", "joe"):
        with refusal("DuplicateCertificate", status=409):
            iam.upload_signing_certificate(UserName=name, CertificateBody=body)
    other_account.upload_signing_certificate(CertificateBody=body)


def test_a_user_has_two(iam: Client, jane: str) -> None:
    """No more (G-77)."""
    assert QUOTAS["signing certificates per user"] == 2
    for name in ("one", "two"):
        upload(iam, name, UserName=jane)
    with refusal("LimitExceeded", "Cannot exceed quota for CertificatesPerUser: 2", 409):
        upload(iam, "three", UserName=jane)


def test_expired_cannot_be_set(iam: Client, jane: str) -> None:
    """It is no status that one may give."""
    id = upload(iam, UserName=jane)
    with refusal("InvalidInput", status=400):
        iam.update_signing_certificate(UserName=jane, CertificateId=id, Status="Expired")


@pytest.mark.parametrize(
    ("operation", "more"), [("update_signing_certificate", {"Status": "Inactive"}), ("delete_signing_certificate", {})]
)
def test_a_certificate_of_another_user(
    iam: Client, other_account: Client, jane: str, operation: str, more: dict[str, str]
) -> None:
    """An id is looked for among those of the user who is named, in the caller's account."""
    id = upload(iam, UserName=jane)
    iam.create_user(UserName="joe")
    other_account.create_user(UserName="jane")
    for client, name in ((iam, "joe"), (other_account, "jane")):
        with refusal("NoSuchEntity", f"The Certificate with id {id} cannot be found.", 404):
            getattr(client, operation)(UserName=name, CertificateId=id, **more)
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam, operation)(UserName="nobody", CertificateId=id, **more)
    assert iam.list_signing_certificates(UserName=jane)["Certificates"][0]["Status"] == "Active"


def test_certificates_are_listed_page_by_page(iam: Client, jane: str) -> None:
    """A marker leads on although what came before it is gone."""
    ids = sorted(upload(iam, name, UserName=jane) for name in ("one", "two"))
    page = iam.list_signing_certificates(UserName=jane, MaxItems=1)
    assert [each["CertificateId"] for each in page["Certificates"]] == ids[:1]
    iam.delete_signing_certificate(UserName=jane, CertificateId=ids[0])
    rest = iam.list_signing_certificates(UserName=jane, Marker=page["Marker"])
    assert [each["CertificateId"] for each in rest["Certificates"]] == ids[1:]
    assert rest["IsTruncated"] is False


def test_the_root_user_has_its_own(root: Client, iam: Client) -> None:
    """Without a name they are the caller's (R-3)."""
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


def test_permissions(client_for: Callable[..., Client]) -> None:
    """Decided about by the user's ARN."""
    jane = client_for("jane", allow("iam:*SigningCertificate*", f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"))
    upload(jane)
    with refusal("AccessDenied", "user/admin", 403):
        upload(jane, "other", UserName="admin")


def test_a_user_with_certificates_is_not_deleted(iam: Client, jane: str) -> None:
    """They go first (R-11)."""
    upload(iam, UserName=jane)
    with refusal("DeleteConflict", "must delete signing certificates first"):
        iam.delete_user(UserName=jane)

"""Server certificates by boto3: G-77, G-78, K-33."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema import server_certificates
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.certificate_parts import FOREVER, TODAY, certificate_pem, error_of, private_pem, quotes

BODY, KEY = certificate_pem("leaf", "middle"), private_pem("leaf")
CHAIN = certificate_pem("middle", "authority") + certificate_pem("authority")


def upload(iam: Client, name: str = "web", **more: Any) -> dict[str, Any]:
    parameters = {"ServerCertificateName": name, "CertificateBody": BODY, "PrivateKey": KEY} | more
    answer: dict[str, Any] = iam.upload_server_certificate(**parameters)
    return answer


def names(answer: dict[str, Any]) -> list[str]:
    return [each["ServerCertificateName"] for each in answer["ServerCertificateMetadataList"]]


def test_server_certificate_lifecycle(iam: Client) -> None:
    """Uploaded, listed, returned, deleted."""
    metadata = upload(iam, Path="/site/", CertificateChain=CHAIN)["ServerCertificateMetadata"]
    assert metadata["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/site/web"
    assert re.fullmatch(r"ASCA[A-Z2-7]{17}", metadata["ServerCertificateId"])
    assert (metadata["Expiration"] - TODAY).days == FOREVER
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == [metadata]
    assert iam.get_server_certificate(ServerCertificateName="WEB")["ServerCertificate"] == {
        "ServerCertificateMetadata": metadata,
        "CertificateBody": BODY,
        "CertificateChain": CHAIN,
        "Tags": [],
    }
    iam.delete_server_certificate(ServerCertificateName="web")
    with refusal("NoSuchEntity", "The Server Certificate with name web cannot be found.", 404):
        iam.get_server_certificate(ServerCertificateName="web")


def test_server_private_key_is_sealed_and_never_returned(iam: Client, server: Running) -> None:
    """The store's key unseals it only in its row."""
    upload(iam)
    assert "CertificateChain" not in iam.get_server_certificate(ServerCertificateName="web")["ServerCertificate"]
    assert "PRIVATE" not in str(iam.get_server_certificate(ServerCertificateName="web"))
    with server.store.read_transaction() as records:
        row = records.one(server_certificates, account=ACCOUNT, folded="web")
    assert row is not None
    assert b"PRIVATE" not in row["sealed"]
    assert server.store.sealer.open(row["sealed"], f"server-certificate:{row['id']}".encode()).decode() == KEY


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"CertificateBody": "nothing"}, "MalformedCertificate"),
        ({"CertificateBody": KEY}, "MalformedCertificate"),
        ({"CertificateBody": BODY + CHAIN}, "MalformedCertificate"),
        ({"PrivateKey": "nothing"}, "MalformedCertificate"),
        ({"PrivateKey": private_pem("leaf", b"password")}, "MalformedCertificate"),
        ({"PrivateKey": private_pem("other")}, "KeyPairMismatch"),
        ({"CertificateChain": "nothing"}, "MalformedCertificate"),
        ({"CertificateChain": certificate_pem("authority")}, "MalformedCertificate"),
        ({"CertificateBody": certificate_pem("leaf", ends=-1, begins=-2)}, "MalformedCertificate"),
        ({"CertificateBody": certificate_pem("leaf", begins=FOREVER - 1)}, "MalformedCertificate"),
    ],
)
def test_invalid_server_certificate_is_rejected(iam: Client, parameters: dict[str, str], code: str) -> None:
    """Malformed, mismatched or expired; no error quotes the input."""
    answer = error_of(upload, iam=iam, **parameters)
    assert answer[:2] == (code, 400)
    assert not quotes(answer[2], "\n".join(parameters.values()))
    assert names(iam.list_server_certificates()) == []


def test_server_certificate_name_is_unique(iam: Client) -> None:
    """In any letter case (G-78)."""
    upload(iam)
    with refusal("EntityAlreadyExists", "The Server Certificate with name Web already exists.", 409):
        upload(iam, "Web")


def test_server_certificate_quota_is_enforced(iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty (G-77)."""
    assert QUOTAS["server certificates per account"] == 20
    monkeypatch.setitem(QUOTAS, "server certificates per account", 1)
    upload(iam)
    with refusal("LimitExceeded", "Cannot exceed quota for ServerCertificatesPerAccount: 1", 409):
        upload(iam, "other")


def test_server_certificate_is_renamed_and_moved(iam: Client) -> None:
    """Its id stays; a taken name is rejected."""
    before = upload(iam)["ServerCertificateMetadata"]
    upload(iam, "other")
    iam.update_server_certificate(ServerCertificateName="web", NewServerCertificateName="site", NewPath="/a/")
    after = iam.get_server_certificate(ServerCertificateName="site")["ServerCertificate"]["ServerCertificateMetadata"]
    assert after["ServerCertificateId"] == before["ServerCertificateId"]
    assert after["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/a/site"
    with refusal("EntityAlreadyExists", "The Server Certificate with name OTHER already exists.", 409):
        iam.update_server_certificate(ServerCertificateName="site", NewServerCertificateName="OTHER")
    iam.update_server_certificate(ServerCertificateName="site", NewServerCertificateName="SITE")
    assert names(iam.list_server_certificates()) == ["other", "SITE"]


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("get_server_certificate", {}),
        ("delete_server_certificate", {}),
        ("update_server_certificate", {"NewPath": "/a/"}),
        ("list_server_certificate_tags", {}),
        ("tag_server_certificate", {"Tags": [{"Key": "a", "Value": "b"}]}),
        ("untag_server_certificate", {"TagKeys": ["a"]}),
    ],
)
def test_missing_server_certificate_is_not_found(
    iam: Client, other_account: Client, operation: str, more: dict[str, Any]
) -> None:
    """Nor one of another account."""
    upload(iam)
    for client, name in ((iam, "absent"), (other_account, "web")):
        with refusal("NoSuchEntity", f"The Server Certificate with name {name} cannot be found.", 404):
            getattr(client, operation)(ServerCertificateName=name, **more)


def test_server_certificates_are_paged(iam: Client, other_account: Client) -> None:
    """By name, below a path; deleted ones are left out."""
    for name, path in (("c", "/x/"), ("a", "/x/y/"), ("b", "/"), ("d", "/x/")):
        upload(iam, name, Path=path)
    page = iam.list_server_certificates(PathPrefix="/x/", MaxItems=1)
    assert (names(page), page["IsTruncated"]) == (["a"], True)
    iam.delete_server_certificate(ServerCertificateName="a")
    rest = iam.list_server_certificates(PathPrefix="/x/", Marker=page["Marker"])
    assert (names(rest), rest["IsTruncated"]) == (["c", "d"], False)
    assert names(iam.list_server_certificates()) == ["b", "c", "d"]
    assert names(other_account.list_server_certificates()) == []


def test_server_certificate_tags_are_managed(iam: Client) -> None:
    """Set at upload, added, replaced, removed, paged; lists of certificates don't have them."""
    answer = upload(iam, Tags=[{"Key": "team", "Value": "a"}, {"Key": "floor", "Value": "1"}])
    assert answer["Tags"] == [{"Key": "floor", "Value": "1"}, {"Key": "team", "Value": "a"}]
    iam.tag_server_certificate(ServerCertificateName="web", Tags=[{"Key": "Team", "Value": "b"}])
    iam.untag_server_certificate(ServerCertificateName="web", TagKeys=["floor"])
    expected = [{"Key": "Team", "Value": "b"}]
    assert iam.list_server_certificate_tags(ServerCertificateName="web")["Tags"] == expected
    assert iam.get_server_certificate(ServerCertificateName="web")["ServerCertificate"]["Tags"] == expected
    iam.tag_server_certificate(
        ServerCertificateName="web", Tags=[{"Key": f"k{number}", "Value": ""} for number in "12"]
    )
    listed = iam.get_paginator("list_server_certificate_tags").paginate(
        ServerCertificateName="web", PaginationConfig={"PageSize": 2}
    )
    assert [tag["Key"] for page in listed for tag in page["Tags"]] == ["Team", "k1", "k2"]
    with refusal("InvalidInput", "Duplicate tag keys", 400):
        upload(iam, "other", Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])


def test_server_certificate_permissions(client_for: Callable[..., Client], iam: Client) -> None:
    """By path and tags; a new name needs its own permission (K-33)."""
    mine = f"arn:aws:iam::{ACCOUNT}:server-certificate/mine/*"
    jane = client_for("jane", allow("iam:*ServerCertificate", mine))
    upload(jane, Path="/mine/")
    upload(jane, "tagged", Path="/mine/", Tags=[{"Key": "a", "Value": "b"}])
    with refusal("AccessDenied", "server-certificate/web"):
        upload(jane)
    with refusal("AccessDenied", "iam:UpdateServerCertificate"):
        jane.update_server_certificate(ServerCertificateName="web", NewPath="/")
    jane.update_server_certificate(ServerCertificateName="web", NewServerCertificateName="site")
    joe = client_for("joe", allow("iam:UploadServerCertificate"))
    with refusal("AccessDenied", "iam:TagServerCertificate"):
        upload(joe, "other", Tags=[{"Key": "a", "Value": "b"}])

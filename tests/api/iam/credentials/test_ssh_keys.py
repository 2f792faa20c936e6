"""SSH public keys by boto3: R-11, G-77."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from iam_guard.api.iam.credentials.ssh_keys import RSA_BITS
from iam_guard.store.quotas import QUOTAS
from tests.api.conftest import ACCOUNT, Client, allow, refusal
from tests.api.iam.certificate_parts import certificate_pem, error_of, private_pem, public_pem, quotes, ssh_text

KEYS = ["one", "two", "three"]
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKzvfE+qS09w+okgrO0gY7jryF0lSCxdEO/O0UaUhuZe"


@pytest.fixture
def jane(iam: Client) -> str:
    iam.create_user(UserName="jane")
    return "jane"


def upload(iam: Client, text: str, user: str = "jane") -> str:
    """Upload a key, and return its id."""
    id: str = iam.upload_ssh_public_key(UserName=user, SSHPublicKeyBody=text)["SSHPublicKey"]["SSHPublicKeyId"]
    return id


def test_ssh_key_lifecycle(iam: Client, jane: str) -> None:
    """Uploaded, listed, deactivated, returned, deleted."""
    made = iam.upload_ssh_public_key(UserName=jane, SSHPublicKeyBody=ssh_text("one"))["SSHPublicKey"]
    assert (made["UserName"], made["Status"], made["SSHPublicKeyBody"]) == (jane, "Active", ssh_text("one"))
    assert re.fullmatch(r"APKA[A-Z2-7]{17}", made["SSHPublicKeyId"])
    (listed,) = iam.list_ssh_public_keys(UserName=jane)["SSHPublicKeys"]
    assert set(listed) == {"UserName", "SSHPublicKeyId", "Status", "UploadDate"}
    id = made["SSHPublicKeyId"]
    iam.update_ssh_public_key(UserName=jane, SSHPublicKeyId=id, Status="Inactive")
    got = iam.get_ssh_public_key(UserName=jane, SSHPublicKeyId=id, Encoding="SSH")["SSHPublicKey"]
    assert got == {**made, "Status": "Inactive"}
    iam.delete_ssh_public_key(UserName=jane, SSHPublicKeyId=id)
    assert iam.list_ssh_public_keys(UserName=jane)["SSHPublicKeys"] == []


@pytest.mark.parametrize("parameters", [ssh_text("one"), f"  {ssh_text('one')} jane@laptop\n", public_pem("one")])
def test_ssh_key_has_two_encodings(iam: Client, jane: str, parameters: str) -> None:
    """Of the same key; a comment is left out."""
    id = upload(iam, parameters)
    for encoding, expected in (("SSH", ssh_text("one")), ("PEM", public_pem("one"))):
        got = iam.get_ssh_public_key(UserName=jane, SSHPublicKeyId=id, Encoding=encoding)["SSHPublicKey"]
        assert got["SSHPublicKeyBody"] == expected


def test_ssh_fingerprint_matches_ssh_keygen(iam: Client, jane: str, tmp_path: Path) -> None:
    """MD5 of the key's bytes, with colons."""
    made = iam.upload_ssh_public_key(UserName=jane, SSHPublicKeyBody=public_pem("one"))["SSHPublicKey"]
    assert re.fullmatch(r"(?:[0-9a-f]{2}:){15}[0-9a-f]{2}", made["Fingerprint"])
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        pytest.skip("there is no ssh-keygen on this machine")
    file = tmp_path / "key.pub"
    file.write_text(ssh_text("one"))
    shown = subprocess.run([keygen, "-l", "-E", "md5", "-f", file], capture_output=True, text=True, check=True).stdout
    assert f"MD5:{made['Fingerprint']}" in shown


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ED25519, "UnrecognizedPublicKeyEncoding"),
        ("nothing", "UnrecognizedPublicKeyEncoding"),
        (private_pem("signer"), "UnrecognizedPublicKeyEncoding"),
        (certificate_pem("signer"), "UnrecognizedPublicKeyEncoding"),
        ("ssh-rsa AAAA", "InvalidPublicKey"),
        ("ssh-rsa %%%%", "InvalidPublicKey"),
        (ssh_text("one")[:200], "InvalidPublicKey"),
        (f"ssh-rsa {ED25519.split()[1]}", "InvalidPublicKey"),
        (public_pem("one").replace("A", "B"), "InvalidPublicKey"),
        (ssh_text("small", 1024), "InvalidPublicKey"),
    ],
)
def test_invalid_ssh_key_is_rejected(iam: Client, jane: str, text: str, code: str) -> None:
    """Other kinds, broken or small keys; a private key is not quoted."""
    answer = error_of(upload, iam=iam, text=text)
    assert answer[:2] == (code, 400)
    assert not quotes(answer[2], text)
    assert iam.list_ssh_public_keys(UserName=jane)["SSHPublicKeys"] == []


def test_ssh_key_sizes_match_the_documentation() -> None:
    """2,048 to 16,384 bits."""
    assert (RSA_BITS[0], RSA_BITS[-1]) == (2048, 16384)


def test_ssh_key_is_unique_per_user(iam: Client, jane: str) -> None:
    """In any encoding; another user may have it too."""
    upload(iam, ssh_text("one"))
    for again in (f"{ssh_text('one')} other comment", public_pem("one")):
        with refusal("DuplicateSSHPublicKey", status=400):
            upload(iam, again)
    iam.create_user(UserName="joe")
    upload(iam, ssh_text("one"), "joe")


def test_sixth_ssh_key_exceeds_the_quota(iam: Client, jane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-77."""
    assert QUOTAS["SSH keys per user"] == 5
    monkeypatch.setitem(QUOTAS, "SSH keys per user", 1)
    upload(iam, ssh_text("one"))
    with refusal("LimitExceeded", "Cannot exceed quota for SSHPublicKeysPerUser: 1", 409):
        upload(iam, ssh_text("two"))


def test_ssh_status_expired_cannot_be_set(iam: Client, jane: str) -> None:
    id = upload(iam, ssh_text("one"))
    with refusal("InvalidInput", status=400):
        iam.update_ssh_public_key(UserName=jane, SSHPublicKeyId=id, Status="Expired")


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("get_ssh_public_key", {"Encoding": "SSH"}),
        ("update_ssh_public_key", {"Status": "Inactive"}),
        ("delete_ssh_public_key", {}),
    ],
)
def test_ssh_key_of_another_user_is_not_found(
    iam: Client, other_account: Client, jane: str, operation: str, more: dict[str, str]
) -> None:
    """Only those of the named user in the caller's account are searched."""
    id = upload(iam, ssh_text("one"))
    iam.create_user(UserName="joe")
    other_account.create_user(UserName="jane")
    for client, name in ((iam, "joe"), (other_account, "jane")):
        with refusal("NoSuchEntity", f"The Public Key with id {id} cannot be found.", 404):
            getattr(client, operation)(UserName=name, SSHPublicKeyId=id, **more)
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam, operation)(UserName="nobody", SSHPublicKeyId=id, **more)
    assert iam.list_ssh_public_keys(UserName=jane)["SSHPublicKeys"][0]["Status"] == "Active"


def test_unknown_encoding_is_rejected(iam: Client, jane: str) -> None:
    """The model's."""
    id = upload(iam, ssh_text("one"))
    with refusal("ValidationError", status=400):
        iam.get_ssh_public_key(UserName=jane, SSHPublicKeyId=id, Encoding="DER")


def test_ssh_key_pages_survive_deletions(iam: Client, jane: str) -> None:
    """A marker leads on although what came before it is gone."""
    ids = sorted(upload(iam, ssh_text(name)) for name in KEYS)
    page = iam.list_ssh_public_keys(UserName=jane, MaxItems=1)
    assert [key["SSHPublicKeyId"] for key in page["SSHPublicKeys"]] == ids[:1]
    iam.delete_ssh_public_key(UserName=jane, SSHPublicKeyId=ids[0])
    rest = iam.list_ssh_public_keys(UserName=jane, Marker=page["Marker"])
    assert [key["SSHPublicKeyId"] for key in rest["SSHPublicKeys"]] == ids[1:]


def test_root_user_has_no_ssh_keys(root: Client) -> None:
    """The default caller must be a user."""
    with refusal("ValidationError", "Must specify userName when calling with non-User credentials", 400):
        root.list_ssh_public_keys()


def test_ssh_key_list_defaults_to_the_caller(client_for: Callable[..., Client]) -> None:
    """The only such operation."""
    jane = client_for("jane", allow("iam:*SSHPublicKey*", f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"))
    upload(jane, ssh_text("one"))
    assert len(jane.list_ssh_public_keys()["SSHPublicKeys"]) == 1
    with refusal("AccessDenied", "user/admin", 403):
        jane.list_ssh_public_keys(UserName="admin")


def test_deleting_a_user_with_ssh_keys_raises_delete_conflict(iam: Client, jane: str) -> None:
    """R-11."""
    upload(iam, ssh_text("one"))
    with refusal("DeleteConflict", "must delete SSH public keys first"):
        iam.delete_user(UserName=jane)

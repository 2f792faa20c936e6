"""No secret of the control plane appears in rows, the audit trail, logs, errors or representations.

Every operation with a secret is called, with success and without; then everything that was written meanwhile is
searched for each secret.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iam_guard.api.protocol.app import aws_api
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import metadata
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from tests.api.conftest import ADMIN_KEY, ROOT_KEY, SEED, Client, Running
from tests.api.iam.certificate_parts import certificate_pem, private_pem
from tests.api.iam.mfa_parts import code_at, codes_at, step_now
from tests.serving import serving

pytestmark = pytest.mark.usefixtures("cheap_passwords")

FIRST, SECOND, WEAK = "Kj7-first-password", "Kj7-second-password", "weakpasswd"


class Watched:
    """A server with readable audit trail and store, and the secrets that were used."""

    def __init__(self, running: Running, audit: Path) -> None:
        self.iam, self.root = running.client(ADMIN_KEY), running.client(ROOT_KEY)
        self.running, self.audit = running, audit
        self.secrets: list[str] = []
        self.errors: list[str] = []

    def try_(self, call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
        """Call a function, and collect its error."""
        try:
            answer: dict[str, Any] = call(**parameters)
        except ClientError as error:
            self.errors.append(f"{error} {error.response}")
            return {}
        return answer

    def rows(self) -> str:
        """Return all rows of all tables as text; bytes unchanged and in base 64."""
        texts = []
        with self.running.store.read_transaction() as records:
            for table in metadata.sorted_tables:
                for row in records.all(table):
                    texts += [_written(value) for value in row.values()]
        return "\n".join(texts)


def _written(value: object) -> str:
    if isinstance(value, bytes):
        return f"{value.decode('latin-1')} {base64.b64encode(value).decode()}"
    return str(value)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    audit = tmp_path / "audit.jsonl"
    settings = Settings(audit=str(audit))
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(SEED))
    guard, snapshot = guard_with_store(store, settings), Snapshot(store.engine)
    with serving(aws_api(guard)) as url:
        yield Watched(Running(url, guard, store, snapshot), audit)
    snapshot.close()
    guard.close()


def keys_and_passwords(watched: Watched) -> None:
    iam, try_ = watched.iam, watched.try_
    made = iam.create_access_key(UserName="jane")["AccessKey"]
    watched.secrets.append(made["SecretAccessKey"])
    jane = watched.running.client((made["AccessKeyId"], made["SecretAccessKey"]))
    watched.secrets.append(watched.root.create_access_key()["AccessKey"]["SecretAccessKey"])
    watched.secrets += [FIRST, SECOND, WEAK]
    try_(iam.create_login_profile, UserName="jane", Password=WEAK)
    try_(iam.create_login_profile, UserName="nobody", Password=FIRST)
    iam.create_login_profile(UserName="jane", Password=FIRST)
    try_(iam.create_login_profile, UserName="jane", Password=SECOND)
    try_(jane.change_password, OldPassword=FIRST, NewPassword=SECOND)
    iam.update_account_password_policy(AllowUsersToChangePassword=True, PasswordReusePrevention=5)
    try_(jane.change_password, OldPassword=SECOND, NewPassword=FIRST)
    jane.change_password(OldPassword=FIRST, NewPassword=SECOND)
    try_(iam.update_login_profile, UserName="jane", Password=FIRST)
    try_(iam.update_login_profile, UserName="jane", Password=FIRST + "\u20ac")
    watched.root.create_login_profile(Password=FIRST)


def devices(watched: Watched) -> None:
    iam, step = watched.iam, step_now()
    seed = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]["Base32StringSeed"].decode()
    watched.secrets += [seed, base64.b32decode(seed).decode("latin-1")]
    serial = iam.list_virtual_mfa_devices()["VirtualMFADevices"][0]["SerialNumber"]
    wrong = {"AuthenticationCode1": code_at(seed, step), "AuthenticationCode2": code_at(seed, step)}
    watched.try_(iam.enable_mfa_device, UserName="jane", SerialNumber=serial, **wrong)
    iam.enable_mfa_device(UserName="jane", SerialNumber=serial, **codes_at(seed, step))
    watched.try_(iam.resync_mfa_device, UserName="jane", SerialNumber=serial, **codes_at(seed, step))


def certificates(watched: Watched) -> None:
    iam, key = watched.iam, private_pem("leaf")
    watched.secrets += key.splitlines()[1:-1]
    parameters = {"ServerCertificateName": "web", "CertificateBody": certificate_pem("leaf"), "PrivateKey": key}
    iam.upload_server_certificate(**parameters)
    for change in (
        {},
        {"CertificateBody": key},
        {"CertificateBody": certificate_pem("other")},
        {"CertificateChain": key},
        {"PrivateKey": key[:-60]},
        {"PrivateKey": key + "\u20ac"},
    ):
        watched.try_(iam.upload_server_certificate, **parameters | {"ServerCertificateName": "other"} | change)
        iam.delete_server_certificate(ServerCertificateName="other") if not change else None
    watched.try_(iam.upload_signing_certificate, CertificateBody=key)
    watched.try_(iam.upload_ssh_public_key, UserName="jane", SSHPublicKeyBody=key)


def service_credentials(watched: Watched) -> None:
    for service, member in (
        ("codecommit.amazonaws.com", "ServicePassword"),
        ("bedrock.amazonaws.com", "ServiceCredentialSecret"),
    ):
        made = watched.iam.create_service_specific_credential(UserName="jane", ServiceName=service)
        id = made["ServiceSpecificCredential"]["ServiceSpecificCredentialId"]
        reset = watched.iam.reset_service_specific_credential(UserName="jane", ServiceSpecificCredentialId=id)
        watched.secrets += [each["ServiceSpecificCredential"][member] for each in (made, reset)]


def read_everything(client: Client) -> str:
    """Call all operations that return credentials."""
    whose = {"UserName": "jane"}
    return str(
        [
            client.list_access_keys(**whose),
            client.get_login_profile(**whose),
            client.list_mfa_devices(**whose),
            client.list_virtual_mfa_devices(),
            client.get_server_certificate(ServerCertificateName="web"),
            client.list_service_specific_credentials(**whose),
        ]
    )


def test_secrets_appear_nowhere(watched: Watched, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    """Nothing stored, recorded, logged, printed or returned later contains one."""
    caplog.set_level(logging.DEBUG, "iam_guard")
    watched.iam.create_user(UserName="jane")
    for work in (keys_and_passwords, devices, certificates, service_credentials):
        work(watched)
    places = {
        "rows": watched.rows(),
        "audit": watched.audit.read_text(),
        "logs": "\n".join(f"{record.getMessage()} {record.exc_info}" for record in caplog.records),
        "output": "".join(capfd.readouterr()),
        "errors": "\n".join(watched.errors),
        "answers": read_everything(watched.iam),
    }
    assert len(watched.errors) >= 14
    assert len(places["audit"]) > 1000
    assert len(set(watched.secrets)) >= 12
    found = {place: secret for place, text in places.items() for secret in watched.secrets if secret in text}
    assert found == {}

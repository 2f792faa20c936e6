"""The sink `webhook`: requests, confirmation, statuses, retries; redirects are not followed."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.shipping.destination import Gone, NotDelivered, Refused, Unreachable
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.shipping.to_webhook import MAX_BODY, Webhook, connector
from iam_guard.audit.shipping.webhook_signature import verify_webhook
from tests.audit.shipping.destinations import ship_once
from tests.audit.shipping.receivers import Answer, Receiver, Request, run_receiver
from tests.audit.trails import written

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def webhook(receiver: Receiver, options: str = "") -> Webhook:
    return connector(SinkUrl.parse(f"{receiver.url}/in?tenant=7#name=hook{options}"), [SECRET])()


def posted(requests: Sequence[Request]) -> list[dict[str, Any]]:
    return [load for request in requests for load in json.loads(request.body)]


def test_webhook_batch_is_one_signed_array(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    webhook(receiver).send(batch)
    [request] = receiver.requests
    assert request.path == "/in?tenant=7"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == [each.record for each in batch]
    assert verify_webhook(request.headers, request.body, [SECRET], now=time.time()).startswith("msg_")


@pytest.mark.parametrize(("form", "mark"), [("ocsf", "class_uid"), ("otel", "resourceLogs")])
def test_webhook_form_is_configurable(receiver: Receiver, batch: Sequence[Delivery], form: str, mark: str) -> None:
    webhook(receiver, f"&form={form}").send(batch)
    found = posted(receiver.requests)
    assert len(found) == len(batch)
    assert all(mark in each for each in found)


def test_webhook_retry_keeps_id_and_is_signed_again(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    """So a receiver can deduplicate, and the timestamp is that of the attempt."""
    times = iter([1000.0, 1000.0, 2000.0, 2000.0, 2000.0])
    receiver.answers = [Answer(503)]
    sink = webhook(receiver)
    sink.clock = lambda: next(times)
    with pytest.raises(Unreachable):
        sink.send(batch)
    sink.send(batch)
    first, second = (request.headers for request in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"]
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "2000")


def test_webhook_large_batch_is_split(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    big = [replace_filler(each, "x" * 50_000) for each in batch] * 4
    webhook(receiver).send(big)
    assert len(receiver.requests) > 1
    assert max(len(request.body) for request in receiver.requests) <= MAX_BODY + 60_000
    assert posted(receiver.requests) == [each.record for each in big]


def replace_filler(delivery: Delivery, filler: str) -> Delivery:
    return Delivery(delivery.offset, delivery.record | {"filler": filler})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (202, None),
        (204, None),
        (301, Unreachable),
        (302, Unreachable),
        (307, Unreachable),
        (308, Unreachable),
        (400, Refused),
        (401, Unreachable),
        (403, Unreachable),
        (404, Unreachable),
        (408, Unreachable),
        (410, Gone),
        (413, Refused),
        (422, Refused),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
def test_webhook_status_maps_to_outcome(
    receiver: Receiver, batch: Sequence[Delivery], status: int, kind: type[NotDelivered] | None
) -> None:
    """A redirect is not followed."""
    receiver.answers = [Answer(status, (("location", f"{receiver.url}/elsewhere"), ("retry-after", "7")))]
    if kind is None:
        webhook(receiver).send(batch)
    else:
        with pytest.raises(kind) as caught:
            webhook(receiver).send(batch)
        assert str(status) in str(caught.value)
        if isinstance(caught.value, Unreachable):
            assert caught.value.retry_after == 7.0
    assert [request.path for request in receiver.requests] == ["/in?tenant=7"]


def test_webhook_timeout_is_unreachable(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    receiver.gate.clear()
    with pytest.raises(Unreachable, match="ReadTimeout"):
        webhook(receiver, "&timeout=0.2").send(batch)


def test_webhook_unreachable_error_has_no_address(batch: Sequence[Delivery]) -> None:
    with run_receiver() as stopped:
        sink = webhook(stopped)
    with pytest.raises(Unreachable) as caught:
        sink.send(batch)
    assert "127.0.0.1" not in str(caught.value)
    assert "tenant" not in str(caught.value)


def test_webhook_ignores_proxy_variables(
    receiver: Receiver, batch: Sequence[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    webhook(receiver).send(batch)
    assert receiver.requests


def test_webhook_verifies_certificates(batch: Sequence[Delivery], tmp_path: Path) -> None:
    """A private authority is trusted only if `ca_file` names it."""
    pem = self_signed(tmp_path)
    with run_receiver(pem) as receiver:
        with pytest.raises(Unreachable):
            webhook(receiver).send(batch)
        webhook(receiver, f"&ca_file={pem}").send(batch)
        assert len(receiver.accepted) == 1


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "receiver.pem"
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_webhook_secrets_are_read_from_file(receiver: Receiver, batch: Sequence[Delivery], tmp_path: Path) -> None:
    """All secrets of the file sign."""
    path = tmp_path / "secrets"
    path.write_text(f"# new\n{SECRET}\n")
    path.chmod(0o600)
    connector(SinkUrl.parse(f"{receiver.url}#secret_file={path}"))().send(batch)
    [request] = receiver.requests
    assert request.path == "/"
    verify_webhook(request.headers, request.body, [SECRET], now=time.time())


def test_webhook_delivers_all_through_outages(receiver: Receiver, tmp_path: Path) -> None:
    """Through an outage, a redirect and a size limit; a permanently refused record is listed."""
    trail = tmp_path / "trail"
    written(trail, 40)
    receiver.answers = [Answer(503), Answer(302), Answer(500)]
    receiver.decide = lambda request: Answer(413) if b'"id-7"' in request.body or len(request.body) > 6000 else None
    sinks = open_sinks([SinkUrl.parse(f"{receiver.url}/in#name=hook&batch=25")], webhook_secrets=[SECRET])
    shippers = ship_once(trail, *sinks)
    found = [each["eventID"] for each in posted(receiver.accepted) if "filler" in each]
    assert found == [f"id-{number}" for number in range(40) if number != 7]
    usage = shippers.usage()["hook"]
    assert (usage.state, usage.refused, usage.failures, usage.lag) == ("ended", 1, 3, 0)

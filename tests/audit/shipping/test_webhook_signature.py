"""Webhook signatures by Standard Webhooks, checked against the reference library in both directions."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from iam_guard.audit.shipping.webhook_signature import TOLERANCE, WebhookSecrets, signed_headers, verify_webhook
from iam_guard.errors import ConfigurationError, SignatureDoesNotMatch
from tests.tables import table

NEW, OLD, OTHER = ("whsec_" + base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2, 3))
BODY = b'[{"eventID":"1"}]'
NOW = 1_764_043_869


def headers(*secrets: str, now: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return dict(signed_headers(WebhookSecrets(secrets), "msg_1", now, body))


def test_signature_matches_the_standards_example() -> None:
    """From the reference libraries of the specification."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signed = dict(signed_headers(WebhookSecrets([secret]), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body))
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@table("secrets", [(NEW,), (NEW, OLD), (OLD, NEW)])
def test_reference_library_verifies_our_signatures(secrets: tuple[str, ...]) -> None:
    """During a rotation both secrets sign, so a receiver may rotate before or after the sender."""
    now = int(datetime.now(UTC).timestamp())
    for secret in secrets:
        assert Webhook(secret).verify(BODY, headers(*secrets, now=now)) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers(*secrets, now=now))


def test_verify_webhook_accepts_reference_library_signature() -> None:
    signature = Webhook(OLD).sign("msg_2", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    received = {"Webhook-Id": "msg_2", "Webhook-Timestamp": str(NOW), "Webhook-Signature": f"v0,x v1,?? {signature}"}
    assert verify_webhook(received, BODY, [NEW, OLD], now=NOW) == "msg_2"


@table(
    "change",
    [
        lambda original: original | {"webhook-id": "msg_2"},
        lambda original: original | {"webhook-id": ""},
        lambda original: original | {"webhook-timestamp": str(NOW + 1)},
        lambda original: original | {"webhook-timestamp": "soon"},
        lambda original: original | {"webhook-timestamp": "\u0661"},
        lambda original: original | {"webhook-timestamp": "9" * 5000},
        lambda original: original | {"webhook-signature": ""},
        lambda original: original | {"webhook-signature": original["webhook-signature"].replace("v1,", "v1a,")},
        lambda original: original | {"webhook-signature": "v1"},
        lambda original: original | {"webhook-signature": original["webhook-signature"][:-8]},
        lambda original: {},
    ],
)
def test_verify_webhook_changed_headers_raise(change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    with pytest.raises(SignatureDoesNotMatch):
        verify_webhook(change(headers(NEW)), BODY, [NEW], now=NOW)


@given(st.binary(max_size=30))
def test_verify_webhook_changed_body_raises(body: bytes) -> None:
    if body != BODY:
        with pytest.raises(SignatureDoesNotMatch):
            verify_webhook(headers(NEW), body, [NEW], now=NOW)


@table("shift", [-TOLERANCE - 1, TOLERANCE + 1])
def test_verify_webhook_outside_tolerance_raises(shift: int) -> None:
    assert verify_webhook(headers(NEW), BODY, [NEW], now=NOW + TOLERANCE)
    with pytest.raises(SignatureDoesNotMatch, match="expected a timestamp within"):
        verify_webhook(headers(NEW), BODY, [NEW], now=NOW + shift)


@table("text", ["", "whsec_", "whsec_AAAA", "whsec_" + "A" * 200, "whsec_!!!", "no secret at all"])
def test_malformed_webhook_secret_raises_without_secret(text: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        WebhookSecrets([text])
    assert len(text) < 8 or text not in str(refusal.value)
    with pytest.raises(ConfigurationError):
        WebhookSecrets([])


def test_webhook_secrets_repr_has_no_secret() -> None:
    secrets = WebhookSecrets([NEW])
    assert NEW[6:20] not in repr(secrets)
    assert not hasattr(secrets, "__dict__")

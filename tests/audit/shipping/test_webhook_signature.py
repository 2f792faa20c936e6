"""Webhooks are signed as Standard Webhooks says: a stranger's library verifies ours, and ours what it signs."""

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

NEW, OLD, OTHER = ("whsec_" + base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2, 3))
BODY = b'[{"eventID":"1"}]'
NOW = 1_764_043_869


def headers(*secrets: str, now: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return dict(signed_headers(WebhookSecrets(secrets), "msg_1", now, body))


def test_the_example_of_the_standard() -> None:
    """From the specification's own reference libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = dict(signed_headers(WebhookSecrets([secret]), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body))
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("ring", [(NEW,), (NEW, OLD), (OLD, NEW)])
def test_a_strangers_library_verifies_ours(ring: tuple[str, ...]) -> None:
    """During a rotation both secrets sign, so a receiver may change its own before or after us."""
    moment = int(datetime.now(UTC).timestamp())
    for secret in ring:
        assert Webhook(secret).verify(BODY, headers(*ring, now=moment)) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers(*ring, now=moment))


def test_ours_verifies_what_a_stranger_signs() -> None:
    signature = Webhook(OLD).sign("msg_2", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    given = {"Webhook-Id": "msg_2", "Webhook-Timestamp": str(NOW), "Webhook-Signature": f"v0,x v1,?? {signature}"}
    assert verify_webhook(given, BODY, [NEW, OLD], now=NOW) == "msg_2"


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given | {"webhook-id": "msg_2"},
        lambda given: given | {"webhook-id": ""},
        lambda given: given | {"webhook-timestamp": str(NOW + 1)},
        lambda given: given | {"webhook-timestamp": "soon"},
        lambda given: given | {"webhook-timestamp": "\u0661"},
        lambda given: given | {"webhook-timestamp": "9" * 5000},
        lambda given: given | {"webhook-signature": ""},
        lambda given: given | {"webhook-signature": given["webhook-signature"].replace("v1,", "v1a,")},
        lambda given: given | {"webhook-signature": "v1"},
        lambda given: given | {"webhook-signature": given["webhook-signature"][:-8]},
        lambda given: {},
    ],
)
def test_what_was_changed_is_not_believed(change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    with pytest.raises(SignatureDoesNotMatch):
        verify_webhook(change(headers(NEW)), BODY, [NEW], now=NOW)


@given(st.binary(max_size=30))
def test_another_body_is_not_believed(body: bytes) -> None:
    if body != BODY:
        with pytest.raises(SignatureDoesNotMatch):
            verify_webhook(headers(NEW), body, [NEW], now=NOW)


@pytest.mark.parametrize("shift", [-TOLERANCE - 1, TOLERANCE + 1])
def test_what_is_old_or_of_the_future_is_not_believed(shift: int) -> None:
    assert verify_webhook(headers(NEW), BODY, [NEW], now=NOW + TOLERANCE)
    with pytest.raises(SignatureDoesNotMatch, match="too old"):
        verify_webhook(headers(NEW), BODY, [NEW], now=NOW + shift)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "whsec_" + "A" * 200, "whsec_!!!", "no secret at all"])
def test_a_secret_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        WebhookSecrets([text])
    assert len(text) < 8 or text not in str(refusal.value)
    with pytest.raises(ConfigurationError):
        WebhookSecrets([])


def test_secrets_are_not_printed() -> None:
    made = WebhookSecrets([NEW])
    assert NEW[6:20] not in repr(made)
    assert not hasattr(made, "__dict__")

"""Webhook signatures by Standard Webhooks (standardwebhooks.com), with HMAC-SHA256: signing and verification.

    webhook-id: msg_…                 the same when the same body is sent again
    webhook-timestamp: 1764043869     seconds since 1970, of this attempt
    webhook-signature: v1,<base64> v1,<base64>     one for each secret

The signed text is `id.timestamp.body`. A secret is `whsec_` followed by base64 of 24 to 64 bytes. During a rotation
there are several: all of them sign, and a receiver accepts any that it knows. Pure: time is an argument.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from iam_guard.errors import ConfigurationError, SignatureDoesNotMatch

TOLERANCE = 300
"""Maximum difference of the sender's and receiver's clocks, in seconds."""

_PREFIX = "whsec_"
_VERSION = "v1"


class WebhookSecrets:
    """Webhook secrets, without a repr that shows them."""

    __slots__ = ("_keys",)

    def __init__(self, texts: Iterable[str], *, place: str = "secrets") -> None:
        """Parse the secrets; raise `ConfigurationError` for a malformed one, or if there is none."""
        self._keys = [_key(text, place) for text in texts]
        if not self._keys:
            raise ConfigurationError("expected at least one webhook secret", place=place)

    def signatures(self, message_id: str, timestamp: int, body: bytes) -> list[bytes]:
        """Return the signature of a message with each secret."""
        signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
        return [hmac.digest(key, signed, sha256) for key in self._keys]


def signed_headers(secrets: WebhookSecrets, message_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    """Return the three headers of a message."""
    signatures = secrets.signatures(message_id, timestamp, body)
    header = " ".join(f"{_VERSION},{base64.b64encode(each).decode()}" for each in signatures)
    return [("webhook-id", message_id), ("webhook-timestamp", str(timestamp)), ("webhook-signature", header)]


def verify_webhook(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: float) -> str:
    """Verify a received webhook and return its id; raise `SignatureDoesNotMatch` for an invalid one.

    Header names are case-insensitive, `secrets` are those of the sender, `now` is `time.time()`.
    """
    received = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = received.get("webhook-id", ""), received.get("webhook-timestamp", "")
    if not message_id or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise SignatureDoesNotMatch("expected the headers webhook-id and webhook-timestamp", place="webhook-timestamp")
    if abs(now - int(timestamp)) > TOLERANCE:
        message = f"expected a timestamp within {TOLERANCE} seconds of the current time"
        raise SignatureDoesNotMatch(message, place="webhook-timestamp")
    expected = WebhookSecrets(secrets).signatures(message_id, int(timestamp), body)
    for signature in _signatures(received.get("webhook-signature", "")):
        if any(hmac.compare_digest(signature, each) for each in expected):
            return message_id
    raise SignatureDoesNotMatch("expected a signature with a known secret", place="webhook-signature")


def _signatures(header: str) -> Iterable[bytes]:
    for part in header.split(" "):
        version, _, text = part.partition(",")
        if version == _VERSION:
            try:
                yield base64.b64decode(text, validate=True)
            except ValueError:
                continue


def _key(text: str, place: str) -> bytes:
    encoded = text.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:
        message = f"expected a secret such as `{_PREFIX}…`: base64 of 24 to 64 bytes"
        raise ConfigurationError(message, place=place)
    return key

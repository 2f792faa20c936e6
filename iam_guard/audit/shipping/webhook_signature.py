"""Signing and verifying webhooks as Standard Webhooks says (standardwebhooks.com), with HMAC-SHA256.

    webhook-id: msg_…                 the same when the same body is sent again
    webhook-timestamp: 1764043869     seconds since 1970, of this attempt
    webhook-signature: v1,<base64> v1,<base64>     one for each secret of the ring

What is signed is `id.timestamp.body`. A secret is written `whsec_` and base64 of 24 to 64 bytes. A ring has several
while one takes the place of another: all of them sign, and a receiver believes any that it knows. Pure: time is an
argument.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from iam_guard.errors import ConfigurationError, SignatureDoesNotMatch

TOLERANCE = 300
"""Seconds by which the sender's clock may differ from the receiver's, either way."""

_PREFIX = "whsec_"
_VERSION = "v1"


class WebhookSecrets:
    """A ring of secrets; nothing prints them."""

    __slots__ = ("_keys",)

    def __init__(self, texts: Iterable[str], *, place: str = "secrets") -> None:
        """Read the secrets; raise `ConfigurationError` for one that is none, and for none at all."""
        self._keys = [_key(text, place) for text in texts]
        if not self._keys:
            raise ConfigurationError("expected a secret to sign webhooks with", place=place)

    def signatures(self, message_id: str, timestamp: int, body: bytes) -> list[bytes]:
        """Return the signature of a message with each secret."""
        signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
        return [hmac.digest(key, signed, sha256) for key in self._keys]


def signed_headers(secrets: WebhookSecrets, message_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    """Return the three headers of a message."""
    found = secrets.signatures(message_id, timestamp, body)
    written = " ".join(f"{_VERSION},{base64.b64encode(each).decode()}" for each in found)
    return [("webhook-id", message_id), ("webhook-timestamp", str(timestamp)), ("webhook-signature", written)]


def verify_webhook(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: float) -> str:
    """Verify a webhook that was received, and give its id; raise `SignatureDoesNotMatch` for one that is not good.

    `headers` may be written in any case, `secrets` are as the sender has them, `now` is `time.time()`.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, moment = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not message_id or not moment.isascii() or not moment.isdigit() or len(moment) > 12:
        raise SignatureDoesNotMatch("expected the headers webhook-id and webhook-timestamp", place="webhook-timestamp")
    if abs(now - int(moment)) > TOLERANCE:
        raise SignatureDoesNotMatch("the webhook is too old, or of the future", place="webhook-timestamp")
    wanted = WebhookSecrets(secrets).signatures(message_id, int(moment), body)
    for signature in _signatures(given.get("webhook-signature", "")):
        if any(hmac.compare_digest(signature, each) for each in wanted):
            return message_id
    raise SignatureDoesNotMatch("no signature of the webhook is of a secret that is known", place="webhook-signature")


def _signatures(header: str) -> Iterable[bytes]:
    for each in header.split(" "):
        version, _, text = each.partition(",")
        if version == _VERSION:
            try:
                yield base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue


def _key(text: str, place: str) -> bytes:
    encoded = text.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        message = f"expected a secret such as `{_PREFIX}…`: base64 of 24 to 64 bytes"
        raise ConfigurationError(message, place=place)
    return key

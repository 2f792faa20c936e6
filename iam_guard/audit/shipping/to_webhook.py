"""The sink `webhook`: posts records as a JSON array to an HTTPS endpoint, signed by Standard Webhooks.

A status of 2xx confirms the batch. 410 stops the sink, as the standard requires. 400, 413 and 422 refuse the batch for
its content or size. Other statuses, redirects (not followed) and timeouts are retried, after `Retry-After` if present.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export import FORMS, Form
from iam_guard.audit.shipping.destination import Gone, Unreachable, format_record, http_failure
from iam_guard.audit.shipping.sink_url import SinkUrl, sink_error
from iam_guard.audit.shipping.webhook_signature import WebhookSecrets, signed_headers
from iam_guard.imports import requires_extra
from iam_guard.net.private_files import read_private_file
from iam_guard.net.trusted_addresses import is_loopback, trusting

with requires_extra("webhook", "a sink `webhook`"):
    import httpcore2

    from iam_guard.net.connections import DeadlineBackend

MAX_BODY = 1024 * 1024
"""Maximum bytes of one message; a larger batch is split."""

MAX_RESPONSE = 64 * 1024
TIMEOUT = 10.0


@dataclass(slots=True, repr=False)
class Webhook:
    """Posts to one endpoint, with a new connection for each message."""

    url: str
    form: Form
    secrets: WebhookSecrets
    trust: ssl.SSLContext
    timeout: float = TIMEOUT
    clock: Callable[[], float] = time.time

    def send(self, batch: Sequence[Delivery]) -> None:
        """Post the batch in one or more messages."""
        for part in self._messages(batch):
            body = f"[{','.join(part)}]".encode("ascii")
            status, headers = self._post(body)
            _check(status, headers, self.clock())

    def close(self) -> None:
        """Do nothing: no connection is open between messages."""

    def _messages(self, batch: Sequence[Delivery]) -> Iterator[list[str]]:
        part: list[str] = []
        size = 0
        for delivery in batch:
            text = format_record(self.form, delivery.record)
            if part and size + len(text) > MAX_BODY:
                yield part
                part, size = [], 0
            part.append(text)
            size += len(text) + 1
        yield part

    def _post(self, body: bytes) -> tuple[int, Mapping[bytes, bytes]]:
        message_id = f"msg_{hashlib.sha256(body).hexdigest()[:32]}"
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("user-agent", "iam-guard"),
            ("accept-encoding", "identity"),
            *signed_headers(self.secrets, message_id, int(self.clock()), body),
        ]
        backend = DeadlineBackend(time.monotonic() + self.timeout, only_public=False)
        try:
            with (
                httpcore2.ConnectionPool(self.trust, network_backend=backend) as pool,
                pool.stream("POST", self.url, headers=headers, content=body) as response,
            ):
                _drain(response)
                return response.status, {name.lower(): value for name, value in response.headers}
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, OSError) as error:
            raise Unreachable(f"the endpoint does not answer ({type(error).__name__})") from None


def _drain(response: httpcore2.Response) -> None:
    """Read the body, up to a limit; a response counts once it is complete."""
    size = 0
    for part in response.iter_stream():
        size += len(part)
        if size > MAX_RESPONSE:
            return


def _check(status: int, headers: Mapping[bytes, bytes], now: float) -> None:
    """Return if the endpoint has confirmed the batch, else raise `Gone`, `Refused` or `Unreachable`."""
    if 200 <= status < 300:
        return
    if status == 410:
        raise Gone("the endpoint accepts no more webhooks (status 410)")
    raise http_failure(status, headers.get(b"retry-after", b"").decode("latin-1"), now)


def connector(url: SinkUrl, secrets: Sequence[str] = ()) -> Callable[[], Webhook]:
    """Return a factory of the destination; `secrets` are those of the settings, if the URL names no file."""
    parts = url.url
    if parts.username is not None or parts.password is not None:
        raise sink_error("expected a webhook URL without user and password")
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise sink_error("expected https for a webhook that is not on the loopback")
    file = url.options.get("secret_file")
    if file is not None:
        remedy = "write one with `whsec_` and base64 of 32 random bytes"
        lines = read_private_file(Path(file), "webhook secret", remedy, place="secret_file")
        signers = WebhookSecrets(lines, place=file)
    else:
        signers = WebhookSecrets(secrets, place="audit_webhook_secrets")
    trust, form = trusting(url.options.get("ca_file", ""), place="ca_file"), FORMS[url.form]
    timeout, target = url.seconds("timeout", TIMEOUT), parts._replace(path=parts.path or "/").geturl()
    return lambda: Webhook(target, form, signers, trust=trust, timeout=timeout)

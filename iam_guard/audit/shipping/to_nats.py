"""The sink `nats`: publishes each record to NATS JetStream, confirmed by the server's acknowledgement.

The subject is `<prefix>.<account>.<service>.<action>.<outcome>`, always with the same number of tokens, so that
consumers can filter: `iam-guard.audit.*.iam.>` is all administration. A record without outcome has its kind there
(`authentication`, `audit_gap`). Characters other than letters, digits, `_` and `-` become `_`. `Nats-Msg-Id` identifies
the line of the trail, so that a stream drops duplicates within its window.

The messages of a batch are published concurrently. A full stream, a subject without a stream and an unreachable server
are retried; a message larger than the limit of the server or stream is refused permanently. The client is asynchronous:
its event loop runs only during `send`, so an idle connection is checked before it is used again.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import unquote

from iam_guard.audit.consumer.record_filter import action_of, member
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export import FORMS, Form
from iam_guard.audit.shipping.destination import NotDelivered, Refused, Unreachable, format_record
from iam_guard.audit.shipping.sink_url import SinkUrl, sink_error, whole_number
from iam_guard.errors import ConfigurationError
from iam_guard.imports import requires_extra
from iam_guard.net.private_files import read_private_file
from iam_guard.net.trusted_addresses import is_loopback, trusting

with requires_extra("nats", "a sink `nats`"):
    import nats.errors
    from nats.aio.client import Client
    from nats.js import JetStreamContext
    from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
    from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

PREFIX = "iam-guard.audit"
TIMEOUT = 10.0
IDLE = 30.0
"""Seconds after which a connection is checked before use."""

MAX_BYTES = 1024**3
MAX_AGE = 7 * 86_400
DUPLICATE_WINDOW = 120
HEADERS_SIZE = 512
"""Maximum bytes of a message's headers."""

_MESSAGE_TOO_LARGE = 10054
"""The server's error code for a message above the limit of its stream."""

_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)


class _Login(TypedDict, total=False):
    user: str
    password: str
    token: str
    user_credentials: str


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """The stream to create if it doesn't exist."""

    name: str
    max_bytes: int = MAX_BYTES
    max_age: int = MAX_AGE
    replicas: int = 1

    def config(self, prefix: str) -> StreamConfig:
        """Return the configuration: stored on disk, with limits, discarding new messages when full."""
        return StreamConfig(
            name=self.name,
            description="audit records of iam-guard",
            subjects=[f"{prefix}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_bytes=self.max_bytes,
            max_age=float(self.max_age),
            num_replicas=self.replicas,
            duplicate_window=float(min(DUPLICATE_WINDOW, self.max_age)),
        )


@dataclass(frozen=True, slots=True)
class Server:
    """The server's URL, credentials and TLS context."""

    url: str
    login: _Login = field(default_factory=_Login, repr=False)
    trust: ssl.SSLContext | None = None
    timeout: float = TIMEOUT


class JetStream:
    """Publishes to one server."""

    def __init__(self, server: Server, prefix: str, form: Form, stream: StreamSpec | None = None) -> None:
        self._server = server
        self._prefix = prefix
        self._form = form
        self._stream = stream
        self._runner: asyncio.Runner | None = None
        self._client: Client | None = None
        self._lost = asyncio.Event()
        self._used = 0.0

    def send(self, batch: Sequence[Delivery]) -> None:
        """Publish the batch and wait for every acknowledgement."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            self._runner.run(asyncio.wait_for(self._publish(batch), 3 * self._server.timeout))
        except NotDelivered:
            raise
        except (nats.errors.Error, OSError, TimeoutError, EOFError) as error:
            self._disconnect()
            raise Unreachable(f"the server cannot be reached: {_describe(error)}") from None
        self._used = time.monotonic()

    def close(self) -> None:
        self._disconnect()
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    # --- messages ------------------------------------------------------------------------------------------------

    async def _publish(self, batch: Sequence[Delivery]) -> None:
        client = await self._connected()
        stream = client.jetstream(timeout=self._server.timeout)
        publishing = asyncio.gather(*(self._publish_one(client, stream, each) for each in batch))
        failures = [failure for failure in await self._while_connected(publishing) if failure is not None]
        for failure in failures:
            if not isinstance(failure, Refused):
                raise failure
        if failures:
            raise failures[0]

    async def _while_connected(
        self, publishing: asyncio.Future[list[NotDelivered | None]]
    ) -> list[NotDelivered | None]:
        """Wait for all acknowledgements, or raise `Unreachable` as soon as the connection is lost."""
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            futures: list[asyncio.Future[Any]] = [publishing, lost]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if publishing.done():
                return publishing.result()
            raise Unreachable("the connection was lost")
        finally:
            for future in (publishing, lost):
                future.cancel()
            await asyncio.gather(publishing, lost, return_exceptions=True)

    async def _publish_one(self, client: Client, stream: JetStreamContext, delivery: Delivery) -> NotDelivered | None:
        body = format_record(self._form, delivery.record).encode("ascii")
        if len(body) + HEADERS_SIZE > client.max_payload:
            return Refused("the record is larger than the server's limit")
        headers = {"Nats-Msg-Id": message_id(delivery), "Content-Type": "application/json"}
        expected = None if self._stream is None else self._stream.name
        try:
            await stream.publish(subject_of(self._prefix, delivery.record), body, headers=headers, stream=expected)
        except NoStreamResponseError:
            return Unreachable("no stream has the subject")
        except APIError as error:
            if error.err_code == _MESSAGE_TOO_LARGE:
                return Refused("the record is larger than the stream's limit")
            return Unreachable(f"the stream accepts no records: {error.description} ({error.err_code})")
        return None

    # --- the connection ------------------------------------------------------------------------------------------

    async def _connected(self) -> Client:
        client = self._client
        if client is not None and client.is_connected and time.monotonic() > self._used + IDLE:
            try:
                await client.flush(timeout=1)
            except (nats.errors.Error, OSError, TimeoutError):
                await self._close(client)
                client = None
        if client is None or not client.is_connected:
            self._lost = asyncio.Event()
            client = self._client = Client()  # assigned before it connects, so that it is closed on any error
            await self._connect(client)
        return client

    async def _connect(self, client: Client) -> None:
        server, lost = self._server, self._lost

        async def on_closed() -> None:
            lost.set()

        await client.connect(
            server.url,
            name="iam-guard",
            tls=server.trust,
            error_cb=_ignore,
            closed_cb=on_closed,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=math.ceil(server.timeout),
            **server.login,
        )
        if self._stream is not None:
            stream = client.jetstream(timeout=server.timeout)
            try:
                await stream.stream_info(self._stream.name)
            except NotFoundError:
                await stream.add_stream(self._stream.config(self._prefix))

    async def _close(self, client: Client) -> None:
        try:
            await asyncio.wait_for(client.close(), 2 if client.is_connected else 0.2)
        except (nats.errors.Error, OSError, TimeoutError):
            return  # the connection is closed already

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._runner is not None:
            self._runner.run(self._close(client))


async def _ignore(error: Exception) -> None:
    """Keep the client from logging a traceback; the error is raised as well."""


def _describe(error: BaseException) -> str:
    """Return a description without the address, which may contain a password."""
    if isinstance(error, APIError):
        return f"{error.description} ({error.err_code})"
    text = str(error)
    if "Authorization" in text or "authentication" in text.lower():
        return "authentication failed"
    return type(error).__name__


def subject_of(prefix: str, record: Mapping[str, Any]) -> str:
    service, _, action = action_of(record).partition(":")
    account = member(record, "recipientAccountId") or member(record, "userIdentity.accountId")
    outcome = member(record, "iamGuard.outcome") or member(record, "iamGuard.kind")
    return ".".join([prefix, *map(_token, (account, service, action, outcome))])


def message_id(delivery: Delivery) -> str:
    """Return the message id: unique for a line of a trail, and the same each time it is sent."""
    shard, sequence = delivery.offset
    return f"{_token(member(delivery.record, 'eventID'))}/{shard}/{sequence}"


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text[:80]) or "_"


# --- options ---------------------------------------------------------------------------------------------------------


def connector(url: SinkUrl) -> Callable[[], JetStream]:
    """Return a factory of the destination; raise `ConfigurationError` for invalid options."""
    parts = url.url
    prefix = unquote(parts.path).strip("/") or PREFIX
    if not _SUBJECT.fullmatch(prefix) or len(prefix) > 200:
        raise sink_error("expected a subject such as `iam-guard.audit` as the path of the URL")
    is_tls = parts.scheme == "nats+tls"
    trust = trusting(url.options.get("ca_file", ""), place="ca_file") if is_tls else None
    server = Server(_address(url), _login(url), trust, url.seconds("timeout", TIMEOUT))
    if server.login and not is_tls and not is_loopback(parts.hostname):
        raise sink_error("expected `nats+tls` for NATS credentials to a server that is not on the loopback")
    form, stream = FORMS[url.form], _stream_spec(url)
    return lambda: JetStream(server, prefix, form, stream)


def _address(url: SinkUrl) -> str:
    host = f"[{url.url.hostname}]" if ":" in str(url.url.hostname) else url.url.hostname
    return f"{'tls' if url.url.scheme == 'nats+tls' else 'nats'}://{host}:{url.url.port or 4222}"


def _login(url: SinkUrl) -> _Login:
    """Return the credentials: user and password or a token in the URL, or a file with either; at most one of them."""
    parts, creds, token_file = url.url, url.options.get("creds"), url.options.get("token_file")
    if sum(each is not None for each in (parts.username, creds, token_file)) > 1:
        raise sink_error("expected one of a user, `creds` and `token_file` for NATS, got several")
    if creds is not None:
        read_private_file(Path(creds), "NATS credentials", "use the file that `nsc` created", place="creds")
        return {"user_credentials": creds}
    if token_file is not None:
        lines = read_private_file(Path(token_file), "NATS token", "write the token into it", place="token_file")
        if len(lines) != 1:
            raise ConfigurationError("expected one token in the file", place=token_file)
        return {"token": lines[0]}
    if parts.username is None:
        return {}
    if parts.password is None:
        return {"token": unquote(parts.username)}
    return {"user": unquote(parts.username), "password": unquote(parts.password)}


def _stream_spec(url: SinkUrl) -> StreamSpec | None:
    options, name = url.options, url.options.get("create")
    if name is None:
        if options.keys() & {"max_bytes", "max_age", "replicas"}:
            raise sink_error("expected `create` with a stream name for `max_bytes`, `max_age` and `replicas`")
        return None
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name):
        raise sink_error("expected a stream name of letters, digits, `_` and `-`")
    return StreamSpec(
        name,
        whole_number(options.get("max_bytes", str(MAX_BYTES)), "max_bytes", maximum=2**62),
        whole_number(options.get("max_age", str(MAX_AGE)), "max_age", maximum=10**9),
        whole_number(options.get("replicas", "1"), "replicas", maximum=5),
    )

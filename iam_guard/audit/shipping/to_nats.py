"""Records to NATS JetStream: a message each, confirmed by the server's acknowledgement that the stream has it.

The subject is `<prefix>.<account>.<service>.<action>.<outcome>`, always with as many parts, so that a consumer takes
what it wants: `iam-guard.audit.*.*.*.*Denied` is two subscriptions, `iam-guard.audit.*.iam.>` all administration. A
record without outcome has its kind there (`authentication`, `audit_gap`). What is no letter, digit, `_` or `-` becomes
`_`. `Nats-Msg-Id` names the line of the trail, so a stream keeps what is sent again once, within its window.

Messages of a batch are all under way at once. A stream that is full (and discards what is new), a subject that no
stream takes, a server that is away: all of these are tried again. A message larger than the server or the stream takes
is refused for good. The client of NATS is asynchronous: it has an event loop of its own here, which runs only while
something is sent; so a connection that was left alone for a while is asked first whether it is there. Must not live
here: the forms (`audit/export/export_formats`).
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

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from iam_guard.audit.consumer.record_filter import action_of, member
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export.export_formats import FORMS, Form
from iam_guard.audit.shipping.destination import NotDelivered, Refused, Unreachable, formed
from iam_guard.audit.shipping.sink_url import SinkUrl, whole_number
from iam_guard.errors import ConfigurationError
from iam_guard.net.private_files import read_private_file
from iam_guard.net.trusted_addresses import is_loopback, trusting

PREFIX = "iam-guard.audit"
TIMEOUT = 10.0
IDLE = 30.0
"""Seconds after which a connection is asked whether it is there."""

MAX_BYTES = 1024**3
MAX_AGE = 7 * 86_400
DUPLICATE_WINDOW = 120
HEADERS_SIZE = 512
"""Bytes that the headers of a message have at most."""

_MESSAGE_TOO_LARGE = 10054
"""The server's code for a message that is larger than its stream takes."""

_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)
_PLACE = "audit_sinks"


class _Login(TypedDict, total=False):
    user: str
    password: str
    token: str
    user_credentials: str


@dataclass(frozen=True, slots=True)
class StreamWish:
    """The stream that is made where it is not there."""

    name: str
    max_bytes: int = MAX_BYTES
    max_age: int = MAX_AGE
    replicas: int = 1

    def config(self, prefix: str) -> StreamConfig:
        """Return the stream: on disk, with limits, and refusing what is new when it is full."""
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
    """Where the server is, and how one gets in."""

    url: str
    login: _Login = field(default_factory=_Login, repr=False)
    trust: ssl.SSLContext | None = None
    timeout: float = TIMEOUT


class JetStream:
    """Publishes to one server."""

    def __init__(self, server: Server, prefix: str, form: Form, wish: StreamWish | None = None) -> None:
        self._server = server
        self._prefix = prefix
        self._form = form
        self._wish = wish
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
            self._leave()
            raise Unreachable(f"the server cannot be reached: {_in_words(error)}") from None
        self._used = time.monotonic()

    def close(self) -> None:
        self._leave()
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    # --- messages ------------------------------------------------------------------------------------------------

    async def _publish(self, batch: Sequence[Delivery]) -> None:
        client = await self._connected()
        stream = client.jetstream(timeout=self._server.timeout)
        publishing = asyncio.gather(*(self._publish_one(client, stream, each) for each in batch))
        failures = [each for each in await self._while_connected(publishing) if each is not None]
        for failure in failures:
            if not isinstance(failure, Refused):
                raise failure
        if failures:
            raise failures[0]

    async def _while_connected(
        self, publishing: asyncio.Future[list[NotDelivered | None]]
    ) -> list[NotDelivered | None]:
        """Wait for all acknowledgements, and no longer than they can come."""
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            both: list[asyncio.Future[Any]] = [publishing, lost]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if publishing.done():
                return publishing.result()
            raise Unreachable("the connection was lost")
        finally:
            for each in (publishing, lost):
                each.cancel()
            await asyncio.gather(publishing, lost, return_exceptions=True)

    async def _publish_one(self, client: Client, stream: JetStreamContext, delivery: Delivery) -> NotDelivered | None:
        body = formed(self._form, delivery.record).encode("ascii")
        if len(body) + HEADERS_SIZE > client.max_payload:
            return Refused("the record is larger than the server takes")
        headers = {"Nats-Msg-Id": message_id(delivery), "Content-Type": "application/json"}
        expected = None if self._wish is None else self._wish.name
        try:
            await stream.publish(subject_of(self._prefix, delivery.record), body, headers=headers, stream=expected)
        except NoStreamResponseError:
            return Unreachable("no stream takes the subject")
        except APIError as error:
            if error.err_code == _MESSAGE_TOO_LARGE:
                return Refused("the record is larger than the stream takes")
            return Unreachable(f"the stream does not take records: {error.description} ({error.err_code})")
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
            client = self._client = Client()  # known before it is connected, so that it is closed whatever comes
            await self._connect(client)
        return client

    async def _connect(self, client: Client) -> None:
        server, lost = self._server, self._lost

        async def note() -> None:
            lost.set()

        await client.connect(
            server.url,
            name="iam-guard",
            tls=server.trust,
            error_cb=_say_nothing,
            closed_cb=note,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=math.ceil(server.timeout),
            **server.login,
        )
        if self._wish is not None:
            stream = client.jetstream(timeout=server.timeout)
            try:
                await stream.stream_info(self._wish.name)
            except NotFoundError:
                await stream.add_stream(self._wish.config(self._prefix))

    async def _close(self, client: Client) -> None:
        try:
            await asyncio.wait_for(client.close(), 2 if client.is_connected else 0.2)
        except (nats.errors.Error, OSError, TimeoutError):
            return  # it is gone, which is what was wanted

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._runner is not None:
            self._runner.run(self._close(client))


async def _say_nothing(error: Exception) -> None:
    """Keep the client from logging a traceback: what went wrong is raised as well."""


def _in_words(error: BaseException) -> str:
    """Return what went wrong without the address, which may have a password in it."""
    if isinstance(error, APIError):
        return f"{error.description} ({error.err_code})"
    text = str(error)
    if "Authorization" in text or "authentication" in text.lower():
        return "it does not let us in"
    return type(error).__name__


def subject_of(prefix: str, record: Mapping[str, Any]) -> str:
    """Return the subject of a record."""
    service, _, action = action_of(record).partition(":")
    account = member(record, "recipientAccountId") or member(record, "userIdentity.accountId")
    outcome = member(record, "iamGuard.outcome") or member(record, "iamGuard.kind")
    return ".".join([prefix, *map(_part, (account, service, action, outcome))])


def message_id(delivery: Delivery) -> str:
    """Return the id that is the same whenever the same line of a trail is sent, and never that of another line."""
    shard, sequence = delivery.offset
    return f"{_part(member(delivery.record, 'eventID'))}/{shard}/{sequence}"


def _part(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text[:80]) or "_"


# --- options ---------------------------------------------------------------------------------------------------------


def connector(url: SinkUrl) -> Callable[[], JetStream]:
    """Return what opens the server; raise `ConfigurationError` for options that cannot be."""
    parts = url.url
    prefix = unquote(parts.path).strip("/") or PREFIX
    if not _SUBJECT.fullmatch(prefix) or len(prefix) > 200:
        raise ConfigurationError("expected a subject such as `iam-guard.audit` as the path of the URL", place=_PLACE)
    is_secret = parts.scheme == "nats+tls"
    trust = trusting(url.options.get("ca_file", ""), place="ca_file") if is_secret else None
    server = Server(_address(url), _login(url), trust, url.seconds("timeout", TIMEOUT))
    if server.login and not is_secret and not is_loopback(parts.hostname):
        raise ConfigurationError("credentials for NATS are sent over `nats+tls` only, but at loopback", place=_PLACE)
    form, wish = FORMS[url.form], _wish(url)
    return lambda: JetStream(server, prefix, form, wish)


def _address(url: SinkUrl) -> str:
    host = f"[{url.url.hostname}]" if ":" in str(url.url.hostname) else url.url.hostname
    return f"{'tls' if url.url.scheme == 'nats+tls' else 'nats'}://{host}:{url.url.port or 4222}"


def _login(url: SinkUrl) -> _Login:
    """Return the one way to get in that the URL names: user and password, a token, or a file with either kind."""
    parts, creds, token_file = url.url, url.options.get("creds"), url.options.get("token_file")
    if sum(each is not None for each in (parts.username, creds, token_file)) > 1:
        raise ConfigurationError("expected one of a user, `creds` and `token_file` for NATS", place=_PLACE)
    if creds is not None:
        read_private_file(Path(creds), "NATS credentials", "give the file that `nsc` made", place="creds")
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


def _wish(url: SinkUrl) -> StreamWish | None:
    options, name = url.options, url.options.get("create")
    if name is None:
        if options.keys() & {"max_bytes", "max_age", "replicas"}:
            raise ConfigurationError("expected `create` with the name of the stream that is to have it", place=_PLACE)
        return None
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name):
        raise ConfigurationError("expected letters, digits, `_` and `-` for the name of a stream", place=_PLACE)
    return StreamWish(
        name,
        whole_number(options.get("max_bytes", str(MAX_BYTES)), "max_bytes", most=2**62),
        whole_number(options.get("max_age", str(MAX_AGE)), "max_age", most=10**9),
        whole_number(options.get("replicas", "1"), "replicas", most=5),
    )

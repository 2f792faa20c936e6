# ruff: noqa: N802  # methods are named as in the service definition
"""The application of `tests.integrations.application` as a gRPC service, synchronous and asynchronous.

The messages are created from a descriptor, as `protoc` would from

    message Document { string document_id = 1; string path = 2; bytes content = 3; }
    message Answer { string json = 1; }
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from iam_guard_grpc import AioGuardInterceptor, GuardInterceptor, streaming

from iam_guard import Guard, current_principal, open_guard, public
from iam_guard.audit.consumer.reader import read_records
from tests.integrations.application import (
    ARN,
    CONCURRENT_CALLERS,
    DOCUMENT,
    SECRET,
    STREAMED,
    answer,
    barrier,
    docs,
    load_document,
    ran,
    received,
    resources,
)
from tests.integrations.grpc_scenarios import API_KEYS, grpc_seed

SERVICE: Final = "docs.Documents"
SECONDS: Final = 60
UNARY, SERVER_STREAM, CLIENT_STREAM, BOTH = (False, False), (False, True), (True, False), (True, True)
METHODS: Final = {
    "Health": UNARY, "Forgotten": UNARY, "ForgottenStream": SERVER_STREAM, "GetDocument": UNARY,
    "PutDocument": UNARY, "DeleteDocument": UNARY, "GetFile": UNARY, "GetShared": UNARY, "ByHand": UNARY,
    "Raise": UNARY, "Upload": CLIENT_STREAM, "Stream": SERVER_STREAM, "Watch": BOTH, "Who": UNARY,
}  # fmt: skip
"""The methods, and whether requests and responses are streams."""
_MAKERS = {
    UNARY: grpc.unary_unary_rpc_method_handler,
    SERVER_STREAM: grpc.unary_stream_rpc_method_handler,
    CLIENT_STREAM: grpc.stream_unary_rpc_method_handler,
    BOTH: grpc.stream_stream_rpc_method_handler,
}
_CALLABLES = {UNARY: "unary_unary", SERVER_STREAM: "unary_stream", CLIENT_STREAM: "stream_unary",
              BOTH: "stream_stream"}  # fmt: skip


def _message_types() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="iam_guard_tests.proto", package="docs", syntax="proto3")
    fields = descriptor_pb2.FieldDescriptorProto
    for name, members in (
        (
            "Document",
            (("document_id", fields.TYPE_STRING), ("path", fields.TYPE_STRING), ("content", fields.TYPE_BYTES)),
        ),
        ("Answer", (("json", fields.TYPE_STRING),)),
    ):
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(members, 1):
            message.field.add(name=field, number=number, type=kind, label=fields.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kinds = [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"docs.{name}")) for name in ("Document", "Answer")
    ]
    return kinds[0], kinds[1]


Document, Answer = _message_types()


def _answered(document_id: str) -> Any:
    return Answer(json=json.dumps(answer(document_id)))


class Documents:
    """The service for `grpc.server`."""

    @public
    def Health(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("ok"))

    def Forgotten(self, request: Any, context: Any) -> Any:
        ran.append("forgotten")
        return Answer(json=SECRET)

    def ForgottenStream(self, request: Any, context: Any) -> Iterator[Any]:
        ran.append("forgotten")
        yield Answer(json=SECRET)

    @docs.requires("GetDocument", resource=DOCUMENT)
    def GetDocument(self, request: Any, context: Any) -> Any:
        return _answered(request.document_id)

    @docs.requires("PutDocument", resource=DOCUMENT)
    def PutDocument(self, request: Any, context: Any) -> Any:
        return _answered(request.document_id)

    @docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
    def DeleteDocument(self, request: Any, context: Any) -> Any:
        return Answer()

    @docs.requires("GetDocument", resource="file/{path}")
    def GetFile(self, request: Any, context: Any) -> Any:
        return _answered(request.path)

    @docs.requires("GetDocument", resource=lambda request: load_document(request.document_id))
    def GetShared(self, request: Any, context: Any) -> Any:
        return _answered(request.document_id)

    @public
    def ByHand(self, request: Any, context: Any) -> Any:
        docs.authorize("PutDocument", ARN + request.document_id)
        return _answered(request.document_id)

    @docs.requires("GetDocument", resource=DOCUMENT)
    def Raise(self, request: Any, context: Any) -> Any:
        raise RuntimeError(SECRET)

    @public
    def Upload(self, request_iterator: Iterator[Any], context: Any) -> Any:
        body = b""
        for part in request_iterator:
            docs.authorize("PutDocument", ARN + part.document_id)
            body += part.content
        return Answer(json=json.dumps(received(body)))

    @docs.requires("GetDocument", resource=DOCUMENT)
    @streaming
    def Stream(self, request: Any, context: Any) -> Iterator[Any]:
        for part in STREAMED:
            yield Answer(json=json.dumps([part.decode(), current_principal().arn]))

    @docs.requires("GetDocuments")
    @streaming
    def Watch(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:
        for request in request_iterator:
            docs.authorize("GetDocument", ARN + request.document_id)
            yield _answered(request.document_id)

    @docs.requires("GetDocument", resource=DOCUMENT)
    def Who(self, request: Any, context: Any) -> Any:
        barrier.wait()
        return _answered(request.document_id)


class AioDocuments(Documents):
    """The service for `grpc.aio.server`; PutDocument is synchronous."""

    @public
    async def Health(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("ok"))

    async def Forgotten(self, request: Any, context: Any) -> Any:
        return super().Forgotten(request, context)

    async def ForgottenStream(self, request: Any, context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        ran.append("forgotten")
        yield Answer(json=SECRET)

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def GetDocument(self, request: Any, context: Any) -> Any:
        return _answered(request.document_id)

    @docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
    async def DeleteDocument(self, request: Any, context: Any) -> Any:
        return Answer()

    @docs.requires("GetDocument", resource="file/{path}")
    async def GetFile(self, request: Any, context: Any) -> Any:
        return _answered(request.path)

    @staticmethod
    async def _load(request: Any) -> Any:
        return load_document(request.document_id)

    @docs.requires("GetDocument", resource=_load.__func__)  # type: ignore[attr-defined]
    async def GetShared(self, request: Any, context: Any) -> Any:
        return _answered(request.document_id)

    @public
    async def ByHand(self, request: Any, context: Any) -> Any:
        docs.authorize("PutDocument", ARN + request.document_id)
        return _answered(request.document_id)

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def Raise(self, request: Any, context: Any) -> Any:
        raise RuntimeError(SECRET)

    @public
    async def Upload(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:  # type: ignore[override]
        body = b""
        async for part in request_iterator:
            docs.authorize("PutDocument", ARN + part.document_id)
            body += part.content
        return Answer(json=json.dumps(received(body)))

    @docs.requires("GetDocument", resource=DOCUMENT)
    @streaming
    async def Stream(self, request: Any, context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        for part in STREAMED:
            yield Answer(json=json.dumps([part.decode(), current_principal().arn]))

    @docs.requires("GetDocuments")
    @streaming
    async def Watch(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        async for request in request_iterator:
            docs.authorize("GetDocument", ARN + request.document_id)
            yield _answered(request.document_id)

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def Who(self, request: Any, context: Any) -> Any:
        await barrier.wait_async()
        return _answered(request.document_id)


# --- guards, servers and clients ------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Guard]:
    """Open a guard whose audit trail is `audit.jsonl` in the folder."""
    (folder / "iam.json").write_text(grpc_seed())
    options: dict[str, Any] = {"services": [docs], "resources": resources, "audit": str(folder / "audit.jsonl")}
    with contextlib.closing(open_guard(folder / "iam.json", **options | settings)) as guard:
        yield guard


def records_in(folder: Path) -> list[str]:
    """Return the audit records of a guard, each as `eventName errorCode-or-outcome`."""
    path = folder / "audit.jsonl"
    records = list(read_records(path, on_broken=lambda _: None)) if path.exists() else []
    return [f"{one['eventName']} {one.get('errorCode') or one['iamGuard']['outcome']}" for one in records]


def key(name: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata with the API key of a user."""
    return (("authorization", f"Bearer {API_KEYS[name]}"),)


def call(
    channel: Any, method: str, message: Any, metadata: Any = (), kind: tuple[bool, bool] | None = None
) -> tuple[list[Any], Any]:
    """Call a method of any kind with one message or several; return the answers, and the call or its error."""
    takes_stream, is_stream = kind or METHODS.get(method, UNARY)
    send = stub(channel, method, kind)
    sent = iter(message if isinstance(message, list) else [message]) if takes_stream else message
    answers: list[Any] = []
    try:
        if is_stream:
            done = send(sent, metadata=metadata, timeout=SECONDS)
            answers.extend(json.loads(answer.json or "null") for answer in done)
        else:
            answer, done = send.with_call(sent, metadata=metadata, timeout=SECONDS)
            answers.append(json.loads(answer.json or "null"))
    except grpc.RpcError as error:
        return answers, error
    return answers, done


def trailing(done: Any) -> dict[str, str]:
    """Return the trailing metadata of a call."""
    return dict(done.trailing_metadata())


def handlers(servicer: Any, names: Mapping[str, tuple[bool, bool]] = METHODS) -> Any:
    """Return the generic handler of a servicer, as generated code registers it."""
    methods = {
        name: _MAKERS[kind](
            getattr(servicer, name),
            request_deserializer=Document.FromString,
            response_serializer=Answer.SerializeToString,
        )
        for name, kind in names.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def stub(channel: Any, name: str, kind: tuple[bool, bool] | None = None) -> Any:
    """Return the callable of a method."""
    create = getattr(channel, _CALLABLES[kind or METHODS.get(name, UNARY)])
    path = name if name.startswith("/") else f"/{SERVICE}/{name}"
    return create(path, request_serializer=Document.SerializeToString, response_deserializer=Answer.FromString)


@contextlib.contextmanager
def sync_server(*added: Any, interceptors: Any = (), credentials: Any = None) -> Iterator[str]:
    """Serve generic handlers with `grpc.server`, and yield its address."""
    pool = ThreadPoolExecutor(CONCURRENT_CALLERS)
    server = grpc.server(pool, interceptors=interceptors)
    server.add_generic_rpc_handlers(added)
    port = _add_port(server, credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
        pool.shutdown()


@contextlib.contextmanager
def aio_server(*added: Any, interceptors: Any = (), credentials: Any = None) -> Iterator[str]:
    """Serve generic handlers with `grpc.aio.server` in a thread, and yield its address."""
    ready, address = threading.Event(), []
    ended: Any = None

    async def serve() -> None:
        nonlocal ended
        pool = ThreadPoolExecutor(4)
        server = grpc.aio.server(migration_thread_pool=pool, interceptors=interceptors)
        server.add_generic_rpc_handlers(added)
        address.append(f"127.0.0.1:{_add_port(server, credentials)}")
        await server.start()
        ended = (asyncio.get_running_loop(), asyncio.Event())
        ready.set()
        await ended[1].wait()
        await server.stop(None)
        await asyncio.to_thread(pool.shutdown)  # a handler may still wait for the loop

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield address[0]
    finally:
        ended[0].call_soon_threadsafe(ended[1].set)
        thread.join()


def _add_port(server: Any, credentials: Any) -> int:
    if credentials is None:
        return int(server.add_insecure_port("127.0.0.1:0"))
    return int(server.add_secure_port("127.0.0.1:0", credentials))


SERVERS: Final[dict[str, tuple[Callable[..., Any], Callable[..., Any], Any]]] = {
    "sync": (sync_server, GuardInterceptor, Documents()),
    "aio": (aio_server, AioGuardInterceptor, AioDocuments()),
}
"""The servers, their interceptors and services."""


@contextlib.contextmanager
def served(
    kind: str,
    guard: Guard | None,
    servicer: Any = None,
    names: Mapping[str, tuple[bool, bool]] = METHODS,
    **options: Any,
) -> Iterator[Any]:
    """Serve the application, or methods of another servicer, with a kind of server; yield a channel to it."""
    serve, make, documents = SERVERS[kind]
    interceptors = [] if guard is None else [make(guard, **options)]
    with (
        serve(handlers(servicer or documents, names), interceptors=interceptors) as address,
        grpc.insecure_channel(address) as channel,
    ):
        yield channel

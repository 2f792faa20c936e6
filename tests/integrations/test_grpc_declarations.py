# ruff: noqa: N802  # methods are named as in the service definition
"""What guards a gRPC method: decorators, a route map, default actions, public methods, and the check at start-up."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Resource, RouteMap, current_principal, public
from iam_guard.errors import ConfigurationError
from tests.integrations.application import ARN, DOCUMENT, docs
from tests.integrations.contract import needed
from tests.integrations.scenarios import user
from tests.tables import table

needed("grpc", "iam_guard_grpc")

import grpc  # noqa: E402
import grpc.aio  # noqa: E402
from google.protobuf import struct_pb2  # noqa: E402
from iam_guard_grpc import GuardInterceptor, streaming  # noqa: E402

from tests.integrations.grpc_application import (  # noqa: E402
    BOTH,
    CLIENT_STREAM,
    SERVER_STREAM,
    SERVICE,
    UNARY,
    Answer,
    Document,
    call,
    key,
    opened,
    records_in,
    served,
    sync_server,
    trailing,
)

HEALTH = "grpc.health.v1.Health"
RITA = user("rita")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with opened(tmp_path) as made:
        yield made


class Plain:
    """Handlers without a decorator, one of each kind."""

    def Get(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps(current_principal().arn))

    def Follow(self, request: Any, context: Any) -> Iterator[Any]:
        yield Answer(json=json.dumps(current_principal().arn))

    def Collect(self, request_iterator: Iterator[Any], context: Any) -> Any:
        return Answer(json=json.dumps([message.document_id for message in request_iterator]))

    def Talk(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:
        for message in request_iterator:
            yield Answer(json=json.dumps(message.document_id))


class AioPlain:
    """The same for `grpc.aio`; `Follow` writes to its context instead of yielding."""

    async def Get(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps(current_principal().arn))

    async def Follow(self, request: Any, context: Any) -> None:
        await context.write(Answer(json=json.dumps(current_principal().arn)))

    async def Collect(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:
        return Answer(json=json.dumps([message.document_id async for message in request_iterator]))

    async def Talk(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for message in request_iterator:
            yield Answer(json=json.dumps(message.document_id))


PLAIN = {"Get": UNARY, "Follow": SERVER_STREAM, "Collect": CLIENT_STREAM, "Talk": BOTH}
SERVICERS = [("sync", Plain()), ("aio", AioPlain()), ("aio", Plain())]


def plain_map() -> RouteMap:
    routes = RouteMap(services=[docs])
    for name in ("Get", "Follow"):
        routes.requires("POST", f"/{SERVICE}/{name}", "docs:GetDocument", resource=DOCUMENT)
    routes.requires("POST", f"/{SERVICE}/Collect", "docs:PutDocuments")
    routes.public("POST", f"/{SERVICE}/Talk")
    return routes


@table(("kind", "servicer"), SERVICERS)
def test_map_guards_every_kind_of_call(guard: Guard, tmp_path: Path, kind: str, servicer: Any) -> None:
    """A row names the path of a method; fields of the message fill its template."""
    with served(kind, guard, servicer, PLAIN, routes=plain_map()) as channel:
        before = len(records_in(tmp_path))
        for name in ("Get", "Follow"):
            answers, done = call(channel, name, Document(document_id="7"), key("rita"), PLAIN[name])
            assert (answers, done.code()) == ([RITA], grpc.StatusCode.OK)
            answers, done = call(channel, name, Document(document_id="7"), (), PLAIN[name])
            assert (answers, done.code()) == ([], grpc.StatusCode.UNAUTHENTICATED)
        messages = [Document(document_id="7"), Document(document_id="8")]
        answers, done = call(channel, "Collect", messages, key("ada"), CLIENT_STREAM)
        assert (answers, done.code()) == ([["7", "8"]], grpc.StatusCode.OK)
        answers, done = call(channel, "Collect", messages, key("rita"), CLIENT_STREAM)
        assert (answers, done.code()) == ([], grpc.StatusCode.PERMISSION_DENIED)
        assert call(channel, "Talk", messages, (), BOTH)[0] == ["7", "8"]
        decided = records_in(tmp_path)[before:]
    get = ["GetDocument Allowed", "GetDocument AccessDenied"]
    assert decided == [*get, *get, "PutDocuments Allowed", "PutDocuments AccessDenied"]


@table(("kind", "servicer"), SERVICERS)
def test_unguarded_methods_do_not_run(guard: Guard, kind: str, servicer: Any) -> None:
    with served(kind, guard, servicer, PLAIN) as channel:
        for name, cardinality in PLAIN.items():
            answers, done = call(channel, name, Document(document_id="7"), key("ada"), cardinality)
            assert (answers, done.code(), trailing(done)["x-amzn-errortype"]) == (
                [],
                grpc.StatusCode.INTERNAL,
                "InternalFailure",
            )


@table(("kind", "servicer"), SERVICERS)
def test_default_action_is_the_name_of_the_method(guard: Guard, kind: str, servicer: Any) -> None:
    with served(kind, guard, servicer, PLAIN, default_services={SERVICE: docs}) as channel:
        answers, _ = call(channel, "Get", Document(), key("rita"))  # docs:Get* on *
        assert answers == [RITA]
        answers, done = call(channel, "Follow", Document(), key("rita"), SERVER_STREAM)
        assert (answers, done.code()) == ([], grpc.StatusCode.PERMISSION_DENIED)
        assert "docs:Follow" in done.details()
        assert call(channel, "Follow", Document(), key("ada"), SERVER_STREAM)[0] == [user("ada")]


@table("name", [SERVICE, f"{SERVICE}/Get", f"/{SERVICE}/Get"])
def test_public_methods_are_named(guard: Guard, name: str) -> None:
    """By service or method; anonymous is the caller, and a bad credential is still rejected."""
    with served("sync", guard, Plain(), PLAIN, public=[name]) as channel:
        assert call(channel, "Get", Document())[0] == ["anonymous"]
        _, done = call(channel, "Get", Document(), (("x-api-key", "igk_NONE_wrong"),))
        assert done.code() is grpc.StatusCode.UNAUTHENTICATED
        answers, done = call(channel, "Follow", Document(), (), SERVER_STREAM)
        assert bool(answers) is (name == SERVICE)


class Mixed(Plain):
    @docs.requires("DeleteDocument", resource=DOCUMENT)
    def Get(self, request: Any, context: Any) -> Any:
        return super().Get(request, context)


@table("options", [{"public": [SERVICE]}, {"default_services": {SERVICE: docs}}, {"routes": plain_map()}])
def test_decorator_counts_whatever_the_interceptor_declares(guard: Guard, options: dict[str, Any]) -> None:
    with served("sync", guard, Mixed(), {"Get": UNARY}, **options) as channel:
        assert call(channel, "Get", Document(document_id="7"), key("rita"))[1].code() is (
            grpc.StatusCode.PERMISSION_DENIED
        )
        assert call(channel, "Get", Document(document_id="7"), key("ada"))[0] == [user("ada")]


def test_public_row_of_a_decorated_method_enforces_the_decorator(guard: Guard) -> None:
    routes = RouteMap(services=[docs])
    routes.public("POST", f"/{SERVICE}/Get")
    with served("sync", guard, Mixed(), {"Get": UNARY}, routes=routes) as channel:
        assert call(channel, "Get", Document(document_id="7"))[1].code() is grpc.StatusCode.UNAUTHENTICATED


# --- messages ----------------------------------------------------------------------------------------------------


class Loaded:
    @docs.requires("GetDocument", resource=lambda document_id, request: Resource(ARN + document_id + request.path))
    def Get(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("got"))

    @docs.requires("GetDocument", resource="document/{content}")
    def Bytes(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("got"))

    @docs.requires("GetDocument", resource=DOCUMENT, context=lambda path: {"docs:Path": path})
    def Keys(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("got"))


def test_loaders_get_the_message_and_its_fields(guard: Guard) -> None:
    names = dict.fromkeys(("Get", "Bytes", "Keys"), UNARY)
    with served("sync", guard, Loaded(), names) as channel:
        assert call(channel, "Get", Document(document_id="open-", path="1"), key("eve"))[0] == ["got"]
        _, done = call(channel, "Get", Document(document_id="open-", path="secret"), key("eve"))
        assert done.code() is grpc.StatusCode.PERMISSION_DENIED
        assert call(channel, "Keys", Document(document_id="7", path="a"), key("rita"))[0] == ["got"]
        _, done = call(channel, "Bytes", Document(content=b"7"), key("rita"))
        assert done.code() is grpc.StatusCode.INTERNAL  # no field of a type that names a resource
        _, done = call(channel, "Keys", Document(), key("rita"))
        assert (done.code(), trailing(done)["x-amzn-errortype"]) == (grpc.StatusCode.INVALID_ARGUMENT, "InvalidInput")


def test_caller_cannot_name_fields_of_an_open_message(guard: Guard) -> None:
    """The fields of a `Struct` are the caller's, so they fill no template and no parameter of a loader."""

    class Open:
        @docs.requires("GetDocument", resource="document/{document_id}")
        def Get(self, request: Any, context: Any) -> Any:
            return Answer()

    method = grpc.unary_unary_rpc_method_handler(
        Open().Get, request_deserializer=struct_pb2.Struct.FromString, response_serializer=Answer.SerializeToString
    )
    message = struct_pb2.Struct()
    message.update({"document_id": "7"})
    service = grpc.method_handlers_generic_handler("a.B", {"Get": method})
    with (
        sync_server(service, interceptors=[GuardInterceptor(guard)]) as address,
        grpc.insecure_channel(address) as channel,
    ):
        send = channel.unary_unary("/a.B/Get", request_serializer=struct_pb2.Struct.SerializeToString)
        with pytest.raises(grpc.RpcError) as caught:
            send(message, metadata=key("rita"), timeout=60)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    with pytest.raises(ConfigurationError, match="document_id"):
        GuardInterceptor(guard).checked(grpc.server(ThreadPoolExecutor(1))).add_generic_rpc_handlers([service])


def test_generator_without_streaming_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="@streaming"):

        @docs.requires("GetDocument")
        def follow(request: Any, context: Any) -> Iterator[Any]:
            yield request


def test_streaming_keeps_a_function_that_returns_an_iterator(guard: Guard) -> None:
    class Lists:
        @docs.requires("GetDocument", resource=DOCUMENT)
        @streaming
        def Follow(self, request: Any, context: Any) -> list[Any]:
            return [Answer(json="1"), Answer(json="2")]

    with served("sync", guard, Lists(), {"Follow": SERVER_STREAM}) as channel:
        assert call(channel, "Follow", Document(document_id="7"), key("rita"), SERVER_STREAM)[0] == [1, 2]


# --- paths ---------------------------------------------------------------------------------------------------------


@public
def anything(request: Any, context: Any) -> Any:
    return Answer(json='"served"')


class CatchAll(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Serves every path."""

    def __init__(self, behavior: Any) -> None:
        self._behavior = behavior

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            self._behavior, request_deserializer=Document.FromString, response_serializer=Answer.SerializeToString
        )


SIMILAR = ["get", "Get/", "Get?", "%47et", "<int:Get>", "/Get"]


@table("path", [*(f"/{SERVICE}/{name}" for name in SIMILAR), f"/{SERVICE.lower()}/Get", f"//{SERVICE}/Get", "/"])
def test_row_guards_only_its_exact_path(guard: Guard, path: str) -> None:
    """Behind a handler that serves every path: a similar path is neither public nor guarded by the row."""
    routes = RouteMap(services=[docs])
    routes.public("POST", f"/{SERVICE}/Get")
    interceptors = [GuardInterceptor(guard, routes=routes, public=[f"{SERVICE}/Get"])]
    with (
        sync_server(CatchAll(Plain().Get), interceptors=interceptors) as address,
        grpc.insecure_channel(address) as channel,
    ):
        assert call(channel, "Get", Document())[0] == ["anonymous"]
        answers, done = call(channel, path, Document(), key("ada"))
        assert (answers, done.code()) == ([], grpc.StatusCode.INTERNAL)


def test_invented_paths_fill_no_memory(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["iam_guard_grpc.method_guards"], "_MAX_METHODS", 10)
    interceptor = GuardInterceptor(guard, default_services={SERVICE: docs})
    declared = len([*docs.catalogue])
    with (
        sync_server(CatchAll(anything), interceptors=[interceptor]) as address,
        grpc.insecure_channel(address) as channel,
    ):
        for number in range(25):
            assert call(channel, f"/{SERVICE}/Any{number}", Document())[0] == ["served"]
    assert len(interceptor._handlers) <= 10
    assert declared == len([*docs.catalogue])


def test_handler_added_after_the_start_is_guarded(guard: Guard) -> None:
    """A replaced handler too: what guards a method is cached with its handler."""
    later = [anything]

    class Replaced(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, handler_call_details: Any) -> Any:
            return CatchAll(later[-1]).service(handler_call_details)

    with (
        sync_server(Replaced(), interceptors=[GuardInterceptor(guard)]) as address,
        grpc.insecure_channel(address) as channel,
    ):
        assert call(channel, "Get", Document())[0] == ["served"]
        later.append(Plain().Get)
        assert call(channel, "Get", Document())[1].code() is grpc.StatusCode.INTERNAL


def test_synchronous_interceptor_is_refused_by_an_aio_server(guard: Guard) -> None:
    async def create() -> None:
        grpc.aio.server(interceptors=[GuardInterceptor(guard)])

    with pytest.raises(ValueError, match="must be ServerInterceptor"):
        asyncio.run(create())

# ruff: noqa: N802  # methods are named as in the service definition
"""Other interceptors, streams, and the end of a call over gRPC."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, current_principal, public
from iam_guard.errors import IamGuardError
from iam_guard.web.call_context import CURRENT_CALL, CurrentCall
from tests.integrations.application import DOCUMENT, RITAS_API_KEY, docs
from tests.integrations.contract import needed
from tests.integrations.scenarios import user
from tests.tables import table

needed("grpc", "iam_guard_grpc")

import grpc  # noqa: E402
from iam_guard_grpc import GuardInterceptor, streaming  # noqa: E402

from tests.integrations.grpc_application import (  # noqa: E402
    BOTH,
    SECONDS,
    SERVER_STREAM,
    UNARY,
    Answer,
    Document,
    call,
    handlers,
    key,
    opened,
    records_in,
    served,
    stub,
    sync_server,
)

RITA = user("rita")
BEARER = ("authorization", f"Bearer {RITAS_API_KEY}")
KINDS = ("sync", "aio")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with opened(tmp_path) as made:
        yield made


# --- other interceptors --------------------------------------------------------------------------------------------


class Reading:
    @docs.requires("GetDocument", resource=DOCUMENT)
    def Get(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps(current_principal().arn))


class Other(grpc.ServerInterceptor):  # type: ignore[misc]
    """Wraps every handler, as tracing does, or aborts every call."""

    def __init__(self, *, aborts: bool = False) -> None:
        self._aborts = aborts

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)

        def behavior(request: Any, context: Any) -> Any:
            if self._aborts:
                context.abort(grpc.StatusCode.CANCELLED, "by the other")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            behavior, request_deserializer=Document.FromString, response_serializer=Answer.SerializeToString
        )


@table(
    ("place", "aborts", "status"),
    [
        (0, False, grpc.StatusCode.OK),
        (0, True, grpc.StatusCode.CANCELLED),
        (1, False, grpc.StatusCode.INTERNAL),  # the guard does not see the servicer's own method
        (1, True, grpc.StatusCode.INTERNAL),
    ],
)
def test_guard_is_the_last_interceptor(guard: Guard, place: int, aborts: bool, status: grpc.StatusCode) -> None:
    interceptors: list[Any] = [GuardInterceptor(guard)]
    interceptors.insert(place, Other(aborts=aborts))
    with (
        sync_server(handlers(Reading(), {"Get": UNARY}), interceptors=interceptors) as address,
        grpc.insecure_channel(address) as channel,
    ):
        assert call(channel, "Get", Document(document_id="7"), key("rita"))[1].code() is status


# --- the end of a call ---------------------------------------------------------------------------------------------


class Endless:
    """Streams until its call ends."""

    def __init__(self) -> None:
        self.calls: list[CurrentCall | None] = []
        self.ended = threading.Event()

    @docs.requires("GetDocument", resource=DOCUMENT)
    @streaming
    def Follow(self, request: Any, context: Any) -> Iterator[Any]:
        self.calls.append(CURRENT_CALL.get())
        try:
            while True:
                yield Answer(json=json.dumps(current_principal().arn))
        finally:
            assert current_principal().arn == RITA  # its clean-up still has the caller
            self.ended.set()


class AioEndless(Endless):
    @docs.requires("GetDocument", resource=DOCUMENT)
    @streaming
    async def Follow(self, request: Any, context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        self.calls.append(CURRENT_CALL.get())
        try:
            while True:
                yield Answer(json=json.dumps(current_principal().arn))
                await asyncio.sleep(0.001)
        finally:
            assert current_principal().arn == RITA
            self.ended.set()


@table("kind", KINDS)
@table("by", ["cancel", "deadline"])
def test_ended_stream_leaves_no_caller(tmp_path: Path, kind: str, by: str) -> None:
    """Cancelled by the client or by its deadline: the handler's clean-up runs, and its decision stays as it was."""
    servicer = Endless() if kind == "sync" else AioEndless()
    with opened(tmp_path) as guard, served(kind, guard, servicer, {"Follow": SERVER_STREAM}) as channel:
        before = len(records_in(tmp_path))
        timeout = SECONDS if by == "cancel" else 1
        responses = stub(channel, "Follow", SERVER_STREAM)(
            Document(document_id="7"), metadata=key("rita"), timeout=timeout
        )
        assert json.loads(next(responses).json) == RITA
        if by == "cancel":
            responses.cancel()
        with pytest.raises(grpc.RpcError) as caught:
            for _ in responses:
                pass
        expected = grpc.StatusCode.CANCELLED if by == "cancel" else grpc.StatusCode.DEADLINE_EXCEEDED
        assert caught.value.code() is expected
        assert servicer.ended.wait(SECONDS)
        assert records_in(tmp_path)[before:] == ["GetDocument Allowed"]
    [ended] = servicer.calls
    assert ended is not None
    assert ended.is_over


class Outliving:
    """Starts a task that outlives its call."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self.released = threading.Event()
        self.done = threading.Event()

    @public
    async def Get(self, request: Any, context: Any) -> Any:
        async def later() -> None:
            await asyncio.to_thread(self.released.wait, SECONDS)
            try:
                self.results.append(current_principal().arn)
            except IamGuardError as error:
                self.results.append(error.code)
            self.done.set()

        self.task = asyncio.create_task(later())
        return Answer(json=json.dumps(current_principal().arn))


def test_task_after_the_call_has_no_caller(guard: Guard) -> None:
    servicer = Outliving()
    with served("aio", guard, servicer, {"Get": UNARY}) as channel:
        assert call(channel, "Get", Document(), key("rita"))[0] == [RITA]
        call(channel, "Get", Document(), key("rita"))  # the call before has ended
        servicer.released.set()
        assert servicer.done.wait(SECONDS)
    assert set(servicer.results) == {"InternalFailure"}


@table("kind", KINDS)
def test_bidirectional_stream_interleaves(guard: Guard, kind: str) -> None:
    """Each answer comes before the next message, and belongs to the caller of the stream."""
    with served(kind, guard) as channel:
        received = threading.Semaphore(1)

        def messages() -> Iterator[Any]:
            for number in range(5):
                assert received.acquire(timeout=SECONDS)
                yield Document(document_id=str(number))

        answers = []
        for answer in stub(channel, "Watch", BOTH)(messages(), metadata=key("rita"), timeout=SECONDS):
            answers.append(json.loads(answer.json))
            received.release()
    assert [(answer["caller"], answer["document"]) for answer in answers] == [
        (RITA, str(number)) for number in range(5)
    ]


def test_event_loop_never_waits_for_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may wait is called in a worker thread; the first call of each caller misses the cache."""
    waited: list[bool] = []

    def is_on_loop() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        def call_method(self: Guard, *args: Any, **kwargs: Any) -> Any:
            if not kwargs.get("cache_only"):
                waited.append(is_on_loop())
            return method(self, *args, **kwargs)

        return call_method

    for name in ("authenticate", "decide"):
        monkeypatch.setattr(Guard, name, watched(getattr(Guard, name)))
    with opened(tmp_path) as guard, served("aio", guard) as channel:
        for method in ("GetDocument", "PutDocument", "GetShared", "Stream"):
            for name in ("ada", "rita", "eve"):
                call(channel, method, Document(document_id="7"), key(name))
    assert waited
    assert not any(waited)


def test_calls_leave_nothing_behind(guard: Guard) -> None:
    """No call is referenced after its end, allowed or denied."""
    with served("sync", guard) as channel:
        for method in ("GetDocument", "PutDocument", "Stream", "ByHand", "Forgotten", "Watch"):
            call(channel, method, Document(document_id="7"), key("rita"))
    gc.collect()
    calls = [found for found in gc.get_objects() if issubclass(type(found), CurrentCall)]  # Django has lazy objects
    assert [found for found in calls if found.guard is guard] == []

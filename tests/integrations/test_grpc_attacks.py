# ruff: noqa: N802  # methods are named as in the service definition
"""Hostile metadata, careless handlers and ending calls over gRPC."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest

from iam_guard import AccessDenied, Guard, current_decision
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import IamGuardError, ServerBusy
from tests.integrations.application import ADA, ARN, DOCUMENT, RITAS_API_KEY, SECRET, docs
from tests.integrations.contract import needed
from tests.integrations.scenarios import signature, user
from tests.tables import table

needed("grpc", "iam_guard_grpc")

import grpc  # noqa: E402
from iam_guard_grpc import streaming  # noqa: E402

from tests.integrations.grpc_application import (  # noqa: E402
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
    trailing,
)

RITA = user("rita")
BEARER = ("authorization", f"Bearer {RITAS_API_KEY}")
KINDS = ("sync", "aio")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with opened(tmp_path) as made:
        yield made


def last_record(folder: Path) -> dict[str, Any]:
    return list(read_records(folder / "audit.jsonl", on_broken=lambda _: None))[-1]


# --- metadata ------------------------------------------------------------------------------------------------------


@table("kind", KINDS)
@table(
    ("metadata", "code"),
    [
        ((BEARER, BEARER), "IncompleteSignature"),
        ((BEARER, ("authorization", "Bearer nonsense")), "IncompleteSignature"),
        ((BEARER, ("x-api-key", RITAS_API_KEY)), "IncompleteSignature"),
        ((("x-api-key", RITAS_API_KEY),) * 2, "IncompleteSignature"),
        ((BEARER, ("x-amz-security-token", "token")), "IncompleteSignature"),
        ((("x-amz-security-token", "token"),), "IncompleteSignature"),
        ((("authorization", RITAS_API_KEY),), "MissingAuthenticationToken"),
        ((("authorization", ""),), "MissingAuthenticationToken"),
        ((("authorization", "Bearer "),), "InvalidClientTokenId"),
        ((("authorization", f"Bearer {RITAS_API_KEY},Bearer {RITAS_API_KEY}"),), "InvalidClientTokenId"),
        ((("authorization", "Bearer a.b.c"),), "InvalidIdentityToken"),
        ((("authorization-bin", BEARER[1].encode()),), "MissingAuthenticationToken"),  # anonymous
        ((("x_api_key", RITAS_API_KEY),), "MissingAuthenticationToken"),  # anonymous
        ((("cookie", "iam-guard-session=anything"),), "MissingAuthenticationToken"),  # anonymous
    ],
    ids=lambda value: str(value)[:60],
)
def test_unclear_credentials_are_refused(guard: Guard, kind: str, metadata: Any, code: str) -> None:
    """Never the first of several, and never anonymous instead."""
    with served(kind, guard) as channel:
        assert call(channel, "Health", Document(), (BEARER,))[0] == ["ok"]  # the key is known from now on
        is_anonymous = all(name not in ("authorization", "x-api-key", "x-amz-security-token") for name, _ in metadata)
        assert call(channel, "Health", Document(), metadata)[0] == (["ok"] if is_anonymous else [])
        for method in ("GetDocument", "Stream", *(() if is_anonymous else ("Health", "Upload"))):
            answers, done = call(channel, method, Document(document_id="7"), metadata)
            assert (answers, trailing(done)["x-amzn-errortype"]) == ([], code)
            assert done.code() is grpc.StatusCode.UNAUTHENTICATED
            assert RITAS_API_KEY not in done.details()


@table("kind", KINDS)
def test_correct_signature_is_refused(guard: Guard, kind: str) -> None:
    """The caller chooses the host that it covers, and no message is covered."""
    request = AWSRequest("POST", f"http://docs.example/{SERVICE}/GetDocument", headers={"host": "docs.example"})
    signature(ADA)(request)
    metadata = tuple((name.lower(), str(value)) for name, value in request.headers.items())
    with served(kind, guard) as channel:
        answers, done = call(channel, "GetDocument", Document(document_id="7"), metadata)
    assert (answers, done.code()) == ([], grpc.StatusCode.UNAUTHENTICATED)
    assert "signatures are not accepted over gRPC" in done.details()


@table("kind", KINDS)
def test_large_metadata_is_refused(tmp_path: Path, kind: str) -> None:
    """By gRPC's own limit, or by the setting `max_header`."""
    with opened(tmp_path, max_header=1024) as guard, served(kind, guard) as channel:
        _, done = call(channel, "Health", Document(), (("x-large", "a" * 2000),))
        assert (done.code(), trailing(done)["x-amzn-errortype"]) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RequestEntityTooLarge",
        )


@table("kind", KINDS)
def test_unknown_methods_answer_as_without_a_guard(guard: Guard, kind: str) -> None:
    """With and without a credential, and in another case; nothing is recorded."""
    with served(kind, guard) as channel, served(kind, None) as unguarded:
        for method in ("Unknown", "getdocument", "/docs.Unknown/GetDocument", "/GetDocument"):
            expected = call(unguarded, method, Document())[1]
            for metadata in ((), (BEARER,), (("authorization", "Bearer nonsense"),)):
                _, done = call(channel, method, Document(), metadata)
                assert (done.code(), done.details(), trailing(done)) == (
                    grpc.StatusCode.UNIMPLEMENTED,
                    expected.details(),
                    trailing(expected),
                )


class Facts:
    """Answers the condition keys of its decision."""

    @docs.requires("GetDocument", resource=DOCUMENT)
    def Get(self, request: Any, context: Any) -> Any:
        decision = current_decision()
        assert decision is not None
        values = {
            name: decision.request.value(name) for name in ("aws:sourceip", "aws:securetransport", "aws:useragent")
        }
        return Answer(json=json.dumps(values, default=str))


@table("trusted", [(), ("127.0.0.1/32",), ("127.0.0.1/32", "10.0.0.0/8")])
def test_addresses_come_from_trusted_proxies_only(tmp_path: Path, trusted: tuple[str, ...]) -> None:
    forwarded = (("x-forwarded-for", "192.0.2.7, 10.1.1.1"), ("x-forwarded-proto", "https"), BEARER)
    with opened(tmp_path, trusted_proxies=trusted) as guard, served("sync", guard, Facts(), {"Get": UNARY}) as channel:
        [values], _ = call(channel, "Get", Document(document_id="7"), forwarded)
    addresses = ("127.0.0.1", "10.1.1.1", "192.0.2.7")
    assert values["aws:sourceip"] == addresses[len(trusted)]
    assert values["aws:securetransport"] == ("true" if trusted else "false")
    assert values["aws:useragent"].startswith("grpc-python")
    assert last_record(tmp_path)["sourceIPAddress"] == addresses[len(trusted)]


# --- careless handlers ---------------------------------------------------------------------------------------------


def swallowing(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Turn every error of a handler into an answer."""
    from functools import wraps

    @wraps(handler)
    def swallow(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except IamGuardError:
            return Answer(json=json.dumps(SECRET))

    @wraps(handler)
    async def swallow_async(*arguments: Any) -> Any:
        try:
            return await handler(*arguments)
        except IamGuardError:
            return Answer(json=json.dumps(SECRET))

    return swallow_async if iscoroutinefunction(handler) else swallow


def replacing(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Call a handler with another message."""

    @wraps(handler)
    def replace(self: Any, request: Any, context: Any) -> Any:
        return handler(self, Document(document_id="open-1"), context)

    return replace


class Careless:
    @swallowing
    @docs.requires("PutDocument", resource=DOCUMENT)
    def Swallowed(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("put"))

    @docs.requires("GetDocument", resource=DOCUMENT)
    def Inside(self, request: Any, context: Any) -> Any:
        try:
            docs.authorize("PutDocument", ARN + request.document_id)
        except AccessDenied:
            return Answer(json=json.dumps("read only"))
        return Answer(json=json.dumps("writable"))

    @docs.requires("GetDocument", resource=DOCUMENT)
    def Aborted(self, request: Any, context: Any) -> Any:
        context.set_trailing_metadata((("x-own", "kept"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as the handler says")

    @replacing
    @docs.requires("GetDocument", resource=DOCUMENT)
    def Replaced(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("got"))

    @docs.requires("GetDocument", resource=lambda request: [][1])
    def Broken(self, request: Any, context: Any) -> Any: ...

    @docs.requires("GetDocument", resource=lambda request: _fail())
    def Leaking(self, request: Any, context: Any) -> Any: ...

    @docs.requires("GetDocument", resource=DOCUMENT)
    @streaming
    def Late(self, request: Any, context: Any) -> Iterator[Any]:
        yield Answer(json=json.dumps("first"))
        docs.authorize("PutDocument", ARN + request.document_id)
        yield Answer(json=json.dumps(SECRET))


class AioCareless(Careless):
    @swallowing
    @docs.requires("PutDocument", resource=DOCUMENT)
    async def Swallowed(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps("put"))

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def Aborted(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as the handler says")

    @docs.requires("GetDocument", resource=DOCUMENT)
    @streaming
    async def Late(self, request: Any, context: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        yield Answer(json=json.dumps("first"))
        docs.authorize("PutDocument", ARN + request.document_id)
        yield Answer(json=json.dumps(SECRET))


def _fail() -> str:
    raise RuntimeError(SECRET)


CARELESS = {"sync": Careless(), "aio": AioCareless()}
METHODS = dict.fromkeys(("Swallowed", "Inside", "Aborted", "Replaced", "Broken", "Leaking"), UNARY)


@table("kind", KINDS)
def test_swallowed_denial_is_not_a_success(guard: Guard, kind: str) -> None:
    """Decision 18; a handler that decides by itself is free to answer."""
    with served(kind, guard, CARELESS[kind], METHODS) as channel:
        answers, done = call(channel, "Swallowed", Document(document_id="7"), key("rita"))
        assert (answers, done.code()) == ([], grpc.StatusCode.PERMISSION_DENIED)
        assert call(channel, "Swallowed", Document(document_id="7"), key("ada"))[0] == ["put"]
        assert call(channel, "Inside", Document(document_id="7"), key("rita"))[0] == ["read only"]


@table("kind", KINDS)
def test_abort_of_a_handler_stays(guard: Guard, kind: str) -> None:
    with served(kind, guard, CARELESS[kind], METHODS) as channel:
        _, done = call(channel, "Aborted", Document(document_id="7"), key("rita"))
        assert (done.code(), done.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "as the handler says")
        assert "x-amzn-requestid" in trailing(done)
        assert trailing(done).get("x-own") == ("kept" if kind == "sync" else None)


@table("kind", KINDS)
def test_decision_is_about_the_message_of_the_handler(guard: Guard, kind: str) -> None:
    """Another message than the received one is refused: its fields were not those that a caller sent."""
    with served(kind, guard, CARELESS[kind], METHODS) as channel:
        answers, done = call(channel, "Replaced", Document(document_id="7"), key("ada"))
        assert (answers, done.code()) == ([], grpc.StatusCode.INTERNAL)


@table("kind", KINDS)
@table("method", ["Broken", "Leaking"])
def test_error_before_the_decision_is_hidden(guard: Guard, kind: str, method: str) -> None:
    """gRPC sends the text of exceptions; a loader's may contain data of the store."""
    with served(kind, guard, CARELESS[kind], METHODS) as channel:
        _, done = call(channel, method, Document(document_id="7"))
        assert (done.code(), SECRET in done.details()) == (grpc.StatusCode.INTERNAL, False)


@table("kind", KINDS)
def test_denial_in_a_stream_ends_it(guard: Guard, kind: str) -> None:
    """A later decision, and a later message of a client's stream that names another resource."""
    with served(kind, guard, CARELESS[kind], {"Late": SERVER_STREAM}) as channel:
        answers, done = call(channel, "Late", Document(document_id="7"), key("rita"), SERVER_STREAM)
        assert (answers, done.code()) == (["first"], grpc.StatusCode.PERMISSION_DENIED)
    with served(kind, guard) as channel:
        parts = [Document(document_id="open-1", content=b"a"), Document(document_id="7", content=b"b")]
        answers, done = call(channel, "Watch", parts, key("rita"))
        assert [answer["document"] for answer in answers] == ["open-1", "7"]
        parts[1].document_id = "doubt"
        answers, done = call(channel, "Watch", parts, key("rita"))
        assert ([answer["document"] for answer in answers], done.code()) == (["open-1"], grpc.StatusCode.UNAVAILABLE)


class Writing:
    """Writes to the context, as `grpc.aio` permits, after it has swallowed a denial."""

    async def Follow(self, request: Any, context: Any) -> None:
        try:
            await self._follow(request)
        except IamGuardError:
            await context.write(Answer(json=json.dumps(SECRET)))

    @docs.requires("PutDocument", resource=DOCUMENT)
    async def _follow(self, request: Any) -> None: ...


setattr(Writing.Follow, "__iam_guard__", getattr(Writing._follow, "__iam_guard__"))  # noqa: B010, B009  as `wraps` does


def test_written_message_after_a_denial_is_not_sent(guard: Guard) -> None:
    with served("aio", guard, Writing(), {"Follow": SERVER_STREAM}) as channel:
        answers, done = call(channel, "Follow", Document(document_id="7"), key("rita"), SERVER_STREAM)
        assert (answers, done.code()) == ([], grpc.StatusCode.PERMISSION_DENIED)


@table("kind", KINDS)
def test_busy_guard_answers_resource_exhausted(
    guard: Guard, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise ServerBusy("too many")

    async def refuse_async(*_: Any) -> Any:
        raise ServerBusy("too many")

    monkeypatch.setattr("iam_guard.web.request_credentials.look_up_sync", refuse)
    monkeypatch.setattr("iam_guard.web.request_credentials.look_up_async", refuse_async)
    with served(kind, guard) as channel:
        _, done = call(channel, "GetDocument", Document(document_id="7"), key("ada"))
    assert done.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert records_in(tmp_path)[-1:] == ["Authenticate ServiceUnavailable"]

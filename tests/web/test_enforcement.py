"""Which arguments a decision is about, and when an asynchronous handler waits for it."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from iam_guard import AccessDenied, Guard, Principal, Resource, Service, current_decision, open_guard
from iam_guard.errors import ConfigurationError, InvalidInput, SignatureDoesNotMatch
from iam_guard.model.principal import Credential
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, serving
from iam_guard.web.requirement import Concealed
from tests.conftest import SEED
from tests.tables import table

RITA = Principal.from_arn("arn:aws:iam::111122223333:user/rita")
ARN = "arn:aws:docs:us-east-1:111122223333:document/"

docs = Service("docs")


@pytest.fixture
def call(guard: Guard) -> Iterator[CurrentCall]:
    with serving(CurrentCall(guard, RITA, Call("request-1"))) as call:
        yield call


class Request:
    """A request of a framework, with its scope."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope


def one(name: str) -> str: ...


def with_default(name: str = "7") -> str: ...


def by_keyword(*, name: str) -> str: ...


def with_others(*others: Any, **named: Any) -> str: ...


def with_request(request: Any, name: str) -> str: ...


def with_request_alone(request: Any) -> str: ...


class View:
    scope = None

    def get(self, request: Any) -> str: ...


def called(handler: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    return handler, args, kwargs


OTHER = {"path_params": {"name": "of-another"}, "endpoint": called}
CALLS = [
    (called(one, "7"), "7"),
    (called(one, name="7"), "7"),
    (called(with_default), "7"),
    (called(with_default, "8"), "8"),
    (called(with_default, name="8"), "8"),
    (called(by_keyword, name="7"), "7"),
    (called(with_others, 1, 2, name="7"), "7"),
    (called(with_others, 1, other=2), "of-the-route"),
    (called(with_request, None, "7"), "7"),
    (called(with_request, None, name="7"), "7"),
    (called(with_request, request=None, name="7"), "7"),
    (called(with_request_alone, None), "of-the-route"),
    (called(with_request_alone, request=None), "of-the-route"),
    (called(with_request_alone, Request(OTHER)), "of-another"),
    (called(with_request_alone, request=Request(OTHER)), "of-another"),
    (called(with_request_alone, Request({"path_params": {"name": "of-a-body"}})), "of-the-route"),
    (called(View.get, View(), Request(OTHER)), "of-another"),
    (called(functools.wraps(with_request_alone)(lambda *args, **kwargs: None), Request(OTHER), more=1), "of-another"),
]
"""Calls of handlers, and the name that each decision is about."""


def find(name: str) -> Resource:
    return Resource(ARN + name)


async def find_later(name: str, missing: str = "") -> str:
    return ARN + name + missing


def keys(name: str) -> dict[str, str]:
    return {"docs:Name": name}


@table(("handler", "expected"), CALLS)
@table("resource", ["document/{name}", find, find_later])
@table("context", [None, {"docs:Name": "7"}, keys])
def test_decision_is_about_the_arguments(
    call: CurrentCall, handler: tuple[Any, ...], expected: str, resource: Any, context: Any
) -> None:
    """However the handler is called, and whatever names its resource."""
    function, args, kwargs = handler
    is_default = function is with_default and not (args or kwargs)
    call.scope["path_params"] = {} if is_default else {"name": "of-the-route"}
    requires = docs.requires("GetDocument", resource=resource, context=context)

    @functools.wraps(function)
    async def handle(*args: Any, **kwargs: Any) -> str:
        return decided_resource()

    assert anyio.run(functools.partial(requires(handle), *args, **kwargs)) == ARN + expected
    if resource is not find_later:
        synchronous = requires(functools.wraps(function)(lambda *args, **kwargs: decided_resource()))
        assert synchronous(*args, **kwargs) == ARN + expected


def decided_resource() -> str:
    decision = current_decision()
    assert decision is not None
    return decision.request.resource


@table("result", [7, object(), b"arn", "document/7", "", Resource("document/7", "111122223333"), f"{ARN}a/../b"])
@table("is_later", [True, False])
def test_asynchronous_handler_rejects_invalid_resource(call: CurrentCall, result: Any, is_later: bool) -> None:
    async def load() -> Any:
        return result

    async def handle() -> None: ...

    guarded = docs.requires("GetDocument", resource=load if is_later else lambda: result)(handle)
    with pytest.raises((ConfigurationError, InvalidInput), match=r"expected (a loader|an ARN)"):
        anyio.run(guarded)
    assert isinstance(call.refusal, (ConfigurationError, InvalidInput))
    assert call.decisions == []


@table("resource", [lambda: None, "document/7"])
@table("action", ["PutDocument", "GetDocument"])
@table("is_async", [True, False])
def test_refusal_is_kept_until_the_handler_is_allowed(
    call: CurrentCall, resource: Any, action: str, is_async: bool
) -> None:
    """So that a framework can't answer with success."""
    call.decisions.clear()

    async def handle() -> None: ...

    guarded = docs.requires(action, resource=resource)(handle if is_async else lambda: None)
    attempt = functools.partial(anyio.run, guarded) if is_async else guarded
    if action == "GetDocument" and resource == "document/7":
        attempt()
        assert call.refused_by is None
        return
    with pytest.raises((AccessDenied, Concealed)) as refused:
        attempt()
    assert (call.refusal, call.attempted_action) == (refused.value, f"docs:{action}")
    assert getattr(call.refused_by, "action", None) == f"docs:{action}"


@table("is_async", [True, False])
def test_signature_for_another_service_is_refused(guard: Guard, is_async: bool) -> None:
    """Its scope names the service of the first action; later actions may be of any service."""
    credential = Credential("sigv4", "AKIAIOSFODNN7EXAMPLE", service="mail")
    call = CurrentCall(guard, replace(RITA, credential=credential), Call("request-1"))

    async def handle() -> None: ...

    guarded = docs.requires("GetDocument")(handle if is_async else lambda: None)
    attempt = functools.partial(anyio.run, guarded) if is_async else guarded
    with serving(call):
        with pytest.raises(SignatureDoesNotMatch):
            attempt()
        assert (call.decisions, call.refusal is None) == ([], False)
        call.decisions.append(guard.decide(RITA, "mail:Read"))
        attempt()
    assert [decision.request.action for decision in call.decisions] == ["mail:Read", "docs:GetDocument"]


def test_resource_loader_of_the_guard_runs_in_a_thread(tmp_path: Path) -> None:
    """It may query the application's tables, so the event loop must not wait for it."""
    threads = []

    def describe(arn: str) -> Resource:
        threads.append(threading.current_thread())
        return Resource(arn)

    @docs.requires("GetDocument", resource="document/{name}")
    async def handle(name: str) -> str:
        return decided_resource()

    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with (
        closing(open_guard(seed, resources=describe)) as guard,
        serving(CurrentCall(guard, RITA, Call("request-1"))) as call,
    ):
        assert anyio.run(handle, "7") == f"{ARN}7"
        with pytest.raises(AccessDenied):
            anyio.run(docs.requires("PutDocument", resource="document/{name}")(inspect.unwrap(handle)), "7")
    assert threading.main_thread() not in threads
    assert [decision.allowed for decision in call.decisions] == [True, False]
    assert isinstance(call.refusal, AccessDenied)

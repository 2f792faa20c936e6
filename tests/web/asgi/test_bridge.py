"""The steps for adapters of asynchronous frameworks without ASGI."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from iam_guard import Guard, public
from iam_guard.errors import ConfigurationError, SignatureDoesNotMatch, UndecidedEndpoint
from iam_guard.web.asgi.bridge import AsyncBridge, GuardedAsyncRequest
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.refusal import BlockingFormat, Refusal
from tests.conftest import RITA, Sign


def begin(guard: Guard, headers: dict[str, str], *, method: str = "GET", **options: Any) -> GuardedAsyncRequest:
    scope = {
        "type": "http",
        "method": method,
        "path": "/documents/7",
        "raw_path": b"/documents/7",
        "query_string": b"",
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in {"host": "testserver", **headers}.items()
        ],
    }
    return AsyncBridge(guard, **options).begin(scope)


async def authenticate(guarded: GuardedAsyncRequest, *parts: bytes) -> CurrentCall:
    """Authenticate with a body of these parts."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return await guarded.authenticate(receive, lambda _: False)


@public
async def endpoint() -> None: ...


def test_response_of_a_public_endpoint_may_be_sent(guard: Guard) -> None:
    """And that of an unmarked one may not."""
    guarded = begin(guard, {})
    call = asyncio.run(authenticate(guarded))
    call.matched(endpoint, {})
    assert guarded.leave(200) is None
    call.matched(begin, {})
    with pytest.raises(UndecidedEndpoint):
        guarded.leave(200)
    assert asyncio.run(guarded.refuse_async(UndecidedEndpoint("undecided"))).status == 500
    guarded.end()
    assert call.is_over


def test_response_before_authentication_is_an_error(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="expected `authenticate`"):
        begin(guard, {}).leave(200)


def test_signed_body_is_replaced_by_the_verified_one(guard: Guard, sign: Sign) -> None:
    """An unsigned one is not; a changed one is refused."""

    async def content(guarded: GuardedAsyncRequest, *parts: bytes) -> bytes:
        await authenticate(guarded, *parts)
        return (await guarded.receive())["body"] if guarded.replaces_body else b"not replaced"

    headers = sign(RITA, "PUT", "/documents/7", body=b"two parts") | {"content-length": "9"}
    assert asyncio.run(content(begin(guard, headers, method="PUT"), b"two ", b"parts")) == b"two parts"
    assert asyncio.run(content(begin(guard, {}, method="PUT"), b"two ", b"parts")) == b"not replaced"
    with pytest.raises(SignatureDoesNotMatch):
        asyncio.run(content(begin(guard, headers, method="PUT"), b"two ", b"other"))


def test_format_that_blocks_is_called_in_a_thread(guard: Guard) -> None:
    threads: list[threading.Thread] = []

    def form(error: Exception, request_id: str) -> Refusal:
        threads.append(threading.current_thread())
        return Refusal(500, (), b"")

    guarded = begin(guard, {}, refusal=BlockingFormat(form))
    assert asyncio.run(guarded.refuse_async(UndecidedEndpoint("undecided"))).status == 500
    assert threads != [threading.main_thread()]

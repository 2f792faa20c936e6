"""The cost of a body before its caller is known, over WSGI."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard import Guard, GuardWsgiMiddleware, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.web import key_lookups
from iam_guard.web.body_budget import MAX_UNVERIFIED, reserved_bytes
from tests.conftest import ADA, SEED
from tests.web.wsgi.application import application

LONG = b"x" * 400_000
UNKNOWN = ("AKIAUNKNOWN000000001", "x" * 40)


@pytest.fixture
def opened(tmp_path: Path, audit_file: Path) -> Iterator[Callable[..., Guard]]:
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    guards: list[Guard] = []

    def open_one(**settings: Any) -> Guard:
        guards.append(open_guard(str(seed), audit=str(audit_file), **settings))
        return guards[-1]

    yield open_one
    for guard in guards:
        guard.close()


class _Input(io.BytesIO):
    """A body that tells how much of it was read; `before` is called before each part."""

    before: Callable[[], None] = staticmethod(lambda: None)

    def read(self, size: int | None = -1, /) -> bytes:
        self.before()
        return super().read(size)


def put(
    guard: Guard, body: bytes, key: tuple[str, str] = ADA, before: Callable[[], None] | None = None, **more: str
) -> tuple[int, dict[str, str], dict[str, Any], int]:
    """Send a signed body; return status, headers and document of the answer, and how much of the body was read."""
    request = AWSRequest("PUT", "http://testserver/uploads/7", data=body)
    SigV4Auth(Credentials(*key), "docs", "us-east-1").add_auth(request)
    named = {f"HTTP_{name.upper().replace('-', '_')}": str(value) for name, value in request.headers.items()}
    stream = _Input(body)
    if before is not None:
        stream.before = before  # type: ignore[method-assign]
    environ = {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/uploads/7",
        "QUERY_STRING": "",
        "HTTP_HOST": "testserver",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": stream,
        "wsgi.url_scheme": "http",
        **named,
        **more,
    }
    started: list[Any] = []
    answer = GuardWsgiMiddleware(application, guard=guard)(environ, lambda *arguments, **_: started.append(arguments))
    content = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return int(started[-1][0][:3]), dict(started[-1][1]), json.loads(content), stream.tell()


def test_long_body_of_unknown_key_is_not_buffered(opened: Callable[..., Guard]) -> None:
    """It is rejected after its start; that of a known key is read, and its reservation released."""
    guard = opened()
    status, _, body, taken = put(guard, LONG, UNKNOWN)
    assert (status, body["code"]) == (401, "InvalidClientTokenId")
    assert taken <= 2 * MAX_UNVERIFIED
    status, _, body, taken = put(guard, LONG)
    assert (status, body["size"], taken) == (200, len(LONG), len(LONG))
    assert reserved_bytes() == 0


def test_announced_length_over_limit_is_rejected_unread(opened: Callable[..., Guard]) -> None:
    """Before the first byte."""
    status, _, _, taken = put(opened(max_body=100_000), LONG)
    assert (status, taken) == (413, 0)


def test_bodies_over_the_budget_get_503(opened: Callable[..., Guard]) -> None:
    """While another request buffers its body."""
    guard = opened(max_body=len(LONG), max_bodies=len(LONG))
    found: list[Any] = []

    def once() -> None:
        if reserved_bytes() > len(LONG) // 2 and not found:
            found.append(None)
            found[0] = put(guard, LONG)

    assert put(guard, LONG, before=once)[0] == 200
    status, headers, _, _ = found[0]
    assert (status, headers["retry-after"]) == (503, "1")
    assert put(guard, LONG)[0] == 200
    assert reserved_bytes() == 0


def test_slow_body_gets_408(opened: Callable[..., Guard], audit_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is checked between two parts."""
    now = [0.0]
    monkeypatch.setattr("iam_guard.web.wsgi.body.monotonic", lambda: now[0])

    def later() -> None:
        now[0] += 30

    assert put(opened(), LONG, before=later)[0] == 408
    assert list(read_records(audit_file))[-1]["errorCode"] == "RequestTimeout"


def test_unknown_keys_beyond_eight_lookups_get_503(
    opened: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread waits while lookups finish; known keys don't wait."""
    monkeypatch.setattr(key_lookups, "MAX_WAIT", 0.05)
    guard = opened()
    assert put(guard, b"abc")[0] == 200
    go, started = threading.Event(), threading.Semaphore(0)
    behind = guard.store.behind  # type: ignore[attr-defined]

    def hanging(access_key_id: str) -> None:
        started.release()
        go.wait(10)

    monkeypatch.setattr(behind, "access_key", hanging)
    statuses: list[int] = []

    def unknown(number: int) -> None:
        statuses.append(put(guard, b"", (f"AKIAUNKNOWN{number:09}", "x" * 40))[0])

    threads = [threading.Thread(target=unknown, args=(number,)) for number in range(key_lookups.MAX_LOOKUPS)]
    for thread in threads:
        thread.start()
        assert started.acquire(timeout=10)
    unknown(99)
    assert statuses == [503]
    assert put(guard, b"abc")[0] == 200
    go.set()
    for thread in threads:
        thread.join()
    assert statuses[1:] == [401] * key_lookups.MAX_LOOKUPS

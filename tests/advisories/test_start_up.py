"""Advisory: an unguarded endpoint did not stop a server with the lifespan setting `auto`.

The hole: the middleware only raised, which such servers take for an application without lifespan support; they served
requests. Now it sends `lifespan.startup.failed`, as ASGI requires.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from iam_guard import Guard, GuardMiddleware, public
from iam_guard.errors import ConfigurationError

APP = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from iam_guard import GuardMiddleware, open_guard

async def forgotten(request): ...

guard = open_guard("sqlite://")
inside = Starlette(routes=[Route("/f", forgotten)], middleware=[Middleware(GuardMiddleware, guard=guard)])
around = GuardMiddleware(Starlette(routes=[Route("/f", forgotten)]), guard=guard)
"""


@pytest.mark.parametrize("lifespan", ["auto", "on"])
@pytest.mark.parametrize("app", ["inside", "around"])
def test_server_does_not_start_with_unguarded_endpoint(tmp_path: Path, app: str, lifespan: str) -> None:
    """With a real uvicorn, also in its default setting."""
    (tmp_path / "served.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", f"served:{app}", "--port", str(port), "--lifespan", lifespan]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 3
    assert "neither guarded nor public: GET,HEAD /f (forgotten)" in done.stderr
    assert "Uvicorn running" not in done.stderr


async def forgotten(request: Request) -> Response:
    return PlainTextResponse("secret content")


@public
async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


def start(app: GuardMiddleware) -> list[str]:
    """Run start-up and shutdown; return the sent messages."""
    incoming = ["lifespan.startup", "lifespan.shutdown"]
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": incoming.pop(0)}

    async def send(message: object) -> None:
        sent.append(message["type"])  # type: ignore[index]

    async def main() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)

    anyio.run(main)
    return sent


def test_scope_without_application_is_checked(guard: Guard) -> None:
    """Not every framework adds itself to the scope."""
    good = GuardMiddleware(Starlette(routes=[Route("/health", health)]), guard=guard)
    assert start(good) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(ConfigurationError, match="/forgotten"):
        start(GuardMiddleware(Starlette(routes=[Route("/forgotten", forgotten)]), guard=guard))


def test_unguarded_endpoint_may_be_a_warning(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """`check_routes=False`."""
    app = GuardMiddleware(Starlette(routes=[Route("/forgotten", forgotten)]), guard=guard, check_routes=False)
    assert start(app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert "/forgotten" in caplog.text

"""How much of our code a warm guarded request enters: few packages and functions, or it cannot be followed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import iam_guard
from iam_guard import GuardMiddleware, Service, open_guard
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from tests.conftest import ADA, SEED, Sign

ROOT = f"{Path(iam_guard.__file__).parent}/"
PACKAGES = {"web", "authn", "guard", "store", "evaluation", "audit", "model"}
MAX_FUNCTIONS = 45

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> PlainTextResponse:
    return PlainTextResponse("text")


@contextmanager
def entered() -> Iterator[set[tuple[str, str]]]:
    """Collect the functions of ours that are called, but for those of the writer thread of the trail."""
    monitoring = sys.monitoring
    found: set[tuple[str, str]] = set()

    def start(code: CodeType, _: int) -> None:
        if code.co_filename.startswith(ROOT) and "iam-guard" not in threading.current_thread().name:
            found.add((code.co_filename[len(ROOT) :], code.co_qualname))

    monitoring.use_tool_id(monitoring.PROFILER_ID, "request path")
    monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.PY_START, start)
    monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.PY_START)
    try:
        yield found
    finally:
        monitoring.set_events(monitoring.PROFILER_ID, 0)
        monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.PY_START, None)
        monitoring.free_tool_id(monitoring.PROFILER_ID)


@pytest.mark.skipif(sys.version_info[:2] != (3, 13), reason="other versions count comprehensions in other ways")
def test_request_enters_few_packages_and_functions(tmp_path: Path, sign: Sign) -> None:
    """A signed GET with everything cached, and the trail in a folder."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    create_signing_key_file(tmp_path / "key")
    guard = open_guard(
        seed, services=[docs], audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key", epoch_poll=3600
    )
    routes = [Route("/documents/{document_id}", get_document)]
    app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])
    with TestClient(app) as client:
        for _ in range(5):
            assert client.get("/documents/7", headers=sign(ADA, "GET", "/documents/7")).status_code == 200
        guard.refresh()  # the second poll loads which resources have a record
        assert client.get("/documents/7", headers=sign(ADA, "GET", "/documents/7")).status_code == 200
        headers = sign(ADA, "GET", "/documents/7")
        with entered() as functions:
            assert client.get("/documents/7", headers=headers).status_code == 200
    guard.close()
    assert {file.partition("/")[0] for file, _ in functions} == PACKAGES
    assert len(functions) <= MAX_FUNCTIONS

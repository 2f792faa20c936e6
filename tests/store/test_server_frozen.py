"""A PostgreSQL server whose processes are stopped, and an application that continues, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.audit.pipelines import eventually
from tests.store.cluster import Cluster, cluster
from tests.store.databases import SEALING_KEY

ACME = "111122223333"

APPLICATION = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from iam_guard import Principal, open_guard

guard = open_guard(sys.argv[1])

def decide(request):
    alice = Principal.from_arn("arn:aws:iam::111122223333:user/" + request.path_params["name"])
    decision = guard.decide(alice, "docs:Get", "arn:aws:docs:us-east-1:111122223333:document/1")
    return PlainTextResponse(str(decision.allowed), 503 if decision.error else 200)

def public(request):
    return PlainTextResponse("public")

routes = [Route("/of/{name}", decide), Route("/public", public)]
uvicorn.run(Starlette(routes=routes), fd=int(sys.argv[2]), log_level="warning")
guard.close()
"""


def get(url: str) -> tuple[int, float]:
    """Return status and seconds of a response."""
    began = time.monotonic()
    try:
        with urlopen(url, timeout=20) as response:  # noqa: S310  at loopback
            status = response.status
    except HTTPError as refused:
        status = refused.code
    return status, time.monotonic() - began


@contextmanager
def serving_process(store: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the application in a separate process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-c", APPLICATION, store, str(descriptor)]
        environment = os.environ | {"IAM_GUARD_SEALING_KEYS": SEALING_KEY}
        process = subprocess.Popen(command, env=environment, pass_fds=[descriptor])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A separate server, in a folder that its user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="iam-guard-", dir="/tmp"))  # a socket's path is short
    folder.chmod(0o755)
    try:
        with cluster(folder) as opened:
            yield opened
    finally:
        shutil.rmtree(folder)


def test_application_outlives_frozen_server(server: Cluster) -> None:
    """Cached callers and public endpoints are answered, others denied, and SIGTERM ends the application."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}
    users = [{"name": name, "inline": {"P": policy}} for name in ("alice", "bob")]
    with closing(create_store(server.url, Settings(sealing_keys=(SEALING_KEY,)))) as store:
        apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": [{"id": ACME, "users": users}]})))
    with serving_process(server.url) as (url, process), ThreadPoolExecutor(50) as threads:
        fetch: Callable[[str], tuple[int, float]] = lambda path: get(url + path)  # noqa: E731
        eventually(lambda: fetch("/of/alice")[0] == 200)
        server.freeze()
        try:
            for _ in range(3):
                cold = [threads.submit(fetch, f"/of/bob{number}") for number in range(45)]
                cached = [threads.submit(fetch, path) for path in ("/of/alice", "/public")]
                assert [answer.result()[0] for answer in cached] == [200, 200]
                assert {answer.result()[0] for answer in cold} == {503}
            status, took = fetch("/of/bob")
            assert status == 503
            assert took < 5  # at once, since the store is known to hang
        finally:
            server.thaw()
        eventually(lambda: fetch("/of/bob")[0] == 200)
        server.freeze()
        try:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in (0, -signal.SIGTERM)
        finally:
            server.thaw()

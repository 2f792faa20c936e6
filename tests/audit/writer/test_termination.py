"""SIGTERM with a guard that is never closed: every server leaves all shards signed and ended."""

from __future__ import annotations

import errno
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, Service, open_guard
from iam_guard.api.protocol.app import aws_api
from iam_guard.audit import append_file
from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.record.record_classes import ADMIN, READ, WRITE
from iam_guard.audit.verify.shard import is_ended, shards_of
from iam_guard.audit.verify.signing_keys import create_signing_key_file, key_ring, read_signing_keys
from iam_guard.audit.writer.disk_reserve import Reserve
from iam_guard.audit.writer.segment_writer import SegmentLimits
from iam_guard.authn.api_key import format_api_key
from iam_guard.settings import Settings
from tests.audit.pipelines import ROOT, eventually, facts_in, gaps_in, ids_in, pipeline_in
from tests.audit.test_pipeline_processes import run
from tests.audit.trails import record, verdicts

SEED = """
version: 1
accounts:
  - id: "111122223333"
    users:
      - name: rita
        inline: {Read: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "docs:Get*", Resource: "*"}]}}
        api_keys: [{id: RITA, secret: ritasecret0123456789abcdefghijklmnopqrst}]
"""
RITA = {"authorization": "Bearer " + format_api_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst")}
TIMEOUT = 60
UVICORN = ["-m", "uvicorn", "--factory", "--log-level", "warning", "--port", "{port}"]
GUNICORN = ["-m", "gunicorn", "--no-control-socket", "--log-level", "warning", "-b", "127.0.0.1:{port}"]
HYPERCORN = ["-m", "hypercorn", "-b", "127.0.0.1:{port}"]
APPS = "tests.audit.server_apps"

SERVERS: dict[str, tuple[list[str], bool]] = {
    "uvicorn": ([*UVICORN, f"{APPS}:asgi"], True),
    "uvicorn, two workers": ([*UVICORN, "--workers", "2", f"{APPS}:asgi"], False),
    "uvicorn, no lifespan": ([*UVICORN, "--lifespan", "off", f"{APPS}:asgi"], False),
    "uvicorn, Django": ([*UVICORN, f"{APPS}:django"], False),
    "gunicorn": ([*GUNICORN, f"{APPS}:wsgi()"], False),
    "gunicorn, preload, two workers": ([*GUNICORN, "--preload", "-w", "2", f"{APPS}:wsgi()"], False),
    "gunicorn, threads": ([*GUNICORN, "-k", "gthread", "--threads", "2", f"{APPS}:wsgi()"], False),
    "hypercorn": ([*HYPERCORN, f"{APPS}:asgi()"], False),
    "waitress": (["-m", "waitress", "--port", "{port}", "--call", f"{APPS}:wsgi"], False),
    "wsgiref": (["-m", APPS, "{port}"], False),
}
"""Server -> its command, and whether a request is in progress when it is terminated."""


def request_document(port: int, document: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        connection.request("GET", f"/documents/{document}", headers=RITA)
        return connection.getresponse().status


def wait_for_server(port: int, server: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return request_document(port, "first")
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)


def serve_and_end(command: Sequence[str], folder: Path, *, has_late_request: bool) -> None:
    """Serve some requests, and terminate the server."""
    folder.mkdir()
    (folder / "iam.yaml").write_text(SEED)
    create_signing_key_file(folder / "key")
    settings = {"AUDIT": f"{folder}/trail/", "AUDIT_KEY_FILE": f"{folder}/key", "TEST_SEED": f"{folder}/iam.yaml"}
    environment = {**os.environ, **{f"IAM_GUARD_{name}": value for name, value in settings.items()}}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = [sys.executable, *(word.format(port=port) for word in command)]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert wait_for_server(port, server) == 200
            assert [request_document(port, str(number)) for number in range(20)] == [200] * 20
            late = threading.Thread(target=request_document, args=(port, "late"))
            if has_late_request:
                late.start()
                lines = list((folder / "trail").glob("*/*.jsonl"))
                eventually(lambda: any(b"document/late" in path.read_bytes() for path in lines), TIMEOUT)
            server.terminate()
            _, output = server.communicate(timeout=TIMEOUT)
            if has_late_request:
                late.join()
        finally:
            server.kill()
    assert "Traceback" not in output, output


def test_terminated_servers_leave_a_signed_and_ended_trail(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Every line is signed, every shard ended, and the next start declares no gap."""
    installed = {name: row for name, row in SERVERS.items() if importlib.util.find_spec(row[0][1].partition(".")[0])}
    with ThreadPoolExecutor(6) as pool:
        folders = {name: tmp_path / str(number) for number, name in enumerate(installed)}
        running = {
            name: pool.submit(serve_and_end, command, folders[name], has_late_request=has_late_request)
            for name, (command, has_late_request) in installed.items()
        }
    for name, done in running.items():
        with subtests.test(server=name):
            done.result()
            trail, key = folders[name] / "trail", folders[name] / "key"
            decisions = [fact for fact in facts_in(trail) if fact["iamGuard"]["kind"] == "decision"]
            assert len(decisions) == (23 if installed[name][1] else 21)
            assert [shard.name for shard in shards_of(trail) if not is_ended(shard)] == []
            settings = Settings(audit=f"{trail}/", audit_key_file=str(key))
            assert verdicts(trail, key_ring(settings, key)) == []
            restart = pipeline_in(trail, key=read_signing_keys(key)[0])
            restart.put(record(1), ADMIN)
            restart.close()
            assert gaps_in(trail) == []


# --- without a server ------------------------------------------------------------------------------------------------


def terminated(script: str, trail: Path, returncode: int = -signal.SIGTERM) -> str:
    done = run(script, trail, returncode=returncode)
    return done.stdout


def test_sigterm_signs_the_shard_and_kills_the_process(tmp_path: Path) -> None:
    terminated("pipeline = pipeline_in(trail); pipeline.put(record(1), WRITE); os.kill(os.getpid(), 15)", tmp_path)
    assert ids_in(tmp_path) == ["id-1"]
    assert all(is_ended(shard) for shard in shards_of(tmp_path))
    assert verdicts(tmp_path) == []


CHAINED = """
def previous(number, frame):
    print("previous", number, flush=True)
signal.signal(signal.SIGTERM, previous)
pipeline = pipeline_in(trail)
first = signal.getsignal(signal.SIGTERM)
assert first is not previous
other = pipeline_in(trail)
assert signal.getsignal(signal.SIGTERM) is first  # set once
pipeline.put(record(1), WRITE)
with pipeline._queue._lock:  # wherever the main thread is interrupted
    signal.raise_signal(signal.SIGTERM)
assert ids_in(trail) == ["id-1"]
pipeline.put(record(2), WRITE)
eventually(lambda: len(list(trail.glob("*/lock"))) == 0 and len(ids_in(trail)) == 2)
sys.exit(3)
"""


def test_sigterm_signs_before_calling_the_previous_handler(tmp_path: Path) -> None:
    """Records written during the shutdown are signed as soon as the queue is empty."""
    assert terminated(CHAINED, tmp_path, 3) == "previous 15\n"
    assert sorted(ids_in(tmp_path)) == ["id-1", "id-2"]
    assert len(shards_of(tmp_path)) == 2
    assert verdicts(tmp_path) == []


LEFT_ALONE = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pipeline = pipeline_in(trail)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
signal.signal(signal.SIGTERM, signal.SIG_DFL)
thread = threading.Thread(target=pipeline_in, args=(trail,))
thread.start()
thread.join()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
sys.exit(3)
"""


def test_ignored_sigterm_stays_ignored(tmp_path: Path) -> None:
    """A guard can also be opened in another thread, where no handler can be set."""
    terminated(LEFT_ALONE, tmp_path, 3)


HUNG = """
from iam_guard.audit.writer import termination
from iam_guard.audit.append_file import AppendFile
termination.END_SHARD_TIMEOUT = 0.2
pipeline = pipeline_in(trail)
pipeline.put(record(1), ADMIN)
AppendFile.append = lambda file, data: time.sleep(60)
pipeline.put(record(2), WRITE)
os.kill(os.getpid(), 15)
"""


def test_sigterm_with_hung_disk_ends_after_the_timeout(tmp_path: Path) -> None:
    began = time.monotonic()
    terminated(HUNG, tmp_path)
    assert time.monotonic() - began < 30
    assert ids_in(tmp_path) == ["id-1"]


FORKED = """
import multiprocessing
pipeline = pipeline_in(trail)
pipeline.put(record(1), ADMIN)
child = os.fork()
if child == 0:
    os.kill(os.getpid(), 15)
assert os.waitpid(child, 0)[1] == 15
def work():
    pipeline.put(record(3), WRITE)
working = multiprocessing.get_context("fork").Process(target=work)
working.start()
working.join()
pipeline.put(record(2), WRITE)
pipeline.close()
sys.exit(3)
"""


@pytest.mark.forks
def test_forked_children_sign_only_their_own_shard(tmp_path: Path) -> None:
    """A killed one has nothing to sign; one of `multiprocessing` ends its own shard and loses nothing."""
    terminated(FORKED, tmp_path, 3)
    assert sorted(ids_in(tmp_path)) == ["id-1", "id-2", "id-3"]
    assert len(shards_of(tmp_path)) == 2
    assert all(is_ended(shard) for shard in shards_of(tmp_path))
    assert verdicts(tmp_path) == []


# --- ending a shard --------------------------------------------------------------------------------------------------


def test_end_shard_signs_and_starts_another_shard(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path)
    for number in range(3):
        assert pipeline.end_shard(30.0)
        pipeline.put(record(number), READ)
        assert pipeline.end_shard(30.0)
        assert [is_ended(shard) for shard in shards_of(tmp_path)] == [True] * (number + 1)
    pipeline.close()
    assert pipeline.end_shard(30.0)
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-2"]
    assert verdicts(tmp_path) == []


def test_end_shard_writes_the_whole_backlog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    append = AppendFile.append
    monkeypatch.setattr(AppendFile, "append", lambda file, data: (released.wait(20), append(file, data)))
    pipeline = pipeline_in(tmp_path)
    for number in range(2500):
        pipeline.put(record(number), READ)
    assert not pipeline.end_shard(0.05)
    released.set()
    assert pipeline.end_shard(30.0)
    assert len(ids_in(tmp_path)) == 2500
    assert all(is_ended(shard) for shard in shards_of(tmp_path))
    pipeline.close()
    assert verdicts(tmp_path) == []


def test_end_shard_on_broken_disk_returns_false(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = pipeline_in(tmp_path)
    pipeline.put(record(0), ADMIN)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(AppendFile, "append", fail)
        patched.setattr(append_file, "_sync", fail)
        pipeline.put(record(1), WRITE)
        assert not pipeline.end_shard(30.0)
    eventually(lambda: not pipeline.usage().is_failing)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1"]


# --- the lifespan ----------------------------------------------------------------------------------------------------


def test_lifespan_end_signs_and_leaves_the_guard_open(tmp_path: Path) -> None:
    """A guard may serve several applications, and several lifespans of one."""
    from iam_guard_litestar import GuardPlugin
    from litestar import Litestar
    from litestar import get as litestar_get
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    docs = Service("docs")

    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get(request: Request) -> PlainTextResponse:
        return PlainTextResponse("done")

    @litestar_get("/documents/7")
    @docs.requires("GetDocument", resource="document/7")
    async def read() -> str:
        return "done"

    (tmp_path / "iam.yaml").write_text(SEED)
    create_signing_key_file(tmp_path / "key")
    trail = tmp_path / "trail"
    guard = open_guard(tmp_path / "iam.yaml", services=[docs], audit=f"{trail}/", audit_key_file=str(tmp_path / "key"))
    app = GuardMiddleware(Starlette(routes=[Route("/documents/{document_id}", get)]), guard=guard)
    litestar = Litestar([read], plugins=[GuardPlugin(guard)], openapi_config=None, logging_config=None)
    identity_query = "/?Action=GetCallerIdentity&Version=2011-06-15"
    paths = {app: "/documents/7", aws_api(guard): identity_query, litestar: "/documents/7"}
    for life in range(2):
        for number, (application, path) in enumerate(paths.items(), 1):
            with TestClient(application) as client:
                assert client.get(path, headers={} if path == identity_query else RITA).status_code in (200, 403)
            assert [is_ended(shard) for shard in shards_of(trail)] == [True] * (life * len(paths) + number)
    guard.close()
    assert gaps_in(trail) == []


def test_pending_records_are_tried_again_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk; then they are declared lost in the reserved space, and the shard is ended."""
    pipeline = pipeline_in(tmp_path, SegmentLimits(reserve_bytes=8192))
    assert pipeline.put(record(0), ADMIN)
    attempts = 0
    original = AppendFile.append

    def append(file: AppendFile, data: bytes) -> None:
        nonlocal attempts
        if b"decision" in data:
            attempts += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        original(file, data)

    monkeypatch.setattr(AppendFile, "append", append)
    monkeypatch.setattr(Reserve, "allocate", lambda *_: False)
    assert all(pipeline.put(record(number), WRITE) for number in range(1, 8))
    eventually(lambda: attempts)
    assert not pipeline.end_shard(1.0, is_terminating=True)
    assert "7 audit records are lost because the trail cannot be written" in caplog.text
    assert [(gap["reason"], gap.get("lost")) for gap in gaps_in(tmp_path)] == [("DiskFull", None), ("NotRecorded", 7)]
    assert is_ended(shards_of(tmp_path)[0])
    assert pipeline.usage().dropped == 7
    monkeypatch.undo()
    assert pipeline.put(record(8), ADMIN)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-8"]


def test_disk_that_is_freed_in_time_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds of the termination are used, although the first attempt fails."""
    pipeline = pipeline_in(tmp_path)
    assert pipeline.put(record(0), ADMIN)
    original, failures = AppendFile.append, iter(range(3))

    def append(file: AppendFile, data: bytes) -> None:
        if b"decision" in data and next(failures, None) is not None:
            raise OSError(errno.EIO, "Input/output error")
        original(file, data)

    monkeypatch.setattr(AppendFile, "append", append)
    assert all(pipeline.put(record(number), WRITE) for number in range(1, 4))
    assert pipeline.end_shard(60.0, is_terminating=True)
    assert ids_in(tmp_path) == [f"id-{number}" for number in range(4)]
    assert gaps_in(tmp_path) == []
    pipeline.close()

"""What SIGTERM leaves of a trail whose guard is never closed: every shard signed and ended, whichever server it is."""

from __future__ import annotations

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
from iam_guard.authn.api_key import format_key
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
RITA = {"authorization": "Bearer " + format_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst")}
SECONDS = 60
UVICORN = ["-m", "uvicorn", "--factory", "--log-level", "warning", "--port", "{port}"]
GUNICORN = ["-m", "gunicorn", "--no-control-socket", "--log-level", "warning", "-b", "127.0.0.1:{port}"]
HYPERCORN = ["-m", "hypercorn", "-b", "127.0.0.1:{port}"]
SERVED = "tests.audit.served"

SERVERS: dict[str, tuple[list[str], bool]] = {
    "uvicorn": ([*UVICORN, f"{SERVED}:asgi"], True),
    "uvicorn, two workers": ([*UVICORN, "--workers", "2", f"{SERVED}:asgi"], False),
    "uvicorn, no lifespan": ([*UVICORN, "--lifespan", "off", f"{SERVED}:asgi"], False),
    "uvicorn, Django": ([*UVICORN, f"{SERVED}:django"], False),
    "gunicorn": ([*GUNICORN, f"{SERVED}:wsgi()"], False),
    "gunicorn, preload, two workers": ([*GUNICORN, "--preload", "-w", "2", f"{SERVED}:wsgi()"], False),
    "gunicorn, threads": ([*GUNICORN, "-k", "gthread", "--threads", "2", f"{SERVED}:wsgi()"], False),
    "hypercorn": ([*HYPERCORN, f"{SERVED}:asgi()"], False),
    "waitress": (["-m", "waitress", "--port", "{port}", "--call", f"{SERVED}:wsgi"], False),
    "wsgiref": (["-m", SERVED, "{port}"], False),
}
"""A server -> its command, and whether a request is to be under way while it ends."""


def ask(port: int, document: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("GET", f"/documents/{document}", headers=RITA)
        return connection.getresponse().status


def first_answer(port: int, server: subprocess.Popen[str]) -> int:
    until = time.monotonic() + SECONDS
    while True:
        try:
            return ask(port, "first")
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < until, "it never served"
            time.sleep(0.1)


def serve_and_end(command: Sequence[str], folder: Path, *, is_asked_late: bool) -> None:
    """Serve some requests, and end the server as an operator would."""
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
            assert first_answer(port, server) == 200
            assert [ask(port, str(number)) for number in range(20)] == [200] * 20
            late = threading.Thread(target=ask, args=(port, "late"))
            if is_asked_late:
                late.start()
                lines = list((folder / "trail").glob("*/*.jsonl"))
                eventually(lambda: any(b"document/late" in path.read_bytes() for path in lines), SECONDS)
            server.terminate()
            _, said = server.communicate(timeout=SECONDS)
            if is_asked_late:
                late.join()
        finally:
            server.kill()
    assert "Traceback" not in said, said


def test_servers_leave_a_signed_and_ended_trail(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """No line without a signature, no shard without its end, and the next start declares no gap."""
    there = {name: row for name, row in SERVERS.items() if importlib.util.find_spec(row[0][1].partition(".")[0])}
    with ThreadPoolExecutor(6) as together:
        folders = {name: tmp_path / str(number) for number, name in enumerate(there)}
        running = {
            name: together.submit(serve_and_end, command, folders[name], is_asked_late=is_asked_late)
            for name, (command, is_asked_late) in there.items()
        }
    for name, done in running.items():
        with subtests.test(server=name):
            done.result()
            trail, key = folders[name] / "trail", folders[name] / "key"
            decided = [each for each in facts_in(trail) if each["iamGuard"]["kind"] == "decision"]
            assert len(decided) == (23 if there[name][1] else 21)
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


def test_sigterm_signs_and_still_kills(tmp_path: Path) -> None:
    terminated("pipeline = pipeline_in(trail); pipeline.put(record(1), WRITE); os.kill(os.getpid(), 15)", tmp_path)
    assert ids_in(tmp_path) == ["id-1"]
    assert all(is_ended(shard) for shard in shards_of(tmp_path))
    assert verdicts(tmp_path) == []


CHAINED = """
def theirs(number, frame):
    print("theirs", number, flush=True)
signal.signal(signal.SIGTERM, theirs)
pipeline = pipeline_in(trail)
first = signal.getsignal(signal.SIGTERM)
assert first is not theirs
other = pipeline_in(trail)
assert signal.getsignal(signal.SIGTERM) is first  # set once
pipeline.put(record(1), WRITE)
with pipeline._ring._lock:  # wherever the main thread is interrupted
    signal.raise_signal(signal.SIGTERM)
assert ids_in(trail) == ["id-1"]
pipeline.put(record(2), WRITE)
eventually(lambda: len(list(trail.glob("*/lock"))) == 0 and len(ids_in(trail)) == 2)
sys.exit(3)
"""


def test_sigterm_signs_before_the_handler_that_was_there(tmp_path: Path) -> None:
    """And what comes while the process shuts down is signed as soon as nothing waits."""
    assert terminated(CHAINED, tmp_path, 3) == "theirs 15\n"
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


def test_sigterm_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """And where no handler can be set, in another thread, a guard opens all the same."""
    terminated(LEFT_ALONE, tmp_path, 3)


HUNG = """
from iam_guard.audit.writer import termination
from iam_guard.audit.append_file import AppendFile
termination.SECONDS = 0.2
pipeline = pipeline_in(trail)
pipeline.put(record(1), ADMIN)
AppendFile.append = lambda file, data: time.sleep(60)
pipeline.put(record(2), WRITE)
os.kill(os.getpid(), 15)
"""


def test_sigterm_waits_for_a_hung_disk_only_so_long(tmp_path: Path) -> None:
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


def test_forked_children_sign_their_own_shard_only(tmp_path: Path) -> None:
    """One that is killed has nothing to sign; one of `multiprocessing` ends its own, and loses nothing."""
    terminated(FORKED, tmp_path, 3)
    assert sorted(ids_in(tmp_path)) == ["id-1", "id-2", "id-3"]
    assert len(shards_of(tmp_path)) == 2
    assert all(is_ended(shard) for shard in shards_of(tmp_path))
    assert verdicts(tmp_path) == []


# --- ending a shard --------------------------------------------------------------------------------------------------


def test_end_shard_signs_and_goes_on_in_another(tmp_path: Path) -> None:
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


def test_end_shard_takes_the_whole_backlog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes = threading.Event()
    append = AppendFile.append
    monkeypatch.setattr(AppendFile, "append", lambda file, data: (goes.wait(20), append(file, data)))
    pipeline = pipeline_in(tmp_path)
    for number in range(2500):
        pipeline.put(record(number), READ)
    assert not pipeline.end_shard(0.05)
    goes.set()
    assert pipeline.end_shard(30.0)
    assert len(ids_in(tmp_path)) == 2500
    assert all(is_ended(shard) for shard in shards_of(tmp_path))
    pipeline.close()
    assert verdicts(tmp_path) == []


def test_end_shard_on_a_broken_disk_fails_at_once(
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
    """A guard may serve several applications, and several lives of one."""
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
    asking = "/?Action=GetCallerIdentity&Version=2011-06-15"
    served = {app: "/documents/7", aws_api(guard): asking, litestar: "/documents/7"}
    for life in range(2):
        for number, (each, path) in enumerate(served.items(), 1):
            with TestClient(each) as client:
                assert client.get(path, headers={} if path == asking else RITA).status_code in (200, 403)
            assert [is_ended(shard) for shard in shards_of(trail)] == [True] * (life * len(served) + number)
    guard.close()
    assert gaps_in(trail) == []

"""Pipelines of whole processes: killed, forked, on a full disk, without permission to write."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from iam_guard.audit.verify.shard import shards_of
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.signing_keys import create_signing_key_file, read_signing_keys
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.recovery import recover_trail
from iam_guard.authn.api_key import format_api_key
from tests.audit.pipelines import ROOT, facts_in, gaps_in, ids_in
from tests.audit.trails import KEY, RING, verdicts
from tests.audit.writer.test_segment_writer import small_disk

pytestmark = pytest.mark.forks
SECRET = "secret0123456789abcdefghijklmnopqrst"

BEGIN = """
import json, os, random, signal, sys, threading, time
from contextlib import suppress
from pathlib import Path
from iam_guard.audit.record.record_classes import ADMIN, DENIAL, READ, WRITE
from iam_guard.audit.writer.pipeline import NotRecordedError
from iam_guard.audit.writer.segment_writer import SegmentLimits
from tests.audit.pipelines import eventually, ids_in, pipeline_in
from tests.audit.trails import record
trail = Path(sys.argv[1])
"""


@pytest.fixture
def others_can_enter() -> Iterator[Path]:
    """Return a new folder in a place that all users can enter, which pytest's own is not."""
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def run(
    script: str, *arguments: object, before: tuple[str, ...] = (), returncode: int = 0
) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", BEGIN + script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == returncode, done.stderr
    return done


# --- SIGKILL ---------------------------------------------------------------------------------------------------------

KILLED = """
randomness = random.Random(int(sys.argv[3]))
acknowledged = []
for life in range(int(sys.argv[2])):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        pipeline = pipeline_in(trail, SegmentLimits(checkpoint_records=7, segment_bytes=9000))
        lock = threading.Lock()
        def work(thread):
            for number in range(100_000):
                name = f"{life}-{thread}-{number}"
                durable = number % 3 == 0
                if pipeline.put(record(name), ADMIN if durable else WRITE) and durable:
                    os.write(writing, f"id-{name}\\n".encode())
        for thread in range(3):
            threading.Thread(target=work, args=(thread,), daemon=True).start()
        time.sleep(60)
        os._exit(1)
    os.close(writing)
    is_early = life % 4 == 3  # possibly before its first record, while it recovers the previous shard
    first = b"" if is_early else os.read(reading, 1)
    time.sleep(randomness.random() * (0.02 if is_early else 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    rest = b""
    while part := os.read(reading, 65536):
        rest += part
    os.close(reading)
    acknowledged += (first + rest).decode().split()
print(json.dumps(acknowledged))
"""


def kill_processes(trail: Path, count: int, seed: int) -> int:
    """Kill so many processes at different moments; every record whose request was answered is stored.

    A quarter is killed while starting: it may have no shard yet, or leave a partly recovered shard, which the next one
    recovers again and declares.
    """
    done = run(KILLED, trail, count, seed)
    acknowledged = json.loads(done.stdout)
    assert len(acknowledged) >= count // 2
    recover_trail(trail, KEY, RING)
    kept = ids_in(trail)
    assert len(set(kept)) == len(kept)
    assert set(acknowledged) <= set(kept)
    assert count * 3 // 4 <= len(shards_of(trail)) <= count
    assert {gap["reason"] for gap in gaps_in(trail)} == {"ProcessEnded"}
    assert {gap["shard"] for gap in gaps_in(trail)} == {shard.name for shard in shards_of(trail)}
    assert verdicts(trail) == [Verdict.GAP]
    return len(acknowledged)


def test_killed_processes_lose_no_acknowledged_record(tmp_path: Path) -> None:
    """The trail verifies, with declared gaps: each start recovered the previous shard."""
    kill_processes(tmp_path, 15, seed=7)


@pytest.mark.slow
def test_two_hundred_kills_lose_no_acknowledged_record(tmp_path: Path) -> None:
    kill_processes(tmp_path, 200, seed=8)


# --- forks -----------------------------------------------------------------------------------------------------------

FORKED = """
pipeline = pipeline_in(trail)
if sys.argv[2] == "after":
    assert pipeline.put(record("parent-0"), ADMIN)
children = []
for number in range(3):
    assert sys.argv[2] == "before" or pipeline.put(record(f"parent-waiting-{number}"), WRITE)
    child = os.fork()
    if child == 0:
        assert pipeline.usage()[:2] == (0, 27_500), pipeline.usage()
        assert pipeline.put(record(f"child-{number}"), ADMIN)
        pipeline.put(record(f"child-{number}-late"), READ)
        pipeline.close()
        os._exit(0)
    children.append(child)
assert pipeline.put(record("parent-1"), ADMIN)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
pipeline.close()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_forked_child_has_its_own_writer_and_shard(tmp_path: Path, when: str) -> None:
    """Forked before or after the first record, as servers do; the parent writes the records queued before the fork."""
    run(FORKED, tmp_path, when)
    waited = [f"id-parent-waiting-{number}" for number in range(3)] if when == "after" else []
    expected = [*waited, "id-parent-1", *(["id-parent-0"] if when == "after" else [])]
    expected += [f"id-child-{number}{end}" for number in range(3) for end in ("", "-late")]
    assert sorted(ids_in(tmp_path)) == sorted(expected)
    shards: dict[str, set[str]] = {}
    for fact in facts_in(tmp_path):
        if fact["iamGuard"]["kind"] == "decision":
            shards.setdefault(fact["iamGuard"]["shard"], set()).add(fact["eventID"].split("-late")[0])
    children = [{f"id-child-{number}"} for number in range(3)]
    assert all(ids in shards.values() for ids in children)
    assert len(shards) == 4
    assert verdicts(tmp_path) == []


FORKED_AMID = """
pipeline = pipeline_in(trail)
stop = threading.Event()
def work(name):
    number = 0
    while not stop.is_set():
        pipeline.put(record(f"{name}-{number}"), ADMIN if number % 10 == 0 else WRITE)
        number += 1
threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
for thread in threads:
    thread.start()
for number in range(10):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        signal.alarm(200)
        assert pipeline.put(record(f"child-{number}"), ADMIN)
        pipeline.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
pipeline.close()
"""


def test_fork_during_writes_does_not_deadlock(tmp_path: Path) -> None:
    """For any locks that other threads have at that moment."""
    run(FORKED_AMID, tmp_path)
    kept = ids_in(tmp_path)
    assert {f"id-child-{number}" for number in range(10)} <= set(kept)
    assert len(kept) == len(set(kept))
    assert verdicts(tmp_path) == []


AT_EXIT = """
pipeline = pipeline_in(trail)
pipeline.put(record(1), WRITE)
"""


def test_process_exit_without_close_loses_nothing(tmp_path: Path) -> None:
    run(AT_EXIT, tmp_path)
    assert ids_in(tmp_path) == ["id-1"]
    assert verdicts(tmp_path) == []


# --- full disk -------------------------------------------------------------------------------------------------------

FULL = """
limits = SegmentLimits(checkpoint_records=50, reserve_bytes=32768)
pipeline = pipeline_in(trail, limits, queue_size=20, wait=0.2)
kept, outcomes, number = [], {}, 0
def put(row):
    global number
    number += 1
    try:
        result = "kept" if pipeline.put(record(number, filler="x" * 900), row) else "dropped"
    except NotRecordedError:
        result = "refused"
    if result == "kept":
        kept.append(f"id-{number}")
    outcomes.setdefault(row.name, []).append(result)
    return result
while put(ADMIN) == "kept":
    pass
while put(WRITE) == "kept":
    pass
while put(DENIAL) == "kept":
    pass
for row in (ADMIN, WRITE, READ):
    put(row)
full = pipeline.usage()
(trail.parent / "hog").unlink()
eventually(lambda: not pipeline.usage().is_failing)
after = {row.name: put(row) for row in (ADMIN, WRITE, READ, DENIAL)}
pipeline.close()
last = {name: results[-2] for name, results in outcomes.items()}
print(json.dumps([kept, last, after, full, pipeline.usage()]))
"""


def test_full_disk_applies_class_rules_until_space_is_free(tmp_path: Path) -> None:
    """Every answered request is written later; the gap record has the numbers."""
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    command = small_disk(disk)
    script = (
        f'head -c 400000 /dev/zero > {disk}/hog && "{sys.executable}" -c "$0" {disk}/trail && cp -r {disk}/trail {copy}'
    )
    whole = [*command, "sh", "-c", script, BEGIN + FULL]
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    kept, last, after, full, end = json.loads(done.stdout)
    assert last == {"admin": "refused", "write": "refused", "read": "dropped", "denial": "dropped"}
    assert set(after.values()) == {"kept"}
    assert full[6] is True
    assert end[4:6] == [2, full[5]]
    assert ids_in(copy) == kept
    reasons = {gap["reason"]: gap for gap in gaps_in(copy)}
    assert set(reasons) == {"DiskFull", "NotRecorded"}
    assert "lost" not in reasons["DiskFull"]
    declared = [gap for gap in gaps_in(copy) if gap["reason"] == "NotRecorded"]
    assert sum(gap["lost"] for gap in declared) == 2
    assert sum(gap.get("refused", 0) for gap in declared) == full[5]
    assert verdicts(copy) == [Verdict.GAP]


SERVER = """
from pathlib import Path
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from iam_guard import GuardMiddleware, Service, open_guard
docs = Service("docs")

@docs.requires("GetDocument", resource="document/{name}")
async def get_document(request):
    return PlainTextResponse("ok")

guard = open_guard(FOLDER + "/iam.json", services=[docs], audit=FOLDER + "/disk/trail/", audit_key_file=FOLDER + "/key")
routes = [Route("/documents/{name}", get_document)]
app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])
"""
TERMINATED = """
import http.client, shutil, socket, subprocess
folder = trail.parent.parent
server = subprocess.Popen(
    [sys.executable, "-m", "uvicorn", "--app-dir", folder, "--port", sys.argv[3], "--no-access-log", "server:app"],
    stderr=subprocess.PIPE, text=True,
)
def connected():
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[3]))).close()
    except OSError:
        return False
    return True
eventually(connected)
client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[3]))
answers = 0
def get(count):
    global answers
    for number in range(count):
        client.request("GET", f"/documents/{number}", headers={"x-api-key": sys.argv[2]})
        response = client.getresponse()
        assert response.status == 200, response.read()
        response.read()
        answers += 1
get(50)
eventually(lambda: any(trail.glob("*/*")))
with suppress(OSError), (trail.parent / "hog").open("wb", buffering=0) as hog:
    while True:
        hog.write(b"x" * 4096)
get(500)
time.sleep(0.5)
server.send_signal(signal.SIGTERM)
if sys.argv[4] == "freed":
    time.sleep(1)
    (trail.parent / "hog").unlink()
log = server.communicate(timeout=60)[1]
shutil.copytree(trail, folder / "copy")
print(json.dumps([answers, log]))
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["lost", "freed"])
def test_records_lost_at_sigterm_are_declared(tmp_path: Path, outcome: str) -> None:
    """A server answers on a full disk; its last record says how many records are missing, and so does the log.

    If there is space again within the seconds that termination has, nothing is missing.
    """
    command = small_disk(tmp_path / "disk")
    (tmp_path / "server.py").write_text(f"FOLDER = {str(tmp_path)!r}\n{SERVER}", encoding="utf-8")
    create_signing_key_file(tmp_path / "key")
    statement = {"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}
    inline = {"Read": {"Version": "2012-10-17", "Statement": [statement]}}
    keys = [{"id": "KEYADA", "secret": SECRET}]
    account = {"id": "111122223333", "users": [{"name": "ada", "inline": inline, "api_keys": keys}]}
    (tmp_path / "iam.json").write_text(json.dumps({"version": 1, "accounts": [account]}), encoding="utf-8")
    arguments = (tmp_path / "disk" / "trail", format_api_key("KEYADA", SECRET), free_port(), outcome)
    done = run(TERMINATED, *arguments, before=tuple(command))
    answers, log = json.loads(done.stdout)
    recorded = sum(fact["iamGuard"]["kind"] == "decision" for fact in facts_in(tmp_path / "copy"))
    lost = sum(gap.get("lost", 0) for gap in gaps_in(tmp_path / "copy") if gap["reason"] == "NotRecorded")
    assert recorded + lost == answers == 550
    assert (lost > 0, f"{lost} audit records are lost" in log) == (
        (True, True) if outcome == "lost" else (False, False)
    )
    assert facts_in(tmp_path / "copy")[-1]["iamGuard"]["kind"] == "audit_end"
    ring = KeyRing([key.verifier for key in read_signing_keys(tmp_path / "key")])
    assert verdicts(tmp_path / "copy", ring) == [Verdict.GAP]


# --- missing permission ----------------------------------------------------------------------------------------------

PERMISSION = """
if os.geteuid() == 0:
    os.seteuid(65534)
pipeline = pipeline_in(trail, queue_size=3)
trail.chmod(0o500)
def put(number, row):
    try:
        return pipeline.put(record(number), row)
    except NotRecordedError:
        return None
assert put(0, ADMIN) is None
assert [put(number, WRITE) for number in (1, 2, 3, 4)] == [True, True, True, None]
assert [put(number, row) for number, row in ((5, READ), (6, DENIAL), (7, DENIAL))] == [False, True, False]
trail.chmod(0o700)
eventually(lambda: not pipeline.usage().is_failing)
assert put(8, ADMIN)
pipeline.close()
for shard in trail.iterdir():
    shard.chmod(0o755)
    for path in shard.iterdir():
        path.chmod(0o644)
"""


def test_missing_permission_applies_class_rules_until_restored(others_can_enter: Path) -> None:
    trail = others_can_enter / "trail"
    trail.mkdir()
    if os.geteuid() == 0:
        os.chown(trail, 65534, -1)
    done = run(PERMISSION, trail)
    assert "the audit trail cannot be written: Permission denied" in done.stderr
    trail.chmod(0o755)
    assert ids_in(trail) == [f"id-{number}" for number in (1, 2, 3, 6, 8)]
    [gap] = gaps_in(trail)
    assert (gap["lost"], gap["refused"]) == (2, 2)
    assert verdicts(trail) == [Verdict.GAP]

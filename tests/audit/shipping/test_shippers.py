"""The shipping threads in a service: takeover between processes, forks, closing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Principal, open_guard
from iam_guard.audit.consumer.offsets import FOLDER
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.record.record_classes import ADMIN
from iam_guard.audit.shipping.destination import NotDelivered, Unreachable
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.pace import Pace
from iam_guard.audit.shipping.shippers import SERVICE
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from tests.audit.pipelines import ROOT, eventually, pipeline_in
from tests.audit.shipping.destinations import PATIENT, QUICK, FakeDestination, shippers_to, sink_to
from tests.audit.shipping.test_to_webhook import SECRET
from tests.audit.trails import record, written
from tests.conftest import SEED
from tests.tables import table

DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


def guard_with(folder: Path, *sinks: str, **settings: Any) -> Guard:
    (folder / "iam.yaml").write_text(SEED)
    create_signing_key_file(folder / "key")
    return open_guard(
        folder / "iam.yaml", audit=f"{folder}/trail/", audit_key_file=str(folder / "key"), audit_sinks=sinks, **settings
    )


# --- one at a time ---------------------------------------------------------------------------------------------------


def test_standby_takes_over_when_shipper_closes(tmp_path: Path) -> None:
    """Two `Shippers` in one process behave like two processes; no record is sent twice."""
    written(tmp_path, 20)
    first, second = FakeDestination(), FakeDestination()
    one = shippers_to(tmp_path, sink_to(first), options=PATIENT)
    one.start()
    eventually(lambda: one.usage()["fake"].lag == 0)
    other = shippers_to(tmp_path, sink_to(second), options=PATIENT)
    other.start()
    eventually(lambda: other.usage()["fake"].state == "standby")
    assert other.usage()["fake"].lag is None
    written(tmp_path, 10)
    eventually(lambda: len(first.ids) == 30)
    one.close()
    written(tmp_path, 5)
    eventually(lambda: len(second.ids) == 5)
    other.close()
    assert (one.usage()["fake"].state, other.usage()["fake"].state) == ("ended", "ended")


SHIPS = """
import sys, time
from pathlib import Path
from tests.audit.shipping.destinations import PATIENT, FakeDestination, shippers_to, sink_to
shippers = shippers_to(Path(sys.argv[1]), sink_to(FakeDestination()), options=PATIENT)
shippers.start()
while True:
    print(shippers.usage()["fake"].state, flush=True)
    time.sleep(0.02)
"""


def test_standby_takes_over_when_process_is_killed(tmp_path: Path) -> None:
    written(tmp_path, 5)
    command = [sys.executable, "-c", SHIPS, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "shipping":
            assert process.poll() is None
        destination = FakeDestination()
        shippers = shippers_to(tmp_path, sink_to(destination), options=PATIENT)
        shippers.start()
        eventually(lambda: shippers.usage()["fake"].state == "standby")
        process.send_signal(signal.SIGKILL)
        process.wait(300)
    written(tmp_path, 5)
    eventually(lambda: len(destination.ids) >= 5)
    shippers.close()


# --- forks -----------------------------------------------------------------------------------------------------------

FORKED = """
import os, sys, time, warnings
from pathlib import Path
from iam_guard.audit.record.record_classes import ADMIN
from iam_guard.errors import GroupIsTaken
from iam_guard.audit.consumer.subscription import AuditReader
from tests.audit.pipelines import eventually, pipeline_in
from tests.audit.shipping.destinations import QUICK, PATIENT, shippers_to
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from tests.audit.trails import record
warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
trail, out = Path(sys.argv[1]), sys.argv[2]
sinks = open_sinks([SinkUrl.parse(f"file:{out}#name=file")])
shippers = shippers_to(trail, *sinks, options=PATIENT)
pipeline = pipeline_in(trail, followers=shippers)
def state_of_sink():
    return pipeline.usage().sinks["file"]
if sys.argv[3] == "after":
    assert pipeline.put(record("parent-0"), ADMIN)
    eventually(lambda: state_of_sink().state == "shipping")
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    assert state_of_sink().state == "waiting", state_of_sink()
    assert pipeline.put(record("child-0"), ADMIN)
    eventually(lambda: state_of_sink().state in ("standby", "shipping"))
    os.read(reading, 1)  # the parent has closed its pipeline
    eventually(lambda: state_of_sink().state == "shipping")
    pipeline.put(record("child-1"), ADMIN)
    pipeline.close()
    os._exit(0)
assert pipeline.put(record("parent-1"), ADMIN)
eventually(lambda: state_of_sink().state in ("standby", "shipping"))
pipeline.close()
os.write(writing, b"x")
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.forks
def test_forked_child_starts_threads_and_takes_over(tmp_path: Path, when: str) -> None:
    """Forked before the first record or while the parent ships; all records are delivered once."""
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", FORKED, str(tmp_path / "trail"), str(out), when]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["eventID"] for line in out.read_text().splitlines()]
    ids = [each for each in found if each.startswith("id-")]
    expected = {"id-parent-1", "id-child-0", "id-child-1"} | ({"id-parent-0"} if when == "after" else set())
    assert sorted(ids) == sorted(expected)


INHERITED_LOCK = """
import os, sys
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.errors import ConfigurationError, GroupIsTaken
from tests.audit.trails import RING
reader = AuditReader(sys.argv[1], ring=RING)
subscription = reader.subscribe("group", follow=False)
reading, writing = os.pipe()
ready, telling = os.pipe()
child = os.fork()
if child == 0:
    os.close(writing)
    [first, *_] = subscription.poll()
    try:
        subscription.ack(first.offset)
    except ConfigurationError:
        os.write(telling, b"x")
        os.read(reading, 1)
        os._exit(0)
    os._exit(1)
os.read(ready, 1)
try:
    reader.subscribe("group")
except GroupIsTaken:
    subscription.close()
    reader.subscribe("group").close()  # though the child lives
    os.write(writing, b"x")
    assert os.waitpid(child, 0)[1] == 0
    print("free")
"""


@pytest.mark.forks
def test_forked_child_releases_the_parents_group(tmp_path: Path) -> None:
    """A child inherits the file lock and must not keep it when the parent ends."""
    written(tmp_path, 3)
    command = [sys.executable, "-c", INHERITED_LOCK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.strip() == "free", done.stderr


# --- with a guard ----------------------------------------------------------------------------------------------------


def test_guard_ships_all_records_before_close(tmp_path: Path) -> None:
    """The setting suffices; also in a short-lived process."""
    out = tmp_path / "out.jsonl"
    guard = guard_with(tmp_path, f"file:{out}#name=copy&filter=kind=decision")
    assert guard.trail.usage().sinks["copy"].state == "waiting"
    for _ in range(3):
        guard.decide(Principal.anonymous(), "docs:GetDocument", DOCUMENT)
    guard.close()
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [each["eventName"] for each in found] == ["GetDocument"] * 3
    usage = guard.trail.usage().sinks["copy"]
    assert (usage.state, usage.delivered, usage.lag) == ("ended", 3, 0)
    assert not [each for each in threading.enumerate() if each.name.startswith("iam-guard-copy")]


def test_process_exit_without_close_ships(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.audit.shipping.test_shippers import DOCUMENT, guard_with
from iam_guard import Principal
guard = guard_with(Path(sys.argv[1]), f"file:{sys.argv[1]}/out.jsonl")
guard.decide(Principal.anonymous(), "docs:GetDocument", DOCUMENT)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=True, timeout=300)
    names = [json.loads(line)["eventName"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert names == ["AuditSegment", "GetDocument", "AuditEnd"]


def test_close_with_hanging_destination_is_bounded(tmp_path: Path) -> None:
    """A hanging thread is abandoned; unconfirmed records are shipped at the next start."""
    written(tmp_path, 20)
    begun, release = threading.Event(), threading.Event()

    def hang(batch: Sequence[Delivery]) -> NotDelivered | None:
        begun.set()
        release.wait(300)
        return Unreachable("it hung")

    pace = Pace(drain=0.1, closing=0.3)
    shippers = shippers_to(tmp_path, sink_to(FakeDestination(hang)), options=SERVICE, pace=pace)
    shippers.start()
    assert begun.wait(60)
    began = time.monotonic()
    shippers.close()
    assert time.monotonic() - began < 60
    release.set()
    eventually(lambda: not shippers.is_running)
    second = FakeDestination()
    later = shippers_to(tmp_path, sink_to(second))
    later.start()
    eventually(lambda: not later.is_running)
    assert len(second.ids) == 20


def test_hanging_sink_blocks_no_request(tmp_path: Path) -> None:
    """Records are accepted and written while no record can be shipped."""
    release = threading.Event()

    def hang(batch: Sequence[Delivery]) -> NotDelivered | None:
        release.wait(300)
        return None

    destination = FakeDestination(hang)
    pace = Pace(poll=0.01, drain=0.1, closing=0.2)
    shippers = shippers_to(tmp_path, sink_to(destination), options=SERVICE, pace=pace)
    pipeline = pipeline_in(tmp_path, followers=shippers)
    for number in range(50):
        assert pipeline.put(record(number), ADMIN)
    eventually(lambda: destination.calls == 1)
    for number in range(50, 100):
        assert pipeline.put(record(number), ADMIN)
    assert pipeline.usage().waiting == 0
    release.set()
    eventually(lambda: len(destination.ids) == 100)
    pipeline.close()


def test_start_after_close_does_nothing(tmp_path: Path) -> None:
    written(tmp_path, 5)
    destination = FakeDestination()
    shippers = shippers_to(tmp_path, sink_to(destination))
    shippers.close()
    shippers.start()
    assert not shippers.is_running
    assert destination.calls == 0
    shippers.close()


def test_sinks_have_separate_offsets(tmp_path: Path) -> None:
    """An unreachable one doesn't block the others."""
    trail = tmp_path / "trail"
    written(trail, 20)
    good, bad = FakeDestination(), FakeDestination(lambda _: Unreachable("status 500"))
    shippers = shippers_to(trail, sink_to(good, "-#name=good"), sink_to(bad, "-#name=bad"), options=PATIENT, pace=QUICK)
    shippers.start()
    eventually(lambda: len(good.ids) == 20 and shippers.usage()["bad"].failures > 2)
    shippers.close()
    assert (trail / FOLDER / "ship-good.json").exists()
    assert shippers.usage()["bad"].delivered == 0


def test_missing_trail_is_waited_for(tmp_path: Path) -> None:
    destination = FakeDestination()
    shippers = shippers_to(tmp_path / "trail", sink_to(destination), options=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].state == "shipping")
    written(tmp_path / "trail", 5)
    eventually(lambda: len(destination.ids) == 5)
    shippers.close()


@table(
    ("url", "others"),
    [
        ("https://hooks.example.com/in", "nats requests google.protobuf opentelemetry.sdk opentelemetry.exporter"),
        ("otlp+https://collector.example.com", "nats httpcore2"),
        ("nats+tls://broker.example.com", "httpcore2 requests google.protobuf opentelemetry.sdk"),
    ],
)
def test_sink_needs_only_its_own_driver(url: str, others: str) -> None:
    script = f"""
import sys
sys.modules.update(dict.fromkeys({others.split()!r}))  # as if they were not installed
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
[sink] = open_sinks([SinkUrl.parse({url!r})], webhook_secrets=["{SECRET}"])
sink.connect().close()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


def test_builtin_sinks_import_no_driver() -> None:
    """The sinks `file` and `stdout` import no package of an extra."""
    script = """
import sys
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
open_sinks([SinkUrl.parse("file:x.jsonl"), SinkUrl.parse("-")])
import iam_guard.factory
drivers = "nats httpcore2 requests google.protobuf opentelemetry.sdk".split()
print([each for each in drivers if each in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"
    assert open_sinks([SinkUrl.parse("-")])[0].url.name == "stdout"

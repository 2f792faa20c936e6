"""Recovery: the shard of a killed process is continued, and no acknowledged record is lost.

`IAM_GUARD_TEST_KILLS` is the number of kills (default 20).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from iam_guard.audit.verify.shard import Segment, is_ended, segments_of, shards_of
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.recovery import Recovered, declare_damage, recover_trail
from iam_guard.audit.writer.segment_writer import SegmentLimits
from iam_guard.audit.writer.shard_files import lock_shard
from tests.audit.trails import KEY, RING, last_segment, lines_of, only_shard, record, verdicts, writer_in, written

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("IAM_GUARD_TEST_KILLS", "20"))
GAP, UNSIGNED_TAIL, TRUNCATED_TAIL = Verdict.GAP, Verdict.UNSIGNED_TAIL, Verdict.TRUNCATED_TAIL

WRITER = """
import sys
from pathlib import Path
from tests.audit.trails import record, writer_in
from iam_guard.audit.writer.segment_writer import SegmentLimits
writer = writer_in(Path(sys.argv[1]), SegmentLimits(checkpoint_records=7, checkpoint_seconds=0.01, segment_bytes=20000))
number = 0
while True:
    writer.append([record(index, filler="x" * (index * 37 % 600)) for index in range(number, number + 1 + number % 5)])
    number += 1 + number % 5
    is_durable = number % 3 == 0
    writer.commit(durable=is_durable)
    if is_durable:
        print(number, flush=True)
"""


def killed(trail: Path, seconds: float) -> int:
    """Run a writing process for so long, kill it, and return the number of records that it acknowledged."""
    command = [sys.executable, "-c", WRITER, str(trail)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        last = first
        for line in process.stdout:
            last = line if line.endswith("\n") else last
        assert process.wait() == -signal.SIGKILL
        timer.cancel()
    return int(last)


def ids(trail: Path) -> list[str]:
    records = [json.loads(line) for shard in shards_of(trail) for line in lines_of(shard)]
    return [entry["eventID"] for entry in records if entry["iamGuard"]["kind"] == "decision"]


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(KILLS))
def test_killed_process_loses_no_acknowledged_record(tmp_path: Path, attempt: int) -> None:
    """Killed at any moment: records are in order without holes, the trail verifies, the gap is declared."""
    acknowledged = killed(tmp_path, random.Random(attempt).uniform(0.0, 0.25))
    before = verdicts(tmp_path)
    assert set(before) <= {UNSIGNED_TAIL}
    found = recover_trail(tmp_path, KEY, RING)
    assert [result.is_continued for result in found] == [True]
    kept = ids(tmp_path)
    assert kept == [f"id-{number}" for number in range(len(kept))]
    assert len(kept) >= acknowledged
    report = verify_trail(tmp_path, RING)
    assert [finding.verdict for finding in report.findings] == [GAP]
    assert report.shards[0].has_ended
    assert recover_trail(tmp_path, KEY, RING) == []


@pytest.mark.parametrize("ending", [".jsonl", ".hashes", ".checkpoints"])
@pytest.mark.parametrize("left", range(0, 700, 50))
def test_shard_after_partial_write_is_continued(tmp_path: Path, ending: str, left: int) -> None:
    """Write order is lines, hashes, checkpoint: one of them may be partial, those after it missing."""
    writer = writer_in(tmp_path, SegmentLimits(checkpoint_records=3, segment_bytes=10**9))
    writer.append([record(number) for number in range(5)])
    writer.commit()
    shard = only_shard(tmp_path)
    order = [".jsonl", ".hashes", ".checkpoints"]
    paths = [segments_of(shard)[0].path(suffix) for suffix in order]
    before = [path.stat().st_size for path in paths]
    writer.append([record(number) for number in range(5, 8)])
    writer.commit()
    writer.abandon()
    cut = order.index(ending)
    for place, path in enumerate(paths):
        if place == cut:
            os.truncate(path, min(path.stat().st_size, before[place] + left))
        elif place > cut:
            os.truncate(path, before[place])
    [found] = recover_trail(tmp_path, KEY, RING)
    assert found.is_continued
    assert verdicts(tmp_path) == [GAP]
    assert ids(tmp_path) == [f"id-{number}" for number in range(len(ids(tmp_path)))]
    assert len(ids(tmp_path)) >= 5


def test_gap_counts_truncated_bytes_and_unsigned_records(tmp_path: Path) -> None:
    shard = written(tmp_path, 6, is_ended=False, unsigned=2)
    with last_segment(shard).lines.open("ab") as file:
        file.write(b'{"half')
    assert recover_trail(tmp_path, KEY, RING) == [Recovered(shard.name)]
    facts = [json.loads(line)["iamGuard"] for line in lines_of(shard)]
    assert (facts[-2]["reason"], facts[-2]["cutBytes"], facts[-2]["unsigned"]) == ("ProcessEnded", 6, 2)
    assert facts[-1]["kind"] == "audit_end"
    assert is_ended(shard)


@pytest.mark.forks
def test_shard_with_running_writer_is_not_recovered(tmp_path: Path) -> None:
    """Its lock is taken, also after a forked child of the writer has ended."""
    writer = writer_in(tmp_path)
    writer.append([record(1)])
    writer.commit()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert lock_shard(only_shard(tmp_path)) is None
    assert recover_trail(tmp_path, KEY, RING) == []
    writer.close()
    assert recover_trail(tmp_path, KEY, RING) == []
    assert verdicts(tmp_path) == []


@pytest.mark.forks
def test_living_child_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    """A forked worker does not prevent recovery of its killed parent's shard."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from tests.audit.trails import record, writer_in\n"
        "writer = writer_in(Path(sys.argv[1]))\n"
        "writer.append([record(1)])\n"
        "writer.commit(durable=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(os.getpid(), flush=True)\n"
        "    os.close(1)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.kill()
            parent.wait()
            assert len(recover_trail(tmp_path, KEY, RING)) == 1
        finally:
            os.kill(child, signal.SIGKILL)


def test_shard_killed_after_its_last_record_has_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is signed."""
    shard = written(tmp_path, 6)
    segment = last_segment(shard)
    (shard / "lock").touch()
    content = segment.checkpoints.read_bytes()
    segment.checkpoints.write_bytes(content[:100])
    segment.hashes.write_bytes(b"")
    assert recover_trail(tmp_path, KEY, RING) == []
    assert verdicts(tmp_path) == []
    assert not (shard / "lock").exists()


# --- evidence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["line", "tail", "checkpoint", "hash", "opening", "lines file"])
def test_shard_not_matching_its_checkpoints_stays_unchanged(tmp_path: Path, damage: str) -> None:
    """Nothing is signed over it; the recovering process declares the gap in its own shard."""
    shard = written(tmp_path, 20, is_ended=False)
    segment = last_segment(shard)
    content, hashes = segment.lines.read_bytes(), segment.hashes.read_bytes()
    changes = {
        "line": (segment.lines, content.replace(b"id-19", b"id-xx")),
        "tail": (segment.lines, content[: content.rfind(b"\n", 0, -1) + 1]),
        "checkpoint": (segment.checkpoints, segment.checkpoints.read_bytes().replace(b"trail", b"trial")),
        "hash": (segment.hashes, bytes([hashes[0] ^ 1]) + hashes[1:]),
        "opening": (segment.lines, content.replace(b"audit_segment", b"audit_segmenx")),
        "lines file": (segment.lines, b""),
    }
    path, changed = changes[damage]
    path.write_bytes(changed)
    kept = {file.name: file.read_bytes() for file in shard.iterdir()}
    found = recover_trail(tmp_path, KEY, RING)
    if damage == "checkpoint":  # by an unknown key: ignored
        assert [result.is_continued for result in found] == [True]
        return
    assert found == [Recovered(shard.name, is_continued=False)]
    assert {file.name: file.read_bytes() for file in shard.iterdir()} == kept
    writer = writer_in(tmp_path)
    declare_damage(tmp_path, writer, found)
    writer.close()
    own = next(folder for folder in shards_of(tmp_path) if folder != shard)
    [gap] = [json.loads(line)["iamGuard"] for line in lines_of(own) if b"audit_gap" in line]
    assert (gap["reason"], gap["about"]) == ("ShardDamaged", shard.name)
    assert recover_trail(tmp_path, KEY, RING) == []


def test_power_failure_leads_to_no_conflicting_checkpoint(tmp_path: Path) -> None:
    """The disk has the checkpoint without its lines: no other checkpoint of that size is ever signed."""
    shard = written(tmp_path, 20, is_ended=False)
    segment = last_segment(shard)
    os.truncate(segment.lines, segment.lines.stat().st_size - 10)
    [found] = recover_trail(tmp_path, KEY, RING)
    assert not found.is_continued
    assert verdicts(tmp_path) == [TRUNCATED_TAIL]


def test_checkpoints_by_rotated_key_are_trusted(tmp_path: Path) -> None:
    """The key ring has it; the shard ends with the new key's checkpoint."""
    new = SignerKey.new("trail.example/audit")
    written(tmp_path, 20, is_ended=False)
    [found] = recover_trail(tmp_path, new, KeyRing([new.verifier, KEY.verifier]))
    assert found.is_continued
    assert verdicts(tmp_path, KeyRing([new.verifier, KEY.verifier])) == [GAP]


def test_old_draft_is_removed(tmp_path: Path) -> None:
    """A draft that another process has just created stays."""
    written(tmp_path, 3)
    old, young = tmp_path / "docs-a-1-x.new", tmp_path / "docs-b-1-x.new"
    for draft in (old, young):
        draft.mkdir()
        (draft / "lock").touch()
        Segment(draft, 0).lines.touch()
    now = time.time()
    for draft, age in ((old, 10 * 365 * 86400), (young, 0)):
        os.utime(draft, (now - age, now - age))
    recover_trail(tmp_path, KEY, RING)
    assert not old.exists()
    assert young.exists()
    shutil.rmtree(young)


def test_vanished_draft_is_skipped(tmp_path: Path) -> None:
    """Another process may rename it between listing and access; a dangling link behaves alike."""
    written(tmp_path, 3)
    (tmp_path / "docs-a-1-x.new").symlink_to("nowhere")
    assert recover_trail(tmp_path, KEY, RING) == []


def test_missing_trail_needs_no_recovery(tmp_path: Path) -> None:
    assert recover_trail(tmp_path / "none", KEY, RING) == []

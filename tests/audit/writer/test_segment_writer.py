"""The writer of a shard: content, checkpoints, rotation, failures, forks, full disks."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.record.record import Stamp, authentication_record, error_record
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.checkpoint import Checkpoint, open_checkpoint, split_notes
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.shard import (
    LINE_END,
    read_segment_start,
    segments_of,
    shard_and_sequence,
    shard_id,
    shards_of,
)
from iam_guard.audit.verify.trail_events import Gap
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.segment_writer import SegmentLimits, SegmentWriter
from iam_guard.audit.writer.shard_files import OpenSegment
from iam_guard.errors import DecisionUnavailable, SignatureDoesNotMatch
from iam_guard.model.decision import Decision
from tests.audit.trails import KEY, NOON, RING, SMALL, last_segment, lines_of, only_shard, record, verdicts, writer_in

LARGE = SegmentLimits(segment_bytes=10**9)


def checkpoints_of(shard: Path) -> list[Checkpoint]:
    """Return the signed checkpoints in order, each verified."""
    contents = [segment.checkpoints.read_bytes() for segment in segments_of(shard)]
    return [open_checkpoint(place.note, RING).checkpoint for content in contents for place in split_notes(content)]


# --- content ---------------------------------------------------------------------------------------------------------


def test_line_states_its_shard_and_number(tmp_path: Path) -> None:
    """`iamGuard` gets `shard` and `sequence`; the rest of the record is unchanged."""
    writer = writer_in(tmp_path)
    writer.append([record(number) for number in range(30)])
    writer.close()
    shard = only_shard(tmp_path)
    lines = lines_of(shard)
    assert [shard_and_sequence(line) for line in lines] == [(shard.name, number) for number in range(len(lines))]
    records = [entry for segment in segments_of(shard) for entry in read_records(segment.lines)]
    decisions = [entry for entry in records if entry["iamGuard"]["kind"] == "decision"]
    for number, decision in enumerate(decisions):
        facts = decision["iamGuard"]
        facts.pop("shard"), facts.pop("sequence")
        assert decision == json.loads(record(number))


def test_checkpoint_signs_the_root_of_all_lines(tmp_path: Path) -> None:
    """Over all segments of the shard."""
    writer = writer_in(tmp_path)
    for number in range(30):
        writer.append([record(number)])
        writer.commit()
    writer.close()
    shard = only_shard(tmp_path)
    hashes = leaf_hashes(lines_of(shard))
    for checkpoint in checkpoints_of(shard):
        tree = Tree()
        tree.extend(hashes[: checkpoint.size])
        assert (checkpoint.origin, checkpoint.root) == (f"trail.example/audit/{shard.name}", tree.root())
    assert checkpoints_of(shard)[-1].size == len(hashes)
    assert b"".join(segment.hashes.read_bytes() for segment in segments_of(shard)) == b"".join(hashes)


def test_segment_starts_with_tree_state_and_last_checkpoint(tmp_path: Path) -> None:
    """So verification can start at any segment."""
    writer = writer_in(tmp_path)
    for number in range(30):
        writer.append([record(number)])
        writer.commit()
    writer.close()
    segments = segments_of(only_shard(tmp_path))
    assert len(segments) > 2
    hashes = leaf_hashes(lines_of(only_shard(tmp_path)))
    for segment in segments:
        opening = read_segment_start(segment)
        tree = Tree()
        tree.extend(hashes[: segment.first])
        assert opening is not None
        assert opening.tree.state == tree.state
        if segment.first:
            previous = open_checkpoint(opening.previous, RING).checkpoint
            assert (previous.size, previous.root) == (segment.first, tree.root())


def test_every_kind_of_record_can_be_appended(tmp_path: Path, stamp: Stamp, decide: Callable[..., Decision]) -> None:
    """`iamGuard` is the last member in all of them, also after masking and truncation."""

    class MemorySink:
        def __init__(self) -> None:
            self.lines: list[bytes] = []

        def write(self, lines: bytes) -> None:
            self.lines.append(lines)

        def close(self) -> None: ...

    sink = MemorySink()
    trail = Trail(sink)
    trail.record_decision(decide(), None, started=0.0)
    error = SignatureDoesNotMatch("token=secret " + "x" * 9000)
    lines = [
        *sink.lines,
        to_line(authentication_record(error, None, stamp)),
        to_line(error_record(DecisionUnavailable("no"), None, stamp)),
    ]
    writer = writer_in(tmp_path)
    writer.append(lines)
    writer.close()
    for line in lines_of(only_shard(tmp_path)):
        assert list(json.loads(line))[-1] == "iamGuard"
        assert json.loads(line)["iamGuard"]["shard"] == only_shard(tmp_path).name


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b'{"a":{}}', b'{"a":{}}\n{"b":{}}\n', b"x" * 70_000 + LINE_END])
def test_appending_an_invalid_line_is_rejected(tmp_path: Path, line: bytes) -> None:
    writer = writer_in(tmp_path)
    with pytest.raises(ValueError, match="expected a record on one line"):
        writer.append([record(1), line])
    assert writer.shard is None


def test_files_are_readable_by_the_owner_only(tmp_path: Path) -> None:
    writer = writer_in(tmp_path / "trail")
    writer.append([record(1)])
    writer.checkpoint()
    shard = only_shard(tmp_path / "trail")
    assert stat.S_IMODE(shard.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in shard.iterdir()} == {0o600}
    writer.close()
    assert sorted(path.name for path in shard.iterdir()) == [
        f"{0:012}{e}" for e in (".checkpoints", ".hashes", ".jsonl")
    ]


def test_shard_id_contains_service_host_process_and_start() -> None:
    """Characters that are not allowed in a name are replaced."""
    start = datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=UTC)
    assert shard_id("docs", "web-1", 4711, start) == "docs-web-1-4711-20261124T120000.000005Z"
    assert shard_id("../a b", "", 1, start) == "_a_b-_-1-20261124T120000.000005Z"


def test_two_writers_have_different_shards(tmp_path: Path) -> None:
    """Even in one process at the same moment."""
    moments = iter([NOON, NOON, NOON, NOON.replace(microsecond=1), *[NOON.replace(microsecond=2)] * 20])
    writers = [SegmentWriter(tmp_path, KEY, limits=SMALL, clock=lambda: next(moments)) for _ in range(2)]
    for writer in writers:
        writer.append([record(1)])
        writer.commit()
    assert len({writer.shard for writer in writers}) == 2
    for writer in writers:
        writer.close()
    assert verdicts(tmp_path) == []


# --- schedule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("portion", [1, 3, 4, 5, 50])
def test_checkpoint_is_signed_after_the_limit_of_records(tmp_path: Path, portion: int) -> None:
    """Also within one commit."""
    writer = writer_in(tmp_path, SegmentLimits(checkpoint_records=4, checkpoint_seconds=1e9))
    for number in range(0, 50, portion):
        writer.append([record(index) for index in range(number, min(50, number + portion))])
        writer.commit()
    assert [checkpoint.size for checkpoint in checkpoints_of(only_shard(tmp_path))] == list(range(4, 52, 4))
    writer.close()


def test_checkpoint_is_signed_after_the_time_limit(tmp_path: Path) -> None:
    """`due_in` returns when the next commit will sign."""
    now = 100.0
    writer = SegmentWriter(tmp_path, KEY, limits=SegmentLimits(checkpoint_seconds=1.0), timer=lambda: now)
    assert writer.due_in() is None
    writer.append([record(1)])
    writer.commit()
    shard = only_shard(tmp_path)
    assert writer.due_in() == 1.0
    now = 100.4
    writer.commit()
    assert checkpoints_of(shard) == []
    assert writer.due_in() == pytest.approx(0.6)
    now = 101.0
    writer.commit()
    assert [checkpoint.size for checkpoint in checkpoints_of(shard)] == [2]
    assert writer.due_in() is None
    now = 200.0
    writer.commit()
    assert [checkpoint.size for checkpoint in checkpoints_of(shard)] == [2]
    writer.close()


def test_segment_is_rotated_after_the_time_limit(tmp_path: Path) -> None:
    """Unless it has no records."""
    now = 0.0
    writer = SegmentWriter(tmp_path, KEY, limits=SegmentLimits(segment_seconds=60.0), timer=lambda: now)
    writer.append([record(1)])
    for moment in (0.0, 59.0, 60.0, 61.0, 200.0, 300.0):
        now = moment
        writer.commit()
    assert [segment.first for segment in segments_of(only_shard(tmp_path))] == [0, 2]
    writer.close()
    assert verdicts(tmp_path) == []


def test_explicit_checkpoint_signs_everything(tmp_path: Path) -> None:
    writer = writer_in(tmp_path, LARGE)
    writer.append([record(1), record(2)])
    note = writer.checkpoint()
    assert open_checkpoint(note.encode(), RING).checkpoint.size == writer.size == 3
    assert writer.checkpoint() == note
    writer.close()


def test_append_without_commit_writes_nothing(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    writer.append([record(1)])
    assert list(tmp_path.iterdir()) == []
    writer.commit()
    assert len(lines_of(only_shard(tmp_path))) == 2
    writer.close()


def test_close_writes_appended_lines(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    writer.append([record(1)])
    writer.close()
    writer.close()
    assert [json.loads(line)["iamGuard"]["kind"] for line in lines_of(only_shard(tmp_path))] == [
        *("audit_segment", "decision", "audit_end"),
    ]
    with pytest.raises(OSError, match="closed"):
        writer.append([record(2)])


def test_unused_writer_creates_no_files(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    writer.commit(durable=True)
    writer.close()
    assert list(tmp_path.iterdir()) == []


# --- failures --------------------------------------------------------------------------------------------------------


def test_deleted_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    """The new one declares it; verification finds the old one missing."""
    writer = writer_in(tmp_path, LARGE)
    writer.append([record(1)])
    writer.checkpoint()
    last_segment(only_shard(tmp_path)).lines.unlink()
    writer.append([record(2)])
    writer.commit()
    writer.close()
    assert [json.loads(line)["iamGuard"]["kind"] for line in lines_of(only_shard(tmp_path))] == [
        *("audit_segment", "audit_gap", "decision", "audit_end"),
    ]
    assert verdicts(tmp_path) == [GAP, MISSING]


MISSING, GAP = Verdict.MISSING, Verdict.GAP


@pytest.mark.parametrize("size", [0, 300])
def test_truncated_segment_is_followed_by_a_new_one(tmp_path: Path, size: int) -> None:
    """Truncated for example by `logrotate copytruncate`."""
    writer = writer_in(tmp_path, LARGE)
    writer.append([record(1), record(2)])
    writer.checkpoint()
    os.truncate(last_segment(only_shard(tmp_path)).lines, size)
    writer.append([record(3)])
    writer.close()
    assert set(verdicts(tmp_path)) >= {GAP}
    assert set(verdicts(tmp_path)) <= {GAP, MISSING, Verdict.MODIFIED}
    assert record(3)[:-3] in b"".join(lines_of(only_shard(tmp_path)))


def test_deleted_shard_folder_raises_then_starts_a_new_shard(tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    writer = writer_in(trail)
    writer.append([record(1)])
    writer.commit()
    shard = only_shard(trail)
    for path in shard.iterdir():
        path.unlink()
    shard.rmdir()
    writer.append([record(2)])
    with pytest.raises(FileNotFoundError):
        writer.commit()
    writer.append([record(3)])
    writer.commit()
    assert only_shard(trail) != shard
    writer.close()
    assert verdicts(trail) == []


def test_rotation_after_full_disk_happens_with_next_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a second later: otherwise the current segment would use all freed space, and it cannot be dropped."""
    writer = SegmentWriter(tmp_path, KEY, service="docs", limits=SMALL, timer=lambda: 0.0)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    writer.append([record(0)])
    writer.commit()
    with monkeypatch.context() as patched:
        patched.setattr(OpenSegment, "create", mock.Mock(side_effect=full))
        for number in range(1, 20):
            writer.append([record(number)])
            writer.commit()
        assert len(segments_of(only_shard(tmp_path))) == 1
        patched.setattr(AppendFile, "append", mock.Mock(side_effect=full))
        writer.append([record(20)])
        with pytest.raises(OSError, match="No space"):
            writer.commit()
    writer.append([record(20)])
    writer.commit()
    assert len(segments_of(only_shard(tmp_path))) == 2
    writer.close()
    assert verdicts(tmp_path) == []


def test_failed_flush_raises_and_starts_a_new_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`commit(durable=True)` raises if the flush fails."""
    writer = writer_in(tmp_path, LARGE)
    writer.append([record(1)])
    writer.commit(durable=True)

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("iam_guard.audit.append_file._sync", fails)
        writer.append([record(2)])
        with pytest.raises(OSError, match="Input/output"):
            writer.commit(durable=True)
    writer.append([record(3)])
    writer.commit(durable=True)
    writer.close()
    assert [segment.first for segment in segments_of(only_shard(tmp_path))] == [0, 3]
    assert verdicts(tmp_path) == [GAP]


FULL_DISK = """
import json, sys, time
from pathlib import Path
from tests.audit.trails import record, writer_in
from iam_guard.audit.writer.segment_writer import SegmentLimits
trail = Path(sys.argv[1])
writer = writer_in(trail, SegmentLimits(checkpoint_records=50, segment_bytes=10**9, reserve_bytes=32768))
kept, failures = 0, 0
while failures < 3:
    writer.append([record(kept, filler="x" * 500)])
    try:
        writer.commit(durable=True)
        kept += 1
    except OSError as error:
        failures += 1
if len(sys.argv) > 2:
    Path(sys.argv[2]).unlink()
    time.sleep(0.2)
    for number in range(kept, kept + 10):
        writer.append([record(number, filler="x" * 500)])
        writer.commit(durable=True)
    writer.close()
print(json.dumps([kept, writer.shard]))
"""


def small_disk(folder: Path) -> list[str]:
    """Create a folder, and return a command prefix that mounts a 1 MiB disk there; skip if that is impossible."""
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs '{folder}'"
    for prefix in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        command = [*prefix, "sh", "-c", f'{mount} && exec "$@"', "sh"]
        with suppress(FileNotFoundError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    pytest.skip("needs permission to mount a file system")


@pytest.mark.parametrize("is_freed", [False, True])
def test_full_disk_gap_is_declared_from_the_reserve(tmp_path: Path, is_freed: bool) -> None:
    """Acknowledged records are kept; the last record declares the gap, signed. Writing continues when space is free."""
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    command = small_disk(disk)
    hog = f"head -c 300000 /dev/zero > {disk}/hog && " if is_freed else ""
    arguments = f"{disk}/trail" + (f" {disk}/hog" if is_freed else "")
    script = f'{hog}"{sys.executable}" -c "$0" {arguments} && cp -r {disk}/trail {copy}'
    root = Path(__file__).resolve().parents[3]
    whole = [*command, "sh", "-c", script, FULL_DISK]
    done = subprocess.run(whole, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept, _ = json.loads(done.stdout)
    assert kept > 100
    facts = [json.loads(line) for line in lines_of(only_shard(copy))]
    ids = [fact["eventID"] for fact in facts if fact["iamGuard"]["kind"] == "decision"]
    assert ids == [f"id-{number}" for number in range(kept + (10 if is_freed else 0))]
    [gap] = [fact["iamGuard"] for fact in facts if fact["iamGuard"]["kind"] == "audit_gap"]
    assert (gap["reason"], gap["lost"]) == ("DiskFull", 1)
    assert verdicts(copy) == [GAP]


RLIMIT = """
import resource, sys
from pathlib import Path
from tests.audit.trails import record, writer_in
from iam_guard.audit.writer.segment_writer import SegmentLimits
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
writer = writer_in(Path(sys.argv[1]), SegmentLimits(segment_bytes=10**9, reserve_bytes=100))
number = failures = 0
while number < 200:
    writer.append([record(number)])
    try:
        writer.commit()
        number += 1
    except OSError:
        failures += 1
writer.close()
print(failures)
"""


def test_partial_write_is_truncated_and_repeated(tmp_path: Path) -> None:
    """With a limited file size: a partial line is truncated, and written completely to the next segment."""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", RLIMIT, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    shard = only_shard(tmp_path)
    assert len(segments_of(shard)) == int(done.stdout) + 1 > 2
    assert ids(shard) == [f"id-{number}" for number in range(200)]
    assert verdicts(tmp_path) == [GAP]


PERMISSION = """
import os, sys
from pathlib import Path
from tests.audit.trails import record, writer_in
from iam_guard.audit.writer.segment_writer import SegmentLimits
trail = Path(sys.argv[1])
if os.geteuid() == 0:
    os.seteuid(65534)
writer = writer_in(trail, SegmentLimits(checkpoint_records=4, segment_bytes=2000))
writer.append([record(0)])
writer.commit()
shard = trail / writer.shard
shard.chmod(0o500)
for number in range(1, 30):
    writer.append([record(number)])
    writer.commit()
shard.chmod(0o700)
writer._retry_at = 0.0
writer.commit()
assert len(list(shard.glob("*.jsonl"))) == 2
writer.close()
shard.chmod(0o755)
for path in shard.iterdir():
    path.chmod(0o644)
"""


def test_failed_rotation_loses_no_line_and_is_retried(tmp_path: Path) -> None:
    """Without permission to create files."""
    tmp_path.chmod(0o777)
    trail = tmp_path / "trail"
    trail.mkdir()
    trail.chmod(0o777)
    for folder in trail.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o111)
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PERMISSION, str(trail)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written: Permission denied" in done.stderr
    assert verdicts(trail) == []


# --- declarations ----------------------------------------------------------------------------------------------------


def test_declare_signs_and_flushes_after_pending_lines(tmp_path: Path) -> None:
    """In an intact segment; rejected after `close`."""
    writer = writer_in(tmp_path)
    writer.append([record(0)])
    writer.declare(record(1))
    [segment] = segments_of(only_shard(tmp_path))
    segment.lines.write_bytes(segment.lines.read_bytes()[:-1])
    writer.append([record(2)])
    writer.declare(record(3))
    assert writer.size == 7, "two segments start, one gap is declared"
    last = open_checkpoint([*split_notes(last_segment(only_shard(tmp_path)).checkpoints.read_bytes())][-1].note, RING)
    assert last.checkpoint.size == 7
    writer.close()
    with pytest.raises(OSError, match="closed"):
        writer.declare(record(4))
    assert len(shards_of(tmp_path)) == 1
    with pytest.raises(ValueError, match="one line"):
        writer_in(tmp_path).declare(b"{}")


# --- forks -----------------------------------------------------------------------------------------------------------


@pytest.mark.forks
def test_forked_child_starts_its_own_shard(tmp_path: Path) -> None:
    """Lines appended by the parent belong to the parent; both shards are complete."""
    writer = writer_in(tmp_path)
    writer.append([record(1)])
    writer.commit()
    writer.append([record(2)])
    child = os.fork()
    if child == 0:
        try:
            writer.append([record(3)])
            writer.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    writer.append([record(4)])
    writer.close()
    written = {tuple(sorted(ids(shard))) for shard in shards_of(tmp_path)}
    assert written == {("id-1", "id-2", "id-4"), ("id-3",)}
    assert verdicts(tmp_path) == []


def ids(shard: Path) -> list[str]:
    records = [json.loads(line) for line in lines_of(shard)]
    return [entry["eventID"] for entry in records if entry["iamGuard"]["kind"] == "decision"]


def test_gap_record_has_the_given_numbers(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    writer.gap(Gap("NotRecorded", lost=3, first=NOON, last=NOON))
    writer.close()
    [facts] = [
        entry["iamGuard"]
        for entry in map(json.loads, lines_of(only_shard(tmp_path)))
        if b"gap" in json.dumps(entry).encode()
    ]
    assert facts["lost"] == 3
    assert facts["firstTime"] == facts["lastTime"] == "2026-11-24T12:00:00Z"

"""The peer checkpoints in first lines: removed shards, and shards truncated with their checkpoints, are found."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify import peer_checkpoints
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.peer_checkpoints import MAX_NEWEST, PAUSE, PeerCheckpoints
from iam_guard.audit.verify.shard import segment_start_facts, segments_of, shards_of
from iam_guard.audit.verify.shard_claims import claims_in
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_events import segment_line
from iam_guard.audit.verify.trail_verifier import read_anchors, verify_trail
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.recovery import recover_trail
from iam_guard.audit.writer.segment_writer import SegmentLimits, SegmentWriter
from tests.audit.trails import KEY, NOON, RING, UNTRUSTED_KEY, lines_of, record, verdicts, writer_in, written
from tests.audit.verify.test_trail_verifier import rewritten


def peers_in(shard: Path, number: int = 0) -> dict[str, Any]:
    """Return the peers in the first line of a segment, by name."""
    facts = segment_start_facts(segments_of(shard)[number])
    return {each["shard"]: each for each in (facts or {}).get("others", [])}


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Return a trail of three ended shards."""
    for count in (10, 12, 14):
        written(tmp_path / "trail", count)
    return tmp_path / "trail"


def test_first_line_lists_peers_with_last_checkpoints(trail: Path) -> None:
    first, second, third = shards_of(trail)
    assert peers_in(first) == {}
    assert set(peers_in(second)) == {first.name}
    assert set(peers_in(third)) == {first.name, second.name}
    tree = Tree()
    tree.extend(leaf_hashes(lines_of(second)))
    assert peers_in(third)[second.name] == {"shard": second.name, "size": tree.size, "root": tree.root().hex()}
    assert verdicts(trail) == []


@pytest.mark.parametrize("number", [0, 1])
def test_removed_shard_is_missing(trail: Path, number: int) -> None:
    """MISSING, with its name."""
    shard, last = shards_of(trail)[number], shards_of(trail)[-1]
    shutil.rmtree(shard)
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.shard) == (Verdict.MISSING, shard.name)
    assert last.name in finding.detail or shards_of(trail)[0].name in finding.detail


def test_removed_shard_with_anchor_is_reported_once(trail: Path) -> None:
    """The external checkpoint and the other shards find it."""
    shard = shards_of(trail)[0]
    note = segments_of(shard)[-1].checkpoints.read_bytes()
    shutil.rmtree(shard)
    report = verify_trail(trail, RING, since=read_anchors(note, RING, place="kept"))
    assert [finding.verdict for finding in report.findings] == [Verdict.MISSING]


def test_removed_last_shard_is_not_found(trail: Path) -> None:
    """Only an external checkpoint reveals that, as documented."""
    shutil.rmtree(shards_of(trail)[-1])
    assert verdicts(trail) == []


def cut(shard: Path, left: int) -> None:
    """Remove whole segments with all their files, as if the process had been killed early."""
    for segment in segments_of(shard)[left:]:
        for path in (segment.lines, segment.hashes, segment.checkpoints):
            path.unlink()


def test_shard_truncated_with_checkpoints_is_found(trail: Path) -> None:
    """TRUNCATED_TAIL: without peers the shard would look like one of a killed process."""
    shard = shards_of(trail)[0]
    cut(shard, 1)
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.shard) == (Verdict.TRUNCATED_TAIL, shard.name)
    assert shards_of(trail)[1].name in finding.detail or shards_of(trail)[2].name in finding.detail


def test_shard_rewritten_with_key_is_forked(trail: Path) -> None:
    """FORKED, without an external checkpoint."""
    shard = shards_of(trail)[0]
    rewritten(shard, [line.replace(b"id-3", b"id-x") for line in lines_of(shard)])
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.shard) == (Verdict.FORKED, shard.name)


def test_peer_checkpoint_of_open_shard_is_synced_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed data is synced before it is listed, so a power failure makes no finding."""
    writer = writer_in(tmp_path, SegmentLimits(checkpoint_records=5))
    writer.append([record(number) for number in range(7)])
    writer.commit()
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).suffix)

    monkeypatch.setattr(peer_checkpoints.os, "fsync", sync)
    [other] = PeerCheckpoints(tmp_path, RING, lambda: 0.0).named("own")
    assert other.checkpoint is not None
    assert other.checkpoint.size == 5
    assert synced == [".jsonl", ".hashes", ".checkpoints"]
    writer.close()


def test_peer_that_cannot_be_synced_has_no_checkpoint(trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    going = written(trail, 5, is_ended=False)
    monkeypatch.setattr(peer_checkpoints.os, "fsync", fail)
    named = PeerCheckpoints(trail, RING, lambda: 0.0).named("own")
    assert [each.name for each in named if each.checkpoint is None] == [going.name]


def test_peer_signed_by_unknown_key_has_no_checkpoint(tmp_path: Path) -> None:
    """After a rotation both keys are known."""
    written(tmp_path, 5)
    for known, keys in (
        (None, {"shard"}),
        (KeyRing([UNTRUSTED_KEY.verifier, KEY.verifier]), {"shard", "size", "root"}),
    ):
        writer = SegmentWriter(tmp_path, UNTRUSTED_KEY, known=known)
        writer.append([record(1)])
        writer.close()
        assert set(peers_in(tmp_path / shards_of(tmp_path)[-1].name)[shards_of(tmp_path)[0].name]) == keys


def test_claim_in_unsigned_line_is_ignored(trail: Path) -> None:
    """Without the key, a shard can't be made to seem missing."""
    first = shards_of(trail)[0]
    line = segment_line(Stamp(NOON, "id"), (), None, [peer_checkpoints.PeerCheckpoint("docs-gone-1-x")])
    forged = trail / "docs-forged-1-20261124T120000.000000Z"
    forged.mkdir()
    (forged / "000000000000.jsonl").write_bytes(
        line[:-3] + b',"shard":"%b","sequence":0}}\n' % forged.name.encode("ascii")
    )
    assert verdicts(trail) == [Verdict.UNSIGNED_TAIL]
    assert first.exists()


def test_recovered_shard_is_not_shorter_than_claimed(tmp_path: Path) -> None:
    """Listed while it was being written, then its process was killed, then ended by the next start."""
    killed = written(tmp_path, 9, is_ended=False, unsigned=2)
    writer = writer_in(tmp_path)
    writer.append([record(1)])
    writer.commit()
    recover_trail(tmp_path, KEY, RING)
    writer.close()
    assert peers_in(shards_of(tmp_path)[-1])[killed.name]["size"] > 0
    assert verdicts(tmp_path) == [Verdict.GAP]


def test_segments_list_peers_at_most_once_a_minute(tmp_path: Path) -> None:
    """A busy writer starts a segment each second."""
    written(tmp_path, 3)
    now = 0.0
    writer = SegmentWriter(
        tmp_path, KEY, limits=SegmentLimits(checkpoint_records=4, segment_bytes=1500), timer=lambda: now
    )
    for _ in range(3):
        for number in range(10):
            writer.append([record(number)])
            writer.commit()
        now += PAUSE
    name = writer.shard
    writer.close()
    shard = tmp_path / str(name)
    named = [bool(peers_in(shard, number)) for number in range(len(segments_of(shard)))]
    assert named[0]
    assert 3 <= sum(named) < len(named)


def test_peers_are_the_newest_and_the_open_ones(tmp_path: Path) -> None:
    """The number of listed peers is limited."""
    for number in range(MAX_NEWEST + 20):
        shard = tmp_path / f"docs-web-{number}-20260101T0000{number:02}.000000Z"
        shard.mkdir()
        if number == 3:
            (shard / "lock").touch()
    named = PeerCheckpoints(tmp_path, RING, lambda: 0.0).named("own")
    numbers = sorted(int(each.name.split("-")[2]) for each in named)
    assert numbers == [3, *range(20, MAX_NEWEST + 20)]


def test_peers_of_unreadable_folder_are_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trail: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(peer_checkpoints, "shards_of", fail)
    assert PeerCheckpoints(tmp_path, RING, lambda: 0.0).named("own") == ()


def odd_values() -> st.SearchStrategy[Any]:
    """Return a strategy for arbitrary JSON with the member names of claims."""
    names = st.sampled_from(["shard", "size", "root", "x"])
    plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(others=odd_values())
def test_claims_in_any_json_never_fails(others: Any) -> None:
    for claim in claims_in({"others": others}, "by", 0):
        assert isinstance(claim.shard, str)
        assert len(claim.root) in (0, 32)


def test_first_line_has_documented_others(trail: Path) -> None:
    """`others` of `iamGuard`, in plain JSON."""
    line = lines_of(shards_of(trail)[1])[0]
    [other] = json.loads(line)["iamGuard"]["others"]
    assert set(other) == {"shard", "size", "root"}

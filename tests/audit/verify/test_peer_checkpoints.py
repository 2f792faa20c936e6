"""What a shard says of the others: a shard that is gone as a whole, or was cut with its checkpoints, is found."""

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
from iam_guard.audit.verify.peer_checkpoints import NEWEST, PAUSE, PeerCheckpoints
from iam_guard.audit.verify.shard import opening_facts, segments_of, shards_of
from iam_guard.audit.verify.shard_claims import claims_in
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_events import segment_line
from iam_guard.audit.verify.trail_verifier import read_anchors, verify_trail
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.recovery import recover
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.audit.writer.segment_writer import SegmentWriter
from tests.audit.trails import KEY, NOON, RING, STRANGER, lines_of, record, verdicts, writer_in, written
from tests.audit.verify.test_trail_verifier import rewritten


def said_by(shard: Path, number: int = 0) -> dict[str, Any]:
    """What the first line of a segment says of the others, by their names."""
    facts = opening_facts(segments_of(shard)[number])
    return {each["shard"]: each for each in (facts or {}).get("others", [])}


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Three shards that have ended, one after the other."""
    for count in (10, 12, 14):
        written(tmp_path / "trail", count)
    return tmp_path / "trail"


def test_a_shard_names_the_others_with_their_last_checkpoints(trail: Path) -> None:
    first, second, third = shards_of(trail)
    assert said_by(first) == {}
    assert set(said_by(second)) == {first.name}
    assert set(said_by(third)) == {first.name, second.name}
    tree = Tree()
    tree.extend(leaf_hashes(lines_of(second)))
    assert said_by(third)[second.name] == {"shard": second.name, "size": tree.size, "root": tree.root().hex()}
    assert verdicts(trail) == []


@pytest.mark.parametrize("number", [0, 1])
def test_a_shard_that_is_gone_as_a_whole_is_found(trail: Path, number: int) -> None:
    """MISSING, with its name, by what is left."""
    shard, last = shards_of(trail)[number], shards_of(trail)[-1]
    shutil.rmtree(shard)
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.shard) == (Verdict.MISSING, shard.name)
    assert last.name in finding.detail or shards_of(trail)[0].name in finding.detail


def test_a_shard_that_is_gone_is_told_once_though_it_is_signed_elsewhere_too(trail: Path) -> None:
    """A checkpoint that was kept elsewhere finds it as well."""
    shard = shards_of(trail)[0]
    note = segments_of(shard)[-1].checkpoints.read_bytes()
    shutil.rmtree(shard)
    report = verify_trail(trail, RING, since=read_anchors(note, RING, place="kept"))
    assert [finding.verdict for finding in report.findings] == [Verdict.MISSING]


def test_the_last_shard_is_named_by_nobody(trail: Path) -> None:
    """Of that only a checkpoint that was kept elsewhere can tell: the page about it says so."""
    shutil.rmtree(shards_of(trail)[-1])
    assert verdicts(trail) == []


def cut(shard: Path, left: int) -> None:
    """Make a shard as if it had been killed early: whole segments, with all that stands beside them."""
    for segment in segments_of(shard)[left:]:
        for path in (segment.lines, segment.hashes, segment.checkpoints):
            path.unlink()


def test_a_shard_that_was_cut_together_with_its_checkpoints_is_found(trail: Path) -> None:
    """TRUNCATED_TAIL: alone it would look as if its process had been killed."""
    shard = shards_of(trail)[0]
    cut(shard, 1)
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.shard) == (Verdict.TRUNCATED_TAIL, shard.name)
    assert shards_of(trail)[1].name in finding.detail or shards_of(trail)[2].name in finding.detail


def test_a_shard_that_was_written_anew_with_the_key_contradicts_the_others(trail: Path) -> None:
    """FORKED, without anything that was kept elsewhere."""
    shard = shards_of(trail)[0]
    rewritten(shard, [line.replace(b"id-3", b"id-x") for line in lines_of(shard)])
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.shard) == (Verdict.FORKED, shard.name)


def test_a_shard_that_is_written_is_named_as_far_as_the_disk_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the power that goes makes no finding: what is signed is synced before it is named."""
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


def test_what_does_not_get_to_the_disk_is_named_without_a_checkpoint(
    trail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    going = written(trail, 5, is_ended=False)
    monkeypatch.setattr(peer_checkpoints.os, "fsync", fail)
    named = PeerCheckpoints(trail, RING, lambda: 0.0).named("own")
    assert [each.name for each in named if each.checkpoint is None] == [going.name]


def test_a_shard_of_an_unknown_key_is_named_without_its_checkpoint(tmp_path: Path) -> None:
    """Nobody's word is passed on who is not known; after a rotation both keys are."""
    written(tmp_path, 5)
    for known, keys in ((None, {"shard"}), (KeyRing([STRANGER.verifier, KEY.verifier]), {"shard", "size", "root"})):
        writer = SegmentWriter(tmp_path, STRANGER, known=known)
        writer.append([record(1)])
        writer.close()
        assert set(said_by(tmp_path / shards_of(tmp_path)[-1].name)[shards_of(tmp_path)[0].name]) == keys


def test_only_what_is_signed_is_believed(trail: Path) -> None:
    """Who has no key cannot make a shard seem missing."""
    first = shards_of(trail)[0]
    line = segment_line(Stamp(NOON, "id"), (), None, [peer_checkpoints.PeerCheckpoint("docs-gone-1-x")])
    forged = trail / "docs-forged-1-20261124T120000.000000Z"
    forged.mkdir()
    (forged / "000000000000.jsonl").write_bytes(
        line[:-3] + b',"shard":"%b","sequence":0}}\n' % forged.name.encode("ascii")
    )
    assert verdicts(trail) == [Verdict.UNSIGNED_TAIL]
    assert first.exists()


def test_a_recovered_shard_is_not_shorter_than_it_was_named(tmp_path: Path) -> None:
    """Named while it was written, then its process was killed, then ended by the next start."""
    killed = written(tmp_path, 9, is_ended=False, unsigned=2)
    writer = writer_in(tmp_path)
    writer.append([record(1)])
    writer.commit()
    recover(tmp_path, KEY, RING)
    writer.close()
    assert said_by(shards_of(tmp_path)[-1])[killed.name]["size"] > 0
    assert verdicts(tmp_path) == [Verdict.GAP]


def test_every_segment_names_the_others_but_not_more_than_once_a_minute(tmp_path: Path) -> None:
    """A busy writer opens a segment each second."""
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
    named = [bool(said_by(shard, number)) for number in range(len(segments_of(shard)))]
    assert named[0]
    assert 3 <= sum(named) < len(named)


def test_the_newest_are_named_and_such_as_are_still_written(tmp_path: Path) -> None:
    """However many there are, the line stays short."""
    for number in range(NEWEST + 20):
        shard = tmp_path / f"docs-web-{number}-20260101T0000{number:02}.000000Z"
        shard.mkdir()
        if number == 3:
            (shard / "lock").touch()
    named = PeerCheckpoints(tmp_path, RING, lambda: 0.0).named("own")
    numbers = sorted(int(each.name.split("-")[2]) for each in named)
    assert numbers == [3, *range(20, NEWEST + 20)]


def test_a_folder_that_cannot_be_listed_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trail: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(peer_checkpoints, "shards_of", fail)
    assert PeerCheckpoints(tmp_path, RING, lambda: 0.0).named("own") == ()


def odd_values() -> st.SearchStrategy[Any]:
    """Return JSON of every kind, with names that mean something."""
    names = st.sampled_from(["shard", "size", "root", "x"])
    plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=odd_values())
def test_whatever_is_said_there_is_an_answer(said: Any) -> None:
    for claim in claims_in({"others": said}, "by", 0):
        assert isinstance(claim.shard, str)
        assert len(claim.root) in (0, 32)


def test_what_is_said_is_in_the_line_as_the_page_tells(trail: Path) -> None:
    """`others` of `iamGuard`, in plain JSON."""
    line = lines_of(shards_of(trail)[1])[0]
    [other] = json.loads(line)["iamGuard"]["others"]
    assert set(other) == {"shard", "size", "root"}

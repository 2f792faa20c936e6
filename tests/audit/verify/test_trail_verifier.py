"""Verification: every change to a trail is found, with the right verdict, at the right place."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.audit.verify.checkpoint import sign_checkpoint
from iam_guard.audit.verify.shard import segments_of, shards_of, whole_lines
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_events import Gap
from iam_guard.audit.verify.trail_verifier import read_anchors, trail_bytes, verify_trail
from iam_guard.audit.verify.verdicts import MEANINGS, TrailFinding, Verdict
from iam_guard.audit.writer.recovery import recover_trail
from iam_guard.audit.writer.segment_writer import SegmentLimits
from iam_guard.errors import InvalidInput
from tests.audit.trails import (
    KEY,
    RING,
    SMALL,
    UNTRUSTED_KEY,
    lines_of,
    only_shard,
    record,
    verdicts,
    writer_in,
    written,
)
from tests.tables import table

THOROUGH = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MODIFIED, REORDERED, MISSING = Verdict.MODIFIED, Verdict.REORDERED, Verdict.MISSING
TRUNCATED_TAIL, FORKED, GAP = Verdict.TRUNCATED_TAIL, Verdict.FORKED, Verdict.GAP
BAD_SIGNATURE, UNKNOWN_KEY, UNSIGNED_TAIL = Verdict.BAD_SIGNATURE, Verdict.UNKNOWN_KEY, Verdict.UNSIGNED_TAIL


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trail of one ended shard with several segments."""
    trail = tmp_path_factory.mktemp("original")
    shard = written(trail)
    assert len(segments_of(shard)) > 3
    return trail


@pytest.fixture
def trail(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "trail"))


@pytest.fixture
def changed(original: Path, tmp_path: Path) -> Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]]:
    """Return a function that changes one file of a copy, verifies the copy, and restores the file."""
    copy = Path(shutil.copytree(original, tmp_path / "copy"))

    def change(name: str, how: Callable[[bytes], bytes]) -> list[TrailFinding]:
        [path] = copy.glob(f"*/{name}")
        content = path.read_bytes()
        path.write_bytes(how(content))
        findings = list(verify_trail(copy, RING).findings)
        path.write_bytes(content)
        return findings

    return change


def names(trail: Path, ending: str) -> list[str]:
    return sorted(path.name for path in trail.glob(f"*/*{ending}"))


# --- what is as it was written ---------------------------------------------------------------------------------------


def test_unmodified_trail_is_ok(original: Path) -> None:
    report = verify_trail(original, RING)
    [shard] = report.shards
    assert report.is_ok
    assert (shard.lines, shard.signed, shard.has_ended, shard.dropped) == (
        *(len(lines_of(next(original.iterdir()))), shard.lines),
        *(True, 0),
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9])
def test_small_trails_are_ok(tmp_path: Path, count: int) -> None:
    writer = writer_in(tmp_path)
    writer.append([record(number) for number in range(count)])
    writer.checkpoint()
    assert verdicts(tmp_path) == []
    writer.close()
    assert verdicts(tmp_path) == []


def test_trail_with_open_and_ended_shards_is_ok(tmp_path: Path) -> None:
    for _ in range(3):
        written(tmp_path, 10)
    writer = writer_in(tmp_path)
    writer.append([record(1)])
    writer.checkpoint()
    report = verify_trail(tmp_path, RING)
    assert report.is_ok
    assert sorted(shard.has_ended for shard in report.shards) == [False, True, True, True]
    writer.close()


def test_progress_reports_all_bytes(original: Path) -> None:
    progress: list[int] = []
    verify_trail(original, RING, progress=progress.append)
    assert sum(progress) == trail_bytes(original) == sum(path.stat().st_size for path in original.glob("*/*.jsonl"))


def test_folder_without_shards_raises(tmp_path: Path) -> None:
    """An empty folder is not OK: removing everything must be found."""
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidInput, match="found no shard"):
            verify_trail(folder, RING)


def test_folder_around_a_trail_raises(tmp_path: Path) -> None:
    """It has folders, but none of them is a shard."""
    written(tmp_path / "trail", 10)
    with pytest.raises(InvalidInput, match="found no shard"):
        verify_trail(tmp_path, RING)


def test_shard_without_files_is_verified(tmp_path: Path) -> None:
    """A process has just created it, or all its files were removed: then other shards claim its lines."""
    written(tmp_path, 10)
    emptied = tmp_path / "docs-web1-1-20260504T030201.000000Z"
    emptied.mkdir()
    assert verdicts(tmp_path) == []
    emptied.rmdir()
    [first] = shards_of(tmp_path)
    written(tmp_path, 10)
    for path in first.iterdir():
        path.unlink()
    assert verdicts(tmp_path) == [Verdict.TRUNCATED_TAIL]


def test_every_verdict_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Verdict)


# --- laws: lines -----------------------------------------------------------------------------------------------------


@LAW
@given(data=st.data())
def test_changed_byte_of_line_is_modified(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED, at the line of the byte; line breaks and the first and last lines included."""
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    content = next(original.glob(f"*/{name}")).read_bytes()
    at = data.draw(
        st.one_of(st.integers(0, len(content) - 1), st.sampled_from([i for i, b in enumerate(content) if b == 10]))
    )
    by = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    findings = changed(name, lambda whole: whole[:at] + bytes([by]) + whole[at + 1 :])
    assert [finding.verdict for finding in findings] == [MODIFIED]
    assert (findings[0].file, findings[0].line) == (name, content.count(b"\n", 0, at) + 1)


@LAW
@given(data=st.data())
def test_deleted_byte_of_line_is_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED; the last byte of the shard is a truncated tail."""
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    content = next(original.glob(f"*/{name}")).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    findings = changed(name, lambda whole: whole[:at] + whole[at + 1 :])
    assert findings
    is_end = name == names(original, ".jsonl")[-1] and content.count(b"\n", at + 1) == 0
    assert findings[0].verdict in (
        (TRUNCATED_TAIL,) if is_end and at == len(content) - 1 else (MODIFIED, TRUNCATED_TAIL)
    )
    assert is_end or findings[0].verdict is MODIFIED


def permuted(*order: int) -> Callable[[bytes], bytes]:
    """Return a function that reorders the lines of a file."""
    return lambda whole: b"".join(whole_lines(whole)[index] for index in order)


@LAW
@given(data=st.data())
def test_swapped_lines_are_reordered(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """REORDERED, once, at one of the two."""
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    count = next(original.glob(f"*/{name}")).read_bytes().count(b"\n")
    if count < 2:
        return
    one, other = data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True))
    order = list(range(count))
    order[one], order[other] = order[other], order[one]
    findings = changed(name, permuted(*order))
    assert [finding.verdict for finding in findings] == [REORDERED]
    assert findings[0].line in (one + 1, other + 1)


@LAW
@given(data=st.data())
def test_deleted_lines_are_missing(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MISSING with the sequence of the first; at the end of the shard TRUNCATED_TAIL."""
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    count = next(original.glob(f"*/{name}")).read_bytes().count(b"\n")
    begin = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(begin + 1, count))
    findings = changed(name, permuted(*range(begin), *range(end, count)))
    is_tail = name == names(original, ".jsonl")[-1] and end == count
    assert findings[0].verdict is (TRUNCATED_TAIL if is_tail else MISSING)
    assert findings[0].sequence == int(name.partition(".")[0]) + begin


@LAW
@given(data=st.data())
def test_inserted_line_is_modified(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED at that line: a copy of a line of the segment or shard, or an invented one."""
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    lines = whole_lines(next(original.glob(f"*/{name}")).read_bytes())
    shard = next(original.iterdir())
    inserted = data.draw(st.sampled_from([*lines, *lines_of(shard), record(7), b"\n", b"{}\n"]))
    at = data.draw(st.integers(0, len(lines)))
    findings = changed(name, lambda _: b"".join([*lines[:at], inserted, *lines[at:]]))
    assert [finding.verdict for finding in findings] == [MODIFIED]
    copies = {at + 1} | {
        index + 1 for index, line in enumerate([*lines[:at], inserted, *lines[at:]]) if line == inserted
    }
    assert findings[0].line in copies


@LAW
@given(data=st.data())
def test_replaced_line_is_modified(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED: by a line of another shard or segment, or an invented one with the right sequence."""
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    lines = whole_lines(next(original.glob(f"*/{name}")).read_bytes())
    at = data.draw(st.integers(0, len(lines) - 1))
    others = [record(9), *lines_of(next(original.iterdir())), lines[at].replace(b"Allowed", b"Denied")]
    other = data.draw(st.sampled_from([each for each in others if each not in lines] or [record(9)]))
    findings = changed(name, lambda _: b"".join([*lines[:at], other, *lines[at + 1 :]]))
    assert [(finding.verdict, finding.line) for finding in findings] == [(MODIFIED, at + 1)]
    assert findings[0].sequence == int(name.partition(".")[0]) + at


@LAW
@given(data=st.data())
def test_truncated_file_is_truncated_tail(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """TRUNCATED_TAIL at any length, if the checkpoints are unchanged."""
    name = names(original, ".jsonl")[-1]
    size = next(original.glob(f"*/{name}")).stat().st_size
    keep = data.draw(st.integers(0, size - 1))
    assert [each.verdict for each in changed(name, lambda whole: whole[:keep])] == [TRUNCATED_TAIL]


# --- laws: checkpoints and hashes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1])
def test_last_note_with_merged_parts_is_bad_signature(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], place: int
) -> None:
    """The line breaks before its signature are part of what is signed."""
    name = names(original, ".checkpoints")[-1]

    def joined(whole: bytes) -> bytes:
        at = whole.rindex(b"\n\n", 0, -2) + place
        return whole[:at] + b"\0" + whole[at + 1 :]

    assert BAD_SIGNATURE in {each.verdict for each in changed(name, joined)}


@LAW
@given(data=st.data())
def test_changed_byte_of_checkpoint_is_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """BAD_SIGNATURE, or UNKNOWN_KEY if the byte is in the key's name; lines under a later checkpoint stay signed.

    Without its final line breaks the last note is incomplete, as after a killed process: UNSIGNED_TAIL.
    """
    name = data.draw(st.sampled_from(names(original, ".checkpoints")))
    content = next(original.glob(f"*/{name}")).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    by = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    found = {each.verdict for each in changed(name, lambda whole: whole[:at] + bytes([by]) + whole[at + 1 :])}
    is_end = name == names(original, ".checkpoints")[-1] and at >= len(content) - 2
    assert found & ({UNSIGNED_TAIL} if is_end else {BAD_SIGNATURE, UNKNOWN_KEY})
    assert found <= {BAD_SIGNATURE, UNKNOWN_KEY, UNSIGNED_TAIL}


@LAW
@given(data=st.data())
def test_changed_byte_of_hash_is_modified(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED at that hash; the lines are unchanged."""
    name = data.draw(st.sampled_from(names(original, ".hashes")))
    content = next(original.glob(f"*/{name}")).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    by = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    findings = changed(name, lambda whole: whole[:at] + bytes([by]) + whole[at + 1 :])
    assert [(finding.verdict, finding.file, finding.line) for finding in findings] == [(MODIFIED, name, at // 32 + 1)]


@LAW
@given(data=st.data())
def test_line_and_hash_changed_together_are_modified(original: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Without the key an attacker can make the hashes match the lines, but not the checkpoints."""
    copy = tmp_path / "together"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(original, copy)
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    [path] = copy.glob(f"*/{name}")
    lines = whole_lines(path.read_bytes())
    at = data.draw(st.integers(1, len(lines) - 1)) if len(lines) > 1 else 0
    lines[at] = lines[at].replace(b'"version":"1.', b'"version":"9.')
    path.write_bytes(b"".join(lines))
    from iam_guard.audit.verify.merkle import leaf_hashes

    path.with_suffix(".hashes").write_bytes(b"".join(leaf_hashes(lines)))
    [finding, *others] = verify_trail(copy, RING).findings
    assert (finding.verdict, finding.file) == (MODIFIED, name)
    assert {other.verdict for other in others} <= {MODIFIED}
    assert all(other.file is not None and other.file <= name for other in others), (
        "later segments are verified independently"
    )


@pytest.mark.parametrize("verdict", [REORDERED, MISSING, TRUNCATED_TAIL, MODIFIED])
def test_changes_without_hashes_are_found_by_sequence(trail: Path, verdict: Verdict) -> None:
    """The sequences in the lines show what is missing and what is out of order."""
    segments = segments_of(next(trail.iterdir()))
    segment = segments[-1] if verdict is TRUNCATED_TAIL else segments[1]
    lines = whole_lines(segment.lines.read_bytes())
    changes = {
        REORDERED: [*lines[:2], lines[3], lines[2], *lines[4:]],
        MISSING: [*lines[:2], *lines[3:]],
        TRUNCATED_TAIL: lines[:-1],
        MODIFIED: [*lines[:2], lines[2].replace(b"Allowed", b"Denied"), *lines[3:]],
    }
    segment.lines.write_bytes(b"".join(changes[verdict]))
    segment.hashes.write_bytes(b"")
    [finding, *_] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.file) == (verdict, segment.lines.name)
    if verdict is not TRUNCATED_TAIL:
        assert segment.first <= (finding.sequence or 0) < segments[2].first


# --- laws: a whole trail ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trail of several shards: two ended, one killed and recovered, one still being written."""
    trail = tmp_path_factory.mktemp("several")
    written(trail, 12)
    written(trail, 9, is_ended=False, unsigned=1)
    recover_trail(trail, KEY, RING)
    written(trail, 15)
    written(trail, 10, is_ended=False)
    assert verdicts(trail) == [GAP]
    return trail


def protected_files(trail: Path) -> list[Path]:
    """Return the files of a trail whose every byte is signed or identifies the signer."""
    return sorted(path for path in trail.glob("*/*") if path.suffix in (".jsonl", ".hashes", ".checkpoints"))


@pytest.fixture
def altered(several: Path, tmp_path: Path) -> Callable[[Callable[[Path], None]], set[Verdict]]:
    """Return a function that changes a copy of the trail and returns the verdicts, without the declared gap."""

    def alter(change: Callable[[Path], None]) -> set[Verdict]:
        copy = tmp_path / "altered"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(several, copy)
        change(copy)
        return set(verdicts(copy)) - {GAP}

    return alter


Altered = Callable[[Callable[[Path], None]], set[Verdict]]
EXPECTED = {
    ".jsonl": {MODIFIED},
    ".hashes": {MODIFIED},
    ".checkpoints": {BAD_SIGNATURE, UNKNOWN_KEY, UNSIGNED_TAIL, TRUNCATED_TAIL},
}
"""The possible verdicts for a changed byte; an invalid checkpoint leaves its lines unsigned."""


@THOROUGH
@given(data=st.data())
def test_changed_byte_in_trail_of_several_is_found(several: Path, altered: Altered, data: st.DataObject) -> None:
    """Lines, hashes, checkpoints, of shards in every state; the lock and the reserve have no content."""
    path = data.draw(st.sampled_from(protected_files(several))).relative_to(several)
    content = (several / path).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    by = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    found = altered(lambda trail: overwrite(trail / path, content[:at] + bytes([by]) + content[at + 1 :]))
    if is_open_end(several / path, at):
        assert found <= EXPECTED[path.suffix], "an incomplete checkpoint at the end of an open shard is ignored"
        return
    assert found
    assert found <= EXPECTED[path.suffix]


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def is_open_end(path: Path, at: int) -> bool:
    """Return whether this is the line break at the end of the last note of an open shard."""
    is_last = path.name == names_of(path.parent, ".checkpoints")[-1]
    return is_last and (path.parent / "lock").exists() and at >= path.stat().st_size - 2


def names_of(shard: Path, ending: str) -> list[str]:
    return sorted(path.name for path in shard.glob(f"*{ending}"))


@THOROUGH
@given(data=st.data())
def test_truncated_file_in_trail_of_several_is_found(several: Path, altered: Altered, data: st.DataObject) -> None:
    """At any length: lines after a checkpoint, a part of the hashes, the last notes.

    An open shard may not have the hashes and notes of its last lines yet: then these lines are unsigned.
    """
    path = data.draw(st.sampled_from(protected_files(several))).relative_to(several)
    content = (several / path).read_bytes()
    keep = data.draw(st.integers(0, len(content) - 1))
    found = altered(lambda trail: overwrite(trail / path, content[:keep]))
    expected = {
        ".jsonl": {MODIFIED, MISSING, TRUNCATED_TAIL},
        ".hashes": {MISSING, MODIFIED},
        ".checkpoints": {BAD_SIGNATURE, UNSIGNED_TAIL},
    }[path.suffix]
    if path.suffix == ".checkpoints" and not found:
        assert is_covered(several / path, keep), "nothing is lost: the next segment has the removed checkpoint"
        return
    assert found
    assert found <= expected


def is_covered(path: Path, keep: int) -> bool:
    """Return whether the remaining notes are complete and the lines still signed, or the shard is open."""
    is_whole = path.read_bytes()[:keep].count(b"\n\n") % 2 == 0 and path.read_bytes()[:keep][-2:] in (b"", b"\n\n")
    is_followed = path.name != names_of(path.parent, ".checkpoints")[-1]
    return (is_whole and is_followed) or (path.parent / "lock").exists()


@LAW
@given(data=st.data())
def test_content_of_another_shard_is_found(several: Path, altered: Altered, data: st.DataObject) -> None:
    """MODIFIED, though the lines are signed in their own shard; swapped files are found too."""
    ending = data.draw(st.sampled_from([".jsonl", ".hashes", ".checkpoints"]))
    paths = [path.relative_to(several) for path in protected_files(several) if path.suffix == ending]
    one, other = data.draw(st.lists(st.sampled_from(paths), min_size=2, max_size=2, unique=True))
    kept = (several / one).read_bytes(), (several / other).read_bytes()
    if kept[0] == kept[1]:
        return
    whole = data.draw(st.booleans()) or ending != ".jsonl"
    if whole:

        def exchange(trail: Path) -> None:
            overwrite(trail / one, kept[1])
            overwrite(trail / other, kept[0])

        assert altered(exchange)
        return
    lines, others = whole_lines(kept[0]), whole_lines(kept[1])
    at, count = data.draw(st.integers(0, len(lines))), data.draw(st.integers(0, 2))
    spliced = [*lines[:at], *others[-2:], *lines[at + count :]]
    found = altered(lambda trail: overwrite(trail / one, b"".join(spliced)))
    assert found
    assert found <= {MODIFIED, TRUNCATED_TAIL}


@pytest.mark.parametrize("number", range(3))
def test_removed_shard_of_several_is_missing(several: Path, altered: Altered, number: int) -> None:
    """All but the newest, which no shard lists."""
    name = shards_of(several)[number].name
    assert altered(lambda trail: shutil.rmtree(trail / name)) == {MISSING}


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "number", "expected"),
    [
        (".jsonl", 0, [MISSING]),
        (".jsonl", 1, [MISSING]),
        (".jsonl", -1, [TRUNCATED_TAIL]),
        (".hashes", 0, [MISSING]),
        (".hashes", -1, [MISSING]),
        (".checkpoints", 0, [MISSING]),
        (".checkpoints", 1, [MISSING]),
        (".checkpoints", -1, [UNSIGNED_TAIL]),
    ],
)
def test_removed_file_is_found(trail: Path, ending: str, number: int, expected: list[Verdict]) -> None:
    [*paths] = sorted(trail.glob(f"*/*{ending}"))
    paths[number].unlink()
    assert verdicts(trail) == expected


@pytest.mark.parametrize("number", [0, 1, 2])
def test_removed_segment_is_missing_and_later_verified(trail: Path, number: int) -> None:
    """MISSING with the first missing sequence; the segments after it are still verified."""
    segment = segments_of(next(trail.iterdir()))[number]
    for path in (segment.lines, segment.hashes, segment.checkpoints):
        path.unlink()
    findings = verify_trail(trail, RING).findings
    assert [(finding.verdict, finding.sequence) for finding in findings] == [(MISSING, segment.first)]
    later = segments_of(next(trail.iterdir()))[-1]
    later.lines.write_bytes(later.lines.read_bytes().replace(b"Allowed", b"Denied", 1))
    assert verdicts(trail) == [MISSING, MODIFIED]


def test_inserted_segment_is_found(trail: Path) -> None:
    segment = segments_of(next(trail.iterdir()))[1]
    shutil.copy(segment.lines, segment.folder / f"{segment.first + 1:012}.jsonl")
    assert MODIFIED in verdicts(trail) or MISSING in verdicts(trail)


def test_renamed_shard_is_bad_signature(trail: Path) -> None:
    """The checkpoints name the shard."""
    shard = next(trail.iterdir())
    shard.rename(trail / "docs-other-1-20260101T000000.000000Z")
    assert BAD_SIGNATURE in verdicts(trail)


# --- signatures ------------------------------------------------------------------------------------------------------


def test_trail_signed_by_unknown_key_is_reported(original: Path) -> None:
    """UNKNOWN_KEY for every checkpoint; nothing is signed."""
    report = verify_trail(original, KeyRing([UNTRUSTED_KEY.verifier]))
    assert {finding.verdict for finding in report.findings} == {UNKNOWN_KEY, UNSIGNED_TAIL}
    assert report.shards[0].signed == 0
    [tail] = [finding for finding in report.findings if finding.verdict is UNSIGNED_TAIL]
    assert tail.detail.startswith(f"{report.shards[0].lines} lines")


def test_rewritten_shard_with_anchor_is_forked(trail: Path) -> None:
    """FORKED: the rewritten trail is consistent, but not with an external checkpoint."""
    shard = next(trail.iterdir())
    kept = last_segment_note(shard)
    original_lines = lines_of(shard)
    forged = rewritten(shard, [line.replace(b"id-3", b"id-x") for line in original_lines])
    assert verdicts(forged.parent) == []
    report = verify_trail(forged.parent, RING, since=read_anchors(kept, RING, place="kept"))
    assert [finding.verdict for finding in report.findings] == [FORKED]


def last_segment_note(shard: Path) -> bytes:
    """Return the last but one checkpoint of the shard, as an external checkpoint."""
    blocks = b"".join(segment.checkpoints.read_bytes() for segment in segments_of(shard)).split(b"\n\n")
    return blocks[-3] + b"\n\n" + blocks[-2] + b"\n"


def rewritten(shard: Path, lines: list[bytes]) -> Path:
    """Rewrite the shard, as an attacker with the key can."""
    from iam_guard.audit.verify.merkle import Tree, leaf_hashes

    for path in shard.iterdir():
        path.unlink()
    tree = Tree()
    tree.extend(leaf_hashes(lines))
    (shard / "000000000000.jsonl").write_bytes(b"".join(lines))
    (shard / "000000000000.hashes").write_bytes(b"".join(leaf_hashes(lines)))
    note = sign_checkpoint(shard.name, tree.size, tree.root(), KEY)
    (shard / "000000000000.checkpoints").write_text(note + "\n", encoding="utf-8")
    return shard


def test_contradicting_checkpoints_are_forked(trail: Path) -> None:
    """FORKED at the note that doesn't match the lines."""
    shard = next(trail.iterdir())
    segment = segments_of(shard)[-1]
    note = sign_checkpoint(shard.name, segment.first + 1, b"x" * 32, KEY)
    segment.checkpoints.write_bytes(segment.checkpoints.read_bytes() + note.encode() + b"\n")
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.sequence) == (FORKED, segment.first + 1)


def test_checkpoint_of_another_segment_is_reordered(trail: Path) -> None:
    first, second, *_ = segments_of(next(trail.iterdir()))
    second.checkpoints.write_bytes(first.checkpoints.read_bytes() + second.checkpoints.read_bytes())
    assert verdicts(trail) == [REORDERED]


def test_checkpoint_of_another_shard_is_bad_signature(tmp_path: Path) -> None:
    """BAD_SIGNATURE: it signs another tree."""
    one, other = written(tmp_path, 3), written(tmp_path, 3)
    target = segments_of(one)[-1].checkpoints
    target.write_bytes(segments_of(other)[-1].checkpoints.read_bytes())
    assert verdicts(tmp_path) == [BAD_SIGNATURE, UNSIGNED_TAIL]


# --- tails and gaps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unsigned", [1, 2, 3])
def test_lines_without_checkpoint_are_unsigned_tail(tmp_path: Path, unsigned: int) -> None:
    """UNSIGNED_TAIL, with their number and the sequence of the first."""
    shard = written(tmp_path, 6, is_ended=False, unsigned=unsigned)
    [finding] = verify_trail(tmp_path, RING).findings
    assert finding.verdict is UNSIGNED_TAIL
    assert finding.detail.startswith(f"{unsigned} lines")
    assert finding.sequence == len(lines_of(shard)) - unsigned


def test_half_line_is_unsigned_tail(tmp_path: Path) -> None:
    """A killed process leaves such a line."""
    shard = written(tmp_path, 6, is_ended=False)
    segment = segments_of(shard)[-1]
    segment.lines.write_bytes(segment.lines.read_bytes() + record(7)[:30])
    [finding] = verify_trail(tmp_path, RING).findings
    assert finding.verdict is UNSIGNED_TAIL
    assert "half a line" in finding.detail


def test_copied_line_at_open_end_is_modified(tmp_path: Path) -> None:
    """The sequence in the line is another one."""
    shard = written(tmp_path, 6, is_ended=False)
    segment = segments_of(shard)[-1]
    content = segment.lines.read_bytes()
    segment.lines.write_bytes(content + whole_lines(content)[-1])
    assert verdicts(tmp_path) == [MODIFIED]


def test_declared_gap_is_reported(tmp_path: Path) -> None:
    """GAP, with the declared facts."""
    writer = writer_in(tmp_path)
    writer.gap(Gap("RingFull", lost=3))
    writer.close()
    [finding] = verify_trail(tmp_path, RING).findings
    assert (finding.verdict, finding.line, finding.sequence) == (GAP, 2, 1)
    assert finding.detail == 'a gap is declared: reason "RingFull", lost 3'


# --- since a checkpoint ----------------------------------------------------------------------------------------------


def test_since_checkpoint_reads_only_later_segments(trail: Path) -> None:
    """Earlier segments are skipped, even if modified."""
    shard = next(trail.iterdir())
    anchors = read_anchors(last_segment_note(shard), RING, place="kept")
    first = segments_of(shard)[0]
    first.lines.write_bytes(first.lines.read_bytes().replace(b"Allowed", b"Denied", 1))
    assert verdicts(trail) == [MODIFIED]
    progress: list[int] = []
    assert verify_trail(trail, RING, since=anchors, progress=progress.append).is_ok
    assert 0 < sum(progress) < trail_bytes(trail) / 2


@pytest.mark.parametrize("note", range(8))
def test_since_any_checkpoint_is_ok(original: Path, note: int) -> None:
    shard = next(original.iterdir())
    blocks = b"".join(segment.checkpoints.read_bytes() for segment in segments_of(shard)).split(b"\n\n")[:-1]
    kept = b"\n\n".join(blocks[note * 2 : note * 2 + 2]) + b"\n"
    assert verify_trail(original, RING, since=read_anchors(kept, RING, place="kept")).is_ok


def test_shard_shorter_than_anchor_is_truncated(tmp_path: Path) -> None:
    """TRUNCATED_TAIL, though lines, hashes and checkpoints were cut alike; MISSING if the whole shard is removed."""
    writer = writer_in(tmp_path / "trail")
    writer.append([record(number) for number in range(3)])
    early = writer.checkpoint()
    shard = tmp_path / "trail" / str(writer.shard)
    shutil.copytree(shard, tmp_path / "early" / shard.name)
    writer.append([record(number) for number in range(3)])
    late = writer.checkpoint()
    writer.abandon()
    anchors = read_anchors(late.encode(), RING, place="kept")
    assert verify_trail(tmp_path / "early", RING).is_ok
    assert [finding.verdict for finding in verify_trail(tmp_path / "early", RING, since=anchors).findings] == [
        TRUNCATED_TAIL
    ]
    shutil.rmtree(tmp_path / "early" / shard.name)
    assert [finding.verdict for finding in verify_trail(tmp_path / "early", RING, since=anchors).findings] == [MISSING]
    assert read_anchors(f"{early}\n{late}\n".encode(), RING, place="kept") == anchors


@table("content", [b"", b"x", b"a\n1\nb\n\n\xe2\x80\x94 a b\n"])
def test_read_anchors_malformed_raises(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_anchors(content, RING, place="kept")


def test_read_anchors_signed_by_unknown_key_raises() -> None:
    note = sign_checkpoint("docs-a-1-x", 1, b"x" * 32, UNTRUSTED_KEY).encode()
    with pytest.raises(InvalidInput, match="unknown key"):
        read_anchors(note, RING, place="kept")


OWN = b'{"iamGuard":{"kind":"audit_%s","state":%s,"previous":%s,"dropped":%s,"reason":"\\u001b[2J"}}\n'
ODD = [
    b"null",
    b"7",
    b'"x"',
    b"[]",
    b"{}",
    b'["zz"]',
    b'{"shard":1,"first":"x"}',
    b'{"shard":"s","first":true}',
    b'"\\ud800"',
]


@LAW
@given(data=st.data())
def test_verification_of_arbitrary_content_never_fails(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """No content raises an exception, and details are printable."""
    name = data.draw(
        st.sampled_from([*names(original, ".jsonl"), *names(original, ".hashes"), *names(original, ".checkpoints")])
    )
    kind = data.draw(st.sampled_from([b"segment", b"gap", b"retention", b"end", b"x"]))
    own = OWN % (kind, *(data.draw(st.sampled_from(ODD)) for _ in range(3)))
    garbage = data.draw(
        st.one_of(st.binary(max_size=200), st.just(own), st.just(b"\xe2\x80\x94 \n\n"), st.just(b"[" * 5000))
    )
    at = data.draw(st.integers(0, 400))
    cut = data.draw(st.integers(0, 400))
    findings = changed(name, lambda whole: whole[:at] + garbage + whole[at + cut :])
    assert findings or not garbage
    assert all(finding.detail.isprintable() for finding in findings)


LIVE = """
import sys, time
from pathlib import Path
from tests.audit.trails import record, writer_in
from iam_guard.audit.writer.segment_writer import SegmentLimits
writer = writer_in(Path(sys.argv[1]), SegmentLimits(checkpoint_records=50, segment_bytes=20_000))
print(flush=True)
while True:
    writer.append([record(each) for each in range(20)])
    writer.commit()
    time.sleep(0.001)
"""


def test_trail_being_written_has_only_unsigned_tail(tmp_path: Path) -> None:
    """Through several segments."""
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen([sys.executable, "-c", LIVE, str(tmp_path)], cwd=root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            while not shards_of(tmp_path) or len(segments_of(only_shard(tmp_path))) < 2:
                time.sleep(0.01)
            found: set[Verdict] = set()
            for _ in range(200):
                found |= set(verdicts(tmp_path))
                if len(segments_of(only_shard(tmp_path))) > 5:
                    break
        finally:
            process.kill()
    assert found <= {UNSIGNED_TAIL}
    assert len(segments_of(only_shard(tmp_path))) > 3


# --- limits ----------------------------------------------------------------------------------------------------------


def test_endless_line_is_read_with_bounded_memory(tmp_path: Path) -> None:
    """A file of some MiB without a line break is one unsigned half line."""
    shard = written(tmp_path, 3, is_ended=False)
    segment = segments_of(shard)[-1]
    with segment.lines.open("ab") as file:
        file.write(b"x" * 5_000_000)
    assert verdicts(tmp_path) == [UNSIGNED_TAIL]


def test_findings_per_shard_are_limited(tmp_path: Path) -> None:
    """A thousand are reported, the rest is counted."""
    limits = SegmentLimits(checkpoint_records=10_000, segment_bytes=10**9)
    writer = writer_in(tmp_path, limits)
    writer.append([record(number) for number in range(3000)])
    shard = tmp_path / str((writer.checkpoint(), writer.shard)[1])
    writer.abandon()
    segment = segments_of(shard)[0]
    lines = whole_lines(segment.lines.read_bytes())
    lines[1::2] = [line.replace(b"Allowed", b"Denied") for line in lines[1::2]]
    segment.lines.write_bytes(b"".join(lines))
    findings = verify_trail(tmp_path, RING).findings
    assert len(findings) == 1001
    assert findings[-1].detail == "and 500 more findings"


def test_small_limits_make_several_checkpoints() -> None:
    """The fixtures above have several checkpoints in each of several segments."""
    assert SMALL.checkpoint_records < 5

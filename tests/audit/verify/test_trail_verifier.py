"""Verifying: every change to a trail is found, with the right verdict, at the right place."""

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
from iam_guard.audit.writer.recovery import recover
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.errors import InvalidInput
from tests.audit.trails import KEY, RING, SMALL, STRANGER, lines_of, only_shard, record, verdicts, writer_in, written

THOROUGH = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MODIFIED, REORDERED, MISSING = Verdict.MODIFIED, Verdict.REORDERED, Verdict.MISSING
TRUNCATED_TAIL, FORKED, GAP = Verdict.TRUNCATED_TAIL, Verdict.FORKED, Verdict.GAP
BAD_SIGNATURE, UNKNOWN_KEY, UNSIGNED_TAIL = Verdict.BAD_SIGNATURE, Verdict.UNKNOWN_KEY, Verdict.UNSIGNED_TAIL


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trail of one shard that has ended, of several segments."""
    trail = tmp_path_factory.mktemp("original")
    shard = written(trail)
    assert len(segments_of(shard)) > 3
    return trail


@pytest.fixture
def trail(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "trail"))


@pytest.fixture
def changed(original: Path, tmp_path: Path) -> Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]]:
    """Change one file of a copy, verify it, and change it back."""

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


def test_a_trail_that_nobody_touched_is_ok(original: Path) -> None:
    report = verify_trail(original, RING)
    [shard] = report.shards
    assert report.is_ok
    assert (shard.lines, shard.signed, shard.has_ended, shard.dropped) == (
        *(len(lines_of(next(original.iterdir()))), shard.lines),
        *(True, 0),
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9])
def test_trails_of_every_small_size_are_ok(tmp_path: Path, count: int) -> None:
    writer = writer_in(tmp_path)
    writer.append([record(number) for number in range(count)])
    writer.checkpoint()
    assert verdicts(tmp_path) == []
    writer.close()
    assert verdicts(tmp_path) == []


def test_several_shards_are_verified(tmp_path: Path) -> None:
    """A writer that stopped and one that goes on."""
    for _ in range(3):
        written(tmp_path, 10)
    going = writer_in(tmp_path)
    going.append([record(1)])
    going.checkpoint()
    report = verify_trail(tmp_path, RING)
    assert report.is_ok
    assert sorted(shard.has_ended for shard in report.shards) == [False, True, True, True]
    going.close()


def test_progress_is_told(original: Path) -> None:
    """The bytes that are read are those that there are."""
    told: list[int] = []
    verify_trail(original, RING, progress=told.append)
    assert sum(told) == trail_bytes(original) == sum(path.stat().st_size for path in original.glob("*/*.jsonl"))


def test_a_folder_without_shards_is_no_trail(tmp_path: Path) -> None:
    """An empty folder is not OK: whoever removes everything must not be told so."""
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidInput, match="found no shard"):
            verify_trail(folder, RING)


def test_every_verdict_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Verdict)


# --- laws: lines -----------------------------------------------------------------------------------------------------


@LAW
@given(data=st.data())
def test_every_changed_byte_of_a_line_is_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED, at the line in which the byte stands; line breaks and the first and last lines included."""
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
def test_every_deleted_byte_of_a_line_is_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED; the last byte of the shard is a tail that was cut off."""
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
    """Return a file with other lines of its own."""
    return lambda whole: b"".join(whole_lines(whole)[index] for index in order)


@LAW
@given(data=st.data())
def test_swapped_lines_are_found(
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
def test_deleted_lines_are_found(
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
def test_lines_that_were_put_in_are_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED at that line, be it a copy of another of the segment or of the shard, or one that was made up."""
    name = data.draw(st.sampled_from(names(original, ".jsonl")))
    lines = whole_lines(next(original.glob(f"*/{name}")).read_bytes())
    shard = next(original.iterdir())
    put_in = data.draw(st.sampled_from([*lines, *lines_of(shard), record(7), b"\n", b"{}\n"]))
    at = data.draw(st.integers(0, len(lines)))
    findings = changed(name, lambda _: b"".join([*lines[:at], put_in, *lines[at:]]))
    assert [finding.verdict for finding in findings] == [MODIFIED]
    copies = {at + 1} | {index + 1 for index, line in enumerate([*lines[:at], put_in, *lines[at:]]) if line == put_in}
    assert findings[0].line in copies


@LAW
@given(data=st.data())
def test_lines_that_were_replaced_are_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED, be the other line from another shard, another segment, or made up with the right sequence."""
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
def test_a_tail_that_was_cut_off_is_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """TRUNCATED_TAIL, wherever the cut is, as long as the checkpoints are left."""
    name = names(original, ".jsonl")[-1]
    size = next(original.glob(f"*/{name}")).stat().st_size
    keep = data.draw(st.integers(0, size - 1))
    assert [each.verdict for each in changed(name, lambda whole: whole[:keep])] == [TRUNCATED_TAIL]


# --- laws: what stands beside the lines ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1])
def test_a_last_note_whose_parts_run_together_is_no_half_note(
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
def test_every_changed_byte_of_a_checkpoint_is_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """BAD_SIGNATURE, or UNKNOWN_KEY where the byte names the key; lines that a later one signs are none the worse.

    Without the line breaks that end it, the last note is half a note, as a killed process leaves: UNSIGNED_TAIL.
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
def test_every_changed_byte_of_a_hash_is_found(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """MODIFIED at that hash; the lines themselves are as they were."""
    name = data.draw(st.sampled_from(names(original, ".hashes")))
    content = next(original.glob(f"*/{name}")).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    by = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    findings = changed(name, lambda whole: whole[:at] + bytes([by]) + whole[at + 1 :])
    assert [(finding.verdict, finding.file, finding.line) for finding in findings] == [(MODIFIED, name, at // 32 + 1)]


@LAW
@given(data=st.data())
def test_lines_and_hashes_that_were_changed_together_are_found(
    original: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Whoever has no key can make the hashes fit the lines, and nothing more: the checkpoints do not."""
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
    assert all(other.file is not None and other.file <= name for other in others), "the next segments are judged alone"


@pytest.mark.parametrize("verdict", [REORDERED, MISSING, TRUNCATED_TAIL, MODIFIED])
def test_without_hashes_the_sequences_tell(trail: Path, verdict: Verdict) -> None:
    """What the lines say of themselves tells what is missing and what is out of order."""
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
    """A trail of several shards: two that have ended, one that was killed and recovered, one that is still written."""
    trail = tmp_path_factory.mktemp("several")
    written(trail, 12)
    written(trail, 9, is_ended=False, unsigned=1)
    recover(trail, KEY, RING)
    written(trail, 15)
    written(trail, 10, is_ended=False)
    assert verdicts(trail) == [GAP]
    return trail


def sealed(trail: Path) -> list[Path]:
    """Return every file of a trail of which every byte is signed or says who signed."""
    return sorted(path for path in trail.glob("*/*") if path.suffix in (".jsonl", ".hashes", ".checkpoints"))


@pytest.fixture
def altered(several: Path, tmp_path: Path) -> Callable[[Callable[[Path], None]], set[Verdict]]:
    """Do something to a copy of the trail; give what is found besides the gap that it declares."""

    def alter(what: Callable[[Path], None]) -> set[Verdict]:
        copy = tmp_path / "altered"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(several, copy)
        what(copy)
        return set(verdicts(copy)) - {GAP}

    return alter


Altered = Callable[[Callable[[Path], None]], set[Verdict]]
EXPECTED = {
    ".jsonl": {MODIFIED},
    ".hashes": {MODIFIED},
    ".checkpoints": {BAD_SIGNATURE, UNKNOWN_KEY, UNSIGNED_TAIL, TRUNCATED_TAIL},
}
"""What a changed byte of a file is found as; where a checkpoint is none any more, lines have none."""


@THOROUGH
@given(data=st.data())
def test_every_changed_byte_of_every_file_is_found(several: Path, altered: Altered, data: st.DataObject) -> None:
    """Lines, hashes, checkpoints, of shards in every state; the lock and the reserve hold nothing."""
    path = data.draw(st.sampled_from(sealed(several))).relative_to(several)
    content = (several / path).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    by = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    found = altered(lambda trail: overwrite(trail / path, content[:at] + bytes([by]) + content[at + 1 :]))
    if is_open_end(several / path, at):
        assert found <= EXPECTED[path.suffix], "half a checkpoint at the end of what is written says nothing"
        return
    assert found
    assert found <= EXPECTED[path.suffix]


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def is_open_end(path: Path, at: int) -> bool:
    """Return whether this is the line break that ends the last note of a shard that is written."""
    is_last = path.name == names_of(path.parent, ".checkpoints")[-1]
    return is_last and (path.parent / "lock").exists() and at >= path.stat().st_size - 2


def names_of(shard: Path, ending: str) -> list[str]:
    return sorted(path.name for path in shard.glob(f"*{ending}"))


@THOROUGH
@given(data=st.data())
def test_every_file_that_is_cut_is_found(several: Path, altered: Altered, data: st.DataObject) -> None:
    """Wherever: a tail after a checkpoint, a part of the hashes, the last notes.

    Of a shard that is written, hashes and notes of the last lines may not be there yet: then lines are unsigned.
    """
    path = data.draw(st.sampled_from(sealed(several))).relative_to(several)
    content = (several / path).read_bytes()
    keep = data.draw(st.integers(0, len(content) - 1))
    found = altered(lambda trail: overwrite(trail / path, content[:keep]))
    expected = {
        ".jsonl": {MODIFIED, MISSING, TRUNCATED_TAIL},
        ".hashes": {MISSING, MODIFIED},
        ".checkpoints": {BAD_SIGNATURE, UNSIGNED_TAIL},
    }[path.suffix]
    if path.suffix == ".checkpoints" and not found:
        assert is_covered(several / path, keep), "nothing is lost: the next segment opens with what was cut"
        return
    assert found
    assert found <= expected


def is_covered(path: Path, keep: int) -> bool:
    """Return whether what is left are whole notes, and the lines are signed all the same; or the end of an open one."""
    is_whole = path.read_bytes()[:keep].count(b"\n\n") % 2 == 0 and path.read_bytes()[:keep][-2:] in (b"", b"\n\n")
    is_followed = path.name != names_of(path.parent, ".checkpoints")[-1]
    return (is_whole and is_followed) or (path.parent / "lock").exists()


@LAW
@given(data=st.data())
def test_lines_spliced_in_from_another_shard_are_found(several: Path, altered: Altered, data: st.DataObject) -> None:
    """MODIFIED, though they are signed where they come from; whole files that changed places are found too."""
    ending = data.draw(st.sampled_from([".jsonl", ".hashes", ".checkpoints"]))
    paths = [path.relative_to(several) for path in sealed(several) if path.suffix == ending]
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
def test_a_shard_that_is_removed_from_a_trail_of_several_is_found(several: Path, altered: Altered, number: int) -> None:
    """All but the last to begin, which nobody has named."""
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
def test_a_file_that_is_not_there_is_found(trail: Path, ending: str, number: int, expected: list[Verdict]) -> None:
    [*paths] = sorted(trail.glob(f"*/*{ending}"))
    paths[number].unlink()
    assert verdicts(trail) == expected


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_whole_segment_that_is_not_there_is_found(trail: Path, number: int) -> None:
    """MISSING with the sequence from which on; the segments after it are verified all the same."""
    segment = segments_of(next(trail.iterdir()))[number]
    for path in (segment.lines, segment.hashes, segment.checkpoints):
        path.unlink()
    findings = verify_trail(trail, RING).findings
    assert [(finding.verdict, finding.sequence) for finding in findings] == [(MISSING, segment.first)]
    later = segments_of(next(trail.iterdir()))[-1]
    later.lines.write_bytes(later.lines.read_bytes().replace(b"Allowed", b"Denied", 1))
    assert verdicts(trail) == [MISSING, MODIFIED]


def test_a_segment_that_was_put_in_is_found(trail: Path) -> None:
    segment = segments_of(next(trail.iterdir()))[1]
    shutil.copy(segment.lines, segment.folder / f"{segment.first + 1:012}.jsonl")
    assert MODIFIED in verdicts(trail) or MISSING in verdicts(trail)


def test_a_shard_under_another_name_is_found(trail: Path) -> None:
    """The checkpoints name the shard."""
    shard = next(trail.iterdir())
    shard.rename(trail / "docs-other-1-20260101T000000.000000Z")
    assert BAD_SIGNATURE in verdicts(trail)


# --- signatures ------------------------------------------------------------------------------------------------------


def test_a_trail_of_an_unknown_key_is_found(original: Path) -> None:
    """UNKNOWN_KEY for every checkpoint; nothing is signed."""
    report = verify_trail(original, KeyRing([STRANGER.verifier]))
    assert {finding.verdict for finding in report.findings} == {UNKNOWN_KEY, UNSIGNED_TAIL}
    assert report.shards[0].signed == 0
    [tail] = [finding for finding in report.findings if finding.verdict is UNSIGNED_TAIL]
    assert tail.detail.startswith(f"{report.shards[0].lines} lines")


def test_a_shard_that_was_written_anew_with_the_key_contradicts_what_is_kept_elsewhere(trail: Path) -> None:
    """FORKED: the trail alone is consistent, and a checkpoint that somebody kept tells it apart."""
    shard = next(trail.iterdir())
    kept = last_segment_note(shard)
    original_lines = lines_of(shard)
    forged = rewritten(shard, [line.replace(b"id-3", b"id-x") for line in original_lines])
    assert verdicts(forged.parent) == []
    report = verify_trail(forged.parent, RING, since=read_anchors(kept, RING, place="kept"))
    assert [finding.verdict for finding in report.findings] == [FORKED]


def last_segment_note(shard: Path) -> bytes:
    """Return the last checkpoint but one of the last segment that has two, as somebody would have kept it."""
    blocks = b"".join(segment.checkpoints.read_bytes() for segment in segments_of(shard)).split(b"\n\n")
    return blocks[-3] + b"\n\n" + blocks[-2] + b"\n"


def rewritten(shard: Path, lines: list[bytes]) -> Path:
    """Write the shard anew, as whoever has the key can."""
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


def test_two_checkpoints_that_contradict_each_other_are_a_fork(trail: Path) -> None:
    """FORKED at the note that is not what the lines make."""
    shard = next(trail.iterdir())
    segment = segments_of(shard)[-1]
    note = sign_checkpoint(shard.name, segment.first + 1, b"x" * 32, KEY)
    segment.checkpoints.write_bytes(segment.checkpoints.read_bytes() + note.encode() + b"\n")
    [finding] = verify_trail(trail, RING).findings
    assert (finding.verdict, finding.sequence) == (FORKED, segment.first + 1)


def test_a_checkpoint_of_another_segment_is_found(trail: Path) -> None:
    first, second, *_ = segments_of(next(trail.iterdir()))
    second.checkpoints.write_bytes(first.checkpoints.read_bytes() + second.checkpoints.read_bytes())
    assert verdicts(trail) == [REORDERED]


def test_a_checkpoint_of_another_shard_signs_nothing(tmp_path: Path) -> None:
    """BAD_SIGNATURE: what it says is true of another tree."""
    one, other = written(tmp_path, 3), written(tmp_path, 3)
    target = segments_of(one)[-1].checkpoints
    target.write_bytes(segments_of(other)[-1].checkpoints.read_bytes())
    assert verdicts(tmp_path) == [BAD_SIGNATURE, UNSIGNED_TAIL]


# --- tails and gaps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unsigned", [1, 2, 3])
def test_lines_without_a_checkpoint_are_told(tmp_path: Path, unsigned: int) -> None:
    """UNSIGNED_TAIL, with their number, and the place of the first."""
    shard = written(tmp_path, 6, is_ended=False, unsigned=unsigned)
    [finding] = verify_trail(tmp_path, RING).findings
    assert finding.verdict is UNSIGNED_TAIL
    assert finding.detail.startswith(f"{unsigned} lines")
    assert finding.sequence == len(lines_of(shard)) - unsigned


def test_half_a_line_is_told(tmp_path: Path) -> None:
    """What a killed process leaves."""
    shard = written(tmp_path, 6, is_ended=False)
    segment = segments_of(shard)[-1]
    segment.lines.write_bytes(segment.lines.read_bytes() + record(7)[:30])
    [finding] = verify_trail(tmp_path, RING).findings
    assert finding.verdict is UNSIGNED_TAIL
    assert "half a line" in finding.detail


def test_a_copied_line_at_an_open_end_is_found(tmp_path: Path) -> None:
    """It says of itself that it stands elsewhere."""
    shard = written(tmp_path, 6, is_ended=False)
    segment = segments_of(shard)[-1]
    content = segment.lines.read_bytes()
    segment.lines.write_bytes(content + whole_lines(content)[-1])
    assert verdicts(tmp_path) == [MODIFIED]


def test_a_declared_gap_is_told(tmp_path: Path) -> None:
    """GAP, with what was declared."""
    writer = writer_in(tmp_path)
    writer.gap(Gap("RingFull", lost=3))
    writer.close()
    [finding] = verify_trail(tmp_path, RING).findings
    assert (finding.verdict, finding.line, finding.sequence) == (GAP, 2, 1)
    assert finding.detail == 'a gap is declared: reason "RingFull", lost 3'


# --- since a checkpoint ----------------------------------------------------------------------------------------------


def test_since_a_checkpoint_only_what_comes_after_is_read(trail: Path) -> None:
    """Segments before it are left out, whatever stands in them."""
    shard = next(trail.iterdir())
    anchors = read_anchors(last_segment_note(shard), RING, place="kept")
    first = segments_of(shard)[0]
    first.lines.write_bytes(first.lines.read_bytes().replace(b"Allowed", b"Denied", 1))
    assert verdicts(trail) == [MODIFIED]
    told: list[int] = []
    assert verify_trail(trail, RING, since=anchors, progress=told.append).is_ok
    assert 0 < sum(told) < trail_bytes(trail) / 2


@pytest.mark.parametrize("note", range(8))
def test_every_checkpoint_is_one_to_go_on_from(original: Path, note: int) -> None:
    shard = next(original.iterdir())
    blocks = b"".join(segment.checkpoints.read_bytes() for segment in segments_of(shard)).split(b"\n\n")[:-1]
    kept = b"\n\n".join(blocks[note * 2 : note * 2 + 2]) + b"\n"
    assert verify_trail(original, RING, since=read_anchors(kept, RING, place="kept")).is_ok


def test_a_shard_that_is_shorter_than_what_is_kept_elsewhere_was_cut(tmp_path: Path) -> None:
    """TRUNCATED_TAIL, though lines, hashes and checkpoints were cut alike; MISSING when the whole shard is away."""
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


@pytest.mark.parametrize("content", [b"", b"x", b"a\n1\nb\n\n\xe2\x80\x94 a b\n"])
def test_what_is_no_checkpoint_is_no_ground_to_stand_on(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_anchors(content, RING, place="kept")


def test_a_checkpoint_of_a_stranger_is_no_ground_to_stand_on() -> None:
    note = sign_checkpoint("docs-a-1-x", 1, b"x" * 32, STRANGER).encode()
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
def test_whatever_stands_in_the_files_there_is_an_answer(
    original: Path, changed: Callable[[str, Callable[[bytes], bytes]], list[TrailFinding]], data: st.DataObject
) -> None:
    """Nothing in a file makes verifying fail, and nothing of it reaches a terminal as it is."""
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
from iam_guard.audit.writer.segment_limits import SegmentLimits
writer = writer_in(Path(sys.argv[1]), SegmentLimits(checkpoint_records=50, segment_bytes=20_000))
print(flush=True)
while True:
    writer.append([record(each) for each in range(20)])
    writer.commit()
    time.sleep(0.001)
"""


def test_a_trail_is_verified_while_it_is_written(tmp_path: Path) -> None:
    """Nothing but lines without a checkpoint is found, through rotations."""
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


def test_a_line_without_end_fills_no_memory(tmp_path: Path) -> None:
    """A file of some MiB without a line break is read with a bounded rest."""
    shard = written(tmp_path, 3, is_ended=False)
    segment = segments_of(shard)[-1]
    with segment.lines.open("ab") as file:
        file.write(b"x" * 5_000_000)
    assert verdicts(tmp_path) == [UNSIGNED_TAIL]


def test_findings_of_a_shard_are_bounded(tmp_path: Path) -> None:
    """A thousand are told, the rest is counted."""
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
    assert findings[-1].detail == "and 500 findings more"


def test_small_limits_are_small() -> None:
    """The fixtures above have several checkpoints in each of several segments."""
    assert SMALL.checkpoint_records < 5

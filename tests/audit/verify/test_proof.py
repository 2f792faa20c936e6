"""Proofs about a record, the checkpoints that are given away, and what retention leaves of both."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.verify.checkpoint import open_checkpoint
from iam_guard.audit.verify.merkle import Subtrees, Tree, inclusion_proof, leaf_hash, verify_inclusion
from iam_guard.audit.verify.proof import InclusionProof, latest_checkpoints, problem_of, prove
from iam_guard.audit.verify.shard import segments_of, shards_of, whole_lines
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.retention import drop_segments
from iam_guard.errors import InvalidInput
from tests.audit.trails import RING, STRANGER, lines_of, record, verdicts, writer_in, written

LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards; the records of the second have other ids."""
    folder = tmp_path_factory.mktemp("trail")
    written(folder, 40)
    writer = writer_in(folder)
    writer.append([record(number) for number in range(100, 110)])
    writer.close()
    return folder


@pytest.mark.parametrize("number", [*range(40), *range(100, 110)])
def test_every_record_is_proved(trail: Path, number: int) -> None:
    """And the proof survives being written as JSON."""
    proof = prove(trail, f"id-{number}", RING)
    again = InclusionProof.from_dict(json.loads(json.dumps(proof.to_dict())))
    assert again == proof
    assert problem_of(again, RING) is None
    assert json.loads(again.line)["eventID"] == f"id-{number}"


@given(number=st.integers(0, 39), data=st.data())
def test_a_proof_proves_one_line_at_one_place(trail: Path, number: int, data: st.DataObject) -> None:
    """Whatever is changed in it, it proves nothing any more."""
    proof = prove(trail, f"id-{number}", RING)
    at = data.draw(st.integers(0, len(proof.line) - 2))
    line = proof.line[:at] + bytes([proof.line[at] ^ 1]) + proof.line[at + 1 :]
    changed = [
        replace(proof, line=line),
        replace(proof, sequence=proof.sequence + 1),
        replace(proof, shard=proof.shard + "x"),
        replace(proof, path=proof.path[1:]),
        replace(proof, path=(*proof.path, bytes(32))),
        replace(proof, checkpoint=proof.checkpoint[:-5] + b"AAA=\n"),
        replace(proof, line=prove(trail, "id-101", RING).line),
    ]
    assert all(problem_of(each, RING) is not None for each in changed)
    assert problem_of(proof, KeyRing([STRANGER.verifier])) is not None


def test_what_is_not_there_has_no_proof(trail: Path, tmp_path: Path) -> None:
    """Neither has what stands in another member, nor what is not signed yet."""
    for event_id in ("none", "id-1000", 'id-1"', "id"):
        with pytest.raises(InvalidInput, match="there is no record"):
            prove(trail, event_id, RING)
    with pytest.raises(InvalidInput, match="there is no record"):
        prove(tmp_path / "none", "id-1", RING)
    writer = writer_in(tmp_path)
    writer.append([record(1, filler='"eventID":"id-2"')])
    writer.commit()
    with pytest.raises(InvalidInput, match="no checkpoint yet"):
        prove(tmp_path, "id-1", RING)
    with pytest.raises(InvalidInput, match="there is no record"):
        prove(tmp_path, "id-2", RING)
    writer.close()
    assert problem_of(prove(tmp_path, "id-1", RING), RING) is None


def test_a_record_that_was_changed_has_no_proof(tmp_path: Path) -> None:
    shard = written(tmp_path, 10)
    segment = segments_of(shard)[0]
    segment.lines.write_bytes(segment.lines.read_bytes().replace(b"Allowed", b"Denied", 1))
    with pytest.raises(InvalidInput, match="cannot be proved"):
        prove(tmp_path, "id-0", RING)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"sequence": "1"},
        {"sequence": True},
        {"path": ["?"]},
        {"path": 1},
        {"line": "\u00e9"},
        {"line": None},
        {"checkpoint": 7},
    ],
)
def test_what_is_no_proof_is_refused(trail: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="expected a proof"):
        InclusionProof.from_dict(prove(trail, "id-1", RING).to_dict() | change)
    with pytest.raises(InvalidInput, match="expected a proof"):
        InclusionProof.from_dict({})


def test_the_latest_checkpoint_of_each_shard_is_given(trail: Path) -> None:
    notes = latest_checkpoints(trail, RING)
    sizes = {
        open_checkpoint(note, RING).checkpoint.shard: open_checkpoint(note, RING).checkpoint.size for note in notes
    }
    assert sizes == {shard.name: len(lines_of(shard)) for shard in shards_of(trail)}
    assert latest_checkpoints(trail, KeyRing([STRANGER.verifier])) == []


# --- retention -------------------------------------------------------------------------------------------------------


def test_dropped_segments_are_gone_on_purpose(tmp_path: Path) -> None:
    """The trail stays OK, what is left can be proved, and a line that was kept elsewhere too."""
    shard = written(tmp_path, 40, is_ended=False)
    (shard / "lock").touch()
    kept = prove(tmp_path, "id-1", RING)
    writer = writer_in(tmp_path)
    writer.append([record(200)])
    dropped = drop_segments(tmp_path, writer, LATER)
    assert dropped == segments_of(shard)[:-1]
    assert not any(segment.lines.exists() for segment in dropped)
    report = verify_trail(tmp_path, RING)
    assert report.is_ok
    assert sum(each.dropped for each in report.shards) == segments_of(shard)[-1].first
    assert problem_of(prove(tmp_path, "id-39", RING), RING) is None
    assert problem_of(kept, RING) is None
    hashes = b"".join(segment.hashes.read_bytes() for segment in segments_of(shard))
    leaves = [hashes[begin : begin + 32] for begin in range(0, len(hashes), 32)]
    tree = Tree()
    tree.extend(leaves)
    path = inclusion_proof(kept.sequence, len(leaves), Subtrees(leaves))
    assert verify_inclusion(leaf_hash(kept.line), kept.sequence, len(leaves), path, tree.root())
    assert not set(drop_segments(tmp_path, writer, LATER)) & set(dropped)
    writer.close()


def test_what_was_dropped_stays_said_when_the_record_of_it_is_dropped(tmp_path: Path) -> None:
    """The line is kept beside the hashes of its segment, and is proved by them."""
    written(tmp_path, 10)
    for _ in range(4):
        writer = writer_in(tmp_path)
        drop_segments(tmp_path, writer, LATER)
        writer.close()
        assert verdicts(tmp_path) == []
    assert [shard for shard in shards_of(tmp_path) if lines_of(shard)] == shards_of(tmp_path)[-1:]


def test_whole_shards_that_have_ended_are_dropped(tmp_path: Path) -> None:
    written(tmp_path, 10)
    writer = writer_in(tmp_path)
    assert len(drop_segments(tmp_path, writer, LATER)) > 1
    writer.close()
    assert verdicts(tmp_path) == []


def test_lines_that_are_not_old_stay(tmp_path: Path) -> None:
    written(tmp_path, 10)
    writer = writer_in(tmp_path)
    assert drop_segments(tmp_path, writer, datetime(2000, 1, 1, tzinfo=UTC)) == []
    assert writer.shard is None


def test_the_hashes_of_dropped_lines_are_verified(tmp_path: Path) -> None:
    """They stand for the lines now; a segment whose hashes are gone as well is missing."""
    shard = written(tmp_path, 20)
    writer = writer_in(tmp_path)
    drop_segments(tmp_path, writer, LATER)
    writer.close()
    segment = segments_of(shard)[0]
    content = segment.hashes.read_bytes()
    segment.hashes.write_bytes(b"x" + content[1:])
    assert Verdict.MISSING in verdicts(tmp_path)
    segment.hashes.unlink()
    assert Verdict.MISSING in verdicts(tmp_path)


def test_the_excuse_must_be_signed(tmp_path: Path) -> None:
    """A record of retention that somebody put behind the last checkpoint is none."""
    shard = written(tmp_path, 20)
    open_shard = written(tmp_path, 3, is_ended=False)
    segment = segments_of(shard)[1]
    segment.lines.unlink()
    last = segments_of(open_shard)[-1]
    number = len(lines_of(open_shard))
    facts = {
        "kind": "audit_retention",
        "dropped": {"shard": shard.name, "first": segment.first, "last": 1},
        "shard": open_shard.name,
        "sequence": number,
    }
    with last.lines.open("ab") as file:
        file.write(json.dumps({"iamGuard": facts}, separators=(",", ":")).encode() + b"\n")
    assert verdicts(tmp_path) == [Verdict.MISSING, Verdict.UNSIGNED_TAIL]


def test_a_segment_that_is_not_as_it_was_written_is_not_dropped(tmp_path: Path) -> None:
    """Only its lines can tell what happened to it."""
    shard = written(tmp_path, 20)
    segment = segments_of(shard)[1]
    segment.lines.write_bytes(segment.lines.read_bytes().replace(b"Allowed", b"Denied", 1))
    writer = writer_in(tmp_path)
    assert segment not in drop_segments(tmp_path, writer, LATER)
    writer.close()
    assert len(whole_lines(segment.lines.read_bytes())) > 1
    assert verdicts(tmp_path) == [Verdict.MODIFIED]


def test_a_proof_is_for_those_who_have_a_few_lines_of_code(trail: Path) -> None:
    """Its form is plain: base64 of hashes, the line, the note."""
    given = prove(trail, "id-7", RING).to_dict()
    assert set(given) == {"format", "shard", "sequence", "line", "path", "checkpoint"}
    assert all(len(base64.b64decode(each)) == 32 for each in given["path"])

"""Inclusion proofs, published checkpoints, and both after retention."""

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
from iam_guard.audit.verify.proof import InclusionProof, latest_checkpoints, proof_problem, prove
from iam_guard.audit.verify.shard import segments_of, shards_of, whole_lines
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.retention import drop_segments
from iam_guard.errors import InvalidInput
from tests.audit.trails import RING, UNTRUSTED_KEY, lines_of, record, verdicts, writer_in, written

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
def test_prove_every_record_survives_json(trail: Path, number: int) -> None:
    proof = prove(trail, f"id-{number}", RING)
    parsed = InclusionProof.from_dict(json.loads(json.dumps(proof.to_dict())))
    assert parsed == proof
    assert proof_problem(parsed, RING) is None
    assert json.loads(parsed.line)["eventID"] == f"id-{number}"


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@given(number=st.integers(0, 39), data=st.data())
def test_proof_changed_in_any_part_is_invalid(trail: Path, number: int, data: st.DataObject) -> None:
    """A proof is valid for one line at one position."""
    proof = prove(trail, f"id-{number}", RING)
    at = data.draw(st.integers(0, len(proof.line) - 2))
    changed = [
        replace(proof, line=flipped(proof.line, at)),
        replace(proof, sequence=proof.sequence + 1),
        replace(proof, shard=proof.shard + "x"),
        replace(proof, path=proof.path[1:]),
        replace(proof, path=(*proof.path, bytes(32))),
        replace(proof, checkpoint=flipped(proof.checkpoint, len(proof.checkpoint) - 20)),
        replace(proof, line=prove(trail, "id-101", RING).line),
    ]
    assert all(proof_problem(each, RING) is not None for each in changed)
    assert proof_problem(proof, KeyRing([UNTRUSTED_KEY.verifier])) is not None


def test_prove_missing_or_unsigned_record_raises(trail: Path, tmp_path: Path) -> None:
    """An event id in another member is not a match."""
    for event_id in ("none", "id-1000", 'id-1"', "id"):
        with pytest.raises(InvalidInput, match="expected a record"):
            prove(trail, event_id, RING)
    with pytest.raises(InvalidInput, match="expected a record"):
        prove(tmp_path / "none", "id-1", RING)
    writer = writer_in(tmp_path)
    writer.append([record(1, filler='"eventID":"id-2"')])
    writer.commit()
    with pytest.raises(InvalidInput, match="no checkpoint yet"):
        prove(tmp_path, "id-1", RING)
    with pytest.raises(InvalidInput, match="expected a record"):
        prove(tmp_path, "id-2", RING)
    writer.close()
    assert proof_problem(prove(tmp_path, "id-1", RING), RING) is None


def test_prove_modified_record_raises(tmp_path: Path) -> None:
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
def test_proof_from_malformed_dict_raises(trail: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="expected a proof"):
        InclusionProof.from_dict(prove(trail, "id-1", RING).to_dict() | change)
    with pytest.raises(InvalidInput, match="expected a proof"):
        InclusionProof.from_dict({})


def test_latest_checkpoints_has_one_per_shard(trail: Path) -> None:
    notes = latest_checkpoints(trail, RING)
    sizes = {
        open_checkpoint(note, RING).checkpoint.shard: open_checkpoint(note, RING).checkpoint.size for note in notes
    }
    assert sizes == {shard.name: len(lines_of(shard)) for shard in shards_of(trail)}
    assert latest_checkpoints(trail, KeyRing([UNTRUSTED_KEY.verifier])) == []


# --- retention -------------------------------------------------------------------------------------------------------


def test_trail_with_dropped_segments_verifies(tmp_path: Path) -> None:
    """The remaining lines can be proved, and so can a dropped line that was stored elsewhere."""
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
    assert proof_problem(prove(tmp_path, "id-39", RING), RING) is None
    assert proof_problem(kept, RING) is None
    hashes = b"".join(segment.hashes.read_bytes() for segment in segments_of(shard))
    leaves = [hashes[begin : begin + 32] for begin in range(0, len(hashes), 32)]
    tree = Tree()
    tree.extend(leaves)
    path = inclusion_proof(kept.sequence, len(leaves), Subtrees(leaves))
    assert verify_inclusion(leaf_hash(kept.line), kept.sequence, len(leaves), path, tree.root())
    assert not set(drop_segments(tmp_path, writer, LATER)) & set(dropped)
    writer.close()


def test_drop_declared_in_dropped_segment_stays_declared(tmp_path: Path) -> None:
    """The declaring line is retained, and verified by the hashes of its segment."""
    written(tmp_path, 10)
    for _ in range(4):
        writer = writer_in(tmp_path)
        drop_segments(tmp_path, writer, LATER)
        writer.close()
        assert verdicts(tmp_path) == []
    assert [shard for shard in shards_of(tmp_path) if lines_of(shard)] == shards_of(tmp_path)[-1:]


def test_drop_segments_of_ended_shard_drops_all(tmp_path: Path) -> None:
    written(tmp_path, 10)
    writer = writer_in(tmp_path)
    assert len(drop_segments(tmp_path, writer, LATER)) > 1
    writer.close()
    assert verdicts(tmp_path) == []


def test_drop_segments_without_old_lines_drops_none(tmp_path: Path) -> None:
    written(tmp_path, 10)
    writer = writer_in(tmp_path)
    assert drop_segments(tmp_path, writer, datetime(2000, 1, 1, tzinfo=UTC)) == []
    assert writer.shard is None


def test_hashes_of_dropped_segment_modified_are_found(tmp_path: Path) -> None:
    """Without lines, the hashes are verified; a segment whose hashes are removed too is missing."""
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


def test_drop_declared_by_unsigned_line_is_missing(tmp_path: Path) -> None:
    """A retention record after the last checkpoint is not trusted."""
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


def test_drop_segments_keeps_modified_segment(tmp_path: Path) -> None:
    """Its lines are needed for the diagnosis."""
    shard = written(tmp_path, 20)
    segment = segments_of(shard)[1]
    segment.lines.write_bytes(segment.lines.read_bytes().replace(b"Allowed", b"Denied", 1))
    writer = writer_in(tmp_path)
    assert segment not in drop_segments(tmp_path, writer, LATER)
    writer.close()
    assert len(whole_lines(segment.lines.read_bytes())) > 1
    assert verdicts(tmp_path) == [Verdict.MODIFIED]


def test_proof_dict_has_documented_members(trail: Path) -> None:
    """Base64 of hashes, the line, the note: easy to check without this library."""
    proof = prove(trail, "id-7", RING).to_dict()
    assert set(proof) == {"format", "shard", "sequence", "line", "path", "checkpoint"}
    assert all(len(base64.b64decode(each)) == 32 for each in proof["path"])

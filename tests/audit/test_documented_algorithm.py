"""The documentation shows how to verify a trail without iam_guard; these tests run exactly that code on real trails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from iam_guard.audit.verify.shard import segments_of
from iam_guard.audit.writer.segment_writer import SegmentLimits
from tests.audit.trails import KEY, UNTRUSTED_KEY, last_segment, lines_of, record, writer_in, written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "audit-integrity.md"
BLOCK = re.compile(r'^```python title="verify_shard.py"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
WITHOUT_IAM_GUARD = "import sys\nsys.modules['iam_guard'] = None\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    [block] = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert "iam_guard" not in block
    path = tmp_path / "verify_shard.py"
    path.write_text(WITHOUT_IAM_GUARD + block, encoding="utf-8")
    return path


def run(program: Path, shard: Path, vkey: str = str(KEY.verifier)) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(program), str(shard), vkey]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_documented_program_has_at_most_40_lines() -> None:
    [block] = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    lines = [line for line in block.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 40


@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_documented_program_verifies_a_trail(program: Path, tmp_path: Path, count: int) -> None:
    shard = written(tmp_path / "trail", count)
    done = run(program, shard)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(lines_of(shard)))] * 2


def test_documented_program_verifies_default_limits(program: Path, tmp_path: Path) -> None:
    writer = writer_in(tmp_path / "trail", SegmentLimits())
    for number in range(0, 5000, 250):
        writer.append([record(index) for index in range(number, number + 250)])
        writer.commit()
    shard = tmp_path / "trail" / str(writer.shard)
    writer.close()
    assert run(program, shard).stdout.split() == ["5002", "5002"]


@pytest.mark.parametrize("damage", ["changed", "swapped", "deleted", "put in", "cut", "another key", "note"])
def test_documented_program_detects_damage(program: Path, tmp_path: Path, damage: str) -> None:
    shard = written(tmp_path / "trail", 40)
    segment = segments_of(shard)[1]
    lines = segment.lines.read_bytes().splitlines(keepends=True)
    changes = {
        "changed": [lines[0].replace(b"1.11", b"1.12"), *lines[1:]],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "deleted": lines[1:],
        "put in": [lines[0], *lines],
    }
    if damage in changes:
        segment.lines.write_bytes(b"".join(changes[damage]))
    if damage == "cut":
        last_segment(shard).lines.write_bytes(b"")
    if damage == "note":
        segment.checkpoints.write_bytes(segment.checkpoints.read_bytes().replace(b"/audit/", b"/audit/x"))
    done = run(program, shard, str((UNTRUSTED_KEY if damage == "another key" else KEY).verifier))
    assert done.returncode == 1, done.stdout
    assert "AssertionError" in done.stderr or "InvalidSignature" in done.stderr

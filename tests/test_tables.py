"""Tables of cases: every row runs, and each failure is reported with its row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tables import spread, table

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import pytest
from tests import tables

tables.cases_of_each = {cases_of_each}

@pytest.fixture
def limit():
    return 3

@tables.table("number", [1, 2, 3, 4, pytest.param(5, id="five")])
@tables.table(("sign", "word"), [(1, "plus"), (-1, "minus")], ids=str)
def test_number_is_small(number, sign, word, limit):
    assert word in ("plus", "minus")
    assert sign * number <= limit
"""


def run(folder: Path, *, cases_of_each: int) -> str:
    (folder / "test_rows.py").write_text(PROGRAM.format(cases_of_each=cases_of_each))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "test_rows.py"]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_each_failing_row_is_reported(tmp_path: Path) -> None:
    """Rows after a failure run too, stacked tables make all pairs, and fixtures are passed on."""
    output = run(tmp_path, cases_of_each=0)
    failed = [line.partition("]")[0] for line in output.splitlines() if line.startswith("SUBFAILED")]
    assert failed == ["SUBFAILED[4-1-plus", "SUBFAILED[five-1-plus"]
    assert "8 subtests passed" in output


def test_rows_are_spread_over_the_table(tmp_path: Path) -> None:
    """`--cases-of-each=2` runs the first row and the last."""
    assert spread([1, 2, 3, 4, 5], 2) == [1, 5]
    assert spread([1, 2], 3) == [1, 2]
    output = run(tmp_path, cases_of_each=3)
    assert "SUBFAILED" not in output


def test_wrong_rows_are_refused() -> None:
    """A row with another number of values, and a row with marks, which a subtest cannot have."""
    with pytest.raises(ValueError, match="zip"):
        table(("a", "b"), [(1, 2, 3)])
    with pytest.raises(pytest.UsageError, match="without marks"):
        table("a", [pytest.param(1, marks=pytest.mark.slow)])

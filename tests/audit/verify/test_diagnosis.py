"""Comparison of present lines with signed lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.verify.diagnosis import compare_lines
from iam_guard.audit.verify.verdicts import Verdict
from tests.tables import table

MODIFIED, REORDERED, MISSING = Verdict.MODIFIED, Verdict.REORDERED, Verdict.MISSING
TRUNCATED_TAIL = Verdict.TRUNCATED_TAIL


@table(
    ("found", "expected"),
    [
        ([0, 1, 2, 3, 4], []),
        ([0, 1, None, 3, 4], [(MODIFIED, 2, 2)]),
        ([0, 1, 3, 4], [(MISSING, 2, 2)]),
        ([1, 2, 3, 4], [(MISSING, 0, 0)]),
        ([0, 1, 2], [(TRUNCATED_TAIL, 3, 3)]),
        ([], [(TRUNCATED_TAIL, 0, 0)]),
        ([0, 2, 1, 3, 4], [(REORDERED, 1, 2)]),
        ([4, 1, 2, 3, 0], [(REORDERED, 0, 4)]),
        ([0, 1, None, 2, 3, 4], [(MODIFIED, 2, -1)]),
        ([0, 1, 1, 2, 3, 4], [(MODIFIED, 2, -1)]),
        ([0, 3, 1, 2, 3, 4], [(MODIFIED, 1, -1)]),
        ([0, None, 3, 4], [(MODIFIED, 1, 1)]),
        ([0, None, None, 2, 3, 4], [(MODIFIED, 1, 1)]),
        ([0, 1, 2, 3, None], [(MODIFIED, 4, 4)]),
        ([None, None], [(MODIFIED, 0, 0)]),
        ([0, None, 2, 4, 3], [(MODIFIED, 1, 1), (REORDERED, 3, 4)]),
        ([0, 1, 2, 3, 4, None, None], []),
    ],
)
def test_compare_lines_of_five_returns_verdicts(
    found: list[int | None], expected: list[tuple[Verdict, int, int]]
) -> None:
    """Verdict, position, index; unknown lines after the last one are not signed yet."""
    assert [(each.verdict, each.position, each.index) for each in compare_lines(found, 5, is_last=True)] == expected


def test_compare_lines_not_last_reports_no_tail() -> None:
    """Missing lines are missing, additional lines are inserted."""
    assert [each.verdict for each in compare_lines([0, 1, 2], 5, is_last=False)] == [MISSING]
    assert [each.verdict for each in compare_lines([0, 1, 2, 3, 4, None], 5, is_last=False)] == [MODIFIED]


@given(st.lists(st.one_of(st.none(), st.integers(0, 7)), max_size=12), st.booleans())
def test_compare_lines_reports_iff_lines_differ(found: list[int | None], is_last: bool) -> None:
    """Except for unknown lines at the end of the last segment."""
    core = list(found)
    while is_last and core and (core[-1] is None or core.count(core[-1]) > 1):
        core.pop()
    assert bool(compare_lines(found, 8, is_last=is_last)) == (core != list(range(8)))


@given(st.permutations(range(40)))
def test_compare_lines_permuted_reports_reordered_once(order: list[int]) -> None:
    """All lines are present."""
    verdicts = [each.verdict for each in compare_lines(order, 40, is_last=False)]
    assert verdicts == ([] if order == list(range(40)) else [REORDERED])

"""Tables as plain text, and as wide as a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.policy.grammar import text_width
from iam_guard.testing.text_table import aligned, fitted
from tests.tables import table

ALICE = "arn:aws:iam::111122223333:user/staff/alice"
HEAD = ["principal", "action", "calls"]
ROW = [ALICE, "docs:GetDocument", "12"]


def test_columns_are_aligned() -> None:
    assert aligned([["a", "b"], ["long", "7"]], right=[1]) == ["a     b", "long  7"]
    assert aligned([["文書", "b"], ["long", "c"]]) == ["文書  b", "long  c"]


@table(
    ("width", "lines"),
    [
        (80, [f"principal{' ' * 35}action            calls", f"{ALICE}  docs:GetDocument  12"]),
        (56, [f"principal{' ' * 24}action            calls", "arn:aws:iam::11…ser/staff/alice  docs:GetDocument  12"]),
        (32, ["principal    action       calls", "arn:a…alice  docs:…ument  12"]),
        (24, ["principal  arn:aw…/alice", "action     docs:G…cument", "calls      12"]),
    ],
)
def test_table_fits_the_width(width: int, lines: list[str]) -> None:
    """The widest columns are shortened in the middle; a list of names and values is for narrow terminals."""
    assert fitted(HEAD, [ROW], width) == lines


def test_rows_are_separated_in_a_list() -> None:
    assert fitted(["a", "b"], [["x" * 20, "y"], ["z", "w"]], 19) == ["a  xxxxxxxx…xxxxxxx", "b  y", "", "a  z", "b  w"]


@given(
    st.lists(st.lists(st.text(st.sampled_from("aé文:/"), max_size=40), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(24, 90),
)
def test_no_line_is_wider_than_the_terminal(rows: list[list[str]], width: int) -> None:
    assert [line for line in fitted(HEAD, rows, width) if text_width(line) > width] == []

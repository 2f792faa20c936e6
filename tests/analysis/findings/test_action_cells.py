"""Groups of actions: each action is in exactly one, with the actions that the same entries match."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.analysis.findings.action_cells import ActionCell, ServiceActions
from iam_guard.evaluation.matching.pattern import compile_glob
from tests.tables import table

names = st.text("ab*?", min_size=1, max_size=4)
WORDS = [f"s:{''.join(letters)}" for length in (1, 2, 3, 4) for letters in itertools.product("abz", repeat=length)]


def vector(entries: list[str], action: str) -> tuple[bool, ...]:
    return tuple(compile_glob(entry)(action) for entry in entries)


@given(st.lists(names.map("s:{}".format), max_size=4), st.lists(names.map("s:{}".format), max_size=3))
def test_each_combination_of_entries_has_a_cell(entries: list[str], others: list[str]) -> None:
    """The decided action of a cell is matched by the same entries as every action that it represents."""
    cells = ServiceActions("s", [*entries, *others], None).cells(entries)
    decided = [vector(entries, cell.action.lower()) for cell in cells]
    assert {vector(entries, word) for word in WORDS} <= set(decided)
    literals = {entry for entry in (*entries, *others) if "*" not in entry and "?" not in entry}
    for cell in cells:
        named = [name for name in cell.names if name in literals]
        assert named == list(cell.names) or len(cell.names) == 1
        assert all(vector(entries, name) == vector(entries, cell.action) for name in named)
        assert cell.action.count(":") == 1
    assert literals == {name for cell in cells for name in cell.names if name in literals}


@given(st.lists(names.map("s:{}".format), max_size=4), st.sets(st.sampled_from(WORDS)))
def test_known_actions_are_partitioned(entries: list[str], known: set[str]) -> None:
    cells = ServiceActions("s", entries, sorted(known)).cells(entries)
    assert sorted(name for cell in cells for name in cell.names) == sorted(known)
    assert all(vector(entries, name) == vector(entries, cell.action) for cell in cells for name in cell.names)


@table(
    "entries, expected",
    [
        (["docs:Get*"], ["docs:*", "docs:Get*"]),
        (["docs:GetDocument", "docs:Get*"], ["docs:*", "docs:Get*", "docs:GetDocument"]),
        (["*"], ["docs:*"]),
        (["mail:*", "mail:Send"], ["docs:*"]),
        (["docs:Get*", "docs:*Document"], ["docs:*", "docs:*Document", "docs:*Document", "docs:Get*"]),
    ],
)
def test_unnamed_actions_are_named_by_wildcards(entries: list[str], expected: list[str]) -> None:
    """As written; the actions that no entry of the service matches by all of them."""
    cells = ServiceActions("docs", entries, None).cells(entries)
    assert sorted(name for cell in cells for name in cell.names) == expected


def test_action_with_a_rule_of_its_own_is_decided_alone() -> None:
    """E-11: resource control policies do not limit kms:RetireGrant."""
    assert ActionCell("kms:RetireGrant", ("kms:RetireGrant",)) in ServiceActions("kms", ["kms:*"], None).cells(
        ["kms:*"]
    )

"""Classify the lines of a segment that do not match its checkpoints: modified, moved, missing or inserted.

A segment's stored leaf hashes make the root that a checkpoint signs, so they identify each expected line. If the hashes
were changed as well, only the sequence numbers in the lines remain: missing and reordered lines are still found, but a
modified line can only be located between two checkpoints.

Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from iam_guard.audit.verify.merkle import Tree
from iam_guard.audit.verify.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class TrustedCheckpoint:
    """A checkpoint with a valid signature, and its location: file and number of the note or line."""

    size: int
    root: bytes
    file: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A verdict about some lines: `position` of the first in the file, `index` among the signed lines, both from 0."""

    verdict: Verdict
    position: int
    index: int
    detail: str


def root_matches(start: Tree, leaves: Sequence[bytes], checkpoints: Sequence[TrustedCheckpoint]) -> list[bool]:
    """Return for each checkpoint, sorted by size, whether these leaves make its root."""
    tree, results = start.copy(), []
    for checkpoint in checkpoints:
        if checkpoint.size - start.size > len(leaves):
            results.append(False)
            continue
        tree.extend(leaves[tree.size - start.size : checkpoint.size - start.size])
        results.append(tree.root() == checkpoint.root)
    return results


def indexes_by_hash(present: Sequence[bytes], expected: Sequence[bytes]) -> list[int | None]:
    """Return for each present line its index among the expected ones; None for an unknown line."""
    indexes = {leaf: index for index, leaf in enumerate(expected)}
    return [indexes.get(leaf) for leaf in present]


def compare_lines(indexes: Sequence[int | None], expected: int, *, is_last: bool) -> list[Difference]:
    """Return the differences from the lines 0 to `expected`; `indexes` has the index of each present line.

    Lines missing at the end of the shard's last segment are a truncated tail. Unknown lines after the last known one
    are left out: they may be unsigned yet, which the caller checks.
    """
    ordered = _longest_increasing_subsequence(indexes)
    moved, unknown = _split_moved_and_unknown(indexes, ordered)
    present = {index for index in indexes if index is not None}
    differences = []
    if moved:
        detail = f"{len(moved)} lines are out of order" if len(moved) > 1 else "a line is out of order"
        differences = [Difference(Verdict.REORDERED, moved[0], indexes[moved[0]] or 0, detail)]
    last_position = last_index = -1
    for position, index in [*((position, indexes[position] or 0) for position in ordered), (len(indexes), expected)]:
        unknown_here = [each for each in range(last_position + 1, position) if each in unknown]
        missing = [each for each in range(last_index + 1, index) if each not in present]
        is_tail = is_last and position == len(indexes)
        differences += _differences_between(unknown_here, missing, last_position + 1, is_tail=is_tail)
        last_position, last_index = position, index
    return sorted(differences, key=lambda difference: difference.position)


def _longest_increasing_subsequence(indexes: Sequence[int | None]) -> list[int]:
    """Return the positions of the lines that kept their order, in O(n log n)."""
    smallest_ends: list[int] = []
    end_positions: list[int] = []
    predecessors: list[int] = [-1] * len(indexes)
    for position, index in enumerate(indexes):
        if index is None:
            continue
        length = bisect_left(smallest_ends, index)
        predecessors[position] = end_positions[length - 1] if length else -1
        if length == len(smallest_ends):
            smallest_ends.append(index)
            end_positions.append(position)
        elif smallest_ends[length] != index:  # of duplicates keep the first
            smallest_ends[length], end_positions[length] = index, position
    subsequence: list[int] = []
    position = end_positions[-1] if end_positions else -1
    while position >= 0:
        subsequence.append(position)
        position = predecessors[position]
    return subsequence[::-1]


def _split_moved_and_unknown(indexes: Sequence[int | None], ordered: Sequence[int]) -> tuple[list[int], set[int]]:
    """Return the positions of moved lines, and of those that are unknown or duplicates."""
    in_order, seen = set(ordered), {indexes[position] for position in ordered}
    moved, unknown = [], set()
    for position, index in enumerate(indexes):
        if position in in_order:
            continue
        if index is None or index in seen:
            unknown.add(position)
        else:
            moved.append(position)
            seen.add(index)
    return moved, unknown


def _differences_between(
    unknown: Sequence[int], missing: Sequence[int], position: int, *, is_tail: bool
) -> list[Difference]:
    """Return the differences between two lines that kept their order, or after the last of them."""
    if unknown and missing:
        return [Difference(Verdict.MODIFIED, unknown[0], missing[0], _lines_are("not what was signed", len(missing)))]
    if missing:
        verdict = Verdict.TRUNCATED_TAIL if is_tail else Verdict.MISSING
        return [Difference(verdict, position, missing[0], _lines_are("signed but missing", len(missing)))]
    if unknown and not is_tail:
        return [Difference(Verdict.MODIFIED, unknown[0], -1, _lines_are("inserted", len(unknown)))]
    return []


def _lines_are(state: str, count: int) -> str:
    return f"a line is {state}" if count == 1 else f"{count} lines are {state}"

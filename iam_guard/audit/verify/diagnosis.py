"""What happened to the lines of a segment that do not bear its checkpoints.

The leaf hashes that stand beside a segment are signed too: they make the root that a checkpoint signs. So they say
which line ought to be where, and a line is known by its hash. Where they were changed as well, only the sequences are
left that lines say of themselves: what is missing and what is out of order can still be told, but of a line that was
changed no more is known than the two checkpoints between which it stands.

Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from iam_guard.audit.verify.merkle import Tree
from iam_guard.audit.verify.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that is believed, and where it stands."""

    size: int
    root: bytes
    file: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Something about some lines; `place` counts the lines of the segment from 0, `index` those that ought to be."""

    verdict: Verdict
    place: int
    index: int
    detail: str


def borne(start: Tree, leaves: Sequence[bytes], checkpoints: Sequence[Signed]) -> list[bool]:
    """Tell of each checkpoint, in the order of their sizes, whether these leaves make its root."""
    tree, found = start.copy(), []
    for checkpoint in checkpoints:
        if checkpoint.size - start.size > len(leaves):
            found.append(False)
            continue
        tree.extend(leaves[tree.size - start.size : checkpoint.size - start.size])
        found.append(tree.root() == checkpoint.root)
    return found


def places_by_hash(present: Sequence[bytes], wanted: Sequence[bytes]) -> list[int | None]:
    """Say of each line which of the wanted ones it is."""
    places = {leaf: index for index, leaf in enumerate(wanted)}
    return [places.get(leaf) for leaf in present]


def compare(found: Sequence[int | None], wanted: int, *, is_last: bool) -> list[Difference]:
    """Return what became of lines 0 to `wanted`, given which of them each present line is.

    In the last segment of a shard, lines that are missing at its end are a tail that was cut off. Unknown lines after
    the last known one are left out: they may not be signed yet, which is for others to say.
    """
    kept = _longest_rise(found)
    moved, strangers = _sort_out(found, kept)
    there = {index for index in found if index is not None}
    differences = []
    if moved:
        detail = f"{len(moved)} lines are not in their order" if len(moved) > 1 else "a line is not in its order"
        differences = [Difference(Verdict.REORDERED, moved[0], found[moved[0]] or 0, detail)]
    last_place = last_index = -1
    for place, index in [*((place, found[place] or 0) for place in kept), (len(found), wanted)]:
        unknown = [each for each in range(last_place + 1, place) if each in strangers]
        gone = [each for each in range(last_index + 1, index) if each not in there]
        differences += _between(unknown, gone, last_place + 1, is_tail=is_last and place == len(found))
        last_place, last_index = place, index
    return sorted(differences, key=lambda each: each.place)


def _longest_rise(found: Sequence[int | None]) -> list[int]:
    """Return the places of the longest rising part: the lines that kept their order."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = [-1] * len(found)
    for place, index in enumerate(found):
        if index is None:
            continue
        length = bisect_left(tops, index)
        before[place] = ends[length - 1] if length else -1
        if length == len(tops):
            tops.append(index)
            ends.append(place)
        elif tops[length] != index:  # of two that are the same the first
            tops[length], ends[length] = index, place
    rise: list[int] = []
    place = ends[-1] if ends else -1
    while place >= 0:
        rise.append(place)
        place = before[place]
    return rise[::-1]


def _sort_out(found: Sequence[int | None], kept: Sequence[int]) -> tuple[list[int], set[int]]:
    """Tell, of the places of the other lines, those that moved from those that belong nowhere."""
    held, accounted = set(kept), {found[place] for place in kept}
    moved, strangers = [], set()
    for place, index in enumerate(found):
        if place in held:
            continue
        if index is None or index in accounted:
            strangers.add(place)
        else:
            moved.append(place)
            accounted.add(index)
    return moved, strangers


def _between(unknown: Sequence[int], gone: Sequence[int], place: int, *, is_tail: bool) -> list[Difference]:
    """Return what happened between two lines that kept their order, or after the last of them."""
    if unknown and gone:
        return [Difference(Verdict.MODIFIED, unknown[0], gone[0], _lines_are("not what was signed", len(gone)))]
    if gone:
        verdict = Verdict.TRUNCATED_TAIL if is_tail else Verdict.MISSING
        return [Difference(verdict, place, gone[0], _lines_are("signed and not there", len(gone)))]
    if unknown and not is_tail:
        return [Difference(Verdict.MODIFIED, unknown[0], -1, _lines_are("put in", len(unknown)))]
    return []


def _lines_are(what: str, count: int) -> str:
    return f"a line is {what}" if count == 1 else f"{count} lines are {what}"

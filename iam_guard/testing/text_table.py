"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from iam_guard.policy.grammar import shortened, text_width

_GAP = 2
"""The spaces between two columns."""
_MIN_WIDTH = 8
"""A table with less room for a column is written as a list."""


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Return a line for each row, with two spaces between columns; rows must have the same length.

    `right` are the indexes of the columns that are aligned to the right.
    """
    columns = []
    for index, column in enumerate(zip(*rows, strict=True)):
        width = max(map(text_width, column))
        pads = [" " * (width - text_width(cell)) for cell in column]
        columns.append(
            [f"{pad}{cell}" if index in right else f"{cell}{pad}" for cell, pad in zip(column, pads, strict=True)]
        )
    return [(" " * _GAP).join(cells).rstrip() for cells in zip(*columns, strict=True)]


def fitted(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a table, none wider than `width`: long cells are shortened in the middle.

    If the columns would get too narrow, each row becomes a list of names and values.
    """
    if len(head) * (_MIN_WIDTH + _GAP) > width < max(map(text_width, aligned([head, *rows]))):
        lists = [aligned(_shortened(list(zip(head, row, strict=True)), width)) for row in rows]
        return [line for lines in lists for line in ("", *lines)][1:]
    return aligned(_shortened([head, *rows], width))


def _shortened(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """Shorten the widest columns equally, until the table fits."""
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    limit, room = max(widths, default=0), width - _GAP * (len(widths) - 1)
    while limit > 1 and sum(min(column, limit) for column in widths) > room:
        limit -= 1
    return [[shortened(cell, limit) for cell in row] for row in rows]

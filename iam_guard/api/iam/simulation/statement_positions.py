"""Where the statements of a policy stand in its text, in the way of AWS's simulator.

Lines and columns begin at 1; CR, LF and both together end a line. A statement ends behind its closing brace. It begins
behind what its reader has passed before: behind the `[` of the list, behind the statement before it, and where
`Statement` is no list, behind its own opening brace. The examples of the API reference are so, and so is the service.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from iam_guard.api.call import Output
from iam_guard.policy.document import Document

_LINE_END = re.compile(r"\r\n?|\n")
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds the end of a value; numbers of any length are as good as another."""


class Span(NamedTuple):
    """From where to where a statement stands, in characters."""

    start: int
    end: int


def spans(document: Document) -> list[Span]:
    """Return the place of each statement in the text of a document that was read from text."""
    return list(
        _spans(document.text, [statement.position.offset for statement in document.statements if statement.position])
    )


def _spans(text: str, braces: list[int]) -> Iterator[Span]:
    if not braces:
        return
    before = text[: braces[0]].rstrip(_SPACE)
    start = len(before) if before.endswith("[") else braces[0] + 1
    for brace in braces:
        _, end = _DECODER.raw_decode(text, brace)
        yield Span(start, end)
        start = end


class Lines:
    """The lines of a text, to tell line and column of a place in it."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in _LINE_END.finditer(text))]

    def position(self, offset: int) -> Output:
        """Return line and column, both from 1."""
        line = bisect_right(self._starts, offset)
        return {"Line": line, "Column": offset - self._starts[line - 1] + 1}

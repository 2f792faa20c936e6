"""Positions of statements in a policy's text, as AWS's simulator reports them.

Lines and columns start at 1; CR, LF and CRLF end a line. A statement ends after its closing brace. It starts after what
the parser consumed before: the `[` of the list, or the previous statement; if `Statement` is no list, after its own
opening brace. The examples of the API reference and the service agree on that.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import NamedTuple

from iam_guard.api.call import Output
from iam_guard.policy.document import Document

_LINE_END = re.compile(r"\r\n?|\n")
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds the end of a value; parses numbers of any length as text."""


class Span(NamedTuple):
    """The start and end of a statement, in characters."""

    start: int
    end: int


def spans(document: Document) -> list[Span]:
    """Return the span of each statement of a document that was parsed from text."""
    text, found = document.text, []
    start: int | None = None
    for brace in (statement.position.offset for statement in document.statements if statement.position):
        if start is None:
            before = text[:brace].rstrip(_SPACE)
            start = len(before) if before.endswith("[") else brace + 1
        _, end = _DECODER.raw_decode(text, brace)
        found.append(Span(start, end))
        start = end
    return found


class Lines:
    """The lines of a text, for converting offsets to positions."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def position(self, offset: int) -> Output:
        """Return line and column of an offset, both from 1."""
        line = bisect_right(self._starts, offset)
        return {"Line": line, "Column": offset - self._starts[line - 1] + 1}

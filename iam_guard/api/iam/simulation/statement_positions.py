"""Positions of statements in a policy's text, as AWS's simulator reports them.

Lines and columns start at 1; CR, LF and CRLF end a line. A statement ends after its closing brace. It starts after what
the parser consumed before: the `[` of the list, or the previous statement; if `Statement` is no list, after its own
opening brace. The examples of the API reference and the service agree on that.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right

from iam_guard.api.call import Output
from iam_guard.policy.document import Document

_LINE_END = re.compile(r"\r\n?|\n")
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds the end of a value; parses numbers of any length as text."""


def statement_positions(document: Document) -> list[Output]:
    """Return the start and end of each statement of a document that was parsed from text."""
    text, found = document.text, []
    line_starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def position(offset: int) -> Output:
        line = bisect_right(line_starts, offset)
        return {"Line": line, "Column": offset - line_starts[line - 1] + 1}

    start: int | None = None
    for brace in (statement.position.offset for statement in document.statements if statement.position):
        if start is None:
            before = text[:brace].rstrip(_SPACE)
            start = len(before) if before.endswith("[") else brace + 1
        _, end = _DECODER.raw_decode(text, brace)
        found.append({"StartPosition": position(start), "EndPosition": position(end)})
        start = end
    return found

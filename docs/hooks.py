"""Mend pages when MkDocs builds the site.

A page that begins with a comment gets its title from its first heading all the same: the comment is left out.

Table cells and code are marked, since CSS can't select by the length of a text; `docs/assets/site.css` has the rules:

    prose   a cell with a sentence; it has a minimum width
    phrase  a cell with some words; its minimum width is smaller
    long    code in a cell that is too long for one line; it may wrap
    short   any other code that should not be broken at a hyphen

A `\\|` in a cell's code, as GitHub requires it there, loses its backslash.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

MIN_PROSE, MIN_PHRASE, MAX_ON_ONE_LINE, MAX_SHORT = 50, 20, 44, 28
"""Characters: of text in a cell that is prose or a phrase; of code that stays on one line, in a cell and in a text."""
_COMMENT = re.compile(r"\A<!--.*?-->\s*", re.DOTALL)
_CELL = re.compile(r"<td\b([^>]*)>(.*?)</td>", re.DOTALL)
_CODE = re.compile(r"<code>(.*?)</code>", re.DOTALL)
_SHORT_CODE = re.compile(rf"(?<!<span></span>)<code>([^<\n]{{1,{MAX_SHORT}}})</code>")  # not a block, `<pre>`
_SEPARATOR, _BREAK = re.compile(r"(::|(?<!<)/)"), r"\1<wbr>"
_TAG = re.compile(r"<[^>]+>")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page without a comment at its beginning; MkDocs calls it for each page."""
    return _COMMENT.sub("", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Return the page with its cells and its short code marked; MkDocs calls it for each page."""
    return _SHORT_CODE.sub(r"<code class=short>\1</code>", _CELL.sub(_mark_cell, html))


def _mark_cell(cell: re.Match[str]) -> str:
    size = len(_text(_CODE.sub("", cell[2])))
    mark = " class=prose" if size >= MIN_PROSE else " class=phrase" if size >= MIN_PHRASE else ""
    return f"<td{cell[1]}{mark}>{_CODE.sub(_mark_code, cell[2])}</td>"


def _mark_code(code: re.Match[str]) -> str:
    shown = code[1].replace("\\|", "|")
    if len(_text(shown)) <= MAX_ON_ONE_LINE:
        return f"<code>{shown}</code>"
    return f"<code class=long>{_SEPARATOR.sub(_BREAK, shown)}</code>"


def _text(html: str) -> str:
    return unescape(_TAG.sub("", html)).strip()

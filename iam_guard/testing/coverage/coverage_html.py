"""The policy coverage report as one HTML page: a table, and the text of each policy with its gaps.

The page is self-contained, without scripts. Of a file it shows only the lines of policies. Colours are never the only
information: an uncovered line has a mark and words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape

from iam_guard.testing.coverage.coverage_report import cover
from iam_guard.testing.coverage.policy_coverage import FileCoverage, percent

STYLE = """
:root{color-scheme:light dark;--line:#8888;--bad:#b3261e;--bad-soft:#b3261e1f;--good:#1b6e3c}
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--bad-soft:#ff8a8026;--good:#7fd8a1}}
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}th,td{padding:.3rem .8rem;border-bottom:1px solid var(--line);text-align:right}
th{font-weight:inherit}th:first-child,td:first-child{text-align:left}thead th{border-bottom-width:2px;font-weight:600}
.source{width:100%;font:14px/1.5 ui-monospace,monospace}.source :is(th,td){text-align:left}
.source tbody tr>*{border:0;padding:0 .6rem;vertical-align:top}
.source tbody tr>:first-child{text-align:right;opacity:.7;user-select:none;width:1%}
.source td:nth-child(2){white-space:pre-wrap;overflow-wrap:anywhere}.source td:nth-child(3){width:34%}
.gap :is(th,td){background:var(--bad-soft)}.gap td:nth-child(3){color:var(--bad)}
"""


def coverage_html(files: Sequence[FileCoverage]) -> str:
    """Return the page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Policy coverage</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>Policy coverage: {cover(percent(files))}</h1>\n"
        + "\n".join([*_table(files), *(line for number, file in enumerate(files) for line in _source(number, file))])
        + "\n</body></html>\n"
    )


def _table(files: Sequence[FileCoverage]) -> Iterator[str]:
    titles = ("Policy", "Statements", "Never applied", "Targets", "Covered", "Cover")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    yield f"<table><thead><tr>{head}</tr></thead><tbody>"
    for number, file in enumerate(files):
        cells = (*file.counts, cover(percent([file])))
        numbers = "".join(f"<td>{cell}</td>" for cell in cells)
        yield f'<tr><th scope="row"><a href="#p{number}">{escape(file.file.name)}</a></th>{numbers}</tr>'
    yield "</tbody></table>"


def _source(number: int, covered: FileCoverage) -> Iterator[str]:
    words = defaultdict(list)
    for gap in covered.gaps:
        if not gap.is_implied:
            words[gap.place[0]].append(str(gap))
    yield f'<h2 id="p{number}">{escape(covered.file.name)}</h2>'
    heads = "".join(f'<th scope="col">{title}</th>' for title in ("Line", "Text", "Never"))
    summary = f"{len(covered.gaps)} of {covered.targets} targets were not reached"
    caption = summary if covered.gaps else "every target was reached"
    yield f'<table class="source"><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>'
    lines = covered.file.text.split("\n")
    before = 0
    for line in sorted({line for policy in covered.file.policies for line in policy.lines if line <= len(lines)}):
        if line > before + 1:
            yield "<tr><td>…</td><td></td><td></td></tr>"
        before, text = line, _policy_text(covered, line, lines[line - 1])
        gaps = "<br>".join(f"✗ {escape(word)}" for word in words[line])
        kind = ' class="gap"' if gaps else ""
        yield f'<tr{kind}><th scope="row">{line}</th><td>{escape(text)}</td><td>{gaps}</td></tr>'
    yield "</tbody></table>"


def _policy_text(covered: FileCoverage, line: int, text: str) -> str:
    """Return a line with everything blanked but policies: in a seed, the same line may contain a secret."""
    columns = [policy.columns(line) for policy in covered.file.policies]
    return "".join(
        character if any(place in column for column in columns) else " " for place, character in enumerate(text)
    )

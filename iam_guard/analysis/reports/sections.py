"""The parts that the sections of the report share: a section, its table, and short names of ARNs and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from iam_guard.analysis.reports.markup import Markup, joined, tag
from iam_guard.policy.grammar import shown

MAX_ROWS = 10_000
"""The rows of a table; the page says how many are left out."""
PAGE_ROWS = 500
"""The rows of a page of a long table: browsers need many seconds for a table of thousands."""
MAX_OPEN_ROWS = 12
"""A longer table is closed at first."""
_MAX_LISTED = 5
_FIELD_ENDS = re.compile(r"(?<=[:/])(?=[^:/])")


@dataclass(frozen=True, slots=True)
class ReportSection:
    """One kind of findings in the report.

    `count` and `counted` are a number, None if unknown, and what it counts; `worst` is how many of them are worst,
    if any, `summary` is a sentence, `advice` says what to do. Without findings there is neither figure nor table.
    """

    anchor: str
    title: str
    count: int | None
    counted: str
    worst: str
    summary: str
    advice: str
    figure: Markup
    table: Markup


def figure(content: Markup, name: str, legend: Sequence[str]) -> Markup:
    """Return a picture or table with its legend, in a region that scrolls in narrow windows."""
    caption = tag("figcaption", tag("ul", *(tag("li", entry) for entry in legend), class_="legend"))
    return tag("figure", scrollable(content, name), caption)


def findings_table(name: str, heads: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> Markup:
    """Return a table of at most `MAX_ROWS` rows, of `count` in all, that can be opened and closed, in pages if long."""
    head = tag("thead", tag("tr", *(tag("th", text, scope="col") for text in heads)))
    pages: list[Markup] = []
    remaining = islice(rows, MAX_ROWS)
    while page := list(islice(remaining, PAGE_ROWS)):
        body = [
            tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in cells)) for first, *cells in page
        ]
        start = len(pages) * PAGE_ROWS + 1
        label = name if count <= PAGE_ROWS else f"{name}, {start:,} to {start + len(page) - 1:,}"
        table = scrollable(tag("table", head, tag("tbody", *body)), label)
        pages.append(table if count <= PAGE_ROWS else tag("details", tag("summary", label), table))
    if count > MAX_ROWS:
        limit = f"The first {MAX_ROWS:,} are listed; the option --json of the command writes all."
        pages.insert(0, tag("p", limit))
    is_open = "" if count <= MAX_OPEN_ROWS else None
    return tag("details", tag("summary", f"{name} ({count:,})"), *pages, open=is_open)


def scrollable(content: Markup, name: str) -> Markup:
    """Return the content in a named region, which the keyboard reaches, since it may be wider than the window."""
    return tag("div", content, class_="scroll", role="region", aria_label=name, tabindex="0")


def code(name: str) -> Markup:
    """Return a name as code; an ARN is broken into lines at its colons and slashes."""
    return tag("code", joined(_FIELD_ENDS.split(shown(name)), tag("wbr")) if "arn:" in name else name)


def codes(texts: Sequence[str], counted: str = "actions") -> Markup:
    """Return a list of names; a long one can be opened."""
    listed = joined([code(text) for text in texts], ", ")
    if len(texts) <= _MAX_LISTED:
        return listed
    first = joined([code(text) for text in texts[:2]], ", ")
    return tag("details", tag("summary", f"{len(texts):,} {counted}: ", first, ", …"), listed)


def number_of(count: int, singular: str, plural: str = "") -> str:
    """Return `1 role`, `2 roles` or `1,000 roles`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def short_name(arn: str) -> str:
    """Return the last field of an ARN (`role/deploy`), or the text itself."""
    fields = arn.split(":", 5)
    return fields[5] if len(fields) == 6 and fields[5] else arn


def account_text(arn: str) -> str:
    """Return `account 111122223333` for an ARN with an account, else the empty text."""
    fields = arn.split(":", 5)
    return f"account {fields[4]}" if len(fields) == 6 and fields[4] else ""


def type_text(resource_type: str) -> str:
    """Return the words of a resource type: `S3 Bucket` for `AWS::S3::Bucket`, `docs document` for `docs:document`."""
    return " ".join(resource_type.removeprefix("AWS::").replace(":", " ").split())

"""The report of a store's access for people: one HTML page with external access, unused access, and escalation.

The page is self-contained: no script, nothing is loaded, and its content security policy allows nothing but its own
style. It has light and dark colours, and every picture has its content in a table, too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Any

from iam_guard.analysis.reports.escalation_diagram import escalation_section
from iam_guard.analysis.reports.external_map import external_section
from iam_guard.analysis.reports.markup import Markup, joined, link, tag
from iam_guard.analysis.reports.sections import ReportSection
from iam_guard.analysis.reports.unused_heat_map import unused_section


@dataclass(frozen=True)
class AccessReport:
    """What was found: the JSON values of external and unused findings, of escalation paths, and of administrators.

    `subject` is what was analysed, for the heading; `time` is when, with a time zone. `unused` is None if it was not
    analysed: a seed file does not record what is used.
    """

    subject: str
    time: datetime
    external: Sequence[Mapping[str, Any]]
    unused: Sequence[Mapping[str, Any]] | None
    escalation: Sequence[Mapping[str, Any]]
    administrators: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def sections(self) -> tuple[ReportSection, ReportSection, ReportSection]:
        """The parts of the report, in their order."""
        return (
            external_section(self.external),
            unused_section(self.unused, self.time),
            escalation_section(self.escalation, self.administrators),
        )


def report_html(report: AccessReport) -> str:
    """Return the page."""
    sections = report.sections
    time = report.time.astimezone(UTC)
    style = _style()
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_content_security_policy(style)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Access report: {report.subject}"),
        tag("style", style),
    )
    header = tag(
        "header",
        tag("h1", "Access report"),
        tag(
            "p",
            tag("code", report.subject),
            " ",
            tag("time", f"{time:%d %B %Y, %H:%M} UTC", datetime=f"{time:%Y-%m-%dT%H:%M:%SZ}"),
        ),
    )
    cards = tag("nav", tag("ul", *map(_card, sections)), aria_label="Findings")
    main = tag("main", *map(_section, sections), id="findings")
    body = tag("body", link("findings", "Skip to the findings", class_="skip"), header, cards, main)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _card(section: ReportSection) -> Markup:
    number = tag("strong", _number(section))
    worst = [tag("b", section.worst)] if section.worst else []
    return tag("li", link(section.anchor, tag("span", section.title), number, tag("span", section.counted), *worst))


def _number(section: ReportSection) -> str:
    if section.count is None:
        return "unknown"
    return f"{section.count:,}" if section.figure else "✓ 0"


def _section(section: ReportSection) -> Markup:
    parts = [tag("h2", section.title, id=section.anchor), tag("p", section.summary, class_="lead")]
    if section.figure:
        parts += [section.figure, tag("p", tag("b", "What to do:"), " ", section.advice), section.table]
    return tag("section", joined(parts), aria_labelledby=section.anchor)


@cache
def _style() -> Markup:
    return Markup(files(__package__).joinpath("report.css").read_text(encoding="utf-8"))


def _content_security_policy(style: str) -> str:
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"

"""The heat map of unused access: principals as rows; credentials, and services of permissions, as columns.

It is made from the findings as JSON values (rules AA-2, AA-10): `findingType`, `resource`, `resourceType`,
`lastAccessed`, `accessKeyId`, `serviceNamespace`, `actions`. The map is a table, so every cell has words, too: how many
actions, and for how long they were not used. The longer, the darker its shade and the heavier its edge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any, NamedTuple, TypeAlias

from iam_guard.analysis.reports.markup import Markup, joined, tag
from iam_guard.analysis.reports.sections import (
    ReportSection,
    account_text,
    code,
    codes,
    figure,
    findings_table,
    number_of,
    short_name,
    type_text,
)
from iam_guard.policy.grammar import shortened, shown

Finding: TypeAlias = Mapping[str, Any]
MAX_PRINCIPALS = 20
MAX_SERVICES = 8
MAX_LABEL = 48
_CREDENTIALS = {
    "UnusedIAMRole": "Role",
    "UnusedIAMUserPassword": "Password",
    "UnusedIAMUserAccessKey": "Access key",
}
_COUNTED = {
    "UnusedIAMRole": ("role", "roles"),
    "UnusedIAMUserPassword": ("password", "passwords"),
    "UnusedIAMUserAccessKey": ("access key", "access keys"),
    "UnusedPermission": ("service with unused permissions", "services with unused permissions"),
}
_LEVELS = ((180, "less than 180 days"), (365, "180 days or more"), (inf, "a year or more"))
"""The end of each shade but the last in days, from light to dark, and its words in the legend."""
_NEVER_LEVEL = len(_LEVELS) + 1
_ADVICE = (
    "Delete roles, passwords and access keys that are no longer needed, and remove unused actions from policies. "
    "Ask the owner first: some permissions are needed once a year."
)


class _Column(NamedTuple):
    """A column of the map: a kind of credential or a service."""

    is_service: bool
    name: str


class _Unused(NamedTuple):
    """One finding: its column, for how many days it was not used (`inf`: never), and the finding."""

    column: _Column
    days: float
    finding: Finding


def unused_section(findings: Sequence[Finding] | None, now: datetime) -> ReportSection:
    """Return the section of the report; `now` is the time until which nothing was used. None: it was not analysed."""
    if findings is None:
        return _section("Unused access was not analysed.", count=None)
    unused = [_Unused(_column(finding), _longest(finding, now), finding) for finding in findings]
    unused.sort(key=lambda item: (-item.days, item.finding["resource"], item.column))
    principals = {item.finding["resource"] for item in unused}
    never = {item.finding["resource"] for item in unused if item.days == inf}
    summary = "No role, password, access key or permission is unused."
    if unused:
        kinds = Counter(finding["findingType"] for finding in findings)
        counts = [number_of(kinds[kind], *words) for kind, words in _COUNTED.items() if kinds[kind]]
        part = number_of(len(never), "principal has", "principals have") if never else "None has"
        summary = (
            f"{number_of(len(principals), 'principal has', 'principals have')} unused access: {', '.join(counts)}. "
            f"{part} access that was never used."
        )
    worst = f"{len(never):,} with access never used" if never else ""
    return _section(summary, count=len(principals), worst=worst, unused=unused)


def _section(summary: str, *, count: int | None, worst: str = "", unused: Sequence[_Unused] = ()) -> ReportSection:
    return ReportSection(
        anchor="unused",
        title="Unused access",
        count=count,
        counted="principal with unused access" if count == 1 else "principals with unused access",
        worst=worst,
        summary=summary,
        advice=_ADVICE,
        figure=_heat_map(unused) if unused else Markup(),
        table=_table(unused) if unused else Markup(),
    )


def _column(finding: Finding) -> _Column:
    kind = finding["findingType"]
    return _Column(False, _CREDENTIALS[kind]) if kind in _CREDENTIALS else _Column(True, finding["serviceNamespace"])


def _longest(finding: Finding, now: datetime) -> float:
    """Return the days without use: of the longest unused action, since other actions of its service may be in use."""
    return max(_days(item["lastAccessed"], now) for item in finding.get("actions") or [finding])


def _days(last: str | None, now: datetime) -> float:
    return inf if last is None else max(0, (now - datetime.fromisoformat(last)).days)


def _duration(days: float) -> str:
    return "never" if days == inf else number_of(int(days), "day")


def _level(days: float) -> int:
    """Return the shade, from 1 to 4."""
    ends = (index for index, (end, _) in enumerate(_LEVELS, 1) if days < end)
    return next(ends, _NEVER_LEVEL)


# --- the map ---------------------------------------------------------------------------------------------------------


def _heat_map(unused: Sequence[_Unused]) -> Markup:
    rows: defaultdict[str, list[_Unused]] = defaultdict(list)
    for item in unused:
        rows[item.finding["resource"]].append(item)
    ranked = sorted(rows, key=lambda arn: (-sum(_level(item.days) for item in rows[arn]), arn))
    shown, hidden = ranked[:MAX_PRINCIPALS], ranked[MAX_PRINCIPALS:]
    credentials, services, others = _columns(unused)
    columns = [*credentials, *services]
    body = [_row(arn, rows[arn], columns, others) for arn in shown]
    if hidden:
        body.append(_last_row([rows[arn] for arn in hidden], columns, others))
    table = tag(
        "table",
        tag("thead", *_head(credentials, services, others)),
        tag("tbody", *body),
        class_="heat",
    )
    return figure(table, "Heat map of unused access", _legend())


def _columns(unused: Sequence[_Unused]) -> tuple[list[_Column], list[_Column], set[_Column]]:
    """Return the kinds of credentials, the services with most findings, and the services without a column."""
    counts = Counter(item.column for item in unused)
    credentials = [_Column(False, name) for name in _CREDENTIALS.values() if _Column(False, name) in counts]
    services = sorted((column for column in counts if column.is_service), key=lambda column: (-counts[column], column))
    room = MAX_SERVICES if len(services) <= MAX_SERVICES else MAX_SERVICES - 1
    return credentials, services[:room], set(services[room:])


def _head(credentials: Sequence[_Column], services: Sequence[_Column], others: set[_Column]) -> list[Markup]:
    more = [tag("th", f"{len(others):,} more", scope="col")] if others else []
    groups = [("Credentials", len(credentials)), ("Unused permissions, by service", len(services) + len(more))]
    return [
        tag(
            "tr",
            tag("th", "Principal", scope="col", rowspan=2),
            *(tag("th", name, scope="colgroup", colspan=size) for name, size in groups if size),
        ),
        tag(
            "tr",
            *(tag("th", tag("span", _label(column.name)), scope="col") for column in [*credentials, *services]),
            *more,
        ),
    ]


def _label(name: str) -> str:
    return shortened(shown(name), MAX_LABEL)


def _row(arn: str, items: Sequence[_Unused], columns: Sequence[_Column], others: set[_Column]) -> Markup:
    cells = [_cell([item for item in items if item.column == column]) for column in columns]
    if others:
        cells.append(_cell([item for item in items if item.column in others]))
    name = tag("th", code(_label(short_name(arn))), tag("small", account_text(arn)), scope="row")
    return tag("tr", name, *cells)


def _cell(items: Sequence[_Unused]) -> Markup:
    """Return what is unused and for how long, the longest for several."""
    if not items:
        return tag("td", tag("span", "–", class_="quiet"))
    days = max(item.days for item in items)
    parts = [tag("span", _duration(days))]
    if len(items) > 1:
        parts.insert(0, tag("b", number_of(len(items), "service" if items[0].column.is_service else "key")))
    elif items[0].column.is_service:
        actions = items[0].finding["actions"]
        parts.insert(0, tag("b", number_of(len(actions), "action") if actions else "all"))
    return tag("td", joined(parts, " "), class_=f"level-{_level(days)}")


def _last_row(hidden: Sequence[Sequence[_Unused]], columns: Sequence[_Column], others: set[_Column]) -> Markup:
    """Return the number of the other principals, and how many of them have a finding in each column."""
    counts = Counter(column for items in hidden for column in {item.column for item in items})
    numbers = [counts[column] for column in columns]
    if others:
        numbers.append(sum(any(item.column in others for item in items) for items in hidden))
    cells = (tag("td", tag("b", number_of(number, "principal")) if number else "–") for number in numbers)
    return tag(
        "tr", tag("th", f"{len(hidden):,} more", tag("small", "see the table"), scope="row"), *cells, class_="others"
    )


def _legend() -> list[str]:
    words = [*(f"not used for {text}" for _, text in _LEVELS), "never used"]
    samples = [
        joined([tag("span", class_=f"sample level-{level}", aria_hidden="true"), f" {text}"])
        for level, text in enumerate(words, 1)
    ]
    return [*samples, joined([tag("b", "all"), " the whole service was not used"])]


# --- the table -------------------------------------------------------------------------------------------------------


def _table(unused: Sequence[_Unused]) -> Markup:
    rows = (
        (
            joined([code(item.finding["resource"]), tag("small", type_text(item.finding["resourceType"]))], " "),
            _what(item),
            "never" if item.days == inf else f"{_duration(item.days)} ago",
            codes([_action_text(action) for action in item.finding.get("actions", ())]) or _none(item),
        )
        for item in unused
    )
    heads = ("Principal", "Unused", "Last use", "Actions, and their last use")
    return findings_table("Unused access, every finding", heads, rows, len(unused))


def _what(item: _Unused) -> Markup:
    key = item.finding.get("accessKeyId")
    return joined([item.column.name, code(key)] if key else [item.column.name], " ")


def _action_text(action: Mapping[str, Any]) -> str:
    last = action["lastAccessed"]
    return f"{action['action']} (never)" if last is None else f"{action['action']} (last {last[:10]})"


def _none(item: _Unused) -> Markup:
    return tag("span", "every action of the service" if item.column.is_service else "–", class_="quiet")

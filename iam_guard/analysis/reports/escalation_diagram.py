"""The graph of escalation: which principals can become which others, or an administrator, and by which steps.

It is made from the paths as JSON values: `from`, `to` (an ARN or `administrator`), and `steps` of `action`, `resource`
and `why`. Equal last steps of several paths are one box. If there are more principals than a column has room for,
the graph shows kinds of principals and resources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from iam_guard.analysis.escalation.escalation_path import ADMINISTRATOR
from iam_guard.analysis.reports.layered_graph import MAX_NODES, GraphNode, GraphRoute, layered_graph
from iam_guard.analysis.reports.markup import Markup, joined, tag
from iam_guard.analysis.reports.sections import (
    ReportSection,
    account_text,
    code,
    figure,
    findings_table,
    number_of,
    short_name,
)

Path: TypeAlias = Mapping[str, Any]
_MAX_STEPS = 3
"""The columns of steps; a longer path shows its first and its last step."""
_ADVICE = (
    "Break each path at one of its steps: limit the action to specific resources, require a condition, or set a "
    "permissions boundary. Steps that many paths share come first."
)


def escalation_section(paths: Sequence[Path], present: Sequence[Mapping[str, Any]] = ()) -> ReportSection:
    """Return the section of the report; `present` are the principals that are administrators already."""
    paths = sorted(paths, key=lambda path: (path["to"] != ADMINISTRATOR, len(path["steps"]), path["from"], path["to"]))
    administrators = {path["from"] for path in paths if path["to"] == ADMINISTRATOR}
    others = {path["from"] for path in paths} - administrators
    summary = "No principal can become another one, or an administrator."
    if paths:
        more = f", and {len(others):,} only another principal" if others else ""
        summary = f"{number_of(len(administrators), 'principal')} can become administrator{more}."
        if not administrators:
            summary = f"{number_of(len(others), 'principal')} can become another principal, none an administrator."
    if present:
        verb = "is an administrator" if len(present) == 1 else "are administrators"
        summary = f"{summary} {number_of(len(present), 'principal')} {verb} already."
    return ReportSection(
        anchor="escalation",
        title="Escalation",
        count=len(administrators) + len(others),
        counted="principal that can become more"
        if len(administrators | others) == 1
        else "principals that can become more",
        worst=f"{len(administrators):,} to administrator" if administrators else "",
        summary=summary,
        advice=_ADVICE,
        figure=_graph(paths, summary) if paths else Markup(),
        table=joined([*([_table(paths)] if paths else []), *([_administrators(present)] if present else [])]),
    )


def _graph(paths: Sequence[Path], summary: str) -> Markup:
    columns = min(max(len(path["steps"]) for path in paths), _MAX_STEPS)
    starts = {path["from"] for path in paths}
    name = short_name if len(starts) <= MAX_NODES else _group_name
    groups = Counter((name(start), account_text(start)) for start in starts)

    def start_node(arn: str) -> GraphNode:
        node = _principal(arn, name)
        count = groups[node.name, node.detail]
        return node if name is short_name else GraphNode(node.name, f"{number_of(count, 'principal')} · {node.detail}")

    picture = layered_graph(
        ["Principal", "Steps", *([""] * (columns - 1)), "Becomes"],
        [
            GraphRoute((start_node(path["from"]), *_steps(path["steps"], columns, name), _principal(path["to"], name)))
            for path in paths
        ],
        name="escalation-graph",
        title="Graph of escalation",
        about=f"{summary} The table below lists every path.",
    )
    return figure(picture, "Graph of escalation", _LEGEND)


_LEGEND = (
    "Read from left to right: a principal, what it does, and whom it becomes.",
    "A thick frame: an administrator.",
)


def _group_name(arn: str) -> str:
    """Return the name of all principals or resources of a kind: `role/*` for a role."""
    kind, slash, _ = short_name(arn).partition("/")
    return f"{kind}/*" if slash else kind


def _principal(arn: str, name: Callable[[str], str]) -> GraphNode:
    if arn == ADMINISTRATOR:
        return GraphNode("Administrator", "may do everything", "alarm")
    return GraphNode(name(arn), account_text(arn))


def _steps(steps: Sequence[Mapping[str, str]], columns: int, name: Callable[[str], str]) -> list[GraphNode | None]:
    """Return the nodes of the steps, at the right of their columns."""
    nodes: list[GraphNode | None] = [GraphNode(step["action"], f"on {name(step['resource'])}") for step in steps]
    if len(nodes) > columns:
        nodes = [nodes[0], GraphNode("more steps", "see the table", "others"), nodes[-1]]
    return [*[None] * (columns - len(nodes)), *nodes]


def _table(paths: Sequence[Path]) -> Markup:
    rows = (
        (
            code(path["from"]),
            tag("strong", "Administrator") if path["to"] == ADMINISTRATOR else code(path["to"]),
            tag("ol", *map(_step, path["steps"])),
        )
        for path in paths
    )
    return findings_table("Escalation, every path", ("Principal", "Becomes", "Steps"), rows, len(paths))


def _administrators(present: Sequence[Mapping[str, Any]]) -> Markup:
    rows = ((code(one["principal"]), one["why"]) for one in present)
    return findings_table("Administrators already", ("Principal", "By"), rows, len(present))


def _step(step: Mapping[str, str]) -> Markup:
    return tag(
        "li",
        joined([code(step["action"]), " on ", code(step["resource"]), tag("br"), tag("small", step["why"])]),
    )

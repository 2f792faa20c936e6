"""The map of external access: who outside the zone of trust reaches which resource (rules AA-4 to AA-7).

It is made from the findings as JSON values: `resource`, `resourceType`, `principal`, `action`, `condition`, `isPublic`,
and, if present, `notAction`, `suggestedFix`, and `error`: the policy could not be analysed, which is shown like public
access. Principals of an account are one party. If there are more resources than the map has room for, it shows types.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from iam_guard.analysis.reports.layered_graph import MAX_NODES, GraphNode, GraphRoute, layered_graph
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
from iam_guard.model.arn import account_of, is_account_id

Finding: TypeAlias = Mapping[str, Any]
_EVERYONE, _UNKNOWN = "Everyone", "Unknown"
_ACCESS = {"alarm": tag("strong", "Public"), "conditional": "Conditional", "": "Named principal"}
_ADVICE = (
    "Remove what is not intended from the policies of these resources, or add a condition that limits the callers, "
    "such as aws:PrincipalOrgID or aws:SourceAccount."
)


def external_section(findings: Sequence[Finding]) -> ReportSection:
    """Return the section of the report."""
    findings = sorted(findings, key=lambda finding: (not _is_alarm(finding), finding["resource"]))
    reached = {finding["resource"] for finding in findings if not finding.get("error")}
    public = {finding["resource"] for finding in findings if finding["isPublic"]}
    failed = {finding["resource"] for finding in findings if finding.get("error")}
    parties = {_party(finding) for finding in findings} - {_UNKNOWN}
    summary = "No resource can be reached from outside the zone of trust."
    if reached:
        open_to_all = f"{number_of(len(public), 'is', 'are')} public" if public else "none is public"
        summary = (
            f"{number_of(len(reached), 'resource')} can be reached from outside the zone of trust, "
            f"by {number_of(len(parties), 'outside party', 'outside parties')}; {open_to_all}."
        )
    if failed:
        summary = (
            f"{summary if reached else 'No other resource can be reached from outside the zone of trust.'} "
            f"{number_of(len(failed), 'resource')} could not be analysed, so access from outside is possible."
        )
    counts = [f"{len(public):,} public" if public else "", f"{len(failed):,} not analysed" if failed else ""]
    return ReportSection(
        anchor="external",
        title="External access",
        count=len(reached),
        counted="resource reachable from outside" if len(reached) == 1 else "resources reachable from outside",
        worst=", ".join(filter(None, counts)),
        summary=summary,
        advice=_ADVICE,
        figure=_map(findings, summary) if findings else Markup(),
        table=_table(findings) if findings else Markup(),
    )


def _is_alarm(finding: Finding) -> bool:
    """Return whether access is public, or unknown."""
    return finding["isPublic"] or bool(finding.get("error"))


def _party(finding: Finding) -> str:
    """Return who is outside: everyone, an account, an identity provider, or the principal as it is written."""
    if finding.get("error"):
        return _UNKNOWN
    [(kind, name)] = finding["principal"].items()
    if kind == "AWS":
        account = name if is_account_id(name) else account_of(name)
        return _EVERYONE if name == "*" else f"Account {account}" if account else name
    words = {"Federated": "Identity provider", "CanonicalUser": "Canonical user"}
    return f"{words.get(kind, kind)} {short_name(name)}"


# --- the map ---------------------------------------------------------------------------------------------------------


def _map(findings: Sequence[Finding], summary: str) -> Markup:
    of_party, of_type = defaultdict(set), defaultdict(set)
    for finding in findings:
        of_party[_party(finding)].add(finding["resource"])
        of_type[finding["resourceType"]].add(finding["resource"])
    alarms = {finding["resource"] for finding in findings if _is_alarm(finding)}
    is_grouped = sum(map(len, of_type.values())) > MAX_NODES

    def source(finding: Finding) -> GraphNode:
        party = _party(finding)
        kind = "alarm" if party in {_EVERYONE, _UNKNOWN} else ""
        return GraphNode(party, number_of(len(of_party[party]), "resource"), kind)

    def target(finding: Finding) -> GraphNode:
        resource, resource_type = finding["resource"], finding["resourceType"]
        if not is_grouped:
            detail = " · ".join(filter(None, [type_text(resource_type), account_text(resource)]))
            return GraphNode(short_name(resource), detail, "alarm" if resource in alarms else "")
        members = of_type[resource_type]
        detail = number_of(len(members), "resource")
        if not members & alarms:
            return GraphNode(type_text(resource_type), detail)
        return GraphNode(type_text(resource_type), f"{detail}, {len(members & alarms):,} public or unknown", "alarm")

    picture = layered_graph(
        ["Outside the zone of trust", "Resources"],
        [GraphRoute((source(finding), target(finding)), _kind(finding)) for finding in findings],
        name="external-map",
        title="Map of external access",
        about=f"{summary} The table below lists every connection.",
    )
    return figure(picture, "Map of external access", _LEGEND)


def _kind(finding: Finding) -> str:
    return "alarm" if _is_alarm(finding) else "conditional" if finding["condition"] else ""


def _sample(kind: str) -> Markup:
    line = tag("g", tag("path", d="M0 5H34"), class_=f"edge {kind}".strip())
    return tag("svg", line, class_="sample", viewBox="0 0 34 10", aria_hidden="true")


_LEGEND = (
    joined([_sample("alarm"), " public, or unknown"]),
    joined([_sample(""), " named principals"]),
    joined([_sample("conditional"), " only if conditions are met"]),
)


# --- the table -------------------------------------------------------------------------------------------------------


def _table(findings: Sequence[Finding]) -> Markup:
    heads = ("Resource", "Principal", "Access", "Actions", "Conditions")
    return findings_table("External access, every finding", heads, map(_row, findings), len(findings))


def _row(finding: Finding) -> Sequence[str]:
    resource = joined([code(finding["resource"]), tag("small", type_text(finding["resourceType"]))], " ")
    if finding.get("error"):
        return resource, "unknown", tag("strong", "Not analysed"), "unknown", finding["error"]
    excluded = finding.get("notAction", ())
    return (
        resource,
        joined([code(f"{kind}: {name}") for kind, name in finding["principal"].items()], ", "),
        _ACCESS[_kind(finding)],
        joined([codes(finding["action"]), *([" except ", codes(excluded)] if excluded else [])]),
        joined([_conditions(finding["condition"]), _fix(finding)], " "),
    )


def _conditions(condition: Mapping[str, Any]) -> Markup:
    if not condition:
        return tag("span", "none", class_="quiet")
    return joined([code(f"{key}: {_value(value)}") for key, value in condition.items()], ", ")


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _fix(finding: Finding) -> Markup:
    """Return the sentence of the fix that the analysis has verified, if it has one."""
    fix = finding.get("suggestedFix")
    return tag("small", f"Verified fix: {fix['sentence']}") if fix else Markup()

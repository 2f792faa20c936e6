"""Statistics of the findings of an analyzer: by resource type, by type of unused access, by account."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from iam_guard.api.access_analyzer.analyzer_rows import load_by_arn
from iam_guard.api.access_analyzer.analyzer_settings import AnalyzerKind, is_of_organization, kind_of_analyzer
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.store.database.records import Row
from iam_guard.store.schema import findings

MAX_TOP_ACCOUNTS: Final = 10
_TOTALS: Final = {
    "totalActiveFindings": "ACTIVE",
    "totalArchivedFindings": "ARCHIVED",
    "totalResolvedFindings": "RESOLVED",
}


def get_findings_statistics(call: ServiceCall, parameters: Input) -> Output:
    """Return the numbers of an analyzer's findings. Raises `AnalyzerResourceNotFound`."""
    analyzer = load_by_arn(call, parameters)
    columns = ("type", "resource_type", "owner", "status")
    rows = call.records.all(findings, columns=columns, analyzer_id=analyzer["id"])
    union, count = _BY_KIND[kind_of_analyzer(analyzer["type"])]
    statistics = {**_totals(rows), **count(call, analyzer, rows)}
    return {"findingsStatistics": [{union: statistics}], "lastUpdatedAt": instant(analyzer["analyzed"])}


def _totals(rows: Sequence[Row]) -> dict[str, int]:
    by_status = Counter(row["status"] for row in rows)
    return {name: by_status[status] for name, status in _TOTALS.items()}


def _external(call: ServiceCall, analyzer: Row, _rows: Sequence[Row]) -> Output:
    by_type: dict[str, Counter[str]] = defaultdict(Counter)
    columns = ("resource_type", "content")
    for row in call.records.all(findings, columns=columns, analyzer_id=analyzer["id"], status="ACTIVE"):
        by_type[row["resource_type"]][_kind_of_access(row["content"])] += 1
    names = ("totalActivePublic", "totalActiveCrossAccount", "totalActiveErrors")
    return {"resourceTypeStatistics": {type: {name: found[name] for name in names} for type, found in by_type.items()}}


def _kind_of_access(content: Mapping[str, Any]) -> str:
    if content["error"] is not None:
        return "totalActiveErrors"
    is_public = any(details["externalAccessDetails"].get("isPublic") for details in content["details"])
    return "totalActivePublic" if is_public else "totalActiveCrossAccount"


def _internal(_call: ServiceCall, _analyzer: Row, rows: Sequence[Row]) -> Output:
    by_type: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_type[row["resource_type"]].append(row)
    return {"resourceTypeStatistics": {type: _totals(of_type) for type, of_type in by_type.items()}}


def _unused(_call: ServiceCall, analyzer: Row, rows: Sequence[Row]) -> Output:
    active = [row for row in rows if row["status"] == "ACTIVE"]
    types = Counter(row["type"] for row in active)
    statistics: Output = {
        "unusedAccessTypeStatistics": [
            {"unusedAccessType": type, "total": total} for type, total in sorted(types.items())
        ]
    }
    if is_of_organization(analyzer["type"]):
        accounts: dict[str, Counter[str]] = defaultdict(Counter)
        for row in active:
            accounts[row["owner"]][row["type"]] += 1
        top = sorted(accounts.items(), key=lambda item: (-item[1].total(), item[0]))[:MAX_TOP_ACCOUNTS]
        statistics["topAccounts"] = [
            {"account": account, "numberOfActiveFindings": found.total(), "details": dict(found)}
            for account, found in top
        ] or None
    return statistics


_Count: TypeAlias = Callable[[ServiceCall, Row, Sequence[Row]], Output]
_BY_KIND: Final[Mapping[AnalyzerKind, tuple[str, _Count]]] = {
    AnalyzerKind.EXTERNAL: ("externalAccessFindingsStatistics", _external),
    AnalyzerKind.INTERNAL: ("internalAccessFindingsStatistics", _internal),
    AnalyzerKind.UNUSED: ("unusedAccessFindingsStatistics", _unused),
}

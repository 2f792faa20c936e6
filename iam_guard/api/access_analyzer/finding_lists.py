"""Findings: listed, described, archived and activated again (AA-3, AA-13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from iam_guard.api.access_analyzer.analyzer_errors import AnalyzerResourceNotFound, InvalidMember
from iam_guard.api.access_analyzer.analyzer_rows import load_by_arn
from iam_guard.api.access_analyzer.analyzer_settings import AnalyzerKind, kind_of_analyzer
from iam_guard.api.access_analyzer.finding_filters import (
    COLUMNS,
    TIMES,
    Attributes,
    FindingFilter,
    attributes_of,
    check_key,
    filter_key,
)
from iam_guard.api.access_analyzer.finding_members import described_v1, details_v2, summary_v2
from iam_guard.api.access_analyzer.finding_updates import KEPT_SECONDS
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.paging import Fetch, Key, Page, page_of_positions, page_of_rows
from iam_guard.store.database.records import Row
from iam_guard.store.schema import findings

_FINDING: Final = "Finding"
_ORDER: Final = ("resource", "id")
_CHUNK: Final = 500
MAX_IDS: Final = 1000
"""Findings that one call can archive by their ids."""


def list_findings(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the findings of external access. Raises `InvalidMember` for another kind of analyzer."""
    return _listed(call, parameters, external_analyzer(call, parameters), described_v1)


def list_findings_v2(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the findings of any analyzer, without details."""
    return _listed(call, parameters, load_by_arn(call, parameters), summary_v2)


def get_finding(call: ServiceCall, parameters: Input) -> Output:
    """Return a finding of external access. Raises `AnalyzerResourceNotFound`, `InvalidMember`."""
    return {"finding": described_v1(load_finding(call, external_analyzer(call, parameters), parameters["id"]))}


def get_finding_v2(call: ServiceCall, parameters: Input) -> Output:
    """Return a finding with a page of its details. Raises `AnalyzerResourceNotFound`."""
    row = load_finding(call, load_by_arn(call, parameters), parameters["id"])
    return {**summary_v2(row), **page_of_positions(parameters, details_v2(row)).listed("findingDetails")}


def update_findings(call: ServiceCall, parameters: Input) -> None:
    """Archive or activate findings, by their ids or all of a resource. A resolved finding can't be changed.

    Raises `AnalyzerResourceNotFound`, `InvalidMember`.
    """
    analyzer = load_by_arn(call, parameters)
    if ("ids" in parameters) is ("resourceArn" in parameters):
        raise InvalidMember("expected either ids or resourceArn")
    if "resourceArn" in parameters:
        rows = call.records.all(findings, analyzer_id=analyzer["id"], resource=parameters["resourceArn"])
        rows = [row for row in rows if row["status"] != "RESOLVED"]
    else:
        rows = list(_by_ids(call, analyzer, list(dict.fromkeys(parameters["ids"]))))
    changed = [row["id"] for row in rows if row["status"] != parameters["status"]]
    for start in range(0, len(changed), _CHUNK):
        values = {"status": parameters["status"], "updated": call.now}
        call.records.update(findings, values, id=changed[start : start + _CHUNK])


def _by_ids(call: ServiceCall, analyzer: Row, ids: Sequence[str]) -> Iterator[Row]:
    if len(ids) > MAX_IDS:
        raise InvalidMember(f"expected at most {MAX_IDS} ids, got {len(ids)}")
    for id in ids:
        row = load_finding(call, analyzer, id)
        if row["status"] == "RESOLVED":
            raise InvalidMember(f"The finding {id} is resolved, so its status cannot be changed.")
        yield row


def start_resource_scan(call: ServiceCall, parameters: Input) -> None:
    """Check the analyzer, which has analysed the resource already (`finding_updates`). Raises `InvalidMember`."""
    external_analyzer(call, parameters)


# --- reading -----------------------------------------------------------------------------------------------------


def load_finding(call: ServiceCall, analyzer: Row, id: str) -> Row:
    """Find a finding of an analyzer. Raises `AnalyzerResourceNotFound`."""
    row = call.records.one(findings, id=id, analyzer_id=analyzer["id"])
    if row is None or _is_expired(row, call.now):
        raise AnalyzerResourceNotFound(f"The finding {id[:200]} does not exist.", id=id[:200], type=_FINDING)
    return row


def external_analyzer(call: ServiceCall, parameters: Input) -> Row:
    row = load_by_arn(call, parameters)
    if kind_of_analyzer(row["type"]) is not AnalyzerKind.EXTERNAL:
        raise InvalidMember(f"expected an analyzer of external access, got one of type {row['type']}")
    return row


def _is_expired(row: Row, now: int) -> bool:
    return bool(row["status"] == "RESOLVED" and row["updated"] <= now - KEPT_SECONDS)


def _listed(call: ServiceCall, parameters: Input, analyzer: Row, describe: Callable[[Row], Output]) -> Output:
    wanted = FindingFilter.of(parameters.get("filter", {}))
    sort = parameters.get("sort")
    if sort is None:
        page = page_of_rows(parameters, _ORDER, _in_chunks(call, analyzer, wanted))
        rows = page.rows
    else:
        page = _sorted_page(call, parameters, analyzer, wanted)
        rows = [row["finding"] for row in page.rows]
    return {"findings": [describe(row) for row in rows], **page.members}


def _in_chunks(call: ServiceCall, analyzer: Row, wanted: FindingFilter) -> Fetch:
    """Return the function that fetches matching findings, by resource, a chunk of rows at a time."""

    def fetch(after: Key | None, limit: int) -> Sequence[Row]:
        found: list[Row] = []
        where = {"analyzer_id": analyzer["id"], **wanted.columns}
        size = _CHUNK if wanted.criteria else limit
        while len(found) < limit:
            chunk = call.records.page(findings, order=_ORDER, after=after, limit=size, **where)
            found += [row for row in chunk if _is_wanted(call, row, wanted)]
            if len(chunk) < size:
                break
            after = [chunk[-1][name] for name in _ORDER]
        return found[:limit]

    return fetch


def _is_wanted(call: ServiceCall, row: Row, wanted: FindingFilter) -> bool:
    return not _is_expired(row, call.now) and (not wanted.criteria or wanted.matches(attributes_of(row)))


def _sorted_page(call: ServiceCall, parameters: Input, analyzer: Row, wanted: FindingFilter) -> Page:
    """Return a page of all matching findings by one attribute, and by id where that is the same."""
    name = parameters["sort"].get("attributeName", "resource")
    check_key(name, TIMES)
    is_descending = parameters["sort"].get("orderBy", "ASC") == "DESC"
    rows = call.records.all(findings, analyzer_id=analyzer["id"], **wanted.columns)
    keyed = [
        {"sorted": _sort_text(name, row), "id": row["id"], "finding": row}
        for row in rows
        if _is_wanted(call, row, wanted)
    ]
    keyed.sort(key=_position, reverse=is_descending)

    def fetch(after: Key | None, limit: int) -> Sequence[dict[str, Any]]:
        if after is None:
            return keyed[:limit]
        last = (after[0], after[1])
        rest = (row for row in keyed if (_position(row) < last if is_descending else _position(row) > last))
        return [row for row, _ in zip(rest, range(limit), strict=False)]

    return page_of_rows(parameters, ("sorted", "id"), fetch)


def _position(row: dict[str, Any]) -> tuple[str, str]:
    return row["sorted"], row["id"]


def _sort_text(name: str, row: Row) -> str:
    """Return the value of an attribute as text that sorts as the attribute does."""
    if name in TIMES:
        return f"{row[TIMES[name]]:012}"
    if name in COLUMNS:
        return str(row[COLUMNS[name]])
    attributes: Attributes = attributes_of(row)
    return min(attributes.get(filter_key(name), ("",)))

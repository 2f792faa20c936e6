"""Archive rules: filters whose findings are archived when they are found (AA-12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from iam_guard.api.access_analyzer.analyzer_errors import (
    AnalyzerConflict,
    AnalyzerQuotaExceeded,
    AnalyzerResourceNotFound,
    InvalidMember,
)
from iam_guard.api.access_analyzer.analyzer_rows import load_by_arn, load_named
from iam_guard.api.access_analyzer.finding_filters import FindingFilter, attributes_of
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.paging import page_of_table
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import archive_rules, findings

_RULE = "ArchiveRule"
_CHUNK = 500


def create_archive_rule(call: ServiceCall, parameters: Input) -> None:
    """Create a rule, which applies to findings from now on. Raises `AnalyzerConflict`, `AnalyzerQuotaExceeded`."""
    analyzer = load_named(call, parameters)
    add_rules(call, analyzer, [parameters], parameters.get("clientToken"))


def add_rules(call: ServiceCall, analyzer: Row, rules: Sequence[Mapping[str, Any]], token: str | None) -> None:
    """Add rules to an analyzer. A repeated call with the same token and filter changes nothing."""
    count = call.records.count(archive_rules, analyzer_id=analyzer["id"])
    for number, rule in enumerate(rules, 1):
        name, stored = rule["ruleName"], _stored_filter(rule["filter"])
        existing = call.records.one(archive_rules, analyzer_id=analyzer["id"], name=name)
        if existing is not None:
            if token is not None and existing["client_token"] == token and existing["filter"] == stored:
                continue
            raise AnalyzerConflict(f"The archive rule {name} exists already.", id=name, type=_RULE)
        if count + number > (limit := call.records.quotas["archive rules per analyzer"]):
            raise AnalyzerQuotaExceeded(f"expected at most {limit} archive rules per analyzer", id=name, type=_RULE)
        call.records.insert(
            archive_rules,
            analyzer_id=analyzer["id"],
            name=name,
            filter=stored,
            client_token=token,
            created=call.now,
            updated=call.now,
        )


def get_archive_rule(call: ServiceCall, parameters: Input) -> Output:
    """Return a rule. Raises `AnalyzerResourceNotFound`."""
    return {"archiveRule": _described(_load_rule(call, load_named(call, parameters), parameters))}


def list_archive_rules(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the rules of an analyzer, by name."""
    analyzer = load_named(call, parameters)
    page = page_of_table(call, parameters, archive_rules, ("name",), analyzer_id=analyzer["id"])
    return {"archiveRules": [_described(row) for row in page.rows], **page.members}


def update_archive_rule(call: ServiceCall, parameters: Input) -> None:
    """Replace the filter of a rule. Raises `AnalyzerResourceNotFound`."""
    row = _load_rule(call, load_named(call, parameters), parameters)
    values = {"filter": _stored_filter(parameters["filter"]), "updated": call.now}
    call.records.update(archive_rules, values, analyzer_id=row["analyzer_id"], name=row["name"])


def delete_archive_rule(call: ServiceCall, parameters: Input) -> None:
    """Delete a rule; what it archived stays archived. Raises `AnalyzerResourceNotFound`."""
    row = _load_rule(call, load_named(call, parameters), parameters)
    call.records.delete(archive_rules, analyzer_id=row["analyzer_id"], name=row["name"])


def apply_archive_rule(call: ServiceCall, parameters: Input) -> None:
    """Archive the active findings that a rule matches now. Raises `AnalyzerResourceNotFound`."""
    analyzer = load_by_arn(call, parameters)
    rule = FindingFilter.of(_load_rule(call, analyzer, parameters)["filter"])
    active = call.records.all(findings, analyzer_id=analyzer["id"], status="ACTIVE")
    archived = [row["id"] for row in active if rule.matches(attributes_of(row))]
    for start in range(0, len(archived), _CHUNK):
        values = {"status": "ARCHIVED", "updated": call.now}
        call.records.update(findings, values, id=archived[start : start + _CHUNK])


def filters_of_rules(records: Records, analyzer_id: str) -> list[FindingFilter]:
    """Return the filters of an analyzer's rules."""
    rows: Iterable[Row] = records.all(archive_rules, analyzer_id=analyzer_id)
    return [FindingFilter.of(row["filter"]) for row in rows]


def _stored_filter(given: Mapping[str, Any]) -> dict[str, Any]:
    if not given:
        raise InvalidMember("expected at least one key in the filter of an archive rule")
    FindingFilter.of(given)
    return {key: dict(criterion) for key, criterion in given.items()}


def _load_rule(call: ServiceCall, analyzer: Row, parameters: Input) -> Row:
    name = parameters["ruleName"]
    row = call.records.one(archive_rules, analyzer_id=analyzer["id"], name=name)
    if row is None:
        raise AnalyzerResourceNotFound(f"The archive rule {name} does not exist.", id=name, type=_RULE)
    return row


def _described(row: Row) -> Output:
    return {
        "ruleName": row["name"],
        "filter": row["filter"],
        "createdAt": instant(row["created"]),
        "updatedAt": instant(row["updated"]),
    }

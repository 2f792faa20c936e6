"""Analyzers: created, described, changed, tagged and deleted (AA-1, AA-10, AA-11)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from iam_guard.api.access_analyzer.analyzer_errors import AnalyzerConflict, AnalyzerQuotaExceeded, InvalidMember
from iam_guard.api.access_analyzer.analyzer_rows import (
    ANALYZER,
    analyzer_arn,
    find_analyzer,
    load_by_arn,
    load_named,
)
from iam_guard.api.access_analyzer.analyzer_settings import (
    AnalyzerKind,
    checked_configuration,
    is_of_organization,
    kind_of_analyzer,
    quota_of_type,
)
from iam_guard.api.access_analyzer.archive_rules import add_rules
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.organization_position import managed_organization
from iam_guard.api.paging import page_of_table
from iam_guard.store.database.records import Row
from iam_guard.store.quotas import QUOTAS, TAG_KEY_LENGTH, TAG_VALUE_LENGTH
from iam_guard.store.schema import analyzers


def create_analyzer(call: ServiceCall, parameters: Input) -> Output:
    """Create an analyzer, which analyses the store when its findings are first read.

    A repeated call with the same token returns the same analyzer. Raises `AnalyzerConflict`, `AnalyzerQuotaExceeded`,
    `InvalidMember`.
    """
    name, type, token = parameters["analyzerName"], parameters["type"], parameters.get("clientToken")
    configuration = checked_configuration(type, parameters.get("configuration"))
    arn = analyzer_arn(call, name)
    existing = find_analyzer(call.records, call.account, name)
    if existing is not None:
        same = existing["type"] == type and existing["configuration"] == configuration
        if token is not None and existing["client_token"] == token and same:
            return {"arn": arn}
        raise AnalyzerConflict(f"The analyzer {name} exists already.", id=name, type=ANALYZER)
    if is_of_organization(type) and managed_organization(call.records, call.account) is None:
        raise InvalidMember(
            "You must create an organization, and be its management account, to use it as zone of trust."
        )
    if call.records.count(analyzers, account=call.account, type=type) >= quota_of_type(type):
        message = f"expected at most {quota_of_type(type)} analyzers of type {type}"
        raise AnalyzerQuotaExceeded(message, id=name, type=ANALYZER)
    row = {
        "id": str(uuid.uuid4()),
        "account": call.account,
        "name": name,
        "type": type,
        "configuration": configuration,
        "tags": _merged_tags({}, parameters.get("tags", {})),
        "client_token": token,
        "created": call.now,
    }
    call.records.insert(analyzers, **row)
    add_rules(call, load_named(call, parameters), parameters.get("archiveRules", ()), None)
    return {"arn": arn}


def get_analyzer(call: ServiceCall, parameters: Input) -> Output:
    """Return an analyzer. Raises `AnalyzerResourceNotFound`."""
    return {"analyzer": _described(call, load_named(call, parameters))}


def list_analyzers(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the account's analyzers, by name."""
    where = {"type": parameters["type"]} if "type" in parameters else {}
    page = page_of_table(call, parameters, analyzers, ("name",), account=call.account, **where)
    return {"analyzers": [_described(call, row) for row in page.rows], **page.members}


def update_analyzer(call: ServiceCall, parameters: Input) -> Output:
    """Change the configuration of an analyzer, which then analyses everything again. Raises `InvalidMember`."""
    row = load_named(call, parameters)
    if kind_of_analyzer(row["type"]) is AnalyzerKind.EXTERNAL:
        raise InvalidMember("An analyzer for external access has no configuration.")
    if "configuration" not in parameters:
        return {"configuration": row["configuration"]}
    configuration = checked_configuration(row["type"], parameters["configuration"])
    values = {"configuration": configuration, "epoch": None, "mark": None}
    call.records.update(analyzers, values, id=row["id"])
    return {"configuration": configuration}


def delete_analyzer(call: ServiceCall, parameters: Input) -> None:
    """Delete an analyzer with all that belongs to it. Raises `AnalyzerResourceNotFound`."""
    call.records.delete(analyzers, id=load_named(call, parameters)["id"])


def _described(call: ServiceCall, row: Row) -> Output:
    is_alone = is_of_organization(row["type"]) and managed_organization(call.records, row["account"]) is None
    return {
        "arn": analyzer_arn(call, row["name"]),
        "name": row["name"],
        "type": row["type"],
        "createdAt": instant(row["created"]),
        "lastResourceAnalyzed": row["last_resource"],
        "lastResourceAnalyzedAt": None if row["last_resource"] is None else instant(row["analyzed"]),
        "tags": row["tags"],
        "status": "FAILED" if is_alone else "ACTIVE",
        "statusReason": {"code": "ORGANIZATION_DELETED"} if is_alone else None,
        "configuration": row["configuration"] or None,
    }


# --- tags --------------------------------------------------------------------------------------------------------


def tag_resource(call: ServiceCall, parameters: Input) -> None:
    """Set tags of an analyzer. Raises `AnalyzerResourceNotFound`, `InvalidMember`."""
    row = load_by_arn(call, parameters, "resourceArn")
    call.records.update(analyzers, {"tags": _merged_tags(row["tags"], parameters["tags"])}, id=row["id"])


def untag_resource(call: ServiceCall, parameters: Input) -> None:
    """Remove tags of an analyzer by key; a missing key is no error. Raises `AnalyzerResourceNotFound`."""
    row = load_by_arn(call, parameters, "resourceArn")
    removed = {key.lower() for key in parameters["tagKeys"]}
    tags = {key: value for key, value in row["tags"].items() if key.lower() not in removed}
    call.records.update(analyzers, {"tags": tags}, id=row["id"])


def list_tags_for_resource(call: ServiceCall, parameters: Input) -> Output:
    """Return the tags of an analyzer. Raises `AnalyzerResourceNotFound`."""
    return {"tags": load_by_arn(call, parameters, "resourceArn")["tags"]}


def _merged_tags(stored: Mapping[str, str], given: Mapping[str, str]) -> dict[str, Any]:
    """Return stored tags with those of a call. Keys are case-insensitive, as condition keys are (G-79)."""
    replaced = {key.lower() for key in given}
    if len(replaced) < len(given):
        raise InvalidMember("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    for key, value in given.items():
        if key.lower().startswith("aws:") or not 1 <= len(key) <= TAG_KEY_LENGTH or len(value) > TAG_VALUE_LENGTH:
            raise InvalidMember(f"expected the key and the value of a tag, got `{key[:200]}`")
    tags = {**{key: value for key, value in stored.items() if key.lower() not in replaced}, **given}
    if len(tags) > QUOTAS["tags per entity"]:
        raise InvalidMember(f"expected at most {QUOTAS['tags per entity']} tags, got {len(tags)}")
    return tags

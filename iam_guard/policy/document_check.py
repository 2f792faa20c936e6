"""Checks of one policy document, as a table (rules AA-20 to AA-26).

A finding has the code of IAM Access Analyzer. To add a check, write a rule in `checks/` and a row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.checks import conditions, elements, forms, principals, variables
from iam_guard.policy.document import Document, Position
from iam_guard.policy.fault import Fault, Reading, Rule
from iam_guard.policy.finding_codes import LEVELS, Level
from iam_guard.policy.json_text import read_json
from iam_guard.policy.parser import parse


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `place` is a JSON pointer; `position` is None if the source was not text (rule AA-26)."""

    level: Level
    code: str
    message: str
    place: str
    position: Position | None = None


STORED: tuple[Rule, ...] = (elements.unstorable_characters, elements.unsupported_sid, elements.too_long)
"""Checks for documents that IAM stores (rules G-12, G-24, G-70)."""

CHECKS: tuple[Rule, ...] = (
    elements.missing_version,
    elements.version_of_organization,
    elements.unsupported_id,
    elements.no_statement,
    elements.repeated_sid,
    elements.empty_sid,
    elements.missing_principal,
    elements.rcp_syntax,
    elements.empty_action,
    elements.empty_resource,
    elements.empty_principal,
    elements.empty_condition,
    elements.repeated_entry,
    principals.wildcard_in_arn,
    principals.any_principal_in_trust,
    principals.group_or_profile,
    principals.unknown_form,
    principals.federated,
    principals.federated_with_other_action,
    forms.actions_without_name,
    forms.short_arns_with_empty_field,
    forms.resources_as_written,
    forms.condition_keys_without_tag,
    variables.syntax,
    variables.unsupported_version,
    variables.unsupported_element,
    variables.unsupported_field,
    variables.unsupported_operator,
    conditions.numbers,
    conditions.dates,
    conditions.booleans,
    conditions.binaries,
    conditions.addresses,
    conditions.arns,
    conditions.digits_as_date,
    conditions.several_booleans,
    conditions.several_bounds,
    conditions.null_with_set_prefix,
    conditions.literal_wildcards,
    conditions.no_values,
    conditions.host_bits,
    conditions.private_source,
)


def check(document: Document, *, stored: bool = True, partition: str = "aws") -> tuple[Finding, ...]:
    """Return what a write would refuse and what is unwise in a document, in the order of the table.

    `stored` adds the requirements on documents that IAM stores. `partition` is that of the deployment's own ARNs.
    """
    reading = Reading(document, read_json(document.text), partition)
    has_places = any(statement.position for statement in document.statements)
    rules = (*STORED, *CHECKS) if stored else CHECKS
    return tuple(_finding(fault, reading, has_places) for rule in rules for fault in rule(reading))


def _finding(fault: Fault, reading: Reading, has_places: bool) -> Finding:
    place, position = reading.source.locate(fault.path, name=fault.name)
    return Finding(LEVELS[fault.code], fault.code, fault.message, place, position if has_places else None)


def check_source(
    source: str | bytes | Mapping[str, Any], type: PolicyType = PolicyType.IDENTITY, *, stored: bool = True
) -> tuple[Finding, ...]:
    """Check a source that may not be a policy: if `parse` raises, the error is the only finding."""
    try:
        return check(parse(source, type), stored=stored)
    except PolicyError as error:
        code, place = error.finding or "JSON_SYNTAX_ERROR", error.place or ""
        return (Finding("ERROR", code, error.message, place, _position(error, source)),)


def _position(error: PolicyError, source: object) -> Position | None:
    if error.line is None or error.column is None or not isinstance(source, (str, bytes)):
        return None
    text = source.decode() if isinstance(source, bytes) else source
    before = text.split("\n", error.line - 1)[:-1]
    return Position(error.line, error.column, sum(len(line) + 1 for line in before) + error.column)

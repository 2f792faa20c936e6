"""The reasons to refuse a document, in AWS's order, as a table (rules N-9, G-13, G-19).

Some always apply, because such a document has no meaning. The others apply to writes only: stored documents, AWS's own
policies and test cases may break them and can be evaluated. Errors of structure are raised earlier, by
`document_shape`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from iam_guard.policy.checks import conditions, elements, forms, principals
from iam_guard.policy.fault import Reading, Rule


class Scope(IntEnum):
    """When a rule refuses; each value includes those before it."""

    ALWAYS = 0
    WRITE = 1
    """When a document is written."""
    MANAGED = 2
    """When a managed policy is written."""


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """One row: the rule number, when it applies, the rule, and AWS's sentence if it differs from the fault's."""

    number: str
    scope: Scope
    rule: Rule
    sentence: str | None = None


_SID = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"

REFUSALS = (
    RefusalRow("G-30", Scope.ALWAYS, elements.prohibited_principal),
    RefusalRow("G-32", Scope.ALWAYS, elements.prohibited_in_trust),
    RefusalRow("G-34", Scope.ALWAYS, elements.allow_with_not_principal),
    RefusalRow("G-46", Scope.ALWAYS, principals.wildcard_in_name),
    RefusalRow("G-12", Scope.WRITE, elements.unstorable_characters),
    RefusalRow("G-8", Scope.WRITE, elements.no_statement),
    RefusalRow("G-18", Scope.MANAGED, elements.version_of_managed),
    RefusalRow("G-36", Scope.WRITE, elements.version_of_organization),
    RefusalRow("G-21", Scope.ALWAYS, elements.effect_letter_case),
    RefusalRow("G-19", Scope.WRITE, conditions.dates),
    RefusalRow("G-19", Scope.WRITE, forms.arns_with_empty_field),
    RefusalRow("G-24", Scope.WRITE, elements.unsupported_sid, _SID),
    RefusalRow("G-25", Scope.WRITE, elements.repeated_required_sid),
    RefusalRow("G-22", Scope.ALWAYS, elements.missing_action),
    RefusalRow("G-27", Scope.WRITE, elements.empty_action),
    RefusalRow("A.3", Scope.ALWAYS, elements.missing_resource),
    RefusalRow("G-27", Scope.WRITE, elements.empty_resource),
    RefusalRow("G-63", Scope.ALWAYS, forms.resources_are_arns),
    RefusalRow("G-64", Scope.ALWAYS, forms.resources_are_complete),
    RefusalRow("G-65", Scope.ALWAYS, forms.resources_name_a_service),
    RefusalRow("G-65", Scope.WRITE, forms.resources_as_written),
    RefusalRow("G-60", Scope.ALWAYS, forms.actions_form),
    RefusalRow("G-67", Scope.ALWAYS, forms.condition_keys_parse),
    RefusalRow("G-31", Scope.WRITE, elements.missing_principal),
    RefusalRow("G-44", Scope.WRITE, principals.wildcard_in_arn),
    RefusalRow("G-43", Scope.WRITE, principals.group_or_profile),
    RefusalRow("G-42", Scope.WRITE, principals.unknown_form),
    RefusalRow("G-37", Scope.WRITE, elements.rcp_syntax),
    RefusalRow("N-10", Scope.WRITE, conditions.numbers),
    RefusalRow("N-10", Scope.WRITE, conditions.addresses),
    RefusalRow("N-10", Scope.WRITE, conditions.arns),
)

_ROWS = {scope: tuple(row for row in REFUSALS if row.scope <= scope) for scope in Scope}


def refuse(reading: Reading, scope: Scope) -> None:
    """Raise `PolicyError` for the first fault in the order of the table."""
    for row in _ROWS[scope]:
        for fault in row.rule(reading):
            raise reading.refusal(fault if row.sentence is None else replace(fault, sentence=row.sentence))

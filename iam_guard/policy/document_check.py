"""Checks of one policy document, as a table (rules AA-20 to AA-26).

The linter runs them. A fault has the code of IAM Access Analyzer. To add a check, write a rule in `checks/` and a row
here.
"""

from __future__ import annotations

from iam_guard.policy.checks import conditions, elements, forms, principals, variables
from iam_guard.policy.fault import Rule

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
    forms.arns_with_empty_field,
    forms.resources_as_written,
    forms.condition_keys_form,
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

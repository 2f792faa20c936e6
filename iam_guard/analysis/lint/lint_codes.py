"""The table of all linter codes: their level, and a hint that fixes them. The reference page is generated from it.

Codes and levels are those of IAM Access Analyzer (`policy/finding_codes`) where it has one that applies; the others are
ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from iam_guard.policy.finding_codes import LEVELS, Level

SEVERITIES: tuple[Level, ...] = ("SUGGESTION", "WARNING", "SECURITY_WARNING", "ERROR")
"""The levels, the lowest first."""

OWN_LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "ACTION_MATCHES_NOTHING": "WARNING",
        "ALLOW_EVERYBODY": "SECURITY_WARNING",
        "ALLOW_EVERYTHING": "SECURITY_WARNING",
        "ALLOW_SHADOWED_BY_DENY": "WARNING",
        "ALLOW_WITH_NOT_ACTION": "SECURITY_WARNING",
        "ALLOW_WITH_NOT_RESOURCE": "SECURITY_WARNING",
        "CONDITION_KEY_NOT_SUPPLIED": "WARNING",
        "MISSING_RESOURCE_FOR_ACTION": "WARNING",
        "RESOURCE_NOT_OF_ACTION": "WARNING",
        "STATEMENT_NOT_FILTERABLE": "WARNING",
    }
)
"""The codes without an equivalent in AWS."""

_LOWERED: Mapping[str, Level] = MappingProxyType(
    {"PRIVATE_IP_ADDRESS": "SUGGESTION", "PRIVATE_NOT_IP_ADDRESS": "SUGGESTION"}
)
"""Errors in AWS, whose services never see a private address; common in front of an application of your own."""

NEED_REFERENCE = frozenset(
    {
        *("ACTION_MATCHES_NOTHING", "CONDITION_KEY_NOT_SUPPLIED", "INVALID_ACTION", "INVALID_SERVICE_CONDITION_KEY"),
        *("INVALID_SERVICE_IN_ACTION", "MISSING_RESOURCE_FOR_ACTION", "RESOURCE_NOT_OF_ACTION"),
    }
)
"""Reported only for services with a loaded reference; `INVALID_ACTION` also for a malformed action."""

_ROLES = "name the roles, or add a condition on `iam:PassedToService`"
_LINKED = "name the roles, or add a condition on `iam:AWSServiceName`"
_DATE = "write `2026-01-31T00:00:00Z`, or epoch seconds"
_SHORTEN = "shorten the policy, or split it"
_VARIABLE = "write `${key}` or `${key, 'default'}`"
_EMPTY_CONDITION = "name the values, or remove the key"
_PRIVATE = "keep it if callers come from inside your network; AWS's own services see only public addresses"

HINTS: Mapping[str, str] = MappingProxyType(
    {
        "ACTION_MATCHES_NOTHING": "correct the pattern, or remove it",
        "ALLOW_EVERYBODY": "name the principals, or add a condition that limits the callers",
        "ALLOW_EVERYTHING": "name the actions and resources that are needed",
        "ALLOW_SHADOWED_BY_DENY": "remove the Allow, or narrow the Deny",
        "ALLOW_WITH_NOT_ACTION": "name the actions that are allowed in `Action`",
        "ALLOW_WITH_NOT_PRINCIPAL": "name the allowed principals in `Principal`; use `NotPrincipal` only with `Deny`",
        "ALLOW_WITH_NOT_RESOURCE": "name the resources in `Resource`",
        "ARN_REGION_NOT_ALLOWED": "leave the Region empty: `arn:aws:iam::111122223333:…`",
        "CONDITION_KEY_NOT_SUPPLIED": "use or declare a key of the action, or move the action to a separate statement",
        "DATA_TYPE_MISMATCH": "write the expected JSON type",
        "DUPLICATE_KEYS_WITH_DIFFERENT_CASE": "write the key once, with all values in a list",
        "EMPTY_ARRAY_ACTION": "name the actions, or remove the statement",
        "EMPTY_ARRAY_CONDITION": _EMPTY_CONDITION,
        "EMPTY_ARRAY_CONDITION_FORALLVALUES": _EMPTY_CONDITION,
        "EMPTY_ARRAY_CONDITION_FORANYVALUE": _EMPTY_CONDITION,
        "EMPTY_ARRAY_CONDITION_IFEXISTS": _EMPTY_CONDITION,
        "EMPTY_ARRAY_PRINCIPAL": "name the principals, or remove the statement",
        "EMPTY_ARRAY_RESOURCE": "name the resources, or remove the statement",
        "EMPTY_OBJECT_CONDITION": "remove it: an empty object is not a condition",
        "EMPTY_OBJECT_PRINCIPAL": "name the principals: the empty object matches none",
        "EMPTY_SID_VALUE": "name the statement, or remove `Sid`",
        "EMPTY_VARIABLE": _VARIABLE,
        "FEDERATED_PRINCIPAL_NOT_SUPPORTED": "name the role that the provider's users assume",
        "FORALLVALUES_WITH_SINGLE_VALUED_KEY": "remove the prefix",
        "IMPROVE_IP_RANGE": "write the block without host bits",
        "INVALID_ACTION": "correct the action; letter case does not matter",
        "INVALID_ARN_PREFIX": 'write an ARN of six fields, or "*"',
        "INVALID_ARN_RESOURCE": "begin the last field with the type: `user/`, `role/`, `policy/`",
        "INVALID_CONDITION_KEY_FORMAT": "write `prefix:name`",
        "INVALID_CONDITION_MULTIPLE_BOOLEAN": "write one of `true` and `false`",
        "INVALID_CONDITION_OPERATOR": "correct the operator; letter case matters",
        "INVALID_DATE_VALUE": _DATE,
        "INVALID_EFFECT": "write `Allow` or `Deny`, in this letter case",
        "INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY": "write the ARN of the OIDC or SAML provider",
        "INVALID_GLOBAL_CONDITION_KEY": "correct the key; the context keys of AWS are a fixed list",
        "INVALID_PARTITION": "write `aws`, or the partition of your settings",
        "INVALID_POLICY_ELEMENT": "correct the name of the element, or remove it; letter case matters",
        "INVALID_PRINCIPAL_FORMAT": "write an account id, the ARN of a user, role or session, or a unique id",
        "INVALID_PRINCIPAL_KEY": "write `AWS`, `Service`, `Federated` or `CanonicalUser`",
        "INVALID_SERVICE": "write the service of the ARN in full",
        "INVALID_SERVICE_CONDITION_KEY": "correct the key, or declare it with `Service.declare_condition_key`",
        "INVALID_SERVICE_IN_ACTION": "correct the prefix, or pass the service's reference with `--reference`",
        "INVALID_SERVICE_PRINCIPAL_FORMAT": "write a name such as `events.amazonaws.com`",
        "INVALID_VARIABLE_FOR_OPERATOR": "use a string or ARN operator, or write the value in full",
        "INVALID_VERSION": "write `2012-10-17`",
        "JSON_SYNTAX_ERROR": "fix the syntax; the rest could not be checked",
        "MISMATCHED_ACTION_FOR_PRINCIPAL": "allow the operation of that kind of provider",
        "MISSING_ACTION": "add `Action`",
        "MISSING_ARN_FIELD": "write all six fields; a field may be `*`, or empty where the service has none",
        "MISSING_BRACE_IN_VARIABLE": _VARIABLE,
        "MISSING_EFFECT": "add `Effect`",
        "MISSING_PRINCIPAL": "add `Principal`",
        "MISSING_QUALIFIER": "begin the operator with `ForAnyValue:` or `ForAllValues:`",
        "MISSING_QUOTE_IN_VARIABLE": _VARIABLE,
        "MISSING_RESOURCE": "add `Resource`",
        "MISSING_RESOURCE_FOR_ACTION": "add the resource, or remove the action: it has no effect here",
        "MISSING_STATEMENT": "add a statement",
        "MISSING_TAG_KEY_IN_CONDITION": "write the tag key after the slash: `aws:ResourceTag/team`",
        "MISSING_VERSION": 'add `"Version": "2012-10-17"`',
        "NULL_WITH_IF_EXISTS": "write `Null`",
        "NULL_WITH_QUALIFIER": "write `Null`",
        "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA": _SHORTEN,
        "POLICY_SIZE_EXCEEDS_RCP_QUOTA": _SHORTEN,
        "POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA": _SHORTEN,
        "POLICY_SIZE_EXCEEDS_SCP_QUOTA": _SHORTEN,
        "PRIVATE_IP_ADDRESS": _PRIVATE,
        "PRIVATE_IP_ADDRESS_SUBSET": _PRIVATE,
        "PRIVATE_NOT_IP_ADDRESS": _PRIVATE,
        "PRIVATE_NOT_IP_ADDRESS_SUBSET": _PRIVATE,
        "RCP_SYNTAX_ERROR_ACTION": "begin the action with the prefix of a service, in lower case",
        "RCP_SYNTAX_ERROR_ALLOW": "write a Deny",
        "RCP_SYNTAX_ERROR_NOTACTION": "name the actions in `Action`",
        "RCP_SYNTAX_ERROR_PRINCIPAL": 'write `"Principal": "*"`, and limit the callers in a condition',
        "REDUNDANT_ACTION": "remove it",
        "REDUNDANT_CONDITION_VALUE_NUM": "keep the loosest bound",
        "REDUNDANT_RESOURCE": "remove it",
        "REDUNDANT_STATEMENT": "remove the statement",
        "RESOURCE_NOT_OF_ACTION": "correct the ARN, or move it to a statement with actions that take it",
        "RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL": "add a condition on `aws:SourceArn` or `aws:SourceAccount`",
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL": "name who may assume the role in `Principal`",
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE": "remove it: the role is the resource",
        "ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL": "name who may assume the role",
        "SCP_SYNTAX_ERROR_PRINCIPAL": "remove it: the policy is about all principals of its accounts",
        "STATEMENT_NOT_FILTERABLE": "use an operator that queries can have on the column, or change the column's type",
        "STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS": "use `ArnLike`",
        "TYPE_MISMATCH": "use the operator of the key's type, or correct the value",
        "TYPE_MISMATCH_BOOLEAN": "write `true` or `false`",
        "TYPE_MISMATCH_DATE": _DATE,
        "TYPE_MISMATCH_IP_RANGE": "write an address, or a block such as `203.0.113.0/24`",
        "TYPE_MISMATCH_NUMBER": "write a number",
        "UNIQUE_SIDS_RECOMMENDED": "use a unique `Sid` in each statement",
        "UNIQUE_SIDS_REQUIRED": "use a unique `Sid` in each statement",
        "UNSUPPORTED_ELEMENT_COMBINATION": "keep one of the two",
        "UNSUPPORTED_PRINCIPAL": "remove it; a group or instance profile cannot be named",
        "UNSUPPORTED_SID": "write letters and digits",
        "UNSUPPORTED_SPACE_IN_VARIABLE": _VARIABLE,
        "UNSUPPORTED_WILDCARD_IN_PRINCIPAL": 'write the whole principal, or "*" alone with a condition',
        "UNTRUSTWORTHY_CONDITION_KEY": "use a condition key that the caller cannot choose",
        "VARIABLE_UNSUPPORTED_IN_ELEMENT": "write the value: variables work in the last ARN field and in conditions",
        "VARIABLE_UNSUPPORTED_IN_VERSION": 'write `"Version": "2012-10-17"`',
        "WILDCARD_WITHOUT_LIKE_OPERATOR": "use `StringLike`, or remove the wildcard",
        **{
            f"{prefix}_WITH_{how}": hint
            for prefix, hint in (("PASS_ROLE", _ROLES), ("CREATE_SLR", _LINKED))
            for how in (
                *("NOT_RESOURCE", "STAR_IN_ACTION_AND_NOT_RESOURCE", "NOT_ACTION_AND_NOT_RESOURCE"),
                *("STAR_IN_RESOURCE", "STAR_IN_ACTION_AND_RESOURCE", "STAR_IN_RESOURCE_AND_NOT_ACTION"),
            )
        },
    }
)
"""Code -> how to fix it. Has every code that can be reported."""


def level_of_code(code: str) -> Level:
    """Return the level of a code."""
    return OWN_LEVELS.get(code) or _LOWERED.get(code) or LEVELS[code]

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
    {
        "PRIVATE_IP_ADDRESS": "SUGGESTION",
        "PRIVATE_NOT_IP_ADDRESS": "SUGGESTION",
        "UNSUPPORTED_ACTION_FOR_CONDITION_KEY": "WARNING",
    }
)
"""Errors in AWS, whose services never see a private address, and supply the keys that they declare.

Private addresses are common in front of an application, which may also supply more keys than it declares.
"""

NEED_REFERENCE = frozenset(
    {
        *("ACTION_MATCHES_NOTHING", "CONDITION_KEY_NOT_SUPPLIED", "INVALID_ACTION", "INVALID_SERVICE_CONDITION_KEY"),
        *("INVALID_SERVICE_IN_ACTION", "MISSING_ARN_ACCOUNT", "MISSING_ARN_REGION", "MISSING_RESOURCE_FOR_ACTION"),
        *("RESOURCE_NOT_OF_ACTION", "UNSUPPORTED_ACTION_FOR_CONDITION_KEY"),
        "ALLOW_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
        "DENY_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
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
_NAME_ACTIONS = "name the actions in `Action`"
_MOVE = "move these actions to a statement without the condition"
_REPOSITORY = "`repo:owner/name:ref:refs/heads/main`"
_SOURCE = "use `aws:SourceArn`, `aws:SourceAccount`, `aws:SourceOrgID` or `aws:SourceOrgPaths`"
_SUBJECT = "begin the value with at least six characters of your own: `repo:owner/name:*`"

HINTS: Mapping[str, str] = MappingProxyType(
    {
        "ACTION_MATCHES_NOTHING": "correct the pattern, or remove it",
        "ALLOW_EVERYBODY": "name the principals, or add a condition that limits the callers",
        "ALLOW_EVERYTHING": "name the actions and resources that are needed",
        "ALLOW_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE": _NAME_ACTIONS,
        "ALLOW_SHADOWED_BY_DENY": "remove the Allow, or narrow the Deny",
        "ALLOW_WITH_NOT_ACTION": "name the actions that are allowed in `Action`",
        "ALLOW_WITH_NOT_PRINCIPAL": "name the allowed principals in `Principal`; use `NotPrincipal` only with `Deny`",
        "ALLOW_WITH_NOT_RESOURCE": "name the resources in `Resource`",
        "ALLOW_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE": _MOVE,
        "ARN_ACCOUNT_NOT_ALLOWED": "leave the account empty: `arn:aws:s3:::bucket`",
        "ARN_REGION_NOT_ALLOWED": "leave the Region empty: `arn:aws:iam::111122223333:…`",
        "CONDITION_KEY_NOT_SUPPLIED": "use or declare a key of the action, or move the action to a separate statement",
        "DATA_TYPE_MISMATCH": "write the expected JSON type",
        "DENY_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE": _NAME_ACTIONS,
        "DENY_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE": _MOVE,
        "DEPRECATED_GLOBAL_CONDITION_KEY": "use the newer condition key",
        "DUPLICATE_KEYS_WITH_DIFFERENT_CASE": "write the key once, with all values in a list",
        "DYNAMODB_ATTRIBUTES_WITHOUT_SELECT": "add `dynamodb:Select` with `SPECIFIC_ATTRIBUTES`",
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
        "EQUIVALENT_TO_NULL_FALSE": "write `Null` with `false`, for which an empty value is absent, too",
        "EQUIVALENT_TO_NULL_TRUE": "write `Null` with `true`, for which an empty value is absent, too",
        "FEDERATED_PRINCIPAL_NOT_SUPPORTED": "name the role that the provider's users assume",
        "FORALLVALUES_WITH_SINGLE_VALUED_KEY": "remove the prefix",
        "FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE": "remove the prefix `ForAnyValue:`",
        "IMPROVE_IP_RANGE": "write the block without host bits",
        "INVALID_ACTION": "correct the action; letter case does not matter",
        "INVALID_ARN_ACCOUNT": "write the account id, or `*`",
        "INVALID_ARN_PREFIX": 'write an ARN of six fields, or "*"',
        "INVALID_ARN_REGION": "write a Region such as `eu-central-1`, or `*`",
        "INVALID_ARN_RESOURCE": "begin the last field with the type: `user/`, `role/`, `policy/`",
        "INVALID_ARN_SERVICE_CASE": "write the service in lower case",
        "INVALID_CONDITION_DATA_TYPE": "write all values as strings",
        "INVALID_CONDITION_KEY_FORMAT": "write `prefix:name`",
        "INVALID_CONDITION_MULTIPLE_BOOLEAN": "write one of `true` and `false`",
        "INVALID_CONDITION_OPERATOR": "correct the operator; letter case matters",
        "INVALID_DATE_VALUE": _DATE,
        "INVALID_EFFECT": "write `Allow` or `Deny`, in this letter case",
        "INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY": "write the ARN of the OIDC or SAML provider",
        "INVALID_GLOBAL_CONDITION_KEY": "correct the key; the context keys of AWS are a fixed list",
        "INVALID_KMS_KEY_VALUE": "write the ARN of the key; an alias or a key id never matches",
        "INVALID_PARTITION": "write `aws`, or the partition of your settings",
        "INVALID_POLICY_ELEMENT": "correct the name of the element, or remove it; letter case matters",
        "INVALID_PRINCIPAL_FORMAT": "write an account id, the ARN of a user, role or session, or a unique id",
        "INVALID_PRINCIPAL_KEY": "write `AWS`, `Service`, `Federated` or `CanonicalUser`",
        "INVALID_REGION": "write a Region such as `eu-central-1`",
        "INVALID_ROLE_REFERENCE": "write the ARN of the role",
        "INVALID_SERVICE": "write the service of the ARN in full",
        "INVALID_SERVICE_CONDITION_KEY": "correct the key, or declare it with `Service.declare_condition_key`",
        "INVALID_SERVICE_IN_ACTION": "correct the prefix, or pass the service's reference with `--reference`",
        "INVALID_SERVICE_PRINCIPAL_FORMAT": "write a name such as `events.amazonaws.com`",
        "INVALID_USER_REFERENCE": "write the ARN of the user",
        "INVALID_VARIABLE_FOR_OPERATOR": "use a string or ARN operator, or write the value in full",
        "INVALID_VERSION": "write `2012-10-17`",
        "INVALID_VPCE_FORMAT": "write the id of the VPC endpoint",
        "INVALID_VPC_FORMAT": "write the id of the VPC",
        "IRRELEVANT_CONDITION_KEY_IN_POLICY": "use the key in identity-based policies; here it can be removed",
        "JSON_SYNTAX_ERROR": "fix the syntax; the rest could not be checked",
        "MISMATCHED_ACTION_FOR_PRINCIPAL": "allow the operation of that kind of provider",
        "MISSING_ACTION": "add `Action`",
        "MISSING_ACTION_FOR_CONDITION_KEY": "allow the action that sets the value, or remove the condition",
        "MISSING_ACTION_FOR_ROLES_ANYWHERE_TRUST_POLICY": "add the missing actions",
        "MISSING_ARN_ACCOUNT": "write the account, or `*`",
        "MISSING_ARN_FIELD": "write all six fields; a field may be `*`, or empty where the service has none",
        "MISSING_ARN_REGION": "write the Region, or `*`",
        "MISSING_BRACE_IN_VARIABLE": _VARIABLE,
        "MISSING_CONDITION_KEY_FOR_OIDC_PRINCIPAL": "test the audience and the subject: `example.com:sub`",
        "MISSING_EFFECT": "add `Effect`",
        "MISSING_GITHUB_REPO_CONDITION_KEY": f"test the subject of the token: {_REPOSITORY}",
        "MISSING_PAIRED_CONDITION_KEYS": "add the other key to the same statement",
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
        "POLICY_SIZE_EXCEEDS_RESOURCE_POLICY_QUOTA": _SHORTEN,
        "POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA": _SHORTEN,
        "POLICY_SIZE_EXCEEDS_SCP_QUOTA": _SHORTEN,
        "PRIVATE_IP_ADDRESS": _PRIVATE,
        "PRIVATE_IP_ADDRESS_SUBSET": _PRIVATE,
        "PRIVATE_NOT_IP_ADDRESS": _PRIVATE,
        "PRIVATE_NOT_IP_ADDRESS_SUBSET": _PRIVATE,
        "RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY": "add `aws:PrincipalIsAWSService` with `false`",
        "RCP_MISSING_RELATED_SERVICE_PRINCIPAL_CONDITION_KEY": "add `aws:PrincipalIsAWSService` with `true`",
        "RCP_MISSING_SERVICE_CONDITION_KEY_NULL_CHECK": "add `Null` with `false` for `aws:SourceAccount`",
        "RCP_SYNTAX_ERROR_ACTION": "begin the action with the prefix of a service, in lower case",
        "RCP_SYNTAX_ERROR_ALLOW": "write a Deny",
        "RCP_SYNTAX_ERROR_NOTACTION": "name the actions in `Action`",
        "RCP_SYNTAX_ERROR_PRINCIPAL": 'write `"Principal": "*"`, and limit the callers in a condition',
        "RECOMMENDED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL": _SOURCE,
        "REDUNDANT_ACTION": "remove it",
        "REDUNDANT_CONDITION_VALUE_NUM": "keep the loosest bound",
        "REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION": "remove the key",
        "REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY": "remove it",
        "REDUNDANT_RESOURCE": "remove it",
        "REDUNDANT_STATEMENT": "remove the statement",
        "REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION": "remove the statement, or correct the condition",
        "RESOURCE_NOT_OF_ACTION": "correct the ARN, or move it to a statement with actions that take it",
        "RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL": "add a condition on `aws:SourceArn` or `aws:SourceAccount`",
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL": "name who may assume the role in `Principal`",
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE": "remove it: the role is the resource",
        "ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL": "name who may assume the role",
        "SCP_SYNTAX_ERROR_PRINCIPAL": "remove it: the policy is about all principals of its accounts",
        "SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED": f"write the repository and branch: {_REPOSITORY}",
        "STATEMENT_NOT_FILTERABLE": "use an operator that queries can have on the column, or change the column's type",
        "STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS": "use `ArnLike`",
        "TYPE_MISMATCH": "use the operator of the key's type, or correct the value",
        "TYPE_MISMATCH_BOOLEAN": "write `true` or `false`",
        "TYPE_MISMATCH_DATE": _DATE,
        "TYPE_MISMATCH_IP_RANGE": "write an address, or a block such as `203.0.113.0/24`",
        "TYPE_MISMATCH_NUMBER": "write a number",
        "TYPE_MISMATCH_STRING": "write the value in base64",
        "UNIQUE_SIDS_RECOMMENDED": "use a unique `Sid` in each statement",
        "UNIQUE_SIDS_REQUIRED": "use a unique `Sid` in each statement",
        "UNSUPPORTED_ACTION_FOR_CONDITION_KEY": "move the action to a statement without the condition",
        "UNSUPPORTED_ACTION_IN_POLICY": "write actions of the resource's service",
        "UNSUPPORTED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL": _SOURCE,
        "UNSUPPORTED_ELEMENT_COMBINATION": "keep one of the two",
        "UNSUPPORTED_GLOBAL_CONDITION_KEY": "use `aws:PrincipalArn` or `aws:SourceArn`",
        "UNSUPPORTED_PRINCIPAL": "remove it; a group or instance profile cannot be named",
        "UNSUPPORTED_RESOURCE_ARN_IN_POLICY": "write the ARN of the resource, or of a part of it",
        "UNSUPPORTED_SID": "write letters and digits",
        "UNSUPPORTED_SPACE_IN_VARIABLE": _VARIABLE,
        "UNSUPPORTED_WILDCARD_IN_PRINCIPAL": 'write the whole principal, or "*" alone with a condition',
        "UNTRUSTWORTHY_CONDITION_KEY": "use a condition key that the caller cannot choose",
        "VARIABLE_UNSUPPORTED_IN_ELEMENT": "write the value: variables work in the last ARN field and in conditions",
        "VARIABLE_UNSUPPORTED_IN_VERSION": 'write `"Version": "2012-10-17"`',
        "VARIABLE_USAGE_TOO_PERMISSIVE": _SUBJECT,
        "WILDCARD_USAGE_TOO_PERMISSIVE": _SUBJECT,
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


NOT_REPORTED: Mapping[str, str] = MappingProxyType(
    {
        "CONFIRM_AUDIENCE_CLAIM_TYPE": "the audience of a token always has one value here: `azp`, else `aud`",
        "SCP_SYNTAX_ERROR_ACTION_WILDCARD": "service control policies support wildcards anywhere since September 2025",
        "USE_CONDITION_KEY_ONLY_WITH_SUPPORTED_SERVICES": "a deployment supplies its keys to all services alike",
        "WILDCARD_IN_SERVICE_NAME": "such a policy is refused: `INVALID_ACTION`, `INVALID_SERVICE`",
    }
)
"""Codes of AWS that the linter does not report, and why."""

DOCUMENTATION = "https://iam-guard.readthedocs.io/en/latest/reference/lint-codes/"
"""The address of the reference page of all codes."""


def help_page(code: str) -> str:
    """Return the address of a code's documentation."""
    return f"{DOCUMENTATION}#{code.lower()}"


def level_of_code(code: str) -> Level:
    """Return the level of a code."""
    return OWN_LEVELS.get(code) or _LOWERED.get(code) or LEVELS[code]

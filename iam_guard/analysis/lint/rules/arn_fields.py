"""Rules about the Region, account and service of ARNs (rules G-63 to G-65, AA-22).

What a service's ARNs contain is known from its reference, and for S3 buckets from a row here. Fields with wildcards or
variables are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern, overlaps
from iam_guard.evaluation.rcp_services import AWS
from iam_guard.model.arn import is_account_id
from iam_guard.policy.fault import Entry, Fault, conditions, resources
from iam_guard.policy.grammar import S3_REGIONAL_TYPES, WILDCARD, quoted

_AWS_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}")
_REGION = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The Region of an application: any name that its settings accept."""
_NAMED_ACCOUNTS = frozenset({"aws", "aws-managed", "amazon", "cloudfront"})
"""Accounts of AWS's own resources."""
_PARAMETER = re.compile(r"\$\{[^{}]*\}")
_MISSING = {"Region": "MISSING_ARN_REGION", "account": "MISSING_ARN_ACCOUNT"}
_NOT_ALLOWED = {"Region": "ARN_REGION_NOT_ALLOWED", "account": "ARN_ACCOUNT_NOT_ALLOWED"}
_FIELDS = (("Region", 3), ("account", 4))


def service_case(subject: Subject) -> Iterator[Fault]:
    """Report a service in upper case: ARNs are case-sensitive (M-4)."""
    for entry, fields in _arns(subject):
        if fields[2] != fields[2].lower():
            message = f"expected the service of an ARN in lower case, got {quoted(entry.value)}"
            yield Fault("INVALID_ARN_SERVICE_CASE", message, entry.path)


def account_form(subject: Subject) -> Iterator[Fault]:
    """Report an account that is not an account id."""
    for entry, fields in _arns(subject):
        account = fields[4]
        if _is_literal(account) and account and not is_account_id(account) and account not in _NAMED_ACCOUNTS:
            message = f"expected an account id of 12 digits, got {quoted(account)} in {quoted(entry.value)}"
            yield Fault("INVALID_ARN_ACCOUNT", message, entry.path)


def region_form(subject: Subject) -> Iterator[Fault]:
    """Report a Region that no request has: AWS's services have AWS's Regions, applications any name."""
    for entry, fields in _arns(subject):
        form = _AWS_REGION if fields[2] in AWS else _REGION
        if _is_literal(fields[3]) and fields[3] and not form.fullmatch(fields[3]):
            message = f"expected the name of a Region, got {quoted(fields[3])} in {quoted(entry.value)}"
            yield Fault("INVALID_ARN_REGION", message, entry.path)


def region_of_condition(subject: Subject) -> Iterator[Fault]:
    """Report a value of `aws:RequestedRegion` that is no Region."""
    for tested in conditions(subject.document):
        if tested.test.key.lower() == "aws:requestedregion":
            for value, path in tested.values():
                if _is_literal(value) and not _REGION.fullmatch(value):
                    yield Fault("INVALID_REGION", f"expected the name of a Region, got {quoted(value)}", path)


def fields_of_service(subject: Subject) -> Iterator[Fault]:
    """Report a Region or account that the service's ARNs always have, or never."""
    for entry, fields in _arns(subject):
        formats = _formats(subject, fields)
        for name, index in _FIELDS:
            is_used = {bool(format[index]) for format in formats}
            if is_used == {True} and not fields[index]:
                message = f"the ARNs of {quoted(fields[2])} have the {name}, got none in {quoted(entry.value)}"
                yield Fault(_MISSING[name], message, entry.path)
            elif is_used == {False} and _is_literal(fields[index]) and fields[index]:
                message = f"the ARNs of {quoted(fields[2])} have no {name}, got {quoted(entry.value)}"
                yield Fault(_NOT_ALLOWED[name], message, entry.path)


def _formats(subject: Subject, fields: list[str]) -> list[list[str]]:
    """Return the fields of the service's ARN formats that may be meant; none if any ARN may be."""
    if fields[2] == "s3" and _is_literal(fields[5][:1]) and not fields[5].startswith(S3_REGIONAL_TYPES):
        return [["arn", "", "s3", "", "", ""]]
    service = subject.references.services.get(fields[2])
    if service is None or any(action.open_resources for action in service.actions):
        return []
    written = arn_pattern(_PARAMETER.sub("*", ":".join(("arn", "*", fields[2], "*", "*", fields[5]))))
    formats = [arn.split(":", 5) for type in service.resource_types for arn in type.arn_formats]
    return [
        format
        for format in formats
        if len(format) == 6
        and format[2] == fields[2]
        and overlaps(written, arn_pattern(_PARAMETER.sub("*", ":".join((*format[:3], "*", "*", format[5])))))
    ]


def _arns(subject: Subject) -> Iterator[tuple[Entry, list[str]]]:
    """Yield the resources that are ARNs of six fields, with these."""
    for entry in resources(subject.document):
        fields = entry.value.split(":", 5)
        if len(fields) == 6 and fields[0] == "arn" and fields[2] and _is_literal(fields[2]):
            yield entry, fields


def _is_literal(text: str) -> bool:
    return not WILDCARD.search(text) and "${" not in text

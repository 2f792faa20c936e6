"""Rules about values of conditions: their JSON types, and the form of identifiers (rule AA-22)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from iam_guard.analysis.lint.subject import Subject
from iam_guard.policy.fault import Fault, ParsedCondition, conditions
from iam_guard.policy.grammar import WILDCARD, quoted
from iam_guard.policy.json_tree import Number

_FORMS = {
    "aws:sourcevpc": (
        "INVALID_VPC_FORMAT",
        re.compile(r"vpc-(?:[0-9a-z]{8}|[0-9a-z]{17})"),
        "`vpc-` and 8 or 17 letters and digits",
    ),
    "aws:sourcevpce": (
        "INVALID_VPCE_FORMAT",
        re.compile(r"vpce-(?:[0-9a-z]{8}|[0-9a-z]{17})"),
        "`vpce-` and 8 or 17 letters and digits",
    ),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": (
        "INVALID_KMS_KEY_VALUE",
        re.compile(r"arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+"),
        "the ARN of a KMS key",
    ),
}
"""Key -> the code, form and description of its values."""
_TYPES = {str: "string", Number: "number", bool: "boolean"}


def form_of_identifier(subject: Subject) -> Iterator[Fault]:
    """Report a value that is no identifier of the key's kind. Values with wildcards or variables are not judged."""
    for tested in conditions(subject.document):
        row = _FORMS.get(tested.test.key.lower())
        if row is None or not tested.operator.base.startswith(("String", "Arn")):
            continue
        code, form, expected = row
        for value, path in tested.values():
            if not (form.fullmatch(value) or WILDCARD.search(value) or "${" in value):
                yield Fault(code, f"expected {expected}, got {quoted(value)}", path)


def mixed_types(subject: Subject) -> Iterator[Fault]:
    """Report values of several JSON types in one list; they are compared as strings (G-15)."""
    for tested in conditions(subject.document):
        types = _json_types(subject, tested)
        if len(types) > 1:
            message = f"expected values of one JSON type, got {' and '.join(types)}"
            yield Fault("INVALID_CONDITION_DATA_TYPE", message, tested.path)


def _json_types(subject: Subject, tested: ParsedCondition) -> list[str]:
    written = subject.reading.source.find(tested.path)
    return list(dict.fromkeys(_TYPES[type(value)] for value in written)) if isinstance(written, list) else []

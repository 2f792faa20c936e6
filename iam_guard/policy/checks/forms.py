"""Checks of the form of actions, resources and condition keys (rules G-60 to G-67)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from iam_guard.policy.fault import LEGACY_PARSING, Entry, Fault, Reading, actions, conditions, resources
from iam_guard.policy.grammar import (
    ACTION,
    CONDITION_KEY,
    IAM_RESOURCE_TYPES,
    PARTITIONS,
    S3_REGIONAL_TYPES,
    TAG_KEY_PREFIXES,
    WILDCARD,
    WITH_SHORT_ARNS,
    quoted,
    shown,
)

_VENDOR_NEEDED = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
_VENDOR_WILDCARD = "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."
_VENDOR_UNQUALIFIED = "Resource vendor must be fully qualified and cannot contain regexes."


_PLAIN_KEY = re.compile(r"[^:\s]+")


def actions_form(reading: Reading) -> Iterator[Fault]:
    """Report actions that are neither `*` nor `prefix:name` (G-60, G-61, G-62)."""
    for entry in actions(reading.document):
        if not ACTION.fullmatch(entry.value):
            yield Fault("INVALID_ACTION", *_action_fault(entry))


def _action_fault(entry: Entry) -> tuple[str, tuple[str | int, ...], str]:
    prefix, *rest = entry.value.split(":")
    if not rest:
        return f"expected `*` or `prefix:name` as action, got {quoted(entry.value)}", entry.path, _VENDOR_NEEDED
    if len(rest) > 1:
        sentence = "Actions/Condition can contain only one colon."
        return f"expected one colon in an action, got {quoted(entry.value)}", entry.path, sentence
    message = f"expected the prefix of an action to be letters, digits, `-` and `.`, got {quoted(entry.value)}"
    return message, entry.path, _VENDOR_WILDCARD if WILDCARD.search(prefix) else f"Vendor {shown(prefix)} is not valid"


def actions_without_name(reading: Reading) -> Iterator[Fault]:
    """Report an action that has only a prefix (G-60)."""
    for entry in actions(reading.document):
        if entry.value.endswith(":"):
            yield Fault("INVALID_ACTION", f"expected a name after the prefix, got {quoted(entry.value)}", entry.path)


def condition_keys_form(reading: Reading) -> Iterator[Fault]:
    """Report condition keys that are not `prefix:name` (G-67)."""
    for tested in conditions(reading.document):
        if not CONDITION_KEY.fullmatch(tested.test.key):
            message = f"expected a condition key `prefix:name`, got {quoted(tested.test.key)}"
            yield Fault("INVALID_CONDITION_KEY_FORMAT", message, tested.path, _VENDOR_NEEDED, name=True)


def condition_keys_parse(reading: Reading) -> Iterator[Fault]:
    """Report condition keys that are not even a name; IAM accepts one without prefix, which no request has (G-67)."""
    return (fault for fault in condition_keys_form(reading) if not _PLAIN_KEY.fullmatch(str(fault.path[-1])))


def condition_keys_without_tag(reading: Reading) -> Iterator[Fault]:
    """Report a tag condition key without its tag (G-67)."""
    for tested in conditions(reading.document):
        if tested.test.key.rstrip("/").lower() in TAG_KEY_PREFIXES:
            message = f"expected a tag key after `/`, got {quoted(tested.test.key)}"
            yield Fault("MISSING_TAG_KEY_IN_CONDITION", message, tested.path, name=True)


# --- resources ---------------------------------------------------------------------------------------------------


def resources_are_arns(reading: Reading) -> Iterator[Fault]:
    """Report resources that are neither `*` nor an ARN (G-63); wildcards in the word `arn` are allowed (G-65)."""
    for entry in resources(reading.document):
        if entry.value != "*" and not _begins_like_an_arn(entry.value):
            message = f"expected `*` or an ARN, got {quoted(entry.value)}"
            sentence = (
                _partition_sentence(entry, reading) or f'Resource {shown(entry.value)} must be in ARN format or "*".'
            )
            yield Fault("INVALID_ARN_PREFIX", message, entry.path, sentence)


def _begins_like_an_arn(value: str) -> bool:
    if value.startswith("arn:"):
        return True
    field, colon, _ = value.partition(":")
    stars_once = re.sub(r"\*+", "*", field)
    if not colon or len(stars_once) > len("*a*r*n*"):
        return False
    pattern = "".join(_WILDCARDS.get(char) or re.escape(char) for char in stars_once)
    return re.fullmatch(pattern, "arn") is not None


_WILDCARDS = {"*": ".*", "?": "."}


def _partition_sentence(entry: Entry, reading: Reading) -> str | None:
    """Return AWS's sentence for an unknown partition, with the missing fields as `*`; None for a known one."""
    _, *fields = entry.value.split(":", 5)
    if not fields or WILDCARD.search(fields[0]) or fields[0] in PARTITIONS | {reading.partition}:
        return None
    completed = ":".join(["arn", *fields, *"*" * (5 - len(fields))])
    return f'Partition "{shown(fields[0])}" is not valid for resource "{shown(completed)}".'


def resources_are_complete(reading: Reading) -> Iterator[Fault]:
    """Report short ARNs in policy types that do not support them (G-64)."""
    if reading.document.type in WITH_SHORT_ARNS:
        return
    for entry in resources(reading.document):
        if entry.value != "*" and entry.value.count(":") < 5:
            message = f"expected an ARN of six fields, got {quoted(entry.value)}"
            sentence = f'Resource {shown(entry.value)} must be in ARN format or "*".'
            yield Fault("MISSING_ARN_FIELD", message, entry.path, sentence)


def resources_name_a_service(reading: Reading) -> Iterator[Fault]:
    """Report wildcards in the service of an ARN (G-65)."""
    for entry in resources(reading.document):
        fields = entry.value.split(":", 5)
        if len(fields) > 2 and WILDCARD.search(fields[2]):
            message = f"expected the service of an ARN without wildcards, got {quoted(entry.value)}"
            yield Fault("INVALID_SERVICE", message, entry.path, _VENDOR_UNQUALIFIED)


def arns_with_empty_field(reading: Reading) -> Iterator[Fault]:
    """Report `::` in an ARN of fewer than six fields, and an empty service (G-19)."""
    for entry in resources(reading.document):
        fields = entry.value.split(":", 5)
        is_short = "::" in entry.value and len(fields) < 6
        if (is_short or fields[2:3] == [""]) and _partition_sentence(entry, reading) is None:
            message = f"expected an ARN of six fields with a service, got {quoted(entry.value)}"
            yield Fault("MISSING_ARN_FIELD", message, entry.path, LEGACY_PARSING)


def resources_as_written(reading: Reading) -> Iterator[Fault]:
    """Report resources that IAM refuses on a write (G-65, G-19)."""
    for entry in resources(reading.document):
        fields = entry.value.split(":", 5)
        if entry.value == "*":
            continue
        sentence = _partition_sentence(entry, reading)
        if sentence is not None:
            yield Fault("INVALID_PARTITION", f"unknown partition {quoted(fields[1])}", entry.path, sentence)
        if WILDCARD.search(fields[0]) or len(fields) < 3 or not fields[2]:
            message = f"expected `arn` and a service, got {quoted(entry.value)}"
            yield Fault("INVALID_ARN_PREFIX", message, entry.path, _VENDOR_UNQUALIFIED)
            continue
        has_region = len(fields) > 3 and fields[3] not in ("", "*")
        if fields[2] == "iam":
            yield from _iam_resource(entry, fields, has_region=has_region)
        if fields[2] == "s3" and has_region and not (*fields, "*", "*")[5].startswith(S3_REGIONAL_TYPES):
            message = f"expected no Region in the ARN of an S3 bucket, got {quoted(entry.value)}"
            sentence = f"Resource {shown(entry.value)} can not contain region information."
            yield Fault("ARN_REGION_NOT_ALLOWED", message, entry.path, sentence)


def _iam_resource(entry: Entry, fields: list[str], *, has_region: bool) -> Iterator[Fault]:
    if has_region:
        message = f"expected no Region in an IAM ARN, got {quoted(entry.value)}"
        sentence = f"IAM resource {shown(entry.value)} cannot contain region information."
        yield Fault("ARN_REGION_NOT_ALLOWED", message, entry.path, sentence)
    if len(fields) == 6 and not _is_iam_resource(fields[5]):
        message = f"expected `*` or a type such as `user/` in an IAM ARN, got {quoted(entry.value)}"
        sentence = f'IAM resource path must either be "*", root, or start with {", ".join(IAM_RESOURCE_TYPES)}.'
        yield Fault("INVALID_ARN_RESOURCE", message, entry.path, sentence)


def _is_iam_resource(path: str) -> bool:
    """Return whether IAM accepts the path: G-65, the root user, and the role templates of AWS's own policies."""
    return path in ("*", "root") or path.startswith((*IAM_RESOURCE_TYPES, "role-template/", "delegation-request/"))

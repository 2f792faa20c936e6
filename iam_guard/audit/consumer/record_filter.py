"""Record filters: `outcome=*Denied`, `action=docs:Delete*`, `userIdentity.type=Root`, `source!=10.*`.

A name is one of `NAMES` or the dotted path of a member; a pattern has the wildcards `*` and `?`, and `!=` negates it.
Several filters must all match. A missing member is the empty string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from typing import Any

from iam_guard.errors import InvalidInput

Record = Mapping[str, Any]
Test = Callable[[Record], bool]


def action_of(record: Record) -> str:
    """Return the action as policies write it."""
    return f"{str(record.get('eventSource', '')).removesuffix('.amazonaws.com')}:{record.get('eventName', '')}"


def principal_of(record: Record) -> str:
    """Return the ARN of the caller, else the service, the id of the credential, or the type of the identity."""
    return _identity_at(record, "userIdentity")


def requester_of(record: Record) -> str:
    """Return on whose request an application made a change; empty in every other record."""
    return _identity_at(record, "iamGuard.caller")


def _identity_at(record: Record, place: str) -> str:
    names = ("arn", "invokedBy", "accessKeyId", "credentialId", "type")
    return next((found for name in names if (found := member(record, f"{place}.{name}"))), "")


def resource_of(record: Record) -> str:
    """Return the ARN of the resource, the first if there are several."""
    resources = record.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    return member(first, "ARN") if isinstance(first, dict) else ""


def member(record: Record, path: str) -> str:
    """Return the member at a dotted path as a string; empty if it is missing."""
    value: object = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
    return str(value)


NAMES: dict[str, Callable[[Record], str]] = {
    "action": action_of,
    "principal": principal_of,
    "caller": requester_of,
    "resource": resource_of,
    "outcome": lambda record: member(record, "iamGuard.outcome"),
    "reason": lambda record: member(record, "iamGuard.reason"),
    "kind": lambda record: member(record, "iamGuard.kind"),
    "role": lambda record: member(record, "userIdentity.sessionContext.sessionIssuer.arn"),
    "source": lambda record: member(record, "sourceIPAddress"),
    "account": lambda record: member(record, "recipientAccountId"),
}

_FILTER = re.compile(r"([A-Za-z][A-Za-z0-9.]*)(!?=)(.*)", re.ASCII | re.DOTALL)


def record_filter(texts: Iterable[str]) -> Test:
    """Return the conjunction of filters; raise `InvalidInput` for a malformed one."""
    tests = [_test(text) for text in texts]
    return lambda record: all(test(record) for test in tests)


def _test(text: str) -> Test:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise InvalidInput(f"expected a filter such as `outcome=*Denied`, got `{text[:80]}`", place="--filter")
    name, is_positive, pattern = match[1], match[2] == "=", re.compile(translate(match[3].replace("[", "[[]")))
    value_of = NAMES.get(name) or (lambda record: member(record, name))
    return lambda record: (pattern.fullmatch(value_of(record)) is not None) is is_positive

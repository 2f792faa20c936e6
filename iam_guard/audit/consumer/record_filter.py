"""Filters of records as text: `outcome=*Denied`, `action=docs:Delete*`, `userIdentity.type=Root`, `source!=10.*`.

A name is one of `NAMES` or the path of a member, with dots; a pattern has `*` and `?` as wildcards, and `!=` turns it
around. Several filters must all hold. A member that is not there is the empty text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from typing import Any

from iam_guard.errors import InvalidInput


def action_of(record: Mapping[str, Any]) -> str:
    """Return the action as policies write it."""
    return f"{str(record.get('eventSource', '')).removesuffix('.amazonaws.com')}:{record.get('eventName', '')}"


def principal_of(record: Mapping[str, Any]) -> str:
    """Return the ARN of who asked or, where nobody knows that, the id of what they presented."""
    for path in ("userIdentity.arn", "userIdentity.invokedBy", "userIdentity.accessKeyId", "userIdentity.credentialId"):
        if found := member(record, path):
            return found
    return member(record, "userIdentity.type")


def resource_of(record: Mapping[str, Any]) -> str:
    """Return the ARN of the resource, the first if there are several."""
    resources = record.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    return member(first, "ARN") if isinstance(first, dict) else ""


def member(record: Mapping[str, Any], path: str) -> str:
    """Return a member as text."""
    found: object = record
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    match found:
        case None:
            return ""
        case bool():
            return "true" if found else "false"
    return str(found)


NAMES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "action": action_of,
    "principal": principal_of,
    "resource": resource_of,
    "outcome": lambda record: member(record, "iamGuard.outcome"),
    "reason": lambda record: member(record, "iamGuard.reason"),
    "kind": lambda record: member(record, "iamGuard.kind"),
    "role": lambda record: member(record, "userIdentity.sessionContext.sessionIssuer.arn"),
    "source": lambda record: member(record, "sourceIPAddress"),
    "account": lambda record: member(record, "recipientAccountId"),
}

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9.]*)(!?=)(.*)", re.ASCII | re.DOTALL)


def record_filter(texts: Iterable[str]) -> Callable[[Mapping[str, Any]], bool]:
    """Make a filter of texts that must all hold; raise `InvalidInput` for one that is none."""
    tests = [_test(text) for text in texts]
    return lambda record: all(test(record) for test in tests)


def _test(text: str) -> Callable[[Mapping[str, Any]], bool]:
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidInput(f"expected a filter such as `outcome=*Denied`, got `{text[:80]}`", place="--filter")
    name, is_wanted, pattern = found[1], found[2] == "=", re.compile(translate(found[3].replace("[", "[[]")))
    read = NAMES.get(name) or (lambda record: member(record, name))
    return lambda record: (pattern.fullmatch(read(record)) is not None) is is_wanted

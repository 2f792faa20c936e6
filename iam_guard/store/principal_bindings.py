"""Principals in resource-based and trust policies: stored as unique ids, read as ARNs (rules P-5 to P-10).

The text of a policy stays as it was written. Beside it stand its bindings: for each user, role and session ARN in a
`Principal` or `NotPrincipal` element, the unique id that the user or role had when the policy was saved. As long as
that id still has that ARN, the text is the policy. Once the principal is gone, its place shows the id, which matches no
caller, even when a principal of the same name is created; once it is renamed, its place shows the new ARN. A federated
user is a name and no row: it is bound to itself. An ARN without a binding was stored by an earlier version, and is read
as one that matches no caller; the `Principal` of a Deny keeps it. ARNs in conditions are never touched (P-9).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.policy.document import Document

_NEVER_BOUND: Final = "AIDA00000000000000000"
"""Stands for a principal that was not there when its policy was saved; no unique id has a zero."""
_NAMES: Final = re.compile(r":(?:user|role|assumed-role|federated-user)/|\\")
"""What a policy has that may name a principal; a backslash may stand for any part of that."""
_BINDABLE: Final = {"iam": ("user", "role"), "sts": ("assumed-role", "federated-user")}

Found: TypeAlias = tuple[str, str]
"""The unique id of a user or role, and its ARN."""


def bindable(document: Document) -> Iterator[tuple[str, Arn]]:
    """Yield the ARNs of users, roles and sessions among the document's principals, each once."""
    seen: set[str] = set()
    for statement in document.statements:
        for kind, value in (*(statement.principals or ()), *(statement.not_principals or ())):
            arn = _principal_arn(value) if kind == "AWS" and value not in seen else None
            if arn is not None:
                seen.add(value)
                yield value, arn


class Bound(NamedTuple):
    """What the principals of a policy are bound to: unique ids by ARN, and the ARNs that name nothing."""

    bindings: dict[str, str]
    unknown: list[str]


def bound(
    document: Document,
    partition: str,
    *,
    has_account: Callable[[str], bool],
    find: Callable[[str, str, str], Found | None],
) -> Bound:
    """Bind the principals that a policy names to the unique ids they have now (P-5, P-8).

    `find` returns the user or role of an account, a kind and a name.
    """
    result = Bound({}, [])
    for text, arn in bindable(document):
        id = _id_of(text, arn, has_account, find) if arn.partition == partition else None
        if id is None:
            result.unknown.append(text)
        else:
            result.bindings[text] = id
    return result


def _id_of(
    text: str, arn: Arn, has_account: Callable[[str], bool], find: Callable[[str, str, str], Found | None]
) -> str | None:
    kind, _, rest = arn.resource.partition("/")
    if kind == "federated-user":
        return text if has_account(arn.account) else None
    if kind == "assumed-role":
        name = rest.partition("/")[0]
        found = find(arn.account, "role", name)
        return found[0] if found is not None and found[1].rpartition("/")[2] == name else None
    found = find(arn.account, kind, rest.rpartition("/")[2])
    return found[0] if found is not None and found[1] == text else None


def invalid_principal(text: str) -> str:
    """Return AWS's sentence about an ARN that names no principal (P-8)."""
    return f'Invalid principal in policy: "AWS":"{text}"'


def current_text(text: str, bindings: Mapping[str, str], arn_of: Callable[[str], str | None]) -> str:
    """Return the policy text as of now; `arn_of` returns a unique id's present ARN, None when it is gone."""
    if _NAMES.search(text) is None:
        return text
    document = json.loads(text)
    statements = document["Statement"]
    is_changed = False
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                before, never = principal["AWS"], _NEVER_BOUND
                if element == "Principal" and statement["Effect"] == "Deny":
                    never = ""  # what was denied stays denied
                principal["AWS"] = _replaced(before, bindings, arn_of, never)
                is_changed |= principal["AWS"] != before
    return json.dumps(document, indent=2, ensure_ascii=False) if is_changed else text


def _replaced(values: Any, bindings: Mapping[str, str], arn_of: Callable[[str], str | None], never: str) -> Any:
    if isinstance(values, list):
        return [_now(value, bindings, arn_of, never) for value in values]
    return _now(values, bindings, arn_of, never)


def _now(value: str, bindings: Mapping[str, str], arn_of: Callable[[str], str | None], never: str) -> str:
    """Return what stands for a principal now: its ARN, or an id of no caller; `never`, if any, for one unbound."""
    arn = _principal_arn(value)
    if arn is None:
        return value
    id = bindings.get(value)
    if id is None:
        return never or value
    if id == value:
        return value
    present = arn_of(id)
    if present is None:
        return id
    return value if arn.service == "sts" else present


def _principal_arn(value: str) -> Arn | None:
    """Return the ARN of a user, a role or a session; None for every other principal."""
    try:
        arn = Arn.parse(value)
    except InvalidInput:
        return None
    is_bindable = arn.resource.partition("/")[0] in _BINDABLE.get(arn.service, ())
    return arn if is_bindable and is_account_id(arn.account) else None

"""Principals in resource-based and trust policies: stored as unique ids, read as ARNs (rules P-5 to P-10).

The text of a policy stays as it was written. Beside it stand its bindings: for each user or role ARN in a `Principal`
or `NotPrincipal` element, the unique id that it had when the policy was saved. As long as that id still has that ARN,
the text is the policy. Once the principal is gone, its place shows the id, which matches nobody, even when
somebody creates a principal of the same name; once it is renamed, its place shows the new ARN. ARNs in conditions
are never touched (P-9). Must not live here: reading and writing the tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn
from iam_guard.policy.document import Document

_BINDABLE = ("user", "role")


def bindable(document: Document) -> Iterator[tuple[str, Arn]]:
    """Give the user and role ARNs among the document's principals."""
    seen: set[str] = set()
    for statement in document.statements:
        for kind, value in (*(statement.principals or ()), *(statement.not_principals or ())):
            arn = _iam_arn(value) if kind == "AWS" and value not in seen else None
            if arn is not None:
                seen.add(value)
                yield value, arn


class Bound(NamedTuple):
    """What the principals of a policy are bound to: unique ids by ARN, and the ARNs that a hosted account lacks."""

    bindings: dict[str, str]
    unknown: list[str]


def bound(document: Document, is_hosted: Callable[[Arn], bool], id_of: Callable[[str, Arn], str | None]) -> Bound:
    """Bind the users and roles that a policy names to the unique ids they have now (P-5).

    What is not of an account of ours we can't know; it stays as it is written (P-8).
    """
    found = Bound({}, [])
    for text, arn in bindable(document):
        if not is_hosted(arn):
            continue
        id = id_of(text, arn)
        if id is None:
            found.unknown.append(text)
        else:
            found.bindings[text] = id
    return found


def invalid_principal(text: str) -> str:
    """Give AWS's sentence about an ARN that names nobody (P-8)."""
    return f'Invalid principal in policy: "AWS":"{text}"'


def current_text(text: str, bindings: Mapping[str, str], arn_of: Callable[[str], str | None]) -> str:
    """Give the policy text as of now; `arn_of` gives a unique id's present ARN, None when it is gone."""
    moved = {arn: arn_of(id) or id for arn, id in bindings.items()}
    moved = {arn: now for arn, now in moved.items() if now != arn}
    if not moved:
        return text
    document = json.loads(text)
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                principal["AWS"] = _replaced(principal["AWS"], moved)
    return json.dumps(document, indent=2, ensure_ascii=False)


def _replaced(values: Any, moved: Mapping[str, str]) -> Any:
    return [moved.get(value, value) for value in values] if isinstance(values, list) else moved.get(values, values)


def _iam_arn(value: str) -> Arn | None:
    try:
        arn = Arn.parse(value)
    except InvalidInput:
        return None
    return arn if arn.service == "iam" and arn.resource.partition("/")[0] in _BINDABLE else None

"""Principals in resource-based and trust policies: stored as unique ids, read as ARNs (rules P-5 to P-10).

The text of a policy is stored as written, together with its bindings: for each user, role and session ARN in a
`Principal` or `NotPrincipal` element, the unique id that the user or role had when the policy was saved. While that id
has that ARN, the text is the policy. Once the principal is deleted, the id replaces its ARN and matches no caller, even
when a principal of the same name is created; once it is renamed, the new ARN replaces the old one. A federated user has
no row, and is bound to its own ARN. An ARN without a binding was stored by an earlier version, and is replaced by an id
that matches no caller, except in the `Principal` of a Deny. ARNs in conditions are never changed (P-9).

A policy is shown with the root ARN of an account that it names by its id, as at AWS. Decisions read the id: it means
the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.policy.document import Document
from iam_guard.store.database.records import Records, row_arn
from iam_guard.store.identifiers import fold, root_arn
from iam_guard.store.schema import accounts, identities

_UNBOUND_ID: Final = "AIDA00000000000000000"
"""The id of a principal that did not exist when its policy was saved; no real unique id contains a zero."""
_NAMES: Final = re.compile(r':(?:user|role|assumed-role|federated-user)/|"[0-9]{12}"|\\')
"""Matches a policy that may name a principal or an account; a backslash may be an escape of any part of the ARN."""
_BINDABLE: Final = {"iam": ("user", "role"), "sts": ("assumed-role", "federated-user")}

FoundIdentity: TypeAlias = tuple[str, str]
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
    """The unique ids of a policy's principals by ARN, and the ARNs of unknown principals."""

    bindings: dict[str, str]
    unknown: list[str]


def bound(
    document: Document,
    partition: str,
    *,
    has_account: Callable[[str], bool],
    find: Callable[[str, str, str], FoundIdentity | None],
) -> Bound:
    """Bind the principals of a policy to their current unique ids (P-5, P-8).

    `find` returns the user or role with an account, kind and name.
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
    text: str, arn: Arn, has_account: Callable[[str], bool], find: Callable[[str, str, str], FoundIdentity | None]
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


def bind_principals(
    records: Records, document: Document, *, partition: str, unbound: Collection[str] = ()
) -> dict[str, str]:
    """Return the unique ids of the users and roles that a policy names by an ARN, also by one of a session.

    Raises `PolicyError`, with AWS's message, for a principal that is not in this store. Those that are `unbound` in the
    policy that is edited stay so.
    """

    @cache
    def has_account(account: str) -> bool:
        return records.one(accounts, id=account) is not None

    def find(account: str, kind: str, name: str) -> FoundIdentity | None:
        row = records.one(identities, account=account, kind=kind, folded=fold(name))
        return None if row is None else (row["id"], row_arn(partition, row))

    found = bound(document, partition, has_account=has_account, find=find)
    for text in found.unknown:
        if text in unbound:
            continue
        sentence = invalid_principal(text)
        raise PolicyError(sentence, sentence=sentence, finding="INVALID_PRINCIPAL_FORMAT")
    return {text: id for text, id in found.bindings.items() if text not in unbound}


def unbound_in(document: Document, bindings: Mapping[str, str]) -> set[str]:
    """Return the ARNs of users, roles and sessions without a binding among the document's principals."""
    return {text for text, _ in bindable(document)} - bindings.keys()


def invalid_principal(text: str) -> str:
    """Return AWS's error message for an unknown principal (P-8)."""
    return f'Invalid principal in policy: "AWS":"{text}"'


def read_current_text(
    records: Records, partition: str, text: str, bindings: Mapping[str, str], *, shown: bool = False
) -> str:
    """Return the policy text with the current ARNs of its principals in the store; `shown` is not for decisions."""
    bound = records.all(identities, id=list(bindings.values())) if bindings else []
    arns = {row["id"]: row_arn(partition, row) for row in bound}
    return current_text(text, bindings, with_roots(arns, partition) if shown else arns.get)


def with_roots(arns: Mapping[str, str], partition: str) -> Callable[[str], str | None]:
    """Return a lookup of ARNs by unique id that has the root of each account, by its id, too."""
    return lambda key: root_arn(partition, key) if is_account_id(key) else arns.get(key)


def current_text(text: str, bindings: Mapping[str, str], arn_of: Callable[[str], str | None]) -> str:
    """Return the policy text with current ARNs; `arn_of` returns the ARN of a unique id, None if it was deleted."""
    if _NAMES.search(text) is None:
        return text
    document = json.loads(text)
    statements = document["Statement"]
    is_changed = False
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                before, unbound_id = principal["AWS"], _UNBOUND_ID
                if element == "Principal" and statement["Effect"] == "Deny":
                    unbound_id = ""  # the ARN stays denied
                values = before if isinstance(before, list) else [before]
                current = [_current(value, bindings, arn_of, unbound_id) for value in values]
                principal["AWS"] = current if isinstance(before, list) else current[0]
                is_changed |= principal["AWS"] != before
    return json.dumps(document, indent=2, ensure_ascii=False) if is_changed else text


def _current(value: str, bindings: Mapping[str, str], arn_of: Callable[[str], str | None], unbound_id: str) -> str:
    """Return a principal's current ARN; its id if it was deleted; `unbound_id`, if not empty, if it is unbound."""
    arn = _principal_arn(value)
    if arn is None:
        return (arn_of(value) if is_account_id(value) else None) or value
    id = bindings.get(value)
    if id is None:
        return unbound_id or value
    if id == value:
        return value
    arn_now = arn_of(id)
    if arn_now is None:
        return id
    return value if arn.service == "sts" else arn_now


def _principal_arn(value: str) -> Arn | None:
    """Return the parsed ARN of a user, role or session; None for any other principal."""
    try:
        arn = Arn.parse(value)
    except InvalidInput:
        return None
    is_bindable = arn.resource.partition("/")[0] in _BINDABLE.get(arn.service, ())
    return arn if is_bindable and is_account_id(arn.account) else None

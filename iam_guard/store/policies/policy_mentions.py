"""Policies that name a user: those that decisions bind to its unique id (P-5), and those that name it as text.

Once a user is deleted, a resource-based policy or trust policy is shown, and decided with, with the unique id instead
of the ARN. The stored text still has the ARN until `replace_by_id` writes the unique id there, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from iam_guard.store.accounts.personal_data import all_pages
from iam_guard.store.accounts.personal_tables import StoredPerson
from iam_guard.store.database.records import PRESENT, Records, Row, Table, row_arn
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.policies.principal_bindings import current_text
from iam_guard.store.policies.resource_statements import replace_statements
from iam_guard.store.schema import (
    api_keys,
    archive_rules,
    certificate_profiles,
    control_policies,
    identities,
    inline_policies,
    policies,
    policy_versions,
    resources,
    service_credentials,
)


class _Binding(NamedTuple):
    """A table with policies that are bound to principals: its key, and its columns."""

    table: Table
    key: str
    text: str
    digest: str
    bindings: str


_BOUND: Final = (
    _Binding(resources, "arn", "text", "digest", "bindings"),
    _Binding(identities, "id", "trust_text", "trust_digest", "trust_bindings"),
)


def bound_policies(records: Records, person: StoredPerson) -> dict[Table, list[str]]:
    """Return the keys of the resources and roles whose policies are bound to a person, by table."""
    return {
        bound.table: [
            row[bound.key]
            for row in all_pages(records, bound.table, **{bound.digest: PRESENT})
            if _bound_texts(row[bound.bindings], person)
        ]
        for bound in _BOUND
    }


def replace_by_id(records: Records, person: StoredPerson, keys: Mapping[Table, list[str]]) -> dict[str, int]:
    """Replace the ARN of a deleted user by its unique id in the policies with these keys; return their number."""
    counts = {}
    for bound in _BOUND:
        rows = [records.one(bound.table, **{bound.key: key}) for key in keys.get(bound.table, ())]
        counts[bound.table.name] = sum(_replace(records, bound, row, person) for row in rows if row is not None)
    return {f"policies of {name}": count for name, count in counts.items() if count}


def _replace(records: Records, bound: _Binding, row: Row, person: StoredPerson) -> bool:
    bindings: Mapping[str, str] = row[bound.bindings]
    erased = _bound_texts(bindings, person)
    if not erased:
        return False
    kept = {id: text for text, id in bindings.items() if text not in erased}
    text = current_text(row[bound.text], bindings, kept.get)
    values: dict[str, Any] = {
        bound.text: text,
        bound.digest: hashlib.sha256(text.encode()).hexdigest(),
        bound.bindings: {name: id for name, id in bindings.items() if name not in erased},
    }
    if bound.table is resources:
        values["listed_digest"] = values["digest"]
    records.update(bound.table, values, **{bound.key: row[bound.key]})
    if bound.table is resources:
        replace_statements(records, {"arn": row["arn"], "account": row["account"], **values})
    return True


def _bound_texts(bindings: Mapping[str, str], person: StoredPerson) -> set[str]:
    """Return the ARNs that are bound to a person; also those of its ARN, if it was deleted before."""
    if person.id is None:
        return {text for text in bindings if text == person.arn}
    return {text for text, id in bindings.items() if id == person.id}


def naming_policies(records: Records, partition: str, person: StoredPerson) -> list[str]:
    """Return the ARNs of policies and rules of others that name a person in their text."""
    return sorted(set(_naming(records, partition, person)))


def _naming(records: Records, partition: str, person: StoredPerson) -> Iterator[str]:
    names = re.compile(rf"{re.escape(person.arn)}(?![\w+=,.@/-])")
    for row in all_pages(records, policies):
        versions = records.all(policy_versions, columns=("text",), policy_id=row["id"])
        if any(names.search(version["text"]) for version in versions):
            yield iam_arn(partition, row["account"], "policy", row["path"], row["name"])
    for row in all_pages(records, inline_policies):
        if row["identity_id"] != person.id and names.search(row["text"]):
            owner = records.one(identities, id=row["identity_id"])
            yield f"{row['name']} of {'' if owner is None else row_arn(partition, owner)}"
    for row in all_pages(records, control_policies):
        if names.search(row["text"]):
            yield row["id"]
    for row in all_pages(records, resources, text=PRESENT):
        if names.search(row["text"]):
            yield row["arn"]
    for row in all_pages(records, identities, trust_digest=PRESENT):
        if names.search(row["trust_text"]):
            yield row_arn(partition, row)
    for table in (api_keys, service_credentials, certificate_profiles):
        for row in all_pages(records, table, session_policy=PRESENT):
            if names.search(row["session_policy"]):
                yield f"session policy of {row['id']}"
    for row in all_pages(records, archive_rules):
        if any(names.search(value) for value in _filter_values(row["filter"])):
            yield f"{row['name']} of {row['analyzer_id']}"


def _filter_values(filter: Any) -> Iterator[str]:
    for criterion in filter.values():
        for values in criterion.values() if isinstance(criterion, Mapping) else ():
            yield from (value for value in (values if isinstance(values, list) else [values]) if isinstance(value, str))

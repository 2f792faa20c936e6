"""Inline policies of users, groups and roles: put, get, list, delete (G-12, G-13, G-19, G-70).

A policy's name is unique within its entity, in any letter case. Each operation exists for three kinds of entity, so its
function takes the kind first.
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, load_identity, load_modifiable
from iam_guard.api.paging import page_of_table
from iam_guard.errors import LimitExceeded, NoSuchEntity
from iam_guard.model.decision import PolicyType
from iam_guard.policy.quota import INLINE
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.schema import inline_policies


def put_inline_policy(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    """Create or replace a policy."""
    holder = load_modifiable(kind, call, parameters)
    document = validate_for_write(parameters["PolicyDocument"], PolicyType.IDENTITY, partition=call.partition)
    name: str = parameters["PolicyName"]
    _require_space(call, holder, fold(name), document.text)
    key = {"identity_id": holder["id"], "folded": fold(name)}
    values = {"name": name, "text": document.text, "digest": document.digest}
    if not call.records.update(inline_policies, values, **key):
        call.records.insert(inline_policies, **key, **values)


def _require_space(call: ServiceCall, holder: Row, folded: str, text: str) -> None:
    """Raise `LimitExceeded`, with AWS's message, if the entity's inline policies together would be too long."""
    quota = INLINE[holder["kind"]]
    other_texts = [
        row["text"] for row in call.records.all(inline_policies, identity_id=holder["id"]) if row["folded"] != folded
    ]
    if sum(map(quota.size, [*other_texts, text])) > quota.characters:
        raise LimitExceeded(
            f"Maximum policy size of {quota.characters} bytes exceeded for {holder['kind']} {holder['name']}"
        )


def get_inline_policy(kind: Kind, call: ServiceCall, parameters: Input) -> Output:
    """Return a policy as it was written."""
    holder = load_identity(kind, call, parameters)
    row = call.records.one(inline_policies, identity_id=holder["id"], folded=fold(parameters["PolicyName"]))
    if row is None:
        raise _not_found(kind, parameters)
    return {NAME_MEMBER[kind]: holder["name"], "PolicyName": row["name"], "PolicyDocument": row["text"]}


def list_inline_policies(kind: Kind, call: ServiceCall, parameters: Input) -> Output:
    """List the names of an entity's policies."""
    holder = load_identity(kind, call, parameters)
    page = page_of_table(call, parameters, inline_policies, ("folded",), identity_id=holder["id"])
    return {"PolicyNames": [row["name"] for row in page.rows], **page.members}


def delete_inline_policy(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    holder = load_modifiable(kind, call, parameters)
    key = {"identity_id": holder["id"], "folded": fold(parameters["PolicyName"])}
    if not call.records.delete(inline_policies, **key):
        raise _not_found(kind, parameters)


def _not_found(kind: Kind, parameters: Input) -> NoSuchEntity:
    return NoSuchEntity(f"The {kind.value} policy with name {parameters['PolicyName']} cannot be found.")

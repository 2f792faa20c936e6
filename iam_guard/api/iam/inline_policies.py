"""Policies within a user, group or role: put, get, list, delete (rules G-12, G-13, G-19, G-70).

A policy's name is unique within its entity without regard to case. Each operation is there three times, so a function
makes it for a kind of entity.
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, the_identity
from iam_guard.api.iam.protected_entities import the_modifiable
from iam_guard.api.operation import Handler
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import LimitExceeded, NoSuchEntity
from iam_guard.model.decision import PolicyType
from iam_guard.policy.quota import INLINE
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.records import Row
from iam_guard.store.schema import inline_policies


def put_inline_handler(kind: Kind) -> Handler:
    """Make the operation that writes a policy, in the place of one that has the name."""

    def put(call: ServiceCall, given: Input) -> None:
        holder = the_modifiable(call, kind, given)
        document = validate_for_write(given["PolicyDocument"], PolicyType.IDENTITY, partition=call.partition)
        name: str = given["PolicyName"]
        _require_space(call, holder, fold(name), document.text)
        named = {"identity_id": holder["id"], "folded": fold(name)}
        values = {"name": name, "text": document.text, "digest": document.digest}
        if not call.records.update(inline_policies, values, **named):
            call.records.insert(inline_policies, **named, **values)

    return put


def _require_space(call: ServiceCall, holder: Row, folded: str, text: str) -> None:
    """Raise `LimitExceeded`, in AWS's words, when all inline policies of an entity would be too long together."""
    quota = INLINE[holder["kind"]]
    kept = [
        row["text"] for row in call.records.all(inline_policies, identity_id=holder["id"]) if row["folded"] != folded
    ]
    if sum(map(quota.size, [*kept, text])) > quota.characters:
        raise LimitExceeded(
            f"Maximum policy size of {quota.characters} bytes exceeded for {holder['kind']} {holder['name']}"
        )


def get_inline_handler(kind: Kind) -> Handler:
    """Make the operation that gives a policy as it was written."""

    def get(call: ServiceCall, given: Input) -> Output:
        holder = the_identity(call, kind, given[NAME_MEMBER[kind]])
        row = call.records.one(inline_policies, identity_id=holder["id"], folded=fold(given["PolicyName"]))
        if row is None:
            raise _not_found(kind, given)
        return {NAME_MEMBER[kind]: holder["name"], "PolicyName": row["name"], "PolicyDocument": row["text"]}

    return get


def list_inline_handler(kind: Kind) -> Handler:
    """Make the operation that lists the names of an entity's policies."""

    def list_names(call: ServiceCall, given: Input) -> Output:
        holder = the_identity(call, kind, given[NAME_MEMBER[kind]])
        order = ("folded",)
        page = page_of_rows(
            given,
            order,
            lambda after, limit: call.records.page(
                inline_policies, order=order, after=after, limit=limit, identity_id=holder["id"]
            ),
        )
        return {"PolicyNames": [row["name"] for row in page.rows], **page.members}

    return list_names


def delete_inline_handler(kind: Kind) -> Handler:
    """Make the operation that deletes a policy."""

    def delete(call: ServiceCall, given: Input) -> None:
        holder = the_modifiable(call, kind, given)
        named = {"identity_id": holder["id"], "folded": fold(given["PolicyName"])}
        if not call.records.delete(inline_policies, **named):
            raise _not_found(kind, given)

    return delete


def _not_found(kind: Kind, given: Input) -> NoSuchEntity:
    return NoSuchEntity(f"The {kind.value} policy with name {given['PolicyName']} cannot be found.")

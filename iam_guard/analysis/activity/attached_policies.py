"""The identity-based policies attached to a principal in a store, those of its groups included."""

from __future__ import annotations

from iam_guard.analysis.activity.actor import Actor
from iam_guard.analysis.activity.aggregation import Activity
from iam_guard.errors import NoSuchEntity
from iam_guard.model.arn import Arn
from iam_guard.model.principal import Principal
from iam_guard.store.identifiers import Kind, iam_arn, session_arn
from iam_guard.store.protocol import SourceStore, StoredPolicy
from iam_guard.store.schema import identities


def attached_policies_of(activity: Activity, store: SourceStore) -> tuple[StoredPolicy, ...]:
    """Return the attached policies. Raises `NoSuchEntity` if the store doesn't have the user or role."""
    actor = activity.actor
    principal = _by_id(actor.name, store) if actor.kind == "id" else _by_arn(actor, store.partition)
    record = None if principal is None else store.principal(principal)
    if record is None or not record.exists:
        raise NoSuchEntity(f"the store has no principal `{actor.name}`")
    return record.identity


def _by_arn(actor: Actor, partition: str) -> Principal:
    if actor.kind != "role":
        return Principal.from_arn(actor.name)
    arn = Arn.parse(actor.name)
    session = session_arn(partition, arn.account, arn.resource.rpartition("/")[2], "session")
    return Principal.from_arn(session, role_arn=actor.name)


def _by_id(unique_id: str, store: SourceStore) -> Principal | None:
    with store.read_transaction() as records:
        row = records.one(identities, id=unique_id)
    if row is None or row["kind"] == Kind.GROUP:
        return None
    arn = iam_arn(store.partition, row["account"], row["kind"], row["path"], row["name"])
    return _by_arn(Actor.parse(arn), store.partition)

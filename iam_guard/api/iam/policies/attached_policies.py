"""The policies of a user, group or role of the account, and the account's service control policies.

They are those that decisions about the identity use (`store/sql_store`), read in the transaction of the call. Rules
E-4, E-10, E-12, E-15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iam_guard.api.call import ServiceCall
from iam_guard.api.iam.authorization_targets import find_by_arn
from iam_guard.api.iam.entities import parsed_arn, policy_arn, require_row
from iam_guard.api.organization_position import find_position
from iam_guard.errors import InvalidInput
from iam_guard.model.arn import is_account_id
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import AWS_MANAGED, Kind
from iam_guard.store.schema import (
    attachments,
    control_attachments,
    control_policies,
    identities,
    inline_policies,
    memberships,
    policies,
    policy_versions,
)


@dataclass(frozen=True, slots=True)
class AttachedPolicy:
    """A policy of an identity. A managed policy has an `arn`; an inline one has a `holder` (kind and name)."""

    name: str
    text: str
    arn: str | None = None
    holder: tuple[str, str] | None = None

    @property
    def id(self) -> str:
        """The id in AWS's simulator: the name of a managed policy; holder and name of an inline one."""
        return self.name if self.holder is None else f"{self.holder[0]}_{self.holder[1]}_{self.name}"

    @property
    def is_aws_managed(self) -> bool:
        return self.arn is not None and f":iam::{AWS_MANAGED}:" in self.arn


def load_policy_source(call: ServiceCall, arn: str) -> Row:
    """Find a user, group or role of the account by its exact ARN.

    Raises `InvalidInput` for another kind of ARN or another account's, `NoSuchEntity`.
    """
    parsed = parsed_arn(arn)
    kinds = tuple(f"{kind.value}/" for kind in Kind)
    if parsed is None or parsed.service != "iam" or parsed.region or not parsed.resource.startswith(kinds):
        raise InvalidInput(f"Invalid ARN provided in the request: {arn}")
    if not is_account_id(parsed.account):
        raise InvalidInput(f"Invalid ARN provided in the request: {arn}")
    if parsed.account != call.account:
        raise InvalidInput(
            f"Invalid Policy Source Arn: caller's account {call.account} does not have access to policies in account "
            f"{parsed.account}."
        )
    return require_row(find_by_arn(call, arn), "Unable to retrieve specified IAM entity.")


def attached_policies(call: ServiceCall, row: Row) -> list[AttachedPolicy]:
    """Return an identity's policies, then those of a user's groups, each managed policy once."""
    groups = call.records.values_of(memberships, "group_id", user_id=row["id"])
    holders = [row, *call.records.all(identities, id=groups, order=("folded",))]
    by_id = {holder["id"]: (holder["kind"], holder["name"]) for holder in holders}
    inline = call.records.all(inline_policies, identity_id=list(by_id), order=("identity_id", "folded"))
    position = {id: number for number, id in enumerate(by_id)}
    own = [
        AttachedPolicy(policy["name"], policy["text"], holder=by_id[policy["identity_id"]])
        for policy in sorted(inline, key=lambda policy: position[policy["identity_id"]])
    ]
    attached = call.records.all(
        policies,
        id=call.records.values_of(attachments, "policy_id", identity_id=list(by_id)),
        order=("folded", "account"),
    )
    return own + _managed(call, attached)


def attached_boundary(call: ServiceCall, row: Row) -> AttachedPolicy | None:
    """Return the permissions boundary of a user or role."""
    if row["boundary_id"] is None:
        return None
    return next(iter(_managed(call, call.records.all(policies, id=row["boundary_id"]))), None)


def _managed(call: ServiceCall, rows: Sequence[Row]) -> list[AttachedPolicy]:
    """Return managed policies with the text of their default versions."""
    versions = call.records.all(policy_versions, policy_id=[row["id"] for row in rows])
    texts = {(version["policy_id"], version["version"]): version["text"] for version in versions}
    return [
        AttachedPolicy(row["name"], texts[row["id"], row["default_version"]], arn=policy_arn(call, row)) for row in rows
    ]


def service_control_levels(call: ServiceCall) -> list[list[AttachedPolicy]] | None:
    """Return the account's service control policies by level, root first; None if none apply (E-10)."""
    position = find_position(call, call.account)
    if position is None or not position.organization["scps_enabled"]:
        return None
    if position.organization["management_account"] == call.account:
        return None
    return [service_control_policies(call, target) for target in (*position.unit_ids, call.account)]


def service_control_policies(call: ServiceCall, target: str) -> list[AttachedPolicy]:
    """Return the service control policies that are attached to a root, unit or account."""
    ids = call.records.values_of(control_attachments, "policy_id", target=target)
    rows = call.records.all(control_policies, id=ids, type="SCP", order=("name",))
    return [AttachedPolicy(row["name"], row["text"]) for row in rows]

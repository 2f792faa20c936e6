"""Resources and condition keys of the operations: the entity's ARN with path, and its tags (K-33, P-1).

A missing entity has the ARN that it would have at the root path, so that a denial doesn't reveal whether it exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import find_identity, find_policy, is_about_root, policy_arn, requested_name
from iam_guard.api.operation import Further, Keys, KeySource, Permission, Target
from iam_guard.errors import InvalidInput
from iam_guard.model.context import Given
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Row, Table
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.schema import identities, instance_profiles, mfa_devices, policies, server_certificates

# --- identities --------------------------------------------------------------------------------------------------


def identity_target(kind: Kind, call: ServiceCall, parameters: Input) -> Resource:
    """Return the user, group or role named by the call; without a user name, the caller."""
    if kind is Kind.USER and is_about_root(call, parameters):
        return call.resource(call.root_arn)
    name = requested_name(kind, call, parameters)
    return _entity(call, kind.value, find_identity(call, kind, name), name)


def new_entity_target(kind: str, member: str) -> Target:
    """Return a new entity, at the requested path."""
    return lambda call, parameters: call.resource(call.arn(kind, parameters.get("Path", "/"), parameters[member]))


def path_target(kind: str) -> Target:
    """Return the entities below a path, in AWS's form: an ARN that ends with the path."""
    return lambda call, parameters: call.resource(call.arn(kind, parameters.get("PathPrefix", "/"), ""))


USER: Target = partial(identity_target, Kind.USER)
GROUP: Target = partial(identity_target, Kind.GROUP)
ROLE: Target = partial(identity_target, Kind.ROLE)


def find_by_arn(call: ServiceCall, arn: str) -> Row | None:
    """Find a user, group or role of the account, or a policy, by its exact ARN."""
    fields = arn.split(":", 5)
    kind, _, rest = fields[5].partition("/") if len(fields) == 6 else ("", "", "")
    if kind == "policy":
        return find_policy(call, arn)
    if kind not in {known.value for known in Kind}:
        return None
    row = find_identity(call, Kind(kind), rest.rpartition("/")[2])
    is_match = row is not None and call.arn(kind, row["path"], row["name"]) == arn
    return row if is_match else None


# --- entities with an ARN ----------------------------------------------------------------------------------------


def entity_target(table: Table, kind: str, member: str) -> Target:
    """Return an entity with path and name in its own table."""

    def target(call: ServiceCall, parameters: Input) -> Resource:
        name: str = parameters[member]
        return _entity(call, kind, call.records.one(table, account=call.account, folded=fold(name)), name)

    return target


INSTANCE_PROFILE = entity_target(instance_profiles, "instance-profile", "InstanceProfileName")
SERVER_CERTIFICATE = entity_target(server_certificates, "server-certificate", "ServerCertificateName")


def arn_target(
    member: str, find: Callable[[ServiceCall, str], Row | None], *, invalid: str = "ARN {} is not valid."
) -> Target:
    """Return an entity named by its ARN, with its tags.

    The target raises `InvalidInput` for an invalid ARN, since no decision is possible for it.
    """

    def target(call: ServiceCall, parameters: Input) -> Resource:
        arn: str = parameters[member]
        if not arn.startswith("arn:") or arn.count(":") < 5:
            raise InvalidInput(invalid.format(arn), place=member)
        return call.resource(arn, find(call, arn))

    return target


POLICY = arn_target("PolicyArn", find_policy)
"""The managed policy with the requested ARN, whatever account it belongs to."""


def principal_target(member: str) -> Target:
    """Return a user, group, role or policy named by its ARN."""
    return arn_target(member, find_by_arn, invalid="Invalid ARN provided in the request: {}")


def find_mfa_device(call: ServiceCall, serial: str) -> Row | None:
    """Find an MFA device of the account by its serial number, which is its ARN."""
    return call.records.one(mfa_devices, serial=serial, account=call.account)


MFA_DEVICE = arn_target("SerialNumber", find_mfa_device)


def _entity(call: ServiceCall, kind: str, row: Row | None, name: str) -> Resource:
    if row is None:
        return call.resource(call.arn(kind, "/", name))
    return call.resource(call.arn(kind, row["path"], row["name"]), row)


# --- condition keys ----------------------------------------------------------------------------------------------


def request_tags(call: ServiceCall, parameters: Input) -> Keys:
    """Return `aws:RequestTag/*` and `aws:TagKeys` for a call with tags or tag keys."""
    tags: Sequence[Mapping[str, Any]] = parameters.get("Tags", ())
    unique_tags = {tag["Key"].lower(): tag for tag in tags}.values()  # the handler rejects repeated keys
    keys: dict[str, Given] = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in unique_tags}
    tag_keys = [tag["Key"] for tag in tags] + list(parameters.get("TagKeys", ()))
    return {**keys, "aws:TagKeys": tag_keys} if tag_keys else keys


def current_boundary_key(kind: Kind, call: ServiceCall, parameters: Input) -> Keys:
    """Return `iam:PermissionsBoundary` as the user or role has it."""
    row = find_identity(call, kind, requested_name(kind, call, parameters))
    boundary_id = None if row is None else row["boundary_id"]
    boundary = None if boundary_id is None else call.records.one(policies, id=boundary_id)
    return {} if boundary is None else {"iam:PermissionsBoundary": policy_arn(call, boundary)}


def key_from_member(key: str, member: str) -> KeySource:
    """Return a condition key with the value of an input member."""
    return lambda call, parameters: {key: parameters[member]} if member in parameters else {}


POLICY_ARN = key_from_member("iam:PolicyARN", "PolicyArn")
REQUESTED_BOUNDARY = key_from_member("iam:PermissionsBoundary", "PermissionsBoundary")


# --- further permissions -----------------------------------------------------------------------------------------


def rename_permission(kind: str, name_member: str, table: Table = identities) -> Further:
    """Require the same permission on the new ARN of a renamed entity."""
    new_name_member = f"New{name_member}"

    def further(call: ServiceCall, parameters: Input) -> list[Permission]:
        if new_name_member not in parameters and "NewPath" not in parameters:
            return []
        where = {"kind": kind} if table is identities else {}
        row = call.records.one(table, account=call.account, folded=fold(parameters[name_member]), **where)
        path = parameters.get("NewPath", "/" if row is None else row["path"])
        name = parameters.get(new_name_member, parameters[name_member] if row is None else row["name"])
        arn = call.arn(kind, path, name)
        words = "".join(word.capitalize() for word in kind.split("-"))
        return [Permission(f"iam:Update{words}", call.resource(arn), {})]

    return further


def pass_role_permission(service: str, to: str) -> Further:
    """Require `iam:PassRole` on a role that a call passes to a service (R-15).

    `to` is the ARN of the receiving resource without partition; `{account}` stands for the account.
    """

    def further(call: ServiceCall, parameters: Input) -> list[Permission]:
        associated = f"arn:{call.partition}:{to.format(account=call.account)}"
        keys: Keys = {"iam:PassedToService": service, "iam:AssociatedResourceArn": associated}
        return [Permission("iam:PassRole", ROLE(call, parameters), keys)]

    return further

"""What each operation is decided about: the entity's ARN with its path, its tags, and condition keys (rules K-33, P-1).

Of an entity that does not exist the ARN is the one that it would have at the root path, so that a denial does not tell
whether it exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, find_identity, find_policy, means_root, policy_arn, user_name
from iam_guard.api.operation import Further, Keys, KeySource, Permission, Target
from iam_guard.errors import InvalidInput
from iam_guard.model.context import Given
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import Kind, fold, iam_arn, root_arn
from iam_guard.store.records import Row, Table
from iam_guard.store.schema import identities, instance_profiles, mfa_devices, policies, server_certificates

# --- identities --------------------------------------------------------------------------------------------------


def named(kind: Kind, member: str | None = None) -> Target:
    """Return the user, group or role that a member names; a user that is not named is the caller."""

    def target(call: ServiceCall, given: Input) -> Resource:
        if kind is Kind.USER and member is None:
            if means_root(call, given):
                return Resource(root_arn(call.partition, call.account), account=call.account)
            name = user_name(call, given)
        else:
            name = given[member or NAME_MEMBER[kind]]
        return _entity(call, kind.value, find_identity(call, kind, name), name)

    return target


def created(kind: str, member: str) -> Target:
    """Return what is to be made, at the path that is asked for."""

    def target(call: ServiceCall, given: Input) -> Resource:
        arn = iam_arn(call.partition, call.account, kind, given.get("Path", "/"), given[member])
        return Resource(arn, account=call.account)

    return target


def listed(kind: str) -> Target:
    """Return what is listed below a path, in AWS's form: an ARN that ends with the path."""

    def target(call: ServiceCall, given: Input) -> Resource:
        return Resource(iam_arn(call.partition, call.account, kind, given.get("PathPrefix", "/"), ""), call.account)

    return target


USER, GROUP, ROLE = named(Kind.USER), named(Kind.GROUP), named(Kind.ROLE)


def principal_by_arn(member: str) -> Target:
    """Return a user, group, role or policy that is named by its ARN.

    It raises `InvalidInput` for what is no ARN, for nothing can be decided about that.
    """

    def target(call: ServiceCall, given: Input) -> Resource:
        arn: str = given[member]
        if not arn.startswith("arn:") or arn.count(":") < 5:
            raise InvalidInput(f"Invalid ARN provided in the request: {arn}", place=member)
        row = find_by_arn(call, arn)
        return Resource(arn, account=call.account, tags={} if row is None else row["tags"])

    return target


def find_by_arn(call: ServiceCall, arn: str) -> Row | None:
    """Find a user, group or role of the account, or a policy, by its ARN, letter by letter."""
    fields = arn.split(":", 5)
    kind, _, rest = fields[5].partition("/") if len(fields) == 6 else ("", "", "")
    if kind == "policy":
        return find_policy(call, arn)
    if kind not in {each.value for each in Kind}:
        return None
    row = find_identity(call, Kind(kind), rest.rpartition("/")[2])
    is_it = row is not None and iam_arn(call.partition, call.account, kind, row["path"], row["name"]) == arn
    return row if is_it else None


# --- what has an ARN of its own ----------------------------------------------------------------------------------


def policy(call: ServiceCall, given: Input) -> Resource:
    """Return the managed policy whose ARN is given; it is decided about by that ARN, whoever's it is.

    Raises `InvalidInput` for what is no ARN, for nothing can be decided about that.
    """
    arn: str = given["PolicyArn"]
    if not arn.startswith("arn:") or arn.count(":") < 5:
        raise InvalidInput(f"ARN {arn} is not valid.", place="PolicyArn")
    row = find_policy(call, arn)
    return Resource(arn, account=call.account, tags={} if row is None else row["tags"])


def in_table(table: Table, kind: str, member: str) -> Target:
    """Return an entity with path and name of its own table."""

    def target(call: ServiceCall, given: Input) -> Resource:
        name: str = given[member]
        return _entity(call, kind, call.records.one(table, account=call.account, folded=fold(name)), name)

    return target


INSTANCE_PROFILE = in_table(instance_profiles, "instance-profile", "InstanceProfileName")
SERVER_CERTIFICATE = in_table(server_certificates, "server-certificate", "ServerCertificateName")


def by_arn(member: str, find: Callable[[ServiceCall, str], Row | None]) -> Target:
    """Return what is named by its ARN, with the tags that it has.

    It raises `InvalidInput` for what is no ARN, for nothing can be decided about that.
    """

    def target(call: ServiceCall, given: Input) -> Resource:
        arn: str = given[member]
        if not arn.startswith("arn:") or arn.count(":") < 5:
            raise InvalidInput(f"ARN {arn} is not valid.", place=member)
        row = find(call, arn)
        return Resource(arn, account=call.account, tags={} if row is None else row["tags"])

    return target


def find_mfa_device(call: ServiceCall, serial: str) -> Row | None:
    """Find an MFA device of the account by its serial number, which is its ARN."""
    return call.records.one(mfa_devices, serial=serial, account=call.account)


MFA_DEVICE = by_arn("SerialNumber", find_mfa_device)


def _entity(call: ServiceCall, kind: str, row: Row | None, name: str) -> Resource:
    if row is None:
        return Resource(iam_arn(call.partition, call.account, kind, "/", name), account=call.account)
    arn = iam_arn(call.partition, call.account, kind, row["path"], row["name"])
    return Resource(arn, account=call.account, tags=row["tags"])


# --- condition keys ----------------------------------------------------------------------------------------------


def request_tags(call: ServiceCall, given: Input) -> Keys:
    """Return `aws:RequestTag/*` and `aws:TagKeys` for a call that passes tags or the keys of tags."""
    keys: dict[str, Given] = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in _once(given.get("Tags", ()))}
    tag_keys = [tag["Key"] for tag in given.get("Tags", ())] + list(given.get("TagKeys", ()))
    return {**keys, "aws:TagKeys": tag_keys} if tag_keys else keys


def _once(tags: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out tags whose key came already, in any letter case: the handler refuses them all."""
    return list({tag["Key"].lower(): tag for tag in tags}.values())


def policy_arn_given(call: ServiceCall, given: Input) -> Keys:
    """Return `iam:PolicyARN`."""
    return {"iam:PolicyARN": given["PolicyArn"]}


def boundary_given(call: ServiceCall, given: Input) -> Keys:
    """Return `iam:PermissionsBoundary` as the call sets it."""
    return {"iam:PermissionsBoundary": given["PermissionsBoundary"]} if "PermissionsBoundary" in given else {}


def boundary_of(kind: Kind) -> KeySource:
    """Return `iam:PermissionsBoundary` as the user or role has it."""

    def keys(call: ServiceCall, given: Input) -> Keys:
        name = user_name(call, given) if kind is Kind.USER else given[NAME_MEMBER[kind]]
        row = find_identity(call, kind, name)
        boundary_id = None if row is None else row["boundary_id"]
        boundary = None if boundary_id is None else call.records.one(policies, id=boundary_id)
        return {} if boundary is None else {"iam:PermissionsBoundary": policy_arn(call, boundary)}

    return keys


def given_as(key: str, member: str) -> KeySource:
    """Return a condition key that is a member of the input."""
    return lambda call, given: {key: given[member]} if member in given else {}


# --- further permissions -----------------------------------------------------------------------------------------


def tagging(action: str, target: Target) -> Further:
    """Ask for the permission to tag where something is made with tags."""

    def further(call: ServiceCall, given: Input) -> list[Permission]:
        return [Permission(action, target(call, given), request_tags(call, given))] if given.get("Tags") else []

    return further


def renaming(kind: str, name_member: str, new_name_member: str, table: Table = identities) -> Further:
    """Ask for the permission to do the same on the ARN that an entity is to have."""

    def further(call: ServiceCall, given: Input) -> list[Permission]:
        if new_name_member not in given and "NewPath" not in given:
            return []
        where = {"kind": kind} if table is identities else {}
        row = call.records.one(table, account=call.account, folded=fold(given[name_member]), **where)
        path = given.get("NewPath", "/" if row is None else row["path"])
        name = given.get(new_name_member, given[name_member] if row is None else row["name"])
        arn = iam_arn(call.partition, call.account, kind, path, name)
        words = "".join(word.capitalize() for word in kind.split("-"))
        return [Permission(f"iam:Update{words}", Resource(arn, account=call.account), {})]

    return further


def passing_the_role(service: str, to: str) -> Further:
    """Ask for `iam:PassRole` on the role that a call hands to a service (rule R-15).

    `to` is what of the service gets it, an ARN without partition in which `{account}` stands for the account.
    """

    def further(call: ServiceCall, given: Input) -> list[Permission]:
        associated = f"arn:{call.partition}:{to.format(account=call.account)}"
        keys: Keys = {"iam:PassedToService": service, "iam:AssociatedResourceArn": associated}
        return [Permission("iam:PassRole", ROLE(call, given), keys)]

    return further

"""Users (rules R-10, R-11, P-10, G-77, G-78)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import is_about_root, load_user
from iam_guard.api.iam.identities import create_identity
from iam_guard.api.iam.output_members import describe_full_user
from iam_guard.api.iam.policies.boundaries import requested_boundary
from iam_guard.api.iam.tags import new_tags
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import login_profiles


def create_user(call: ServiceCall, parameters: Input) -> Output:
    row = create_identity(
        call, Kind.USER, parameters, boundary_id=requested_boundary(call, parameters), tags=new_tags(parameters)
    )
    return {"User": describe_full_user(call, row)}


def get_user(call: ServiceCall, parameters: Input) -> Output:
    """Describe a user; without a name, the caller, who may be the root user."""
    if is_about_root(call, parameters):
        return {"User": root_user(call)}
    return {"User": describe_full_user(call, load_user(call, parameters))}


def root_user(call: ServiceCall) -> Output:
    """Describe the root user, with the members of a user that it has (R-3)."""
    profile = call.records.one(login_profiles, owner=call.account)
    return {
        "Path": "/",
        "UserName": call.account_value("name") or "",
        "UserId": call.account,
        "Arn": call.root_arn,
        "CreateDate": instant(call.account_value("created") or 0),
        "PasswordLastUsed": instant(profile["used"]) if profile else None,
    }

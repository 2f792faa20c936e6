"""Writes of many kinds for one account, and the facts that must be true after each is acknowledged.

A family of eight writes creates a policy, a user, a group and a role that refer to each other. Facts are derived from
`GetAccountAuthorizationDetails`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
Fact = tuple[str, ...]


class Write(NamedTuple):
    """One write: operation, parameters, and the resulting fact; an access key's id is in its response."""

    action: str
    fields: Mapping[str, str]
    fact: Fact


def document(name: str) -> str:
    """Return a unique policy document, long enough to span pages of the file."""
    resources = [f"arn:aws:docs:us-east-1:111122223333:{name}/{number:040}" for number in range(8)]
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": resources}]}
    )


def family(account: str, name: str) -> Iterator[Write]:
    """Return the writes of one family, each of which needs some of the previous ones."""
    arn, text, tag = f"arn:aws:iam::{account}:policy/crash/{name}", document(name), {"Key": "n", "Value": name}
    tags = {f"Tags.member.1.{part}": each for part, each in tag.items()}
    path, user = {"Path": "/crash/"}, {"UserName": name}
    yield Write(
        "CreatePolicy",
        {"PolicyName": name, "PolicyDocument": text, "Description": f"of {name}", **path, **tags},
        ("policy", arn, "v1", text),
    )
    yield Write(
        "CreateUser",
        {"PermissionsBoundary": BOUNDARY, **user, **path, **tags},
        ("user", name, "/crash/", BOUNDARY, f"n={name}"),
    )
    yield Write("CreateGroup", {"GroupName": name, **path}, ("group", name, "/crash/"))
    yield Write("AddUserToGroup", {"GroupName": name, **user}, ("member", name, name))
    yield Write("AttachUserPolicy", {"PolicyArn": arn, **user}, ("attached", name, arn))
    yield Write("PutUserPolicy", {"PolicyName": "own", "PolicyDocument": text, **user}, ("inline", name, "own", text))
    yield Write("CreateAccessKey", user, ("key", name))
    yield Write(
        "CreateRole",
        {"RoleName": name, "AssumeRolePolicyDocument": TRUST, "Description": f"of {name}", **path, **tags},
        ("role", name, "/crash/", TRUST, f"n={name}"),
    )


def facts(client: Any) -> set[Fact]:
    """Return the facts of an account, without its access keys."""
    found: set[Fact] = set()
    pages = client.get_paginator("get_account_authorization_details").paginate(
        Filter=["User", "Group", "Role", "LocalManagedPolicy"], PaginationConfig={"PageSize": 1000}
    )
    for page in pages:
        for user in page["UserDetailList"]:
            found |= _of_user(user)
        found |= {("group", each["GroupName"], each["Path"]) for each in page["GroupDetailList"]}
        for role in page["RoleDetailList"]:
            trust = json.dumps(role["AssumeRolePolicyDocument"])
            found.add(("role", role["RoleName"], role["Path"], trust, _tags(role)))
        for policy in page["Policies"]:
            (version,) = (each for each in policy["PolicyVersionList"] if each["IsDefaultVersion"])
            assert version["VersionId"] == policy["DefaultVersionId"]
            text = json.dumps(version["Document"])
            found.add(("policy", policy["Arn"], version["VersionId"], text))
    return found


def _of_user(user: Mapping[str, Any]) -> set[Fact]:
    name = user["UserName"]
    boundary = user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")
    return {
        ("user", name, user["Path"], boundary, _tags(user)),
        *(("member", name, group) for group in user["GroupList"]),
        *(("attached", name, policy["PolicyArn"]) for policy in user["AttachedManagedPolicies"]),
        *(
            ("inline", name, each["PolicyName"], json.dumps(each["PolicyDocument"]))
            for each in user.get("UserPolicyList", ())
        ),
    }


def _tags(entity: Mapping[str, Any]) -> str:
    return " ".join(f"{tag['Key']}={tag['Value']}" for tag in entity.get("Tags", ()))

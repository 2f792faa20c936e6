"""Random small accounts whose principals may change one another."""

from __future__ import annotations

import random

from tests.analysis.escalation.escalation_worlds import (
    ACME,
    EVERYTHING,
    Json,
    allow,
    arn,
    deny,
    document,
    policy,
    trust,
)

USERS, GROUPS, ROLES, POLICIES = ("ada", "bob"), ("team", "crew"), ("work", "ops"), ("One", "Two")
ENTITIES = {
    "User": [f"user/{name}" for name in USERS],
    "Role": [f"role/{name}" for name in ROLES],
    "Group": [f"group/{name}" for name in GROUPS],
}
ACTIONS = [
    *((f"iam:{verb}{kind}Policy", kind) for verb in ("Attach", "Put", "Detach", "Delete") for kind in ENTITIES),
    *((f"iam:{verb}{kind}PermissionsBoundary", kind) for verb in ("Put", "Delete") for kind in ("User", "Role")),
    *((action, "Group") for action in ("iam:AddUserToGroup", "iam:RemoveUserFromGroup")),
    *((action, "Role") for action in ("iam:UpdateAssumeRolePolicy", "sts:AssumeRole", "sts:AssumeRole")),
    ("iam:CreateAccessKey", "User"),
    ("iam:CreatePolicyVersion", "Policy"),
]


def random_statement(choose: random.Random) -> Json:
    action, kind = choose.choice(ACTIONS)
    names = [f"policy/{name}" for name in POLICIES] if kind == "Policy" else ENTITIES[kind]
    resource = choose.choice(["*", *map(arn, names)])
    if choose.random() < 0.08:
        return EVERYTHING
    return allow(action, on=resource)


def random_deny(choose: random.Random) -> Json:
    if choose.random() < 0.3:
        kept = [action for action, _ in choose.sample(ACTIONS, 2)]
        return {"Effect": "Deny", "NotAction": kept}
    return deny(choose.choice([action for action, _ in ACTIONS] + ["iam:*", "sts:*"]))


def random_inline(choose: random.Random) -> Json:
    """Return inline policies; what is denied has a policy of its own."""
    count = choose.choice((0, 1, 1, 2))
    found = {"Own": document(*(random_statement(choose) for _ in range(count)))} if count else {}
    return found | ({"No": document(random_deny(choose))} if choose.random() < 0.2 else {})


def random_world(choose: random.Random) -> Json:
    def holder(name: str) -> Json:
        attached = [name for name in POLICIES if choose.random() < 0.25]
        boundary = {"boundary": choose.choice(POLICIES)} if choose.random() < 0.15 else {}
        return {"name": name, "inline": random_inline(choose), "attached": attached, **boundary}

    trusted = [trust(ACME), trust("ec2.amazonaws.com", kind="Service"), *(trust(arn(f"user/{name}")) for name in USERS)]
    users = [{**holder(name), "groups": [group for group in GROUPS if choose.random() < 0.3]} for name in USERS]
    return {
        "id": ACME,
        "users": users,
        "roles": [{**holder(name), "trust": choose.choice(trusted)} for name in ROLES],
        "groups": [{"name": name, "inline": random_inline(choose)} for name in GROUPS],
        "policies": [policy(name, *(random_statement(choose) for _ in range(2))) for name in POLICIES],
    }

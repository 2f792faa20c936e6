"""An attacker that makes the calls of escalations against a running server, with the credentials that it gains.

`follow` makes the calls of one path. `try_everything` knows no path: with all credentials that it has, it tries every
call on every entity until none helps any more, which is an oracle for small stores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from iam_guard.analysis.escalation.escalation_path import EscalationPath, EscalationStep
from iam_guard.api.protocol.app import aws_api
from iam_guard.factory import guard_with_store
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.sql_store import SqlStore
from tests.analysis.escalation.escalation_worlds import ACME, EVERYTHING, Json, arn, document
from tests.serving import serving

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
ALL = json.dumps(document({"Effect": "Allow", **EVERYTHING}))
Client = Any
"""A client of boto3, which has no types."""
_SESSION = boto3.session.Session()
_CONFIG = Config(retries={"max_attempts": 1, "mode": "standard"}, parameter_validation=False)


@dataclass
class Attacker:
    """`held` are the credentials by principal: the clients of IAM and of STS."""

    url: str
    guard: Guard
    held: dict[str, tuple[Client, Client]] = field(default_factory=dict)

    def take(self, name: str, *credentials: str | None) -> None:
        """Keep the credentials of a principal."""
        if name not in self.held:
            self.held[name] = tuple(  # type: ignore[assignment]
                _SESSION.client(service, "us-east-1", None, True, None, self.url, *credentials, config=_CONFIG)
                for service in ("iam", "sts")
            )

    def is_administrator(self) -> bool:
        """Return whether the guard allows one of the held principals what no policy names, and to give permissions."""
        self.guard.refresh()
        return any(self._may_everything(name) for name in self.held)

    def may(self, name: str, action: str, resource: str) -> bool:
        """Return the guard's decision about a user or role."""
        principal = name
        if ":role/" in name:
            principal = name.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/attack"
        return self.guard.decide(Principal.from_arn(principal), action, resource).allowed

    def _may_everything(self, name: str) -> bool:
        anything = f"arn:aws:any:us-east-1:{ACME}:thing"
        grants = ("AttachUserPolicy", "PutUserPolicy", "AttachRolePolicy", "PutRolePolicy", "CreatePolicyVersion")
        return (
            self.may(name, "any:Thing", anything)
            and self.may(name, "iam:Anything", arn("any/thing"))
            and any(self.may(name, f"iam:{grant}", arn("any/thing")) for grant in grants)
        )

    # --- one path ----------------------------------------------------------------------------------------------------

    def follow(self, path: EscalationPath) -> None:
        """Make the calls of a path; raises boto3's `ClientError` for one that is refused."""
        actors = [_actor(step) for step in path.steps]
        people = sorted({path.start, *actors, *(step.resource for step in path.steps if ":user/" in step.resource)})
        for step, actor in zip(path.steps, actors, strict=True):
            iam, sts = self.held[actor]
            if step.action == "sts:AssumeRole":
                self.assume(sts, step.resource)
            elif step.action == "iam:CreateAccessKey":
                self.create_key(iam, step.resource)
            elif step.action == "iam:UpdateAssumeRolePolicy":
                set_trust(iam, step.resource, [name for name in actors if name in self.held] or [path.start])
            elif step.action in ("iam:AddUserToGroup", "iam:RemoveUserFromGroup"):
                for person in people:
                    if ":user/" in person:
                        _CALLS[step.action](iam, step.resource, {"user": person})
            else:
                _CALLS[step.action](iam, step.resource, {**_details(step), "actor": actor})

    def assume(self, sts: Client, role: str) -> None:
        made = sts.assume_role(RoleArn=role, RoleSessionName="attack")["Credentials"]
        self.take(role, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])

    def create_key(self, iam: Client, user: str) -> None:
        made = iam.create_access_key(UserName=_name(user))["AccessKey"]
        self.take(user, made["AccessKeyId"], made["SecretAccessKey"])

    # --- everything --------------------------------------------------------------------------------------------------

    def try_everything(self, world: Json) -> None:
        """Make every call with every credential, until a round changes nothing, or one makes it an administrator.

        Calls that may take permissions away come when no other helps any more.
        """
        made: set[tuple[str, ...]] = set()
        while not self.is_administrator():
            if not any(self._round(world, made, is_risky=is_risky) for is_risky in (False, True)):
                return

    def _round(self, world: Json, made: set[tuple[str, ...]], *, is_risky: bool) -> bool:
        """Make the calls of one round; return whether one succeeded that had not before."""
        is_changed = False
        for iam, sts in list(self.held.values()):
            for key, call in self._calls(world, iam, sts):
                if (key[0] in _RISKY) is is_risky and key not in made and _succeeds(call):
                    made.add(key)
                    is_changed = True
                    if is_risky or self.is_administrator():
                        return True
        return is_changed

    def _calls(self, world: Json, iam: Client, sts: Client) -> Iterator[tuple[tuple[str, ...], Callable[[], object]]]:
        for user in world["users"]:
            target = arn(f"user/{user['name']}")
            yield ("key", target), lambda target=target: self.create_key(iam, target)  # type: ignore[misc]
        for role in world["roles"]:
            target = arn(f"role/{role['name']}")
            yield ("assume", target), lambda target=target: self.assume(sts, target)  # type: ignore[misc]
            yield (
                ("trust", target, *sorted(self.held)),
                lambda target=target: set_trust(iam, target, list(self.held)),  # type: ignore[misc]
            )
        for action, target, details in _changes(world):
            key = (action, target, *map(str, details.values()))
            yield key, lambda action=action, target=target, details=details: _CALLS[action](iam, target, details)  # type: ignore[misc]


@contextmanager
def attacking(store: SqlStore, start: str, *key: str) -> Iterator[Attacker]:
    """Serve a store, and yield an attacker with the access key of one principal."""
    guard = guard_with_store(store, Settings())
    try:
        with serving(aws_api(guard)) as url:
            attacker = Attacker(url, guard)
            attacker.take(start, *key)
            yield attacker
    finally:
        guard.close()


# --- calls -----------------------------------------------------------------------------------------------------------

Details = Mapping[str, str]


def _name(target: str) -> str:
    return target.rpartition("/")[2]


def _path(target: str) -> str:
    middle = target.partition("/")[2].rpartition("/")[0]
    return f"/{middle}/" if middle else "/"


def trusting(*names: str) -> str:
    """Return a trust policy for these principals."""
    statement = {"Effect": "Allow", "Principal": {"AWS": list(names)}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def set_trust(iam: Client, role: str, names: list[str]) -> None:
    """Replace a trust policy by one for these principals."""
    iam.update_assume_role_policy(RoleName=_name(role), PolicyDocument=trusting(*names))


def _of(kind: str) -> Callable[[str], dict[str, str]]:
    return lambda target: {f"{kind}Name": _name(target)}


def _policy_calls(kind: str) -> dict[str, Callable[[Client, str, Details], object]]:
    lower, named = kind.lower(), _of(kind)
    return {
        f"iam:Attach{kind}Policy": lambda iam, target, given: getattr(iam, f"attach_{lower}_policy")(
            **named(target), PolicyArn=given.get("policy", ADMINISTRATOR_ACCESS)
        ),
        f"iam:Put{kind}Policy": lambda iam, target, given: getattr(iam, f"put_{lower}_policy")(
            **named(target), PolicyName="attack", PolicyDocument=ALL
        ),
        f"iam:Detach{kind}Policy": lambda iam, target, given: getattr(iam, f"detach_{lower}_policy")(
            **named(target), PolicyArn=given["policy"]
        ),
        f"iam:Delete{kind}Policy": lambda iam, target, given: getattr(iam, f"delete_{lower}_policy")(
            **named(target), PolicyName=given["inline"]
        ),
        f"iam:Delete{kind}PermissionsBoundary": lambda iam, target, given: getattr(
            iam, f"delete_{lower}_permissions_boundary"
        )(**named(target)),
        f"iam:Put{kind}PermissionsBoundary": lambda iam, target, given: getattr(
            iam, f"put_{lower}_permissions_boundary"
        )(**named(target), PermissionsBoundary=given.get("policy", ADMINISTRATOR_ACCESS)),
    }


_CALLS: Mapping[str, Callable[[Client, str, Details], object]] = {
    **_policy_calls("User"),
    **_policy_calls("Role"),
    **_policy_calls("Group"),
    "iam:AddUserToGroup": lambda iam, target, given: iam.add_user_to_group(
        GroupName=_name(target), UserName=_name(given["user"])
    ),
    "iam:RemoveUserFromGroup": lambda iam, target, given: iam.remove_user_from_group(
        GroupName=_name(target), UserName=_name(given["user"])
    ),
    "iam:CreateUser": lambda iam, target, given: iam.create_user(UserName=_name(target), Path=_path(target)),
    "iam:CreateRole": lambda iam, target, given: iam.create_role(
        RoleName=_name(target), Path=_path(target), AssumeRolePolicyDocument=trusting(given["actor"])
    ),
    "iam:CreatePolicy": lambda iam, target, given: iam.create_policy(
        PolicyName=_name(target), Path=_path(target), PolicyDocument=ALL
    ),
    "iam:CreatePolicyVersion": lambda iam, target, given: iam.create_policy_version(
        PolicyArn=target, PolicyDocument=ALL, SetAsDefault=True
    ),
    "iam:SetDefaultPolicyVersion": lambda iam, target, given: iam.set_default_policy_version(
        PolicyArn=target, VersionId=given["version"]
    ),
    "iam:DeletePolicyVersion": lambda iam, target, given: iam.delete_policy_version(PolicyArn=target, VersionId="v2"),
    "iam:DeleteAccessKey": lambda iam, target, given: iam.delete_access_key(
        UserName=_name(target),
        AccessKeyId=iam.list_access_keys(UserName=_name(target))["AccessKeyMetadata"][0]["AccessKeyId"],
    ),
}


_RISKY = ("iam:AddUserToGroup", "iam:RemoveUserFromGroup", "iam:CreatePolicyVersion")


def _actor(step: EscalationStep) -> str:
    found = re.search(r"(?:allows?|for) (arn:\S+) to call", step.why)
    assert found is not None, step.why
    return found[1]


def _details(step: EscalationStep) -> Details:
    """Return what the text of a step says about its call: the policy, the inline policy, the version."""
    patterns = {
        "policy": r"it (?:attaches|detaches|puts) (arn:[^\s,;]+)",
        "inline": r"it deletes \S+/([^/\s]+), which",
        "version": r"version (v\d+) allows",
    }
    found = {name: re.search(pattern, step.why) for name, pattern in patterns.items()}
    return {name: match[1] for name, match in found.items() if match is not None}


def _succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError:
        return False
    return True


def _changes(world: Json) -> Iterator[tuple[str, str, Details]]:
    """Yield all changes of the world's entities; of policies to remove, those that deny."""
    for kind in ("User", "Role", "Group"):
        for entity in world[f"{kind.lower()}s"]:
            target = arn(f"{kind.lower()}/{entity['name']}")
            yield f"iam:Attach{kind}Policy", target, {"policy": ADMINISTRATOR_ACCESS}
            yield f"iam:Put{kind}Policy", target, {}
            for name, text in entity.get("inline", {}).items():
                if _denies(text):
                    yield f"iam:Delete{kind}Policy", target, {"inline": name}
            for name in entity.get("attached", ()):
                if any(policy["name"] == name and _denies(policy["document"]) for policy in world["policies"]):
                    yield f"iam:Detach{kind}Policy", target, {"policy": arn(f"policy/{name}")}
            if "boundary" in entity:
                yield f"iam:Delete{kind}PermissionsBoundary", target, {}
                yield f"iam:Put{kind}PermissionsBoundary", target, {}
    for group in world["groups"]:
        for user in world["users"]:
            joins = group["name"] not in user.get("groups", ())
            action = "iam:AddUserToGroup" if joins else "iam:RemoveUserFromGroup"
            if joins or any(map(_denies, group.get("inline", {}).values())):
                yield action, arn(f"group/{group['name']}"), {"user": user["name"]}
    for policy in world["policies"]:
        yield "iam:CreatePolicyVersion", arn(f"policy/{policy['name']}"), {}


def _denies(text: Json) -> bool:
    return any(statement["Effect"] == "Deny" for statement in text["Statement"])

"""Attaching managed policies by boto3: G-76, K-33, R-14."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.store.quotas import QUOTAS
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.policy_parts import KINDS, allowing, holders, join, of, prepare

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def make(iam: Client, name: str, action: str = "docs:Read", path: str = "/") -> str:
    made = iam.create_policy(PolicyName=name, PolicyDocument=allowing(action), Path=path)
    arn: str = made["Policy"]["Arn"]
    return arn


def attach(iam: Client, kind: str, arn: str, name: str = "holder") -> None:
    getattr(iam, f"attach_{kind}_policy")(PolicyArn=arn, **of(kind, name))


def detach(iam: Client, kind: str, arn: str, name: str = "holder") -> None:
    getattr(iam, f"detach_{kind}_policy")(PolicyArn=arn, **of(kind, name))


def attached(iam: Client, kind: str, name: str = "holder", **more: Any) -> list[str]:
    answer = getattr(iam, f"list_attached_{kind}_policies")(**of(kind, name), **more)
    return [policy["PolicyArn"] for policy in answer["AttachedPolicies"]]


@pytest.mark.parametrize("kind", KINDS)
def test_policy_attaches_and_detaches(iam: Client, server: Running, kind: str) -> None:
    """Attaching twice is no error, detaching twice is one; names are case-insensitive."""
    holders(server)
    arn = make(iam, "Reader")
    for name in ("holder", "HOLDER"):
        attach(iam, kind, arn, name)
    attach(iam, kind, READ_ONLY)
    answer = getattr(iam, f"list_attached_{kind}_policies")(**of(kind))
    assert answer["AttachedPolicies"] == [
        {"PolicyName": "Reader", "PolicyArn": arn},
        {"PolicyName": "ReadOnlyAccess", "PolicyArn": READ_ONLY},
    ]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    detach(iam, kind, arn)
    assert attached(iam, kind) == [READ_ONLY]
    with refusal("NoSuchEntity", f"Policy {arn} was not found.", 404):
        detach(iam, kind, arn)
    assert [attached(iam, other) for other in KINDS if other != kind] == [[], []]


@pytest.mark.parametrize("kind", KINDS)
def test_attaching_to_an_unknown_entity_is_rejected(
    iam: Client, other_account: Client, server: Running, kind: str
) -> None:
    """An entity of another account is unknown too."""
    holders(server)
    arn = make(other_account, "Reader")
    sentence = f"The {kind} with name holder cannot be found."
    for operation in (attach, detach):
        with refusal("NoSuchEntity", sentence, 404):
            operation(other_account, kind, arn)
    with refusal("NoSuchEntity", sentence, 404):
        attached(other_account, kind)


@pytest.mark.parametrize(("kind", "most"), [("user", 10), ("group", 10), ("role", 20)])
def test_attachment_quota_is_enforced(iam: Client, server: Running, kind: str, most: int) -> None:
    """G-76; a policy that is attached already doesn't count again."""
    assert QUOTAS[f"policies attached to a {kind}"] == most
    names = [f"P{number:02}" for number in range(most + 1)]
    declared = [{"name": name, "document": allowing("docs:Read")} for name in names]
    holder = {"name": "holder", "attached": names[:-1]}
    prepare(server, policies=declared, **{f"{kind}s": [holder]})
    arns = [f"arn:aws:iam::{ACCOUNT}:policy/{name}" for name in names]
    with refusal("LimitExceeded", f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {most}", 409):
        attach(iam, kind, arns[-1])
    attach(iam, kind, arns[0])
    detach(iam, kind, arns[0])
    attach(iam, kind, arns[-1])
    assert attached(iam, kind) == arns[1:]


@pytest.mark.parametrize("path", ["/aws-service-role/es.amazonaws.com/", "/aws-reserved/sso.amazonaws.com/"])
def test_protected_role_attachments_are_unmodifiable(iam: Client, server: Running, path: str) -> None:
    """R-14, P-14: only its service can change it; paths don't protect users and groups."""
    one = {"name": "holder", "path": path, "attached": ["ReadOnlyAccess"]}
    prepare(server, users=[dict(one)], groups=[dict(one)], roles=[dict(one)])
    arn = make(iam, "Reader")
    sentence = "Cannot perform the operation on the protected role 'holder' - this role is only modifiable by AWS"
    with refusal("UnmodifiableEntity", sentence, 400):
        attach(iam, "role", arn)
    with refusal("UnmodifiableEntity", sentence, 400):
        detach(iam, "role", READ_ONLY)
    assert attached(iam, "role") == [READ_ONLY]
    for kind in ("user", "group"):
        detach(iam, kind, READ_ONLY)
        assert attached(iam, kind) == []


@pytest.mark.parametrize("kind", KINDS)
def test_attached_policies_are_paged_and_filtered_by_path(iam: Client, server: Running, kind: str) -> None:
    """Policies of AWS and of the account with one name are two."""
    holders(server)
    ours = [make(iam, "a", path="/x/"), make(iam, "ReadOnlyAccess", path="/x/"), make(iam, "z", path="/x/y/")]
    for arn in (*ours, READ_ONLY):
        attach(iam, kind, arn)
    paginator = iam.get_paginator(f"list_attached_{kind}_policies")
    pages = [
        [policy["PolicyArn"] for policy in page["AttachedPolicies"]]
        for page in paginator.paginate(**of(kind), PaginationConfig={"PageSize": 1})
    ]
    assert pages == [[ours[0]], [ours[1]], [READ_ONLY], [ours[2]]]
    assert attached(iam, kind, PathPrefix="/x/") == ours
    assert attached(iam, kind, PathPrefix="/x/y/") == ours[2:]
    assert attached(iam, kind, PathPrefix="/X/") == []


@pytest.mark.parametrize(("kind", "name"), [("user", "ada"), ("group", "team")])
def test_attachment_takes_effect_at_once(
    iam: Client, server: Running, client_for: Callable[..., Client], kind: str, name: str
) -> None:
    """For a user or its group; detached, it has no effect any more (M)."""
    arn = make(iam, "Lister", "iam:ListPolicies")
    ada = client_for("ada")
    prepare(server, groups=[{"name": "team"}])
    join(server, "ada", "team")
    for _ in range(2):
        with refusal("AccessDenied", "iam:ListPolicies"):
            ada.list_policies()
        attach(iam, kind, arn, name)
        ada.list_policies()
        detach(iam, kind, arn, name)
    with refusal("AccessDenied", "iam:ListPolicies"):
        ada.list_policies()


# --- condition keys ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [attach, detach])
def test_attachment_supplies_the_policy_arn_key(
    iam: Client, server: Running, client_for: Callable[..., Client], kind: str, way: Callable[..., None]
) -> None:
    """K-33: `iam:PolicyARN` limits which policies a caller can attach."""
    holders(server)
    arns = [make(iam, "Given", path="/given/"), make(iam, "Kept")]
    if way is detach:
        for arn in arns:
            attach(iam, kind, arn)
    action = f"iam:{way.__name__.capitalize()}{kind.capitalize()}Policy"
    only = {"ArnLike": {"iam:PolicyARN": f"arn:aws:iam::{ACCOUNT}:policy/given/*"}}
    ada = client_for("ada", allow(action, f"arn:aws:iam::{ACCOUNT}:{kind}/holder", **only))
    way(ada, kind, arns[0])
    with refusal("AccessDenied", action):
        way(ada, kind, arns[1])
    with refusal("AccessDenied", action):
        way(ada, kind, f"arn:aws:iam::aws:policy/given/../{arns[1]}")
    assert attached(iam, kind) == (arns[:1] if way is attach else arns[1:])


@pytest.mark.parametrize("kind", ["user", "role"])
@pytest.mark.parametrize("way", [attach, detach])
def test_attachment_supplies_the_boundary_key(
    iam: Client, server: Running, client_for: Callable[..., Client], kind: str, way: Callable[..., None]
) -> None:
    """K-33: `iam:PermissionsBoundary` limits the entities by their boundary."""
    boundary, arn = make(iam, "Boundary"), make(iam, "Reader")
    bounded: list[dict[str, Any]] = [{"name": "bounded", "boundary": "Boundary"}, {"name": "free"}]
    for holder in bounded if way is detach else ():
        holder["attached"] = ["Reader"]
    prepare(server, **{f"{kind}s": bounded})
    action = f"iam:{way.__name__.capitalize()}{kind.capitalize()}Policy"
    ada = client_for("ada", allow(action, StringEquals={"iam:PermissionsBoundary": boundary}))
    way(ada, kind, arn, "bounded")
    with refusal("AccessDenied", action):
        way(ada, kind, arn, "free")
    assert attached(iam, kind, "free") == ([] if way is attach else [arn])
    assert attached(iam, kind, "bounded") == ([arn] if way is attach else [])


# --- entities with a policy --------------------------------------------------------------------------------------

EVERYBODY = {"PolicyGroups": ["team"], "PolicyRoles": ["app", "bounded"], "PolicyUsers": ["ada", "Both"]}


@pytest.fixture
def arn(iam: Client, server: Running) -> str:
    """A policy that is attached to some entities, bounds some, and both for one."""
    found = make(iam, "Reader")
    has: dict[str, Any] = {"attached": ["Reader"]}
    prepare(
        server,
        groups=[{"name": "team", **has}, {"name": "others"}],
        users=[{"name": "ada", "path": "/x/", **has}, {"name": "Both", "boundary": "Reader", **has}, {"name": "none"}],
        roles=[{"name": "bounded", "path": "/x/", "boundary": "Reader"}, {"name": "app", **has}],
    )
    return found


def entities(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {
        f"Policy{word}s": [each[f"{word}Name"] for each in answer[f"Policy{word}s"]]
        for word in ("Group", "Role", "User")
        if answer[f"Policy{word}s"]
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, EVERYBODY),
        ({"EntityFilter": "User"}, {"PolicyUsers": ["ada", "Both"]}),
        ({"EntityFilter": "Group"}, {"PolicyGroups": ["team"]}),
        ({"EntityFilter": "Role"}, {"PolicyRoles": ["app", "bounded"]}),
        ({"EntityFilter": "LocalManagedPolicy"}, {}),
        ({"EntityFilter": "AWSManagedPolicy"}, {}),
        ({"PathPrefix": "/"}, EVERYBODY),
        ({"PathPrefix": "/x/"}, {"PolicyUsers": ["ada"], "PolicyRoles": ["bounded"]}),
        (
            {"PolicyUsageFilter": "PermissionsPolicy"},
            {"PolicyGroups": ["team"], "PolicyRoles": ["app"], "PolicyUsers": ["ada", "Both"]},
        ),
        ({"PolicyUsageFilter": "PermissionsBoundary"}, {"PolicyRoles": ["bounded"], "PolicyUsers": ["Both"]}),
        ({"PolicyUsageFilter": "PermissionsBoundary", "EntityFilter": "Group"}, {}),
    ],
)
def test_policy_entities_match_the_filters(
    iam: Client, arn: str, parameters: dict[str, str], expected: dict[str, list[str]]
) -> None:
    """An entity that uses the policy in both ways is listed once."""
    assert entities(iam.list_entities_for_policy(PolicyArn=arn, **parameters)) == expected


def test_policy_entities_have_ids(iam: Client, arn: str) -> None:
    """Names can be reused."""
    answer = iam.list_entities_for_policy(PolicyArn=arn)
    ids = [answer["PolicyGroups"][0]["GroupId"], answer["PolicyRoles"][0]["RoleId"], answer["PolicyUsers"][0]["UserId"]]
    assert [id[:4] for id in ids] == ["AGPA", "AROA", "AIDA"]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_policy_entities_are_paged_across_kinds(iam: Client, arn: str, size: int) -> None:
    """Groups, roles and users, each once, in full pages."""
    pages = list(
        iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": size})
    )
    found: dict[str, list[str]] = {}
    for page in pages:
        for member, names in entities(page).items():
            found.setdefault(member, []).extend(names)
    assert found == EVERYBODY
    assert [sum(map(len, entities(page).values())) for page in pages[:-1]] == [size] * (len(pages) - 1)


def test_policy_entities_are_of_the_own_account(iam: Client, server: Running) -> None:
    """Another account's use of an AWS policy is not listed."""
    prepare(
        server, OTHER_ACCOUNT, users=[{"name": "spy", "attached": ["ReadOnlyAccess"], "boundary": "ReadOnlyAccess"}]
    )
    assert entities(iam.list_entities_for_policy(PolicyArn=READ_ONLY)) == {}
    assert iam.get_policy(PolicyArn=READ_ONLY)["Policy"]["AttachmentCount"] == 0

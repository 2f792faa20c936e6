"""Tags of all entities that have them (G-79)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.api.conftest import ACCOUNT, Client, allow, refusal
from tests.api.iam.identity_parts import EC2, metadata, trusting


class Tagged(NamedTuple):
    """A kind of taggable entity: its name in operations, how to create it, and how calls name it."""

    word: str
    create: str
    made_with: dict[str, Any]
    named: dict[str, str]
    absent: dict[str, str]

    def call(self, iam: Client, verb: str, **parameters: Any) -> Any:
        return getattr(iam, f"{verb}_{self.word}{'_tags' if verb == 'list' else ''}")(**self.named, **parameters)

    def make(self, iam: Client, **parameters: Any) -> None:
        getattr(iam, self.create)(**self.made_with, **parameters)

    def tags(self, iam: Client) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.call(iam, "list")["Tags"]}


def arn(resource: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{resource}"


TAGGED = [
    Tagged("user", "create_user", {"UserName": "x"}, {"UserName": "x"}, {"UserName": "absent"}),
    Tagged(
        "role",
        "create_role",
        {"RoleName": "x", "AssumeRolePolicyDocument": trusting(EC2)},
        {"RoleName": "x"},
        {"RoleName": "absent"},
    ),
    Tagged(
        "instance_profile",
        "create_instance_profile",
        {"InstanceProfileName": "x"},
        {"InstanceProfileName": "x"},
        {"InstanceProfileName": "absent"},
    ),
    Tagged(
        "saml_provider",
        "create_saml_provider",
        {"Name": "x", "SAMLMetadataDocument": metadata()},
        {"SAMLProviderArn": arn("saml-provider/x")},
        {"SAMLProviderArn": arn("saml-provider/absent")},
    ),
    Tagged(
        "open_id_connect_provider",
        "create_open_id_connect_provider",
        {"Url": "https://id.example.com"},
        {"OpenIDConnectProviderArn": arn("oidc-provider/id.example.com")},
        {"OpenIDConnectProviderArn": arn("oidc-provider/absent")},
    ),
]

tagged = pytest.mark.parametrize("thing", TAGGED, ids=lambda thing: thing.word)


def listed(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@tagged
def test_tags_are_added_replaced_and_removed(thing: Tagged, iam: Client) -> None:
    """An empty value is valid; removing a missing key is no error."""
    thing.make(iam, Tags=listed(b="1", a=""))
    assert thing.call(iam, "list") | {"ResponseMetadata": 0} == {
        "Tags": listed(a="", b="1"),
        "IsTruncated": False,
        "ResponseMetadata": 0,
    }
    thing.call(iam, "tag", Tags=listed(b="2", c="3"))
    assert thing.tags(iam) == {"a": "", "b": "2", "c": "3"}
    thing.call(iam, "untag", TagKeys=["a", "nothing", "C"])
    assert thing.tags(iam) == {"b": "2"}
    thing.call(iam, "untag", TagKeys=["b"])
    assert thing.tags(iam) == {}


@tagged
def test_tag_keys_are_case_insensitive(thing: Tagged, iam: Client) -> None:
    """Another letter case replaces; duplicates in one call are rejected."""
    thing.make(iam, Tags=listed(Team="a"))
    thing.call(iam, "tag", Tags=listed(TEAM="b"))
    assert thing.tags(iam) == {"TEAM": "b"}
    with refusal("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.", 400):
        thing.call(iam, "tag", Tags=listed(x="1", X="2"))
    assert thing.tags(iam) == {"TEAM": "b"}


@tagged
def test_invalid_tags_create_nothing(thing: Tagged, iam: Client) -> None:
    """The entity can be created afterwards."""
    for tags in (listed(a="1", A="1"), [{"Key": "aws:x", "Value": "1"}], [{"Key": "AWS:x", "Value": "1"}]):
        with refusal("InvalidInput"):
            thing.make(iam, Tags=tags)
    thing.make(iam)
    assert thing.tags(iam) == {}


@tagged
def test_system_tags_are_rejected(thing: Tagged, iam: Client) -> None:
    """Keys with `aws:`, in any letter case, are neither set nor removed."""
    thing.make(iam)
    sentence = "System tags cannot be added, updated or deleted by a customer."
    with refusal("InvalidInput", sentence):
        thing.call(iam, "tag", Tags=[{"Key": "aws:x", "Value": ""}])
    with refusal("InvalidInput", sentence):
        thing.call(iam, "untag", TagKeys=["Aws:x"])


@tagged
def test_tag_quota_is_enforced(thing: Tagged, iam: Client) -> None:
    """G-77: fifty."""
    thing.make(iam, Tags=listed(**{f"k{number}": "" for number in range(50)}))
    thing.call(iam, "tag", Tags=listed(K1="other"))
    with refusal("LimitExceeded", "The number of tags has reached the maximum limit.", 409):
        thing.call(iam, "tag", Tags=listed(one_more=""))
    assert len(thing.tags(iam)) == 50


LONG = "語" * 127


@tagged
def test_tags_are_paged(thing: Tagged, iam: Client) -> None:
    """Sorted by key; the marker fits 320 characters, however long the keys."""
    keys = sorted(["a", "b", "Z", *(LONG + last for last in "abc"), "語" * 48])
    thing.make(iam, Tags=listed(**dict.fromkeys(keys, "")))
    found: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = thing.call(iam, "list", MaxItems=1, **more)
        found += [tag["Key"] for tag in page["Tags"]]
        if not page["IsTruncated"]:
            break
        more = {"Marker": page["Marker"]}
    assert sorted(found) == keys
    assert [key for key in found if len(key) < 128] == [key for key in keys if len(key) < 128]


@tagged
def test_tags_of_a_missing_entity_are_not_found(thing: Tagged, iam: Client) -> None:
    """By each of the three operations."""
    absent = thing._replace(named=thing.absent)
    for verb, parameters in (("list", {}), ("tag", {"Tags": listed(a="")}), ("untag", {"TagKeys": ["a"]})):
        with refusal("NoSuchEntity", status=404):
            absent.call(iam, verb, **parameters)


@tagged
def test_tags_are_condition_keys(thing: Tagged, iam: Client, client_for: Callable[..., Client]) -> None:
    """`aws:ResourceTag` of the entity, `aws:RequestTag` and `aws:TagKeys` of the call."""
    thing.make(iam, Tags=listed(team="a"))
    own = {"StringEquals": {"aws:ResourceTag/team": "a"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["color"]}}
    member = client_for("member", allow(["iam:Tag*", "iam:Untag*"], **own))
    thing.call(member, "tag", Tags=listed(color="red"))
    thing.call(member, "untag", TagKeys=["color"])
    with refusal("AccessDenied"):
        thing.call(member, "tag", Tags=listed(team="b"))
    with refusal("AccessDenied"):
        thing.call(member, "untag", TagKeys=["team"])
    thing.call(iam, "tag", Tags=listed(team="b"))
    with refusal("AccessDenied"):
        thing.call(member, "tag", Tags=listed(color="red"))


@tagged
def test_creation_with_tags_needs_tag_permission(thing: Tagged, client_for: Callable[..., Client]) -> None:
    """Only if there are tags."""
    maker = client_for("maker", allow("iam:Create*"))
    with refusal("AccessDenied", "to perform: iam:Tag"):
        thing.make(maker, Tags=listed(a="1"))
    thing.make(maker)

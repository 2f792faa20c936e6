"""Common behaviour of users, groups, roles, instance profiles and identity providers: names, pages, accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from iam_guard.store import quotas
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import EC2, trusting, unvalidated


class Thing(NamedTuple):
    """A kind of entity with name and path: how to create, get, list and delete it."""

    kind: str
    word: str
    plural: str
    more: dict[str, Any]

    @property
    def member(self) -> str:
        return f"{self.word}Name"

    def create(self, iam: Client, name: str, **parameters: Any) -> dict[str, Any]:
        made: dict[str, Any] = getattr(iam, f"create_{self.kind}")(**{self.member: name}, **self.more, **parameters)
        return made[self.word]

    def get(self, iam: Client, name: str) -> dict[str, Any]:
        found: dict[str, Any] = getattr(iam, f"get_{self.kind}")(**{self.member: name})
        return found[self.word]

    def delete(self, iam: Client, name: str) -> None:
        getattr(iam, f"delete_{self.kind}")(**{self.member: name})

    def page(self, iam: Client, **parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = getattr(iam, f"list_{self.kind}s")(**parameters)
        return found

    def names(self, iam: Client, **parameters: Any) -> list[str]:
        return [each[self.member] for each in self.page(iam, **parameters)[self.plural]]


USER = Thing("user", "User", "Users", {})
GROUP = Thing("group", "Group", "Groups", {})
ROLE = Thing("role", "Role", "Roles", {"AssumeRolePolicyDocument": trusting(EC2)})
PROFILE = Thing("instance_profile", "InstanceProfile", "InstanceProfiles", {})

things = pytest.mark.parametrize("thing", [USER, GROUP, ROLE, PROFILE], ids=lambda thing: thing.kind)


@things
def test_entity_is_found_in_any_letter_case(thing: Thing, iam: Client) -> None:
    """P-1, P-4, P-16: ARN with path, unique id with its prefix; names are case-insensitive."""
    made = thing.create(iam, "Some.Name", Path="/a/b/")
    found = thing.get(iam, "some.NAME")
    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:{thing.kind.replace('_', '-')}/a/b/Some.Name"
    assert {name: found[name] for name in made} == made
    prefix = {"user": "AIDA", "group": "AGPA", "role": "AROA", "instance_profile": "AIPA"}[thing.kind]
    assert found[f"{thing.word}Id"].startswith(prefix)
    assert len(found[f"{thing.word}Id"]) == 21


@things
def test_entity_names_are_unique_in_any_letter_case(thing: Thing, iam: Client) -> None:
    """G-78."""
    thing.create(iam, "taken")
    with refusal("EntityAlreadyExists", "TAKEN already exists.", 409):
        thing.create(iam, "TAKEN", Path="/elsewhere/")
    assert thing.names(iam).count("taken") == 1


@things
def test_deleted_entity_is_not_found(thing: Thing, iam: Client) -> None:
    """Deleting a deleted or unknown entity has AWS's different messages."""
    thing.create(iam, "brief")
    thing.delete(iam, "BRIEF")
    word = "Instance Profile brief" if thing is PROFILE else f"The {thing.kind} with name brief"
    for use in (thing.get, thing.delete):
        with refusal("NoSuchEntity", f"{word} cannot be found.", 404):
            use(iam, "brief")


@things
def test_recreated_entity_has_a_new_id(thing: Thing, iam: Client) -> None:
    """P-6."""
    first = thing.create(iam, "again")
    thing.delete(iam, "again")
    assert thing.create(iam, "again")[f"{thing.word}Id"] != first[f"{thing.word}Id"]


@things
def test_entities_of_other_accounts_are_unreachable(thing: Thing, iam: Client, other_account: Client) -> None:
    """A name in another account is neither taken nor found."""
    thing.create(other_account, "theirs")
    assert "theirs" not in thing.names(iam)
    with refusal("NoSuchEntity"):
        thing.get(iam, "theirs")
    with refusal("NoSuchEntity"):
        thing.delete(iam, "theirs")
    thing.create(iam, "theirs")
    thing.delete(iam, "theirs")
    assert thing.get(other_account, "theirs")


@things
def test_entity_pages_are_sorted_and_survive_writes(thing: Thing, iam: Client) -> None:
    """Writes between pages don't move existing entries."""
    for name in ("B", "d", "a", "c", "E"):
        thing.create(iam, name, Path="/p/")
    page = thing.page(iam, MaxItems=2, PathPrefix="/p/")
    assert [each[thing.member] for each in page[thing.plural]] == ["a", "B"]
    assert page["IsTruncated"] is True
    thing.delete(iam, "B")
    thing.create(iam, "Aa", Path="/p/")
    thing.create(iam, "ca", Path="/p/")
    rest: list[str] = []
    while page["IsTruncated"]:
        page = thing.page(iam, MaxItems=2, PathPrefix="/p/", Marker=page["Marker"])
        rest += [each[thing.member] for each in page[thing.plural]]
    assert rest == ["c", "ca", "d", "E"]
    assert "Marker" not in page


@things
@pytest.mark.parametrize("marker", ["x", "W10", "WyJhIiwiYiJd", "bnVsbA", "ÿ", "{}"])
def test_invalid_marker_is_rejected(thing: Thing, marker: str, iam: Client) -> None:
    """With AWS's code, not an internal failure."""
    with refusal("ValidationError", "Invalid Marker.", 400):
        thing.page(iam, Marker=marker)


@things
@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("/", {"root", "x1", "x2", "other"}), ("/x/", {"x1", "x2"}), ("/x/y", {"x2"}), ("/X/", set()), ("/%/", set())],
)
def test_path_prefix_is_no_pattern(thing: Thing, prefix: str, expected: set[str], iam: Client) -> None:
    """It is case-sensitive, and `_` and `%` are plain characters."""
    for name, path in (("root", "/"), ("x1", "/x/"), ("x2", "/x/y/"), ("other", "/_/")):
        thing.create(iam, name, Path=path)
    assert set(thing.names(iam, PathPrefix=prefix)) - {"admin"} == expected


@things
def test_entity_quota_is_enforced(thing: Thing, iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-77: AWS's message names the quota."""
    monkeypatch.setitem(quotas.QUOTAS, f"{thing.kind.replace('_', ' ')}s per account", 2)
    with refusal("LimitExceeded", f"Cannot exceed quota for {thing.word}sPerAccount: 2", 409):
        for name in ("q1", "q2", "q3"):
            thing.create(iam, name)


ODD_NAMES = ["", "a b", "a/b", "ä", "a'b", 'a"; DROP TABLE identities; --', "a%00b", "<x>", "x" * 129, "a\nb"]


@things
@pytest.mark.parametrize("name", ODD_NAMES)
def test_malformed_names_are_rejected_by_the_model(thing: Thing, name: str, server: Running) -> None:
    """G-78: ValidationError, whatever the caller's permissions."""
    client = unvalidated(server)
    for use in (thing.create, thing.get, thing.delete):
        with refusal("ValidationError", "validation error", 400):
            use(client, name)


@pytest.mark.parametrize("thing", [USER, GROUP], ids=lambda thing: thing.kind)
def test_renamed_entity_keeps_its_id(thing: Thing, iam: Client) -> None:
    """P-10: another ARN with the same id; the letter case alone may change too."""
    rename: Callable[..., Any] = getattr(iam, f"update_{thing.kind}")
    id = thing.create(iam, "before", Path="/p/")[f"{thing.word}Id"]
    rename(**{thing.member: "before", f"New{thing.member}": "After"})
    rename(**{thing.member: "after", "NewPath": "/q/"})
    rename(**{thing.member: "after", f"New{thing.member}": "AFTER"})
    found = thing.get(iam, "after")
    assert (found[f"{thing.word}Id"], found["Arn"]) == (id, f"arn:aws:iam::{ACCOUNT}:{thing.kind}/q/AFTER")
    with refusal("NoSuchEntity"):
        thing.get(iam, "before")


@pytest.mark.parametrize("thing", [USER, GROUP], ids=lambda thing: thing.kind)
def test_new_name_must_be_free(thing: Thing, iam: Client) -> None:
    """G-78."""
    thing.create(iam, "one")
    thing.create(iam, "two")
    rename: Callable[..., Any] = getattr(iam, f"update_{thing.kind}")
    with refusal("EntityAlreadyExists", f"{thing.word} with name TWO already exists.", 409):
        rename(**{thing.member: "one", f"New{thing.member}": "TWO"})
    with refusal("NoSuchEntity"):
        rename(**{thing.member: "three", f"New{thing.member}": "four"})


@pytest.mark.parametrize("thing", [USER, GROUP], ids=lambda thing: thing.kind)
def test_renaming_is_authorized_on_both_arns(thing: Thing, iam: Client, client_for: Callable[..., Client]) -> None:
    """UpdateUser and UpdateGroup need the old and the new ARN."""
    thing.create(iam, "old")
    start = f"arn:aws:iam::{ACCOUNT}:{thing.kind}/"
    one = client_for("one", allow(f"iam:Update{thing.word}", [start + "old"]))
    both = client_for("both", allow(f"iam:Update{thing.word}", [start + "old", start + "new"]))
    parameters = {thing.member: "old", f"New{thing.member}": "new"}
    with refusal("AccessDenied", f"iam:Update{thing.word} on resource: {start}new"):
        getattr(one, f"update_{thing.kind}")(**parameters)
    getattr(both, f"update_{thing.kind}")(**parameters)
    assert thing.get(iam, "new")

"""What users, groups, roles, instance profiles and identity providers have in common: names, pages, accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from iam_guard.store import quotas
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import EC2, trusting, unchecked


class Thing(NamedTuple):
    """A kind of entity with name and path: how it is made, got, listed and deleted."""

    kind: str
    word: str
    plural: str
    more: dict[str, Any]

    @property
    def member(self) -> str:
        return f"{self.word}Name"

    def create(self, iam: Client, name: str, **given: Any) -> dict[str, Any]:
        made: dict[str, Any] = getattr(iam, f"create_{self.kind}")(**{self.member: name}, **self.more, **given)
        return made[self.word]

    def get(self, iam: Client, name: str) -> dict[str, Any]:
        found: dict[str, Any] = getattr(iam, f"get_{self.kind}")(**{self.member: name})
        return found[self.word]

    def delete(self, iam: Client, name: str) -> None:
        getattr(iam, f"delete_{self.kind}")(**{self.member: name})

    def page(self, iam: Client, **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = getattr(iam, f"list_{self.kind}s")(**given)
        return found

    def names(self, iam: Client, **given: Any) -> list[str]:
        return [each[self.member] for each in self.page(iam, **given)[self.plural]]


USER = Thing("user", "User", "Users", {})
GROUP = Thing("group", "Group", "Groups", {})
ROLE = Thing("role", "Role", "Roles", {"AssumeRolePolicyDocument": trusting(EC2)})
PROFILE = Thing("instance_profile", "InstanceProfile", "InstanceProfiles", {})

things = pytest.mark.parametrize("thing", [USER, GROUP, ROLE, PROFILE], ids=lambda thing: thing.kind)


@things
def test_what_was_made_is_found_in_any_letter_case(thing: Thing, iam: Client) -> None:
    """P-1, P-4, P-16: ARN with path, unique id with its prefix; names are found without regard to case."""
    made = thing.create(iam, "Some.Name", Path="/a/b/")
    found = thing.get(iam, "some.NAME")
    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:{thing.kind.replace('_', '-')}/a/b/Some.Name"
    assert {name: found[name] for name in made} == made
    prefix = {"user": "AIDA", "group": "AGPA", "role": "AROA", "instance_profile": "AIPA"}[thing.kind]
    assert found[f"{thing.word}Id"].startswith(prefix)
    assert len(found[f"{thing.word}Id"]) == 21


@things
def test_a_name_is_taken_in_every_letter_case(thing: Thing, iam: Client) -> None:
    """G-78: names are unique in the account without regard to case."""
    thing.create(iam, "taken")
    with refusal("EntityAlreadyExists", "TAKEN already exists.", 409):
        thing.create(iam, "TAKEN", Path="/elsewhere/")
    assert thing.names(iam).count("taken") == 1


@things
def test_what_is_gone_is_not_found(thing: Thing, iam: Client) -> None:
    """A deleted entity is gone, and one that never was cannot be deleted; AWS's sentences differ."""
    thing.create(iam, "brief")
    thing.delete(iam, "BRIEF")
    word = "Instance Profile brief" if thing is PROFILE else f"The {thing.kind} with name brief"
    for use in (thing.get, thing.delete):
        with refusal("NoSuchEntity", f"{word} cannot be found.", 404):
            use(iam, "brief")


@things
def test_the_same_name_again_is_somebody_else(thing: Thing, iam: Client) -> None:
    """P-6: a re-created entity has a new unique id."""
    first = thing.create(iam, "again")
    thing.delete(iam, "again")
    assert thing.create(iam, "again")[f"{thing.word}Id"] != first[f"{thing.word}Id"]


@things
def test_other_accounts_are_out_of_reach(thing: Thing, iam: Client, other_account: Client) -> None:
    """The caller's account is the one operated on: a name of another account is neither taken nor found."""
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
def test_pages_come_in_order_and_survive_changes(thing: Thing, iam: Client) -> None:
    """Markers are opaque; what is made or deleted between two pages moves nothing that was there before."""
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
def test_a_marker_of_nobody_is_refused(thing: Thing, marker: str, iam: Client) -> None:
    """What is no marker of ours gives AWS's code and no internal failure."""
    with refusal("ValidationError", "Invalid Marker.", 400):
        thing.page(iam, Marker=marker)


@things
@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("/", {"root", "x1", "x2", "other"}), ("/x/", {"x1", "x2"}), ("/x/y", {"x2"}), ("/X/", set()), ("/%/", set())],
)
def test_a_path_prefix_is_a_prefix_and_no_pattern(thing: Thing, prefix: str, expected: set[str], iam: Client) -> None:
    """Lists below a path compare letter by letter, and `_` and `%` are characters."""
    for name, path in (("root", "/"), ("x1", "/x/"), ("x2", "/x/y/"), ("other", "/_/")):
        thing.create(iam, name, Path=path)
    assert set(thing.names(iam, PathPrefix=prefix)) - {"admin"} == expected


@things
def test_a_quota_is_kept(thing: Thing, iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-77: AWS's sentence names the quota."""
    monkeypatch.setitem(quotas.QUOTAS, f"{thing.kind.replace('_', ' ')}s per account", 2)
    with refusal("LimitExceeded", f"Cannot exceed quota for {thing.word}sPerAccount: 2", 409):
        for name in ("q1", "q2", "q3"):
            thing.create(iam, name)


ODD_NAMES = ["", "a b", "a/b", "ä", "a'b", 'a"; DROP TABLE identities; --', "a%00b", "<x>", "x" * 129, "a\nb"]


@things
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_refused_by_the_model(thing: Thing, name: str, server: Running) -> None:
    """G-78: a name that is none is a ValidationError, whoever asks for what."""
    client = unchecked(server)
    for use in (thing.create, thing.get, thing.delete):
        with refusal("ValidationError", "validation error", 400):
            use(client, name)


@pytest.mark.parametrize("thing", [USER, GROUP], ids=lambda thing: thing.kind)
def test_renaming_keeps_the_unique_id(thing: Thing, iam: Client) -> None:
    """P-10: a new name or path is a new ARN and the same id; the letter case alone may change too."""
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
def test_a_new_name_must_be_free(thing: Thing, iam: Client) -> None:
    """G-78."""
    thing.create(iam, "one")
    thing.create(iam, "two")
    rename: Callable[..., Any] = getattr(iam, f"update_{thing.kind}")
    with refusal("EntityAlreadyExists", f"{thing.word} with name TWO already exists.", 409):
        rename(**{thing.member: "one", f"New{thing.member}": "TWO"})
    with refusal("NoSuchEntity"):
        rename(**{thing.member: "three", f"New{thing.member}": "four"})


@pytest.mark.parametrize("thing", [USER, GROUP], ids=lambda thing: thing.kind)
def test_renaming_takes_permission_for_both_names(thing: Thing, iam: Client, client_for: Callable[..., Client]) -> None:
    """UpdateUser and UpdateGroup are decided on the old ARN and on the new one."""
    thing.create(iam, "old")
    start = f"arn:aws:iam::{ACCOUNT}:{thing.kind}/"
    one = client_for("one", allow(f"iam:Update{thing.word}", [start + "old"]))
    both = client_for("both", allow(f"iam:Update{thing.word}", [start + "old", start + "new"]))
    given = {thing.member: "old", f"New{thing.member}": "new"}
    with refusal("AccessDenied", f"iam:Update{thing.word} on resource: {start}new"):
        getattr(one, f"update_{thing.kind}")(**given)
    getattr(both, f"update_{thing.kind}")(**given)
    assert thing.get(iam, "new")

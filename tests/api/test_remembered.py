"""Every cache agrees with the store at the state that it names (T-9).

API operations run one after the other through one of several caches over one store, or behind the back of all of them.
The caches read the change feed at any time, or never; rows of the feed are lost, and the store is restored to an
earlier state. After each step, all that each cache would answer is compared with what the store answered at that epoch.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.administration.api_keys import ApiKeys
from iam_guard.api.call import ApiServer
from iam_guard.api.iam.operations import IAM
from iam_guard.api.operation import OperationRequest, run
from iam_guard.errors import IamGuardError
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.result import NoChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.cache.cache_regions import ABSENT
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import State
from iam_guard.store.database.engine import writing
from iam_guard.store.opening import create_store
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.protocol import ResourceRecord
from iam_guard.store.schema import (
    access_keys,
    accounts,
    api_keys,
    changes,
    control_attachments,
    control_policies,
    identities,
    meta,
    organizations,
    placements,
    units,
)
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from iam_guard.store.sql_store import SqlStore

ACCOUNT = "111122223333"
HERE = f"arn:aws:iam::{ACCOUNT}"
ROOT = Principal.from_arn(f"{HERE}:root", userid=ACCOUNT)
SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    name: acme
    users: [{{name: u0, groups: [g0]}}, {{name: u1}}]
    groups: [{{name: g0}}]
    roles: [{{name: r0, trust: {{Version: "2012-10-17", Statement: [
      {{Effect: Allow, Principal: {{AWS: "{ACCOUNT}"}}, Action: "sts:AssumeRole"}}]}}}}]
    policies: [{{name: p0, document: {{Version: "2012-10-17", Statement: [
      {{Effect: Allow, Action: "docs:*", Resource: "*"}}]}}}}]
"""
RESOURCES = [f"arn:aws:docs:us-east-1:{ACCOUNT}:document/{n}" for n in range(2)]
PLACED = "222233334444"
UNITS = ["r-1", "ou-1"]
NAMES = {"User": ["u0", "u1", "u2"], "Group": ["g0", "g1"], "Role": ["r0", "r1"]}


def document(n: int, **principal: Any) -> str:
    statement = {"Effect": "Allow", "Action": f"docs:Do{n}", **principal}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{**statement, **({} if principal else {"Resource": "*"})}]}
    )


TRUST = document(0, Principal={"AWS": ACCOUNT}).replace("docs:Do0", "sts:AssumeRole")
TAKEN_AWAY = ("Delete", "Detach", "Remove", "Untag")


def choices() -> list[tuple[str, dict[str, Any]]]:
    """All operations that are tried, with parameters."""
    found: list[tuple[str, dict[str, Any]]] = []
    for kind, names in NAMES.items():
        for name in names:
            it = {f"{kind}Name": name}
            trust = {"AssumeRolePolicyDocument": TRUST} if kind == "Role" else {}
            found += [(f"Create{kind}", it | trust), (f"Delete{kind}", it)]
            for n in range(2):
                arn = {"PolicyArn": f"{HERE}:policy/p{n}"}
                found += [(f"Attach{kind}Policy", it | arn), (f"Detach{kind}Policy", it | arn)]
                found.append((f"Put{kind}Policy", it | {"PolicyName": "inline", "PolicyDocument": document(n)}))
            found.append((f"Delete{kind}Policy", it | {"PolicyName": "inline"}))
            if kind != "Group":
                boundary = {"PermissionsBoundary": f"{HERE}:policy/p0"}
                found += [(f"Put{kind}PermissionsBoundary", it | boundary), (f"Delete{kind}PermissionsBoundary", it)]
                found += [(f"Tag{kind}", it | {"Tags": [{"Key": "team", "Value": "docs"}]})]
                found += [(f"Untag{kind}", it | {"TagKeys": ["team"]})]
    for name in NAMES["User"]:
        it = {"UserName": name}
        found += [("CreateAccessKey", it)]
        found += [("CreateLoginProfile", it | {"Password": "S3cret-and-long!"}), ("DeleteLoginProfile", it)]
        found += [("UpdateUser", it | {"NewUserName": new}) for new in NAMES["User"] if new != name]
        found += [("UpdateUser", it | {"NewPath": "/team/"})]
        for group in NAMES["Group"]:
            found += [("AddUserToGroup", it | {"GroupName": group}), ("RemoveUserFromGroup", it | {"GroupName": group})]
    for n in range(2):
        arn = {"PolicyArn": f"{HERE}:policy/p{n}"}
        found += [("CreatePolicy", {"PolicyName": f"p{n}", "PolicyDocument": document(n)}), ("DeletePolicy", arn)]
        for is_default in (True, False):
            new = {"PolicyDocument": document(7 + n), "SetAsDefault": is_default}
            found.append(("CreatePolicyVersion", arn | new))
        for version in ("v1", "v2"):
            found.append(("SetDefaultPolicyVersion", arn | {"VersionId": version}))
            found.append(("DeletePolicyVersion", arn | {"VersionId": version}))
    return [*found, ("CreateAccountAlias", {"AccountAlias": "acme"}), ("DeleteAccountAlias", {"AccountAlias": "acme"})]


def plain(answer: Any) -> Any:
    """Return an answer without the epoch that it was loaded at; resources without a record share one without ARN."""
    if isinstance(answer, ResourceRecord):
        return replace(answer, epoch=0, arn="")
    return replace(answer, epoch=0) if hasattr(answer, "epoch") else answer


@dataclass
class World:
    """A store, caches over it, and all principals and keys that ever existed."""

    behind: SqlStore
    snapshot: Snapshot
    caches: list[CachedStore] = field(default_factory=list)
    ids: dict[str, tuple[str, str]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=lambda: {"AKIANEVERTHERE000000"})
    api_keys: set[str] = field(default_factory=lambda: {"NEVERTHERE"})
    answers: dict[State, dict[tuple[str, Any], Any]] = field(default_factory=dict)
    absent: int = 0
    """How often a cache knew that a resource has no record."""

    @property
    def cached(self) -> CachedStore:
        """The cache that most changes go through."""
        return self.caches[0]

    def begin(self) -> None:
        self.snapshot.restore()
        self.caches = [CachedStore(self.behind, Settings(epoch_poll=1e9, cache_size=1000)) for _ in range(3)]
        self.ids.clear()
        self.answers.clear()
        self.compare()

    def run(self, operation: str, parameters: dict[str, Any], store: Any = None) -> None:
        with suppress(IamGuardError):  # what is refused changes nothing
            request = OperationRequest(
                ApiServer(store or self.cached), IAM, operation, parameters, ROOT, now=1_800_000_000
            )
            run(request, lambda permission: None)

    def compare(self) -> None:
        """Compare the caches with the store; the first one also has to answer what it has not cached."""
        with self.behind.read_transaction() as records:
            for row in records.all(identities):
                self.ids[row["id"]] = (row["kind"], row["name"])
            self.keys |= {row["id"] for row in records.all(access_keys)}
            self.api_keys |= {row["id"] for row in records.all(api_keys)}
        state = self.behind.changes(None).state
        expected = {(kind, key): plain(getattr(self.behind, kind)(*key)) for kind, key in self.questions()}
        self.answers[state] = expected
        for number, cache in enumerate(self.caches):
            known = cache.state()
            assert number or known == state
            for (kind, key), answer in self.answers[known].items():
                found = cache._regions[kind].get(key[0] if key else "")
                assert found is ABSENT or plain(found) == answer, (kind, key)
                if kind == "resource" and (absent := cache._arns.absent_for(*key)) is not None:
                    assert plain(absent) == answer, key
                    self.absent += 1
                if known == state:
                    assert plain(getattr(cache, kind)(*key)) == answer, (kind, key)

    def questions(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        yield "certificate_trust", ()
        for kind, keys in (("access_key", self.keys), ("api_key", self.api_keys)):
            yield from ((kind, (key,)) for key in sorted(keys))
        yield from (("principal", (principal,)) for principal in self.principals())
        yield from (("account", (id,)) for id in (ACCOUNT, PLACED, "444455556666"))
        yield from (("resource", (arn,)) for arn in RESOURCES)

    def principals(self) -> Iterator[Principal]:
        yield ROOT
        for name in NAMES["User"]:
            for path in ("/", "/team/"):
                yield Principal.from_arn(f"{HERE}:user{path}{name}")
                yield Principal(
                    PrincipalType.FEDERATED_USER,
                    f"arn:aws:sts::{ACCOUNT}:federated-user/{name}-app",
                    ACCOUNT,
                    userid=f"{ACCOUNT}:{name}-app",
                    user_arn=f"{HERE}:user{path}{name}",
                )
        for name in NAMES["Role"]:
            yield Principal.from_arn(
                f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/friday", role_arn=f"{HERE}:role/{name}"
            )
        for id, (kind, name) in sorted(self.ids.items()):
            if kind == "user":
                yield Principal.from_arn(f"{HERE}:user/{name}", userid=id)
            elif kind == "role":
                session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/friday"
                yield Principal.from_arn(session, role_arn=f"{HERE}:role/{name}", userid=f"{id}:friday")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    store = create_store("sqlite://", Settings())
    assert isinstance(store, SqlStore)
    apply_seed(store, load_seed_text(SEED))
    with store.write_transaction() as records:
        records.insert(accounts, id=PLACED, name="placed", created=0)
        records.insert(organizations, id="o-1", management_account=ACCOUNT, scps_enabled=True, rcps_enabled=True)
        records.insert(units, id="r-1", organization_id="o-1", parent_id=None, name="Root", folded="root")
        records.insert(units, id="ou-1", organization_id="o-1", parent_id="r-1", name="Unit", folded="unit")
        records.insert(placements, account=PLACED, unit_id="ou-1")
        policy = {"type": "SCP", "name": "Limit", "folded": "limit", "description": "", "text": "{}", "digest": ""}
        records.insert(control_policies, id="p-1", organization_id="o-1", **policy)
    snapshot = Snapshot(store.engine)
    yield World(store, snapshot)
    snapshot.close()
    store.close()


Step = Callable[[World], None]


def through(operation: str, parameters: dict[str, Any]) -> Step:
    return lambda world: world.run(operation, parameters)


def elsewhere(operation: str, parameters: dict[str, Any]) -> Step:
    """Change something behind the cache; the next change through it reveals the gap."""

    def step(world: World) -> None:
        world.run(operation, parameters, world.behind)
        world.run("CreateUser", {"UserName": f"after-{world.cached.epoch()}"})

    return step


def poll(number: int) -> Step:
    """Let a cache read the change feed."""
    return lambda world: world.caches[number].refresh()


def lose(world: World) -> None:
    """Lose the last change of the feed, as if a version without a feed had written; then all caches poll."""
    world.run("CreateUser", {"UserName": f"lost-{world.cached.epoch()}"}, world.behind)
    epoch = world.behind.epoch()
    with writing(world.behind.engine) as connection:
        connection.execute(changes.delete().where(changes.c.epoch == epoch))
    for cache in world.caches:
        cache.refresh()


def restore(world: World) -> None:
    """Go back to an earlier state, and change something else until the same epoch: another history."""
    before = world.behind.epoch()
    world.snapshot.restore()
    with writing(world.behind.engine) as connection:
        connection.execute(changes.delete())
        connection.execute(meta.update().values(epoch=before - 1))
    world.run("TagUser", {"UserName": "u0", "Tags": [{"Key": "again", "Value": str(before)}]}, world.behind)
    assert world.behind.epoch() == before
    for cache in world.caches:
        cache.refresh()


def organized(what: str, n: int) -> Step:
    """Attach a control policy in one of the two units, change it, or move the account."""

    def step(world: World) -> None:
        with world.cached.write_transaction() as records:
            target = {"policy_id": "p-1", "target": UNITS[n]}
            if what == "policy":
                text = document(n, Resource="*")
                records.update(control_policies, {"text": text, "digest": f"{n}" * 64}, id="p-1")
            elif what == "move":
                records.update(placements, {"unit_id": UNITS[n]}, account=PLACED)
            elif what == "switch":
                records.update(organizations, {"scps_enabled": bool(n)}, id="o-1")
            elif not records.delete(control_attachments, **target):
                records.insert(control_attachments, **target, unit_id=UNITS[n])

    return step


def shared(arn: str, n: int | None) -> Step:
    """Put or delete a resource policy."""

    def step(world: World) -> None:
        policies = ResourcePolicies(world.cached)
        with suppress(IamGuardError):
            if n is None:
                policies.delete(arn)
            else:
                policies.put(arn, document(n, Principal={"AWS": f"{HERE}:user/u{n}"}, Resource=arn))

    return step


def keyed(what: str, n: int) -> Step:
    """Create an API key, or change an existing one."""

    def step(world: World) -> None:
        keys = ApiKeys(world.cached, NoChangeRecorder())
        with suppress(IamGuardError):
            listed = keys.list()
            if what == "create" or not listed:
                keys.create(f"{HERE}:{['user/u0', 'user/u1', 'role/r0'][n]}")
            elif what == "rotate":
                keys.rotate(listed[n % len(listed)].id)
            elif what == "delete":
                keys.delete(listed[n % len(listed)].id)
            else:
                keys.update(listed[n % len(listed)].id, what)

    return step


CHOICES = choices()
STEPS = st.one_of(
    st.sampled_from([1, 2]).map(poll),
    st.sampled_from([lose, restore]),
    st.tuples(st.sampled_from(["policy", "move", "switch", "attach"]), st.integers(0, 1)).map(
        lambda choice: organized(*choice)
    ),
    st.sampled_from(CHOICES).map(lambda choice: through(*choice)),
    st.sampled_from(CHOICES).map(lambda choice: through(*choice)),
    st.sampled_from(CHOICES).map(lambda choice: elsewhere(*choice)),
    st.tuples(st.sampled_from(["create", "rotate", "delete", "Active", "Inactive"]), st.integers(0, 2)).map(
        lambda choice: keyed(*choice)
    ),
    st.tuples(st.sampled_from(RESOURCES), st.sampled_from([0, 1, None])).map(lambda choice: shared(*choice)),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=5, max_size=25))
def test_cache_agrees_with_the_store_after_every_change(world: World, steps: list[Step]) -> None:
    """Every cached answer equals the store's at the state of the cache."""
    world.begin()
    for step in steps:
        step(world)
        world.compare()


def test_no_operation_is_always_rejected(world: World) -> None:
    """Otherwise the test above would prove nothing about it."""
    world.begin()
    order = random.Random(6)
    wanting = {name for name, _ in CHOICES}
    taken_away = [choice for choice in CHOICES if choice[0].startswith(TAKEN_AWAY)]
    for number in range(16):
        among = taken_away if number % 2 else CHOICES
        for name, parameters in order.sample(among, len(among)):
            before = world.cached.epoch()
            world.run(name, parameters)
            if world.cached.epoch() > before and name in wanting:
                wanting.remove(name)
                world.compare()
        if not wanting:
            return
    assert wanting == set()

"""Lists follow the policies of resources in the store: generated policies, callers of every type, each way to join.

Where the tables of the store are in the application's database, they are joined; elsewhere they are read beforehand.
`IAM_GUARD_TEST_FILTER_CASES` scales the number of rounds; a failure names the seed of its round.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Integer, String, create_engine, func, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from iam_guard import Guard, NotFilterable, Principal, Service
from iam_guard.factory import guard_with_store
from iam_guard.model.account import AccountState
from iam_guard.model.principal import PrincipalType
from iam_guard.settings import Settings
from iam_guard.store.database.engine import writing
from iam_guard.store.opening import create_store
from iam_guard.store.policies import resource_statements as statements
from iam_guard.store.schema import accounts, identities, resources
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.store.databases import SEALING_KEY, do_without, find_server

ROUNDS = max(2, int(os.environ.get("IAM_GUARD_TEST_FILTER_CASES", "1000")) // 250)
FIRST = int(os.environ.get("IAM_GUARD_TEST_FILTER_SEED", "1"))
ACME, GLOBEX, INITECH = "111122223333", "444455556666", "777788889999"
ACTION = "docs:GetDocument"
WAYS = ["read", "joined-sqlite", "joined-postgresql"]


class Base(DeclarativeBase):
    pass


class Document(Base):
    __tablename__ = "documents"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    account: Mapped[str] = mapped_column(String(12))
    kind: Mapped[str | None] = mapped_column(String)
    tags: Mapped[Any] = mapped_column(JSON)


class Paper(Base):
    """Its ARN has no account."""

    __tablename__ = "papers"
    name: Mapped[str] = mapped_column(String, primary_key=True)
    account: Mapped[str] = mapped_column(String(12))


DOCUMENTS = [
    {
        "id": number,
        "account": [ACME, ACME, GLOBEX, INITECH][number % 4],
        "kind": ["report", "secret", None][number % 3],
        "tags": [{"team": "red"}, {"team": "blue"}, {}, {"Team": "red"}][number % 5 % 4],
    }
    for number in range(1, 25)
]
PAPERS = [{"name": f"p{number}", "account": [ACME, GLOBEX][number % 2]} for number in range(6)]


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "docs:*", "Resource": "*", **elements}


def policy(*found: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(found)}


def seed_text() -> str:
    """Return the seed as JSON, which is YAML: users with many rights, few and none, and a role in two accounts."""
    red = {"StringEquals": {"aws:ResourceTag/team": "red"}}
    trust = policy({"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:AssumeRole"})
    users = [
        {"name": "all", "inline": {"own": policy(statement())}},
        {"name": "red", "inline": {"own": policy(statement(Condition=red))}},
        {"name": "none"},
        {"name": "bounded", "inline": {"own": policy(statement())}, "boundary": "arn:aws:iam::ACCOUNT:policy/Reports"},
        {"name": "leaver", "inline": {"own": policy(statement())}},
        {"name": "renamed", "inline": {"own": policy(statement())}},
    ]
    reports = {"name": "Reports", "document": policy(statement(Condition={"StringEquals": {"docs:Kind": "report"}}))}
    accounts = [
        {
            "id": account,
            "name": f"a{account}",
            "root": {"email": f"root@a{account}.example"},
            "users": json.loads(json.dumps(users).replace("ACCOUNT", account)),
            "roles": [{"name": "reader", "trust": trust, "inline": {"own": policy(statement())}}],
            "policies": [reports],
        }
        for account in (ACME, GLOBEX)
    ]
    return json.dumps(
        {"version": 1, "accounts": [*accounts, {"id": INITECH, "name": "c", "root": {"email": "c@c.example"}}]}
    )


def declare() -> Service:
    docs = Service("docs")
    docs.resource_type(
        "document",
        "document/{id}",
        model=Document,
        account=Document.account,
        tags=Document.tags,
        keys={"docs:Kind": Document.kind},
    )
    docs.resource_type("paper", "arn:{partition}:docs:::paper/{name}", model=Paper, account=Paper.account)
    return docs


class World:
    """A guard on a store, and a session in the application's database."""

    def __init__(self, store: SqlStore, session: Session, schema: str) -> None:
        apply_seed(store, load_seed_text(seed_text()))
        self.store, self.session = store, session
        settings = Settings(epoch_poll=3600, store_schema=schema)
        self.guard: Guard = guard_with_store(store, settings, services=[declare()])
        self.mappings: Any = self.guard.catalogues[0].mappings
        for model, rows in ((Document, DOCUMENTS), (Paper, PAPERS)):
            session.execute(insert(model), rows)
        session.commit()
        self.rows = {model: session.scalars(select(model)).all() for model in (Document, Paper)}

    def reset(self) -> None:
        """Delete all policies of resources, and bring identities and accounts back."""
        with self.store.write_transaction() as records:
            records.update(accounts, {"state": "active"})
            records.delete(resources)
            records.delete(identities)
        apply_seed(self.store, load_seed_text(seed_text()))
        self.guard.refresh()

    def lists(self, model: Any, principal: Principal) -> tuple[set[Any], set[Any]]:
        """Return the keys of the rows that are listed, and of those that decisions allow; refresh the guard first."""
        key = Document.id if model is Document else Paper.name
        query = self.guard.filter(select(key), ACTION, principal=principal)
        mapping = self.mappings["document" if model is Document else "paper"]
        allowed = {
            getattr(row, key.key)
            for row in self.rows[model]
            if self.guard.decide(principal, ACTION, mapping.resource_of(row)).allowed
        }
        return set(self.session.scalars(query)), allowed


@contextmanager
def opened(way: str, folder: Path) -> Iterator[World]:
    settings = Settings(epoch_poll=0.0, sealing_keys=(SEALING_KEY,), postgresql_schema="iam")
    if way == "joined-postgresql":
        server = find_server()
        if isinstance(server, str):
            do_without(server)
            return
        url = server.create()
        engine = create_engine(url)
        store = create_store(url, settings)
    else:
        url = f"sqlite:///{folder}/iam-guard.db"
        store = create_store(url, settings)
        engine = create_engine("sqlite://", poolclass=StaticPool)
        if way == "joined-sqlite":
            with engine.connect() as connection:
                connection.execute(text(f"ATTACH '{folder}/iam-guard.db' AS iam"))
    Base.metadata.create_all(engine)
    try:
        with Session(engine) as session:
            world = World(store, session, "" if way == "read" else "iam")
            yield world
            world.guard.close()
    finally:
        engine.dispose()
        if way == "joined-postgresql":
            server.close()


@pytest.fixture(scope="module", params=WAYS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(request.param, tmp_path_factory.mktemp("store")) as made:
        yield made


# --- generated ---------------------------------------------------------------------------------------------------

CONDITIONS: list[dict[str, Any]] = [
    {"StringEquals": {"aws:ResourceTag/team": "red"}},
    {"StringNotEquals": {"docs:Kind": "secret"}},
    {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
    {"StringLike": {"aws:PrincipalArn": "arn:aws:*:role/reader"}},
    {"Null": {"docs:Kind": "true"}},
]


def names(account: str) -> list[str]:
    sts, iam = f"arn:aws:sts::{account}", f"arn:aws:iam::{account}"
    users = ["all", "red", "none", "bounded", "leaver", "renamed"]
    return [
        *(f"{iam}:user/{name}" for name in users),
        f"{iam}:role/reader",
        f"{sts}:assumed-role/reader/one",
        f"{sts}:federated-user/fed",
        account,
        f"{iam}:root",
    ]


def draw_principals(chance: random.Random) -> dict[str, Any]:
    everyone = [*names(ACME), *names(GLOBEX)]
    if chance.random() < 0.1:
        account = chance.choice([ACME, GLOBEX])
        exempt = [f"arn:aws:iam::{account}:root", *chance.sample(names(account), 2)]
        return {"Effect": "Deny", "NotPrincipal": {"AWS": exempt}}
    effect = {"Effect": "Deny" if chance.random() < 0.25 else "Allow"}
    match chance.randrange(8):
        case 0:
            return {**effect, "Principal": "*"}
        case 1:
            return {**effect, "Principal": {"Service": "mail.example.com", "AWS": chance.choice(everyone)}}
        case 2:
            return {**effect, "Principal": {"AWS": ["*", INITECH]}}
    return {**effect, "Principal": {"AWS": chance.sample(everyone, chance.choice([1, 1, 2, 4]))}}


def draw_policy(chance: random.Random, arn: str) -> dict[str, Any]:
    found = []
    for _ in range(chance.choice([1, 1, 2, 3])):
        written = {**draw_principals(chance), "Action": chance.choice(["docs:*", ACTION, ACTION, "docs:Put*"])}
        place = chance.choice(
            [arn, [arn, "arn:aws:docs:::x"], "*", f"{arn[:-1]}*", "arn:aws:docs:*:*:*", f"{arn}0", ""]
        )
        if place:
            written["NotResource" if chance.random() < 0.1 else "Resource"] = place
        if chance.random() < 0.4:
            written["Condition"] = chance.choice(CONDITIONS)
        if chance.random() < 0.3:
            written["Sid"] = f"s{chance.randrange(100)}"
        found.append(written)
    return {"Version": chance.choice(["2012-10-17", "2012-10-17", "2008-10-17"]), "Statement": found}


def callers() -> list[Principal]:
    """Return callers of every type, with and without what only a session has."""
    found = [Principal(PrincipalType.ANONYMOUS, "anonymous", None)]
    found += [Principal(PrincipalType.SERVICE, name, None) for name in ("mail.example.com", "other.example.com")]
    for account in (ACME, GLOBEX):
        sts, iam = f"arn:aws:sts::{account}", f"arn:aws:iam::{account}"
        found += [Principal.from_arn(f"{iam}:user/{name}") for name in ("all", "red", "none", "bounded", "leaver", "x")]
        found += [Principal.from_arn(f"{iam}:user/{name}") for name in ("renamed", "other")]
        found += [Principal.from_arn(f"{sts}:assumed-role/reader/{name}") for name in ("one", "two")]
        found += [Principal.from_arn(f"{iam}:root")]
        narrow = (json.dumps(policy(statement(Condition=CONDITIONS[1]))),)
        found += [Principal.from_arn(f"{iam}:user/all", session_policies=narrow)]
        fed = f"{sts}:federated-user/fed"
        found += [Principal.from_arn(fed, user_arn=f"{iam}:user/all", session_policies=narrow)]
    return found


def change(world: World, chance: random.Random) -> None:
    """Rename one user and delete another one, half of the times; policies have named them before.

    Change the state of an account, too.
    """
    with world.store.write_transaction() as records:
        state = chance.choice([*AccountState, AccountState.ACTIVE, AccountState.ACTIVE])
        records.update(accounts, {"state": state.value}, id=chance.choice([ACME, GLOBEX, INITECH]))
        if chance.random() < 0.5:
            records.update(identities, {"name": "other", "folded": "other"}, name="renamed")
        if chance.random() < 0.5:
            records.delete(identities, name="leaver")
    if chance.random() < 0.5:  # another one of that name
        apply_seed(world.store, load_seed_text(seed_text()))


def test_lists_have_the_rows_that_decisions_allow(world: World) -> None:
    """For every caller, after renames and deletions, too."""
    counted: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + ROUNDS):
        chance = random.Random(seed)
        world.reset()
        for row in chance.sample(DOCUMENTS, 10):
            arn = f"arn:aws:docs:us-east-1:{row['account']}:document/{row['id']}"
            world.guard.resource_policies.put(arn, draw_policy(chance, arn))
        for row in chance.sample(PAPERS, 4):
            arn = f"arn:aws:docs:::paper/{row['name']}"
            world.guard.resource_policies.put(arn, draw_policy(chance, arn), account=row["account"])
            if chance.random() < 0.05:
                change(world, chance)
        change(world, chance)
        world.guard.refresh()
        for principal in callers():
            for model in (Document, Paper):
                listed, allowed = world.lists(model, principal)
                counted["none" if not listed else "all" if len(listed) == len(world.rows[model]) else "some"] += 1
                assert listed == allowed, f"seed {seed}: {principal.arn} lists {listed}, is allowed {allowed}"
    assert counted["some"] > counted.total() / 3, counted


# --- one by one --------------------------------------------------------------------------------------------------


def test_policy_of_a_resource_that_has_moved_counts_in_lists_as_in_decisions(world: World) -> None:
    """An ARN without an account stays the same when the row's account changes."""
    world.reset()
    for effect, name, expected in (("Allow", "none", {"p0"}), ("Deny", "all", {"p2", "p4"})):
        written = policy({"Effect": effect, "Principal": "*", "Action": "docs:*"})
        world.guard.resource_policies.put("arn:aws:docs:::paper/p0", written, account=GLOBEX)  # the row is of ACME
        listed, allowed = world.lists(Paper, Principal.from_arn(f"arn:aws:iam::{ACME}:user/{name}"))
        assert listed == allowed == expected


def test_deny_of_an_earlier_version_keeps_its_principals(world: World) -> None:
    """It has no bindings (rule P-5), so it names the present holder of the ARN."""
    world.reset()
    named = [f"arn:aws:iam::{ACME}:user/all", f"arn:aws:iam::{ACME}:role/reader"]
    for number, principals in ((5, named), (8, named[:1]), (9, named[1:])):
        for effect, resource in (("Deny", number), ("Allow", number + 7)):
            arn = f"arn:aws:docs:us-east-1:{DOCUMENTS[resource - 1]['account']}:document/{resource}"
            written = policy({"Effect": effect, "Principal": {"AWS": principals}, "Action": "docs:*"})
            world.guard.resource_policies.put(arn, written)
    with world.store.write_transaction() as records:
        records.update(resources, {"bindings": {}})
    with writing(world.store.engine) as connection:
        statements.index_policies(connection)
    world.guard.refresh()
    for principal in callers():
        listed, allowed = world.lists(Document, principal)
        assert listed == allowed, principal.arn


def test_share_with_a_user_ends_with_the_user(world: World) -> None:
    """Another user of the same name has what was shared with it, and not what was shared with the first one."""
    leaver = f"arn:aws:iam::{GLOBEX}:user/leaver"
    shared = policy({"Effect": "Allow", "Principal": {"AWS": leaver}, "Action": "docs:*"})
    world.reset()
    for number in (5, 8):
        world.guard.resource_policies.put(f"arn:aws:docs:us-east-1:{ACME}:document/{number}", shared)
        with world.store.write_transaction() as records:
            if number == 5:
                records.delete(identities, name="leaver", account=GLOBEX)
        apply_seed(world.store, load_seed_text(seed_text()))
    world.guard.refresh()
    listed, allowed = world.lists(Document, Principal.from_arn(leaver))
    assert listed == allowed
    assert 8 in listed
    assert 5 not in listed


def test_many_shared_resources(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joined, each way of sharing counts once; read beforehand, each resource counts, up to a limit."""
    monkeypatch.setattr(statements, "MAX_NAMING", 5)
    world.reset()
    guest = Principal.from_arn(f"arn:aws:iam::{GLOBEX}:user/all")
    for number in (1, 4, 5, 8, 9, 12):
        shared = policy({"Effect": "Allow", "Principal": {"AWS": guest.arn}, "Action": "docs:*"})
        world.guard.resource_policies.put(f"arn:aws:docs:us-east-1:{ACME}:document/{number}", shared)
    if world.guard.settings.store_schema:
        listed, allowed = world.lists(Document, guest)
        assert listed == allowed >= {1, 4, 5, 8, 9, 12}
    else:
        with pytest.raises(NotFilterable, match="more than 5 statements of resources of `docs` name the caller"):
            world.lists(Document, guest)


def test_resource_that_lists_cannot_follow_is_refused(world: World) -> None:
    """One with tags beside those of the model, and one whose policy was saved without its rows."""
    world.reset()
    arn = f"arn:aws:docs:us-east-1:{ACME}:document/1"
    caller = Principal.from_arn(f"arn:aws:iam::{ACME}:user/all")
    world.guard.resource_policies.put(arn, policy({"Effect": "Allow", "Principal": "*", "Action": "docs:*"}))
    for values, reason in (
        ({"tags": {"team": "red"}}, "has tags in the store"),
        ({"tags": {}, "listed_digest": None}, "was saved by an earlier version"),
    ):
        with world.store.write_transaction() as records:
            records.update(resources, values, arn=arn)
        world.guard.refresh()
        with pytest.raises(NotFilterable, match=reason):
            world.lists(Document, caller)
        assert world.lists(Paper, caller)[0] == {"p0", "p2", "p4"}


def test_one_query_has_the_filter_and_the_policies(world: World) -> None:
    """Rows are counted by the database: no list of ids is made where the tables are joined."""
    world.reset()
    guest = Principal.from_arn(f"arn:aws:iam::{GLOBEX}:user/all")
    shared = policy({"Effect": "Allow", "Principal": {"AWS": guest.arn}, "Action": "docs:*"})
    for number in (1, 4):
        world.guard.resource_policies.put(f"arn:aws:docs:us-east-1:{ACME}:document/{number}", shared)
    query = world.guard.filter(select(func.count(Document.id)), ACTION, principal=guest)
    compiled = query.compile(world.session.get_bind())
    is_joined = bool(world.guard.settings.store_schema)
    assert ("iam.resource_statements" in str(compiled)) is is_joined
    assert (1 in compiled.params.values() or [1, 4] in compiled.params.values()) is not is_joined
    assert world.session.scalar(query) == sum(row["account"] == GLOBEX for row in DOCUMENTS) + 2

"""`Guard.filter` and what explains it: lists of rows that the caller may see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Integer, String, create_engine, delete, func, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column
from sqlalchemy.pool import StaticPool

from iam_guard import Guard, NotFilterable, Principal, Resource, Service, open_guard
from iam_guard.errors import ConfigurationError
from iam_guard.factory import guard_with_store
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.web.call_context import CurrentCall, serving

ACME, GLOBEX = "111122223333", "444455556666"


class Base(DeclarativeBase):
    pass


class Document(Base):
    __tablename__ = "documents"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    account: Mapped[str] = mapped_column(String(12))
    kind: Mapped[str | None] = mapped_column(String)
    tags: Mapped[Any] = mapped_column(JSON)


ROWS = [
    {"id": 1, "account": ACME, "kind": "report", "tags": {"team": "red"}},
    {"id": 2, "account": ACME, "kind": "report", "tags": {"team": "blue"}},
    {"id": 3, "account": ACME, "kind": None, "tags": {}},
    {"id": 4, "account": ACME, "kind": "secret", "tags": {"Team": "red"}},
    {"id": 5, "account": GLOBEX, "kind": "report", "tags": {"team": "red"}},
    {"id": 6, "account": GLOBEX, "kind": "report", "tags": {"team": "blue"}},
]


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
    return docs


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "docs:GetDocument", "Resource": "*", **elements}


TEAM = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
SEED = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "name": "acme",
            "users": [
                {"name": "ann", "tags": {"team": "red"}, "inline": {"own": [statement(Condition=TEAM)]}},
                {"name": "bob", "inline": {"all": [statement()]}},
                {
                    "name": "cid",
                    "inline": {
                        "most": [
                            statement(),
                            statement("Deny", Condition={"StringEquals": {"docs:Kind": "secret"}}),
                        ]
                    },
                },
                {"name": "dan", "inline": {"nothing": [statement(Action="docs:PutDocument")]}},
                {
                    "name": "eve",
                    "inline": {"folded": [statement(Condition={"StringEqualsIgnoreCase": {"docs:Kind": "a"}})]},
                },
                {
                    "name": "kim",
                    "inline": {"now": [statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})]},
                },
            ],
        },
        {"id": GLOBEX, "name": "globex", "users": [{"name": "gus", "inline": {"all": [statement()]}}]},
    ],
}


def seed_text() -> str:
    """Return the seed as JSON, which is YAML."""
    seed = json.loads(json.dumps(SEED))
    for account in seed["accounts"]:
        account["root"] = {"email": f"root@{account['name']}.example"}
        for user in account["users"]:
            documents = user["inline"].items()
            user["inline"] = {
                name: {"Version": "2012-10-17", "Statement": statements} for name, statements in documents
            }
    return json.dumps(seed)


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as opened:
        opened.execute(insert(Document), ROWS)
        opened.commit()
        yield opened
    engine.dispose()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Guard]]:
    guards: list[Guard] = []

    def open_one(**options: Any) -> Guard:
        seed = tmp_path / "iam.yaml"
        seed.write_text(seed_text(), encoding="utf-8")
        guards.append(open_guard(seed, services=[declare()], audit=str(tmp_path / "audit.jsonl"), **options))
        return guards[-1]

    yield open_one
    for guard in guards:
        guard.close()


@pytest.fixture
def guard(opened: Callable[..., Guard]) -> Guard:
    return opened()


def user(name: str, account: str = ACME) -> Principal:
    return Principal(PrincipalType.USER, f"arn:aws:iam::{account}:user/{name}", account)


def resource_of(guard: Guard, document: Document) -> Resource:
    [catalogue] = guard.catalogues
    mapping: Any = catalogue.mappings["document"]
    return mapping.resource_of(document)


def listed(
    guard: Guard, session: Session, principal: Principal, action: str = "docs:GetDocument", **options: Any
) -> list[int]:
    """Return the ids of a filtered list, after comparing it with a decision about each row."""
    found = session.scalars(guard.filter(select(Document), action, principal=principal, **options)).all()
    context = options.get("context")
    call = options.get("call")
    every = session.scalars(select(Document)).all()
    allowed = [
        item.id
        for item in every
        if guard.decide(principal, action, resource_of(guard, item), context, call=call).allowed
    ]
    assert sorted(item.id for item in found) == sorted(allowed)
    return sorted(allowed)


def records(tmp_path: Path) -> list[dict[str, Any]]:
    lines = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for line in lines if (record := json.loads(line))["eventName"] == "FilterList"]


# --- the rows ----------------------------------------------------------------------------------------------------


def test_lists_have_the_rows_that_decisions_allow(guard: Guard, session: Session, subtests: pytest.Subtests) -> None:
    expected = {"ann": [1, 4], "bob": [1, 2, 3, 4], "cid": [1, 2, 3], "dan": [], "unknown": []}
    for name, ids in expected.items():
        with subtests.test(name):
            assert listed(guard, session, user(name)) == ids
    assert listed(guard, session, user("gus", GLOBEX)) == [5, 6]


def test_root_sees_the_rows_of_its_account(guard: Guard, session: Session) -> None:
    root = Principal(PrincipalType.ROOT, f"arn:aws:iam::{ACME}:root", ACME)
    assert listed(guard, session, root) == [1, 2, 3, 4]


def test_anonymous_callers_see_nothing(guard: Guard, session: Session) -> None:
    assert listed(guard, session, Principal(PrincipalType.ANONYMOUS, "anonymous", None)) == []


def test_context_by_hand_replaces_a_column(guard: Guard, session: Session) -> None:
    assert listed(guard, session, user("cid"), context={"docs:Kind": "other"}) == [1, 2, 3, 4]


def test_filter_follows_the_call(guard: Guard, session: Session) -> None:
    inside = Call("1", kind="http", source_ip="10.1.2.3")
    outside = Call("2", kind="http", source_ip="192.0.2.1")
    kim = user("kim")
    assert listed(guard, session, kim, call=inside) == [1, 2, 3, 4]
    assert listed(guard, session, kim, call=outside) == []


def test_filter_follows_resource_policies_of_the_store(tmp_path: Path, session: Session) -> None:
    """Shared with another account, denied to its own, and withdrawn: each with the policy of the resource itself."""
    store = open_database(f"sqlite:///{tmp_path}/iam-guard.db", Settings(epoch_poll=0.0), create=True)
    apply_seed(store, load_seed_text(seed_text()))
    guard = guard_with_store(store, Settings(epoch_poll=0.0), services=[declare()])
    gus, bob = user("gus", GLOBEX), user("bob")
    arn = f"arn:aws:docs:us-east-1:{ACME}:document"
    assert listed(guard, session, gus) == [5, 6]
    share = {"Version": "2012-10-17", "Statement": [statement(Principal={"AWS": GLOBEX})]}
    guard.resource_policies.put(f"{arn}/2", share)
    assert listed(guard, session, gus) == [2, 5, 6]
    hide = {"Version": "2012-10-17", "Statement": [statement("Deny", Principal="*")]}
    guard.resource_policies.put(f"{arn}/1", hide)
    guard.resource_policies.put("arn:aws:docs:us-east-1:111122223333:folder/1", hide)  # of another type
    assert listed(guard, session, bob) == [2, 3, 4]
    only_red = statement(Principal={"AWS": GLOBEX}, Condition={"StringEquals": {"aws:ResourceTag/team": "red"}})
    for number in (1, 2, 3, 4):
        guard.resource_policies.put(f"{arn}/{number}", {"Version": "2012-10-17", "Statement": [only_red]})
    assert listed(guard, session, gus) == [1, 4, 5, 6]
    guard.resource_policies.delete(f"{arn}/1")
    assert listed(guard, session, gus) == [4, 5, 6]
    guard.close()


def test_update_and_delete_are_filtered(guard: Guard, session: Session) -> None:
    ann = user("ann")
    session.execute(guard.filter(update(Document).values(kind="seen"), "docs:GetDocument", principal=ann))
    assert session.scalars(select(Document.id).where(Document.kind == "seen")).all() == [1, 4]
    session.execute(guard.filter(delete(Document), "docs:GetDocument", principal=ann))
    assert session.scalar(select(func.count()).select_from(Document)) == 4


def test_alias_is_filtered(guard: Guard, session: Session) -> None:
    other = aliased(Document)
    found = session.scalars(
        guard.filter(select(other.id).order_by(other.id), "docs:GetDocument", principal=user("ann"))
    )
    assert found.all() == [1, 4]


def test_page_is_filtered_before_its_limit(guard: Guard, session: Session) -> None:
    page = select(Document.id).order_by(Document.id.desc()).limit(2)
    assert session.scalars(guard.filter(page, "docs:GetDocument", principal=user("cid"))).all() == [3, 2]


# --- refusals ----------------------------------------------------------------------------------------------------


def test_statement_without_a_resource_type_is_refused(guard: Guard, subtests: pytest.Subtests) -> None:
    joined = select(Document).join(aliased(Document), Document.id == Document.id)
    for name, query in {"none": select(func.now()), "twice": joined, "no statement": "SELECT 1"}.items():
        with subtests.test(name), pytest.raises(ConfigurationError, match="expected a statement"):
            guard.filter(query, "docs:GetDocument", principal=user("ann"))  # type: ignore[type-var]


def test_list_without_a_caller_is_refused(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="expected a principal"):
        guard.filter(select(Document), "docs:GetDocument")


def test_policy_that_cannot_be_translated_is_named(guard: Guard) -> None:
    with pytest.raises(NotFilterable) as caught:
        guard.filter(select(Document), "docs:GetDocument", principal=user("eve"))
    assert (caught.value.policy, caught.value.statement) == ("user/eve/folded", "0")
    assert "StringEqualsIgnoreCase" in caught.value.reason


def test_rechecked_list_is_decided_again(guard: Guard, session: Session) -> None:
    eve = user("eve")
    query = guard.filter(select(Document), "docs:GetDocument", principal=eve, residual="recheck")
    found = session.scalars(query).all()
    assert [item.id for item in found] == [1, 2, 3, 4]  # of the caller's account
    assert guard.permitted(found, "docs:GetDocument", principal=eve) == []


def test_custom_resource_loader_is_refused(opened: Callable[..., Guard]) -> None:
    guard = opened(resources=lambda arn: None)
    with pytest.raises(NotFilterable, match="resource loader"):
        guard.filter(select(Document), "docs:GetDocument", principal=user("ann"))


# --- around them -------------------------------------------------------------------------------------------------


def test_caller_of_the_current_call_is_meant(guard: Guard, session: Session) -> None:
    with serving(CurrentCall(guard, user("ann"), Call("1"))):
        query = guard.filter(select(Document.id), "docs:GetDocument")
    assert session.scalars(query).all() == [1, 4]


def test_loaded_objects_are_decided_about(guard: Guard, session: Session) -> None:
    every = session.scalars(select(Document)).all()
    assert [item.id for item in guard.permitted(every, "docs:GetDocument", principal=user("ann"))] == [1, 4]
    assert guard.permitted([], "docs:GetDocument", principal=user("ann")) == []


def test_list_has_one_record(guard: Guard, session: Session, tmp_path: Path) -> None:
    every = session.scalars(select(Document)).all()
    guard.filter(select(Document), "docs:GetDocument", principal=user("ann"))
    guard.permitted(every, "docs:GetDocument", principal=user("ann"))
    guard.close()
    filtered, rechecked = records(tmp_path)
    assert filtered["iamGuard"]["filter"]["outcome"] == "some"
    assert len(filtered["iamGuard"]["filter"]["digest"]) == 64
    assert rechecked["iamGuard"]["filter"]["rows"] == 2


def test_explanation_names_the_statement_of_each_part(guard: Guard) -> None:
    explained = guard.lists.explain_filter(
        select(Document), "docs:GetDocument", principal=user("cid"), dialect="sqlite"
    )
    assert [(part.policy, part.statement, part.effect) for part in explained.parts] == [
        ("user/cid/most", 0, "Allow"),
        ("user/cid/most", 1, "Deny"),
    ]
    assert "documents.kind" in explained.sql
    assert "secret" in explained.parameters.values()
    assert explained.parts[1].notes == ("`docs:kind` is excluded by a Deny or a negated operator",)
    assert "not indexable" in str(explained)


def test_why_not_explains_a_missing_row(guard: Guard, session: Session) -> None:
    secret = session.get_one(Document, 4)
    explanation = guard.lists.why_not(secret, "docs:GetDocument", principal=user("cid"))
    assert explanation.outcome == "ExplicitlyDenied"


def test_question_by_arn_loads_the_row(opened: Callable[..., Guard], session: Session) -> None:
    docs = declare()
    mapping: Any = docs.catalogue.mappings["document"]
    guard = opened(resources=MappedResources(lambda: Session(session.get_bind()), mapping))
    arn = f"arn:aws:docs:us-east-1:{ACME}:document"
    assert guard.decide(user("ann"), "docs:GetDocument", f"{arn}/1").allowed
    assert not guard.decide(user("ann"), "docs:GetDocument", f"{arn}/2").allowed
    assert not guard.decide(user("ann"), "docs:GetDocument", f"{arn}/99").allowed
    assert listed(guard, session, user("ann")) == [1, 4]


def test_filter_is_cached_until_something_changes(guard: Guard) -> None:
    ann = user("ann")
    first = guard.filter(select(Document), "docs:GetDocument", principal=ann).whereclause
    again = guard.filter(select(Document), "docs:GetDocument", principal=ann).whereclause
    assert first is again
    assert first is not None
    assert first._generate_cache_key() is not None  # SQLAlchemy compiles it once


def test_context_by_hand_is_read_after_a_list_without(guard: Guard, session: Session) -> None:
    """Formulas of statements are kept, and one about a column is another than one about a given value."""
    assert listed(guard, session, user("cid")) == [1, 2, 3]
    assert listed(guard, session, user("cid"), context={"docs:Kind": "other"}) == [1, 2, 3, 4]
    assert listed(guard, session, user("cid")) == [1, 2, 3]

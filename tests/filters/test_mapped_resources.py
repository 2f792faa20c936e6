"""`MappedResources` loads the row that an ARN names, and no other one."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from iam_guard import Service
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.filters.resource_type import ResourceMapping

from .databases import DIALECTS, opened_engine

ACME, GLOBEX = "111122223333", "444455556666"


class Base(DeclarativeBase):
    """The declarative base of the models."""


class Paper(Base):
    __tablename__ = "loaded_paper"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str | None]
    slug: Mapped[str]
    tags: Mapped[dict[str, str]] = mapped_column(sa.JSON)


docs = Service("docs")
papers = docs.resource_type("paper", "paper/{id}", model=Paper, account=Paper.account, tags=Paper.tags)
slugs = docs.resource_type("slug", "slug/{slug}", model=Paper, account=Paper.account)
also_papers = docs.resource_type("slugs", "{slug}/{id}", model=Paper, account=Paper.account)
ROWS = [(1, ACME, "a"), (2, ACME, "a"), (3, ACME, "b"), (4, GLOBEX, "b"), (5, None, "c"), (6, ACME, "paper")]


def arn(name: str, account: str = ACME) -> str:
    return f"arn:aws:docs:us-east-1:{account}:{name}"


@pytest.fixture(scope="module", params=DIALECTS)
def sessions(request: pytest.FixtureRequest) -> Iterator[sessionmaker[Session]]:
    with opened_engine(request.param) as engine:
        Base.metadata.create_all(engine)
        made = sessionmaker(engine)
        with made.begin() as session:
            session.add_all(Paper(id=id, account=account, slug=slug, tags={}) for id, account, slug in ROWS)
        yield made


def test_named_row_is_loaded(sessions: sessionmaker[Session]) -> None:
    load = MappedResources(sessions, papers, slugs)
    for name, account in (("paper/1", ACME), ("paper/4", GLOBEX), ("slug/b", ACME), ("slug/b", GLOBEX)):
        found = load(arn(name, account))
        assert found is not None
        assert (found.arn, found.account) == (arn(name, account), account)


def test_other_arn_has_no_resource(sessions: sessionmaker[Session]) -> None:
    """Of another account, of no row, or of no type; the database does not fail."""
    load = MappedResources(sessions, papers, slugs)
    names = [
        "paper/9",
        "paper/01",
        "paper/a",
        "paper/1 ",
        "paper/1\0",
        f"paper/{2**64}",
        "slug/A",
        "slug/%",
        "slug/a\0",
    ]
    others = [arn("paper/1", GLOBEX), arn("paper/4"), arn("paper/5"), arn("paper/5", "None"), arn("folder/1"), "", "*"]
    assert [name for name in (*map(arn, names), *others) if load(name) is not None] == []


def test_several_rows_of_one_arn_are_refused(sessions: sessionmaker[Session]) -> None:
    """Of one type, or of two types whose ARNs overlap: the tags of one say nothing about the others."""
    for load, name in (
        (MappedResources(sessions, slugs), "slug/a"),
        (MappedResources(sessions, papers, also_papers), "paper/6"),
    ):
        with pytest.raises(ConfigurationError, match="expected a declaration whose parameters are a key"):
            load(arn(name))


class Named(Base):
    __tablename__ = "loaded_named"
    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)


class Unique(Base):
    __tablename__ = "loaded_unique"
    key: Mapped[UUID] = mapped_column("key_column", primary_key=True)


class Pair(Base):
    __tablename__ = "loaded_pair"
    left: Mapped[int] = mapped_column(primary_key=True)
    right: Mapped[int] = mapped_column(primary_key=True)


named = docs.resource_type("named", "named/{name}", model=Named, account=ACME)
unique = docs.resource_type("unique", "unique/{key}", model=Unique, account=ACME)
pairs = docs.resource_type("pair", "pair/{left}/{right}", model=Pair, account=ACME)


def pages(load: MappedResources, resource_type: ResourceMapping, account: str = ACME) -> list[str]:
    """Return the ends of the ARNs of all resources, two rows at a time."""
    found: list[str] = []
    after: str | int | None = None
    while rows := load.page(resource_type, lambda statement: statement, account=account, after=after, limit=2):
        after = rows[-1][0]
        found += [resource.arn.rpartition("/")[2] for _, resource in rows]
    return found


def test_pages_follow_the_primary_key(sessions: sessionmaker[Session]) -> None:
    """Of integers, text and UUIDs, and of one account."""
    load = MappedResources(sessions, papers, named, unique, pairs)
    keys = sorted(UUID(int=number << 64) for number in range(5))
    with sessions.begin() as session:
        session.add_all([*(Named(name=name) for name in "edcba"), *(Unique(key=key) for key in keys)])
        session.add(Pair(left=1, right=2))
    assert pages(load, papers) == ["1", "2", "3", "6"]
    assert pages(load, papers, GLOBEX) == ["4"]
    assert pages(load, named) == list("abcde")
    assert pages(load, unique) == [str(key) for key in keys]
    assert pages(load, named, GLOBEX) == []
    with pytest.raises(InvalidInput, match="expected a primary key of one column"):
        pages(load, pairs)


def test_page_has_the_narrowed_rows(sessions: sessionmaker[Session]) -> None:
    load = MappedResources(sessions, papers)
    rows = load.page(papers, lambda statement: statement.where(Paper.slug == "b"), account=ACME, after=None, limit=9)
    assert [key for key, _ in rows] == [3]

"""`verify` finds wrong mappings, and only these."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from iam_guard import Service, TagRows
from iam_guard.errors import ConfigurationError
from iam_guard.filters import verify
from tests.tables import table

from .databases import EmptyDatabases, opened_engine
from .mistakes import BOTH, Mistake
from .planted_mistakes import ACCOUNT, MISTAKES, declare, fill, make_model, make_tagged, run

PLANTED = [
    pytest.param(mistake, dialect, id=mistake.plant.__name__) for mistake in MISTAKES for dialect in mistake.dialects
]


@pytest.fixture(scope="module")
def databases() -> Iterator[EmptyDatabases]:
    """Return the databases that tests use in turn."""
    with ExitStack() as stack:
        yield EmptyDatabases(stack)


@table("mistake, dialect", PLANTED)
def test_planted_mistake_is_named(databases: EmptyDatabases, mistake: Mistake, dialect: str) -> None:
    """Each wrong mapping is found, and nothing else."""
    with databases.session(dialect) as session:
        resource_type = mistake.plant(session)
        found = verify(session, resource_type)
        assert [mismatch.name for mismatch in found] == [mistake.name]
        assert mistake.says in str(found[0])
        assert str(found[0]).startswith(f"docs document, {mistake.name}: ")


def test_planted_mistakes_are_at_least_twenty() -> None:
    """The table keeps its size, on each database."""
    for dialect in BOTH:
        assert len([mistake for mistake in MISTAKES if dialect in mistake.dialects]) >= 20


NO_CASE = sa.Text().with_variant(sa.Text(collation="NOCASE"), "sqlite")
NO_BLANKS = sa.Text().with_variant(sa.Text(collation="RTRIM"), "sqlite")


class Base(DeclarativeBase):
    """The declarative base of the models."""


class Record(Base):
    __tablename__ = "verified_record"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    slug: Mapped[str | None] = mapped_column(NO_CASE)
    number: Mapped[int] = mapped_column(sa.BigInteger, default=7)
    account: Mapped[str | None] = mapped_column(sa.String(20), default=ACCOUNT)
    owner: Mapped[str | None] = mapped_column(NO_CASE)
    title: Mapped[str | None] = mapped_column(NO_BLANKS)
    size: Mapped[int | None]
    price: Mapped[float | None]
    amount: Mapped[Decimal | None] = mapped_column(sa.Numeric(12, 2))
    is_public: Mapped[bool | None]
    stage: Mapped[str | None] = mapped_column(sa.Enum("draft", "final", name="stage"))
    created: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True))
    tags: Mapped[Any] = mapped_column(sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True)
    labels: Mapped[list[Label]] = relationship(lazy="joined")


class Label(Base):
    __tablename__ = "verified_label"
    id: Mapped[int] = mapped_column(primary_key=True)
    record_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey(Record.id))
    key: Mapped[str | None] = mapped_column(NO_CASE)
    value: Mapped[str | None] = mapped_column(NO_BLANKS)
    __table_args__ = (sa.UniqueConstraint("record_id", "key"),)


KEYS = {
    f"docs:{name.title()}": getattr(Record, name)
    for name in ("owner", "title", "size", "price", "amount", "is_public", "stage", "id", "number")
}
LABELS = TagRows(Label, owner=Label.record_id, key=Label.key, value=Label.value)


def _records() -> Iterator[Record]:
    yield Record(slug="a")
    yield Record(slug="A", owner="Ann", title="ann ", size=2**31 - 1, price=0.1, is_public=True, stage="draft")
    yield Record(
        slug="", owner="", title="", size=0, price=-0.0, is_public=False, created=datetime(1, 1, 1, tzinfo=UTC)
    )
    yield Record(slug=None)
    yield Record(slug=None)
    yield Record(slug="n", tags=sa.JSON.NULL)
    yield Record(slug="x", account=None)
    yield Record(slug="y", account=f"{ACCOUNT} ")
    yield Record(slug="z", account="999988887777", owner="%_[*]?\\'\"😀\n", title="x" * 5000, amount=Decimal("1.50"))
    moment = datetime(2026, 1, 1, 12, 30, 0, 250_000, tzinfo=UTC)
    yield Record(slug="t", tags={"Team": "Red", "téam": "é ", "": "", "cost": 10, "odd": None}, created=moment)
    yield Record(slug="u", tags={"team": "red", "Team": "blue", "other": "x"})
    yield Record(slug="v", tags={}, number=-(2**63), price=1.7976931348623157e308)


@table("dialect", BOTH)
@table("tags", [Record.tags, LABELS], ids=["json", "rows"])
def test_right_mapping_has_no_mismatch(tags: Any, dialect: str) -> None:
    """Rows without account or ARN agree too, as do collations of SQLite, and tags in two letter cases."""
    options = {"account": Record.account, "tags": tags, "keys": {**KEYS, "docs:Created": Record.created}}
    records = Service("docs").resource_type("record", "{number}/{id}/record/{slug}", model=Record, **options)
    with opened_engine(dialect) as engine:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            rows = list(_records())
            session.add_all(rows)
            session.flush()
            pairs = [("Team", "Red "), ("stage", None), (None, "x"), ("straße", "ß")]
            session.add_all(Label(record_id=rows[0].id, key=key, value=value) for key, value in pairs)
            session.commit()
        with Session(engine) as session:
            assert verify(session, records) == []


def test_domains_and_wider_indexes_have_no_mismatch() -> None:
    """A domain of PostgreSQL is its type, and may be NOT NULL; a unique index may include other columns."""
    model, _, tags = make_tagged()
    documents = declare(model, tags=tags, keys={"docs:Owner": model.owner}, absent={"docs:Owner": "never"})
    with opened_engine("postgresql") as engine, Session(engine) as session:
        run(
            session,
            "CREATE DOMAIN person AS text NOT NULL",
            "CREATE TABLE document (id integer PRIMARY KEY, owner person)",
            "CREATE TABLE tag (id integer PRIMARY KEY, document_id integer, key text, value text, is_deleted boolean)",
            "CREATE UNIQUE INDEX tags ON tag (document_id, key) INCLUDE (value)",
            "INSERT INTO document VALUES (1, 'ann')",
            "INSERT INTO tag VALUES (1, 1, 'team', 'red', false)",
        )
        assert verify(session, documents) == []


@table("dialect", BOTH)
def test_row_of_table_is_compared(dialect: str) -> None:
    """A declaration about a table compares its rows, without a mapped class."""
    metadata = sa.MetaData()
    plain = sa.Table("plain", metadata, sa.Column("id", sa.Text, primary_key=True), sa.Column("tags", sa.JSON))
    documents = Service("docs").resource_type(
        "document", "document/{id}", model=plain, account=ACCOUNT, tags=plain.c.tags, keys={"docs:Id": plain.c.id}
    )
    with opened_engine(dialect) as engine, Session(engine) as session:
        metadata.create_all(session.connection())
        session.execute(plain.insert(), [{"id": "a", "tags": {"team": "red"}}, {"id": "A", "tags": sa.null()}])
        assert verify(session, documents) == []
        session.execute(plain.update().where(plain.c.id == "a").values(tags=["red"]))
        assert [mismatch.row for mismatch in verify(session, documents)] == ["a"]


def test_table_without_primary_key_is_refused() -> None:
    """Rows must have names."""
    plain = sa.Table("plain", sa.MetaData(), sa.Column("id", sa.Text))
    documents = Service("docs").resource_type("document", "document/{id}", model=plain, account=ACCOUNT)
    with opened_engine("sqlite") as engine, Session(engine) as session:
        plain.metadata.create_all(session.connection())
        with pytest.raises(ConfigurationError, match="expected a primary key, to name rows"):
            verify(session, documents)


class _Changed(Base):
    """A model whose objects have other owners than its rows."""

    __tablename__ = "verified_changed"
    id: Mapped[int] = mapped_column(primary_key=True)
    stored: Mapped[str] = mapped_column("owner", sa.Text)

    @property
    def owner(self) -> str:
        return self.stored if self.id < 96 else f"{self.stored} of {self.id}"


@table("dialect", BOTH)
@table("sample, rows", [(0, []), (1, ["100"]), (4, ["100"]), (20, ["100"]), (100, ["96"]), (1000, ["96"])])
def test_sample_is_spread_over_the_rows(databases: EmptyDatabases, sample: int, rows: list[str], dialect: str) -> None:
    """A small sample has the last row as well as earlier ones; a sample of 0 reads none."""
    changed = Service("docs").resource_type(
        "document",
        "document/{id}",
        model=_Changed,
        account=ACCOUNT,
        keys={"docs:Owner": _Changed.__table__.c.owner},
    )
    with databases.session(dialect) as session:
        _Changed.metadata.create_all(session.connection())
        session.add_all(_Changed(id=number, stored="ann") for number in range(1, 101))
        session.commit()
        found = verify(session, changed, sample=sample)
        assert [mismatch.row for mismatch in found] == rows
        assert verify(session, changed, sample=sample) == found
        if sample >= 100:
            assert found[0].rows == 5
            assert str(found[0]).endswith("object `ann of 96`, query `ann`, in row 96 and 4 more")


def test_declared_types_are_the_default() -> None:
    """Without resource types, all of the process are verified, those of other databases too."""
    plain = sa.Table("never_created", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    declared = Service("unique").resource_type("thing", "thing/{id}", model=plain, account=ACCOUNT)
    with opened_engine("sqlite") as engine, Session(engine) as session:
        found = [mismatch for mismatch in verify(session) if mismatch.resource_type == str(declared)]
        assert [str(mismatch) for mismatch in found] == [
            "unique thing, {id}: expected the column `id` in `never_created`, got none"
        ]


def test_session_is_usable_after_a_query_that_fails() -> None:
    """A failed query ends neither the transaction nor what was done in it."""
    failing = next(mistake for mistake in MISTAKES if mistake.name == "database")
    with opened_engine("postgresql") as engine, Session(engine) as session:
        resource_type = failing.plant(session)
        session.execute(sa.insert(resource_type.model).values(id=9, size=1))
        assert [mismatch.name for mismatch in verify(session, resource_type)] == ["database"]
        assert session.scalar(sa.select(sa.func.count()).select_from(resource_type.model)) == 2


def test_pending_changes_are_not_written() -> None:
    """Verification writes nothing."""
    with opened_engine("sqlite") as engine, Session(engine) as session:
        Base.metadata.create_all(session.connection())
        session.add(_Changed(id=1, stored="ann"))
        changed = Service("docs").resource_type("document", "document/{id}", model=_Changed, account=ACCOUNT)
        assert verify(session, changed) == []
        assert len(session.new) == 1


def test_encoding_of_the_server_must_be_utf8() -> None:
    """Texts of another encoding are other bytes."""
    with opened_engine("postgresql") as engine:
        name = f"{engine.url.database}_latin1"
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        options = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        connection.exec_driver_sql(f"CREATE DATABASE {name} {options}")
        other = sa.create_engine(engine.url.set(database=name))
        try:
            Base.metadata.create_all(other)
            with Session(other) as session:
                changed = Service("docs").resource_type("document", "document/{id}", model=_Changed, account=ACCOUNT)
                assert [*map(str, verify(session, changed))] == [
                    "docs document, database: expected the encoding UTF8, got LATIN1"
                ]
        finally:
            other.dispose()
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
            connection.close()


# --- what the declaration itself takes care of --------------------------------------------------------------------


def _tagged(**columns: Any) -> tuple[Any, Any]:
    model = make_model(tenant=mapped_column(sa.Integer, primary_key=True))
    names = {"document_id": mapped_column(sa.Integer), "tenant": mapped_column(sa.Integer)}
    texts = {"key": mapped_column(sa.Text), "value": mapped_column(sa.Text)}
    base = model.__base__
    attributes = {
        "__tablename__": "tag",
        "id": mapped_column(sa.Integer, primary_key=True),
        **names,
        **texts,
        **columns,
    }
    return model, type("Tag", (base,), {"__module__": __name__, **attributes})


@table("unique", [("tenant", "document_id", "key"), ("document_id", "key")])
def test_tags_of_half_a_key_are_refused(unique: tuple[str, ...]) -> None:
    """Tags must refer to the whole key of the model: of two columns, half would have those of other tenants."""
    model, tag = _tagged(__table_args__=(sa.UniqueConstraint(*unique),))
    tags = TagRows(tag, owner=tag.document_id, key=tag.key, value=tag.value)
    with pytest.raises(ConfigurationError, match=r"expected a unique constraint|refers to the model's key"):
        declare(model, tags=tags)


def test_tags_of_a_reference_to_half_a_key_are_refused() -> None:
    """A foreign key of two columns is no reference of one of them."""
    model, tag = _tagged(
        __table_args__=(
            sa.UniqueConstraint("document_id", "key"),
            sa.ForeignKeyConstraint(["document_id", "tenant"], ["document.id", "document.tenant"]),
        )
    )
    tags = TagRows(tag, owner=tag.document_id, key=tag.key, value=tag.value)
    with pytest.raises(ConfigurationError, match="refers to the model's key"):
        declare(model, tags=tags)


def test_relationship_with_a_condition_is_not_used() -> None:
    """An object has the tags that queries see, with those that its relationship leaves out."""
    model, tag, tags = make_tagged(with_condition=True)
    documents = declare(model, tags=tags)
    with opened_engine("sqlite") as engine, Session(engine) as session:
        fill(session, model, {"id": 1})
        fill(session, tag, {"document_id": 1, "key": "team", "value": "red", "is_deleted": True})
        document = session.get_one(model, 1)
        assert document.tags == []
        assert documents.resource_of(document).tags == {"team": "red"}
        assert verify(session, documents) == []

"""Columns whose values databases hold in another form than Python, and columns that a declaration refuses."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    WriteOnlyMapped,
    attribute_keyed_dict,
    mapped_column,
    relationship,
)

from iam_guard import (
    AccessRequest,
    IamGuardError,
    NotFilterable,
    Principal,
    Service,
    TagRows,
    compile_policies,
    filter_statement,
)
from iam_guard.errors import ConfigurationError
from tests.tables import table

from .databases import opened_engine

ACCOUNT = "111122223333"
ANN = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ann")
REFERENCE = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Stage(enum.StrEnum):
    """An enumeration whose names, which the database stores, differ from its values."""

    DRAFT = "draft"


class Base(DeclarativeBase):
    """The declarative base of the models."""


class Folder(Base):
    __tablename__ = "declared_folder"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]


class Document(Base):
    __tablename__ = "declared_document"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    folder: Mapped[str] = mapped_column(default="f")
    title: Mapped[str]
    reference: Mapped[uuid.UUID | None] = mapped_column(default=REFERENCE)
    is_public: Mapped[bool | None] = mapped_column(default=True)
    stage: Mapped[Stage | None] = mapped_column(default=Stage.DRAFT)
    created: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), default=datetime(2026, 1, 1, tzinfo=UTC))
    price: Mapped[float] = mapped_column(default=1.5)


class Note(Base):
    __tablename__ = "declared_note"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    text: Mapped[str | None] = mapped_column(sa.Text().with_variant(sa.Text(collation="RTRIM"), "sqlite"))
    other: Mapped[str | None] = mapped_column(sa.Text().with_variant(sa.Text(collation="RTRIM"), "sqlite"))
    tags: Mapped[dict[str, NoteTag]] = relationship(collection_class=attribute_keyed_dict("key"))


class WriteOnlyNote(Base):
    __table__ = Note.__table__
    tags: WriteOnlyMapped[NoteTag] = relationship(viewonly=True)


class NoteTag(Base):
    __tablename__ = "declared_note_tag"
    note_id: Mapped[int] = mapped_column(sa.ForeignKey(Note.id), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    kind: Mapped[str] = mapped_column(default="note")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "note"}  # noqa: RUF012


class SpecialTag(NoteTag):
    __mapper_args__ = {"polymorphic_identity": "special"}  # noqa: RUF012


DOCUMENTS = Service("docs").resource_type(
    "document",
    "folder/{folder}/document/{id}",
    model=Document,
    account=ACCOUNT,
    keys={
        "docs:Title": Document.title,
        "docs:Reference": Document.reference,
        "docs:Public": Document.is_public,
        "docs:Stage": Document.stage,
        "docs:Created": Document.created,
        "docs:Price": Document.price,
    },
)
TAGS = TagRows(NoteTag, owner=NoteTag.note_id, key=NoteTag.key, value=NoteTag.value)
WRITE_ONLY_NOTES = Service("docs").resource_type("note", "note/{id}", model=WriteOnlyNote, account=ACCOUNT, tags=TAGS)
NOTES = Service("docs").resource_type("note", "note/{id}", model=Note, account=ACCOUNT, tags=TAGS)


@contextmanager
def opened_session(dialect: str) -> Iterator[Session]:
    """Open a database with the tables of this module. Skips the test without a server."""
    with opened_engine(dialect) as engine:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            yield session


def listed(session: Session, resource_type: Any, **statement: Any) -> list[Any]:
    """Return the titles or ids of the rows that a policy of one statement lists, after comparing with decisions."""
    allow = {"Effect": "Allow", "Action": "docs:Get", "Resource": "*", **statement}
    authorizer = compile_policies([{"Version": "2012-10-17", "Statement": [allow]}])
    model = resource_type.model
    dialect = session.get_bind().dialect.name
    filtered = filter_statement(
        authorizer, ANN, sa.select(model), "docs:Get", resource_type=resource_type, dialect=dialect
    )
    found = [*session.scalars(filtered)]
    allowed = []
    for row in session.scalars(sa.select(model)):
        try:
            resource = resource_type.resource_of(row)
        except IamGuardError:
            continue
        if authorizer.decide(AccessRequest.for_resource(ANN, "docs:Get", resource)).allowed:
            allowed.append(row)
    assert found == allowed
    return [getattr(row, "title", row.id) for row in found]


TITLES = [str(REFERENCE), REFERENCE.hex, "true", "1", "draft", "DRAFT", "other"]


@table("dialect", ["sqlite", "postgresql"])
def test_variable_of_another_type_is_its_text_in_a_decision(dialect: str) -> None:
    """A UUID, a boolean or an enumeration in a policy variable is what a decision makes of it."""
    with opened_session(dialect) as session:
        session.add_all(Document(id=uuid.UUID(int=number), title=title) for number, title in enumerate(TITLES))
        session.commit()
        for key, title in [("Reference", str(REFERENCE)), ("Public", "true"), ("Stage", "draft")]:
            equal = {"docs:Title": f"${{docs:{key}}}"}
            assert listed(session, DOCUMENTS, Condition={"StringEquals": equal}) == [title]
            assert title not in listed(session, DOCUMENTS, Condition={"StringNotEquals": equal})
            assert listed(session, DOCUMENTS, Condition={"StringLike": {"docs:Title": f"*${{docs:{key}}}"}}) == [title]


@table("dialect", ["sqlite", "postgresql"])
@table("key", ["Created", "Price"])
def test_variable_without_exact_text_is_refused(dialect: str, key: str) -> None:
    """The text of a datetime or a fraction differs between databases and decisions."""
    with (
        opened_session(dialect) as session,
        pytest.raises(NotFilterable, match=f"`docs:{key.lower()}`, .* as a part of a text"),
    ):
        listed(session, DOCUMENTS, Condition={"StringEquals": {"docs:Title": f"${{docs:{key}}}"}})


@table("dialect", ["sqlite", "postgresql"])
def test_uuid_behind_another_parameter_has_hyphens(dialect: str) -> None:
    """SQLite stores UUIDs without hyphens, which ARNs have."""
    with opened_session(dialect) as session:
        session.add(Document(id=REFERENCE, title="title"))
        session.commit()
        for pattern in ("????????-*", "*-1234-*", str(REFERENCE)):
            assert listed(session, DOCUMENTS, Resource=f"arn:aws:docs:*:*:folder/*/document/{pattern}") == ["title"]
        assert listed(session, DOCUMENTS, Resource=f"arn:aws:docs:*:*:folder/*/document/{REFERENCE.hex}") == []


@table("dialect", ["sqlite", "postgresql"])
def test_largest_number_equals_itself(dialect: str) -> None:
    """The largest floating-point number is a value that a policy can name."""
    largest = 1.7976931348623157e308
    with opened_session(dialect) as session:
        session.add(Document(id=REFERENCE, title="largest", price=largest))
        session.add(Document(id=uuid.UUID(int=1), title="least", price=-largest))
        session.commit()
        for operator, titles in [("Equals", ["largest"]), ("NotEquals", ["least"]), ("LessThan", ["least"])]:
            condition = {f"Numeric{operator}": {"docs:Price": "17976931348623157" + 292 * "0"}}
            assert listed(session, DOCUMENTS, Condition=condition) == titles


def test_blank_is_not_empty_where_collations_ignore_it() -> None:
    """SQLite's collation RTRIM ignores trailing blanks, decisions do not."""
    with opened_session("sqlite") as session:
        session.execute(sa.text("INSERT INTO declared_note (id, text, other) VALUES (1, ' ', ' '), (2, '', '')"))
        keys = {"docs:Text": Note.text, "docs:Other": Note.other}
        notes = Service("docs").resource_type(
            "note", "note/{id}", model=Note, account=ACCOUNT, keys=keys, absent={"docs:Text": "empty"}
        )
        assert listed(session, notes, Condition={"Null": {"docs:Text": "true"}}) == [2]
        assert listed(session, notes, Condition={"Null": {"docs:Text": "false"}}) == [1]
        same = {"docs:Other": "${docs:Text}"}
        assert listed(session, notes, Condition={"StringEquals": same}) == [1]
        assert listed(session, notes, Condition={"StringNotEquals": same}) == [2]


def test_uuid_in_another_form_meets_no_condition() -> None:
    """A UUID that another program wrote to SQLite in upper case is not listed for being another text."""
    with opened_session("sqlite") as session:
        session.add(Document(id=REFERENCE, title="title"))
        session.flush()
        session.execute(sa.text("UPDATE declared_document SET reference = :digits"), {"digits": "A" * 32})
        other = {"docs:Reference": str(uuid.UUID("a" * 32))}
        assert listed(session, DOCUMENTS, Condition={"StringNotEquals": other}) == []


@table("relation", ["dictionary", "write-only"])
def test_tags_of_a_relationship_are_those_of_the_query(relation: str) -> None:
    """A relationship may be a dictionary; one that can't be iterated is not used."""
    with opened_session("sqlite") as session:
        session.add(Note(id=1, tags={"team": NoteTag(key="team", value="red")}))
        session.commit()
        note = NOTES if relation == "dictionary" else WRITE_ONLY_NOTES
        assert note.resource_of(session.get_one(note.model, 1)).tags == {"team": "red"}
        assert listed(session, note, Condition={"StringEquals": {"aws:ResourceTag/team": "red"}}) == [1]


def test_big_integer_key_of_another_type_is_not_listed() -> None:
    """SQLite stores any value in a key that is not declared as `INTEGER`; its row has no ARN."""
    with opened_session("sqlite") as session:
        session.execute(sa.text("INSERT INTO declared_note (id) VALUES ('abc'), (7)"))
        assert listed(session, NOTES) == [7]


@table(
    "options, message",
    [
        ({"account": Folder.account}, "column of `declared_note`, or a scalar subquery, for `{account}`"),
        ({"keys": {"docs:Owner": Folder.account}}, "for `docs:owner`"),
        ({"keys": {"docs:Owner": sa.func.lower(Folder.account, type_=sa.String)}}, "for `docs:owner`"),
        ({"keys": {"docs:Price": sa.Column("price", sa.REAL)}}, "expected text, a number"),
        ({"keys": {"docs:Price": sa.Column("price", sa.Float(24))}}, "expected text, a number"),
        ({"keys": {"docs:Id": sa.Column("id", sa.Uuid(native_uuid=False))}}, "expected text, a number"),
        ({"tags": TagRows(SpecialTag, NoteTag.note_id, NoteTag.key, NoteTag.value)}, "inherits from no other"),
        (
            {"model": Folder, "tags": TagRows(NoteTag, NoteTag.note_id, NoteTag.key, NoteTag.value)},
            "expected an owner of tags that refers to `declared_folder`",
        ),
    ],
)
def test_column_that_differs_in_a_query_is_refused(options: dict[str, Any], message: str) -> None:
    """Columns and tags of another table, numbers of four bytes, UUIDs in another form, rows of an inherited model."""
    with pytest.raises(ConfigurationError, match=message):
        Service("docs").resource_type("note", "note/{id}", **{"model": Note, "account": ACCOUNT, **options})


def test_subquery_of_the_row_is_accepted() -> None:
    """A scalar subquery reads another table for one row."""
    account = sa.select(Folder.account).where(Folder.id == Note.id).scalar_subquery()
    with opened_session("sqlite") as session:
        session.add_all([Note(id=1), Note(id=2), Folder(id=1, account=ACCOUNT), Folder(id=2, account="999988887777")])
        session.commit()
        notes = Service("docs").resource_type("note", "note/{id}", model=Note, account=account)
        assert listed(session, notes) == [1]

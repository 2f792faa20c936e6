"""The models of the filters' tests: three tables with the same columns, whose ids and tags differ.

`Document` has an integer id, and tags in JSONB where the database has it; `Paper` a template with two nullable columns,
and tags in plain JSON; `Record` a text id, and a table of tags.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from iam_guard import Service, TagRows


class Base(DeclarativeBase):
    """The declarative base of the models."""


class Columns:
    """The columns that all models have."""

    account: Mapped[str | None] = mapped_column(sa.String(12))
    owner: Mapped[str | None] = mapped_column(sa.Text)
    title: Mapped[str | None] = mapped_column(sa.Text)
    classification: Mapped[str | None] = mapped_column(sa.Text)
    size: Mapped[int | None] = mapped_column(sa.BigInteger)
    price: Mapped[float | None] = mapped_column(sa.Float(53))
    is_public: Mapped[bool | None] = mapped_column(sa.Boolean)
    created_at: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True))
    address: Mapped[str | None] = mapped_column(sa.Text)


class Document(Columns, Base):
    __tablename__ = "document"
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int | None] = mapped_column(sa.BigInteger)
    tags: Mapped[Any] = mapped_column(sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True)


class Paper(Columns, Base):
    __tablename__ = "paper"
    number: Mapped[int] = mapped_column(primary_key=True)
    folder: Mapped[str | None] = mapped_column(sa.Text)
    id: Mapped[str | None] = mapped_column(sa.Text)
    tags: Mapped[Any] = mapped_column(sa.JSON, nullable=True)


class Record(Columns, Base):
    __tablename__ = "record"
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str | None] = mapped_column(sa.Text)
    tags: Mapped[list[RecordTag]] = relationship(lazy="selectin")


class RecordTag(Base):
    __tablename__ = "record_tag"
    __table_args__ = (sa.UniqueConstraint("record_number", "key"),)
    number: Mapped[int] = mapped_column(primary_key=True)
    record_number: Mapped[int] = mapped_column(sa.ForeignKey("record.number"))
    key: Mapped[str | None] = mapped_column(sa.Text)
    value: Mapped[str | None] = mapped_column(sa.Text)


KEYS = {
    "docs:Class": "classification",
    "docs:Owner": "owner",
    "docs:Title": "title",
    "docs:Size": "size",
    "docs:Price": "price",
    "docs:Public": "is_public",
    "docs:Created": "created_at",
    "docs:Address": "address",
}
"""Maps the condition keys to the columns."""


@dataclass(frozen=True)
class Kind:
    """A model and the declaration of its resource type; `account` is its account column if it is None.

    `empty` are the keys for which the empty text is absent.
    """

    model: Any
    template: str
    tags: Any
    account: str | None = None
    empty: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.model.__tablename__)

    def declare(self, **options: Any) -> Any:
        """Declare the resource type."""
        keys = {key: getattr(self.model, column) for key, column in KEYS.items()}
        account = self.model.account if self.account is None else self.account
        options = {"absent": dict.fromkeys(self.empty, "empty"), **options}
        return Service("docs").resource_type(
            self.name, self.template, model=self.model, account=account, tags=self.tags, keys=keys, **options
        )


RECORD_TAGS = TagRows(RecordTag, owner=RecordTag.record_number, key=RecordTag.key, value=RecordTag.value)
DOCUMENTS = Kind(Document, "document/{id}", Document.tags)
PAPERS = Kind(Paper, "folder/{folder}/document/{id}", Paper.tags)
RECORDS = Kind(Record, "record/{id}", RECORD_TAGS)
KINDS = [DOCUMENTS, PAPERS, RECORDS]
"""One for each model."""
OTHER_KINDS = [
    replace(PAPERS, template="a_[b]%^\\/{folder}-{id}/x", empty=("docs:Class", "docs:Title", "docs:Address")),
    replace(RECORDS, account="111122223333"),
    replace(DOCUMENTS, template="{id}"),
]
"""Other declarations for the same models."""

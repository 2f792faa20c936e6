"""The models of the filters' tests: three tables with the same columns, whose ids and tags differ.

`Document` has an integer id, and tags in JSONB where the database has it; `Paper` a template with two nullable columns,
and tags in plain JSON; `Record` a text id, and a table of tags.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Kind:
    """A model with its resource type; `template` is that of the ARN's last field."""

    model: Any
    template: str
    declare: Callable[..., Any]
    """Declare the resource type; `absent` is passed on."""

    @property
    def name(self) -> str:
        return str(self.model.__tablename__)


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


def _kind(model: Any, template: str, tags: Any) -> Kind:
    def declare(**options: Any) -> Any:
        keys = {key: getattr(model, column) for key, column in KEYS.items()}
        declared = {"model": model, "account": model.account, "tags": tags, "keys": keys} | options
        return Service("docs").resource_type(model.__tablename__, template, **declared)

    return Kind(model, template, declare)


RECORD_TAGS = TagRows(RecordTag, owner=RecordTag.record_number, key=RecordTag.key, value=RecordTag.value)
KINDS = [
    _kind(Document, "document/{id}", Document.tags),
    _kind(Paper, "folder/{folder}/document/{id}", Paper.tags),
    _kind(Record, "record/{id}", RECORD_TAGS),
]

"""Columns of further types, templates with a whole ARN, and accounts that are expressions, with every operator."""

from __future__ import annotations

import enum
import random
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from iam_guard import AccessRequest, NotFilterable, Principal, Resource, Service, compile_policies, filter_statement
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.matching.operators import OPERATORS
from tests.filters.databases import DIALECTS, opened_engine
from tests.filters.rows import HERE

ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/ann", userid="AIDAANN")
UUIDS = [uuid.UUID(int=number * 0x1234567890ABCDEF1234567) for number in range(1, 7)]


class Base(DeclarativeBase):
    pass


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "BLUE"
    ROLE = "arn:aws:iam::111122223333:role/x"


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String)
    uid: Mapped[uuid.UUID | None] = mapped_column(sa.Uuid)
    colour: Mapped[Colour | None] = mapped_column(sa.Enum(Colour))
    size: Mapped[str | None] = mapped_column(sa.Enum("true", "7", "x-small", name="size"))
    amount: Mapped[Decimal | None] = mapped_column(sa.Numeric(20, 4))
    seen: Mapped[datetime | None] = mapped_column(sa.DateTime)
    label: Mapped[str | None] = mapped_column(sa.Text)


COLUMNS = {"docs:Uid": Thing.uid, "docs:Colour": Thing.colour, "docs:Size": Thing.size, "docs:Amount": Thing.amount}
KEYS = COLUMNS | {"docs:Seen": Thing.seen, "docs:Label": Thing.label}
VALUES = [
    *(
        str(UUIDS[0]),
        f"{str(UUIDS[1])[:8]}*",
        "red",
        "RED",
        "BLUE",
        "b*",
        "7",
        "1.5",
        "1.50",
        "0",
        "-3.25",
        "true",
        "*",
    ),
    *("2026-01-01T00:00:00Z", "2026", "arn:aws:iam::*:role/*", "10.0.0.0/8", "cmVk", "12345", "x-s*"),
    *("${docs:Colour}", "${docs:Size}", "${docs:Uid}", "${docs:Label}*", "${docs:Label, 'red'}"),
]
MODIFIERS = [("", ""), ("", "IfExists"), ("ForAnyValue:", ""), ("ForAllValues:", "")]


def declare(template: str, account: Any) -> Any:
    return Service("docs").resource_type("thing", template, model=Thing, account=account, keys=KEYS)


TYPES = {
    "whole ARN": declare("arn:aws:docs:::thing/{uid}", HERE),
    "two parameters": declare("thing/{uid}/label/{label}", Thing.tenant),
    "account as an expression": declare("thing/{id}", sa.case((Thing.label == "foreign", "999988887777"), else_=HERE)),
}
RESOURCES = [
    "arn:aws:docs:::thing/*",
    f"arn:aws:docs:::thing/{UUIDS[0]}",
    f"arn:aws:docs:::thing/{str(UUIDS[1])[:6]}*",
    f"arn:aws:docs:*:*:thing/{UUIDS[2]}/label/*",
    "arn:aws:docs:*:*:thing/*/label/r*",
    "arn:aws:docs:*:*:thing/${docs:Uid}/*",
    "arn:aws:docs:*:*:thing/?",
    "*",
]


def things() -> list[Thing]:
    chance = random.Random(7)
    return [
        Thing(
            id=number,
            tenant=chance.choice([HERE, HERE, "999988887777", "elsewhere"]),
            uid=chance.choice(UUIDS),
            colour=chance.choice([None, *Colour]),
            size=chance.choice([None, "true", "7", "x-small"]),
            amount=chance.choice([None, Decimal(0), Decimal("1.5"), Decimal("-3.2500"), Decimal("1234567890123.4567")]),
            seen=chance.choice([None, datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 0, 1), datetime(9999, 12, 31)]),  # noqa: DTZ001
            label=chance.choice([None, "", "red", "foreign", "BLUE", "a/label/b"]),
        )
        for number in range(1, 61)
    ]


@pytest.fixture(scope="module", params=DIALECTS)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    with opened_engine(request.param) as engine:
        Base.metadata.create_all(engine)
        with Session(engine) as opened:
            opened.add_all(things())
            opened.commit()
            yield opened


def policies(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Yield one policy set for each operator, modifier and key, with an Allow of everything, or a Deny."""
    for operator in (*OPERATORS, "Null"):
        for prefix, suffix in MODIFIERS if operator != "Null" else [("", "")]:
            for key in KEYS:
                values = ["true"] if operator == "Null" else chance.sample(VALUES, 2)
                condition = {f"{prefix}{operator}{suffix}": {key: values}}
                effect = chance.choice(["Allow", "Deny"])
                tested = {
                    "Effect": effect,
                    "Action": "*",
                    "Resource": chance.sample(RESOURCES, 3),
                    "Condition": condition,
                }
                rest = [{"Effect": "Allow", "Action": "*", "Resource": "*"}] if effect == "Deny" else []
                yield {"identity": [{"Version": "2012-10-17", "Statement": [tested, *rest]}]}


def test_filters_list_what_decide_allows(session: Session) -> None:
    """Refusals are counted, so that the table stays about what is translated."""
    dialect = session.get_bind().dialect.name
    every = session.scalars(sa.select(Thing)).all()
    resources = {name: [(thing.id, _resource(mapping, thing)) for thing in every] for name, mapping in TYPES.items()}
    translated = refused = 0
    for number, given in enumerate(policies(random.Random(11))):
        try:
            authorizer = compile_policies(**given)
        except PolicyError:
            continue
        name = [*TYPES][number % len(TYPES)]
        mapping = TYPES[name]
        try:
            query = filter_statement(
                authorizer, ANN, sa.select(Thing.id), "docs:Get", resource_type=mapping, dialect=dialect
            )
        except NotFilterable:
            refused += 1
            continue
        translated += 1
        allowed = {
            id
            for id, resource in resources[name]
            if resource and authorizer.decide(AccessRequest.for_resource(ANN, "docs:Get", resource)).allowed
        }
        assert set(session.scalars(query)) == allowed, (name, given)
    assert translated > 3 * refused


def _resource(mapping: Any, thing: Thing) -> Resource | None:
    """Return the resource of a row; without an account or a label there is none."""
    with suppress(InvalidInput):
        return mapping.resource_of(thing)  # type: ignore[no-any-return]
    return None

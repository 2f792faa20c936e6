"""A question about an action that is not declared has no true answer, and is refused as a declaration would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from iam_guard import Guard, Principal, Service, open_guard
from iam_guard.errors import ConfigurationError
from tests.tables import table

ACME = "111122223333"
ANN = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ann")
ARN = f"arn:aws:docs:us-east-1:{ACME}:document/7"


class Base(DeclarativeBase):
    pass


class Document(Base):
    __tablename__ = "named_documents"
    name: Mapped[str] = mapped_column(String, primary_key=True)
    account: Mapped[str] = mapped_column(String(12))


def declare(*actions: str) -> Service:
    docs = Service("docs")
    docs.resource_type("document", "document/{name}", model=Document, account=Document.account)
    for action in actions:
        docs.declare_action(action)
    return docs


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Guard]]:
    guards: list[Guard] = []

    def open_one(*services: Service) -> Guard:
        guards.append(open_guard("sqlite://", services=services))
        return guards[-1]

    yield open_one
    for guard in guards:
        with closing(guard):
            pass


QUESTIONS: dict[str, Callable[[Guard, Any], object]] = {
    "filter": lambda guard, action: guard.filter(select(Document), action, principal=ANN),
    "explain_filter": lambda guard, action: guard.lists.explain_filter(
        select(Document), action, principal=ANN, dialect="sqlite"
    ),
    "permitted": lambda guard, action: guard.permitted([Document(name="7", account=ACME)], action, principal=ANN),
    "why_not": lambda guard, action: guard.lists.why_not(Document(name="7", account=ACME), action, principal=ANN),
    "ask": lambda guard, action: guard.ask(ANN, [(action, ARN)]),
}
WRONG = [
    ("docs:GetDocumnet", "did you mean `GetDocument`?"),
    ("docs:getdocument", "did you mean `GetDocument`?"),
    ("dosc:GetDocument", "did you mean `docs`?"),
    ("docs:Unheard", "declare it by `requires` or `declare_action`"),
    ("docs:Get*", "expected a declared action"),
    ("Docs:GetDocument", "expected an action of the guard's services (`docs`)"),
    ("s3:GetObject", "expected an action of the guard's services (`docs`)"),
    ("GetDocument", "expected an action such as `docs:GetDocument`"),
    ("docs:", "expected a declared action"),
    (7, "got `int`"),
]


@table("name", QUESTIONS)
def test_action_that_is_not_declared_is_refused(opened: Callable[..., Guard], name: str) -> None:
    guard = opened(declare("GetDocument", "PutDocument"))
    for action, message in WRONG:
        with pytest.raises(ConfigurationError) as caught:
            QUESTIONS[name](guard, action)
        assert message in str(caught.value), action
    QUESTIONS[name](guard, "docs:GetDocument")


@table("name", QUESTIONS)
def test_service_without_actions_has_them_all(opened: Callable[..., Guard], name: str) -> None:
    """Of the right form, since its application declares its actions nowhere."""
    guard = opened(declare())
    QUESTIONS[name](guard, "docs:GetDocument")
    with pytest.raises(ConfigurationError):
        QUESTIONS[name](guard, "docs:Get*")


def test_permissions_of_iam_can_be_asked(opened: Callable[..., Guard]) -> None:
    """The application declares none of its actions; a guard without services knows no names at all."""
    assert not opened(declare("GetDocument")).ask(ANN, [("iam:GetUser", ANN.arn)])[0].allowed
    assert not opened().ask(ANN, [("docs:GetDocumnet", ARN)])[0].allowed

"""`permitted`: a dependency that filters a statement for the caller of the request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from tests.integrations.contract import needed

needed("fastapi", "iam_guard_fastapi")

from fastapi import Depends, FastAPI  # noqa: E402
from iam_guard_fastapi import guarded, permitted  # noqa: E402
from sqlalchemy import Engine, Select, StaticPool, create_engine, insert, select  # noqa: E402
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from iam_guard import Guard, GuardMiddleware, Service, open_guard  # noqa: E402
from iam_guard.authn.api_key import format_api_key  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from iam_guard.web.asgi.routes import unguarded  # noqa: E402

ACME = "111122223333"
SECRET = "0123456789abcdefghijklmnopqrstuvwxyzabcd"


class Base(DeclarativeBase): ...


class Document(Base):
    __tablename__ = "documents"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


docs = Service("docs")
docs.declare_action("GetDocument")
docs.resource_type("document", "document/{id}", model=Document, account=ACME, keys={"docs:Kind": Document.kind})
may_list = guarded("ListDocuments", service=docs)
Permitted = Annotated[Select[Document], Depends(permitted(select(Document), "docs:GetDocument"))]
Rechecked = Annotated[Select[Document], Depends(permitted(select(Document), "docs:GetDocument", residual="recheck"))]

SEED = f"""
version: 1
accounts:
  - id: "{ACME}"
    name: acme
    users:
      - name: rita
        inline: {{Read: {{Version: "2012-10-17", Statement: [
          {{Effect: Allow, Action: "docs:ListDocuments", Resource: "*"}},
          {{Effect: Allow, Action: "docs:GetDocument", Resource: "*",
            Condition: {{StringEquals: {{"docs:Kind": report}}}}}}]}}}}
        api_keys: [{{id: RITA1, secret: {SECRET}}}]
      - name: eve
        inline: {{Read: {{Version: "2012-10-17", Statement: [
          {{Effect: Allow, Action: "docs:ListDocuments", Resource: "*"}},
          {{Effect: Allow, Action: "docs:GetDocument", Resource: "*",
            Condition: {{StringEqualsIgnoreCase: {{"docs:Kind": REPORT}}}}}}]}}}}
        api_keys: [{{id: EVE01, secret: {SECRET}}}]
"""


def headers(key: str) -> dict[str, str]:
    return {"authorization": "Bearer " + format_api_key(key, SECRET)}


@pytest.fixture
def engine() -> Iterator[Engine]:
    created = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(created)
    with created.begin() as connection:
        connection.execute(insert(Document), [{"id": 1, "kind": "report"}, {"id": 2, "kind": "plan"}])
    yield created
    created.dispose()


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED, encoding="utf-8")
    opened = open_guard(str(seed), services=[docs])
    yield opened
    opened.close()


@pytest.fixture
def client(guard: Guard, engine: Engine) -> TestClient:
    app = FastAPI(openapi_url=None)

    @app.get("/documents", dependencies=[Depends(may_list)])
    def list_documents(statement: Permitted) -> list[int]:
        with Session(engine) as session:
            return [document.id for document in session.scalars(statement)]

    @app.get("/async", dependencies=[Depends(may_list)])
    async def list_in_the_event_loop(statement: Permitted) -> list[int]:
        with Session(engine) as session:
            return [document.id for document in session.scalars(statement.order_by(Document.id).limit(1))]

    @app.get("/rechecked", dependencies=[Depends(may_list)])
    def list_rechecked(statement: Rechecked) -> list[list[int]]:
        with Session(engine) as session:
            found = session.scalars(statement).all()
            allowed = guard.permitted(found, "docs:GetDocument")
            return [[document.id for document in documents] for documents in (found, allowed)]

    app.add_middleware(GuardMiddleware, guard=guard)
    return TestClient(app, raise_server_exceptions=False)


def test_list_has_the_rows_of_the_caller(client: TestClient) -> None:
    assert client.get("/documents", headers=headers("RITA1")).json() == [1]
    assert client.get("/async", headers=headers("RITA1")).json() == [1]


def test_list_of_a_policy_that_cannot_be_filtered_is_an_error(client: TestClient) -> None:
    assert client.get("/documents", headers=headers("EVE01")).status_code == 500


def test_rechecked_list_is_decided_in_memory(client: TestClient) -> None:
    assert client.get("/rechecked", headers=headers("EVE01")).json() == [[1, 2], [1]]


def test_unauthenticated_client_gets_no_statement(client: TestClient) -> None:
    assert client.get("/documents").status_code == 401


def test_filter_runs_outside_of_the_event_loop(
    client: TestClient, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the store must not block the loop."""
    threads: list[str] = []
    filtered = guard.filter

    def recorded(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread().name)
        return filtered(*arguments, **options)

    monkeypatch.setattr(guard, "filter", recorded)
    assert client.get("/async", headers=headers("RITA1")).status_code == 200
    assert ["AnyIO worker thread" in name for name in threads] == [True]


def test_filter_does_not_guard_its_route() -> None:
    app = FastAPI(openapi_url=None)

    @app.get("/documents")
    def list_documents(statement: Permitted) -> None: ...

    assert [str(endpoint).split(" (")[0] for endpoint in unguarded(app)] == ["GET /documents"]


def test_filter_outside_of_a_call_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no guarded call"):
        permitted(select(Document), "docs:GetDocument")()

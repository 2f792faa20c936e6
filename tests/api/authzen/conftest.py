"""A decision point over a real connection: two accounts, documents in a table, and an audit trail in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import JSON, Integer, String, create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool

from iam_guard import Guard, Service
from iam_guard.api.authzen.app import authzen_api
from iam_guard.audit.trail import Trail
from iam_guard.authn.api_key import format_api_key
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.audit.list_sink import ListSink
from tests.serving import serving

ACME, GLOBEX, MISSING = "111122223333", "444455556666", "999900001111"
SECRET = "secret0123456789abcdefghijklmnopqrst"


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
    {"id": 4, "account": ACME, "kind": "secret", "tags": {"team": "red"}},
    {"id": 5, "account": GLOBEX, "kind": "report", "tags": {"team": "red"}},
    {"id": 6, "account": GLOBEX, "kind": "report", "tags": {"team": "blue"}},
]


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "docs:GetDocument", **elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*", **elements}


def user(name: str, *statements: dict[str, Any], **members: Any) -> dict[str, Any]:
    keys = [{"id": f"KEY{name.upper()}", "secret": SECRET}]
    inline = {"inline": {"own": policy(*statements)}} if statements else {}
    return {"name": name, "api_keys": keys, **inline, **members}


TEAM = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
ASKING = allow(["iam-guard:EvaluateAccess", "iam-guard:Search*"])
SEED = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "name": "acme",
            "users": [
                user("ann", allow(Condition=TEAM), tags={"team": "red"}),
                user("bob", allow(["docs:GetDocument", "docs:PutDocument"])),
                user(
                    "cid",
                    allow(),
                    {**allow(), "Effect": "Deny", "Condition": {"StringEquals": {"docs:Kind": "secret"}}},
                ),
                user("kim", allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
                user("loc", allow(Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})),
                user("pep", ASKING),
                user("other", ASKING),
                user("weak"),
            ],
            "roles": [
                {
                    "name": "reader",
                    "path": "/team/",
                    "trust": policy({"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:AssumeRole"}),
                    "inline": {"own": policy(allow())},
                }
            ],
        },
        {
            "id": GLOBEX,
            "name": "globex",
            "users": [user("gus", allow()), user("gpep", ASKING), user("admin", attached=["AdministratorAccess"])],
        },
    ],
}


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
    docs.declare_resource_type("folder", "folder/{name}")
    for name in ("GetDocument", "PutDocument", "DeleteDocument"):
        docs.declare_action(name, resource_types=["document"])
    docs.declare_action("GetFolder", resource_types=["folder"])
    return docs


def subject(name: str, account: str = ACME, kind: str = "user") -> dict[str, Any]:
    return {"type": kind, "id": f"arn:aws:iam::{account}:{'root' if kind == 'root' else f'{kind}/{name}'}"}


def document(number: int | str, account: str = ACME) -> dict[str, Any]:
    return {"type": "document", "id": f"arn:aws:docs:us-east-1:{account}:document/{number}"}


def question(name: str, number: int | str, action: str = "docs:GetDocument", **members: Any) -> dict[str, Any]:
    return {"subject": subject(name), "action": {"name": action}, "resource": document(number), **members}


@dataclass(frozen=True)
class DecisionPoint:
    """A served decision point."""

    guard: Guard
    url: str
    sink: ListSink
    client: httpx2.Client

    def post(self, path: str, body: Any, caller: str | None = "pep", **headers: str) -> httpx2.Response:
        """Send a request as a user, by its API key."""
        key = {} if caller is None else {"authorization": "Bearer " + format_api_key(f"KEY{caller.upper()}", SECRET)}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **key, **headers}
        return self.client.post(f"{self.url}/access/v1/{path}", content=content, headers=sent)

    def answer(self, path: str, body: Any, caller: str = "pep") -> Any:
        """Return the JSON of a successful response."""
        response = self.post(path, body, caller)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    def decision(self, body: Any) -> bool:
        """Return the decision of one evaluation."""
        decision: bool = self.answer("evaluation", body)["decision"]
        return decision

    def records(self, name: str) -> list[Any]:
        """Return the audit records of an event."""
        return [record for record in self.sink.records if record["eventName"] == name]


@contextmanager
def open_point(
    service: Service, resources: Any = None, access_keys: dict[str, Any] | None = None
) -> Iterator[tuple[Guard, ListSink]]:
    """Open a guard with the seed, and access keys of users of the first account; close it at the end."""
    settings, sink = Settings(), ListSink()
    store = create_store("sqlite://", settings)
    seed: Any = json.loads(json.dumps(SEED))
    for member in seed["accounts"][0]["users"]:
        member["access_keys"] = [key for name, key in (access_keys or {}).items() if name == member["name"]]
    apply_seed(store, load_seed_text(json.dumps(seed)))
    trail = Trail(sink)
    guard = Guard(CachedStore(store, settings), trail, settings, catalogues=[service.catalogue], resources=resources)
    try:
        yield guard, sink
    finally:
        guard.close()


@pytest.fixture(scope="package")
def point() -> Iterator[DecisionPoint]:
    """The decision point; its tests change nothing but the audit trail."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(insert(Document), ROWS)
        session.commit()
    service = declare()
    mapping: Any = service.catalogue.mappings["document"]
    shared = policy(allow("docs:*", Principal={"AWS": subject("bob")["id"]}))
    with open_point(service, MappedResources(sessionmaker(engine), mapping)) as (guard, sink):
        guard.resource_policies.put(document(5, GLOBEX)["id"], shared)
        guard.resource_policies.put("arn:aws:docs:::folder/their", shared, account=GLOBEX)
        with serving(authzen_api(guard, url="https://pdp.example.com")) as url, httpx2.Client(timeout=30) as client:
            yield DecisionPoint(guard, url, sink, client)
    engine.dispose()

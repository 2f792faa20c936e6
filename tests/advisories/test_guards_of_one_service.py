"""Advisory: the guard that was opened last wrote its region and partition into the application's declarations.

The other guards of the process then decided `resource_of(row)` under ARNs that are not theirs: a Deny of their region
did not match, and what `decide` must deny was allowed. A guard writes into nothing that the application declares: a
declared resource has the region and the partition of the guard that decides about it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import String, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import (
    Guard,
    GuardMiddleware,
    GuardWsgiMiddleware,
    Outcome,
    Principal,
    RouteMap,
    Service,
    compile_policies,
)
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.factory import guard_with_store
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest, Resource
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.web.call_context import current_call

ACME = "111122223333"
PLACES = {"a": ("aws", "eu-west-1"), "b": ("aws-cn", "cn-north-1"), "c": ("aws", "us-east-1")}
ORDERS = ("abc", "cba", "bca")
GET = "docs:GetDocument"


class Base(DeclarativeBase):
    pass


class Document(Base):
    __tablename__ = "located_documents"
    name: Mapped[str] = mapped_column(String, primary_key=True)
    account: Mapped[str] = mapped_column(String(12))


class World:
    """One service, and a guard for each place: it allows everything but its own document `secret`."""

    def __init__(self, folder: Path, order: str, cleanup: ExitStack) -> None:
        self.docs = Service("docs")
        self.documents = self.docs.resource_type(
            "document", "document/{name}", model=Document, account=Document.account
        )
        self.docs.declare_action("GetDocument")
        engine = create_engine(f"sqlite:///{folder}/documents.db")
        cleanup.callback(engine.dispose)
        Base.metadata.create_all(engine)
        self.sessions = sessionmaker(engine)
        with self.sessions.begin() as session:
            names = ("plain", "secret", "{region}")
            session.execute(insert(Document), [{"name": name, "account": ACME} for name in names])
        self.resources = MappedResources(self.sessions, self.documents)
        self.guards: dict[str, Guard] = {}
        for name in order:
            self.guards[name] = cleanup.enter_context(closing(self._open(folder / name, *PLACES[name])))

    def _open(self, folder: Path, partition: str, region: str) -> Guard:
        folder.mkdir()
        settings = Settings(audit=str(folder / "audit.jsonl"), partition=partition, region=region)
        store = create_store(f"sqlite:///{folder}/iam.db", settings)
        secret = f"arn:{partition}:docs:{region}:{ACME}:document/secret"
        statements = [
            {"Effect": "Allow", "Action": "docs:*", "Resource": f"arn:{partition}:docs:{region}:*"},
            {"Effect": "Deny", "Action": "docs:*", "Resource": secret},
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        user = {"name": "ann", "inline": {"own": policy}}
        seed = {"version": 1, "accounts": [{"id": ACME, "name": "acme", "users": [user]}]}
        apply_seed(store, load_seed_text(json.dumps(seed)))
        return guard_with_store(store, settings, services=[self.docs], resources=self.resources)

    def ann(self, name: str) -> Principal:
        return Principal(PrincipalType.USER, f"arn:{PLACES[name][0]}:iam::{ACME}:user/ann", ACME)

    def arn(self, name: str, document: str) -> str:
        partition, region = PLACES[name]
        return f"arn:{partition}:docs:{region}:{ACME}:document/{document}"

    def row(self, name: str) -> Document:
        with self.sessions() as session:
            return session.get_one(Document, name)


@contextmanager
def worlds(folder: Path) -> Iterator[list[World]]:
    with ExitStack() as cleanup:
        found = []
        for order in ORDERS:
            (folder / order).mkdir()
            found.append(World(folder / order, order, cleanup))
        yield found


def test_each_guard_decides_under_its_own_arns(tmp_path: Path) -> None:
    """In whichever order they were opened; in `decide`, `permitted`, `why_not`, `ask`, lists and loaders."""
    with worlds(tmp_path) as found:
        for world in found:
            for name, guard in world.guards.items():
                check_guard(world, name, guard)


def check_guard(world: World, name: str, guard: Guard) -> None:
    ann = world.ann(name)
    for row, allowed in ((world.row("plain"), True), (world.row("secret"), False), (world.row("{region}"), True)):
        resource, arn = world.documents.resource_of(row), world.arn(name, row.name)
        for _ in range(2):  # the second time from a plan
            decision = guard.decide(ann, GET, resource)
            assert (decision.allowed, decision.request.resource) == (allowed, arn)
        assert guard.decide(ann, GET, resource.arn).request.resource == arn
        assert guard.decide(ann, GET, arn).allowed is allowed
        [asked] = guard.ask(ann, [(GET, resource)])
        assert (asked.allowed, asked.request.resource) == (allowed, arn)
        explanation = guard.lists.why_not(row, GET, principal=ann)
        assert (explanation.outcome is Outcome.ALLOWED) is allowed
        assert guard.lists.resource_of(row) == Resource(arn, ACME)
        assert guard.permitted([row], GET, principal=ann) == ([row] if allowed else [])
        assert guard.resources is not None
        loaded = guard.resources(arn)
        assert loaded is not None
        assert loaded.arn == arn
        others = [world.arn(other, row.name) for other in PLACES if other != name]
        assert not any(guard.decide(ann, GET, other).allowed for other in others)
    with world.sessions() as session:
        rows = session.scalars(guard.filter(select(Document.name), GET, principal=ann)).all()
    assert sorted(rows) == ["plain", "{region}"]


def test_shares_are_of_the_guard_that_shares(tmp_path: Path) -> None:
    """`share` of a declared resource stores the policy under the guard's own ARN."""
    with worlds(tmp_path) as [world, *_]:
        resource = world.documents.resource_of(world.row("plain"))
        for name, guard in world.guards.items():
            guard.sharing.share(resource.arn, with_account="444455556666", external=True, actions=[GET])
            assert [policy.arn for policy in guard.resource_policies.list()] == [world.arn(name, "plain")]
            assert guard.sharing.shares_of(resource.arn) == guard.sharing.shares_of(world.arn(name, "plain")) != []
            assert guard.resource_policies.get(resource.arn) is not None
            assert guard.sharing.unshare(resource.arn, with_account="444455556666") == []
            guard.resource_policies.put(
                resource.arn, {"Version": "2012-10-17", "Statement": [statement_for(ACME, world.arn(name, "plain"))]}
            )
            guard.resource_policies.delete(resource.arn)


def statement_for(account: str, resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": account}, "Action": GET, "Resource": resource}


def test_requests_are_decided_by_the_guard_that_serves_them(tmp_path: Path) -> None:
    """Through ASGI and WSGI, whose handlers are the same functions of the module, with two guards in front."""
    with worlds(tmp_path) as found:
        for world in found:

            def load(name: str, world: World = world) -> Resource:
                return world.documents.resource_of(world.row(name))

            @world.docs.requires("GetDocument", resource=load)
            async def get_document(request: Request) -> JSONResponse:
                return JSONResponse(current_call().decisions[-1].request.resource)

            @world.docs.requires("GetDocument", resource=load)
            def get_by_name(name: str) -> bytes:
                return current_call().decisions[-1].request.resource.encode()

            def serve_wsgi(environ: Any, start_response: Any, get_by_name: Any = get_by_name) -> list[bytes]:
                body = get_by_name(environ["PATH_INFO"].rpartition("/")[2])
                start_response("200 OK", [("content-type", "text/plain")])
                return [body]

            routes = [Route("/documents/{name}", get_document)]
            for name, guard in world.guards.items():
                key = guard.api_keys.create(world.ann(name).arn)
                headers = {"authorization": f"Bearer {key.text}"}
                app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])
                client = TestClient(app)
                answer = client.get("/documents/plain", headers=headers)
                assert (answer.status_code, answer.json()) == (200, world.arn(name, "plain"))
                assert client.get("/documents/secret", headers=headers).status_code == 403
                wsgi = wsgi_client(GuardWsgiMiddleware(serve_wsgi, guard=guard))
                assert wsgi("/documents/plain", key.text) == (200, world.arn(name, "plain").encode())
                assert wsgi("/documents/secret", key.text)[0] == 403


def wsgi_client(app: Any) -> Callable[[str, str], tuple[int, bytes]]:
    def get(path: str, key: str) -> tuple[int, bytes]:
        started: list[str] = []
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "docs.example",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.7",
            "wsgi.url_scheme": "https",
            "HTTP_HOST": "docs.example",
            "HTTP_AUTHORIZATION": f"Bearer {key}",
        }
        parts = app(environ, lambda status, headers, exc_info=None: started.append(status))
        body = b"".join(parts)
        parts.close() if hasattr(parts, "close") else None
        return int(started[-1][:3]), body

    return get


def test_route_map_of_another_guard_makes_nothing_public(tmp_path: Path) -> None:
    """Two guards with a map each guard one application: a row counts for requests of its own guard alone."""
    with worlds(tmp_path) as [world, *_]:

        async def get_document(request: Request) -> PlainTextResponse:
            return PlainTextResponse("document")

        app = Starlette(routes=[Route("/documents/{name}", get_document)])
        open_to_all, closed = RouteMap(services=[world.docs]), RouteMap(services=[world.docs])
        open_to_all.public("GET", "/documents/{name}")

        first = TestClient(GuardMiddleware(app, guard=world.guards["a"], routes=open_to_all))
        second = TestClient(
            GuardMiddleware(app, guard=world.guards["b"], routes=closed, check_routes=False),
            raise_server_exceptions=False,
        )
        assert first.get("/documents/plain").status_code == 200
        assert second.get("/documents/plain").status_code == 500
        assert first.get("/documents/plain").status_code == 200


def test_unlocated_resource_is_never_compared_with_policies() -> None:
    """A request without a guard names the place; otherwise a Deny of the place would not match."""
    documents = Service("docs").resource_type("document", "document/{name}", model=Document, account=Document.account)
    resource = documents.resource_of(Document(name="secret", account=ACME))
    ann = Principal(PrincipalType.USER, f"arn:aws:iam::{ACME}:user/ann", ACME)
    with pytest.raises(InvalidInput, match="expected a complete ARN"):
        AccessRequest(ann, GET, resource.arn)
    arn = f"arn:aws:docs:eu-west-1:{ACME}:document/secret"
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": arn},
    ]
    policies = compile_policies(identity=[{"Version": "2012-10-17", "Statement": statements}])
    for region, allowed in (("eu-west-1", False), ("us-east-1", True)):
        request = AccessRequest.for_resource(ann, GET, resource, region=region)
        assert policies.decide(request).allowed is allowed
    assert AccessRequest(ann, GET, f"{arn}/{{region}}").resource.endswith("/{region}")


def test_place_elsewhere_in_a_declared_arn_is_refused() -> None:
    """A value of a row could look like it."""
    for template in ("document/{region}/{name}", "arn:aws:docs:x{region}:{account}:document/{name}"):
        with pytest.raises(ConfigurationError, match="as a whole field of the ARN"):
            Service("docs").resource_type("document", template, model=Document, account=Document.account)

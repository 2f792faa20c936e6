"""The first request of a principal: at most two statements, and one change of threads, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio.to_thread
import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Principal, Service
from iam_guard.administration.api_keys import ApiKeys
from iam_guard.audit.trail import Trail
from iam_guard.model.credential import Session
from iam_guard.model.result import NoChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.audit.list_sink import ListSink
from tests.conftest import ACME, ADA, RITA, SEED

SESSION = ("ASIATESTSESSION00001", "session-secret-0123456789abcdefghijklmno")
docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> PlainTextResponse:
    return PlainTextResponse("text")


class Costs:
    """What requests cost: statements, but for polls, and changes of threads."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.hops = 0


@contextmanager
def counted(engine: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Costs]:
    costs, run_sync = Costs(), anyio.to_thread.run_sync

    def execute(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "iam-guard" not in threading.current_thread().name:
            costs.statements.append(statement)

    async def hop(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        costs.hops += 1
        return await run_sync(work, *arguments, **options)

    event.listen(engine, "before_cursor_execute", execute)
    with monkeypatch.context() as patch:
        patch.setattr(anyio.to_thread, "run_sync", hop)
        yield costs
    event.remove(engine, "before_cursor_execute", execute)


def signed(key: tuple[str, str], path: str, token: str | None = None) -> dict[str, str]:
    request = AWSRequest("GET", f"http://testserver{path}", data=b"")
    botocore.auth.SigV4Auth(Credentials(*key, token), "docs", "us-east-1").add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}


def answered(client: TestClient, path: str, headers: Mapping[str, str]) -> None:
    assert client.get(path, headers=headers).status_code == 200


def test_first_request_takes_two_statements(
    database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """By access key, API key and session, of a process that has answered another principal; then none."""
    settings = replace(settings, epoch_poll=3600.0)
    with closing(open_database(database, settings)) as store:
        apply_seed(store, load_seed_text(SEED))
        ada = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
        api_key = ApiKeys(store, NoChangeRecorder()).create(ada.arn)
        ada = replace(ada, userid=store.principal(ada).principal.userid)
        now = datetime.now(UTC)
        session = Session(*SESSION, ada, now, now + timedelta(hours=1), parent_key_id=ADA[0])
        token = store.seal_session(session)
        ways: dict[str, Callable[[str], Mapping[str, str]]] = {
            "access key": lambda path: signed(ADA, path),
            "API key": lambda path: {"x-api-key": api_key.text},
            "session": lambda path: signed(SESSION, path, token),
        }
    for name, headers in ways.items():
        store = open_database(database, settings)
        guard = Guard(CachedStore(store, settings), Trail(ListSink()), settings, catalogues=[docs.catalogue])
        with subtests.test(name), closing(guard), TestClient(application(guard)) as client:
            answered(client, "/documents/0", signed(RITA, "/documents/0"))
            with counted(store.engine, monkeypatch) as costs:
                answered(client, "/documents/1", headers("/documents/1"))
            assert len(costs.statements) <= 2, costs.statements
            assert costs.hops <= 1
            with counted(store.engine, monkeypatch) as costs:
                answered(client, "/documents/2", headers("/documents/2"))
            assert (costs.statements, costs.hops) == ([], 0)


def application(guard: Guard) -> Starlette:
    routes = [Route("/documents/{document_id}", get_document)]
    return Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])

"""Test callers without credentials: inside a block of a test only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

import iam_guard
from iam_guard import AccessDenied, Guard, GuardMiddleware, Principal, Service, current_decision, current_principal
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import ConfigurationError, CredentialError, InvalidInput
from iam_guard.testing import as_principal, signed_in
from iam_guard.testing.principal_names import principal_named
from tests.conftest import ADA, Sign

ACCOUNT = "arn:aws:iam::111122223333"
ADA_ARN, RITA_ARN = f"{ACCOUNT}:user/ada", f"{ACCOUNT}:user/rita"
docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


@docs.requires("PutDocument", resource="document/{document_id}")
async def put_document(request: Request) -> Response:
    return PlainTextResponse((await request.body()).decode())


@docs.requires("DeleteDocument", resource="document/{document_id}")
def delete(document_id: str) -> str:
    return f"{current_principal().name} deleted {document_id}"


@pytest.fixture
def app(guard: Guard) -> Starlette:
    return Starlette(
        routes=[
            Route("/documents/{document_id}", get_document),
            Route("/documents/{document_id}", put_document, methods=["PUT"]),
        ],
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )


@pytest.fixture
def client(app: Starlette) -> Iterator[TestClient]:
    with TestClient(app) as opened:
        yield opened


def test_client_is_principal_of_block(client: TestClient) -> None:
    """Anonymous before and after; the inner block wins."""
    assert client.get("/documents/7").status_code == 401
    with as_principal(ADA_ARN):
        assert client.get("/documents/7").text == ADA_ARN
        assert client.put("/documents/7", content=b"text").text == "text"
        with as_principal(RITA_ARN) as rita:
            assert rita == Principal.from_arn(RITA_ARN)
            assert client.put("/documents/7").status_code == 403
        assert client.get("/documents/7").text == ADA_ARN
        with as_principal("anonymous"):
            assert client.get("/documents/7").status_code == 401
    assert client.get("/documents/7").status_code == 401


def test_two_clients_are_two_principals(app: Starlette) -> None:
    """At once; a wrapped application supports start-up too."""
    with TestClient(signed_in(app, ADA_ARN)) as ada, TestClient(signed_in(app, RITA_ARN)) as rita:
        assert [each.put("/documents/7").status_code for each in (ada, rita)] == [200, 403]


def test_asynchronous_client_is_principal(app: Starlette) -> None:
    """One per task, at the same time."""

    async def ask(arn: str, heard: list[str]) -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://t") as client:
            with as_principal(arn):
                for _ in range(5):
                    heard.append((await client.get("/documents/7")).text)
                    await anyio.lowlevel.checkpoint()

    async def both() -> tuple[list[str], list[str]]:
        ada: list[str] = []
        rita: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, ADA_ARN, ada)
            tasks.start_soon(ask, RITA_ARN, rita)
        return ada, rita

    assert anyio.run(both) == ([ADA_ARN] * 5, [RITA_ARN] * 5)


def test_sent_credentials_take_precedence(client: TestClient, sign: Sign) -> None:
    """Valid ones authenticate their owner; invalid ones are refused, also in the block."""
    with as_principal(RITA_ARN):
        assert client.get("/documents/7", headers=sign(ADA, "GET", "/documents/7")).text == ADA_ARN
        assert client.get("/documents/7", headers={"authorization": "Bearer x"}).status_code == 401


def test_any_adapter_authenticates_principal(guard: Guard) -> None:
    """With the public method of the guard, synchronous or not."""
    request = HttpRequest("GET", b"/", b"", ())
    with as_principal(ADA_ARN) as ada:
        assert guard.authenticate(request, payload_hash=str) is ada
        bad = HttpRequest("GET", b"/", b"", ((b"authorization", b"Bearer x"),))
        with pytest.raises(CredentialError):
            guard.authenticate(bad, payload_hash=str)
    assert guard.authenticate(request, payload_hash=str) == Principal.anonymous()


def test_handler_can_be_called_directly(guard: Guard) -> None:
    """Without an application; its decision can be inspected."""
    with as_principal(ADA_ARN, guard):
        assert delete("7") == "ada deleted 7"
        decision = current_decision()
        assert decision is not None
        assert decision.request.resource == "arn:aws:docs:us-east-1:111122223333:document/7"
    with as_principal(RITA_ARN, guard), pytest.raises(AccessDenied):
        delete("7")
    with as_principal(ADA_ARN), pytest.raises(ConfigurationError, match="no guarded call"):
        delete("7")


def test_names_of_principals() -> None:
    """A role means a session of it, with its path."""
    role = principal_named(f"{ACCOUNT}:role/team/dev")
    assert role.arn == "arn:aws:sts::111122223333:assumed-role/dev/test"
    assert role.role_arn == f"{ACCOUNT}:role/team/dev"
    assert principal_named("events.amazonaws.com") == Principal.service("events.amazonaws.com")
    assert principal_named(role) is role
    for wrong in ("ada", f"{ACCOUNT}:group/staff", ""):
        with pytest.raises(InvalidInput):
            principal_named(wrong)


# --- safety ------------------------------------------------------------------------------------------------------


def test_original_function_is_restored(app: Starlette) -> None:
    """Also if blocks end in another order than they began, and after a failure inside."""
    before = Guard.authenticate
    first, second = as_principal(ADA_ARN), as_principal(RITA_ARN)
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    assert Guard.authenticate is not before
    first.__exit__(None, None, None)
    with pytest.raises(ZeroDivisionError), as_principal(ADA_ARN):
        _ = 1 / 0
    assert Guard.authenticate is before


def test_other_thread_is_anonymous(client: TestClient, guard: Guard) -> None:
    """The block applies to the test only: a server next to it has an anonymous caller."""
    seen: list[int] = []
    app = Starlette(
        routes=[Route("/documents/{document_id}", get_document)], middleware=[Middleware(GuardMiddleware, guard=guard)]
    )
    with as_principal(ADA_ARN):
        other = Thread(target=lambda: seen.append(TestClient(app).get("/documents/7").status_code))
        other.start()
        other.join()
    assert seen == [401]


@pytest.mark.parametrize("call", ["as_principal('anonymous').__enter__()", "signed_in(None, 'anonymous')"])
def test_as_principal_is_refused_outside_of_pytest(call: str, tmp_path: Path) -> None:
    """Production code that imports it gets an error and no caller."""
    code = f"from iam_guard.testing import as_principal, signed_in\n{call}"
    run = subprocess.run(
        [sys.executable, "-c", code], env={}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "expected a run of pytest" in run.stderr


def test_product_does_not_depend_on_testing() -> None:
    """No lower layer imports the package, and no other file replaces `authenticate`."""
    package = Path(iam_guard.__file__).parent
    naming = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "iam_guard.testing" in path.read_text(encoding="utf-8") and "testing/" not in path.as_posix()
    ]
    assert {name.partition("/")[0] for name in naming} <= {"cli"}

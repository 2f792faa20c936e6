"""Asynchronous clients in the process: the same methods as coroutines, in the threads of the API."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from botocore.exceptions import ClientError, OperationNotPageableError, ParamValidationError, WaiterError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, Principal, async_client, current_async_client, requires
from iam_guard.api.protocol import api_workers
from iam_guard.api.protocol.api_workers import WRITERS
from iam_guard.api.protocol.own_app import WORKERS
from iam_guard.errors import AccessDenied, ConfigurationError, StoreUnavailable
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, serving
from tests.api.conftest import ACCOUNT, Running
from tests.api.test_client import permit
from tests.signed_in import HOST, SAME_ORIGIN, signed_in
from tests.tables import table

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/admin"


@pytest.fixture
def admin(server: Running) -> Any:
    return async_client(server.guard, "iam", Principal.from_arn(ADMIN))


def test_operations_pages_and_waiters(admin: Any) -> None:
    async def run() -> None:
        for number in range(5):
            made = await admin.create_user(UserName=f"user-{number}")
        assert made["User"]["UserName"] == "user-4"
        pages = admin.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2})
        assert [len(page["Users"]) async for page in pages] == [2, 2, 2]
        found = admin.get_paginator("list_users").paginate().search("Users[].UserName")
        names = [name async for name in found]
        assert names == ["admin", *(f"user-{number}" for number in range(5))]
        cut = admin.get_paginator("list_users").paginate(PaginationConfig={"MaxItems": 4})
        assert len((await cut.build_full_result())["Users"]) == 4
        assert cut.resume_token
        await admin.get_waiter("user_exists").wait(UserName="user-1")
        async with admin as entered:
            assert entered.can_paginate("list_users")
            assert entered.meta.service_model.service_name == "iam"

    anyio.run(run)


def test_waiter_waits_for_another_task(admin: Any) -> None:
    """On the event loop: the worker threads are free meanwhile."""

    async def create_later() -> None:
        await anyio.sleep(0.05)
        await admin.create_user(UserName="late")

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(WORKERS + 1):
                tasks.start_soon(wait)
            tasks.start_soon(create_later)
        with pytest.raises(WaiterError, match="Max attempts"):
            await admin.get_waiter("user_exists").wait(UserName="no", WaiterConfig={"Delay": 0, "MaxAttempts": 0})
        with pytest.raises(WaiterError, match="ValidationError"):
            await admin.get_waiter("user_exists").wait(UserName="not valid")

    async def wait() -> None:
        await admin.get_waiter("user_exists").wait(UserName="late", WaiterConfig={"Delay": 0.01, "MaxAttempts": 5000})

    anyio.run(run)


def test_errors_are_those_of_the_other_client(server: Running, admin: Any) -> None:
    outsider = async_client(server.guard, "iam", Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/none"))

    async def run() -> None:
        with pytest.raises(admin.exceptions.NoSuchEntityException):
            await admin.get_user(UserName="none")
        with pytest.raises(AccessDenied) as denied:
            await outsider.create_user(UserName="x")
        assert isinstance(denied.value, ClientError)
        with pytest.raises(ParamValidationError):
            await admin.get_user(UserName=7)
        with pytest.raises(OperationNotPageableError):
            admin.get_paginator("get_user")
        with pytest.raises(ValueError, match="none"):
            admin.get_waiter("none")

    anyio.run(run)


@table("name", ["no_such_method", "generate_presigned_url", "_make_api_call", "__deepcopy__"])
def test_client_has_operations_alone(admin: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(admin, name)
    assert {"create_user", "get_paginator"} <= {*dir(admin)}
    assert copy.copy(admin).meta is admin.meta


@table("arguments", [("s3", Principal.anonymous()), ("iam",), ("iam", "x")])
def test_invalid_arguments_are_errors(server: Running, arguments: Any) -> None:
    with pytest.raises(ConfigurationError):
        async_client(server.guard, *arguments)


def test_calls_have_a_number_of_threads(server: Running, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads go on while all that write wait; one more of these has an error in time."""
    writing, released, lock = [0], threading.Event(), threading.Lock()
    authorize = server.guard.authorize

    def slow(caller: Any, action: str, *rest: Any, **more: Any) -> Any:
        if action == "iam:CreateUser":
            with lock:
                writing[0] += 1
            released.wait(60)
        return authorize(caller, action, *rest, **more)

    monkeypatch.setattr(type(server.guard), "authorize", lambda _, *given, **more: slow(*given, **more))
    monkeypatch.setattr(api_workers, "MAX_WRITER_WAIT", 0.1)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(WRITERS):
                tasks.start_soon(create, number)
            while writing[0] < WRITERS:
                await anyio.sleep(0.01)
            assert (await admin.get_user(UserName="admin"))["User"]["UserName"] == "admin"
            with pytest.raises(ClientError) as refused:
                await admin.create_user(UserName="one-more")
            assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
            assert isinstance(refused.value, StoreUnavailable)
            released.set()

    async def create(number: int) -> None:
        await admin.create_user(UserName=f"user-{number}")

    anyio.run(run)


# --- the caller of the current request ---------------------------------------------------------------------------


@requires("docs:GetDocument", resource="*")
async def make(request: Request) -> Response:
    await current_async_client("iam").create_user(UserName=request.query_params["name"])
    return PlainTextResponse((await current_async_client("sts").get_caller_identity())["Arn"])


def test_current_client_acts_as_the_person(tmp_path: Path) -> None:
    """A denial answers 403, and another site can change nothing."""
    with signed_in(tmp_path, sign_in_url="/signin") as harness:
        app = GuardMiddleware(Starlette(routes=[Route("/make", make, methods=["GET"])]), guard=harness.guard)
        web = TestClient(app, base_url=f"https://{HOST}", follow_redirects=False)
        permit(harness)
        assert web.get("/make?name=ann", headers={**harness.cookie, **SAME_ORIGIN}).status_code == 403
        permit(harness, "iam:CreateUser")
        assert web.get("/make?name=ann", headers=harness.cookie).status_code == 403
        made = web.get("/make?name=ann", headers={**harness.cookie, **SAME_ORIGIN})
        assert (made.status_code, made.text) == (200, harness.person.arn)
        record = next(record for record in reversed(harness.records()) if record["eventName"] == "CreateUser")
        assert record["requestID"] == made.headers["x-amzn-requestid"]


def test_client_ends_with_its_request(server: Running) -> None:
    async def run() -> None:
        with serving(CurrentCall(server.guard, Principal.from_arn(ADMIN), Call("request-1"))) as call:
            kept = current_async_client("iam")
            assert (await kept.get_user(UserName="admin"))["ResponseMetadata"]["RequestId"] == "request-1"
        call.is_over = True
        with pytest.raises(ConfigurationError, match="over"):
            await kept.get_user(UserName="admin")

    anyio.run(run)

"""Advisory: a decision about `document/7.0` gave access to document 7.

The hole: the handler got a value equal to the denied one, and the ARN another text of it: `7.0` and `true` in a JSON
body, another offset of the same moment, the `Decimal` `7.00`. Now each type has one canonical text, or can't be used in
a template: by its annotation, the application does not start; otherwise the request is rejected.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest

from tests.integrations.contract import needed

needed("fastapi", "litestar", "flask", "iam_guard_litestar", "iam_guard_flask")

from fastapi import Body, Depends, FastAPI  # noqa: E402
from flask import Flask  # noqa: E402
from iam_guard_fastapi import guarded as dependency_of  # noqa: E402
from iam_guard_flask import IamGuard  # noqa: E402
from iam_guard_litestar import GuardPlugin, guarded  # noqa: E402
from litestar import Litestar, get  # noqa: E402
from litestar.params import FromPath  # noqa: E402
from litestar.testing import TestClient as LitestarClient  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse, Response  # noqa: E402
from starlette.routing import Route  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from iam_guard import Guard, GuardMiddleware, RouteMap, Service, requires  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from tests.advisories.denial_guard import KEY, open_guard_denying  # noqa: E402

docs = Service("docs")
DOCUMENT = "document/{document_id}"
UUID_TEXT = "0a0a0a0a-0000-4000-8000-000000000007"
TITLES = {7: "document 7", 1: "document 1", 8: "document 8"}


@pytest.fixture
def denying(tmp_path: Path) -> Iterator[Guard]:
    guard = open_guard_denying(tmp_path, "7", "1", UUID_TEXT, "2026-11-27T12:00:00+00:00")
    yield guard
    guard.close()


def client_of(guard: Guard, handler: Any) -> TestClient:
    """Serve a handler that takes a parameter of the path or of the body."""
    app = FastAPI(openapi_url=None)
    guarding = docs.requires("GetDocument", resource=DOCUMENT)(handler)
    app.post("/")(guarding) if handler.__name__ == "by_body" else app.get("/{document_id}")(guarding)
    return TestClient(GuardMiddleware(app, guard=guard), headers=KEY)


def test_equal_number_in_a_body_is_rejected(denying: Guard, subtests: pytest.Subtests) -> None:
    async def by_body(document_id: Annotated[Any, Body(embed=True)]) -> str | None:
        return TITLES.get(document_id)

    client = client_of(denying, by_body)
    assert client.post("/", json={"document_id": 8}).json() == "document 8"
    for text, status in (("7", 403), ("7.0", 400), ("7e0", 400), ("70e-1", 400), ("true", 400), ("1.0", 400)):
        with subtests.test(text):
            answer = client.post(
                "/", content=f'{{"document_id": {text}}}', headers={"content-type": "application/json"}
            )
            assert answer.status_code == status


def test_equal_moment_and_uuid_have_one_text(denying: Guard, subtests: pytest.Subtests) -> None:
    async def moment(document_id: datetime) -> str:
        return "read"

    async def uuid(document_id: UUID) -> str:
        return "read"

    moments = ("2026-11-27T12:00:00Z", "2026-11-27T17:00:00%2B05:00", "2026-11-27T12:00:00.000-00:00", "1795780800")
    uuids = (UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.replace("-", ""), f"{{{UUID_TEXT}}}", f"urn:uuid:{UUID_TEXT}")
    for handler, other, texts in ((moment, "2026-11-27T12:00:01Z", moments), (uuid, str(UUID(int=1)), uuids)):
        client = client_of(denying, handler)
        assert client.get(f"/{other}").status_code == 200
        for text in texts:
            with subtests.test(text):
                assert client.get(f"/{text}").status_code == 403


def test_unsupported_annotation_prevents_start_up(denying: Guard) -> None:
    """By the decorator, or when the handler and its guard are inspected together."""

    async def read(document_id: Decimal) -> str:
        return "read"

    with pytest.raises(ConfigurationError, match="use a loader"):
        requires("docs:GetDocument", resource=DOCUMENT)(read)

    app = FastAPI(openapi_url=None)
    app.get("/{document_id}", dependencies=[Depends(dependency_of("docs:GetDocument", resource=DOCUMENT))])(read)
    with (
        pytest.raises(ConfigurationError, match="`Decimal`; use a loader"),
        TestClient(GuardMiddleware(app, guard=denying)),
    ):
        pass

    routes = RouteMap()
    routes.requires("GET", "/{document_id}", "docs:GetDocument", resource=DOCUMENT)
    flask = Flask(__name__, static_folder=None)
    flask.add_url_rule("/<float:document_id>", view_func=lambda document_id: "read")
    extension = IamGuard(flask, guard=denying, routes=routes)
    with pytest.raises(ConfigurationError, match="`float`; use a loader"):
        extension.check(flask)

    async def litestar_read(document_id: FromPath[float]) -> str:
        return "read"

    route = get("/{document_id:float}", guards=[guarded("docs:GetDocument", resource=DOCUMENT)])(litestar_read)
    started = Litestar([route], plugins=[GuardPlugin(denying)], openapi_config=None, logging_config=None)
    refused = pytest.RaisesExc(ConfigurationError, match="`float`; use a loader")
    with pytest.RaisesGroup(refused, flatten_subgroups=True), LitestarClient(started):
        pass


def test_unsupported_value_without_annotation_is_rejected(denying: Guard) -> None:
    """A Starlette convertor returns a number, and the routes are not inspected."""

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def read(request: Request) -> Response:
        return PlainTextResponse(TITLES[request.path_params["document_id"]])

    app = Starlette(routes=[Route("/{document_id:float}", read)])
    client = TestClient(GuardMiddleware(app, guard=denying, check_routes=False), headers=KEY)
    for text in ("7", "7.0", "7.00", "8.0"):
        answer = client.get(f"/{text}")
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidInput")
    assert "use a loader" in json.dumps(answer.json())


def test_float_outside_the_template_is_accepted(denying: Guard) -> None:

    async def read(document_id: int, scale: float) -> float:
        return scale

    app = FastAPI(openapi_url=None)
    needs = dependency_of("docs:GetDocument", resource=DOCUMENT)
    app.get("/{document_id}/{scale}", dependencies=[Depends(needs)])(read)
    client = TestClient(GuardMiddleware(app, guard=denying), headers=KEY)
    assert client.get("/8/1.50").json() == 1.5
    assert client.get("/007/1.50").status_code == 403

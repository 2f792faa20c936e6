"""Advisory: a decision about `document/007` gave access to document 7.

The hole: a FastAPI handler that gets a document from a dependency does not declare the path parameter. Its decorator
used the text of the path, while the dependency converted it to an `int` or a UUID: a document denied by name was
accessible by another spelling. Now the parameter is converted as any of them declares it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from tests.integrations.contract import needed

needed("fastapi")

from fastapi import Depends, FastAPI  # noqa: E402
from fastapi import Path as PathParameter  # noqa: E402
from pydantic import AliasChoices, BaseModel, Field, RootModel, field_serializer, model_validator  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from iam_guard import GuardMiddleware, Service  # noqa: E402
from tests.advisories.denial_guard import KEY, open_guard_denying  # noqa: E402

docs = Service("docs")
ClientOf = Callable[[Callable[..., Awaitable[str]]], TestClient]


def load(document_id: int) -> str:
    return f"document {document_id}"


class Validated(BaseModel):
    number: int = Field(validation_alias="document_id")


class Renamed(BaseModel):
    number: int = Field(alias="document_id", serialization_alias="number")


class Chosen(BaseModel):
    number: int = Field(validation_alias=AliasChoices("other", "document_id"))


class Excluded(BaseModel):
    number: int = Field(alias="document_id", exclude=True)


class Written(BaseModel):
    number: int = Field(alias="document_id")

    @field_serializer("number")
    def write(self, number: int) -> str:
        return f"number {number}"


async def by_the_dependency(document: Annotated[str, Depends(load)]) -> str:
    return document


async def named_besides(document_id: str, document: Annotated[str, Depends(load)]) -> str:
    return document


@pytest.mark.parametrize("handler", [by_the_dependency, named_besides])
@pytest.mark.parametrize("path", ["/7", "/07", "/+7", "/%207", "/7.0"])
def test_denied_document_is_denied_in_every_spelling(
    tmp_path: Path, path: str, handler: Callable[..., Awaitable[str]]
) -> None:
    """By the identity-based policy, which allows all but document 7."""
    app = FastAPI()
    app.get("/{document_id}")(docs.requires("GetDocument", resource="document/{document_id}")(handler))
    guard = open_guard_denying(tmp_path, "7")
    app.add_middleware(GuardMiddleware, guard=guard, check_routes=False)
    client = TestClient(app, headers=KEY)
    assert client.get("/8").text == '"document 8"'
    answer = client.get(path)
    assert answer.status_code in (400, 403, 422)
    assert "document 7" not in answer.text
    guard.close()


@pytest.fixture
def client_of(tmp_path: Path) -> Iterator[ClientOf]:
    """Serve a decorated handler of FastAPI, for a caller who is denied document 7."""
    guard = open_guard_denying(tmp_path, "7")

    def client(handler: Callable[..., Awaitable[str]]) -> TestClient:
        app = FastAPI(openapi_url=None)
        app.get("/{document_id}")(docs.requires("GetDocument", resource="document/{document_id}")(handler))
        return TestClient(GuardMiddleware(app, guard=guard), headers=KEY)

    yield client
    guard.close()


@pytest.mark.parametrize("model", [Validated, Renamed, Chosen, Excluded, Written])
def test_field_of_a_model_has_its_parsed_value(client_of: ClientOf, model: type[Any]) -> None:
    """Its serialized form does not count: another alias, a serializer, an excluded field."""

    async def read(read: Any) -> str:
        return f"document {read.number}"

    read.__annotations__["read"] = Annotated[model, PathParameter()]
    client = client_of(read)
    assert client.get("/8").text == '"document 8"'
    assert [client.get(path).status_code for path in ("/7", "/007", "/+7")] == [403, 403, 403]


def test_validation_alias_names_the_parameter(client_of: ClientOf) -> None:
    async def read(number: Annotated[int, PathParameter(validation_alias="document_id")]) -> str:
        return f"document {number}"

    client = client_of(read)
    assert client.get("/8").text == '"document 8"'
    assert [client.get(path).status_code for path in ("/7", "/007")] == [403, 403]


def test_field_of_unknown_parameter_is_an_error(client_of: ClientOf) -> None:
    class Moved(BaseModel):
        number: int

        @model_validator(mode="before")
        @classmethod
        def move(cls, data: dict[str, Any]) -> dict[str, Any]:
            return {"number": data["document_id"]}

    class Whole(RootModel[dict[str, int]]):
        @property
        def number(self) -> int:
            return self.root["document_id"]

    for model in (Moved, Whole):

        async def read(read: Any) -> str:
            return f"document {read.number}"

        read.__annotations__["read"] = Annotated[model, PathParameter()]
        client = client_of(read)
        assert [client.get(path).status_code for path in ("/7", "/007", "/8")] == [500, 500, 500]

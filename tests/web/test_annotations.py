"""Handlers whose parameters can't fill their template are reported when they are declared."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType
from uuid import UUID

import pytest

from iam_guard import RouteMap, Service
from iam_guard.errors import ConfigurationError
from iam_guard.web.endpoints import Endpoint, check_handler_parameters, endpoint_row
from tests.tables import table

if TYPE_CHECKING:
    pass

docs = Service("docs")
Number = NewType("Number", int)
Price = NewType("Price", Decimal)


class Color(enum.Enum):
    RED = "red"


class Rate(enum.Enum):
    HALF = 0.5


class Key(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class OfALibrary:
    """What a value of is made of may be a string: so are the types of pydantic."""


FIT: list[Any] = [
    *(str, int, UUID, date, datetime, Path, Color, Number, OfALibrary, Any, object),
    *(str | None, UUID | int, Annotated[int, "positive"], Literal["a", 7], Sequence[str], "Missing", "str", None),
]
UNFIT: list[Any] = [
    *(bool, float, complex, Decimal, time, bytes, list[str], dict[str, str], Rate, Price, Key),
    *(float | None, str | Decimal, Annotated[float, "positive"], Literal["a", True], "Decimal | None", "bool"),
]


def declared(annotation: Any) -> Any:
    async def handler(document_id: Any, other: float = 0.0) -> None: ...

    handler.__annotations__["document_id"] = annotation
    return handler


def test_handler_with_unsupported_annotation_is_rejected(subtests: pytest.Subtests) -> None:
    for annotation in UNFIT:
        with subtests.test(str(annotation)), pytest.raises(ConfigurationError, match="use a loader"):
            docs.requires("GetDocument", resource="document/{document_id}")(declared(annotation))


def test_handler_with_other_annotation_is_accepted(subtests: pytest.Subtests) -> None:
    for annotation in FIT:
        with subtests.test(str(annotation)):
            docs.requires("GetDocument", resource="document/{document_id}")(declared(annotation))


def test_parameter_outside_the_template_may_have_any_type() -> None:
    docs.requires("GetDocument", resource=lambda document_id: f"{document_id}")(declared(float))
    docs.requires("ListDocuments")(declared(float))

    @docs.requires("GetDocument", resource="document/{document_id}")
    async def moved(document_id: str, region: float) -> None: ...


def test_handler_guarded_from_outside_is_checked() -> None:
    """By a dependency or a row of a route map."""
    needs = docs.requirement("GetDocument", resource="document/{document_id}")

    def guard() -> None: ...

    guard.__iam_guard__ = needs  # type: ignore[attr-defined]

    def row(path: str, annotation: Any) -> list[Endpoint]:
        return [endpoint_row(path, ("GET",), "handler", declared(annotation), guard)]

    with pytest.raises(ConfigurationError, match="`document_id`"):
        check_handler_parameters(row("/{document_id}", Decimal))
    for path in ("/{document_id:float}", "/<float:document_id>", "/<float(signed=True):document_id>"):
        with pytest.raises(ConfigurationError, match="`float`"):
            check_handler_parameters(row(path, Any))
    check_handler_parameters(row("/{document_id:path}/{other:float}", str))

    routes = RouteMap()
    routes.requires("GET", "/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    with pytest.raises(ConfigurationError, match="use a loader"):
        routes.joined([endpoint_row("/{document_id}", ("GET",), "handler", declared(Decimal))])


def plain(request: Any) -> None: ...
def with_argument(document_id: str) -> None: ...
def with_any_arguments(**arguments: Any) -> None: ...
def with_request_loader(request: Any, document_id: str, page: int = 1) -> None: ...


@table(
    ("resource", "route", "handler"),
    [
        ("document/{id}", "/{document_id}", plain),
        ("document/{id}", "/", with_argument),
        ("arn:aws:docs:::{tenant}/{document_id}", "/{document_id:path}", plain),
        (with_request_loader, "/{id}", plain),
        (with_request_loader, "/<int:id>", plain),
        (with_argument, r"/(?P<id>\d+)", plain),
    ],
)
def test_parameter_that_nothing_supplies_is_refused(resource: Any, route: str, handler: Any) -> None:
    """The message has the parameters of the route and of the handler."""
    requirement = docs.requirement("GetDocument", resource=resource)
    with pytest.raises(ConfigurationError, match=r"expected the parameter `\w+` of the route or the handler, got `"):
        requirement.check_parameter_names(handler, route)


@table(
    ("resource", "route", "handler"),
    [
        ("document/{document_id}", "/{document_id:path}", plain),
        ("document/{document_id}", "/<document_id>", plain),
        ("document/{document_id}", "/<string(length=2):document_id>", plain),
        ("document/{document_id}", r"/(?P<document_id>\d+)", plain),
        ("document/{tenant}", "{tenant}.example.com/", plain),
        ("document/{document_id}", "/", with_argument),
        ("document/{document_id}", "/", with_any_arguments),
        ("document/{document_id}", "/", type("View", (), {})),
        ("arn:{partition}:docs:{region}:{account}:all", "/", plain),
        (with_request_loader, "/{document_id}", with_argument),
    ],
)
def test_parameter_of_route_or_handler_is_accepted(resource: Any, route: str, handler: Any) -> None:
    """Of the path or the host, in the forms of all frameworks; an unknown signature may have every parameter."""
    docs.requirement("GetDocument", resource=resource).check_parameter_names(handler, route)


@table(
    ("resource", "raw"),
    [
        ("object/{key}", ("name",)),
        ("object/{key}", "key"),
        ("*", ("key",)),
        ("object", ("key",)),
        (lambda key: None, ("name",)),
    ],
)
def test_raw_of_unknown_parameter_is_rejected(resource: Any, raw: Any) -> None:
    with pytest.raises(ConfigurationError, match="in `raw`"):
        docs.requires("GetObject", resource=resource, raw=raw)

"""Access requests with fields of the wrong type are refused before any decision."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from iam_guard import Guard
from iam_guard.errors import ConfigurationError, ContextError, InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Resource
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
FINE: dict[str, Any] = {"principal": ADA, "action": "docs:Get", "resource": "*"}


@table(
    ("field", "words"),
    [
        ("principal", "expected a principal, got"),
        ("action", "expected a string as an action, got"),
        ("resource", "expected a string as a resource, got"),
        ("resource_account", "expected a string as a resource's account, got"),
    ],
)
@table("value", [5, b"docs:Get", ["docs:Get"], {}, True, object()])
def test_request_field_of_wrong_type_is_refused(field: str, words: str, value: Any) -> None:
    """The error names the field."""
    with pytest.raises(InvalidInput, match=words):
        AccessRequest(**FINE | {field: value})


@table("field", ["principal", "action", "resource"])
def test_missing_request_field_is_refused(field: str) -> None:
    with pytest.raises(InvalidInput, match="got `NoneType`"):
        AccessRequest(**FINE | {field: None})


def test_context_that_is_no_mapping_is_refused() -> None:
    """C-3."""
    with pytest.raises(ContextError, match="expected a mapping"):
        AccessRequest(**FINE | {"context": [("docs:Kind", "report")]})


class Action(str, Enum):  # noqa: UP042  a StrEnum shows itself as its value
    """An enumeration of actions; `str` of a member is `Action.GET`."""

    GET = "docs:Get"


def test_string_subclass_becomes_plain_string() -> None:
    """X-1: an error message names the action that was decided."""
    request = AccessRequest(ADA, Action.GET, "*")
    assert (type(request.action), f"{request.action}") == (str, "docs:Get")


def test_resource_arn_that_is_no_string_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a string as a resource, got `int`"):
        Resource(5)  # type: ignore[arg-type]


@table(
    ("given", "words"),
    [
        ({"account": 111122223333}, "expected a string as a resource's account, got `int`"),
        ({"tags": [{"Key": "team", "Value": "blue"}]}, "expected a mapping as a resource's tags, got `list`"),
        ({"tags": None}, "expected a mapping as a resource's tags, got `NoneType`"),
    ],
)
def test_resource_field_of_wrong_type_is_configuration_error(given: Any, words: str) -> None:
    """The loader made it, not the client: neither 400 nor an unexplained 503."""
    with pytest.raises(ConfigurationError, match=words):
        Resource("arn:aws:docs:us-east-1:111122223333:document/7", **given)


@pytest.mark.parametrize(
    "question",
    [(ADA, 5, "*"), (ADA, None, "*"), ("ada", "docs:Get", "*")],
)
def test_guard_reports_argument_of_wrong_type(guard: Guard, question: Any) -> None:
    """It is the caller's error: neither a denial nor a server error."""
    with pytest.raises(InvalidInput, match="expected a "):
        guard.decide(*question)

"""A request: what it is made of is what it says it is, before anybody decides."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from iam_guard import Guard
from iam_guard.errors import ConfigurationError, ContextError, InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Resource

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
FINE: dict[str, Any] = {"principal": ADA, "action": "docs:Get", "resource": "*"}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("principal", "expected a principal, got"),
        ("action", "expected a text as an action, got"),
        ("resource", "expected a text as a resource, got"),
        ("resource_account", "expected a text as the resource's account, got"),
    ],
)
@pytest.mark.parametrize("value", [5, b"docs:Get", ["docs:Get"], {}, True, object()])
def test_refuses_what_is_of_another_kind(field: str, words: str, value: Any) -> None:
    """With an error that names it, rather than somewhere deep inside."""
    with pytest.raises(InvalidInput, match=words):
        AccessRequest(**FINE | {field: value})


@pytest.mark.parametrize("field", ["principal", "action", "resource"])
def test_nothing_of_it_may_be_missing(field: str) -> None:
    with pytest.raises(InvalidInput, match="got `NoneType`"):
        AccessRequest(**FINE | {field: None})


def test_refuses_a_context_that_is_none() -> None:
    """C-3."""
    with pytest.raises(ContextError, match="expected a mapping"):
        AccessRequest(**FINE | {"context": [("docs:Kind", "report")]})


class Action(str, Enum):  # noqa: UP042  a StrEnum shows itself as its value
    """What an application may name its actions with; it shows itself as `Action.GET`."""

    GET = "docs:Get"


def test_a_text_is_nothing_but_a_text() -> None:
    """X-1: a refusal names the action that was decided."""
    request = AccessRequest(ADA, Action.GET, "*")
    assert (type(request.action), f"{request.action}") == (str, "docs:Get")


def test_refuses_a_resource_without_a_text_as_arn() -> None:
    with pytest.raises(InvalidInput, match="expected a text as a resource, got `int`"):
        Resource(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"account": 111122223333}, "expected the resource's account as a text, got `int`"),
        ({"tags": [{"Key": "team", "Value": "blue"}]}, "expected the resource's tags as a mapping, got `list`"),
        ({"tags": None}, "expected the resource's tags as a mapping, got `NoneType`"),
    ],
)
def test_a_resource_of_the_wrong_kind_is_the_fault_of_whoever_made_it(given: Any, words: str) -> None:
    """A loader makes it, not the sender of a request: no 400, and no 503 that does not say why."""
    with pytest.raises(ConfigurationError, match=words):
        Resource("arn:aws:docs:us-east-1:111122223333:document/7", **given)


@pytest.mark.parametrize(
    "question",
    [(ADA, 5, "*"), (ADA, None, "*"), ("ada", "docs:Get", "*")],
)
def test_a_guard_says_what_is_of_another_kind(guard: Guard, question: Any) -> None:
    """The caller's fault is told to the caller; it never looks like a denial, and never like ours."""
    with pytest.raises(InvalidInput, match="expected a "):
        guard.decide(*question)

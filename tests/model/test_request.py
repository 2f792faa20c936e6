"""Access requests with fields of the wrong type are refused before any decision."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from enum import Enum
from typing import Any

import pytest

from iam_guard import Guard, compile_policies
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
        ({"keys": [("docs:Class", "a")]}, "expected a mapping as a resource's keys, got `list`"),
        ({"keys": None}, "expected a mapping as a resource's keys, got `NoneType`"),
    ],
)
def test_resource_field_of_wrong_type_is_configuration_error(given: Any, words: str) -> None:
    """The loader made it, not the client: neither 400 nor an unexplained 503."""
    with pytest.raises(ConfigurationError, match=words):
        Resource("arn:aws:docs:us-east-1:111122223333:document/7", **given)


DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


def test_request_for_resource_has_its_keys_and_tags() -> None:
    """What a guard would set of a resource, for policies without a guard."""
    resource = Resource(DOCUMENT, "444455556666", {"Team": "blue"}, keys={"docs:Class": "secret", "docs:Size": 7})
    request = AccessRequest.for_resource(ADA, "docs:Get", resource, {"docs:Class": "open"})
    assert dict(request.context) == {
        "aws:resourcetag/team": "blue",
        "aws:resourceaccount": "444455556666",
        "docs:class": "open",
        "docs:size": "7",
    }
    assert (request.resource, request.resource_account, request.owner) == (DOCUMENT, "444455556666", "444455556666")
    assert (request.principal, request.action) == (ADA, "docs:Get")


@table(
    ("resource", "by_hand", "account"),
    [
        (Resource(DOCUMENT), None, "111122223333"),
        (Resource("arn:aws:docs:::document/7"), None, None),
        (Resource("*"), None, None),
        (Resource(DOCUMENT), {"aws:ResourceAccount": "444455556666"}, "444455556666"),
        (Resource(DOCUMENT), {"aws:ResourceAccount": lambda: None}, "111122223333"),
    ],
)
def test_request_for_resource_has_account_of_its_owner(resource: Resource, by_hand: Any, account: str | None) -> None:
    request = AccessRequest.for_resource(ADA, "docs:Get", resource, by_hand)
    assert request.value("aws:resourceaccount") == account


def test_unusable_key_affects_only_statements_that_read_it() -> None:
    """C-45: an Allow that reads it does not apply, a Deny does."""
    tags, keys = {"Team": "a", "team": "b"}, {"docs:Size": float("nan")}
    request = AccessRequest.for_resource(ADA, "docs:Get", Resource(DOCUMENT, tags=tags, keys=keys))
    for key in ("aws:ResourceTag/team", "docs:Size"):
        reading = {"Condition": {"StringNotEquals": {key: "c"}}}
        for allow, deny, allowed in (({}, None, True), (reading, None, False), ({}, reading, False)):
            statements = [{"Effect": "Allow", "Action": "docs:*", "Resource": "*", **allow}]
            if deny is not None:
                statements.append({"Effect": "Deny", "Action": "docs:*", "Resource": "*", **deny})
            authorizer = compile_policies([{"Version": "2012-10-17", "Statement": statements}])
            assert authorizer.decide(request.copy()).allowed is allowed


def test_request_for_resource_refuses_an_arn() -> None:
    with pytest.raises(InvalidInput, match="expected a `Resource`, got `str`"):
        AccessRequest.for_resource(ADA, "docs:Get", DOCUMENT)  # type: ignore[arg-type]
    with pytest.raises(ContextError):
        AccessRequest.for_resource(ADA, "docs:Get", Resource(DOCUMENT), {"docs:Size": float("nan")})


def test_resource_keys_are_part_of_its_value() -> None:
    """Two resources with other keys differ; a resource can be copied and changed."""
    resource = Resource(DOCUMENT, keys={"docs:Class": "a"})
    assert resource == deepcopy(resource) != Resource(DOCUMENT)
    assert replace(resource, account="444455556666").keys == {"docs:Class": "a"}
    assert Resource(DOCUMENT).keys == {}


@pytest.mark.parametrize(
    "question",
    [(ADA, 5, "*"), (ADA, None, "*"), ("ada", "docs:Get", "*")],
)
def test_guard_reports_argument_of_wrong_type(guard: Guard, question: Any) -> None:
    """It is the caller's error: neither a denial nor a server error."""
    with pytest.raises(InvalidInput, match="expected a "):
        guard.decide(*question)

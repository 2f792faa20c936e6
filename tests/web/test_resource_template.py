"""Resource templates: valid ones, their ARNs, and that values can't move field boundaries (M-21)."""

from __future__ import annotations

import unicodedata
from enum import Enum
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.web.resource_template import ResourceTemplate
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
SETTINGS = Settings()


class Color(str, Enum):  # noqa: UP042  as most people still write it
    RED = "red"


class Several(Enum):
    ONE = ("7", "8")


@table(
    ("text", "parameters", "arn"),
    [
        ("document/{id}", {"id": "7"}, "arn:aws:docs:us-east-1:111122223333:document/7"),
        ("document/{id}", {"id": 7}, "arn:aws:docs:us-east-1:111122223333:document/7"),
        ("folder/{a}/document/{b}", {"a": "x", "b": "y"}, "arn:aws:docs:us-east-1:111122223333:folder/x/document/y"),
        ("document/{id}", {"id": "*"}, "arn:aws:docs:us-east-1:111122223333:document/*"),
        ("document/{id}", {"id": "a:b{c}"}, "arn:aws:docs:us-east-1:111122223333:document/a:b{c}"),
        ("paint/{color}", {"color": Color.RED}, "arn:aws:docs:us-east-1:111122223333:paint/red"),
        ("paint/{color}/{color}", {"color": Color.RED}, "arn:aws:docs:us-east-1:111122223333:paint/red/red"),
        ("shelf", {}, "arn:aws:docs:us-east-1:111122223333:shelf"),
        (
            "arn:aws:docs:{region}:{tenant}:document/{id}",
            {"tenant": "9", "id": "7"},
            "arn:aws:docs:us-east-1:9:document/7",
        ),
        ("net/{net}", {"net": IPv4Network("10.0.0.0/8")}, "arn:aws:docs:us-east-1:111122223333:net/10.0.0.0/8"),
        ("document/{account}", {"account": "mine"}, "arn:aws:docs:us-east-1:111122223333:document/mine"),
    ],
)
def test_template_returns_the_arn_of_the_parameters(text: str, parameters: dict[str, object], arn: str) -> None:
    """A short template is a resource in the caller's account; values are inserted literally."""
    assert ResourceTemplate(text, service="docs").fill(parameters, ADA, SETTINGS) == arn


@table("value", [None, [], ["7"], {"7": 1}, {"7"}, ("7",), b"7", Several.ONE])
def test_missing_or_collection_value_is_rejected(value: object) -> None:
    """Python has a string for each of them, which names no resource."""
    with pytest.raises(InvalidInput, match="expected one value"):
        ResourceTemplate("document/{id}", service="docs").fill({"id": value}, ADA, SETTINGS)


@table(
    "text",
    ["", "document/*", "document/{}", "document/{a b}", "document/{id", "doc?", "arn:aws:docs", "arn:aws:docs:::"],
)
def test_invalid_template_is_rejected(text: str) -> None:
    """A wrong declaration is reported on import."""
    with pytest.raises(ConfigurationError):
        ResourceTemplate(text, service="docs")


def test_missing_parameter_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="`id`"):
        ResourceTemplate("document/{id}", service="docs").fill({"other": "7"}, ADA, SETTINGS)


def _is_name(text: str) -> bool:
    is_clean = not any(char == "\\" or unicodedata.category(char) in ("Cc", "Cs") for char in text)
    return is_clean and {"", ".", ".."}.isdisjoint(text.split("/"))


@given(st.text(), st.text())
def test_value_cannot_move_arn_field_boundaries(tenant: str, document: str) -> None:
    """For any path, the ARN fields contain exactly what the template put there."""
    template = ResourceTemplate("arn:aws:docs:eu-1:{tenant}:document/{id}", service="docs")
    try:
        arn = template.fill({"tenant": tenant, "id": document}, ADA, SETTINGS)
    except InvalidInput:
        assert ":" in tenant or not (_is_name(tenant) and _is_name(document))
        return
    assert arn.split(":", 5) == ["arn", "aws", "docs", "eu-1", tenant, f"document/{document}"]


@table("name", ["account", "region", "partition"])
def test_caller_cannot_set_omitted_fields_of_short_template(name: str) -> None:
    """A parameter of that name does not change the account or the region of the resource."""
    template = ResourceTemplate("document/{id}", service="docs")
    parameters = {"id": "7", name: "444455556666"}
    assert template.fill(parameters, ADA, SETTINGS) == "arn:aws:docs:us-east-1:111122223333:document/7"

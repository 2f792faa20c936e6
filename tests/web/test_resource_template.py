"""Resource templates: what they accept, what they give, and that a value cannot move a border (M-21)."""

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

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
SETTINGS = Settings()


class Color(str, Enum):  # noqa: UP042  as most people still write it
    RED = "red"


class Several(Enum):
    ONE = ("7", "8")


@pytest.mark.parametrize(
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
def test_gives_the_arn_of_what_the_handler_uses(text: str, parameters: dict[str, object], arn: str) -> None:
    """A short template is a resource of the caller's account; values are put in as they are."""
    assert ResourceTemplate(text, service="docs").fill(parameters, ADA, SETTINGS) == arn


@pytest.mark.parametrize("value", [None, [], ["7"], {"7": 1}, {"7"}, ("7",), b"7", Several.ONE])
def test_refuses_what_is_not_one_value(value: object) -> None:
    """Python has a text for each of them, which names nothing."""
    with pytest.raises(InvalidInput, match="expected one value"):
        ResourceTemplate("document/{id}", service="docs").fill({"id": value}, ADA, SETTINGS)


@pytest.mark.parametrize(
    "text",
    ["", "document/*", "document/{}", "document/{a b}", "document/{id", "doc?", "arn:aws:docs", "arn:aws:docs:::"],
)
def test_refuses_what_is_no_template(text: str) -> None:
    """A wrong declaration is found when the module is imported."""
    with pytest.raises(ConfigurationError):
        ResourceTemplate(text, service="docs")


def test_refuses_a_missing_parameter() -> None:
    """A template never guesses."""
    with pytest.raises(ConfigurationError, match="`id`"):
        ResourceTemplate("document/{id}", service="docs").fill({"other": "7"}, ADA, SETTINGS)


def _is_name(text: str) -> bool:
    is_clean = not any(char == "\\" or unicodedata.category(char) in ("Cc", "Cs") for char in text)
    return is_clean and {"", ".", ".."}.isdisjoint(text.split("/"))


@given(st.text(), st.text())
def test_no_value_moves_the_borders_of_the_arn(tenant: str, document: str) -> None:
    """Whatever stands in a path, the fields of the ARN hold exactly what the template put there."""
    template = ResourceTemplate("arn:aws:docs:eu-1:{tenant}:document/{id}", service="docs")
    try:
        arn = template.fill({"tenant": tenant, "id": document}, ADA, SETTINGS)
    except InvalidInput:
        assert ":" in tenant or not (_is_name(tenant) and _is_name(document))
        return
    assert arn.split(":", 5) == ["arn", "aws", "docs", "eu-1", tenant, f"document/{document}"]


@pytest.mark.parametrize("name", ["account", "region", "partition"])
def test_a_caller_cannot_choose_what_a_short_template_leaves_out(name: str) -> None:
    """A query or path parameter of that name moves the resource to no other account and no other region."""
    template = ResourceTemplate("document/{id}", service="docs")
    given = {"id": "7", name: "444455556666"}
    assert template.fill(given, ADA, SETTINGS) == "arn:aws:docs:us-east-1:111122223333:document/7"

"""Requests that cannot be understood are refused in words, whatever they are."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any
from xml.etree import ElementTree

import pytest

from iam_guard import errors
from iam_guard.api.protocol.messages import WireRequest
from iam_guard.api.protocol.protocol_errors import (
    MalformedBody,
    MalformedQuery,
    MissingAction,
    UnknownOperation,
    WireFault,
)
from iam_guard.api.protocol.protocols import codec_of
from iam_guard.api.protocol.validation import validate
from iam_guard.model.own_services import MODELS
from tests.api.protocol.client import received, request, sent, service_model
from tests.api.protocol.generate import ATTACKS, Maker

FORM = "application/x-www-form-urlencoded; charset=utf-8"
TARGET = "AWSOrganizationsV20161128."
USER = "Action=TagUser&Version=2010-05-08&UserName=u"


def form(text: str | bytes, **headers: str) -> WireRequest:
    body = text.encode() if isinstance(text, str) else text
    return request(body=body, **({"content_type": FORM} | headers))


def target(name: str, body: str | bytes = b"{}", **headers: str) -> WireRequest:
    data = body.encode() if isinstance(body, str) else body
    return request(body=data, **({"content_type": "application/x-amz-json-1.1", "x_amz_target": name} | headers))


def refused(service: str, asked: WireRequest) -> WireFault:
    with pytest.raises(WireFault) as caught:
        codec_of(service).parse(asked)
    return caught.value


# --- query --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault", "told"),
    [
        ("", MissingAction, "Missing Action"),
        ("Version=2010-05-08", MissingAction, "Missing Action"),
        ("Action=Nope&Version=2010-05-08", UnknownOperation, "Could not find operation Nope for version 2010-05-08"),
        ("Action=ListUsers", UnknownOperation, "Could not find operation ListUsers for version NO_VERSION_SPECIFIED"),
        ("Action=ListUsers&Version=2011-06-15", UnknownOperation, "for version 2011-06-15"),
        ("Action=ListUsers&Version=2010-05-08&Action=ListUsers", MalformedQuery, "got `Action` twice"),
        ("Action=ListUsers&Version=2010-05-08&Marker=%zz", MalformedQuery, "two hexadecimal digits"),
        ("Action=ListUsers&Version=2010-05-08&Marker=%ff", MalformedQuery, "percent-encoded UTF-8"),
        (b"Action=ListUsers&Version=2010-05-08&Marker=\xff", MalformedQuery, "percent-encoded UTF-8"),
        ("&".join(["a=b"] * 10_001), MalformedQuery, "at most 10000 parameters"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems=ten", MalformedBody, "an integer of 32 bits at `MaxItems`"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems=", MalformedBody, "an integer"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems=1_0", MalformedBody, "an integer"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems=%D9%A3", MalformedBody, "an integer"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems=4294967297", MalformedBody, "an integer"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems=NaN", MalformedBody, "an integer"),
        (f"{USER}&Tags=x", MalformedBody, "a list under `member` at `Tags`"),
        (f"{USER}&Tags.1.Key=x", MalformedBody, "a list under `member` at `Tags`"),
        (f"{USER}&Tags.Member.1.Key=x", MalformedBody, "a list under `member`"),
        (f"{USER}&Tags.member=x", MalformedBody, "a list numbered from 1"),
        (f"{USER}&Tags.member.0.Key=x", MalformedBody, "a list numbered from 1"),
        (f"{USER}&Tags.member.01.Key=x", MalformedBody, "a list numbered from 1"),
        (f"{USER}&Tags.member.-1.Key=x", MalformedBody, "a list numbered from 1"),
        (f"{USER}&Tags.member.x.Key=x", MalformedBody, "a list numbered from 1"),
        (f"{USER}&Tags.member.2.Key=x", MalformedBody, "a list without gaps"),
        (f"{USER}&Tags.member.1.Key=x&Tags.member.3.Key=x", MalformedBody, "a list without gaps"),
        (f"{USER}&Tags.member.999999.Key=x", MalformedBody, "a list without gaps"),
        (f"{USER}&Tags.member.1000000000.Key=x", MalformedBody, "a list numbered from 1"),
        (f"{USER}&Tags.member.1=x", MalformedBody, "a structure at `Tags.1`"),
        (f"{USER}&Tags.member.1.Key.x=y", MalformedBody, "a string at `Tags.1.Key`"),
        (f"{USER}&UserName.x=y", MalformedBody, "a value or its parts, not both"),
        (f"{USER}&Tags=&Tags.member.1.Key=x", MalformedBody, "a value or its parts, not both"),
        (f"{USER}&Tags.member.1.Key=x&Tags.member=", MalformedBody, "a value or its parts, not both"),
        (f"{USER}&Tags{'.member' * 100}=x", MalformedBody, "nested deeper"),
    ],
)
def test_a_form_that_is_wrong_is_refused(text: str | bytes, fault: type[WireFault], told: str) -> None:
    """Missing, unknown, twice, badly encoded, badly numbered, of a wrong type."""
    error = refused("iam", form(text))
    assert type(error) is fault
    assert told in error.message


def test_a_form_needs_its_method_and_type() -> None:
    """A form in the clothes of JSON is refused, and so is another method; an absent type is taken as a form."""
    text = "Action=ListUsers&Version=2010-05-08"
    assert isinstance(refused("iam", form(text, content_type="application/json")), MalformedBody)
    assert isinstance(refused("iam", request("PUT", body=text.encode())), UnknownOperation)
    assert codec_of("iam").parse(request(body=text.encode())).operation.name == "ListUsers"


def test_query_string_and_form_are_one() -> None:
    """Both may carry parameters, but a name stands once, so that no part of the house reads another value."""
    both = request(query="Action=ListUsers", body=b"Version=2010-05-08", content_type=FORM)
    assert codec_of("iam").parse(both).operation.name == "ListUsers"
    twice = request(query="Action=ListUsers", body=b"Action=GetUser&Version=2010-05-08", content_type=FORM)
    assert isinstance(refused("iam", twice), MalformedQuery)


def test_what_is_not_known_is_passed_over() -> None:
    """As AWS does: parameters of presigning, and members that the model does not have."""
    text = f"{USER}&Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.1.Colour=x&X-Amz-Date=1&Foo.bar=1"
    assert codec_of("iam").parse(form(text)).parameters == {"UserName": "u", "Tags": [{"Key": "a", "Value": ""}]}


def test_an_index_costs_no_memory() -> None:
    """A list that claims a thousand million elements is not made."""
    asked = form("&".join([USER, *(f"Tags.member.{10**9 + index}.Key=x" for index in range(1000))]))
    tracemalloc.start()
    try:
        refused("iam", asked)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


# --- json ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("[]", "a JSON object"),
        ("null", "a JSON object"),
        ("{", "expected JSON"),
        ("{} {}", "expected JSON"),
        ("\ufeff{}", "expected JSON"),
        (b'{"Name": "\xff"}', "expected UTF-8"),
        ('{"Name": "a", "Name": "b"}', "each key once"),
        ('{"x": {"a": 1, "a": 2}}', "each key once"),
        ('{"x": NaN}', "none or infinite"),
        ('{"x": -Infinity}', "none or infinite"),
        ('{"x": 1e999}', "none or infinite"),
        ('{"x": ' + "9" * 10_000 + "}", "reasonable size"),
        ('{"x": "\\ud800"}', "half surrogate"),
        ('{"\\udfff": 1}', "half surrogate"),
        ('{"x": ' + "[" * 65 + "]" * 65 + "}", "nested deeper than 64"),
        ('{"x": ' + "[" * 500_000 + "]" * 500_000 + "}", "nested deeper than 64"),
        ('{"Name": 1}', "a string at `Name`"),
        ('{"Name": ["a"]}', "a string at `Name`"),
        ('{"Tags": {}}', "an array at `Tags`"),
        ('{"Tags": "x"}', "an array at `Tags`"),
        ('{"Tags": [null]}', "an object at `Tags.1`"),
        ('{"Tags": [{"Key": true}]}', "a string at `Tags.1.Key`"),
    ],
)
def test_json_that_is_wrong_is_refused(body: str | bytes, told: str) -> None:
    """No JSON, not UTF-8, keys twice, NaN, half surrogates, depth, wrong types: SerializationException."""
    error = refused("organizations", target(f"{TARGET}CreatePolicy", body))
    assert isinstance(error, MalformedBody)
    assert told in error.message
    answer = codec_of("organizations").refusal(error, "r")
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("body", ['{"MaxResults": 1.0}', '{"MaxResults": "1"}', '{"MaxResults": true}'])
def test_an_integer_is_an_integer(body: str) -> None:
    """Neither a fraction, nor text, nor a truth value."""
    assert "an integer" in refused("organizations", target(f"{TARGET}ListAccounts", body)).message


@pytest.mark.parametrize("name", ["", "Nope", "ListRoots", f"{TARGET}Nope", "Other.ListRoots", f"x{TARGET}ListRoots"])
def test_a_target_that_is_unknown_is_refused(name: str) -> None:
    """The prefix counts as much as the name."""
    error = refused("organizations", target(name))
    assert isinstance(error, UnknownOperation)
    answer = codec_of("organizations").refusal(error, "r")
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "UnknownOperationException")


def test_json_needs_its_method_and_type() -> None:
    """What a browser's form could send is refused; an empty body is an empty object; null is absent."""
    name = f"{TARGET}ListRoots"
    assert isinstance(refused("organizations", target(name, content_type="text/plain")), MalformedBody)
    assert isinstance(refused("organizations", request("GET", x_amz_target=name)), UnknownOperation)
    assert codec_of("organizations").parse(target(name, b"")).parameters == {}
    assert codec_of("organizations").parse(target(name, '{"NextToken": null, "Other": [1]}')).parameters == {}
    doubled = WireRequest(target(name).head.__class__("POST", b"/", b"", ((b"x-amz-target", name.encode()),) * 2))
    assert isinstance(refused("organizations", doubled), MalformedBody)


# --- rest-json ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/analyzer/"),
        ("POST", "/analyzer"),
        ("GET", "/analyzer/a/b"),
        ("GET", "//analyzer"),
        ("GET", "/analyzer/x/archive-rule/"),
        ("GET", "/ANALYZER"),
        ("OPTIONS", "/analyzer"),
    ],
)
def test_a_route_that_is_unknown_is_refused(method: str, path: str) -> None:
    """Method and path are matched whole and as they are."""
    error = refused("accessanalyzer", request(method, path))
    assert isinstance(error, UnknownOperation)
    answer = codec_of("accessanalyzer").refusal(error, "r")
    assert (answer.status, dict(answer.headers)["x-amzn-errortype"]) == (404, "UnknownOperationException")


def test_a_slash_in_a_name_is_a_character() -> None:
    """Paths are matched before they are decoded; a plus in a path is a plus."""
    call = codec_of("accessanalyzer").parse(request("GET", "/tags/arn%3Aaws%3Ax%2F..%2Fa+b"))
    assert call.parameters == {"resourceArn": "arn:aws:x/../a+b"}


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (request("GET", "/analyzer", "maxResults=ten"), MalformedBody),
        (request("GET", "/analyzer", "maxResults=1&maxResults=2"), MalformedBody),
        (request("GET", "/analyzer", "nextToken=%ff"), MalformedQuery),
        (request("GET", "/analyzer/%ff"), MalformedQuery),
        (request("GET", "/analyzer/%2"), MalformedQuery),
        (request("PUT", "/analyzer", body=b"{}", content_type="text/plain"), MalformedBody),
        (request("PUT", "/analyzer", body=b"[]", content_type="application/json"), MalformedBody),
    ],
)
def test_a_rest_request_that_is_wrong_is_refused(asked: WireRequest, fault: type[WireFault]) -> None:
    """SerializationException with 400, wherever the mistake stands."""
    error = refused("accessanalyzer", asked)
    assert type(error) is fault
    answer = codec_of("accessanalyzer").refusal(error, "r")
    assert (answer.status, dict(answer.headers)["x-amzn-errortype"]) == (400, "SerializationException")


def test_the_body_does_not_overrule_the_path() -> None:
    """A member that travels in the path is read from there alone."""
    asked = request("PUT", "/analyzer/real", body=b'{"analyzerName": "other"}', content_type="application/json")
    assert codec_of("accessanalyzer").parse(asked).parameters == {"analyzerName": "real"}


# --- attacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", MODELS)
@pytest.mark.parametrize("text", [each for each in ATTACKS if each.strip()])
def test_a_message_stays_a_message(service: str, text: str) -> None:
    """Whatever a message quotes is neither markup nor another member."""
    answer = codec_of(service).refusal(errors.AccessDenied(text), text)
    error = received(service, answer, None)["Error"]
    assert error["Message"] == text
    assert error["Code"].startswith("AccessDenied")


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_replaced(character: str) -> None:
    """One odd name does not make a list unreadable."""
    codec = codec_of("iam")
    result = {"AccountAliases": [f"a{character}b"], "IsTruncated": False}
    body = codec.answer(codec.api.operations["ListAccountAliases"], result, "r").body
    root = ElementTree.fromstring(body)  # noqa: S314 our own
    assert [node.text for node in root.iter() if node.text] == ["a\ufffdb", "false", "r"]


@pytest.mark.parametrize("service", ["organizations", "accessanalyzer"])
def test_what_utf_8_cannot_carry_is_replaced(service: str) -> None:
    """A half surrogate does not end in a traceback."""
    answer = codec_of(service).refusal(errors.AccessDenied("a\ud800b"), "r")
    assert received(service, answer, None)["Error"]["Message"] == "a?b"


def test_nothing_secret_is_shown() -> None:
    """A request's repr shows neither body nor headers nor query; a fault tells the place, not the value."""
    asked = request(query="X-Amz-Security-Token=hunter2", body=b"hunter2", authorization="hunter2")
    assert "hunter2" not in repr(asked)
    error = refused("iam", form("Action=CreateLoginProfile&Version=2010-05-08&PasswordResetRequired=hunter2"))
    assert "hunter2" not in f"{error} {error!r}"
    codec = codec_of("iam")
    key = {"AccessKey": {"SecretAccessKey": "hunter2"}}
    assert "hunter2" not in repr(codec.answer(codec.api.operations["CreateAccessKey"], key, "r"))


@pytest.mark.parametrize("service", MODELS)
def test_nothing_but_a_refusal_comes_of_noise(service: str) -> None:
    """Requests of every operation with bytes changed, cut or doubled are read or refused, never an accident."""
    dice = random.Random(service)
    for name in service_model(service).operation_names[:40]:
        good = sent(service, name, sample(service, name))
        for _ in range(20):
            head = good.head
            query = noisy(head.query_string, dice) if dice.random() < 0.5 else head.query_string
            path = noisy(head.raw_path, dice) if dice.random() < 0.3 else head.raw_path
            changed = WireRequest(head.__class__(head.method, path, query, head.headers), noisy(good.body, dice))
            assert status_of(service, changed) in (200, 400, 404)


def status_of(service: str, asked: WireRequest) -> int:
    try:
        validate(*codec_of(service).parse(asked))
    except WireFault as fault:
        return codec_of(service).refusal(fault, "r").status
    return 200


def sample(service: str, name: str) -> dict[str, Any]:
    shape = codec_of(service).api.operations[name].input
    made: dict[str, Any] = {} if shape is None else Maker(name, has_empty=service not in ("iam", "sts")).value(shape)
    return made


def noisy(text: bytes, dice: random.Random) -> bytes:
    if not text:
        return text
    at, length = dice.randrange(len(text)), dice.randrange(1, 9)
    part = text[at : at + length]
    other = dice.choice((b"", part * 2, dice.randbytes(length), b"%", b".", b"&", b"\x00", b"[", b'"', b"0"))
    return text[:at] + other + text[at + length :]

"""Malformed requests are rejected with a proper error."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any
from xml.etree import ElementTree

import pytest

from iam_guard import errors
from iam_guard.api.protocol.dispatch import codec_of
from iam_guard.api.protocol.messages import WireRequest
from iam_guard.api.protocol.protocol_errors import (
    MalformedBody,
    MalformedQuery,
    MissingAction,
    UnknownOperation,
    WireFault,
)
from iam_guard.api.protocol.validation import validate
from iam_guard.model.own_services import MODELS
from tests.api.protocol.client import received, request, sent, service_model
from tests.api.protocol.generate import ATTACKS, Maker
from tests.tables import table

FORM = "application/x-www-form-urlencoded; charset=utf-8"
TARGET = "AWSOrganizationsV20161128."
USER = "Action=TagUser&Version=2010-05-08&UserName=u"


def form(text: str | bytes, **headers: str) -> WireRequest:
    body = text.encode() if isinstance(text, str) else text
    return request(body=body, **({"content_type": FORM} | headers))


def target(name: str, body: str | bytes = b"{}", **headers: str) -> WireRequest:
    data = body.encode() if isinstance(body, str) else body
    return request(body=data, **({"content_type": "application/x-amz-json-1.1", "x_amz_target": name} | headers))


def refused(service: str, wire_request: WireRequest) -> WireFault:
    with pytest.raises(WireFault) as caught:
        codec_of(service).parse(wire_request)
    return caught.value


# --- query --------------------------------------------------------------------------------------------------------


@table(
    ("text", "fault", "expected"),
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
def test_malformed_form_is_rejected(text: str | bytes, fault: type[WireFault], expected: str) -> None:
    """Missing, unknown, repeated, badly encoded, badly numbered, wrong type."""
    error = refused("iam", form(text))
    assert type(error) is fault
    assert expected in error.message


def test_form_requires_its_method_and_content_type() -> None:
    """A missing content type is accepted."""
    text = "Action=ListUsers&Version=2010-05-08"
    assert isinstance(refused("iam", form(text, content_type="application/json")), MalformedBody)
    assert isinstance(refused("iam", request("PUT", body=text.encode())), UnknownOperation)
    assert codec_of("iam").parse(request(body=text.encode())).operation.name == "ListUsers"


def test_query_string_and_form_are_combined() -> None:
    """Repeated names are rejected, so that no component reads another value."""
    both = request(query="Action=ListUsers", body=b"Version=2010-05-08", content_type=FORM)
    assert codec_of("iam").parse(both).operation.name == "ListUsers"
    twice = request(query="Action=ListUsers", body=b"Action=GetUser&Version=2010-05-08", content_type=FORM)
    assert isinstance(refused("iam", twice), MalformedQuery)


def test_unknown_parameters_are_ignored() -> None:
    """As at AWS: those of presigning, and members outside the model."""
    text = f"{USER}&Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.1.Colour=x&X-Amz-Date=1&Foo.bar=1"
    assert codec_of("iam").parse(form(text)).parameters == {"UserName": "u", "Tags": [{"Key": "a", "Value": ""}]}


def test_huge_list_index_uses_no_memory() -> None:
    """A list that claims a thousand million elements is not made."""
    wire_request = form("&".join([USER, *(f"Tags.member.{10**9 + index}.Key=x" for index in range(1000))]))
    tracemalloc.start()
    try:
        refused("iam", wire_request)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


# --- json ---------------------------------------------------------------------------------------------------------


@table(
    ("body", "expected"),
    [
        ("[]", "a JSON object"),
        ("null", "a JSON object"),
        ("{", "expected JSON"),
        ("{} {}", "expected JSON"),
        ("\ufeff{}", "expected JSON"),
        (b'{"Name": "\xff"}', "expected UTF-8"),
        ('{"Name": "a", "Name": "b"}', "each key once"),
        ('{"x": {"a": 1, "a": 2}}', "each key once"),
        ('{"x": NaN}', "NaN or infinity"),
        ('{"x": -Infinity}', "NaN or infinity"),
        ('{"x": 1e999}', "NaN or infinity"),
        ('{"x": ' + "9" * 10_000 + "}", "reasonable size"),
        ('{"x": "\\ud800"}', "lone surrogate"),
        ('{"\\udfff": 1}', "lone surrogate"),
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
def test_malformed_json_is_rejected(body: str | bytes, expected: str) -> None:
    """Not JSON, not UTF-8, repeated keys, NaN, lone surrogates, depth, wrong types: SerializationException."""
    error = refused("organizations", target(f"{TARGET}CreatePolicy", body))
    assert isinstance(error, MalformedBody)
    assert expected in error.message
    answer = codec_of("organizations").error_response(error, "r")
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "SerializationException")


@table("body", ['{"MaxResults": 1.0}', '{"MaxResults": "1"}', '{"MaxResults": true}'])
def test_integer_rejects_other_types(body: str) -> None:
    """No fraction, no text, no boolean."""
    assert "an integer" in refused("organizations", target(f"{TARGET}ListAccounts", body)).message


@table("name", ["", "Nope", "ListRoots", f"{TARGET}Nope", "Other.ListRoots", f"x{TARGET}ListRoots"])
def test_unknown_target_is_rejected(name: str) -> None:
    """By prefix or name."""
    error = refused("organizations", target(name))
    assert isinstance(error, UnknownOperation)
    answer = codec_of("organizations").error_response(error, "r")
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "UnknownOperationException")


def test_json_requires_its_method_and_content_type() -> None:
    """A browser's form is rejected; an empty body is an empty object; null is absent."""
    name = f"{TARGET}ListRoots"
    assert isinstance(refused("organizations", target(name, content_type="text/plain")), MalformedBody)
    assert isinstance(refused("organizations", request("GET", x_amz_target=name)), UnknownOperation)
    assert codec_of("organizations").parse(target(name, b"")).parameters == {}
    assert codec_of("organizations").parse(target(name, '{"NextToken": null, "Other": [1]}')).parameters == {}
    doubled = WireRequest(target(name).head.__class__("POST", b"/", b"", ((b"x-amz-target", name.encode()),) * 2))
    assert isinstance(refused("organizations", doubled), MalformedBody)


# --- rest-json ----------------------------------------------------------------------------------------------------


@table(
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
def test_unknown_route_is_rejected(method: str, path: str) -> None:
    """Method and path must match exactly."""
    error = refused("accessanalyzer", request(method, path))
    assert isinstance(error, UnknownOperation)
    answer = codec_of("accessanalyzer").error_response(error, "r")
    assert (answer.status, dict(answer.headers)["x-amzn-errortype"]) == (404, "UnknownOperationException")


def test_encoded_slash_is_part_of_a_name() -> None:
    """Paths are matched before decoding; `+` is a plus sign."""
    call = codec_of("accessanalyzer").parse(request("GET", "/tags/arn%3Aaws%3Ax%2F..%2Fa+b"))
    assert call.parameters == {"resourceArn": "arn:aws:x/../a+b"}


@table(
    ("wire_request", "fault"),
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
def test_malformed_rest_request_is_rejected(wire_request: WireRequest, fault: type[WireFault]) -> None:
    """SerializationException with 400."""
    error = refused("accessanalyzer", wire_request)
    assert type(error) is fault
    answer = codec_of("accessanalyzer").error_response(error, "r")
    assert (answer.status, dict(answer.headers)["x-amzn-errortype"]) == (400, "SerializationException")


def test_body_does_not_override_the_path() -> None:
    """A path member is read from the path only."""
    wire_request = request("PUT", "/analyzer/real", body=b'{"analyzerName": "other"}', content_type="application/json")
    assert codec_of("accessanalyzer").parse(wire_request).parameters == {"analyzerName": "real"}


# --- attacks ------------------------------------------------------------------------------------------------------


@table("service", MODELS)
@table("text", [attack for attack in ATTACKS if attack.strip()])
def test_error_message_is_escaped(service: str, text: str) -> None:
    """Whatever a message quotes is neither markup nor another member."""
    answer = codec_of(service).error_response(errors.AccessDenied(text), text)
    error = received(service, answer, None)["Error"]
    assert error["Message"] == text
    assert error["Code"].startswith("AccessDenied")


@table("character", ["\x00", "\x08", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_invalid_xml_characters_are_replaced(character: str) -> None:
    """One odd name does not make a list unreadable."""
    codec = codec_of("iam")
    result = {"AccountAliases": [f"a{character}b"], "IsTruncated": False}
    body = codec.response(codec.api.operations["ListAccountAliases"], result, "r").body
    root = ElementTree.fromstring(body)  # noqa: S314 our own
    assert [node.text for node in root.iter() if node.text] == ["a\ufffdb", "false", "r"]


@table("service", ["organizations", "accessanalyzer"])
def test_lone_surrogates_are_replaced(service: str) -> None:
    """A half surrogate does not end in a traceback."""
    answer = codec_of(service).error_response(errors.AccessDenied("a\ud800b"), "r")
    assert received(service, answer, None)["Error"]["Message"] == "a?b"


def test_representations_show_nothing_secret() -> None:
    """No body, headers or query; an error has the place, not the value."""
    wire_request = request(query="X-Amz-Security-Token=hunter2", body=b"hunter2", authorization="hunter2")
    assert "hunter2" not in repr(wire_request)
    error = refused("iam", form("Action=CreateLoginProfile&Version=2010-05-08&PasswordResetRequired=hunter2"))
    assert "hunter2" not in f"{error} {error!r}"
    codec = codec_of("iam")
    key = {"AccessKey": {"SecretAccessKey": "hunter2"}}
    assert "hunter2" not in repr(codec.response(codec.api.operations["CreateAccessKey"], key, "r"))


@table("service", MODELS)
def test_random_bytes_raise_only_our_errors(service: str) -> None:
    """Requests of all operations, with bytes changed, cut or repeated."""
    dice = random.Random(service)
    for name in service_model(service).operation_names[:40]:
        good = sent(service, name, sample(service, name))
        for _ in range(20):
            head = good.head
            query = noisy(head.query_string, dice) if dice.random() < 0.5 else head.query_string
            path = noisy(head.raw_path, dice) if dice.random() < 0.3 else head.raw_path
            changed = WireRequest(head.__class__(head.method, path, query, head.headers), noisy(good.body, dice))
            assert status_of(service, changed) in (200, 400, 404)


def status_of(service: str, wire_request: WireRequest) -> int:
    try:
        validate(*codec_of(service).parse(wire_request))
    except WireFault as fault:
        return codec_of(service).error_response(fault, "r").status
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

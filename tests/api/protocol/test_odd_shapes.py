"""What the protocols allow and the six services do not use: flattened lists and maps, names of elements, floats, longs,
blobs, every format of time. A model of our own, with botocore at the other end.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ServiceModel

from iam_guard.api.protocol.messages import Parameters
from iam_guard.api.protocol.protocols import CODECS, codec_of
from iam_guard.api.protocol.service_model import api_of, load_api
from iam_guard.errors import ConfigurationError
from iam_guard.model.own_services import MODELS
from tests.api.protocol.client import received_by, sent_by
from tests.api.protocol.generate import Maker

PROTOCOLS = ("query", "json", "rest-json")
TIMES = ("iso8601", "rfc822", "unixtimestamp")
SCALARS = ("string", "integer", "long", "float", "double", "boolean", "blob", "timestamp")


def description(protocol: str) -> dict[str, Any]:
    """Describe a service with one operation whose input and output are the same structure of everything."""
    shapes: dict[str, Any] = {kind.capitalize(): {"type": kind} for kind in SCALARS}
    shapes |= {f"Time{index}": {"type": "timestamp", "timestampFormat": each} for index, each in enumerate(TIMES)}
    shapes |= {
        "Plain": {"type": "list", "member": {"shape": "Integer"}},
        "Named": {"type": "list", "member": {"shape": "String", "locationName": "item"}},
        "Flat": {"type": "list", "member": {"shape": "String"}, "flattened": True},
        "FlatNamed": {"type": "list", "member": {"shape": "Long", "locationName": "one"}, "flattened": True},
        "Lists": {"type": "list", "member": {"shape": "Plain"}},
        "Map": {"type": "map", "key": {"shape": "String"}, "value": {"shape": "Float"}},
        "NamedMap": {
            "type": "map",
            "key": {"shape": "String", "locationName": "k"},
            "value": {"shape": "Plain", "locationName": "v"},
        },
        "FlatMap": {"type": "map", "key": {"shape": "String"}, "value": {"shape": "Blob"}, "flattened": True},
        "Document": {"type": "structure", "members": {}, "document": True},
        "Tree": {"type": "structure", "members": {"Left": {"shape": "Tree"}, "Value": {"shape": "Integer"}}},
    }
    names = [name for name in shapes if name != "Document" or protocol != "query"]
    members = {f"M{name}": {"shape": name} for name in names} | {"Renamed": {"shape": "Plain", "locationName": "other"}}
    shapes["Everything"] = {"type": "structure", "members": members}
    output = {"shape": "Everything", **({"resultWrapper": "TryResult"} if protocol == "query" else {})}
    return {
        "metadata": {
            "protocol": protocol,
            "protocols": [protocol],
            "apiVersion": "2026-01-01",
            "endpointPrefix": "odd",
            "serviceId": "Odd",
            "targetPrefix": "Odd_2026.Api",
            "jsonVersion": "1.1",
            "signatureVersion": "v4",
        },
        "operations": {
            "Try": {
                "name": "Try",
                "http": {"method": "POST", "requestUri": "/"},
                "input": {"shape": "Everything"},
                "output": output,
            }
        },
        "shapes": shapes,
    }


def both(protocol: str) -> tuple[Any, ServiceModel]:
    """Return our codec and botocore's model of the odd service."""
    return CODECS[protocol](api_of("odd", description(protocol), {})), ServiceModel(description(protocol), "odd")


def without_empty_flat(value: Parameters) -> dict[str, Any]:
    """Leave out empty flattened lists and maps, which XML cannot tell from absent ones."""
    flat = ("MFlat", "MFlatNamed", "MFlatMap")
    return {name: each for name, each in value.items() if name not in flat or each}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_odd_shapes_are_read(protocol: str) -> None:
    """Parameters of every kind that botocore serialises come out equal."""
    codec, model = both(protocol)
    operation = codec.api.operations["Try"]
    for seed in range(60):
        parameters = without_empty_flat(Maker(str(seed), has_empty=protocol != "query").value(operation.input))
        assert codec.parse(sent_by(model, "Try", parameters)).parameters == parameters


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_odd_shapes_are_written(protocol: str) -> None:
    """Results of every kind come out of botocore's parser equal."""
    codec, model = both(protocol)
    operation = codec.api.operations["Try"]
    for seed in range(60):
        result = without_empty_flat(Maker(str(seed), has_empty=protocol != "query").value(operation.output))
        parsed = received_by(model, codec.answer(operation, result, "r"), model.operation_model("Try").output_shape)
        parsed.pop("ResponseMetadata")
        assert parsed == result


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_are_none_have_names(protocol: str, value: float) -> None:
    """NaN and the infinities travel as the words that the protocols give them, never as bare JSON."""
    codec, model = both(protocol)
    operation = codec.api.operations["Try"]
    assert repr(codec.parse(sent_by(model, "Try", {"MFloat": value})).parameters) == repr({"MFloat": value})
    word = {"inf": b"Infinity", "-inf": b"-Infinity", "nan": b"NaN"}[str(value)]
    body = codec.answer(operation, {"MFloat": value}, "r").body
    assert (b'"' + word + b'"' if protocol != "query" else b">" + word + b"<") in body


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_parts_of_seconds_survive(protocol: str) -> None:
    """A time with microseconds is written with them, where its format has room."""
    codec, model = both(protocol)
    moment = datetime(2026, 11, 24, 14, 1, 46, 250000, tzinfo=UTC)
    result = {"MTime0": moment, "MTime2": moment, "MTimestamp": moment}
    shape = model.operation_model("Try").output_shape
    parsed = received_by(model, codec.answer(codec.api.operations["Try"], result, "r"), shape)
    assert {name: parsed[name] for name in result} == result


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "result",
    [
        {"Unknown": 1},
        {"MString": 1},
        {"MInteger": "1"},
        {"MInteger": True},
        {"MInteger": 2**31},
        {"MBoolean": 1},
        {"MBlob": "text"},
        {"MTimestamp": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"MPlain": "text"},
        {"MMap": [1]},
        {"MTree": []},
    ],
)
def test_a_result_that_the_model_does_not_know_is_our_mistake(protocol: str, result: dict[str, Any]) -> None:
    """A handler's slip is told in words, and never sent."""
    codec, _ = both(protocol)
    with pytest.raises(ConfigurationError, match="expected"):
        codec.answer(codec.api.operations["Try"], result, "r")


def test_a_model_tells_more_than_shapes() -> None:
    """Unsigned operations, pages and idempotency tokens are known; services of no AWS are not."""
    sts = load_api("sts").operations
    unsigned = {name for name, operation in sts.items() if operation.is_unsigned}
    assert unsigned == {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}
    pages = load_api("iam").operations["ListUsers"].pagination
    assert pages is not None
    assert (pages.input_token, pages.output_token, pages.limit, pages.more_results, pages.result_keys) == (
        "Marker",
        "Marker",
        "MaxItems",
        "IsTruncated",
        ("Users",),
    )
    create = load_api("accessanalyzer").operations["CreateAnalyzer"].input
    assert create is not None
    assert create.members["clientToken"].is_idempotency_token
    assert [load_api(service).signing_name for service in MODELS][2:5] == ["organizations", "sso", "identitystore"]
    with pytest.raises(ConfigurationError, match="expected a service of AWS, got `nosuch`"):
        codec_of("nosuch")

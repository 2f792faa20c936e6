"""Protocol features that the six services don't use: flattened lists and maps, element names, floats, longs, blobs, all
timestamp formats. A synthetic model, with botocore as the client."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ServiceModel

from iam_guard.api.protocol.dispatch import CODECS, codec_of
from iam_guard.api.protocol.messages import Parameters
from iam_guard.api.protocol.service_model import api_of, load_api
from iam_guard.errors import ConfigurationError
from iam_guard.model.own_services import MODELS
from tests.api.protocol.client import received_by, sent_by
from tests.api.protocol.generate import Maker
from tests.tables import table

PROTOCOLS = ("query", "json", "rest-json")
TIMES = ("iso8601", "rfc822", "unixtimestamp")
SCALARS = ("string", "integer", "long", "float", "double", "boolean", "blob", "timestamp")


def description(protocol: str) -> dict[str, Any]:
    """Return a service with one operation whose input and output are the same structure with all features."""
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
    """Return our codec and botocore's model of the synthetic service."""
    return CODECS[protocol](api_of("odd", description(protocol))), ServiceModel(description(protocol), "odd")


def without_empty_flat(value: Parameters) -> dict[str, Any]:
    """Remove empty flattened lists and maps, which XML can't represent."""
    flat = ("MFlat", "MFlatNamed", "MFlatMap")
    return {name: each for name, each in value.items() if name not in flat or each}


@table("protocol", PROTOCOLS)
def test_unusual_shapes_are_parsed(protocol: str) -> None:
    """As botocore serializes them."""
    codec, model = both(protocol)
    operation = codec.api.operations["Try"]
    for seed in range(60):
        parameters = without_empty_flat(Maker(str(seed), has_empty=protocol != "query").value(operation.input))
        assert codec.parse(sent_by(model, "Try", parameters)).parameters == parameters


@table("protocol", PROTOCOLS)
def test_unusual_shapes_are_serialized(protocol: str) -> None:
    """As botocore parses them."""
    codec, model = both(protocol)
    operation = codec.api.operations["Try"]
    for seed in range(60):
        result = without_empty_flat(Maker(str(seed), has_empty=protocol != "query").value(operation.output))
        parsed = received_by(model, codec.response(operation, result, "r"), model.operation_model("Try").output_shape)
        parsed.pop("ResponseMetadata")
        assert parsed == result


@table("protocol", PROTOCOLS)
@table("value", [float("inf"), float("-inf"), float("nan")])
def test_nan_and_infinity_have_names(protocol: str, value: float) -> None:
    """As in the protocols, never as bare JSON."""
    codec, model = both(protocol)
    operation = codec.api.operations["Try"]
    assert repr(codec.parse(sent_by(model, "Try", {"MFloat": value})).parameters) == repr({"MFloat": value})
    word = {"inf": b"Infinity", "-inf": b"-Infinity", "nan": b"NaN"}[str(value)]
    body = codec.response(operation, {"MFloat": value}, "r").body
    assert (b'"' + word + b'"' if protocol != "query" else b">" + word + b"<") in body


@table("protocol", PROTOCOLS)
def test_microseconds_survive(protocol: str) -> None:
    """If the format has them."""
    codec, model = both(protocol)
    moment = datetime(2026, 11, 24, 14, 1, 46, 250000, tzinfo=UTC)
    result = {"MTime0": moment, "MTime2": moment, "MTimestamp": moment}
    shape = model.operation_model("Try").output_shape
    parsed = received_by(model, codec.response(codec.api.operations["Try"], result, "r"), shape)
    assert {name: parsed[name] for name in result} == result


@table("protocol", PROTOCOLS)
@table(
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
def test_result_outside_the_model_raises_configuration_error(protocol: str, result: dict[str, Any]) -> None:
    """And is never sent."""
    codec, _ = both(protocol)
    with pytest.raises(ConfigurationError, match="expected"):
        codec.response(codec.api.operations["Try"], result, "r")


def test_model_has_traits_beyond_shapes() -> None:
    """Unsigned operations and signing names; unknown services are rejected."""
    sts = load_api("sts").operations
    unsigned = {name for name, operation in sts.items() if operation.is_unsigned}
    assert unsigned == {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}
    assert [load_api(service).signing_name for service in MODELS][3:6] == ["organizations", "sso", "identitystore"]
    with pytest.raises(ConfigurationError, match="expected an AWS service, got `nosuch`"):
        codec_of("nosuch")

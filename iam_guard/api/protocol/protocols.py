"""Codecs: the protocol of an AWS service.

codec = codec_of("iam")
operation, parameters = codec.parse(request)            # raises WireFault
validate(operation, parameters)                         # raises ValidationFailure
response = codec.response(operation, result, request_id)  # or codec.error_response(error, request_id)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

from iam_guard.api.protocol.awsjson import JsonCodec
from iam_guard.api.protocol.messages import Parameters, WireCall, WireRequest, WireResponse
from iam_guard.api.protocol.query import QueryCodec
from iam_guard.api.protocol.restjson import RestJsonCodec
from iam_guard.api.protocol.service_model import Api, Operation, load_api
from iam_guard.errors import IamGuardError


class Codec(Protocol):
    """The interface of all protocols, for one service."""

    @property
    def api(self) -> Api:
        """Return the service's model."""

    def parse(self, request: WireRequest) -> WireCall:
        """Parse the operation and its parameters. Raises `WireFault`."""

    def response(self, operation: Operation, result: Parameters, request_id: str) -> WireResponse:
        """Serialize the output of an operation."""

    def error_response(self, error: IamGuardError, request_id: str, details: Parameters | None = None) -> WireResponse:
        """Serialize an error; `details` are the error's further members in the model."""


CODECS: Mapping[str, Callable[[Api], Codec]] = {"query": QueryCodec, "json": JsonCodec, "rest-json": RestJsonCodec}


@cache
def codec_of(service: str) -> Codec:
    """Return the codec of a service, by its name in boto3; the model is loaded at the first call."""
    api = load_api(service)
    return CODECS[api.protocol](api)

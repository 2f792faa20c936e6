"""The door of this room's lower half: a service of AWS -> the codec that speaks its protocol.

codec = codec_of("iam")
operation, parameters = codec.parse(request)          # WireFault
validate(operation, parameters)                       # ValidationFailure
answer = codec.answer(operation, result, request_id)  # or codec.refusal(error, request_id)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

from iam_guard.api.protocol.awsjson import JsonCodec
from iam_guard.api.protocol.messages import Parameters, WireAnswer, WireCall, WireRequest
from iam_guard.api.protocol.query import QueryCodec
from iam_guard.api.protocol.restjson import RestJsonCodec
from iam_guard.api.protocol.service_model import Api, Operation, load_api
from iam_guard.errors import IamGuardError


class Codec(Protocol):
    """What every protocol offers, for one service."""

    @property
    def api(self) -> Api:
        """Return the service's model."""

    def parse(self, request: WireRequest) -> WireCall:
        """Read which operation is called, and with what. Raises `WireFault`."""

    def answer(self, operation: Operation, result: Parameters, request_id: str) -> WireAnswer:
        """Write what an operation gives."""

    def refusal(self, error: IamGuardError, request_id: str, details: Parameters | None = None) -> WireAnswer:
        """Write an error; `details` are further members that the model has for it."""


CODECS: Mapping[str, Callable[[Api], Codec]] = {"query": QueryCodec, "json": JsonCodec, "rest-json": RestJsonCodec}


@cache
def codec_of(service: str) -> Codec:
    """Return the codec of a service, by its name in boto3; its model is read at the first call."""
    api = load_api(service)
    return CODECS[api.protocol](api)

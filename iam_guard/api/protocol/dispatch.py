"""Find the service of a request, and the codec for its protocol.

The service is the one in the signature's credential scope; for unsigned requests, the one with the API version, or with
the path. A service's operations and model are loaded on first use, so that a server starts quickly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple, Protocol

from iam_guard.api.operation import Service
from iam_guard.api.protocol.awsjson import JsonCodec
from iam_guard.api.protocol.messages import Parameters, WireCall, WireRequest, WireResponse
from iam_guard.api.protocol.query import QueryCodec
from iam_guard.api.protocol.restjson import RestJsonCodec
from iam_guard.api.protocol.service_model import Api, Operation, load_api
from iam_guard.authn.credential_verifier import signed_service
from iam_guard.authn.presented_credentials import AnyCredential
from iam_guard.errors import IamGuardError, SignatureDoesNotMatch
from iam_guard.model.own_services import SERVED, SERVICES

_BY_VERSION = {service.version: service.prefix for service in SERVICES if service.version}
_MODELS = {service.prefix: service.model for service in SERVICES if service.model is not None}
_BY_PATH = {path.encode("ascii"): service.prefix for service in SERVICES for path in service.paths}
_VERSION = re.compile(rb"Version=([0-9-]{10})(?=&|\Z)")
"""Begins with a literal, which is found without trying every byte."""


class Codec(Protocol):
    """The interface of all protocols, for one service."""

    @property
    def api(self) -> Api:
        """Return the service's model."""

    def parse(self, request: WireRequest) -> WireCall:
        """Parse the operation and its parameters. Raises `WireFault`."""

    def response(self, operation: Operation, result: Parameters, request_id: str) -> WireResponse:
        """Serialize the output of an operation."""

    def error_response(self, error: IamGuardError, request_id: str) -> WireResponse:
        """Serialize an error, with the further members that the model has for it."""


CODECS: Mapping[str, Callable[[Api], Codec]] = {"query": QueryCodec, "json": JsonCodec, "rest-json": RestJsonCodec}


@cache
def codec_of(service: str) -> Codec:
    """Return the codec of a service, by its name in boto3; the model is loaded at the first call."""
    api = load_api(service)
    return CODECS[api.protocol](api)


class Destination(NamedTuple):
    """A service, and the codec for its protocol."""

    service: Service
    codec: Codec


@cache
def destination_of(name: str) -> Destination:
    """Return a served service by its prefix."""
    return Destination(service_of(name), codec_of(_MODELS[name]))


def service_of(prefix: str) -> Service:
    """Return the operations of a served service by its prefix."""
    module, table = SERVED[prefix]
    service: Service = getattr(import_module(module), table)
    return service


def own_actions() -> frozenset[str]:
    """Return the actions of all served services."""
    return frozenset(f"{prefix}:{name}" for prefix in SERVED for name in service_of(prefix).operations)


DEFAULT = "iam"
"""The service whose protocol is used for a request without a known service."""


def destination(request: WireRequest, credential: AnyCredential | None) -> Destination:
    """Return the service of a request. Raises `SignatureDoesNotMatch` if it is signed for an unknown service."""
    signed_for = signed_service(credential)
    if signed_for in SERVED:
        return destination_of(signed_for)
    expected = _BY_VERSION.get(_version(request)) or _of_path(request.head.raw_path)
    if signed_for is not None:
        raise SignatureDoesNotMatch(f"Credential should be scoped to correct service: '{expected}'. ")
    return destination_of(expected)


def _of_path(path: bytes) -> str:
    return next((prefix for start, prefix in _BY_PATH.items() if path.startswith(start)), DEFAULT)


def _version(request: WireRequest) -> str:
    """Find the version without parsing, since the caller is not authenticated yet and the form may be huge."""
    for text in (request.head.query_string, request.body):
        for found in _VERSION.finditer(text):
            if found.start() == 0 or text[found.start() - 1 : found.start()] == b"&":
                return found[1].decode("ascii")
    return ""

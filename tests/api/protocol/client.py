"""botocore as the client: its serialized requests, and its parsed responses."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from iam_guard.api.protocol.messages import WireRequest, WireResponse
from iam_guard.api.protocol.service_model import own_loader
from iam_guard.authn.http_request import HttpRequest


@cache
def service_model(service: str) -> ServiceModel:
    """Load a service's model as boto3 does."""
    return ServiceModel(own_loader().load_service_model(service, "service-2"), service)


def operation_model(service: str, operation: str) -> OperationModel:
    """Return one operation of boto3's model."""
    return service_model(service).operation_model(operation)


def request(method: str = "POST", path: str = "/", query: str = "", body: bytes = b"", **headers: str) -> WireRequest:
    """Return a request; `content_type` is the header `content-type`."""
    pairs = tuple((name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items())
    return WireRequest(HttpRequest(method, path.encode(), query.encode(), pairs), body)


def sent(service: str, operation: str, parameters: dict[str, Any]) -> WireRequest:
    """Return botocore's request to an AWS service, in bytes."""
    return sent_by(service_model(service), operation, parameters)


def sent_by(model: ServiceModel, operation: str, parameters: dict[str, Any]) -> WireRequest:
    """Return botocore's request by this model, in bytes."""
    serializer = create_serializer(model.protocol, include_validation=False)
    serialized = serializer.serialize_to_request(parameters, model.operation_model(operation))
    prepare_request_dict(serialized, "https://iam.example.test")
    prepared = create_request_object(serialized).prepare()
    url = urlsplit(prepared.url)
    body = prepared.body if isinstance(prepared.body, bytes) else (prepared.body or "").encode()
    headers = tuple((name.lower().encode(), _bytes(value)) for name, value in prepared.headers.items())
    return WireRequest(HttpRequest(prepared.method, url.path.encode(), url.query.encode(), headers), body)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


def received(service: str, answer: WireResponse, shape: Any) -> dict[str, Any]:
    """Return a response of an AWS service as botocore parses it, with its metadata."""
    return received_by(service_model(service), answer, shape)


def received_by(model: ServiceModel, answer: WireResponse, shape: Any) -> dict[str, Any]:
    """Return a response as botocore parses it by this model, with its metadata."""
    response = {"status_code": answer.status, "headers": HeadersDict(answer.headers), "body": answer.body}
    parsed: dict[str, Any] = create_parser(model.protocol).parse(response, shape)
    return parsed

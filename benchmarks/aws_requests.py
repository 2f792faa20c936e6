"""Requests of boto3, created and signed but not sent: client, operation and parameters -> bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config

REGION = "us-east-1"


class Ask(NamedTuple):
    """One call: the operation by its name in the model, and its parameters."""

    operation: str
    parameters: Mapping[str, Any]


def signed_requests(asked: Iterable[Ask], host: str, key: tuple[str, str]) -> Iterator[bytes]:
    """Return the HTTP requests of these calls; valid within the allowed clock skew."""
    client = botocore.session.Session().create_client(
        "iam",
        region_name=REGION,
        endpoint_url=f"http://{host}",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=Config(retries={"max_attempts": 0}),
    )
    client.meta.events.register("before-send.iam", _catch)
    methods = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    for operation, parameters in asked:
        try:
            getattr(client, methods[operation])(**parameters)
        except _Caught as caught:
            yield _as_bytes(caught.request, host)


class _Caught(Exception):
    """Raised instead of sending the request."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__()
        self.request = request


def _catch(request: AWSPreparedRequest, **_: object) -> None:
    raise _Caught(request)


def _as_bytes(request: AWSPreparedRequest, host: str) -> bytes:
    given = {name: _text(value) for name, value in request.headers.items() if name.lower() != "host"}
    fields = {"Host": host, **given}
    lines = [f"{request.method} {urlsplit(request.url).path or '/'} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    body = request.body or b""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body.encode() if isinstance(body, str) else body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

"""Which of our services a request is meant for, and which codec speaks to its client.

The service is the one in the credential scope of the signature; of requests without a signature, the one that has the
API version, or the prefix of `X-Amz-Target`. What a service can do is imported, and its model read, when it is first
asked for, so that a server starts at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from iam_guard.api.operation import Service
from iam_guard.api.protocol.messages import WireRequest
from iam_guard.api.protocol.protocols import Codec, codec_of
from iam_guard.authn.credential_verifier import AnyCredential, signed_service
from iam_guard.errors import SignatureDoesNotMatch
from iam_guard.model.own_services import SERVED, SERVICES

_BY_VERSION = {service.version: service.prefix for service in SERVICES if service.version}


@dataclass(frozen=True, slots=True)
class Destination:
    """A service, and the codec that speaks to its clients."""

    service: Service
    codec: Codec


@cache
def destination_of(name: str) -> Destination:
    """Return a service by the name in `SERVED`."""
    module, table = SERVED[name]
    service: Service = getattr(import_module(module), table)
    return Destination(service, codec_of(name))


DEFAULT = "iam"
"""Whose words are used for a request that nobody can place."""


def destination(request: WireRequest, credential: AnyCredential | None) -> Destination:
    """Find the service that a request is meant for. Raises `SignatureDoesNotMatch` for a signature for another one."""
    signed_for = signed_service(credential)
    if signed_for is None:
        return destination_of(_BY_VERSION.get(_version(request), DEFAULT))
    if signed_for not in SERVED:
        meant = _BY_VERSION.get(_version(request), DEFAULT)
        raise SignatureDoesNotMatch(f"Credential should be scoped to correct service: '{meant}'. ")
    return destination_of(signed_for)


def _version(request: WireRequest) -> str:
    """Find the version at a glance, for nothing is known of who asks: the form may be of any size and shape."""
    for text in (request.head.query_string, request.body):
        for found in _VERSION.finditer(text):
            if found.start() == 0 or text[found.start() - 1 : found.start()] == b"&":
                return found[1].decode("ascii")
    return ""


_VERSION = re.compile(
    rb"Version=([0-9-]{10})(?=&|\Z)"
)  # begins with a literal, which is found without trying every byte

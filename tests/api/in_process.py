"""Clients in the process instead of those of boto3, for the tests of this folder.

`test_in_process` runs those of IAM and STS a second time with them, except those with the marker `over_http`.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard import Guard, Principal
from iam_guard.api.client import client
from iam_guard.authn.http_request import HttpRequest
from iam_guard.web.body_verification import empty_hash

is_chosen = os.environ.get("IAM_GUARD_TEST_API") == "process"
"""Whether the clients of the tests stay in the process."""


def principal_of(guard: Guard, key: tuple[str, ...], service: str) -> Principal:
    """Return the caller of a request that is signed with a key."""
    request = AWSRequest("GET", "http://testserver/", headers={"host": "testserver"})
    SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    headers = tuple((name.lower().encode(), value.encode()) for name, value in request.headers.items())
    return guard.authenticate(HttpRequest("GET", b"/", b"", headers), payload_hash=empty_hash, any_scope=True)


class KeyClient:
    """A client in the process that authenticates a key before each call, as the API does."""

    def __init__(self, guard: Guard, key: tuple[str, ...], service: str) -> None:
        self._guard = guard
        self._key = key
        self._service = service
        self._request_signer = SimpleNamespace(_credentials=Credentials(*key))  # as tests read a client's key

    def __getattr__(self, name: str) -> Any:
        service = {"accessanalyzer": "access-analyzer"}.get(self._service, self._service)
        return getattr(client(self._guard, self._service, principal_of(self._guard, self._key, service)), name)

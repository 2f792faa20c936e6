"""Every operation on PostgreSQL, on a full account: the same responses as on SQLite."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from iam_guard.settings import Settings
from tests.api.every_operation import OPERATIONS, parameters_of
from tests.api.sample_server import SampleServer, sample_server
from tests.store.databases import SEALING_KEY, Server, do_without, find_server

_OWN = re.compile(r"\b[A-Z0-9]{16,64}\b|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}|\d{10}")
"""What two accounts that are made anew do not share: unique ids, job ids, digests."""

_SECRET = ("SecretAccessKey", "ServicePassword", "ServiceCredentialSecret", "ServiceCredentialAlias")
_NOTED_LATER = (
    *("AccessDetails", "NumberOfServicesAccessible", "NumberOfServicesNotAccessed", "ServicesLastAccessed"),
    *("EntityDetailsList", "RoleLastUsed", "AccessKeyLastUsed"),
)
"""What was used last is written in the background, sooner or later."""

LAST = ("DeleteUser", "DeleteRole", "DeleteGroup", "DeletePolicy", "DeleteInstanceProfile")
"""After what takes their belongings away."""


@contextmanager
def on_postgresql() -> Iterator[str]:
    """Return the URL of a database; skip without a server."""
    server = find_server()
    if isinstance(server, str):
        do_without(server)
    assert isinstance(server, Server)
    try:
        yield server.lend()
    finally:
        server.close()


def outcome(sample: SampleServer, operation: str) -> Any:
    """Call an operation, and return what is the same in every account."""
    try:
        answer = getattr(sample.admin, xform_name(operation))(**parameters_of(operation, sample.parameters))
    except ClientError as refused:
        error = refused.response["Error"]
        return error["Code"], error["Type"], _OWN.sub("…", error["Message"])
    answer.pop("ResponseMetadata")
    return outline(answer)


def outline(value: Any) -> Any:
    """Return the names and types of a response, and texts that are not generated."""
    match value:
        case dict():
            return {key: outline(each) for key, each in value.items() if key not in _SECRET + _NOTED_LATER}
        case list():
            return [outline(each) for each in value]
        case str() if len(value) < 200:
            return _OWN.sub("…", value)
        case bool() | int():
            return value
    return type(value).__name__


def test_every_operation_responds_alike_on_postgresql() -> None:
    """In the same order, so that each sees the previous ones' effects; no server errors."""
    order = [*(each for each in sorted(OPERATIONS) if each not in LAST), *LAST]
    with (
        on_postgresql() as url,
        sample_server(url, Settings(sealing_keys=(SEALING_KEY,))) as there,
        sample_server() as here,
    ):
        answers = {name: (outcome(here, name), outcome(there, name)) for name in order}
        assert {name: both for name, both in answers.items() if both[0] != both[1]} == {}
        assert [
            name for name, (answer, _) in answers.items() if isinstance(answer, tuple) and answer[1] == "Receiver"
        ] == []
        assert sum(isinstance(answer, dict) for answer, _ in answers.values()) > len(order) / 2  # the rest are refused
        assert [user["UserName"] for user in there.admin.list_users(PathPrefix="/")["Users"]].count("new") == 1

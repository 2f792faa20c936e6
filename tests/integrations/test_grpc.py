"""The scenario table over gRPC, with both kinds of server on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from iam_guard.audit.consumer.reader import read_records
from tests.authn.issuer import Issuer, publishing
from tests.integrations.application import (
    CONCURRENT_CALLERS,
    ISSUER,
    READER,
    SECRET,
    STREAMED,
    api_key_of,
    barrier,
    ran,
)
from tests.integrations.contract import needed
from tests.integrations.scenarios import SCENARIOS, user

needed("grpc", "iam_guard_grpc")

from tests.integrations.grpc_application import Document, call, opened, served, trailing  # noqa: E402
from tests.integrations.grpc_scenarios import (  # noqa: E402
    CHANGED,
    GRPC_SCENARIOS,
    LACKING,
    GrpcScenario,
)


class Caller:
    """Sends calls to one server, and reads the resulting audit records."""

    def __init__(self, channel: Any, audit: Path, issuer: Issuer) -> None:
        self.channel = channel
        self._audit = audit
        self._issuer = issuer
        self._read = 0

    def ask(self, scenario: GrpcScenario) -> tuple[list[Any], Any]:
        """Send a row; return the answers, and the call or its error."""
        metadata = scenario.metadata
        if scenario.subject is not None:
            metadata = (("authorization", f"Bearer {self._issuer.token(sub=scenario.subject)}"),)
        return call(self.channel, scenario.method, Document(**scenario.fields), metadata)

    def records(self) -> list[dict[str, Any]]:
        """Return the audit records since the last call."""
        records = list(read_records(self._audit, on_broken=lambda _: None)) if self._audit.exists() else []
        new, self._read = records[self._read :], len(records)
        return new


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with publishing(Issuer(ISSUER)) as made:
        yield made


@pytest.fixture(scope="module", params=["sync", "aio"])
def caller(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, issuer: Issuer
) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("grpc")
    oidc: dict[str, Any] = {"oidc_addresses": (issuer.at,), "oidc_timeout": 60.0}
    with (
        opened(folder, oidc_roles=(f"{ISSUER} sub=* {READER}",), **oidc) as guard,
        served(request.param, guard) as channel,
    ):
        yield Caller(channel, folder / "audit.jsonl", issuer)


@pytest.mark.parametrize("scenario", GRPC_SCENARIOS, ids=lambda scenario: scenario.row.name)
def test_call_has_the_expected_result(caller: Caller, scenario: GrpcScenario) -> None:
    """Status, code, answer and audit records of the row."""
    caller.records()
    ran.clear()
    answers, done = caller.ask(scenario)
    row = scenario.row
    assert done.code() is scenario.status, done
    recorded = caller.records()
    assert [f"{one['eventName']} {one.get('errorCode') or one['iamGuard']['outcome']}" for one in recorded] == [
        *row.records
    ]
    if scenario.status not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN):
        assert {one["requestID"] for one in recorded} <= {trailing(done)["x-amzn-requestid"]}
        assert trailing(done).get("x-amzn-errortype") == row.code
        assert SECRET not in done.details()
    if row.code is not None:
        assert (ran, answers) == ([], [])
    if isinstance(row.body, dict):
        assert {name: answers[0].get(name) for name in row.body} == row.body
    if row.messages:
        assert [answer["caller"] for answer in answers] == [*row.messages]
    if scenario.method == "Stream" and scenario.status is grpc.StatusCode.OK:
        assert answers == [[part.decode(), user("rita")] for part in STREAMED]


def test_table_names_rows_that_exist() -> None:
    assert {*LACKING, *CHANGED} <= {row.name for row in SCENARIOS}


def test_concurrent_callers_are_kept_apart(caller: Caller) -> None:
    """A hundred callers whose handlers run at the same time, and a hundred interleaved streams."""
    caller.records()
    barrier.reset(CONCURRENT_CALLERS)

    def ask(number: int) -> tuple[list[Any], list[Any]]:
        metadata = (("authorization", f"Bearer {api_key_of(number)}"),)
        message = Document(document_id=str(number))
        who, _ = call(caller.channel, "Who", message, metadata)
        streamed, _ = call(caller.channel, "Stream", message, metadata)
        return who, streamed

    with ThreadPoolExecutor(CONCURRENT_CALLERS) as pool:
        results = list(pool.map(ask, range(CONCURRENT_CALLERS)))
    barrier.reset(0)
    for number, ([who], streamed) in enumerate(results):
        caller_arn = user(f"caller-{number:03}")
        assert (who["caller"], who["document"]) == (caller_arn, str(number))
        assert [arn for _, arn in streamed] == [caller_arn] * len(STREAMED)
    decided = {(one["userIdentity"]["arn"], one["resources"][0]["ARN"].rpartition("/")[2]) for one in caller.records()}
    assert decided == {(user(f"caller-{number:03}"), str(number)) for number in range(CONCURRENT_CALLERS)}


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_missing_interceptor_denies_every_caller(kind: str) -> None:
    """Without the interceptor a guarded handler does not run for any caller."""
    with served(kind, None) as channel:
        ran.clear()
        for method in ("GetDocument", "PutDocument", "DeleteDocument", "Stream", "Watch"):
            answers, done = call(channel, method, Document(document_id="7"))
            assert (answers, done.code()) == ([], grpc.StatusCode.UNKNOWN)
        assert ran == []


def test_module_imports_no_protobuf() -> None:
    """The adapter works with other serializers."""
    source = Path(sys.modules["iam_guard_grpc"].__file__ or "").parent
    assert all("google" not in file.read_text(encoding="utf-8") for file in source.glob("*.py"))

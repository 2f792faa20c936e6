"""A guard with an audit folder: opening, decisions, the IAM API, event loops, closing."""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, Principal, open_guard, public
from iam_guard.audit import append_file
from iam_guard.audit.record.lanes import Line, QueuedRecord
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.signing_keys import create_signing_key_file, read_signing_keys
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.record_queue import RecordQueue
from iam_guard.cli import main
from iam_guard.errors import ConfigurationError, DecisionUnavailable
from iam_guard.guard.principal_queries import PrincipalQuestion
from iam_guard.model.request import Call
from iam_guard.web.asgi.middleware import GuardMiddleware
from iam_guard.web.call_context import current_call
from iam_guard.web.enforcement import decide_in_async
from iam_guard.web.service import Service
from tests.audit.pipelines import eventually, facts_in

ACME = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/1"
SEED = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "name": "acme",
            "users": [
                {
                    "name": "ada",
                    "inline": {
                        "P": {
                            "Version": "2012-10-17",
                            "Statement": [{"Effect": "Allow", "Action": ["docs:*", "iam:*"], "Resource": "*"}],
                        }
                    },
                }
            ],
        }
    ],
}


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    (tmp_path / "iam.json").write_text(json.dumps(SEED))
    create_signing_key_file(tmp_path / "key")
    opened = open_guard(
        tmp_path / "iam.json",
        services=[Service("docs")],
        audit=f"{tmp_path}/trail/",
        audit_key_file=f"{tmp_path}/key",
        epoch_poll=3600.0,  # no poll is due in a test, however slow it is
    )
    yield opened
    opened.close()


def kinds_in(folder: Path) -> list[tuple[str, str]]:
    facts = facts_in(folder / "trail")
    return [(fact["eventName"], fact["iamGuard"].get("outcome", "")) for fact in facts]


def test_query_about_another_principal_names_both(guard: Guard, tmp_path: Path) -> None:
    """The call of the one who asks supplies no condition keys to the decision."""
    asking = Principal.from_arn(f"arn:aws:iam::{ACME}:root")
    call = Call("request-1", kind="http", source_ip="10.0.0.1")
    (decision,) = guard.principal_queries.ask([PrincipalQuestion(ADA, "docs:GetDocument", DOCUMENT)], asking, call=call)
    assert decision.allowed
    assert "aws:SourceIp" not in decision.request.context
    guard.close()
    (record,) = [fact for fact in facts_in(tmp_path / "trail") if fact["eventName"] == "AskPermissions"]
    assert (record["userIdentity"]["arn"], record["sourceIPAddress"]) == (asking.arn, "10.0.0.1")
    assert record["iamGuard"]["answers"][0]["principal"] == ADA.arn


def test_decisions_are_in_the_trail_after_close(guard: Guard, tmp_path: Path) -> None:
    """Named by the service, signed to its end."""
    assert guard.decide(ADA, "docs:GetDocument", DOCUMENT).allowed
    assert not guard.decide(ADA, "mail:Send").allowed
    guard.close()
    assert kinds_in(tmp_path) == [
        ("AuditSegment", ""),
        ("GetDocument", "Allowed"),
        ("Send", "ImplicitlyDenied"),
        ("AuditEnd", ""),
    ]
    [shard] = (tmp_path / "trail").iterdir()
    assert shard.name.startswith("docs-")
    ring = KeyRing([read_signing_key.verifier for read_signing_key in read_signing_keys(tmp_path / "key")])
    assert verify_trail(tmp_path / "trail", ring).is_ok


def test_own_service_record_is_on_disk_before_response(guard: Guard, tmp_path: Path) -> None:
    assert guard.decide(ADA, "iam:GetUser", ADA.arn).allowed
    assert kinds_in(tmp_path)[-1] == ("GetUser", "Allowed")


def test_failing_disk_refuses_by_record_class(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 for administration; a denial stays a denial."""

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    guard.decide(ADA, "iam:GetUser", ADA.arn)
    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        with pytest.raises(DecisionUnavailable, match="the audit record cannot be written"):
            guard.decide(ADA, "iam:CreateUser", f"arn:aws:iam::{ACME}:user/eve")
        assert not guard.decide(ADA, "sts:AssumeRole").allowed
        assert guard.decide(ADA, "docs:GetDocument", DOCUMENT).allowed
    usage = guard.trail.usage()
    assert usage is not None
    assert (usage.dropped, usage.refused) == (0, 1)


def test_closed_guard_refuses_every_allow(guard: Guard) -> None:
    """A closed trail records nothing and so allows nothing."""
    guard.trail.close()
    with pytest.raises(DecisionUnavailable):
        guard.decide(ADA, "docs:GetDocument", DOCUMENT)
    assert not guard.decide(ADA, "mail:Send").allowed


def test_record_that_cannot_be_made_counts_as_missing(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes are refused; for reads the gap is counted."""

    def fail() -> str:
        raise OSError("no randomness")

    with monkeypatch.context() as patched:
        patched.setattr(guard.trail, "_new_id", fail)
        with pytest.raises(DecisionUnavailable):
            guard.decide(ADA, "docs:PutDocument", DOCUMENT)
        assert guard.decide(ADA, "docs:GetDocument", DOCUMENT).allowed
        eventually(lambda: (usage := guard.trail.usage()) is not None and usage.dropped)
    usage = guard.trail.usage()
    assert usage is not None
    assert (usage.dropped, usage.refused) == (1, 1)


# --- event loops -----------------------------------------------------------------------------------------------------


def test_coroutines_do_not_wait_for_the_disk(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that must be durable runs in a worker thread; others stay on the loop."""
    put, put_allowed, threads = Pipeline.put, RecordQueue.put_allowed, []

    def watched(self: Pipeline, line: Line, row: Any, **more: Any) -> bool:
        threads.append((row.name, threading.get_ident()))
        return put(self, line, row, **more)

    def watched_allowed(self: RecordQueue, record: QueuedRecord) -> bool:
        threads.append(("allowed", threading.get_ident()))
        return put_allowed(self, record)

    monkeypatch.setattr(Pipeline, "put", watched)
    monkeypatch.setattr(RecordQueue, "put_allowed", watched_allowed)
    docs = Service("docs")
    loops = []

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def read(request: Request) -> JSONResponse:
        loops.append(threading.get_ident())
        return JSONResponse({})

    @public
    async def administer(request: Request) -> JSONResponse:
        assert await decide_in_async(current_call(), "iam:CreateUser", f"arn:aws:iam::{ACME}:user/eve", None)
        loops.append(threading.get_ident())
        return JSONResponse({})

    monkeypatch.setattr(guard, "authenticate", lambda *_, **__: ADA)
    monkeypatch.setattr(guard.store, "_poll_every", 3600.0)  # a look that is due is made in a worker, too
    app = Starlette(routes=[Route("/read", read), Route("/administer", administer, methods=["GET"])])
    guarded = GuardMiddleware(app, guard=guard)
    with TestClient(guarded) as client:
        for path in ("/read", "/read", "/administer"):
            assert client.get(path).status_code == 200
    [(_, _), (_, warm), (row, durable)] = threads
    assert row == "admin"
    assert warm == loops[1]
    assert durable != loops[2]
    assert kinds_in(tmp_path)[-2:] == [("CreateUser", "Allowed"), ("AuditEnd", "")]


def test_durable_decision_on_event_loop_is_refused(guard: Guard) -> None:
    """Always, so that the mistake is found at once; in a worker thread it works."""
    guard.decide(ADA, "iam:GetUser", ADA.arn)

    async def main() -> None:
        assert guard.decide_from_cache(ADA, "iam:GetUser", ADA.arn) is None
        assert guard.decide_from_cache(ADA, "docs:GetDocument", ADA.arn) is not None
        with pytest.raises(DecisionUnavailable):
            guard.decide(ADA, "iam:GetUser", ADA.arn)
        assert (await anyio.to_thread.run_sync(guard.decide, ADA, "iam:GetUser", ADA.arn)).allowed

    anyio.run(main)


# --- opening ---------------------------------------------------------------------------------------------------------


def test_existing_folder_needs_no_slash(tmp_path: Path) -> None:
    (tmp_path / "iam.json").write_text(json.dumps(SEED))
    (tmp_path / "trail").mkdir()
    create_signing_key_file(tmp_path / "key")
    guard = open_guard(tmp_path / "iam.json", audit=str(tmp_path / "trail"), audit_key_file=str(tmp_path / "key"))
    assert guard.trail.usage() is not None
    guard.close()


def test_audit_file_is_still_a_file(tmp_path: Path) -> None:
    (tmp_path / "iam.json").write_text(json.dumps(SEED))
    guard = open_guard(tmp_path / "iam.json", audit=str(tmp_path / "trail"))
    guard.decide(ADA, "docs:GetDocument", DOCUMENT)
    assert (tmp_path / "trail").is_file()
    assert guard.trail.usage() is None
    guard.close()


def test_key_next_to_the_store_is_found(tmp_path: Path) -> None:
    """As `iam-guard init` creates it."""
    create_signing_key_file(tmp_path / "iam-guard.db.audit-key")
    guard = open_guard(f"sqlite:///{tmp_path}/iam-guard.db", create=True, audit=f"{tmp_path}/trail/")
    assert guard.trail.usage() is not None
    guard.close()


def test_created_store_has_the_files_of_init(tmp_path: Path) -> None:
    """Its keys too; a second start changes none."""
    of_init, of_guard = tmp_path / "init", tmp_path / "guard"
    for folder in (of_init, of_guard):
        folder.mkdir()
    assert CliRunner().invoke(main, ["init", "--store", f"sqlite:///{of_init}/iam-guard.db"]).exit_code == 0
    keys = []
    for _ in range(2):
        open_guard(f"sqlite:///{of_guard}/iam-guard.db", create=True, audit=f"{tmp_path}/trail/").close()
        keys.append((of_guard / "iam-guard.db.audit-key").read_bytes())
    assert {path.name for path in of_guard.iterdir()} == {path.name for path in of_init.iterdir()}
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, "audit_key_file"),
        ({"audit_key_file": "{}/nokey"}, "audit_key_file"),
        ({"audit_key_file": "{}/key", "audit": "{}/key/"}, "{}/key/"),
        ({"audit_key_file": "{}/key", "audit_fail_open": ["admin"]}, "audit_fail_open"),
    ],
)
def test_guard_without_key_or_folder_is_refused(settings: dict[str, Any], place: str, tmp_path: Path) -> None:
    (tmp_path / "iam.json").write_text(json.dumps(SEED))
    create_signing_key_file(tmp_path / "key")
    given = {name: value.format(tmp_path) if isinstance(value, str) else value for name, value in settings.items()}
    with pytest.raises(ConfigurationError) as caught:
        open_guard(tmp_path / "iam.json", **{"audit": f"{tmp_path}/trail/", **given})
    assert place.format(tmp_path) in str(caught.value.place)


def test_trail_folder_is_private_to_its_owner(guard: Guard, tmp_path: Path) -> None:
    assert os.stat(tmp_path / "trail").st_mode & 0o777 == 0o700


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_unreferenced_guard_writes_its_records(tmp_path: Path) -> None:
    """Even while metrics callbacks exist; Python warns about the unclosed store."""
    (tmp_path / "iam.json").write_text(json.dumps(SEED))
    create_signing_key_file(tmp_path / "key")
    opened = open_guard(tmp_path / "iam.json", audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key")
    assert opened.decide(ADA, "docs:GetDocument", DOCUMENT).allowed
    del opened
    gc.collect()
    eventually(lambda: kinds_in(tmp_path)[-1:] == [("AuditEnd", "")])
    assert ("GetDocument", "Allowed") in kinds_in(tmp_path)

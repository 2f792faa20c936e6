"""A web process seals callers, and a worker process decides for them as the web process does, at the same epoch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iam_guard import Guard, Principal, Service
from iam_guard.factory import guard_with_store
from iam_guard.model.principal import Credential, Issued
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.store.databases import SEALING_KEY

ACME = "111122223333"
ADA = f"arn:aws:iam::{ACME}:user/ada"
EDITOR = f"arn:aws:iam::{ACME}:role/team/Editor"
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"
ACTIONS = ["docs:Get", "docs:List", "docs:Put", "docs:Delete"]
WORKER = """
import json, sys
from iam_guard.errors import CredentialError
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database

settings = Settings(sealing_keys=(sys.argv[2],), epoch_poll=0.0)
guard = guard_with_store(open_database(sys.argv[1], settings), settings)
for line in sys.stdin:
    job = json.loads(line)
    try:
        principal = guard.sealed_principals.open(job["principal"], audience="exports")
        decisions = [guard.decide(principal, action, job["resource"]) for action in job["actions"]]
        answer = [[decision.outcome, decision.epoch, decision.reasons[0].sid] for decision in decisions]
    except CredentialError as error:
        answer = error.message
    print(json.dumps(answer), flush=True)
guard.close()
"""


def allow(sid: str, action: str, **condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": "*", **more}


def seed(*statements: dict[str, Any]) -> str:
    policy = {"Version": "2012-10-17", "Statement": [*statements]}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACME}}
    role = {"name": "Editor", "path": "/team/", "trust": {**policy, "Statement": [trust]}, "inline": {"P": policy}}
    return json.dumps({"version": 1, "accounts": [{"id": ACME, "users": [{"name": "ada"}], "roles": [role]}]})


FIRST = seed(
    allow("Tagged", "docs:Get", StringEquals={"aws:PrincipalTag/team": "blue"}),
    allow("Named", "docs:List", StringEquals={"aws:SourceIdentity": "ada@example.com"}),
    allow("Recent", "docs:Put", NumericLessThan={"aws:MultiFactorAuthAge": "3600"}),
    allow("Limited", "docs:Delete"),
)
SECOND = seed(allow("Later", "docs:Delete"), {**allow("No", "docs:Get"), "Effect": "Deny"})


class Worker:
    """A worker process, which answers jobs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, text: str) -> None:
        """Assign the worker a sealed principal."""
        assert self._process.stdin is not None
        job = {"principal": text, "resource": DOCUMENT, "actions": ACTIONS}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """Return what the worker has decided, or why it refused."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def answer(self, text: str) -> Any:
        self.start(text)
        return self.result()


@contextmanager
def working(database: str) -> Iterator[Worker]:
    command = [sys.executable, "-c", WORKER, database, SEALING_KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Worker(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture
def guard(database: str, settings: Settings) -> Iterator[Guard]:
    store = open_database(database, settings)
    apply_seed(store, load_seed_text(FIRST))
    opened = guard_with_store(store, settings, services=[Service("docs")])
    yield opened
    opened.close()


def caller() -> Principal:
    """Return a role session with everything that a session can have."""
    now = datetime.now(UTC)
    issued = Issued(now, now + timedelta(hours=1), ("team",), "ada@example.com", now - timedelta(minutes=1))
    limits = {"Version": "2012-10-17", "Statement": [allow("S", action) for action in ACTIONS[:3]]}
    return replace(
        Principal.from_arn(
            f"arn:aws:sts::{ACME}:assumed-role/Editor/s1",
            role_arn=EDITOR,
            tags={"team": "blue"},
            session_policies=(json.dumps(limits),),
        ),
        credential=Credential("sts", "ASIA1", issued=issued),
    )


def own_answers(guard: Guard, principal: Principal) -> list[list[Any]]:
    decisions = [guard.decide(principal, action, DOCUMENT) for action in ACTIONS]
    return [[decision.outcome, decision.epoch, decision.reasons[0].sid] for decision in decisions]


def test_worker_process_decides_as_the_web_process(guard: Guard, database: str) -> None:
    """Tags, session policies, source identity and MFA count, before and after a change of the policies."""
    principal = caller()
    text = guard.sealed_principals.seal(principal, audience="exports")
    with working(database) as worker:
        found = worker.answer(text)
        assert found == own_answers(guard, principal)
        assert [row[0] for row in found] == ["Allowed", "Allowed", "Allowed", "ImplicitlyDenied"]
        apply_seed(guard._store.behind, load_seed_text(SECOND))
        guard.refresh()
        changed = worker.answer(text)
        assert changed == own_answers(guard, principal)
        assert [row[0] for row in changed] == ["ExplicitlyDenied", *["ImplicitlyDenied"] * 3]
        assert changed[0][1] > found[0][1]
        with guard.store.write_transaction() as records:
            records.delete(identities, account=ACME, kind="role")
        assert worker.answer(text) == "the user or role of the sealed principal does not exist any more"


def test_two_workers_open_an_envelope_once(guard: Guard, database: str) -> None:
    """With `once`, one of two processes at the same time, and none later."""
    texts = [guard.sealed_principals.seal(caller(), audience="exports", once=True) for _ in range(10)]
    refused = "the sealed principal was opened before, and opens once"
    with working(database) as one, working(database) as other:
        for text in texts:
            one.start(text)
            other.start(text)
            answers = [one.result(), other.result()]
            assert answers.count(refused) == 1
            assert [type(answer) for answer in answers].count(list) == 1
            assert one.answer(text) == other.answer(text) == refused

"""Real workers and beats of Celery, with a broker in a folder: processes, their audit trail, redelivery."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("celery", "iam_guard_celery")

from celery import Celery  # noqa: E402
from iam_guard_celery import guard_tasks  # noqa: E402

from iam_guard import Guard, Principal, open_guard  # noqa: E402
from iam_guard.audit.verify.signing_keys import create_signing_key_file  # noqa: E402
from iam_guard.settings import Settings  # noqa: E402
from iam_guard.store.opening import create_store, open_store  # noqa: E402
from iam_guard.store.seed import apply_seed, load_seed_text  # noqa: E402
from tests.audit.pipelines import eventually, facts_in, gaps_in  # noqa: E402
from tests.integrations.celery_tasks import answer, calling  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.forks]
ROOT = Path(__file__).resolve().parents[2]
ACME = "111122223333"
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
NAMES = [f"user{number}" for number in range(100)]
MODULE = """
import os, time
from celery import Celery
from iam_guard import Principal, Service, current_principal, open_guard
from iam_guard_celery import guard_tasks

docs = Service("docs")
guard = open_guard(os.environ["STORE"], services=[docs], audit=os.environ["TRAIL"])
app = Celery("tasks")
app.config_from_object("celeryconfig")
app.conf.broker_transport_options["data_folder_out"] = os.environ["OUT"]
app.conf.beat_schedule = {"nightly": {"task": "who", "schedule": 0.2, "options": {"task_id": "scheduled"}}}
nightly = Principal.from_arn("arn:aws:iam::111122223333:user/user7")
guard_tasks(app, guard, once="ONCE" in os.environ, scheduled_as=nightly)


@app.task(name="get")
@docs.requires("GetDocument", resource="document/{id}")
def get(id):
    return [current_principal().name, os.getpid()]


@app.task(name="who")
def who():
    return current_principal().arn


@app.task(name="crash")
def crash(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(1)
    return current_principal().name
"""


CONFIGURATION = """
broker_url, result_backend = "filesystem://", "file://{folder}/results"
broker_transport_options = {{"polling_interval": 0.01, "data_folder_in": "{folder}/q", "data_folder_out": "{folder}/q"}}
broker_transport_options["control_folder"] = "{folder}/control"
worker_prefetch_multiplier, task_acks_late, task_reject_on_worker_lost = 1, True, True
"""


class Farm:
    """A store, a trail and a queue, which this process and workers use."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trail = folder, folder / "trail"
        store = f"sqlite:///{folder}/iam.db"
        users = [{"name": name, "inline": {"P": READ}} for name in NAMES]
        opened = create_store(store, Settings())
        apply_seed(opened, load_seed_text(json.dumps({"version": 1, "accounts": [account(users)]})))
        opened.close()
        create_signing_key_file(folder / "iam.db.audit-key")
        for name in ("q", "written", "results", "control"):
            (folder / name).mkdir()
        (folder / "tasks.py").write_text(MODULE)
        (folder / "celeryconfig.py").write_text(CONFIGURATION.format(folder=folder))
        self.environment = {**os.environ, "STORE": store, "TRAIL": f"{self.trail}/", "OUT": f"{folder}/q"}
        self.guard: Guard = open_guard(store)
        self.app = Celery("tasks", set_as_current=False)
        settings: dict[str, Any] = {}
        exec((folder / "celeryconfig.py").read_text(), settings)  # noqa: S102  its own file
        self.app.conf.update({name: value for name, value in settings.items() if not name.startswith("_")})
        self.app.conf.broker_transport_options["data_folder_out"] = str(folder / "written")
        guard_tasks(self.app, self.guard)

    def send(self, user: str, name: str, *args: object) -> Any:
        with calling(self.guard, Principal.from_arn(f"arn:aws:iam::{ACME}:user/{user}")):
            sent = self.app.send_task(name, args)
        self.queue(self.written())
        return sent

    def written(self) -> list[Path]:
        """Return the messages that another process than the worker wrote, the oldest first."""
        return sorted((self.folder / "written").iterdir(), key=lambda message: message.stat().st_mtime_ns)

    def queue(self, messages: list[Path]) -> None:
        """Move messages that are whole to the worker, which ends at an empty file."""
        for message in messages:
            message.rename(self.folder / "q" / message.name)

    @contextmanager
    def running(self, *command: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program of Celery, in a process group of its own; its output is in the file `log` at the end."""
        arguments = [sys.executable, "-m", "celery", "-A", "tasks", *command]
        path = os.pathsep.join([str(self.folder), self.environment.get("PYTHONPATH", "")])
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                env={**self.environment, "PYTHONPATH": path, **more},
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(120)

    def decisions(self) -> list[dict[str, Any]]:
        return [fact for fact in facts_in(self.trail) if fact["iamGuard"]["kind"] == "decision"]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def account(users: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": ACME, "name": "acme", "root": {"email": "root@acme.example"}, "users": users}


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    with closing(made.guard):
        yield made
    made.app.close()


def test_processes_keep_callers_apart_and_write_every_record(farm: Farm) -> None:
    """A hundred callers in processes that end after seven tasks each, then a warm shutdown."""
    sent = [farm.send(name, "get", number) for number, name in enumerate(NAMES)]
    with farm.running("worker", "-P", "prefork", "-c", "3", "-l", "INFO", "--max-tasks-per-child", "7"):
        results = [answer(result) for result in sent]
    assert [name for name, _ in results] == NAMES
    assert len({process for _, process in results}) > 3
    decisions = farm.decisions()
    arns = [f"arn:aws:iam::{ACME}:user/{name}" for name in NAMES]
    assert sorted(fact["userIdentity"]["arn"] for fact in decisions) == sorted(arns)
    assert {fact["userIdentity"]["arn"]: fact["resources"][0]["ARN"].rpartition("/")[2] for fact in decisions} == {
        arn: str(number) for number, arn in enumerate(arns)
    }
    assert gaps_in(farm.trail) == []
    assert "igpr_" not in farm.log
    assert "Traceback" not in farm.log


def test_threads_of_a_worker_write_every_record(farm: Farm) -> None:
    sent = [farm.send(name, "get", number) for number, name in enumerate(NAMES)]
    with farm.running("worker", "-P", "threads", "-c", "10"):
        assert [answer(result)[0] for result in sent] == NAMES
    assert len(farm.decisions()) == len(NAMES)
    assert gaps_in(farm.trail) == []


def test_change_of_the_store_reaches_every_process(farm: Farm) -> None:
    """A policy that changes while the worker runs."""
    denied = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "docs:*", "Resource": "*"}}
    seed = json.dumps({"version": 1, "accounts": [account([{"name": "user1", "inline": {"P": denied}}])]})

    def is_denied() -> bool:
        return all(str(answer(farm.send("user1", "get", 1))).startswith("AccessDenied") for _ in range(4))

    with farm.running("worker", "-P", "prefork", "-c", "2"):
        before = [farm.send("user1", "get", 1) for _ in range(6)]
        assert {answer(result)[0] for result in before} == {"user1"}
        with closing(open_store(farm.environment["STORE"], Settings())) as store:
            apply_seed(store, load_seed_text(seed))
        eventually(is_denied)


@pytest.mark.parametrize("once", [False, True])
def test_task_of_a_killed_process_is_delivered_again(farm: Farm, once: bool) -> None:
    """It runs as its caller again; with `once`, it is refused, since its caller was used already."""
    result = farm.send("user1", "crash", str(farm.folder / "crashed")) if not once else None
    if once:
        farm.app.send_task, _ = Celery.send_task.__get__(farm.app), farm.app.send_task
        guard_tasks(farm.app, farm.guard, once=True)
        result = farm.send("user1", "crash", str(farm.folder / "crashed"))
    with farm.running("worker", "-P", "prefork", "-c", "1") as worker:
        found = answer(result)
        os.killpg(worker.pid, signal.SIGKILL)  # a killed pool process can keep a lock that Celery's shutdown waits for
    refused = "InvalidClientTokenId: the sealed principal was opened before, and opens once"
    assert found == (refused if once else "user1")


def test_beat_sends_as_its_principal(farm: Farm) -> None:
    """The principal of the set-up, also for a schedule in a file."""
    result = farm.app.AsyncResult("scheduled")
    with farm.running("beat", "-s", str(farm.folder / "schedule"), OUT=str(farm.folder / "written")):
        eventually(lambda: len(farm.written()) > 1)  # then the first one is whole
    farm.queue(farm.written()[:1])
    with farm.running("worker", "-P", "solo"):
        assert answer(result) == f"arn:aws:iam::{ACME}:user/user7"

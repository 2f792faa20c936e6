"""`iam-guard audit ship`: delivery, reports, exit codes, and stopping by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.audit.consumer.offsets import FOLDER
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.shipping.shippers import Shippers
from iam_guard.audit.verify.shard import segments_of
from iam_guard.cli import main
from tests.audit.shipping.destinations import QUICK
from tests.audit.shipping.receivers import Answer, Receiver, run_receiver
from tests.audit.shipping.test_to_webhook import SECRET, posted
from tests.audit.trails import KEY, RING, record, writer_in, written

Run = Callable[..., Result]
VKEY = str(KEY.verifier)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("iam_guard.cli.audit.ship.Shippers", partial(Shippers, pace=QUICK))
    return lambda *arguments: CliRunner().invoke(main, ["audit", "ship", *arguments])


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    written(tmp_path / "trail", 20)
    return tmp_path / "trail"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("IAM_GUARD_AUDIT_WEBHOOK_SECRETS", SECRET)
    with run_receiver() as receiver:
        yield receiver


def decisions(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [each["eventID"] for each in map(json.loads, lines) if each["eventName"] == "GetDocument"]


def test_once_ships_everything_and_reports(run: Run, trail: Path) -> None:
    result = run(str(trail), "--to", "file:out.jsonl", "--name", "copy", "--once", "--key", VKEY)
    assert result.exit_code == 0, result.output
    count = len(Path("out.jsonl").read_text().splitlines())
    assert result.output.splitlines()[-1] == f"copy: ended, {count} delivered, lag 0"
    assert decisions(Path("out.jsonl")) == [f"id-{number}" for number in range(20)]
    assert run(str(trail), "--to", "file:out.jsonl", "--name", "copy", "--once", "--key", VKEY).exit_code == 0
    assert len(Path("out.jsonl").read_text().splitlines()) == count


def test_several_sinks_with_options_and_json(run: Run, trail: Path, hook: Receiver) -> None:
    """Options of a URL override those of the command."""
    arguments = ("--to", "file:out.jsonl#name=copy", "--to", f"{hook.url}#name=hook&form=record")
    result = run(
        str(trail), *arguments, "--form", "ocsf", "--filter", "kind=decision", "--once", "--json", "--key", VKEY
    )
    assert result.exit_code == 0, result.output
    last = {each["sink"]: each for each in map(json.loads, result.output.splitlines())}
    assert {name: (each["state"], each["delivered"], each["lag"]) for name, each in last.items()} == {
        "copy": ("ended", 20, 0),
        "hook": ("ended", 20, 0),
    }
    assert all("class_uid" in json.loads(line) for line in Path("out.jsonl").read_text().splitlines())
    assert [each["eventID"] for each in posted(hook.accepted)] == [f"id-{number}" for number in range(20)]


def test_records_on_stdout_are_separate_from_reports(run: Run, trail: Path) -> None:
    result = run(str(trail), "--to", "-", "--once", "--key", VKEY)
    assert result.exit_code == 0
    assert all("eventID" in json.loads(line) for line in result.stdout.splitlines())
    assert "stdout: ended" in result.stderr


def test_sinks_of_settings_are_the_default(run: Run, trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAM_GUARD_AUDIT_SINKS", "file:a.jsonl#name=a, file:b.jsonl#name=b")
    assert run(str(trail), "--once", "--key", VKEY).exit_code == 0
    assert decisions(Path("a.jsonl")) == decisions(Path("b.jsonl")) != []


def test_undelivered_records_are_exit_code_1(run: Run, trail: Path, hook: Receiver) -> None:
    """As well as permanently rejected ones."""
    hook.decide = lambda request: Answer(503)
    result = run(str(trail), "--to", f"{hook.url}#name=hook", "--once", "--key", VKEY)
    assert result.exit_code == 1
    assert "hook: failing, 0 delivered" in result.output
    assert result.output.splitlines()[-1].endswith("5 failures: status 503")
    hook.decide = lambda request: Answer(413) if b'"id-7"' in request.body else None
    result = run(str(trail), "--to", f"{hook.url}#name=hook", "--once", "--key", VKEY)
    assert result.exit_code == 1
    assert "1 refused" in result.output
    assert '"eventID": "id-7"' in (trail / FOLDER / "ship-hook.refused.jsonl").read_text()


def test_damage_is_exit_code_2_until_seek(run: Run, trail: Path) -> None:
    shard = next(each for each in trail.iterdir() if each.is_dir() and each.name != FOLDER)
    segments = segments_of(shard)
    segments[1].lines.write_bytes(segments[1].lines.read_bytes().replace(b"Allowed", b"Denied!", 1))
    arguments = (str(trail), "--to", "file:out.jsonl#name=copy", "--once", "--key", VKEY)
    for _ in range(2):  # it stays so until the cause is fixed
        result = run(*arguments)
        assert result.exit_code == 2
        assert "copy: stopped" in result.output
        assert "MODIFIED: a line is not what was signed" in result.output
    before = len(decisions(Path("out.jsonl")))
    result = run(*arguments, "--seek", f"{shard.name}:{segments[2].first}")
    assert result.exit_code == 0, result.output
    after = decisions(Path("out.jsonl"))
    assert 0 < before < len(after) < 20
    assert after[-1] == "id-19"


@pytest.mark.parametrize("seek", ["earliest", "latest", "2100-01-01T00:00:00Z"])
def test_seek_moves_position(run: Run, trail: Path, seek: str) -> None:
    arguments = (str(trail), "--to", "file:out.jsonl#name=copy", "--once", "--key", VKEY)
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "--seek", seek).exit_code == 0
    assert len(decisions(Path("out.jsonl"))) == (40 if seek == "earliest" else 20)


def test_since_applies_to_new_sink(run: Run, trail: Path) -> None:
    arguments = (str(trail), "--to", "file:out.jsonl#name=copy", "--once", "--key", VKEY)
    assert run(*arguments, "--since", "2100-01-01T00:00:00Z").exit_code == 0
    assert decisions(Path("out.jsonl")) == []
    assert run(*arguments, "--since", "2020-01-01T00:00:00Z").exit_code == 0
    assert decisions(Path("out.jsonl")) == []


def test_second_shipping_process_is_an_error_with_once(run: Run, trail: Path) -> None:
    with AuditReader(trail, ring=RING).subscribe("ship-copy"):
        result = run(str(trail), "--to", "file:out.jsonl#name=copy", "--once", "--key", VKEY)
    assert result.exit_code == 2
    assert "another process consumes for this group" in result.output


def test_ship_refuses_invalid_input(run: Run, trail: Path) -> None:
    key = ("--key", VKEY)
    for arguments in (
        (str(trail), *key),  # no sink
        (str(trail), "--to", "-"),  # no key
        (str(trail), "--to", "nonsense", *key),
        (str(trail), "--to", "-#name=a", "--to", "-#name=a", *key),
        (str(trail), "--to", "-", "--to", "file:a", "--name", "b", *key),
        (str(trail), "--to", "-", "--form", "xml", *key),
        (str(trail), "--to", "-", "--filter", "nonsense", *key),
        (str(trail), "--to", "-", "--since", "yesterday", *key),
        (str(trail), "--to", "-", "--seek", "somewhere", *key),
        (str(trail), "--to", "-", "--seek", "docs-x-1-20261125T031000.1Z:5", *key),
        ("nowhere", "--to", "-", *key),
    ):
        result = run(*arguments, "--once")
        assert result.exit_code == 2, (arguments, result.output)
        assert "Traceback" not in result.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ship_follows_live_trail_until_signal(tmp_path: Path, number: signal.Signals) -> None:
    """Records signed by then are delivered; exit code 0."""
    trail, out = tmp_path / "trail", tmp_path / "out.jsonl"
    writer = writer_in(trail)
    writer.append([record(0)])
    writer.checkpoint()
    command = [sys.executable, "-m", "iam_guard", "audit", "ship", str(trail), "--to", f"file:{out}", "--key", VKEY]
    environment = os.environ | {"PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert "shipping" in process.stdout.readline()
        writer.append([record(1)])
        writer.checkpoint()
        until = time.monotonic() + 60
        while "id-1" not in (out.read_text() if out.exists() else ""):
            assert time.monotonic() < until
            time.sleep(0.02)
        writer.append([record(2)])
        writer.checkpoint()
        process.send_signal(number)
        output, complained = process.communicate(timeout=300)
    assert process.returncode == 0, complained
    assert complained == ""
    assert decisions(out) == ["id-0", "id-1", "id-2"]
    assert "ended, 4 delivered" in output
    writer.close()


HELD = """
import signal, sys, time
from iam_guard.cli.audit import ship

class Shippers:
    is_running = True
    start = close = lambda self: None
    usage = lambda self: {}

def strike(frame, event, argument):
    is_waiting = event == "call" and frame.f_code.co_qualname == "Condition.wait"
    if is_waiting or (event == "c_call" and argument is time.sleep):
        sys.setprofile(None)
        signal.raise_signal(signal.SIGTERM)

sys.setprofile(strike)
print(ship._watch(Shippers(), ship._Reporter(is_json=False, is_error=False)))
"""


def test_signal_during_wait_ends_process() -> None:
    """The waiting thread holds a lock, so the signal handler must not acquire it."""
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=False, timeout=300)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr

"""The progress bar: which commands have one, and where it is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from click.testing import CliRunner

from iam_guard.cli import main
from iam_guard.cli.kit import progress
from tests.audit.trails import KEY, written
from tests.cli.terminal import in_terminal
from tests.tables import table

Bar = tuple[str, int | None, str]
SEED = """
version: 1
accounts: [{id: "111122223333", users: [{name: ada}]}]
"""
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get", "Resource": "*"}]}
MATRIX = "seed: iam.yaml\nprincipals: {ada: 'arn:aws:iam::111122223333:user/ada'}\nactions: ['docs:Get']\n"
RECORDS = 15
"""In the trail: twelve, and those that it writes about itself."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store, a trail, a policy, cases and a matrix."""
    path = tmp_path_factory.mktemp("bars")
    (path / "iam.yaml").write_text(SEED)
    (path / "policy.json").write_text(json.dumps(POLICY))
    (path / "cases.jsonl").write_text("{}\n")
    (path / "matrix.yaml").write_text(MATRIX)
    written(path / "trail", 12)
    (path / "records.jsonl").write_text("")
    return path


@pytest.fixture
def bars(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """Record the bars instead of drawing them, as if standard error were a terminal."""
    monkeypatch.chdir(folder)
    found: list[Bar] = []

    def draw(title: str, total: Callable[[], int | None], unit: str, done: Callable[[], int], end: Event) -> None:
        end.wait(60)
        found.append((title, total(), unit))

    monkeypatch.setattr(progress, "is_shown", lambda: True)
    monkeypatch.setattr(progress, "draw", draw)
    return found


@table(
    ("command", "bar"),
    [
        ("init --store sqlite:///new.db", ("creating", None, "")),
        (f"audit feed trail --store sqlite:///new.db --key {KEY.verifier}", ("reading", None, "")),
        ("apply iam.yaml --store sqlite:///applied.db", ("applying", None, "")),
        ("lint policy.json", ("checking", None, "")),
        ("who-can docs:Get --store iam.yaml", ("searching", None, "")),
        ("analyze escalation --store iam.yaml", ("searching", None, "")),
        ("what-can arn:aws:iam::111122223333:user/ada --store iam.yaml", ("searching", None, "")),
        ("matrix matrix.yaml", ("deciding", None, "")),
        ("test cases.jsonl", ("testing", None, "cases")),
        ("why id-3 --trail trail --no-verify --store iam.yaml", ("reading", RECORDS, "records")),
        ("audit replay trail --no-verify --store iam.yaml", ("reading", RECORDS, "records")),
        ("audit replay records.jsonl --store iam.yaml", ("reading", None, "records")),
        ("audit shadow trail --no-verify", ("reading", RECORDS, "records")),
        (f"audit verify trail --key {KEY.verifier}", ("verifying", None, "bytes")),
        (f"audit prove id-3 --trail trail --key {KEY.verifier}", ("searching", None, "")),
        ("audit query trail --denied --no-verify", ("querying", None, "")),
        ("audit export trail --ocsf --no-verify", ("reading", RECORDS, "records")),
        ("audit tail trail --no-verify", ("reading", RECORDS, "records")),
        ("audit drop trail --older-than 400d --dry-run", ("dropping", None, "")),
        (
            "audit generate-policy arn:aws:iam::111122223333:user/ada --trail trail --no-verify",
            ("reading", RECORDS, "records"),
        ),
    ],
)
def test_command_has_a_bar(folder: Path, bars: list[Bar], command: str, bar: Bar) -> None:
    """The total is that of the trail, in records, or in bytes to verify."""
    bars.clear()
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code in (0, 1), done.output
    if bar[2] == "bytes":
        bar = (bar[0], sum(path.stat().st_size for path in folder.glob("trail/*/*.jsonl")), bar[2])
    assert bars == [bar]


def test_pipe_gets_no_bar(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with progress.progress("reading") as advance:
        advance(1)
    assert bars == []


# --- drawing -----------------------------------------------------------------------------------------------------

DRAWING = """
import sys
from iam_guard.cli.kit import progress

class End:
    remaining = 4
    def wait(self, seconds):
        self.remaining -= 1
        return self.remaining == 0

def done():
    print("a record")
    return 50

progress.draw("reading", lambda: 100, "records", done, End())
"""


def test_bar_is_drawn_on_the_terminal_only(tmp_path: Path) -> None:
    """Standard output may be a file; the bar is removed at the end."""
    with (tmp_path / "out").open("wb") as out:
        shown = in_terminal("-c", DRAWING, folder=tmp_path, stdout=out)
    assert "reading" in shown
    assert "50 records" in shown
    assert shown.endswith("\x1b[2K")
    assert (tmp_path / "out").read_text() == "a record\n" * 2


def test_short_command_draws_nothing(tmp_path: Path) -> None:
    """And imports no library for it."""
    program = DRAWING.replace("remaining = 4", "remaining = 1") + "print(sorted({'rich'} & sys.modules.keys()))"
    assert in_terminal("-c", program, folder=tmp_path) == "[]\n"


def test_installation_without_rich_has_no_bar(tmp_path: Path) -> None:
    """It comes with the extra `server`."""
    program = "import sys\nsys.modules['rich'] = sys.modules['rich.progress'] = None\n" + DRAWING
    assert in_terminal("-c", program, folder=tmp_path) == ""

"""Output to a terminal: colours, and tables as wide as it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner

from iam_guard.cli import main
from tests.audit.trails import written
from tests.cli.terminal import in_terminal
from tests.tables import table

SLOPPY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Alow", "Action": "docs:*", "Resource": "*"}]})
SOUND = SLOPPY.replace("Alow", "Allow").replace("docs:*", "docs:Get")


# --- colours -----------------------------------------------------------------------------------------------------


@table(
    ("policy", "coloured"),
    [(SLOPPY, ["error INVALID_EFFECT", "^^^^^^", "1 error"]), (SOUND, ["no findings"])],
)
def test_lint_colours_levels(tmp_path: Path, policy: str, coloured: list[str]) -> None:
    """As in `who-can`; the text is the same without colours."""
    (tmp_path / "policy.json").write_text(policy)
    arguments = ["lint", str(tmp_path / "policy.json")]
    painted = CliRunner().invoke(main, arguments, color=True).stdout
    plain = CliRunner().invoke(main, arguments).stdout
    assert click.unstyle(painted) == plain != painted
    colour = "green" if policy == SOUND else "red"
    assert [text for text in coloured if click.style(text, fg=colour) not in painted] == []


@table(("variables", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_terminal_gets_colours_unless_no_color(tmp_path: Path, variables: dict[str, str], is_coloured: bool) -> None:
    """https://no-color.org: any value but the empty one."""
    (tmp_path / "policy.json").write_text(SLOPPY)
    written = in_terminal("-m", "iam_guard", "lint", "policy.json", folder=tmp_path, **variables)
    assert ("\x1b[31m" in written) is is_coloured
    assert "1 error" in written


# --- tables ------------------------------------------------------------------------------------------------------


@table(("columns", "lines"), [(240, 7), (80, 7), (36, 6 * 6 - 1)])
def test_audit_query_fits_the_terminal(tmp_path: Path, columns: int, lines: int) -> None:
    """No line is wrapped: a table, or a list where columns would be too narrow; a pipe gets whole lines."""
    trail = tmp_path / f"trail{columns}"
    written(trail, 6)
    question = "SELECT event_id, action, outcome, request_id, record FROM records WHERE kind = 'decision'"
    command = ["-m", "iam_guard", "audit", "query", str(trail), question, "--no-verify"]
    *shown, note = in_terminal(*command, folder=tmp_path, columns=columns).splitlines()
    assert (len(shown), [line for line in shown if len(line) > columns]) == (lines, [])
    assert note == "iam-guard: long cells are shortened to the width of the terminal; --json shows them"
    piped = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    assert (len(piped.stdout.splitlines()), piped.stdout.count('"eventName":"GetDocument"')) == (7, 6)

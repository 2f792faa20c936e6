"""Output to a terminal: colours."""

from __future__ import annotations

import json
from pathlib import Path

import click
from click.testing import CliRunner

from iam_guard.cli import main
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

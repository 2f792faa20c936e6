"""Check the completion of commands, options and values in a shell, which Click provides."""

from __future__ import annotations

import subprocess
import sys

from click.shell_completion import ShellComplete

from iam_guard.cli.group import COMMANDS, main
from tests.tables import table

VARIABLE = "_IAM_GUARD_COMPLETE"


def completed(words: list[str], incomplete: str) -> list[str]:
    completions = ShellComplete(main, {}, "iam-guard", VARIABLE).get_completions(words, incomplete)
    return [item.value for item in completions]


@table(
    ("words", "incomplete", "expected"),
    [
        ([], "wh", ["who-can", "what-can", "why"]),
        ([], "--ver", ["--version"]),
        (["audit"], "ver", ["verify"]),
        (["lint"], "--min", ["--min-severity"]),
        (["lint", "--format"], "s", ["sarif"]),
    ],
)
def test_word_is_completed(words: list[str], incomplete: str, expected: list[str]) -> None:
    assert completed(words, incomplete) == expected


def test_every_command_is_completed() -> None:
    assert completed([], "")[: len(COMMANDS)] == list(COMMANDS)


@table(("words", "modules"), [([], ["group"]), (["audit"], ["audit", "group"])])
def test_completion_of_a_name_imports_no_command(words: list[str], modules: list[str]) -> None:
    """It runs at each press of the key."""
    program = (
        "import sys\n"
        "from click.shell_completion import ShellComplete\n"
        "from iam_guard.cli.group import main\n"
        f"ShellComplete(main, {{}}, 'iam-guard', '{VARIABLE}').get_completions({words}, '')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('iam_guard.cli.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"iam_guard.cli.{name}" for name in modules]

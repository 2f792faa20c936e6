"""`iam-guard decide`: decide a stream of cases. It imports neither a store nor the readers of files."""

from __future__ import annotations

import json
import sys
from io import BufferedIOBase
from itertools import count
from typing import cast

import click

from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.policy.grammar import shown
from iam_guard.testing.case_answer import answer
from iam_guard.testing.case_json import CaseDecoder, CaseEntry, Unreadable
from iam_guard.testing.case_lines import buffered_lines


@click.command()
@relaxed_gc()
def command() -> None:
    """Read cases as JSON lines from standard input, write `{"id", "outcome"}` lines in the same order.

    Exit code 2 if a line is not a JSON object; the other lines are answered, too.
    """
    decoder, numbers, exit_code = CaseDecoder(), count(1), 0
    for lines in buffered_lines(cast(BufferedIOBase, sys.stdin.buffer)):
        numbered = zip(lines, numbers, strict=False)  # in this order, so that no number is skipped
        entries = [decoder.decode(line, f"stdin:{number}") for line, number in numbered if line and not line.isspace()]
        if entries:
            click.echo("\n".join([json.dumps(answer(entry)) for entry in entries]))
        for entry in entries:
            if isinstance(entry, Unreadable) or not isinstance(entry.content, dict):
                exit_code = 2
                click.echo(f"iam-guard: {entry.place}: {_problem(entry)}", err=True)
    sys.exit(exit_code)


def _problem(entry: CaseEntry | Unreadable) -> str:
    return shown(entry.problem) if isinstance(entry, Unreadable) else "expected a case as JSON object"

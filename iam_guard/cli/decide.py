"""`iam-guard decide`: decide a stream of cases. It imports neither a store nor the readers of files."""

from __future__ import annotations

import json
import sys
from io import BufferedIOBase
from typing import cast

import click

from iam_guard.cli.gc_tuning import relaxed_gc
from iam_guard.testing.case_answer import answer
from iam_guard.testing.case_json import CaseDecoder
from iam_guard.testing.case_lines import buffered_lines


@click.command()
@relaxed_gc()
def decide() -> None:
    """Read cases as JSON lines from standard input, write `{"id", "outcome"}` lines in the same order."""
    decoder = CaseDecoder()
    for lines in buffered_lines(cast(BufferedIOBase, sys.stdin.buffer)):
        entries = (decoder.decode(line, "stdin") for line in lines if line and not line.isspace())
        answers = [json.dumps(answer(entry)) for entry in entries]
        if answers:
            click.echo("\n".join(answers))

"""`iam-guard check batch`: a stream of checks. It imports neither a store nor the readers of files."""

from __future__ import annotations

import json
import sys
from io import BufferedIOBase
from itertools import count
from typing import cast

import click

from iam_guard.analysis.checks.check_lines import check_line
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.policy.grammar import shown
from iam_guard.testing.case_json import CaseDecoder, CaseEntry, Unreadable
from iam_guard.testing.case_lines import buffered_lines


@click.command()
@relaxed_gc()
def command() -> None:
    """Read checks as JSON lines from standard input, write their results as JSON lines in the same order.

    Exit code 2 if a line is not a JSON object; the other lines are answered, too.
    """
    decoder, numbers, exit_code = CaseDecoder(), count(1), 0
    for lines in buffered_lines(cast(BufferedIOBase, sys.stdin.buffer)):
        for line, number in zip(lines, numbers, strict=False):  # in this order, so that no number is skipped
            if line and not line.isspace():
                entry = decoder.decode(line, f"stdin:{number}")
                click.echo(json.dumps(_answer(entry)))
                if isinstance(entry, Unreadable) or not isinstance(entry.content, dict):
                    exit_code = 2
    sys.exit(exit_code)


def _answer(entry: CaseEntry | Unreadable) -> dict[str, object]:
    if isinstance(entry, Unreadable):
        return {"id": None, "error": shown(entry.problem)}
    return {"id": entry.member("id"), **check_line(entry.content)}

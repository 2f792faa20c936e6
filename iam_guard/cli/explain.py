"""`iam-guard explain`: decide a case of a file, and say why. No store is opened."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from iam_guard.cli.kit.commands import Answer, answering
from iam_guard.cli.kit.terminal import coloured
from iam_guard.errors import InvalidInput
from iam_guard.testing.case_files import entries_of_text
from iam_guard.testing.case_json import CaseEntry, Unreadable
from iam_guard.testing.case_lines import UNDECODED
from iam_guard.testing.policy_tests import PolicyTests, entries_of_tests


@click.command()
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--id", "case_id", help="Select the case, if FILE has several.")
@answering
def command(file: Path, case_id: str | None) -> Answer:
    """Explain why a case of FILE (JSON, JSON lines or YAML; default standard input) is allowed or denied.

    Exit code 0 if it is allowed, 1 if it is denied.
    """
    with PolicyTests() as tests:
        decision = tests.decision(_chosen(_entries(file), case_id))
        explanation = decision.explain()
    exit_code = 2 if decision.error is not None else int(not decision.allowed)
    return Answer(explanation.to_dict(), coloured(explanation.text()), exit_code)


def _entries(file: Path) -> list[CaseEntry | Unreadable]:
    if file == Path("-"):
        return entries_of_text(sys.stdin.buffer.read().decode("utf-8", UNDECODED), "stdin")
    if file.suffix in (".yaml", ".yml", ".json"):
        return list(entries_of_tests(file))
    entries = entries_of_text(file.read_text(encoding="utf-8", errors=UNDECODED), str(file))
    return [replace(entry, path=file) for entry in entries]


def _chosen(entries: Sequence[CaseEntry | Unreadable], case_id: str | None) -> CaseEntry:
    matching = [
        entry
        for entry in entries
        if case_id is None or (isinstance(entry, CaseEntry) and entry.member("id") == case_id)
    ]
    match matching:
        case [CaseEntry() as chosen]:
            return chosen
        case [Unreadable(place, problem)]:
            raise InvalidInput(problem, place=place)
    if case_id is None:
        raise InvalidInput(f"expected one case, or --id to choose one, got {len(matching)} cases")
    raise InvalidInput(f"expected one case with the id `{case_id}`, got {len(matching)} of {len(entries)} cases")

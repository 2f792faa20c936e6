"""Write verified fixes into files of JSON: one fix for each policy at a time, until none is left."""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.analysis.lint.edits import Edit, apply_edits
from iam_guard.analysis.lint.linter import Linter, LintFinding, Unfixed
from iam_guard.analysis.lint.sources import LintedFile, sources_of_text

MAX_ROUNDS = 200
"""Maximum number of fixes of one policy."""


class FixedFile(NamedTuple):
    """A file after fixes, and the findings that were fixed."""

    file: LintedFile
    findings: tuple[LintFinding, ...]


def fix_file(linter: Linter, file: LintedFile, *, unsafe: bool = False) -> FixedFile:
    """Apply the fixes that keep access, and with `unsafe` all verified ones."""
    fixed: list[LintFinding] = []
    unfixed: set[Unfixed] = set()
    for _ in range(MAX_ROUNDS):
        chosen = list(linter.first_fixes(file, unfixed, unsafe=unsafe))
        if not chosen:
            break
        fixed += chosen
        edits = [edit for finding in chosen if finding.fix is not None for edit in finding.fix.edits]
        text = apply_edits(file.text, [Edit(edit.offset, edit.end_offset, edit.text) for edit in edits])
        [file] = sources_of_text(text, file.name, file.type)
    return FixedFile(file, tuple(fixed))

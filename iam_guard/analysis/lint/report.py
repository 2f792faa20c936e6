"""Output formats of findings: text, JSON, and those of `analysis.sarif`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from iam_guard.analysis.lint.lint_codes import HINTS, SEVERITIES, help_page, level_of_code
from iam_guard.analysis.lint.linter import LintFinding, LintFix
from iam_guard.analysis.sarif import FileFinding, SarifLevel, SarifRule, artifact, sarif_log
from iam_guard.policy.finding_codes import Level
from iam_guard.policy.grammar import shown

WORDS: Mapping[Level, str] = {level: level.lower().replace("_", " ") for level in SEVERITIES}
_SARIF: Mapping[Level, SarifLevel] = {
    "ERROR": "error",
    "SECURITY_WARNING": "warning",
    "WARNING": "warning",
    "SUGGESTION": "note",
}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[^\s,\]}#]+')
_MAX_SHOWN = 160
"""Characters of a line that are shown; a whole policy may be on one line."""

Paint = Callable[[str, Level | None], str]
"""Returns a text in the colour of its level; None is for no findings."""


def _plain(text: str, level: Level | None) -> str:
    return text


# --- text --------------------------------------------------------------------------------------------------------


def text_report(findings: Sequence[LintFinding], texts: Mapping[str, str], paint: Paint = _plain) -> Iterator[str]:
    """Format findings with the line of the file and a caret below; `texts` are the files' contents by name."""
    for finding in findings:
        where = f" (in {shown(finding.policy)})" if finding.policy else ""
        what = paint(f"{WORDS[finding.level]} {finding.code}", finding.level)
        yield f"{finding.file}:{finding.line}:{finding.column}: {what}: {shown(finding.message)}{where}"
        yield from _excerpt(finding, texts.get(finding.file, ""), paint)
        yield f"    = help: {finding.hint}"
        if finding.fix is not None:
            yield f"    = fix: {finding.fix.description}{'' if finding.fix.keeps_access else ' (changes access)'}"
        yield ""


class Filterable(NamedTuple):
    """How many statements about rows of a model there are, and by how many of them lists can be filtered."""

    statements: int
    filterable: int


def summary(
    findings: Sequence[LintFinding], policies: int, paint: Paint = _plain, filterable: Filterable | None = None
) -> str:
    """Return the number of policies, of findings by level, and of filterable statements if there are any."""
    counts = Counter(finding.level for finding in findings)
    found = [
        paint(f"{counts[level]} {WORDS[level]}{'s' if counts[level] > 1 else ''}", level)
        for level in reversed(SEVERITIES)
        if counts[level]
    ]
    checked = "1 policy" if policies == 1 else f"{policies} policies"
    lists = f"\nfilterable: {filterable.filterable} of {filterable.statements} statements" if filterable else ""
    return f"{checked}: {', '.join(found) or paint('no findings', None)}{lists}"


def _excerpt(finding: LintFinding, text: str, paint: Paint) -> Iterator[str]:
    lines = text.split("\n")
    if not 0 < finding.line <= len(lines):
        return
    line, column = lines[finding.line - 1].rstrip("\r"), finding.column - 1
    token = _TOKEN.match(line, column)
    length = max(1, (token.end() - column) if token else 1)
    first = max(0, column - _MAX_SHOWN // 4) if len(line) > _MAX_SHOWN else 0
    part = line[first : first + _MAX_SHOWN]
    cut = "…" if first else ""
    number = str(finding.line)
    yield f"  {number} | {cut}{''.join(letter if letter.isprintable() else ' ' for letter in part)}"
    carets = paint("^" * min(length, max(1, len(part) - (column - first))), finding.level)
    yield f"  {' ' * len(number)} | {' ' * (len(cut) + column - first)}{carets}"


# --- machine-readable --------------------------------------------------------------------------------------------


def as_json(findings: Sequence[LintFinding], policies: int, filterable: Filterable | None = None) -> str:
    """Serialize findings as one JSON object."""
    lists = {} if filterable is None else {"lists": filterable._asdict()}
    return json.dumps({"policies": policies, **lists, "findings": [asdict(finding) for finding in findings]}, indent=2)


def file_findings(findings: Iterable[LintFinding]) -> Iterator[FileFinding]:
    """Yield findings for SARIF and GitHub."""
    for finding in findings:
        message, level = f"{finding.message}; {finding.hint}", _SARIF[finding.level]
        fix = None if finding.fix is None else _sarif_fix(finding.fix, artifact(finding.file))
        yield FileFinding(finding.code, level, message, finding.file, finding.line, finding.column, fix)


def sarif(findings: Iterable[LintFinding], version: str) -> str:
    """Serialize findings as a SARIF log."""
    rules = {code: SarifRule(hint, _SARIF[level_of_code(code)], help_page(code)) for code, hint in HINTS.items()}
    return sarif_log(file_findings(findings), rules, version)


def _sarif_fix(fix: LintFix, where: Mapping[str, str]) -> dict[str, Any]:
    replacements = [
        {
            "deletedRegion": {
                "startLine": edit.line,
                "startColumn": edit.column,
                "endLine": edit.end_line,
                "endColumn": edit.end_column,
            },
            "insertedContent": {"text": edit.text},
        }
        for edit in fix.edits
    ]
    changes = [{"artifactLocation": where, "replacements": replacements}]
    return {"description": {"text": fix.description}, "artifactChanges": changes}

"""Output formats of findings: text, JSON, GitHub annotations, SARIF 2.1.0."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple
from urllib.parse import quote

from iam_guard.analysis.lint.lint_codes import HINTS, SEVERITIES, help_page, level_of_code
from iam_guard.analysis.lint.linter import LintFinding, LintFix
from iam_guard.policy.finding_codes import Level
from iam_guard.policy.grammar import shown

WORDS: Mapping[Level, str] = {level: level.lower().replace("_", " ") for level in SEVERITIES}
_SARIF: Mapping[Level, str] = {
    "ERROR": "error",
    "SECURITY_WARNING": "warning",
    "WARNING": "warning",
    "SUGGESTION": "note",
}
_GITHUB: Mapping[Level, str] = {**_SARIF, "SUGGESTION": "notice"}
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


def github(findings: Iterable[LintFinding]) -> Iterator[str]:
    """Format findings as GitHub workflow commands, which annotate the lines."""
    for finding in findings:
        place = {"file": finding.file, "line": str(finding.line), "col": str(finding.column), "title": finding.code}
        properties = ",".join(f"{name}={_escaped(value, inside=True)}" for name, value in place.items())
        yield f"::{_GITHUB[finding.level]} {properties}::{_escaped(f'{finding.message}; {finding.hint}', inside=False)}"


def _escaped(text: str, *, inside: bool) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if inside else text


def sarif(findings: Sequence[LintFinding], version: str) -> str:
    """Serialize findings as a SARIF log."""
    codes = sorted({finding.code for finding in findings})
    rules = [
        {
            "id": code,
            "helpUri": help_page(code),
            "shortDescription": {"text": HINTS[code]},
            "help": {"text": HINTS[code]},
            "defaultConfiguration": {"level": _SARIF[level_of_code(code)]},
        }
        for code in codes
    ]
    driver = {"name": "iam-guard", "version": version, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [*map(_result, findings)]}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2)


def _result(finding: LintFinding) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    where = {"uri": quote(finding.file.replace("\\", "/"))}
    fixes = {} if finding.fix is None else {"fixes": [_sarif_fix(finding.fix, where)]}
    return {
        "ruleId": finding.code,
        "level": _SARIF[finding.level],
        "message": {"text": f"{finding.message}; {finding.hint}"},
        "locations": [{"physicalLocation": {"artifactLocation": where, "region": region}}],
        **fixes,
    }


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

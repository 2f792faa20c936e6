"""Findings at a place of a file, as SARIF 2.1.0 and as GitHub workflow commands, which annotate lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

SarifLevel: TypeAlias = Literal["error", "warning", "note"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_GITHUB: Mapping[SarifLevel, str] = {"error": "error", "warning": "warning", "note": "notice"}


class FileFinding(NamedTuple):
    """A finding; `line` and `column` count from 1, in Unicode characters. `fix` is an object of SARIF."""

    code: str
    level: SarifLevel
    message: str
    file: str
    line: int = 1
    column: int = 1
    fix: Mapping[str, Any] | None = None


class SarifRule(NamedTuple):
    """What SARIF says about a code; `page` is the URL of its documentation."""

    help: str
    level: SarifLevel
    page: str | None = None


def sarif_log(findings: Iterable[FileFinding], rules: Mapping[str, SarifRule], version: str) -> str:
    """Serialize findings as a SARIF log of `iam-guard` in a version; `rules` has the codes that may occur."""
    listed = [*findings]
    codes = sorted({finding.code for finding in listed})
    driver = {"name": "iam-guard", "version": version, "rules": [_rule(code, rules[code]) for code in codes]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [*map(_result, listed)]}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str, rule: SarifRule) -> dict[str, Any]:
    text = {"text": rule.help}
    page = {} if rule.page is None else {"helpUri": rule.page}
    return {
        "id": code,
        **page,
        "shortDescription": text,
        "help": text,
        "defaultConfiguration": {"level": rule.level},
    }


def _result(finding: FileFinding) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    return {
        "ruleId": finding.code,
        "level": finding.level,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": {"artifactLocation": artifact(finding.file), "region": region}}],
        **({} if finding.fix is None else {"fixes": [finding.fix]}),
    }


def artifact(file: str) -> dict[str, str]:
    """Return the location of a file."""
    return {"uri": quote(file.replace("\\", "/"))}


def github_commands(findings: Iterable[FileFinding]) -> Iterator[str]:
    """Format findings as GitHub workflow commands."""
    for finding in findings:
        place = {"file": finding.file, "line": str(finding.line), "col": str(finding.column), "title": finding.code}
        properties = ",".join(f"{name}={_escaped(value, inside=True)}" for name, value in place.items())
        yield f"::{_GITHUB[finding.level]} {properties}::{_escaped(finding.message, inside=False)}"


def _escaped(text: str, *, inside: bool) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if inside else text

"""Output formats of findings: the caret at the place, and the machine-readable formats."""

from __future__ import annotations

import json

from iam_guard.analysis.lint.linter import Linter, LintFinding
from iam_guard.analysis.lint.report import as_json, github, sarif, summary, text_report
from iam_guard.analysis.lint.sources import sources_of_text
from tests.tables import table

TEXT = '{"Version": "2012-10-17",\n "Statement": {"Effect": "Allow", "Action": "iam:GetUsr", "Resource": "*"}}'


def findings(text: str = TEXT, name: str = "policies/a,b.json") -> list[LintFinding]:
    [file] = sources_of_text(text, name)
    return Linter().lint(file)


def test_text_shows_line_and_caret() -> None:
    """As compilers do."""
    lines = list(text_report(findings(), {"policies/a,b.json": TEXT}))
    assert lines == [
        "policies/a,b.json:2:45: error INVALID_ACTION: the service `iam` has no action `GetUsr`, "
        "did you mean `iam:GetUser`?",
        '  2 |  "Statement": {"Effect": "Allow", "Action": "iam:GetUsr", "Resource": "*"}}',
        "    |                                             ^^^^^^^^^^^^",
        "    = help: correct the action; letter case does not matter",
        "",
    ]


def test_text_cuts_long_line_around_place() -> None:
    """A policy may be one line."""
    actions = ", ".join(f'"iam:Get{number}"' for number in range(200))
    text = f'{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": [{actions}], "Resource": "*"}}}}'
    found = findings(text)[150:151]
    _, excerpt, caret, *_ = text_report(found, {found[0].file: text})
    assert len(excerpt) < 180
    begin = caret.index("^")
    assert excerpt[begin : caret.rindex("^") + 1] == '"iam:Get150"'


def test_text_replaces_control_characters() -> None:
    """They are escaped, or replaced by a space."""
    text = TEXT.replace("GetUsr", "Get\u001b[31mUsr").replace("\u001b", "\x1b")
    shown = "\n".join(text_report(findings(text), {"policies/a,b.json": text}))
    assert "\x1b" not in shown


def test_summary_counts_by_level() -> None:
    """The most severe first."""
    assert summary([], 1) == "1 policy: no findings"
    assert summary(findings(), 2) == "2 policies: 1 error"


def test_json_has_all_members() -> None:
    report = json.loads(as_json(findings(), 1))
    assert report["policies"] == 1
    [finding] = report["findings"]
    assert (finding["code"], finding["line"], finding["column"]) == ("INVALID_ACTION", 2, 45)
    assert finding["place"] == "/Statement/Action"


def test_github_annotates_line() -> None:
    """Characters that would end a property are escaped."""
    [line] = github(findings())
    assert line.startswith("::error file=policies/a%2Cb.json,line=2,col=45,title=INVALID_ACTION::the service `iam`")


def test_sarif_has_rules_and_places() -> None:
    """Version 2.1.0."""
    log = json.loads(sarif(findings(), "1.0"))
    [run] = log["runs"]
    assert [each["id"] for each in run["tool"]["driver"]["rules"]] == ["INVALID_ACTION"]
    [result] = run["results"]
    assert result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 2, "startColumn": 45}
    assert place["artifactLocation"]["uri"] == "policies/a%2Cb.json"  # a file's name is no URI yet


@table("line", [0, 99])
def test_place_outside_of_text_has_no_excerpt(line: int) -> None:
    """The finding is reported."""
    [finding] = findings()
    moved = LintFinding(**{**{name: getattr(finding, name) for name in finding.__slots__}, "line": line})
    assert len(list(text_report([moved], {finding.file: TEXT}))) == 3

"""Output formats of findings: the caret at the place, and the machine-readable formats."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from iam_guard.analysis.lint.linter import Linter, LintFinding
from iam_guard.analysis.lint.report import as_json, file_findings, sarif, summary, text_report
from iam_guard.analysis.lint.sources import sources_of_text
from iam_guard.analysis.sarif import github_commands
from tests.tables import table

TEXT = '{"Version": "2012-10-17",\n "Statement": {"Effect": "Allow", "Action": "iam:GetUsr", "Resource": "*"}}'


def findings(text: str = TEXT, name: str = "policies/a,b.json", *, fixes: bool = False) -> list[LintFinding]:
    [file] = sources_of_text(text, name)
    return Linter(fixes=fixes).lint(file)


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


def test_text_shows_fix() -> None:
    """With a word of warning if access is not proved to stay."""
    text = TEXT.replace('"iam:GetUsr"', '["iam:GetUsr", "iam:GetRole", "iam:GetRole"]')
    lines = [line for line in text_report(findings(text, fixes=True), {}) if "fix:" in line]
    assert lines == [
        '    = fix: replace `"iam:GetUsr"` by `"iam:GetUser"` (changes access)',
        '    = fix: remove `, "iam:GetRole"`',
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
    [line] = github_commands(file_findings(findings()))
    assert line.startswith("::error file=policies/a%2Cb.json,line=2,col=45,title=INVALID_ACTION::the service `iam`")


def test_json_has_fix() -> None:
    """With its edits; null without a fix."""
    [finding] = json.loads(as_json(findings(fixes=True), 1))["findings"]
    edit = {"line": 2, "column": 45, "end_line": 2, "end_column": 57, "offset": 70, "end_offset": 82}
    assert finding["fix"]["edits"] == [{**edit, "text": '"iam:GetUser"'}]
    assert finding["fix"]["keeps_access"] is False
    assert TEXT[70:82] == '"iam:GetUsr"'
    assert json.loads(as_json(findings(), 1))["findings"][0]["fix"] is None


def test_sarif_has_the_structure_of_its_schema() -> None:
    """The required members of SARIF 2.1.0, each with the type that the schema gives it."""
    log = json.loads(sarif(findings(fixes=True), "1.0"))
    assert log.keys() == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    assert run.keys() == {"tool", "columnKind", "results"}
    assert run["columnKind"] == "unicodeCodePoints"
    driver = run["tool"]["driver"]
    assert driver.keys() == {"name", "version", "rules"}
    for rule in driver["rules"]:
        assert rule.keys() == {"id", "helpUri", "shortDescription", "help", "defaultConfiguration"}
        assert urlsplit(rule["helpUri"]).scheme == "https"
        assert rule["helpUri"].endswith(f"#{rule['id'].lower()}")
        assert rule["help"].keys() == rule["shortDescription"].keys() == {"text"}
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    for result in run["results"]:
        assert result.keys() == {"ruleId", "level", "message", "locations", "fixes"}
        assert result["ruleId"] in {rule["id"] for rule in driver["rules"]}
        for location in result["locations"]:
            check_region(location["physicalLocation"]["region"])
        for fix in result["fixes"]:
            assert fix.keys() == {"description", "artifactChanges"}
            for change in fix["artifactChanges"]:
                assert change.keys() == {"artifactLocation", "replacements"}
                for replacement in change["replacements"]:
                    assert replacement.keys() == {"deletedRegion", "insertedContent"}
                    check_region(replacement["deletedRegion"])
                    assert type(replacement["insertedContent"]["text"]) is str


def check_region(region: dict[str, int]) -> None:
    """Lines and columns from 1; the end is not before the start."""
    assert {"startLine", "startColumn"} <= region.keys() <= {"startLine", "startColumn", "endLine", "endColumn"}
    assert all(type(number) is int and number >= 1 for number in region.values())
    start = region["startLine"], region["startColumn"]
    assert start <= (region.get("endLine", start[0]), region.get("endColumn", start[1]))


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

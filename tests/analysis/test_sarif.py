"""SARIF logs and GitHub commands of findings."""

from __future__ import annotations

import json

from iam_guard.analysis.sarif import FileFinding, SarifRule, github_commands, sarif_log

RULES = {code: SarifRule(f"About {code}.", "error") for code in ("one", "two", "unused")}


def test_log_has_the_rules_of_its_findings() -> None:
    findings = [FileFinding("two", "error", "b", "a\\b c.yaml", 3, 5), FileFinding("one", "note", "a", "a.yaml")]
    log = json.loads(sarif_log(findings, RULES, "1.2"))
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert (log["version"], driver["version"], [rule["id"] for rule in driver["rules"]]) == (
        "2.1.0",
        "1.2",
        ["one", "two"],
    )
    first, second = run["results"]
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a/b%20c.yaml"},
        "region": {"startLine": 3, "startColumn": 5},
    }
    assert (second["level"], second["ruleId"]) == ("note", "one")


def test_log_without_findings_has_no_rules() -> None:
    [run] = json.loads(sarif_log([], RULES, "1"))["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_commands_escape_what_would_end_them() -> None:
    finding = FileFinding("one", "note", "50%\nof a:b,c", "a:b,c.yaml", 2)
    assert [*github_commands([finding])] == ["::notice file=a%3Ab%2Cc.yaml,line=2,col=1,title=one::50%25%0Aof a:b,c"]

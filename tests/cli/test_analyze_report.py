"""`iam-guard analyze report`: its files, its text, its JSON, its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli.analyze import report, screenshot
from iam_guard.cli.group import main
from iam_guard.cli.kit import progress
from tests.tables import table

ACCOUNT, PARTNER = "111122223333", "444455556666"
HANDBOOK = f"arn:aws:docs:eu-central-1:{ACCOUNT}:document/handbook"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def statement(action: str, **elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, **elements}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def seed(folder: Path, *, own: dict[str, Any] | None = None, shared: dict[str, Any] | None = None) -> Path:
    """Write a seed with the user `ada` with a statement, a role, and a document that a statement shares."""
    users = [{"name": "ada", "inline": {"Own": document(own)} if own else {}}]
    resources = [{"arn": HANDBOOK, "policy": document(shared)}] if shared else []
    trust = document(statement("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    account = {
        "id": ACCOUNT,
        "root": {"email": "root@acme.example"},
        "users": users,
        "roles": [{"name": "ops", "trust": trust}],
        "resources": resources,
    }
    path = folder / "iam.json"
    path.write_text(json.dumps({"version": 1, "accounts": [account]}), encoding="utf-8")
    return path


SHARED = statement("docs:GetDocument", Resource=HANDBOOK, Principal={"AWS": PARTNER})
OWN = statement("iam:AttachUserPolicy", Resource="*", Sid="Attach")


def test_report_is_written_as_a_page_with_what_was_found(tmp_path: Path) -> None:
    store = seed(tmp_path, own=OWN, shared=SHARED)
    done = run("report", "--store", store, "--html", tmp_path / "access.html")
    assert done.exit_code == 1, done.output
    page = (tmp_path / "access.html").read_text(encoding="utf-8")
    for text in (str(store), f"Account {PARTNER}", "document/handbook", "iam:AttachUserPolicy", "Administrator"):
        assert text in page
    assert "External access: 1 resource can be reached" in done.output
    assert "Escalation: 1 principal can become administrator." in done.output


def database(folder: Path, **statements: dict[str, Any]) -> str:
    """Create a database with the content of the seed."""
    url = f"sqlite:///{folder}/access.db"
    for command in (["init"], ["apply", str(seed(folder, **statements))]):
        done = CliRunner().invoke(main, [*command, "--store", url])
        assert done.exit_code == 0, done.output
    return url


def test_json_has_the_forms_of_the_single_commands(tmp_path: Path) -> None:
    store = database(tmp_path, own=OWN, shared=SHARED)
    whole = json.loads(run("report", "--store", store, "--json").output)
    assert sorted(whole) == ["escalation", "external", "unused"]
    assert len(whole["external"]["findings"]) == len(whole["escalation"]["paths"]) == 1
    for part, found in whole.items():
        assert json.loads(run(part, "--store", store, "--json").output) == found


def test_store_without_findings_is_success(tmp_path: Path) -> None:
    done = run("report", "--store", database(tmp_path), "--html", tmp_path / "access.html")
    assert (done.exit_code, done.output.count("No ")) == (0, 3), done.output
    assert (tmp_path / "access.html").read_text(encoding="utf-8").count("✓ 0") == 3


def test_unused_access_of_a_seed_file_is_unknown(tmp_path: Path) -> None:
    """A seed file does not record what is used."""
    store = seed(tmp_path)
    done = run("report", "--store", store)
    assert (done.exit_code, "Unused access was not analysed." in done.output) == (0, True)
    assert json.loads(run("report", "--store", store, "--json").output)["unused"] is None


class InHalfAYear(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(days=180)


def test_unused_access_is_that_of_the_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role exists for 180 days when the report is made."""
    store = database(tmp_path, own=OWN)
    monkeypatch.setattr(report, "datetime", InHalfAYear)
    done = run("report", "--store", store, "--html", tmp_path / "access.html")
    assert "1 principal has unused access: 1 role." in done.output
    assert "role/ops" in (tmp_path / "access.html").read_text(encoding="utf-8")
    [finding] = json.loads(run("report", "--store", store, "--json").output)["unused"]["findings"]
    assert (finding["findingType"], finding["resource"]) == ("UnusedIAMRole", f"arn:aws:iam::{ACCOUNT}:role/ops")
    assert "unused access: " not in run("report", "--store", store, "--age", "200").output


def test_policy_that_is_not_analysed_is_an_error_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says neither that there is access, nor that there is none."""
    error = report.external_findings

    def fail(resource: Any, zone: Any) -> Any:
        return [
            type(found)(resource.arn, "docs:document", ACCOUNT, error="too many") for found in error(resource, zone)
        ]

    monkeypatch.setattr(report, "external_findings", fail)
    done = run("report", "--store", seed(tmp_path, shared=SHARED), "--html", tmp_path / "access.html")
    assert done.exit_code == 2
    assert "1 resource could not be analysed" in done.output
    assert "Not analysed" in (tmp_path / "access.html").read_text(encoding="utf-8")


def test_picture_is_taken_by_the_given_browser(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(
        '#!/bin/sh\nfor option in "$@"; do case $option in --screenshot=*) echo picture > "${option#*=}";; esac; done\n'
        "echo '<html data-height=\"700\">'\n"
    )
    browser.chmod(0o755)
    done = run("report", "--store", seed(tmp_path), "--png", tmp_path / "access.png", "--browser", browser)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "access.png").read_text() == "picture\n"


def test_each_part_has_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[tuple[str, int | None]] = []

    def draw(title: str, total: Callable[[], int | None], unit: str, done: Callable[[], int], end: Event) -> None:
        end.wait(60)
        bars.append((title, total()))

    monkeypatch.setattr(progress, "is_shown", lambda: True)
    monkeypatch.setattr(progress, "draw", draw)
    run("report", "--store", seed(tmp_path, shared=SHARED))
    assert bars == [("searching external access", 2), ("searching unused access", None), ("searching escalation", None)]


def test_missing_browser_is_reported_before_the_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshot, "BROWSERS", ("no-browser",))
    done = run("report", "--store", tmp_path / "none.yaml", "--png", tmp_path / "access.png")
    assert done.exit_code == 2
    assert "expected one of the browsers no-browser for --png, got none" in done.output


@table("arguments", [["--store", "none.yaml"], ["--age", "0"], ["--age", "366"], ["--zone", "galaxy"]])
def test_unusable_arguments_are_errors(arguments: list[str]) -> None:
    assert run("report", *arguments).exit_code == 2

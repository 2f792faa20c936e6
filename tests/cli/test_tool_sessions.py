"""`iam-guard account tool-sessions`: the sessions of people's tools, listed and ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main
from tests.api.signin.conftest import ACME, GLOBEX, Office
from tests.serving import serving


def invoke(office: Office, *arguments: str) -> Result:
    store = f"sqlite:///{office.folder}/iam.db"
    return CliRunner().invoke(main, ["account", "tool-sessions", *arguments, "--store", store])


def listed(office: Office, account: str = ACME) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(invoke(office, account, "--json").output)
    return rows


def test_tool_sessions_are_listed_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ended one gets no credentials, and the end is recorded."""
    monkeypatch.setenv("IAM_GUARD_AUDIT", str(tmp_path / "operator.jsonl"))
    office = Office(tmp_path)
    with serving(office.app) as url:
        office.url = url
        tool, got = office.signed_in()
        office.code(tool)  # not redeemed, so no session
        [row] = listed(office)
        assert row["principal"] == f"arn:aws:iam::{ACME}:user/ada"
        assert row["arn"] == f"arn:aws:signin:us-east-1:{ACME}:session/{row['id']}"
        assert row["id"] in invoke(office, ACME).output
        assert listed(office, GLOBEX) == []
        assert invoke(office, GLOBEX, "--end", row["id"]).exit_code == 2
        assert invoke(office, ACME, "--end", row["id"]).output == f"ended the session {row['id']}\n"
        assert listed(office) == []
        assert tool.refresh(got["refreshToken"]).status_code == 401
    [event] = [json.loads(line) for line in (tmp_path / "operator.jsonl").read_text(encoding="utf-8").splitlines()]
    assert event["eventName"] == "EndToolSession"
    assert invoke(office, "000000000000").exit_code == 2
    office.guard.close()

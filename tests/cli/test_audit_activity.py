"""`iam-guard audit generate-policy`: output, exit codes, and that the policy is sufficient."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard import open_guard
from iam_guard.audit.verify.signing_keys import read_signing_keys
from iam_guard.audit.verify.trail_events import Gap
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.cli import main
from iam_guard.model.principal import Principal
from tests.conftest import ACME, SEED

RITA = f"arn:aws:iam::{ACME}:user/rita"
APP = """
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Route
from iam_guard import Service, public, requires

docs = Service("docs")

@docs.requires("Get", resource="document/{document_id}")
async def get(request): ...

@requires("docs:List")
async def list_all(request): ...

class Parts(HTTPEndpoint):
    @docs.requires("GetPart", resource="document/{document_id}/part/{part_id}")
    async def get(self, request): ...

@public
async def health(request): ...

app = Starlette(routes=[
    Route("/d/{document_id}", get), Route("/d", list_all), Route("/d/{document_id}/p/{part_id}", Parts),
    Route("/health", health),
])
"""
Run = Callable[..., Result]


def document(id: object) -> str:
    return f"arn:aws:docs:us-east-1:{ACME}:document/{id}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a store, and the trail of requests by rita and ada."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("iam.yaml").write_text(SEED)
    Path(f"{tmp_path.name}_app.py").write_text(APP)
    invoke = CliRunner().invoke
    assert invoke(main, ["init", "--store", "sqlite:///iam.db"]).exit_code == 0
    assert invoke(main, ["apply", "iam.yaml", "--store", "sqlite:///iam.db"]).exit_code == 0
    guard = open_guard("sqlite:///iam.db", audit="trail/")
    rita, ada = Principal.from_arn(RITA), Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
    for number in range(3):
        guard.decide(rita, "docs:Get", document(number))
    guard.decide(rita, "docs:GetPart", f"{document(1)}/part/2")
    guard.decide(rita, "docs:Put", document(1))
    guard.decide(ada, "docs:List")
    guard.close()
    return lambda *arguments: invoke(main, ["audit", "generate-policy", *arguments, "--store", "sqlite:///iam.db"])


def policies(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.output)["policies"]
    return [statement for each in found for statement in each["Statement"]]


@pytest.mark.parametrize("found", ["app", "docs"])
def test_templates_of_application_are_used(run: Run, tmp_path: Path, found: str) -> None:
    """Those of its endpoints, handler classes included, or of its `Service`."""
    result = run(RITA, "--trail", "trail", "--app", f"{tmp_path.name}_app:{found}", "--json")
    assert result.exit_code == 0, result.output
    assert [(policy["Action"], policy["Resource"]) for policy in policies(result)] == [
        ("docs:Get", document("*")),
        ("docs:GetPart", document("*/part/*")),
    ]


def test_resources_are_exact_without_application(run: Run, tmp_path: Path) -> None:
    exact = [document(number) for number in range(3)]
    assert policies(run(RITA, "--trail", "trail", "--json"))[0]["Resource"] == exact
    app = ("--app", f"{tmp_path.name}_app:app", "--json")
    assert policies(run(RITA, "--trail", "trail", *app, "--exact"))[0]["Resource"] == exact
    assert policies(run(RITA, "--trail", "trail", *app, "--generalise-above", "3"))[0]["Resource"] == exact
    assert policies(run(RITA, "--trail", "trail", *app, "--generalise-above", "2"))[0]["Resource"] == document("*")


def test_policy_is_on_stdout_and_notes_on_stderr(run: Run) -> None:
    """The output can be saved as a policy, and replacing the present one changes no outcome."""
    result = run(RITA, "--trail", "trail")
    assert result.exit_code == 0
    assert "5 requests of" in result.stderr
    assert "denied: attempted and denied, so not included: docs:Put" in result.stderr
    Path("generated.json").write_text(result.stdout)
    Path("changes.yaml").write_text(
        f"version: 1\npolicy_changes: [{{put: Read, in: '{RITA}', document: {{file: generated.json}}}}]"
    )
    replay = ["audit", "replay", "trail", "--store", "sqlite:///iam.db", "--with", "changes.yaml", "--json"]
    report = json.loads(CliRunner().invoke(main, replay).output)
    assert (report["compared"], report["flipped"]) == (6, 0)


def test_unused_access_is_reported(run: Run, tmp_path: Path) -> None:
    """Of ada, who may do everything with documents and listed them once."""
    ada = f"arn:aws:iam::{ACME}:user/ada"
    arguments = (ada, "--trail", "trail", "--against", "sqlite:///iam.db")
    report = json.loads(run(*arguments, "--app", f"{tmp_path.name}_app:app", "--json").output)
    assert report["unused"] == {"services": [], "actions": ["docs:Get", "docs:GetPart"], "grants": []}
    assert "unused actions of docs: Get, GetPart\n" in run(*arguments, "--app", f"{tmp_path.name}_app:app").stderr
    report = run(RITA, "--trail", "trail", "--against", "iam.yaml", "--until", "2020-01-01T00:00:00Z")
    assert "unused service: docs" in report.stderr
    assert "unused entry: docs:Get* in Read of user/rita/Read" in report.stderr
    assert "nothing: no identity-based policy allowed anything" in report.stderr
    assert report.stdout == ""


def test_file_of_records_needs_no_key(run: Run) -> None:
    [segment] = Path("trail").glob("*/*.jsonl")
    Path("audit.jsonl").write_bytes(segment.read_bytes())
    result = run(RITA, "--trail", "audit.jsonl", "--trail", "trail", "--json")
    report = json.loads(result.output)
    assert [each["allowed"]["count"] for each in report["actions"]] == [6, 2, 0]
    assert (report["actions"][2]["action"], report["actions"][2]["denied"]["count"]) == ("docs:Put", 2)
    with Path("audit.jsonl").open("a") as file:
        file.write("{torn")
    result = run(RITA, "--trail", "audit.jsonl", "--json")
    assert (result.exit_code, json.loads(result.output)["complete"]) == (2, False)
    assert "audit.jsonl:9" in run(RITA, "--trail", "audit.jsonl").stderr


def test_gap_is_exit_code_1(run: Run) -> None:
    """With gaps in the trail, the policy may be insufficient."""
    store = Path("iam.db")
    [key_file] = [path for path in store.parent.iterdir() if "audit" in path.name and path.is_file()]
    writer = SegmentWriter(Path("trail"), read_signing_keys(key_file)[0], service="docs")
    writer.gap(Gap("DiskFull", lost=3))
    writer.close()
    result = run(RITA, "--trail", "trail", "--json")
    assert (result.exit_code, json.loads(result.output)["complete"]) == (1, False)
    assert json.loads(result.output)["notes"][0]["about"] == "gap"


def test_generate_policy_refuses_invalid_input(run: Run) -> None:
    """A changed trail, an invalid principal, no trail, no application, an invalid time, no store."""
    trail = ("--trail", "trail")
    for arguments in (
        ("rita", *trail),
        (f"arn:aws:iam::{ACME}:root", *trail),
        (RITA,),
        (RITA, "--trail", "nowhere"),
        (RITA, *trail, "--app", "nowhere:app"),
        (RITA, *trail, "--app", "nowhere"),
        (RITA, *trail, "--since", "yesterday"),
        (RITA, *trail, "--until", "tomorrow"),
        (RITA, *trail, "--generalise-above", "-1"),
        (RITA, *trail, "--against", "sqlite:///nowhere.db"),
        (f"{RITA}x", *trail, "--against", "iam.yaml"),
    ):
        assert run(*arguments).exit_code == 2, arguments
    [segment] = Path("trail").glob("*/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"Get"', b'"Put"'))
    result = run(RITA, *trail)
    assert (result.exit_code, "MODIFIED" in result.stderr, result.stdout) == (2, True, "")
    assert run(RITA, *trail, "--no-verify").exit_code == 0

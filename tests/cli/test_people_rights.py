"""`iam-guard account export-person|erase-person`."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard import Principal, open_guard
from iam_guard.audit.record.pseudonyms import make_pseudonym_key
from iam_guard.cli import main
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from tests.administration.personal_world import ACME, ALICE, ALICE2, DOCUMENT, id_of, plant, seeded

STORE = "sqlite:///iam.db"
Run = Callable[..., Result]
PLACES = "/userIdentity/arn, /userIdentity/userName, /userIdentity/principalId, /requestParameters"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a store whose audit trail has pseudonyms, and records of two people."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init", "--store", STORE]).exit_code == 0
    make_pseudonym_key(Path("iam.db.audit-pseudonym-keys"), ACME)
    for name, value in (("AUDIT", "trail/"), ("AUDIT_PSEUDONYMS", PLACES), ("STORE", STORE)):
        monkeypatch.setenv(f"IAM_GUARD_{name}", value)
    with closing(create_store(STORE, Settings())) as store:
        seeded(store)
        with store.write_transaction() as records:
            plant(records, ACME, id_of(store, ACME, "alice"))
    with closing(open_guard(STORE, audit="trail/", audit_mask=["/errorMessage"])) as guard:
        for arn in (ALICE, ALICE2):
            assert guard.decide(Principal.from_arn(arn), "docs:Get", DOCUMENT).allowed
    return lambda *arguments: CliRunner().invoke(main, ["account", *arguments])


def pseudonyms(value: str) -> list[str]:
    return CliRunner().invoke(main, ["audit", "pseudonym", ACME, value]).output.split()


def written() -> list[dict[str, Any]]:
    return [json.loads(line) for path in Path("trail").rglob("*.jsonl") for line in path.read_text().splitlines()]


def test_export_is_written_to_a_private_file(run: Run) -> None:
    done = run("export-person", ALICE, "--out", "alice.json")
    assert done.output == "wrote alice.json with 1 record of the trail\n", done.output
    assert Path("alice.json").stat().st_mode & 0o777 == 0o600
    found = json.loads(Path("alice.json").read_text())
    assert found["person"]["arn"] == ALICE
    [entry] = found["trail"]
    assert entry["relation"] == "caller"
    assert entry["record"]["userIdentity"]["userName"] in pseudonyms("alice")
    again = run("export-person", ALICE, "--out", "alice.json")
    assert (again.exit_code, "cannot be created" in str(again.exception or again.output)) != (0, False)
    assert json.loads(Path("alice.json").read_text()) == found


def test_export_without_file_is_json_on_standard_output(run: Run) -> None:
    done = run("export-person", ALICE2, "--trail", "trail", "--no-verify")
    assert len(json.loads(done.stdout)["trail"]) == 1
    assert json.loads(run("export-person", ALICE2, "--trail", "trail").stdout)["store"]["identities"]


def test_failed_export_leaves_no_file(run: Run) -> None:
    assert run("export-person", f"{ALICE}3", "--out", "x.json").exit_code != 0
    assert not Path("x.json").exists()


def test_erasure_needs_the_exact_name(run: Run) -> None:
    for confirmed in ("Alice", "alice2", "", ALICE):
        refused = run("erase-person", ALICE, "--confirm", confirmed)
        assert refused.exit_code != 0
    assert run("erase-person", ALICE).exit_code == 2
    assert run("export-person", ALICE).exit_code == 0


def test_erased_person_has_no_derivable_pseudonym(run: Run) -> None:
    before = pseudonyms("alice")
    assert len(before) == 2, "with its salt, and without one"
    done = run("erase-person", ALICE, "--confirm", "alice", "--json")
    erasure = json.loads(done.stdout)
    assert erasure["salts"] >= 3
    assert erasure["rows"]["identities"] == 1
    assert pseudonyms("alice") == before[1:]
    assert before[0] in json.dumps(written())
    [record] = [line for line in written() if line["eventName"] == "ErasePerson"]
    assert "alice" not in json.dumps(record)
    assert record["responseElements"]["rows"]["identities"] == 1
    assert run("export-person", ALICE).exit_code != 0
    again = run("erase-person", ALICE, "--confirm", "alice")
    assert again.output.splitlines()[0] == "erased 0 rows, and 0 salts of pseudonyms"
    assert f"still named in arn:aws:iam::{ACME}:policy/About" in again.output

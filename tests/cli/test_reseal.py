"""`iam-guard reseal`: secrets get the first sealing key, and an operator accepts keys in place of lost ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main

OLD, NEW = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n"))
SEED = {
    "version": 1,
    "accounts": [{"id": "111122223333", "root": {"access_keys": [{"id": "AKIAROOT", "secret": "of-root-0123456789"}]}}],
}
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with sealing keys in a folder with a store of one access key, sealed with the old one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_AUDIT", "trail.jsonl")
    Path("iam.json").write_text(json.dumps(SEED))

    def invoke(keys: str, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, env={"IAM_GUARD_SEALING_KEYS": keys})

    assert invoke(OLD, "apply", "iam.json").exit_code == 0
    return invoke


def test_secrets_are_encrypted_with_the_first_key(run: Run) -> None:
    """The change is recorded, without a key; a second run has nothing to do, and the old key is not needed."""
    result = run(f"{NEW},{OLD}", "reseal")
    assert result.exit_code == 0, result.output
    assert "1 of access keys: encrypted again with the first key\n" in result.output
    record = json.loads(Path("trail.jsonl").read_text().splitlines()[-1])
    assert (record["eventName"], record["requestParameters"]["secrets"]["access_keys"]) == ("Reseal", 1)
    again = run(NEW, "reseal")
    assert (again.exit_code, again.output) == (0, "all secrets are encrypted with the first key\n")
    assert json.loads(run(NEW, "reseal", "--json").output) == {"resealed": {}, "unopened": {}}
    assert len(Path("trail.jsonl").read_text().splitlines()) == 2
    for secret in (OLD, NEW, "of-root"):
        assert secret not in Path("trail.jsonl").read_text()


def test_other_keys_are_accepted_in_place_of_lost_ones(run: Run) -> None:
    """What the lost keys have encrypted stays, and is counted."""
    refused = run(NEW, "reseal")
    assert refused.exit_code == 2
    assert "expected the sealing keys of this store, got others" in refused.output
    result = run(NEW, "reseal", "--lost-keys")
    assert result.exit_code == 1
    assert result.output == "1 of access keys: left, since their key is not among the sealing keys\n"
    assert run(OLD, "account", "list").exit_code == 2
    assert run(NEW, "account", "list").exit_code == 0


def test_store_must_exist(run: Run) -> None:
    for options in ([], ["--lost-keys"]):
        result = run(NEW, "reseal", "--store", "sqlite:///none.db", *options)
        assert result.exit_code == 2
        assert "expected a store in" in result.output
        assert not Path("none.db").exists()

"""`iam-guard audit`: output, exit codes (0 OK, 1 findings, 2 error), and the source of keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.audit.verify.signing_keys import read_signing_keys
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.cli import main
from tests.audit.trails import KEY, UNTRUSTED_KEY, record, writer_in, written

Run = Callable[..., Result]
VKEY = str(KEY.verifier)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a temporary folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, ["audit", *arguments], input=stdin)

    return invoke


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    written(tmp_path / "trail", 20)
    return tmp_path / "trail"


def spoil(trail: Path) -> None:
    segment = segments_of(shards_of(trail)[0])[1]
    segment.lines.write_bytes(segment.lines.read_bytes().replace(b"Allowed", b"Denied", 1))


# --- verify ----------------------------------------------------------------------------------------------------------


def test_valid_trail_is_ok(run: Run, trail: Path) -> None:
    result = run("verify", str(trail), "--key", VKEY)
    assert result.exit_code == 0, result.output
    assert "1 shards, " in result.output
    assert result.output.splitlines()[-1].endswith("lines: OK")
    answer = json.loads(run("verify", str(trail), "--key", VKEY, "--json").output)
    assert answer["ok"] is True
    assert answer["findings"] == []
    assert answer["shards"][0]["lines"] == answer["shards"][0]["signed"] > 20


def test_findings_have_place_and_meaning(run: Run, trail: Path) -> None:
    spoil(trail)
    result = run("verify", str(trail), "--key", VKEY)
    assert result.exit_code == 1
    segment = segments_of(shards_of(trail)[0])[1]
    place = f"MODIFIED {segment.folder.name}/{segment.lines.name}:2 (sequence {segment.first + 1})"
    assert place in result.output
    assert "MODIFIED: a line is not what was signed" in result.output
    [finding] = json.loads(run("verify", str(trail), "--key", VKEY, "--json").output)["findings"]
    assert (finding["verdict"], finding["line"], finding["sequence"]) == ("MODIFIED", 2, segment.first + 1)


def test_accepted_verdict_is_reported(run: Run, tmp_path: Path) -> None:
    written(tmp_path / "trail", 6, is_ended=False, unsigned=2)
    assert run("verify", "trail", "--key", VKEY).exit_code == 1
    result = run("verify", "trail", "--key", VKEY, "--accept", "UNSIGNED_TAIL")
    assert result.exit_code == 0
    assert "UNSIGNED_TAIL" in result.output
    assert run("verify", "trail", "--key", VKEY, "--accept", "GAP").exit_code == 1


def test_store_may_be_a_seed(run: Run, trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys then come from the settings; a seed has no key file of its own."""
    monkeypatch.setenv("IAM_GUARD_STORE", "iam.yaml")
    assert run("keys").output == "\n"
    assert run("verify", str(trail)).exit_code == 2
    monkeypatch.setenv("IAM_GUARD_AUDIT_VERIFIER_KEYS", VKEY)
    assert run("keys").output == f"{VKEY}\n"
    assert run("verify", str(trail)).exit_code == 0
    assert "set `IAM_GUARD_AUDIT_KEY_FILE`" in run("keys", "--rotate").stderr


def test_unverifiable_trail_is_an_error(run: Run, tmp_path: Path, trail: Path) -> None:
    """Exit code 2: no folder, no shard, no key, no checkpoint to start from."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.txt").write_text("x")
    cases = [
        ("verify", "none", "--key", VKEY),
        ("verify", "empty", "--key", VKEY),
        ("verify", str(trail)),
        ("verify", str(trail), "--key", "x"),
        ("verify", str(trail), "--key", VKEY, "--since-checkpoint", "bad.txt"),
        ("verify", str(trail), "--key", VKEY, "--since-checkpoint", "none.txt"),
    ]
    assert [run(*case).exit_code for case in cases] == [2] * len(cases)


def test_stored_checkpoint_finds_truncation(run: Run, tmp_path: Path) -> None:
    """`audit checkpoint` prints it, `--since-checkpoint` reads it, also from standard input."""
    writer = writer_in(tmp_path / "trail")
    writer.append([record(1)])
    writer.checkpoint()
    kept = run("checkpoint", "--trail", "trail", "--key", VKEY).output
    (tmp_path / "kept.txt").write_text(kept, encoding="utf-8")
    writer.append([record(2)])
    writer.close()
    for file, stdin in (("kept.txt", None), ("-", kept)):
        result = run("verify", "trail", "--key", VKEY, "--since-checkpoint", file, stdin=stdin)
        assert result.exit_code == 0, result.output
    [shard] = shards_of(tmp_path / "trail")
    [segment] = segments_of(shard)
    lines = segment.lines.read_bytes().splitlines(keepends=True)
    segment.lines.write_bytes(lines[0])
    segment.hashes.write_bytes(segment.hashes.read_bytes()[:32])
    segment.checkpoints.write_bytes(b"")
    alone = json.loads(run("verify", "trail", "--key", VKEY, "--json").output)
    assert [each["verdict"] for each in alone["findings"]] == ["UNSIGNED_TAIL"]
    result = run("verify", "trail", "--key", VKEY, "--since-checkpoint", "kept.txt", "--json")
    assert json.loads(result.output)["findings"][0]["verdict"] == "TRUNCATED_TAIL"
    assert result.exit_code == 1


# --- proofs ----------------------------------------------------------------------------------------------------------


def test_record_is_proved_without_trail(run: Run, trail: Path, tmp_path: Path) -> None:
    proof = run("prove", "id-7", "--trail", str(trail), "--key", VKEY)
    assert proof.exit_code == 0
    (tmp_path / "proof.json").write_text(proof.output)
    result = run("check-proof", "proof.json", "--key", VKEY)
    assert result.exit_code == 0
    assert json.loads(result.output)["eventID"] == "id-7"
    answer = json.loads(run("check-proof", "--key", VKEY, "--json", stdin=proof.output).output)
    assert (answer["proved"], answer["record"]["eventID"]) == (True, "id-7")


def test_invalid_proof_is_reported(run: Run, trail: Path) -> None:
    proof = run("prove", "id-7", "--trail", str(trail), "--key", VKEY).output
    changed = proof.replace("Allowed", "Denied")
    result = run("check-proof", "--key", VKEY, stdin=changed)
    assert result.exit_code == 1
    assert "not proved" in result.stderr
    assert json.loads(run("check-proof", "--key", VKEY, "--json", stdin=changed).output)["proved"] is False
    assert run("check-proof", "--key", str(UNTRUSTED_KEY.verifier), stdin=proof).exit_code == 1
    for stdin in ("", "[]", "{}"):
        assert run("check-proof", "--key", VKEY, stdin=stdin).exit_code == 2
    assert run("prove", "none", "--trail", str(trail), "--key", VKEY).exit_code == 2


# --- keys ------------------------------------------------------------------------------------------------------------


def test_init_creates_key_for_commands(run: Run, tmp_path: Path) -> None:
    """Next to the store, once; the public key is printed."""
    first = CliRunner().invoke(main, ["init"])
    assert first.exit_code == 0
    [key] = read_signing_keys(tmp_path / "iam-guard.db.audit-key")
    assert str(key.verifier) in first.output
    assert key.secret_text() not in first.output
    assert str(key.verifier) not in CliRunner().invoke(main, ["init"]).output
    writer = SegmentWriter(tmp_path / "trail", key)
    writer.append([record(1)])
    writer.close()
    assert run("verify", "trail").exit_code == 0
    assert run("keys").output == f"{key.verifier}\n"
    assert json.loads(run("keys", "--json").output) == {"keys": [str(key.verifier)]}


def test_old_key_verifies_after_rotation(run: Run, tmp_path: Path) -> None:
    CliRunner().invoke(main, ["init"])
    path = tmp_path / "iam-guard.db.audit-key"
    for _ in range(2):
        writer = SegmentWriter(tmp_path / "trail", read_signing_keys(path)[0])
        writer.append([record(1)])
        writer.close()
        result = run("keys", "--rotate")
        assert result.exit_code == 0
        assert "PRIVATE" not in result.output
    assert len(result.output.splitlines()) == 3
    assert run("verify", "trail").exit_code == 0


def test_keys_come_from_environment(run: Run, trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAM_GUARD_AUDIT_VERIFIER_KEYS", f"{UNTRUSTED_KEY.verifier},{VKEY}")
    assert run("verify", str(trail)).exit_code == 0
    monkeypatch.setenv("IAM_GUARD_AUDIT_VERIFIER_KEYS", str(UNTRUSTED_KEY.verifier))
    assert run("verify", str(trail)).exit_code == 1


def test_rotation_without_key_file_is_an_error(run: Run) -> None:
    assert run("keys", "--rotate", "--store", "sqlite://").exit_code == 2
    assert run("keys", "--rotate").exit_code == 2

"""`iam-guard account import-users`: lines of a file, invalid ones, what is shown."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main
from tests.conftest import ACME, SEED
from tests.tables import table

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Import lines from `users.jsonl`, or from standard input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_STORE", "sqlite:///iam.db")
    Path("iam.yaml").write_text(SEED)
    for arguments in (("init",), ("apply", "iam.yaml")):
        assert CliRunner().invoke(main, [*arguments]).exit_code == 0

    def import_lines(content: bytes, *options: str, file: str = "users.jsonl") -> Result:
        Path("users.jsonl").write_bytes(content)
        return CliRunner().invoke(main, ["account", "import-users", ACME, file, *options], input=content)

    return import_lines


def test_file_is_imported_and_repeated(run: Run) -> None:
    """Empty lines, a byte order mark, and a last line without its end are fine."""
    content = b'\xef\xbb\xbf{"name": "u1", "api_key": true}\n\n{"name": "u2"}'
    first = run(content, "--api-keys", "keys.jsonl")
    assert (first.exit_code, first.output) == (
        0, "created 2 users, 0 exist already\ncreated 1 API keys, listed in keys.jsonl\n",
    )  # fmt: skip
    again = run(content, "--api-keys", "keys.jsonl", "--json", file="-")
    assert (again.exit_code, json.loads(again.output)["unchanged"]) == (0, 2)
    assert len(Path("keys.jsonl").read_text().splitlines()) == 1


def test_differing_users_are_listed(run: Run) -> None:
    run(b'{"name": "u1"}\n')
    found = run(b'{"name": "U1", "path": "/x/"}\n')
    assert found.exit_code == 1
    assert "1 existing users differ from their lines, and were not changed:\n  line 1: name, path" in found.output


@table(
    ("line", "problem"),
    [
        (b'{"name": "u2", "tags": {"a": ', "the last line is incomplete"),
        (b"nonsense\n", "expected a JSON object"),
        (b'"name"\n', "expected a JSON object"),
        (b'{"name": "a", "name": "b"}\n', "the key `name` occurs twice"),
        (b"\xff\n", "expected text in UTF-8"),
        (b"[" * 100_000 + b"\n", "expected a JSON object"),
        (b'{"name": "' + b"a" * 300_000 + b'"}\n', "expected a line of at most 262144 bytes"),
        (b'{"name": "x", "groups": ["\\ud800"]}\n', "a group name of at most 128 letters"),
        (b'{"name": "x", "password_digest": "$2b$secret"}\n', "bcrypt"),
    ],
)
def test_invalid_line_is_reported_and_skipped(run: Run, line: bytes, problem: str) -> None:
    """Exit code 2 before its batch; skipped, it is in a private file."""
    Path("bad.jsonl").unlink(missing_ok=True)
    refused = run(b'{"name": "u1"}\n' + line)
    assert refused.exit_code == 2
    assert "users.jsonl:2: " in refused.output
    assert problem in refused.output
    assert "secret" not in refused.output
    skipped = run(b'{"name": "u1"}\n' + line, "--skip-invalid", "bad.jsonl")
    assert (skipped.exit_code, "skipped 1 invalid lines" in skipped.output) == (1, True)
    [entry] = map(json.loads, Path("bad.jsonl").read_text().splitlines())
    assert entry["line"] == 2
    assert problem in entry["problem"]
    assert stat.S_IMODE(Path("bad.jsonl").stat().st_mode) == 0o600


def test_many_problems_are_shortened(run: Run) -> None:
    refused = run(b"".join(b'{"nam": "u%d"}\n' % number for number in range(100)))
    assert refused.output.count("users.jsonl:") == 20
    assert "and 180 more problems in these lines" in refused.output


def test_quota_error_names_the_setting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAM_GUARD_QUOTAS", "users per account=3")
    refused = run(b"".join(b'{"name": "u%d"}\n' % number for number in range(4)))
    assert refused.exit_code == 2
    assert "expected `users per account=4` or more in the setting `quotas` (IAM_GUARD_QUOTAS)" in refused.output
    skipped = run(b"{}\n" * 3 + b'{"name": "v1"}\n', "--skip-invalid", "bad.jsonl")
    assert "created 1 users" in skipped.output, "skipped lines need no room"


def test_skipped_lines_are_not_added_to_a_file_that_others_read(run: Run) -> None:
    Path("bad.jsonl").touch(mode=0o644)
    refused = run(b'{"nam": "u1"}\n{"name": "u2"}\n', "--skip-invalid", "bad.jsonl")
    assert (refused.exit_code, "with mode 0600" in refused.output) == (2, True)
    assert Path("bad.jsonl").read_text() == ""

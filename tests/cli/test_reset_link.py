"""`iam-guard account reset-link` and `invitation-link`: links of an administrator at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import find_person, root_of
from iam_guard.cli import main
from iam_guard.cli.kit.change_recording import operator_name
from iam_guard.factory import guard_with_store
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import login_profiles, password_resets
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.passwords import set_password

ACCOUNT, OTHER = "111122223333", "444455556666"
SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    name: acme
    alias: acme
    root: {{email: root@acme.example}}
    users: [{{name: rita}}, {{name: bob}}]
  - {{id: "{OTHER}", name: globex, users: [{{name: eve}}]}}
"""
PASSWORD, NEXT = "a long password", "another long password"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Make a link in the store of a temporary folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_AUDIT", "trail.jsonl")

    def invoke(*options: str, account: str = ACCOUNT, command: str = "reset-link") -> Result:
        return CliRunner().invoke(main, ["account", command, account, *options])

    return invoke


@pytest.fixture
def store(run: Run) -> Iterator[SqlStore]:
    """The default store of the folder; `rita` and the root user have passwords."""
    opened = create_store("sqlite:///iam-guard.db", Settings())
    apply_seed(opened, load_seed_text(SEED))
    with opened.write_transaction() as records:
        for where in ({"account": ACCOUNT, "name": "rita"}, {"email": "root@acme.example"}):
            person = find_person(records, "aws", **where)
            assert person is not None
            assert set_password(records, PasswordHasher(8, 1), person, PASSWORD, 0) is None
    yield opened
    opened.close()


def events() -> list[dict[str, Any]]:
    path = Path("trail.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("options", [("--user", "rita"), ("--root",)])
def test_link_sets_a_new_password(run: Run, store: SqlStore, options: tuple[str, ...]) -> None:
    result = run(*options)
    assert result.exit_code == 0, result.output
    path, _, token = result.output.rstrip("\n").partition("?token=")
    assert path == "/signin/reset"
    guard = guard_with_store(store, Settings(epoch_poll=3600, password_memory=8, password_passes=1))
    assert guard.people.own_credentials.reset_password(token, NEXT, Call("1")) is None
    with store.read_transaction() as records:
        digest = records.one(login_profiles, owner=owner_of(store, options[-1]))["digest"]  # type: ignore[index]
    assert PasswordHasher(8, 1).matches(NEXT, digest)
    guard.close()


def owner_of(store: SqlStore, name: str) -> str:
    with store.read_transaction() as records:
        person = None if name == "--root" else find_person(records, "aws", account=ACCOUNT, name=name)
    return (person or root_of("aws", ACCOUNT)).owner


def test_link_has_the_address_of_the_site(run: Run, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAM_GUARD_SITE_URL", "https://app.example.com")
    monkeypatch.setenv("IAM_GUARD_SIGN_IN_URL", "/auth/signin/")
    before = datetime.now(UTC)
    shown = json.loads(run("--user", "rita", "--json").output)
    assert shown["link"].startswith("https://app.example.com/auth/signin/reset?token=")
    assert (shown["accountId"], shown["userName"]) == (ACCOUNT, "rita")
    assert (datetime.fromisoformat(shown["expires"]) - before).total_seconds() > 3500


def test_invited_user_sets_the_first_password(run: Run, store: SqlStore) -> None:
    before = datetime.now(UTC)
    shown = json.loads(run("bob", "--json", command="invitation-link").output)
    assert (shown["accountId"], shown["userName"]) == (ACCOUNT, "bob")
    assert (datetime.fromisoformat(shown["expires"]) - before).days in (6, 7)
    assert [event["eventName"] for event in events()] == ["CreateInvitationLink"]
    guard = guard_with_store(store, Settings(epoch_poll=3600, password_memory=8, password_passes=1))
    assert guard.people.own_credentials.reset_password(shown["link"].partition("=")[2], NEXT, Call("1")) is None
    guard.close()
    again = run("bob", command="invitation-link")
    assert (again.exit_code, "has a password" in again.output) == (2, True), again.output


def test_link_is_recorded_without_its_token(run: Run, store: SqlStore) -> None:
    token = run("--user", "rita").output.strip().partition("=")[2]
    [event] = events()
    assert event["eventName"] == "CreateResetLink"
    assert event["requestParameters"] == {"accountId": ACCOUNT, "userName": "rita", "madeBy": operator_name()}
    assert event["recipientAccountId"] == ACCOUNT
    with store.read_transaction() as records:
        [row] = records.all(password_resets)
    assert row["made_by"] in json.dumps(event["iamGuard"])
    assert len(token) > 40
    assert token not in Path("trail.jsonl").read_text()


@pytest.mark.parametrize(
    ("options", "account", "message"),
    [
        (("--user", "bob"), ACCOUNT, "the user has no password to reset: set the first one with `aws iam create-login"),
        (("--root",), OTHER, "the root user has no password to reset: set the first one with `iam-guard account root-"),
        (("--user", "carl"), ACCOUNT, "the user `carl` does not exist in the account 111122223333"),
        (("--user", "eve"), ACCOUNT, "the user `eve` does not exist"),
        (("--user", "RITA"), ACCOUNT, "the user `RITA` does not exist"),
        (("--user", ""), ACCOUNT, "the user `` does not exist"),
        (("--root",), "acme", "the account acme does not exist"),
        (("--user", "rita"), "999999999999", "the account 999999999999 does not exist"),
        ((), ACCOUNT, "expected either --user NAME or --root"),
        (("--user", "rita", "--root"), ACCOUNT, "expected either --user NAME or --root"),
    ],
)
def test_refused_link_changes_nothing(
    run: Run, store: SqlStore, options: tuple[str, ...], account: str, message: str
) -> None:
    result = run(*options, account=account)
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert events() == []
    with store.read_transaction() as records:
        assert records.count(password_resets) == 0


def test_seed_file_is_read_only(run: Run) -> None:
    Path("iam.yaml").write_text(SEED)
    result = run("--root", "--store", "iam.yaml")
    assert result.exit_code == 2
    assert "token" not in result.output

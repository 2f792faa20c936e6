"""`iam-guard account create|list|show|rename`: tenants of a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard import open_guard
from iam_guard.administration.accounts import Accounts
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.cli import main
from iam_guard.model.request import Call
from iam_guard.store.schema import identities

ID, OTHER, PASSWORD = "111122223333", "444455556666", "correct horse battery staple"
SEED = """
groups:
  - {name: admins, attached: [AdministratorAccess]}
users:
  - {name: ada, groups: [admins]}
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of the group in a folder with an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_PASSWORD_MEMORY", "64")
    monkeypatch.setenv("IAM_GUARD_AUDIT", "trail.jsonl")
    assert CliRunner().invoke(main, ["init"]).exit_code == 0

    def invoke(*arguments: str, password: str = "") -> Result:
        return CliRunner().invoke(main, ["account", *arguments], input=password)

    return invoke


def shown(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_account_is_created_with_a_random_id(run: Run) -> None:
    result = run("create", "Acme Inc.")
    [account] = shown(run("list", "--json"))
    assert (result.exit_code, result.output) == (0, f"created the account {account['id']}\n")
    assert account["name"] == "Acme Inc."
    assert account["state"] == "active"


def test_account_is_created_with_its_people(run: Run, tmp_path: Path) -> None:
    """With a seed, and a password of the root user that is never shown or recorded."""
    Path("tenant.yaml").write_text(SEED)
    options = ["--id", ID, "--email", "Root@Acme.example", "--seed", "tenant.yaml", "--root-password-stdin", "--json"]
    result = run("create", "acme", *options, password=f"{PASSWORD}\n")
    assert shown(result)["id"] == ID
    assert shown(result)["email"] == "root@acme.example"
    trail = Path("trail.jsonl").read_text()
    assert json.loads(trail)["eventName"] == "CreateAccount"
    assert "iamGuard" in json.loads(trail)
    assert PASSWORD not in trail + result.output
    with closing(open_guard(f"sqlite:///{tmp_path}/iam-guard.db")) as guard:
        assert guard.people.sign_in.with_password(TypedName(email="root@acme.example"), PASSWORD, Call("1")) is not None
        with guard.store.read_transaction() as records:
            assert records.one(identities, kind="user")["name"] == "ada"


def test_refused_account_leaves_nothing(run: Run) -> None:
    """With the place of the problem."""
    Path("tenant.yaml").write_text("users:\n  - {name: a b}\n")
    Path("binary.yaml").write_bytes(b"\xff\xfe")
    assert run("create", "acme").exit_code == 0
    for arguments, message in (
        (("ACME",), "another account has the name `ACME`"),
        (("globex", "--id", "123"), "expected an account id of 12 digits, got `123`"),
        (("globex", "--email", "root"), "expected an e-mail address"),
        (("globex", "--seed", "tenant.yaml"), "seed:2: expected a user name"),
        (("globex", "--seed", "binary.yaml"), "cannot read the file `binary.yaml`: it is not UTF-8"),
        (("globex", "--root-password-stdin"), "expected the e-mail address with which the root user signs in"),
        (
            ("globex", "--email", "root@globex.example", "--root-password-stdin"),
            "Password should have a minimum length",
        ),
    ):
        result = run("create", *arguments, password="short\n")
        assert result.exit_code != 0
        assert message in result.output
    assert [account["name"] for account in shown(run("list", "--json"))] == ["acme"]


def test_accounts_are_listed_by_state(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pages."""
    monkeypatch.setattr(Accounts.list, "__kwdefaults__", {**(Accounts.list.__kwdefaults__ or {}), "limit": 1})
    run("create", "globex", "--id", OTHER, "--email", "root@globex.example")
    run("create", "acme", "--id", ID)
    lines = run("list").output.splitlines()
    assert [line.split()[0] for line in lines] == [ID, OTHER]
    assert [line.split()[-1] for line in lines] == ["acme", "root@globex.example"]
    assert run("list", "--state", "active").output.splitlines() == lines
    assert run("list", "--state", "closed").output == ""
    assert run("list", "--state", "open").exit_code == 2


def test_account_is_shown(run: Run) -> None:
    run("create", "acme", "--id", ID)
    output = run("show", ID).output
    assert {tuple(line.split()) for line in output.splitlines()} >= {("id", ID), ("name", "acme"), ("email", "-")}
    assert shown(run("show", ID, "--json"))["name"] == "acme"
    assert f"the account {OTHER} does not exist" in run("show", OTHER).output


def test_account_is_renamed(run: Run) -> None:
    run("create", "acme", "--id", ID)
    assert run("rename", ID, "Umbrella").output == f"renamed the account {ID} to Umbrella\n"
    assert shown(run("rename", ID, "umbrella", "--json"))["name"] == "umbrella"
    assert f"the account {OTHER} does not exist" in run("rename", OTHER, "x").output
    assert [json.loads(line)["eventName"] for line in Path("trail.jsonl").read_text().splitlines()] == [
        "CreateAccount",
        "RenameAccount",
        "RenameAccount",
    ]


def test_account_of_a_seed_file_is_not_created(run: Run) -> None:
    Path("iam.yaml").write_text(f'{{version: 1, accounts: [{{id: "{ID}", name: acme}}]}}')
    result = run("create", "globex", "--store", "iam.yaml")
    assert result.exit_code != 0
    assert "expected a database, got a seed file" in result.output


def test_account_is_found_with_spaces_around_its_id(run: Run) -> None:
    """As a terminal or a page copies it; what is written and recorded has none."""
    assert run("create", "Acme", "--id", f" {ID} ").output == f"created the account {ID}\n"
    for command in (["show"], ["suspend"], ["resume"], ["sessions"], ["tool-sessions"], ["sign-on", "list"]):
        assert run(*command, f" {ID}\t").exit_code == 0, command
    recorded = [json.loads(line) for line in Path("trail.jsonl").read_text().splitlines()]
    assert {record["recipientAccountId"] for record in recorded} == {ID}

"""`iam-guard account`: the password and e-mail address of a root user, required second factors, and sessions."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard import Guard
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import find_person, root_of
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.cli import main
from iam_guard.factory import guard_with_store
from iam_guard.model.credential import Session
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store, open_store
from iam_guard.store.people.browser_session_rows import role_principal
from iam_guard.store.schema import accounts, former_passwords, identities, login_profiles
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.signed_in import give_password, issue_session

ACCOUNT, OTHER = "111122223333", "444455556666"
SEED = f"""
version: 1
accounts:
  - {{id: "{ACCOUNT}", name: acme}}
  - {{id: "{OTHER}", name: globex, root: {{email: root@globex.example}}}}
"""
PASSWORD, NEXT = "a long password", "Ünother lông ½ password"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Set the password of the root user in the store of a temporary folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_PASSWORD_MEMORY", "64")
    monkeypatch.setenv("IAM_GUARD_AUDIT", "trail.jsonl")

    def invoke(password: str | bytes, *options: str, account: str = ACCOUNT) -> Result:
        arguments = ["account", "root-password", account, "--stdin", *options]
        return CliRunner().invoke(main, arguments, input=password)

    return invoke


@pytest.fixture
def store(run: Run) -> Iterator[SqlStore]:
    """The default store of the folder, with two accounts."""
    opened = create_store("sqlite:///iam-guard.db", Settings())
    apply_seed(opened, load_seed_text(SEED))
    yield opened
    opened.close()


def profile(store: SqlStore) -> Any:
    with store.read_transaction() as records:
        return records.one(login_profiles, owner=ACCOUNT)


def events() -> list[dict[str, Any]]:
    path = Path("trail.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_root_password_is_set_and_replaced(run: Run, store: SqlStore) -> None:
    """One line of standard input; the former one is kept, against its reuse."""
    for text, password in ((PASSWORD, PASSWORD), (f"{NEXT}\nmore\n", NEXT), (f" {PASSWORD} \r\n", f" {PASSWORD} ")):
        result = run(text)
        assert (result.exit_code, result.output) == (0, f"set the password of the root user of {ACCOUNT}\n")
        assert PasswordHasher().matches(password, profile(store)["digest"])
    assert profile(store)["user_id"] is None
    assert "$m=64,t=2," in profile(store)["digest"]
    with store.read_transaction() as records:
        assert records.count(former_passwords) == 2


def test_change_is_recorded_without_the_password(run: Run, store: SqlStore) -> None:
    result = run(PASSWORD, "--email", "Root@Acme.Example", "--json")
    assert json.loads(result.output) == {"accountId": ACCOUNT, "email": "root@acme.example"}
    [event] = events()
    assert event["eventName"] == "SetRootPassword"
    assert event["requestParameters"] == {"accountId": ACCOUNT, "email": "root@acme.example"}
    assert event["recipientAccountId"] == ACCOUNT
    for text in (Path("trail.jsonl").read_text(), result.output):
        assert PASSWORD not in text
        assert "argon2" not in text


def test_root_user_is_found_by_its_new_address(run: Run, store: SqlStore) -> None:
    """In any case; a second call with the same address is accepted."""
    for address in ("Root@Acme.Example", " root@acme.example", "ROOT@ACME.EXAMPLE"):
        assert run(PASSWORD, "--email", address).exit_code == 0
    with store.read_transaction() as records:
        person = find_person(records, "aws", email="rOOt@acme.example")
    assert person is not None
    assert person.arn == f"arn:aws:iam::{ACCOUNT}:root"


@pytest.mark.parametrize(
    ("password", "options", "message"),
    [
        ("short", (), "minimum length of 15 (8 with an MFA device) (at password)"),
        ("", (), "minimum length of 15"),
        ("passwordpassword", (), "should not be commonly used"),
        ("acme20261128000", (), "should not be a name of the user or account"),
        ("jane.doe20261128", ("--email", "jane.doe@acme.example"), "should not be a name of the user or account"),
        ("x" * 10_000_000, (), "maximum length of 128"),
        (b"\xff" * 20, (), "expected text in UTF-8"),
        (b"a long pass\0word", (), "control characters"),
        (PASSWORD, ("--email", "acme.example"), "expected an e-mail address, got `acme.example`"),
        (PASSWORD, ("--email", "a@b c"), "expected an e-mail address"),
        (PASSWORD, ("--email", "a\x1b@b"), "expected an e-mail address"),
        (PASSWORD, ("--email", "root@globex.example"), "another account has this e-mail address"),
        (PASSWORD, ("--email", "ROOT@globex.example"), "another account has this e-mail address"),
    ],
)
def test_refused_password_or_address_changes_nothing(
    run: Run, store: SqlStore, password: str | bytes, options: tuple[str, ...], message: str
) -> None:
    """With the reason, exit code 2, and without the password."""
    result = run(password, *options)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output) < 300
    assert not password or isinstance(password, bytes) or password not in result.output
    assert profile(store) is None
    assert events() == []
    with store.read_transaction() as records:
        assert records.all(accounts, id=ACCOUNT)[0]["email"] is None


def test_other_address_is_refused(run: Run, store: SqlStore) -> None:
    """An existing one is changed elsewhere."""
    result = run(PASSWORD, "--email", "new@globex.example", account=OTHER)
    assert result.exit_code == 2
    assert f"the account {OTHER} has another e-mail address" in result.output


@pytest.mark.parametrize("account", ["999999999999", "acme", "", "aws"])
def test_unknown_account_is_refused(run: Run, store: SqlStore, account: str) -> None:
    result = run(PASSWORD, account=account)
    assert result.exit_code == 2
    assert f"the account {account} does not exist" in result.output


def test_missing_store_is_not_created(run: Run) -> None:
    assert run(PASSWORD).exit_code == 2
    assert not Path("iam-guard.db").exists()


def test_seed_file_is_read_only(run: Run) -> None:
    Path("iam.yaml").write_text(SEED)
    result = run(PASSWORD, "--store", "iam.yaml")
    assert result.exit_code == 2
    assert "edit the file instead" in result.output


def test_input_needs_the_option(run: Run, store: SqlStore) -> None:
    """So that a script doesn't set a password by accident."""
    result = CliRunner().invoke(main, ["account", "root-password", ACCOUNT], input=PASSWORD)
    assert result.exit_code == 2
    assert "expected a terminal, or --stdin" in result.output
    assert profile(store) is None


# --- at a terminal -----------------------------------------------------------------------------------------------


def typed(*lines: str) -> tuple[int, str]:
    """Run the command on a terminal, type these lines at its prompts, and return exit code and screen."""
    child, terminal = pty.fork()
    if child == 0:
        command = [sys.executable, "-m", "iam_guard", "account", "root-password", ACCOUNT]
        os.execv(sys.executable, command)  # noqa: S606  on the terminal that fork opened
    screen = b""
    for number, line in enumerate(lines, 1):
        while screen.count(b": ") < number:
            screen += os.read(terminal, 4096)
        time.sleep(0.05)  # getpass discards what is typed before its prompt
        os.write(terminal, line.encode() + b"\n")
    try:
        while part := os.read(terminal, 4096):
            screen += part
    except OSError:  # Linux reports the end of a terminal as an error
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen.decode()


def test_terminal_prompts_twice_without_echo(store: SqlStore) -> None:
    code, screen = typed(PASSWORD, PASSWORD)
    assert (code, PASSWORD in screen) == (0, False), screen
    assert PasswordHasher().matches(PASSWORD, profile(store)["digest"])


def test_different_repetition_is_refused(store: SqlStore) -> None:
    code, screen = typed(PASSWORD, NEXT)
    assert (code, "expected the same password twice" in screen) == (2, True), screen
    assert profile(store) is None


def test_terminal_that_cannot_hide_is_refused(store: SqlStore) -> None:
    """Otherwise the password would be shown."""
    code = (
        "import sys, getpass, termios; sys.stdin.isatty = lambda: True; "
        "getpass.getpass = getpass.fallback_getpass; "
        f"sys.argv = ['iam-guard', 'account', 'root-password', '{ACCOUNT}']; from iam_guard.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], input=PASSWORD, capture_output=True, text=True, check=False)
    assert (done.returncode, "expected a terminal that can hide the password" in done.stderr) == (2, True)
    assert PASSWORD not in done.stdout + done.stderr


# --- a second factor, and sessions -------------------------------------------------------------------------------


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["account", *arguments])


def test_second_factor_is_required_and_no_more(run: Run, store: SqlStore) -> None:
    for options, text, is_required in (((), "requires a", True), (("--off",), "requires no", False)):
        result = invoke("require-mfa", ACCOUNT, *options)
        assert (result.exit_code, result.output) == (0, f"the account {ACCOUNT} {text} second factor\n")
        with store.read_transaction() as records:
            required = [row["id"] for row in records.all(accounts) if row["requires_mfa"]]
        assert required == [ACCOUNT] * is_required
    result = invoke("require-mfa", ACCOUNT, "--json")
    assert json.loads(result.output) == {"accountId": ACCOUNT, "required": True}
    recorded = [(event["eventName"], event["requestParameters"]["required"]) for event in events()]
    assert recorded == [("RequireMFA", True), ("RequireMFA", False), ("RequireMFA", True)]
    assert events()[0]["recipientAccountId"] == ACCOUNT


@pytest.mark.parametrize("command", ["require-mfa", "sessions"])
def test_unknown_account_has_no_settings_and_sessions(run: Run, store: SqlStore, command: str) -> None:
    result = invoke(command, "999999999999")
    assert result.exit_code == 2
    assert "the account 999999999999 does not exist" in result.output
    assert events() == []


@pytest.fixture
def signed_in(store: SqlStore) -> Iterator[Guard]:
    """A guard on the store, on which the root user and the user `ada` have signed in, with a hostile browser."""
    apply_seed(store, load_seed_text(SEED.replace("name: acme", "name: acme, users: [{name: ada}]")))
    with closing(
        guard_with_store(open_store("sqlite:///iam-guard.db", Settings()), Settings(epoch_poll=3600))
    ) as guard:
        for name in ("", "ada"):
            with store.read_transaction() as records:
                user = find_person(records, "aws", account=ACCOUNT, name=name)
            person = user or root_of("aws", ACCOUNT)
            give_password(guard, person)
            issue_session(
                guard,
                person,
                mfa_at=guard.clock() if user else None,
                address="192.0.2.7",
                user_agent="Browser \x1b[2J\n1.0",
                task=None if user else "factor",
            )
        yield guard


def test_sessions_are_listed(run: Run, signed_in: Guard) -> None:
    listed = json.loads(invoke("sessions", ACCOUNT, "--json").output)
    by_person = {row["person"]: row for row in listed}
    root, ada = by_person[f"arn:aws:iam::{ACCOUNT}:root"], by_person[f"arn:aws:iam::{ACCOUNT}:user/ada"]
    assert (root["task"], root["mfa"], ada["task"]) == ("factor", None, None)
    assert ada["mfa"] is not None
    names = "id person role created used expires mfa task federation address browser"
    assert set(ada) == set(names.split())
    assert ada["federation"] is None
    text = invoke("sessions", ACCOUNT).output
    assert root["id"] in text
    assert "no MFA  task factor" in text
    assert "192.0.2.7  Browser �[2J�1.0" in text
    for options, row in ((("--user", "ada"), ada), (("--root",), root)):
        assert json.loads(invoke("sessions", ACCOUNT, *options, "--json").output) == [row]
    assert json.loads(invoke("sessions", OTHER, "--json").output) == []
    assert events() == []


def test_sessions_are_ended(run: Run, signed_in: Guard) -> None:
    rows = json.loads(invoke("sessions", ACCOUNT, "--user", "ada", "--json").output)
    assert invoke("sessions", ACCOUNT, "--end", rows[0]["id"]).output == f"ended the session {rows[0]['id']}\n"
    assert invoke("sessions", ACCOUNT, "--end", rows[0]["id"]).exit_code == 2
    assert json.loads(invoke("sessions", ACCOUNT, "--user", "ada", "--end-all", "--json").output) == {"ended": 0}
    assert invoke("sessions", ACCOUNT, "--end-all").output == "ended 1 session\n"
    assert json.loads(invoke("sessions", ACCOUNT, "--json").output) == []
    assert [event["eventName"] for event in events()] == ["EndBrowserSession", *["EndBrowserSessions"] * 2]


def test_session_without_a_person_is_listed_and_ended(run: Run, store: SqlStore, signed_in: Guard) -> None:
    """With what opened it; it is none of the root user's."""
    statement = f"{{Effect: Allow, Principal: {{AWS: '{ACCOUNT}'}}, Action: 'sts:AssumeRole'}}"
    trust = f"{{Version: '2012-10-17', Statement: {statement}}}"
    role = f"users: [{{name: ada}}], roles: [{{name: Auditor, trust: {trust}}}]"
    apply_seed(store, load_seed_text(SEED.replace("name: acme", f"name: acme, {role}")))
    signed_in.refresh()
    with signed_in.store.read_transaction() as records:
        row = records.one(identities, kind="role", name="Auditor")
    assert row is not None
    principal, now = role_principal("aws", row, "ada@acme"), signed_in.clock()
    terms = Session("", "", principal, now, now + timedelta(hours=1))
    for method, provider in (("credentials", None), ("saml", f"arn:aws:iam::{ACCOUNT}:saml-provider/Company")):
        found: Any = {"method": method, "provider": provider, "evidence": ()}
        signed_in.people.federated_sessions.sign_in(FederatedSignIn(session=terms, **found), Call("1"))
    rows = [row for row in json.loads(invoke("sessions", ACCOUNT, "--json").output) if row["federation"] is not None]
    assert {(row["person"], row["role"], row["federation"]) for row in rows} == {
        (principal.arn, None, f"arn:aws:iam::{ACCOUNT}:saml-provider/Company"),
        (principal.arn, None, "credentials"),
    }
    text = invoke("sessions", ACCOUNT).output
    assert all(f"  by {row['federation']}\n" in text for row in rows)
    assert len(json.loads(invoke("sessions", ACCOUNT, "--root", "--json").output)) == 1
    assert invoke("sessions", ACCOUNT, "--end", rows[0]["id"]).exit_code == 0
    assert events()[-1]["requestParameters"]["principalArn"] == principal.arn
    assert invoke("sessions", ACCOUNT, "--end-all").output == "ended 3 sessions\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--user", "ada", "--root"), "at most one of --user and --root"),
        (("--end", "bs-1", "--end-all"), "--end ID without another option"),
        (("--end", "bs-1", "--root"), "--end ID without another option"),
        (("--user", "eve"), "the user `eve` does not exist"),
        (("--user", "ADA", "--end-all"), "the user `ADA` does not exist"),
        (("--end", "bs-1"), "has no session `bs-1`"),
    ],
)
def test_wrong_options_end_no_session(run: Run, signed_in: Guard, options: tuple[str, ...], message: str) -> None:
    result = invoke("sessions", ACCOUNT, *options)
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert len(json.loads(invoke("sessions", ACCOUNT, "--json").output)) == 2

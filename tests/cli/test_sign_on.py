"""`iam-guard account sign-on`: providers are added, listed and removed; the secret stays where it was read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main
from iam_guard.cli.account.sign_on import add
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import sign_on_providers
from iam_guard.store.sql_store import SqlStore
from tests.authn.people.sign_on_world import ACME, CLIENT, GLOBEX, OIDC, READER, SAML, SECRET, add_identity_providers

RULE = f"groups=Platform Admins {READER}"
OPTIONS = ("--provider", OIDC, "--client-id", CLIENT, "--scope", "groups", "--role", RULE, "--trust-mfa")
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on the default store of a temporary folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_AUDIT", "trail.jsonl")
    monkeypatch.setenv("IAM_GUARD_SITE_URL", "https://app.example")
    return lambda *arguments, **more: CliRunner().invoke(main, ["account", "sign-on", *arguments], **more)


@pytest.fixture(autouse=True)
def store(run: Run) -> Iterator[SqlStore]:
    opened = create_store("sqlite:///iam-guard.db", Settings())
    add_identity_providers(opened)
    yield opened
    opened.close()


def listed(run: Run) -> list[dict[str, Any]]:
    result = run("list", ACME, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_providers_are_added_listed_and_removed(run: Run) -> None:
    Path("secret").write_text(f"{SECRET}\nmore\n")
    result = run("add", ACME, "Acme OIDC", *OPTIONS, "--client-secret-file", "secret")
    assert result.exit_code == 0, result.output
    [oidc] = listed(run)
    assert result.stdout == (
        f"added the sign-on provider Acme OIDC ({oidc['id']}) to the account {ACME}\n"
        f"register at the identity provider: https://app.example/signin/oidc/callback/{oidc['id']}\n"
    )
    assert oidc == {
        "id": oidc["id"],
        "name": "Acme OIDC",
        "provider": OIDC,
        "clientId": CLIENT,
        "hasSecret": True,
        "scopes": ["openid", "groups"],
        "roles": [RULE],
        "trustsMfa": True,
        "returnUrl": f"https://app.example/signin/oidc/callback/{oidc['id']}",
        "hasCommonRedirect": False,
    }
    added = json.loads(run("add", ACME, "Acme SAML", "--provider", SAML, "--json").stdout)
    assert added["returnUrl"] == "https://app.example/signin/saml/acs"
    shown = run("list", ACME)
    assert shown.stdout == (
        f"Acme OIDC  {oidc['id']}  {OIDC}  client {CLIENT}  trusts its MFA\n"
        f"    {oidc['returnUrl']}\n    scopes openid groups\n    {RULE}\n"
        f"Acme SAML  {added['id']}  {SAML}\n    https://app.example/signin/saml/acs\n"
    )
    result = run("remove", ACME, "acme oidc")
    assert result.stdout == f"removed the sign-on provider acme oidc of the account {ACME}\n"
    assert [row["name"] for row in listed(run)] == ["Acme SAML"]
    events = [json.loads(line) for line in Path("trail.jsonl").read_text().splitlines()]
    assert [event["eventName"] for event in events] == [
        "AddSignOnProvider",
        "AddSignOnProvider",
        "RemoveSignOnProvider",
    ]


def test_provider_of_an_earlier_store_gets_its_own_redirect(run: Run, store: SqlStore) -> None:
    """Its list shows what to register first."""
    added = json.loads(run("add", ACME, "Acme", *OPTIONS, "--json").stdout)
    url = f"https://app.example/signin/oidc/callback/{added['id']}"
    with store.write_transaction() as records:
        records.update(sign_on_providers, {"has_common_redirect": True}, id=added["id"])
    assert f"    {url}  to be registered: see `sign-on own-redirect`\n" in run("list", ACME).stdout
    assert [(row["returnUrl"], row["hasCommonRedirect"]) for row in listed(run)] == [(url, True)]
    result = run("own-redirect", ACME, "ACME")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"the sign-on provider Acme of the account {ACME} has its own redirect address\n"
        f"it must be registered at the identity provider: {url}\n"
    )
    assert json.loads(run("own-redirect", ACME, "acme", "--json").stdout) == added
    assert [row["hasCommonRedirect"] for row in listed(run)] == [False]
    [*_, event] = [json.loads(line) for line in Path("trail.jsonl").read_text().splitlines()]
    assert (event["eventName"], event["requestParameters"]["name"]) == ("UseOwnRedirect", "Acme")


def test_secret_is_read_from_standard_input(run: Run, store: SqlStore) -> None:
    """And is neither shown nor recorded."""
    outputs = [run("add", ACME, "Acme", *OPTIONS, "--client-secret-file", "-", input=f"{SECRET}\r\n")]
    outputs += [run("list", ACME), run("list", ACME, "--json"), run("remove", ACME, "Acme")]
    assert [result.exit_code for result in outputs] == [0] * 4
    assert not any(SECRET in result.output for result in outputs)
    assert SECRET not in Path("trail.jsonl").read_text()


def test_public_client_is_listed_as_such(run: Run) -> None:
    assert run("add", ACME, "Acme", *OPTIONS).exit_code == 0
    assert f"client {CLIENT} without a secret" in run("list", ACME).stdout


def test_unusable_set_up_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is stored all the same."""
    monkeypatch.delenv("IAM_GUARD_SITE_URL")
    monkeypatch.setattr(add, "has_sign_on_libraries", lambda: False)
    result = run("add", ACME, "Acme", "--provider", SAML)
    assert result.exit_code == 0
    assert "register" not in result.stdout
    assert result.stderr.splitlines() == [
        "people can't use it yet: the setting `site_url` is not set",
        "people can't use it yet: the extra `sign-on` of iam_guard is not installed",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", GLOBEX, "Acme", "--provider", SAML), "has no OIDC or SAML provider"),
        (("add", ACME, "Acme", "--provider", OIDC, "--client-id", "none", "--role", READER), "expected a client id"),
        (("add", ACME, "Acme", "--provider", OIDC, "--client-id", CLIENT), "expected 1 to 100 rules"),
        (("add", ACME, "Acme", "--provider", SAML, "--role", READER), "a SAML response names the roles"),
        (("add", ACME, "", "--provider", SAML), "expected a name"),
        (("remove", ACME, "none"), "has no sign-on provider `none`"),
        (("own-redirect", ACME, "none"), "has no sign-on provider `none`"),
        (("list", "999999999999"), "does not exist"),
    ],
)
def test_invalid_arguments_are_refused(run: Run, arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in result.output
    assert listed(run) == []


def test_secret_of_other_encoding_is_refused(run: Run) -> None:
    result = run("add", ACME, "Acme", *OPTIONS, "--client-secret-file", "-", input=b"\xff\xfe\n")
    assert result.exit_code != 0
    assert "expected text in UTF-8" in result.output

"""Ansible's modules for IAM create the identities of a small company, and remove them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.clients.programs import Aws, Json, clients_folder, installed, run
from tests.clients.serving import Server

PLAYBOOKS = Path(__file__).with_name("playbook")
NAMES = yaml.safe_load((PLAYBOOKS / "names.yml").read_text())

Play = Callable[[str], "PlaybookResult"]


class PlaybookResult:
    """The results of the tasks of a playbook."""

    def __init__(self, output: Json) -> None:
        [play] = output["plays"]
        self.results: dict[str, Json] = {task["task"]["name"]: task["hosts"]["localhost"] for task in play["tasks"]}
        self.changed = [name for name, result in self.results.items() if result["changed"]]


@pytest.fixture
def token() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def play(variables: dict[str, str], token: str) -> Play:
    """Return a function that runs one of the playbooks."""
    program = installed("ansible-playbook")
    settings = {
        "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_PYTHON_INTERPRETER": str(clients_folder() / "bin" / "python"),
    }

    def run_playbook(name: str) -> PlaybookResult:
        command = [program, "--extra-vars", json.dumps({"token": token}), str(PLAYBOOKS / f"{name}.yml")]
        completed = run(command, variables | settings)
        assert completed.stdout.startswith("{"), completed.stdout + completed.stderr
        result = PlaybookResult(json.loads(completed.stdout))
        assert completed.returncode == 0, (name, *result.results.popitem())  # the last task failed
        return result

    return run_playbook


def test_modules_create_query_and_remove_identities(play: Play, aws: Aws, server: Server, token: str) -> None:
    """The second run changes nothing; the info modules return everything; after removal nothing is left."""
    first = play("present")
    assert set(first.results) - set(first.changed) == {"access keys"}  # a query
    assert play("present").changed == []

    assert_info(play("info").results, server, token)

    assert set(play("absent").changed) == {
        "inline policy",
        "group",
        "instance profile",
        "role",
        "user",
        "managed policies",
        "password policy",
    }
    whole = [aws("get-account-authorization-details"), aws("list-instance-profiles")]
    assert token not in json.dumps(whole)
    assert "(NoSuchEntity)" in aws.refused("get-account-password-policy")


def assert_info(info: dict[str, Json], server: Server, token: str) -> None:
    path = f"ansible-{token}"
    boundary = server.arn(f"policy/limit-{token}")
    [user] = info["user"]["iam_users"]
    assert user["arn"] == server.arn(f"user/{path}/ada-{token}")
    assert user["tags"] == {"team": "docs", "odd": "a+b c/é"}
    assert user["permissions_boundary"]["permissions_boundary_arn"] == boundary
    assert user["login_profile"]["password_reset_required"] is False
    assert [member["user_id"] for member in info["members"]["iam_users"]] == [user["user_id"]]

    [role] = info["role"]["iam_roles"]
    assert role["assume_role_policy_document"] == NAMES["trust"]
    assert {policy["policy_arn"] for policy in role["managed_policies"]} == {
        "arn:aws:iam::aws:policy/AdministratorAccess",
        server.arn(f"policy/{path}/edit-{token}"),
    }
    assert (role["inline_policies"], role["tags"]) == (["Inline"], {"team": "docs"})
    assert role["max_session_duration"] == 7200
    assert role["permissions_boundary"]["permissions_boundary_arn"] == boundary
    [profile] = info["instance profiles"]["iam_instance_profiles"]
    assert [role_of_profile["role_id"] for role_of_profile in profile["roles"]] == [role["role_id"]]

    [policy] = info["inline policies"]["policies"]
    assert policy["policy_document"] == NAMES["may_edit"]
    [key] = info["access keys"]["access_keys"]
    assert (key["user_name"], key["status"]) == (f"ada-{token}", "Active")
    assert info["MFA devices"]["mfa_devices"] == []

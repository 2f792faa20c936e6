"""Ansible's modules for IAM make a small company, find nothing to change in it, and remove it (`playbook/`)."""

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
GIVEN = yaml.safe_load((PLAYBOOKS / "names.yml").read_text())

Play = Callable[[str], "Played"]


class Played:
    """What Ansible says of a playbook."""

    def __init__(self, output: Json) -> None:
        [play] = output["plays"]
        self.results: dict[str, Json] = {task["task"]["name"]: task["hosts"]["localhost"] for task in play["tasks"]}
        self.changed = [name for name, result in self.results.items() if result["changed"]]


@pytest.fixture
def token() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def play(variables: dict[str, str], token: str) -> Play:
    """Play one of the playbooks to its end."""
    program = installed("ansible-playbook")
    settings = {
        "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_PYTHON_INTERPRETER": str(clients_folder() / "bin" / "python"),
    }

    def played(name: str) -> Played:
        command = [program, "--extra-vars", json.dumps({"token": token}), str(PLAYBOOKS / f"{name}.yml")]
        ended = run(command, variables | settings)
        assert ended.stdout.startswith("{"), ended.stdout + ended.stderr
        result = Played(json.loads(ended.stdout))
        assert ended.returncode == 0, (name, *result.results.popitem())  # it stops where something fails
        return result

    return played


def test_a_company(play: Play, aws: Aws, server: Server, token: str) -> None:
    """Applied twice, the second time changes nothing; the modules that ask see it all; removed, nothing is left."""
    first = play("present")
    assert set(first.results) - set(first.changed) == {"access keys"}  # which only asks
    assert play("present").changed == []

    assert_told(play("told").results, server, token)

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


def assert_told(told: dict[str, Json], server: Server, token: str) -> None:
    path = f"ansible-{token}"
    boundary = server.arn(f"policy/limit-{token}")
    [user] = told["user"]["iam_users"]
    assert user["arn"] == server.arn(f"user/{path}/ada-{token}")
    assert user["tags"] == {"team": "docs", "odd": "a+b c/é"}
    assert user["permissions_boundary"]["permissions_boundary_arn"] == boundary
    assert user["login_profile"]["password_reset_required"] is False
    assert [member["user_id"] for member in told["members"]["iam_users"]] == [user["user_id"]]

    [role] = told["role"]["iam_roles"]
    assert role["assume_role_policy_document"] == GIVEN["trust"]
    assert {policy["policy_arn"] for policy in role["managed_policies"]} == {
        "arn:aws:iam::aws:policy/AdministratorAccess",
        server.arn(f"policy/{path}/edit-{token}"),
    }
    assert (role["inline_policies"], role["tags"]) == (["Inline"], {"team": "docs"})
    assert role["max_session_duration"] == 7200
    assert role["permissions_boundary"]["permissions_boundary_arn"] == boundary
    [profile] = told["instance profiles"]["iam_instance_profiles"]
    assert [held["role_id"] for held in profile["roles"]] == [role["role_id"]]

    [policy] = told["inline policies"]["policies"]
    assert policy["policy_document"] == GIVEN["may_edit"]
    [key] = told["access keys"]["access_keys"]
    assert (key["user_name"], key["status"]) == (f"ada-{token}", "Active")
    assert told["MFA devices"]["mfa_devices"] == []

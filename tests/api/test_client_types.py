"""The types of the clients: mypy sees what methods take and return, and they are those that the clients have."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Principal, async_client, client, current_async_client, current_client
from tests.api.conftest import ACCOUNT, Running
from tests.tables import table

CLIENTS = Path(inspect.getfile(Guard)).parents[1] / "clients"
PROGRAM = """
from datetime import datetime

from iam_guard import AccessDenied, Guard, Principal, async_client, client, current_client


def accepted(guard: Guard, principal: Principal) -> None:
    iam = client(guard, "iam", principal)
    reveal_type(iam)
    made = iam.create_user(UserName="rita", Tags=[{"Key": "a", "Value": "b"}])
    reveal_type(made["User"].get("CreateDate"))
    reveal_type(iam.get_role(RoleName="r")["Role"].get("AssumeRolePolicyDocument"))
    for page in iam.get_paginator("list_users").paginate(PathPrefix="/team/", PaginationConfig={"PageSize": 2}):
        reveal_type(page["Users"])
    iam.get_waiter("user_exists").wait(UserName="rita", WaiterConfig={"Delay": 1})
    try:
        iam.update_access_key(AccessKeyId="AKIA", Status="Inactive")
    except iam.exceptions.NoSuchEntityException as error:
        reveal_type(error.response)
    reveal_type(current_client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"])
    reveal_type(client(guard, "access-analyzer", account="111122223333", reason="sign-up"))
    AccessDenied("x").code


async def awaited(guard: Guard, principal: Principal) -> None:
    iam = async_client(guard, "iam", principal)
    reveal_type((await iam.list_groups())["Groups"])
    pages = iam.get_paginator("list_users").paginate()
    reveal_type([user["UserName"] async for page in pages for user in page["Users"]])


def refused(guard: Guard, principal: Principal) -> None:
    iam = client(guard, "iam", principal)
    iam.create_user(UserName=7)
    iam.create_user()
    iam.create_user(Name="rita")
    iam.make_user(UserName="rita")
    iam.update_access_key(AccessKeyId="AKIA", Status="Off")
    iam.get_paginator("get_user")
    iam.get_user(UserName="rita")["Nothing"]
    client(guard, "s3", principal)
    current_client("iam", principal)
"""
REVEALED = [
    "iam_guard.clients.iam.IamClient",
    "datetime.datetime",
    "dict[str, Any] | None",
    "list[TypedDict(iam_guard.clients.iam.User",
    "dict[str, Any]",
    "str",
    "iam_guard.clients.accessanalyzer.AccessAnalyzerClient",
    "list[TypedDict(iam_guard.clients.iam.Group",
    "list[str]",
]
REFUSED = [
    'Argument "UserName" to "create_user"',
    'Missing named argument "UserName"',
    'Unexpected keyword argument "Name"',
    'has no attribute "make_user"',
    'Argument "Status" to "update_access_key"',
    'No overload variant of "get_paginator"',
    'has no key "Nothing"',
    'No overload variant of "client"',
    'No overload variant of "current_client"',
]


@pytest.mark.slow
def test_mypy_sees_arguments_and_answers(tmp_path: Path) -> None:
    """With `--strict`, as an application uses it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "program.py"]
    environment = {**os.environ, "MYPYPATH": str(CLIENTS.parent.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = re.findall(r"program.py:\d+: (\w+): (.*)", done.stdout)
    revealed = [message for level, message in said if "Revealed type" in message]
    errors = [message for level, message in said if level == "error"]
    assert len(revealed) == len(REVEALED), done.stdout
    for message, expected in zip(revealed, REVEALED, strict=True):
        assert expected in message.replace("builtins.", "").replace("'", "")
    assert len(errors) == len(REFUSED), done.stdout
    for message, expected in zip(errors, REFUSED, strict=True):
        assert expected in message


@table("function", [client, current_client, async_client, current_async_client])
def test_functions_have_the_signatures_of_the_package(function: Callable[..., Any]) -> None:
    tree = ast.parse((CLIENTS / "__init__.pyi").read_text())
    overloads = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function.__name__]
    assert len(overloads) == 5
    names = [*inspect.signature(function).parameters]
    for node in overloads:
        assert [each.arg for each in (*node.args.args, *node.args.kwonlyargs)] == names


@table("service", ["iam", "sts", "accessanalyzer", "signin"])
def test_classes_have_the_methods_of_the_clients(server: Running, service: str) -> None:
    """Both kinds, and their exceptions, paginators and waiters."""
    tree = ast.parse((CLIENTS / f"{service}.pyi").read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    made = client(server.guard, service, Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/admin"))
    operations = set(made.meta.method_to_api_mapping)
    of_client, of_async = (
        {node.name for node in of.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        for name, of in sorted(classes.items(), key=lambda each: each[0].startswith("Async"))
        if name.endswith("Client")
    )
    # a service without pages or waiters has no method for them
    assert operations <= of_client
    assert of_client - operations <= {"exceptions", "can_paginate", "close", "get_paginator", "get_waiter"}
    assert of_async == of_client | {"__aenter__", "__aexit__"}
    listed = {node.target.id for node in classes["Exceptions"].body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]
    assert listed == {"ClientError", *(shape.name for shape in made.meta.service_model.error_shapes)}
    pages = {name.removesuffix("Paginator") for name in classes if name.endswith("Paginator")}
    assert {name for name in operations if made.can_paginate(name)} == {
        name for name, operation in made.meta.method_to_api_mapping.items() if operation in pages
    }

"""Fixtures of the tests with real clients: one server for all of them, and the `aws` command.

The server runs for the whole session, so each test uses unique names (`name`) and does not count resources of others.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.programs import Aws, client_environment, installed
from tests.clients.serving import VARIABLE, Server, external_server, start_server

Name = Callable[[str], str]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server with an account that has only the root user's key, or the external server."""
    endpoint = os.environ.get(VARIABLE)
    if endpoint:
        yield external_server(endpoint)
        return
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def name() -> Name:
    """Return a function that makes names unique to the test, equal for equal words."""
    token = secrets.token_hex(4)
    return lambda word: f"{word}-{token}"


@pytest.fixture
def variables(server: Server, tmp_path: Path) -> dict[str, str]:
    """Return the environment variables of a client with the administrator's key."""
    return client_environment(server, tmp_path)


@pytest.fixture
def aws(variables: dict[str, str]) -> Aws:
    """Return the `aws iam` command with the administrator's key."""
    return Aws(installed("aws"), variables)

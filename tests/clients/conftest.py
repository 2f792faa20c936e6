"""What the tests with real clients share: a server for all of them, and the `aws` command.

The server lives as long as the session. So each test takes names that nobody else has (`name`), and counts nothing that
another one could have made.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.programs import Aws, installed, surroundings
from tests.clients.serving import VARIABLE, Server, running, started

Name = Callable[[str], str]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an account in which nothing is but the root user's key, or the one that runs already."""
    endpoint = os.environ.get(VARIABLE)
    if endpoint:
        yield running(endpoint)
        return
    with started(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def name() -> Name:
    """Make names that no other test has, equal for equal words."""
    token = secrets.token_hex(4)
    return lambda word: f"{word}-{token}"


@pytest.fixture
def variables(server: Server, tmp_path: Path) -> dict[str, str]:
    """What a client finds around it, with the key that may do everything."""
    return surroundings(server, tmp_path)


@pytest.fixture
def aws(variables: dict[str, str]) -> Aws:
    """The `aws iam` command, with the key that may do everything."""
    return Aws(installed("aws"), variables)

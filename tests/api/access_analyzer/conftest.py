"""Clients of Access Analyzer on the server of `tests/api/conftest.py`."""

from __future__ import annotations

import pytest

from tests.api.conftest import ADMIN_KEY, OTHER_KEY, Client, Running


@pytest.fixture
def analyzer(server: Running) -> Client:
    """A client of a user with every permission."""
    return server.client(ADMIN_KEY, "accessanalyzer")


@pytest.fixture
def other_analyzer(server: Running) -> Client:
    """A client of a user with every permission in another account."""
    return server.client(OTHER_KEY, "accessanalyzer")

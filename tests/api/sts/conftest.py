"""The API that accepts SAML assertions, in its initial state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from iam_guard.store.snapshot import Snapshot
from tests.api.clock import CLOCK
from tests.api.sts.saml_world import World, saml_world


@pytest.fixture(scope="session")
def running_saml_world() -> Iterator[World]:
    with saml_world() as world:
        snapshot = Snapshot(world.server.store.engine)
        world.server = replace(world.server, snapshot=snapshot)
        yield world
        snapshot.close()


@pytest.fixture
def saml(running_saml_world: World) -> Iterator[World]:
    """The initial state, with a stopped clock and an empty trail."""
    running_saml_world.server.reset()
    running_saml_world.sink.lines.clear()
    CLOCK.stop()
    yield running_saml_world
    CLOCK.resume()

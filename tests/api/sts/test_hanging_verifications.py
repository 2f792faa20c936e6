"""Unsigned calls whose tokens take long to verify: they take no threads from other calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from iam_guard.api.protocol.own_app import WORKERS
from iam_guard.authn.saml.response import read_response
from iam_guard.authn.tokens import assertion_verifier
from iam_guard.web.shared_workers import MAX_SAML_WORKERS, MAX_WORKERS_OF_ACCOUNT
from tests.api.conftest import ADMIN_KEY
from tests.api.sts.saml_world import World as SamlWorld
from tests.api.sts.test_web_identities import World
from tests.api.sts.test_web_identities import running_world as running_world
from tests.api.sts.test_web_identities import world as world
from tests.audit.pipelines import eventually

CROWD = 2 * WORKERS


class Hanging:
    """Counts what has begun, and does not end before `release`."""

    def __init__(self) -> None:
        self.begun = 0
        self.release = threading.Event()

    def wait(self) -> None:
        self.begun += 1
        self.release.wait(300)


@contextmanager
def crowd(hanging: Hanging, call: Any) -> Iterator[None]:
    """Make many calls at the same time, which hang inside of the block."""
    with ThreadPoolExecutor(CROWD) as pool:
        for _ in range(CROWD):
            pool.submit(call)
        try:
            eventually(lambda: hanging.begun > 0)
            yield
        finally:
            hanging.release.set()


def test_slow_issuer_takes_no_threads_of_other_calls(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, verifier = Hanging(), world.server.api.server.tokens
    verify = verifier.verify

    def slowly(*arguments: Any) -> None:
        hanging.wait()
        verify(*arguments)

    monkeypatch.setattr(verifier, "verify", slowly)
    token = world.issuer.token()
    with crowd(hanging, lambda: world.assume(token)):
        for _ in range(CROWD):
            assert world.server.client(ADMIN_KEY, "sts").get_caller_identity()["Account"]
        eventually(lambda: hanging.begun == MAX_WORKERS_OF_ACCOUNT)


def test_saml_responses_take_no_threads_of_other_calls(saml: SamlWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging()

    def slowly(*arguments: Any) -> Any:
        hanging.wait()
        return read_response(*arguments)

    monkeypatch.setattr(assertion_verifier, "read_response", slowly)
    text = saml.response()
    with crowd(hanging, lambda: saml.assume(text)):
        for number in range(CROWD):
            saml.iam.create_user(UserName=f"u{number}")
        assert hanging.begun == MAX_SAML_WORKERS

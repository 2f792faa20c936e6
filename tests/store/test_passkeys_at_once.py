"""The same answer of a passkey, sent many times at once: one of them counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from iam_guard.settings import Settings
from tests.authn.people.passkey_world import CALL, FORM, PARTY, opened_world

AT_ONCE = 6


def test_answer_sent_at_once_counts_once(database: str, settings: Settings) -> None:
    """On each kind of database."""
    with opened_world(database, settings) as world:
        text, start = world.answer(world.add()), Barrier(AT_ONCE)

        def sign_in(_: int) -> bool:
            start.wait()
            return world.steps.sign_in(PARTY, FORM, text, CALL) is not None

        with ThreadPoolExecutor(AT_ONCE) as threads:
            assert sum(threads.map(sign_in, range(AT_ONCE))) == 1

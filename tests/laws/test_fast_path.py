"""The fast path equals the specification: a warm guard answers as a new one, whatever was sent and changed before.

`tests/laws/fast_path` has the parts: `world` (the store and its changes), `wires` (requests), `application`, `guards`
(the warm guard, the specification, the reference of decisions), `histories` and `comparison`.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.audit.open_trail import open_audit_log
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from tests.laws.fast_path.application import without_ids
from tests.laws.fast_path.comparison import Comparison, Concurrent
from tests.laws.fast_path.guards import settings as settings_of
from tests.laws.fast_path.histories import History

REQUESTS = int(os.environ.get("IAM_GUARD_TEST_FAST_PATH_REQUESTS", "1000"))
"""Requests that the first test compares, and the others together; a million take some ten minutes."""
FIRST = int(os.environ.get("IAM_GUARD_TEST_FAST_PATH_SEED", "1"))
"""The seed of the first history."""
IN_A_HISTORY = min(REQUESTS // 3, 10_000)
IN_A_ROUND, REPEATED = (12, 3) if REQUESTS < 100_000 else (25, 10)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Suppress the log of requests that cannot be decided: there are many."""
    logger = logging.getLogger("iam_guard")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def history_in(folder: Path, number: int, **options: object) -> History:
    file = folder / f"{number}.db"
    return History(number, f"sqlite:///{file}", file=file, **options)  # type: ignore[arg-type]


def follow(history: History, comparison: Comparison, requests: int, repeated: int, threads: int = 1) -> None:
    """Compare so many requests, with changes in between."""
    while comparison.compared < requests:
        comparison.round(IN_A_ROUND, repeated, threads)
        history.change()


def test_warm_guard_answers_as_a_new_one(tmp_path: Path) -> None:
    """Response, principal, decision, error, audit record, metrics and last uses are equal."""
    for number in range(REQUESTS // IN_A_HISTORY):
        with closing(history_in(tmp_path, FIRST + number)) as history:
            follow(history, Comparison(history), IN_A_HISTORY, REPEATED)


def test_threads_get_the_answers_of_a_new_guard(tmp_path: Path) -> None:
    """Several threads send the same requests at once."""
    for number in range(max(1, REQUESTS // 60_000)):
        with closing(history_in(tmp_path, FIRST + number)) as history:
            follow(history, Comparison(history), IN_A_HISTORY, 2, threads=4)


def test_changes_meanwhile_give_the_answers_of_an_epoch(tmp_path: Path) -> None:
    """T-9: a decision names an epoch, and equals that of a store at this epoch; with threads, while others write."""
    with closing(history_in(tmp_path, FIRST + 1, epoch_poll=0.005)) as history:
        concurrent = Concurrent(history, 24)  # some of them are refused without a decision
        concurrent.run(epochs=min(400, max(10, REQUESTS // 1000)), threads=3)
        assert concurrent.compared > 50
        assert len(concurrent.epochs) > 2


def test_trail_has_the_records_of_a_new_guard(tmp_path: Path) -> None:
    """Of a trail in a folder, whose lines a writer thread makes."""
    create_signing_key_file(tmp_path / "key")
    trail = settings_of(audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key")
    with closing(history_in(tmp_path, FIRST + 2, sink=open_audit_log(trail, None))) as history:
        comparison = Comparison(history, has_trail=True)
        follow(history, comparison, IN_A_HISTORY, REPEATED)
    found: dict[str, list[object]] = defaultdict(list)
    for segment in sorted((tmp_path / "trail").rglob("*.jsonl")):
        for line in segment.read_bytes().splitlines():
            record = json.loads(without_ids(line))
            for member in ("shard", "sequence"):
                del record["iamGuard"][member]
            found[json.loads(line).get("requestID") or ""].append(record)
    for id, lines in comparison.lines.items():
        assert found[id] == [json.loads(line) for line in lines], id
    assert len(comparison.lines) > 100


STEPS = st.tuples(st.sampled_from(["request", "request", "change", "time"]), st.integers(0, 1000))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with closing(history_in(tmp_path_factory.mktemp("small"), 5)) as history:
        history.back_up()
        yield history


@given(steps=st.lists(STEPS, min_size=2, max_size=10))
@settings(max_examples=min(2_000, max(10, REQUESTS // 100)))
def test_short_histories(small: History, steps: list[tuple[str, int]]) -> None:
    """As above, from the same initial state, so that a failure is shrunk to the steps that it needs.

    A request is sent again after each change.
    """
    small.begin_again()
    comparison, sent = Comparison(small), []
    for kind, number in steps:
        small.rng = random.Random(number)
        match kind:
            case "request":
                sent.append(small.request())
            case "change":
                small.change_once()
            case _:
                small.pass_time()
        for wire in sent[-3:]:
            comparison.one(wire)
    comparison.compare_uses()

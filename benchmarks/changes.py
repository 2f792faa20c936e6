"""The cost of following the changes of a store: until when they are used, and what writers and decisions pay for it.

All processes are separate, and work on one store: an SQLite file, then a PostgreSQL server on the same machine. The
variants of a figure alternate in rounds. Delays and rates are wall-clock time; CPU time is that of a process, not that
of the server.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from statistics import median, quantiles
from typing import Any, NamedTuple

from benchmarks.changes_child import (
    AS_IT_IS,
    WITHOUT_FEED,
    WITHOUT_NOTIFICATIONS,
    Load,
    Marker,
    Task,
    Use,
    Writes,
    decide,
    follow,
    serve,
    write,
    write_steadily,
)
from benchmarks.row import Row, Skipped
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from tests.store.bulk_rows import fill
from tests.store.databases import SEALING_KEY, find_server

FOLLOWERS = 16
USERS = 2_000
WRITES_A_SECOND, MARKER_EVERY = 100.0, 10
OFTEN = 0.05
PROPAGATION_ROUNDS, PROPAGATION_SECONDS = 3, 8.0
WARM_UP_SECONDS = 1.0
"""For the first changes of a round, after which processes and server run code for the first time."""
MARGIN_SECONDS = 3.0
"""For the last change of a round."""
WRITERS = (1, 4)
WRITER_ROUNDS, WRITER_SECONDS = 11, 1.0
WRITE_RATES = (0.0, 1.0, 10.0, 50.0)
PACES = (0.0, 1_000.0)
"""Decisions a second; 0 is as many as possible."""
LOAD_ROUNDS, LOAD_SECONDS = 5, 2.0
WITHOUT = "without changes"
STORE_TIMEOUT = 5.0
"""Seconds, so that no decision fails on a busy machine."""
_MAX_SECONDS = 60.0
"""For the answer of a process, beyond the time of its task."""

_context = multiprocessing.get_context("forkserver")


class Process:
    """A process that runs one task at a time."""

    def __init__(self, url: str, settings: Settings, *, is_notified: bool) -> None:
        self._pipe, pipe = _context.Pipe()
        arguments = (pipe, url, settings, is_notified)
        self._process = _context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        pipe.close()

    def start(self, task: Task, *arguments: Any) -> None:
        self._pipe.send((task, arguments))

    def result(self) -> Any:
        """Return the result of the task; the first one tells that the process has started."""
        if not self._pipe.poll(_MAX_SECONDS):
            raise SystemExit("a process of the benchmark did not answer")
        return self._pipe.recv()

    def close(self) -> None:
        with suppress(BrokenPipeError):  # it has failed
            self._pipe.send(None)
        self._process.join()


@contextmanager
def _started(
    url: str, count: int, *, is_notified: bool = True, epoch_poll: float = Settings().epoch_poll
) -> Iterator[Sequence[Process]]:
    """Start processes, and wait until their guards have decided something."""
    settings = Settings(sealing_keys=(SEALING_KEY,), epoch_poll=epoch_poll, store_timeout=STORE_TIMEOUT)
    with ExitStack() as stack:
        processes = [Process(url, settings, is_notified=is_notified) for _ in range(count)]
        for process in processes:
            process.result()
            stack.callback(process.close)
        yield processes


def _run(processes: Sequence[Process], task: Task, *arguments: Any) -> list[Any]:
    """Run a task in all processes at once."""
    for process in processes:
        process.start(task, *arguments)
    return [process.result() for process in processes]


def measure() -> Iterator[Row]:
    """Measure on SQLite, and on PostgreSQL where there is a server."""
    _context.set_forkserver_preload(["benchmarks.changes_child"])
    with tempfile.TemporaryDirectory() as folder:
        yield from _rows("SQLite", f"sqlite:///{folder}/iam.db")
    server = find_server()
    if isinstance(server, str):
        raise Skipped(server)
    try:
        yield from _rows("PostgreSQL", server.create())
    finally:
        server.close()


def _rows(database: str, url: str) -> Iterator[Row]:
    store = create_store(url, Settings(sealing_keys=(SEALING_KEY,)))
    fill(store, USERS)
    store.close()
    is_notified = store.is_remote
    yield from _propagation(database, url, is_notified=is_notified)
    for pace in PACES:
        yield from _loads(database, url, pace)
    yield from _writers(database, url, is_notified=is_notified)


def _compared(name: str, unit: str, found: Mapping[str, Sequence[float]], peers: Sequence[str]) -> Iterator[Row]:
    """Yield the median over the rounds, and the median of the ratios of each round with their quartiles."""
    ours, *_ = found
    for peer in peers:
        ratios = [value / beside for value, beside in zip(found[ours], found[peer], strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        for ratio, label in ((middle, ""), (low, ", upper quartile"), (high, ", lower quartile")):
            yield Row(name, median(found[ours]), unit, ratio, f"{peer}{label}")


# --- until when a change is used -----------------------------------------------------------------------------------


def _propagation(database: str, url: str, *, is_notified: bool) -> Iterator[Row]:
    """Measure from the commit of a change to the first decision of each process that uses it."""
    variants: dict[str, dict[str, Any]] = {
        f"polled every {Settings().epoch_poll:g} s": {"is_notified": False},
        f"polled every {OFTEN:g} s": {"is_notified": False, "epoch_poll": OFTEN},
    }
    if is_notified:
        variants = {"notified": {"is_notified": True}} | variants
    rounds: dict[str, list[_Followed]] = {name: [] for name in variants}
    for _ in range(PROPAGATION_ROUNDS):
        for name, options in variants.items():
            rounds[name].append(_followed(url, options))
    ours, *peers = variants
    for what, unit, of in _FOLLOWED:
        values = {name: of(_joined(found)) for name, found in rounds.items()}
        for peer in peers:
            yield Row(f"{database}: {what}", values[ours], unit, values[ours] / values[peer], peer)


class _Followed(NamedTuple):
    """How processes followed: seconds from each change to its use, seconds by which decisions began late."""

    delays: Sequence[float]
    lates: Sequence[float]
    cpu_seconds: Sequence[float]
    """Of each process, in a second."""
    changes: Sequence[float]
    """In a second."""


def _joined(rounds: Sequence[_Followed]) -> _Followed:
    return _Followed(*([value for values in part for value in values] for part in zip(*rounds, strict=True)))


def _percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] * 1e3


_FOLLOWED: Sequence[tuple[str, str, Callable[[_Followed], float]]] = (
    ("50 % use a change within", "ms", lambda found: _percentile(found.delays, 50)),
    ("99 % use a change within", "ms", lambda found: _percentile(found.delays, 99)),
    ("99 % of the decisions begin late by at most", "ms", lambda found: _percentile(found.lates, 99)),
    ("CPU time of a process in a second", "ms", lambda found: median(found.cpu_seconds) * 1e3),
    ("changes made in a second", "1/s", lambda found: median(found.changes)),
)


def _followed(url: str, options: Mapping[str, Any]) -> _Followed:
    with _started(url, 1) as (writer,), _started(url, FOLLOWERS, **options) as followers:
        for follower in followers:
            follower.start(follow, PROPAGATION_SECONDS + MARGIN_SECONDS)
        writer.start(write, PROPAGATION_SECONDS, WRITES_A_SECOND, MARKER_EVERY)
        markers: list[Marker] = writer.result()
        results: list[tuple[list[Use], float]] = [follower.result() for follower in followers]
    warm = [marker for marker in markers if marker.time >= markers[0].time + WARM_UP_SECONDS]
    return _Followed(
        [delay for uses, _ in results for delay in _delays_of(warm, uses)],
        [use.late for uses, _ in results for use in uses],
        [cpu_seconds for _, cpu_seconds in results],
        [len(markers) * MARKER_EVERY / PROPAGATION_SECONDS],
    )


def _delays_of(markers: Sequence[Marker], uses: Sequence[Use]) -> Iterator[float]:
    """Yield the seconds from each marker to its use, after a check that each decision has the outcome of its epoch."""
    epochs = [marker.epoch for marker in markers]
    for use in uses:
        latest = bisect_right(epochs, use.epoch) - 1
        if latest >= 0 and use.is_allowed != markers[latest].is_allowed:
            raise SystemExit("expected a decision by the policies of its epoch, got another one")
    for marker in markers:
        first = bisect_left(uses, marker.epoch, key=lambda use: use.epoch)
        if first == len(uses):
            raise SystemExit(f"expected each process to use a change within {MARGIN_SECONDS:g} s")
        yield max(0.0, uses[first].time - marker.time)


# --- what a writer pays --------------------------------------------------------------------------------------------


def _writers(database: str, url: str, *, is_notified: bool) -> Iterator[Row]:
    """Measure processes that write one change after the other, while others listen whose guards are not used."""
    ways = (AS_IT_IS, WITHOUT_NOTIFICATIONS, WITHOUT_FEED) if is_notified else (AS_IT_IS, WITHOUT_FEED)
    with _started(url, FOLLOWERS), _started(url, max(WRITERS)) as writers:
        for count in WRITERS:
            rates: dict[str, list[float]] = {way: [] for way in ways}
            cpu_times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(WRITER_ROUNDS):
                for way in ways:
                    results: list[Writes] = _run(writers[:count], write_steadily, WRITER_SECONDS, way)
                    written = sum(writes.count for writes in results)
                    rates[way].append(sum(writes.count / writes.seconds for writes in results))
                    cpu_times[way].append(sum(writes.cpu_seconds for writes in results) / written * 1e6)
            name = f"{database}, {count} writing"
            yield from _compared(f"{name}: writes a second", "1/s", rates, ways[1:])
            yield from _compared(f"{name}: CPU time of a write", "us", cpu_times, ways[1:])


# --- what decisions pay --------------------------------------------------------------------------------------------


def _loads(database: str, url: str, pace: float) -> Iterator[Row]:
    """Measure a process that decides about its callers in turn, while another one makes unrelated changes."""
    cpu_times: dict[float, list[float]] = {rate: [] for rate in WRITE_RATES}
    hits: dict[float, list[float]] = {rate: [] for rate in WRITE_RATES}
    with _started(url, 2) as (writer, decider):
        for _ in range(LOAD_ROUNDS):
            for rate in WRITE_RATES:
                load = _load(writer, decider, rate, pace)
                cpu_times[rate].append(load.cpu_seconds / load.decisions * 1e6)
                hits[rate].append(load.hits / (load.hits + load.misses) * 100)
    without = WRITE_RATES[0]
    name = f"{pace:,.0f} decisions a second" if pace else "as many decisions as possible"
    for rate in WRITE_RATES[1:]:
        what = f"{database}, {rate:g} unrelated changes a second, {name}"
        yield from _compared(
            f"{what}: CPU time of a decision", "us", {what: cpu_times[rate], WITHOUT: cpu_times[without]}, [WITHOUT]
        )
        yield Row(f"{what}: cache hits", median(hits[rate]), "%", median(hits[rate]) / median(hits[without]), WITHOUT)


def _load(writer: Process, decider: Process, rate: float, pace: float) -> Load:
    if rate:
        writer.start(write, LOAD_SECONDS, rate)
    decider.start(decide, LOAD_SECONDS, pace)
    load: Load = decider.result()
    if rate:
        writer.result()
    return load

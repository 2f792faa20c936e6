"""The share of each package in the time of a guarded request, from stack samples at every millisecond of CPU time.

A sample counts for the innermost package of iam_guard on the stack, or for Starlette if that is further in; so calls of
the standard library or another library count for the package that makes them.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType

import starlette

import iam_guard
from benchmarks.apps import behind, make_guard, signed
from benchmarks.guarded import HOST, REQUESTS, calls_of, scope_of
from benchmarks.row import Row

HOUSE = Path(iam_guard.__file__).resolve().parent
STARLETTE = Path(starlette.__file__).resolve().parent
SECONDS_BETWEEN_LOOKS = 0.001
REQUESTS_IN_ALL = 40_000
OUTSIDE = "Starlette, the event loop, the endpoint"
WHOLE = "the whole request"


def measure() -> Iterator[Row]:
    """Sample a request signed with SigV4, whose audit record is serialized and discarded."""
    looks: Counter[str] = Counter()
    loop = asyncio.new_event_loop()
    with closing(loop), closing(make_guard()) as guard:
        call = calls_of(loop, behind(guard), [scope_of(signed(HOST))])
        call()
        signal.signal(signal.SIGPROF, lambda _, frame: looks.update([_room(frame)]))
        signal.setitimer(signal.ITIMER_PROF, SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_LOOKS)
        for _ in range(REQUESTS_IN_ALL // REQUESTS):
            call()
        signal.setitimer(signal.ITIMER_PROF, 0)
    for room, count in looks.most_common():
        share = count / looks.total()
        yield Row(room, share * 100, "%", share, WHOLE)


def _room(frame: FrameType | None) -> str:
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if HOUSE in path.parents:
            return path.relative_to(HOUSE).parts[0].removesuffix(".py")
        if STARLETTE in path.parents:
            return OUTSIDE
        frame = frame.f_back
    return OUTSIDE

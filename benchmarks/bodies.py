"""The time that a guard adds to a request of FastAPI with a JSON body of 1 KiB, which pydantic parses and validates.

Like `guarded`: no server, CPU time, less that of the application alone. Our caller signs the body, so it is hashed; the
trail records each request. The peers verify a token, ask casbin, or do both, as an application that has neither alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

from benchmarks.apps import guard_with_trail
from benchmarks.guarded import added_rows, has_fastapi, on_fastapi, seconds_added
from benchmarks.row import Row, Skipped


def measure() -> Iterator[Row]:
    """Measure decorator and dependency, beside the application alone and the peers."""
    if not has_fastapi():
        raise Skipped("FastAPI or its adapter is not installed")
    from benchmarks.fastapi_apps import BODY  # noqa: PLC0415  only if it is installed

    with closing(asyncio.new_event_loop()) as loop, closing(guard_with_trail()) as guard:
        ours, peers = on_fastapi(guard, BODY.model_dump_json().encode("ascii"))
        added, _ = seconds_added(loop, ours | peers)
    yield from added_rows(added, peers)

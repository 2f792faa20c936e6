"""The audit trail of the commands that change a store: what they did is noted where the setting `audit` says.

Each such command writes to the trail like any process, in a shard of its own. Standard output is the command's own: for
`-`, records go to standard error.
"""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from iam_guard.model.result import CallResult, ChangeRecorder, NoChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.engine import database_file
from iam_guard.store.seed import Changes

MAX_LETTERS: Final = 8192
"""Letters of the changes of a seed that are told one by one; of the rest, the number is."""


@contextmanager
def recording_changes(store: str, settings: Settings) -> Iterator[ChangeRecorder]:
    """Return who notes what is done to a store. Raises `ConfigurationError` where the trail cannot be opened."""
    if not settings.audit:
        yield NoChangeRecorder()
        return
    sinks, assemble = import_module("iam_guard.audit.sinks"), import_module("iam_guard.factory")
    log = sinks.StreamSink(sys.stderr.buffer) if settings.audit == "-" else None
    trail = assemble.audit_trail_of(settings, database=database_file(store), log=log)
    try:
        yield change_recorder_of(trail)
    finally:
        trail.close()


def change_recorder_of(trail: object) -> ChangeRecorder:
    """Let a trail note what the operator does."""
    found: ChangeRecorder = import_module("iam_guard.audit.change_recorder").TrailChangeRecorder(
        trail, operator=_operator()
    )
    return found


def seed_applied(changes: Changes, file: object, *, prune: bool = False) -> CallResult:
    """Return what applying a seed changed."""
    parameters = {"file": str(file), "prune": prune}
    elements = _told(changes.lines)
    return CallResult(action="iam-guard:ApplySeed", parameters=parameters, elements=elements, epoch=changes.epoch)


def _told(lines: Sequence[str]) -> dict[str, object]:
    kept: list[str] = []
    room = MAX_LETTERS
    for line in lines:
        room -= len(line) + 3
        if room < 0:
            return {"changes": kept, "omittedChanges": len(lines) - len(kept)}
        kept.append(line)
    return {"changes": kept}


def _operator() -> str:
    """Name the user of the machine who gave the command."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

"""The audit trail of commands that change a store, written where the setting `audit` says.

Each command writes a shard of its own. Since standard output belongs to the command, `-` means standard error here.
"""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module

from iam_guard.model.result import CallResult, ChangeRecorder, NoChangeRecorder
from iam_guard.settings import Settings, load_settings
from iam_guard.store.accounts.pseudonym_salts import StoredSalts, is_writable
from iam_guard.store.location import database_file
from iam_guard.store.opening import open_store
from iam_guard.store.protocol import SourceStore
from iam_guard.store.seed import Changes
from iam_guard.store.seed.apply import listed_changes


@contextmanager
def recording_changes(store: str, settings: Settings, opened: SourceStore | None = None) -> Iterator[ChangeRecorder]:
    """Yield the recorder of changes to a store; `opened` has the salts of the trail's pseudonyms.

    Raises `ConfigurationError` if the trail can't be opened.
    """
    if not settings.audit:
        yield NoChangeRecorder()
        return
    sinks, factory = import_module("iam_guard.audit.sinks"), import_module("iam_guard.factory")
    log = sinks.StreamSink(sys.stderr.buffer) if settings.audit == "-" else None
    salts = StoredSalts(opened) if opened is not None and is_writable(opened) else None
    trail = factory.audit_trail_of(settings, database=database_file(store), log=log, salts=salts)
    try:
        yield change_recorder_of(trail)
    finally:
        trail.close()


@contextmanager
def recorded_store(store: str) -> Iterator[tuple[SourceStore, ChangeRecorder]]:
    """Yield an open store, and the recorder of its changes."""
    settings = load_settings()
    with (
        closing(open_store(store, settings)) as opened,
        recording_changes(store, settings, opened) as change_recorder,
    ):
        yield opened, change_recorder


def change_recorder_of(trail: object) -> ChangeRecorder:
    """Return a recorder that attributes changes to the operator of this machine."""
    recorder: ChangeRecorder = import_module("iam_guard.audit.change_recorder").TrailChangeRecorder(
        trail, operator=operator_name()
    )
    return recorder


def seed_applied(changes: Changes, file: object, *, prune: bool = False) -> CallResult:
    """Return the result of applying a seed, for the audit record."""
    parameters = {"file": str(file), "prune": prune}
    elements = listed_changes(changes.lines)
    return CallResult(action="iam-guard:ApplySeed", parameters=parameters, elements=elements, epoch=changes.epoch)


def operator_name() -> str:
    """Return the user and host that run the command."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

"""How far a group of consumers has come in each shard, kept in one file that is replaced whole.

    {"format": 1, "shards": {"docs-web1-4711-…": {"next": 1204, "size": 2000, "root": "<hex>"}}}

`next` is the sequence of the first record that is not acknowledged. `size` and `root` are those of the last checkpoint
that was verified in the shard: whoever reads on demands that the shard has grown out of it, so a trail that is cut or
written anew between two runs is found. A shard that the file does not know is read from its beginning.

One process at a time works for a group: it holds a lock as long as it lives. The system hands the lock of a process to
what it forks off, so a child lets go of it at once: else a group would be taken for as long as a child lives that knows
nothing of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iam_guard.audit.append_file import replace_file
from iam_guard.audit.verify.merkle import HASH_BYTES
from iam_guard.errors import ConfigurationError, GroupIsTaken, InvalidInput

FOLDER = ".consumers"
"""Beside the shards of a trail; no shard has such a name."""

FORMAT = 1
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last checkpoint of a shard that was verified."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a group has come in a shard."""

    next: int
    anchor: Anchor | None = None
    is_ended: bool = False
    """Whether all of it is acknowledged and nothing comes any more."""


class GroupOffsets:
    """The offsets of one group; without a `folder` they are kept in memory only."""

    def __init__(self, folder: Path | None, group: str) -> None:
        """Read what is kept; raise `GroupIsTaken` where another process works for the group."""
        if not _GROUP.fullmatch(group):
            raise InvalidInput("expected a name of letters, digits, `_`, `.` and `-` for the group", place="group")
        self._path = None if folder is None else folder / f"{group}.json"
        self._lock = -1
        self._is_left = False
        self._shards: dict[str, Progress] = {}
        self.is_new = True
        """Whether nothing is kept of this group yet."""
        if self._path is not None:
            self._open(self._path)

    def get(self, shard: str) -> Progress | None:
        return self._shards.get(shard)

    @property
    def shards(self) -> Mapping[str, Progress]:
        return self._shards

    def put(self, changed: Mapping[str, Progress]) -> None:
        """Keep how far the group has come; when this returns, the disk has it."""
        if self._is_left:
            raise ConfigurationError("expected a subscription that was made after the fork", place=str(self._path))
        if not self.is_new and all(self._shards.get(shard) == progress for shard, progress in changed.items()):
            return
        self._shards.update(changed)
        self.is_new = False
        if self._path is not None:
            replace_file(self._path, json.dumps(_as_dict(self._shards), indent=1).encode("ascii") + b"\n")

    def close(self) -> None:
        """Let another process work for the group."""
        if self._lock >= 0:
            descriptor, self._lock = self._lock, -1
            os.close(descriptor)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _FORKING:
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _LOCKED.add(self)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._shards = _read(path)
            self.is_new = not path.exists()
        except BlockingIOError:
            self.close()
            raise GroupIsTaken("another process works for the group", place=str(path)) from None
        except BaseException:
            self.close()
            raise

    def _leave_in_child(self) -> None:
        """Let go of the lock, which is the parent's; nothing more can be kept here."""
        self._is_left = self._lock >= 0
        self.close()


_FORKING = threading.Lock()
"""Held while a lock is opened and while a process forks, so that no child has one that it does not know of."""

_LOCKED: weakref.WeakSet[GroupOffsets] = weakref.WeakSet()


def _begin_in_child() -> None:
    _FORKING.release()
    for offsets in list(_LOCKED):
        offsets._leave_in_child()


os.register_at_fork(before=_FORKING.acquire, after_in_parent=_FORKING.release, after_in_child=_begin_in_child)


def read_groups(folder: Path) -> dict[str, Mapping[str, Progress] | None]:
    """Return how far each group has come that keeps its offsets in a folder; None for one whose file cannot be read."""
    found: dict[str, Mapping[str, Progress] | None] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = _read(path)
        except (InvalidInput, OSError):
            found[path.stem] = None
    return found


def _as_dict(shards: Mapping[str, Progress]) -> dict[str, Any]:
    rows: dict[str, dict[str, object]] = {}
    for shard, progress in shards.items():
        rows[shard] = {"next": progress.next}
        if progress.anchor is not None:
            rows[shard] |= {"size": progress.anchor.size, "root": progress.anchor.root.hex()}
        if progress.is_ended:
            rows[shard]["ended"] = True
    return {"format": FORMAT, "shards": rows}


def _read(path: Path) -> dict[str, Progress]:
    """Read the file; one that cannot be read is an error, for to begin anew would be to forget what was seen."""
    try:
        kept = json.loads(path.read_bytes())
        if kept["format"] != FORMAT:
            raise ValueError
        return {str(shard): _progress(row) for shard, row in kept["shards"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput("expected the offsets of a group of consumers", place=str(path)) from None


def _progress(row: Mapping[str, Any]) -> Progress:
    numbers = [row["next"], *([row["size"]] if "size" in row else [])]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError
    is_ended = row.get("ended", False) is True
    if "size" not in row:
        return Progress(row["next"], is_ended=is_ended)
    root = bytes.fromhex(row["root"])
    if len(root) != HASH_BYTES:
        raise ValueError
    return Progress(row["next"], Anchor(row["size"], root), is_ended)

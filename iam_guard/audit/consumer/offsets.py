"""The offsets of a consumer group, one per shard, in a file that is replaced atomically.

    {"format": 1, "shards": {"docs-web1-4711-…": {"next": 1204, "size": 2000, "root": "<hex>"}}}

`next` is the sequence of the first unacknowledged record. `size` and `root` are those of the last verified checkpoint
of the shard: the shard must be consistent with it on the next read, which reveals a trail that was truncated or
rewritten between two runs. A shard that is not in the file is read from its beginning.

One process at a time consumes for a group: it holds a file lock as long as it lives. A forked child inherits the lock
and closes it at once; else the group would stay locked as long as the child lives.
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
from iam_guard.audit.verify.checkpoint import Checkpoint
from iam_guard.audit.verify.merkle import HASH_BYTES
from iam_guard.errors import ConfigurationError, GroupIsTaken, InvalidInput

FOLDER = ".consumers"
"""The folder next to the shards of a trail; no shard has such a name."""

FORMAT = 1
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Progress:
    """The offset of a group in a shard."""

    next: int
    anchor: Checkpoint | None = None
    """The last checkpoint of the shard that was verified."""
    is_ended: bool = False
    """Whether the shard has ended and all of it is acknowledged."""


class GroupOffsets:
    """The offsets of one group; in memory only if `folder` is None."""

    def __init__(self, folder: Path | None, group: str) -> None:
        """Lock the group and load its offsets; raise `GroupIsTaken` if another process has locked it."""
        if not _GROUP.fullmatch(group):
            raise InvalidInput("expected a group name of letters, digits, `_`, `.` and `-`", place="group")
        self._path = None if folder is None else folder / f"{group}.json"
        self._lock = -1
        self._is_inherited = False
        self.shards: dict[str, Progress] = {}
        self.is_new = True
        """Whether no offsets of this group are stored yet."""
        if self._path is not None:
            self._open(self._path)

    def put(self, changed: Mapping[str, Progress]) -> None:
        """Store changed offsets; they are synced to disk when this returns."""
        if self._is_inherited:
            raise ConfigurationError("expected a subscription created after the fork", place=str(self._path))
        if not self.is_new and all(self.shards.get(shard) == progress for shard, progress in changed.items()):
            return
        self.shards.update(changed)
        self.is_new = False
        if self._path is not None:
            replace_file(self._path, json.dumps(_as_dict(self.shards), indent=1).encode("ascii") + b"\n")

    def close(self) -> None:
        """Release the lock of the group."""
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
            self.shards = _read(path)
            self.is_new = not path.exists()
        except BlockingIOError:
            self.close()
            raise GroupIsTaken("another process consumes for this group", place=str(path)) from None
        except BaseException:
            self.close()
            raise

    def _begin_in_child(self) -> None:
        """Close the parent's lock; offsets can't be stored in the child."""
        self._is_inherited = self._lock >= 0
        self.close()


_FORKING = threading.Lock()
"""Held while a lock file is opened and while a process forks, so that a child never inherits an unregistered one."""

_LOCKED: weakref.WeakSet[GroupOffsets] = weakref.WeakSet()


def _begin_in_child() -> None:
    _FORKING.release()
    for offsets in list(_LOCKED):
        offsets._begin_in_child()


os.register_at_fork(before=_FORKING.acquire, after_in_parent=_FORKING.release, after_in_child=_begin_in_child)


Groups = Mapping[str, Mapping[str, Progress] | None]
"""The offsets of each group; None for a group whose file can't be read."""


def read_groups(folder: Path) -> Groups:
    """Return the offsets of each group with a file in the folder."""
    groups: dict[str, Mapping[str, Progress] | None] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            groups[path.stem] = _read(path)
        except (InvalidInput, OSError):
            groups[path.stem] = None
    return groups


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
    """Read an offsets file; a malformed one raises, because starting over would lose the verified checkpoints."""
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError
        return {str(shard): _progress(str(shard), row) for shard, row in content["shards"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput("expected the offsets of a consumer group", place=str(path)) from None


def _progress(shard: str, row: Mapping[str, Any]) -> Progress:
    numbers = [row["next"], *([row["size"]] if "size" in row else [])]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError
    is_ended = row.get("ended", False) is True
    if "size" not in row:
        return Progress(row["next"], is_ended=is_ended)
    root = bytes.fromhex(row["root"])
    if len(root) != HASH_BYTES:
        raise ValueError
    return Progress(row["next"], Checkpoint(f"/{shard}", row["size"], root), is_ended)

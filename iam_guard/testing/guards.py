"""In-memory guards on a seed for tests, reused for the same seed, services and settings.

Opening one takes tens of milliseconds, and a guard on a seed can be shared, since it only follows its file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import iam_guard
from iam_guard.errors import InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.web.service import Service


class Guards:
    """The guards of one test run. Seeds that are mappings are written to `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[object, Guard] = {}

    def get(
        self, seed: str | Path | Mapping[str, Any], services: Iterable[Service], settings: Mapping[str, Any]
    ) -> Guard:
        """Return a guard on a seed. Nothing is audited unless the settings enable it."""
        declared, path = tuple(services), self._file(seed)
        key = path, declared, json.dumps(settings, sort_keys=True, default=repr)
        if key not in self._open:
            self._open[key] = iam_guard.open_guard(path, services=declared, **{"audit": "", **settings})
        return self._open[key]

    def close(self) -> None:
        """Close all guards."""
        for guard in self._open.values():
            guard.close()
        self._open.clear()

    def _file(self, seed: str | Path | Mapping[str, Any]) -> Path:
        if not isinstance(seed, Mapping):
            return Path(seed)
        try:
            text = json.dumps(seed, indent=1, ensure_ascii=False)
        except TypeError as error:
            raise InvalidInput(f"expected a seed of plain values: {error}") from None
        path = self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.yaml"
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        return path

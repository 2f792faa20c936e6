"""Where the policies of a seed are in its files, by their content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from iam_guard.analysis.lint.sources import PolicySource, read_sources
from iam_guard.errors import IamGuardError
from iam_guard.model.decision import PolicyRef
from iam_guard.policy.json_tree import Path as Steps
from iam_guard.policy.parser import parse
from iam_guard.store.protocol import StoredPolicy


@dataclass(frozen=True)
class FilePlace:
    """A place in a file; `line` and `column` count from 1."""

    file: str
    line: int = 1
    column: int = 1


class PolicyPlaces:
    """The places of the policies of a seed; none for a store that is no file."""

    def __init__(self, seed: Path | None) -> None:
        self._sources: dict[str, tuple[str, PolicySource]] = {}
        for linted in [] if seed is None else read_sources(seed):
            for source in linted.policies:
                digest = _digest(source.text, source)
                if digest is not None:
                    self._sources.setdefault(digest, (linted.name, source))

    def of(self, policies: Iterable[StoredPolicy], ref: PolicyRef | None, statement: int | None) -> FilePlace | None:
        """Return the place of a statement of the policy that a decision names; None if it is in no file."""
        found = next((policy for policy in policies if policy.ref == ref), None)
        digest = None if found is None else _digest(found.text, found.ref)
        if digest is None or digest not in self._sources:
            return None
        file, source = self._sources[digest]
        paths: list[Steps] = [("Statement", statement or 0), ("Statement",), ()]
        positions = (source.locate(path, False) for path in paths)
        position = next((position for position in positions if position is not None), None)
        return FilePlace(file) if position is None else FilePlace(file, position.line, position.column + 1)


def _digest(text: str, of: PolicySource | PolicyRef) -> str | None:
    try:
        return parse(text, of.type).digest
    except IamGuardError:
        return None

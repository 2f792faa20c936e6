"""What an application declares about itself: its services and their actions (AWS: the service authorization reference).

Must not live here: the decorators that fill it (`enforcement/service`) and the pages made from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from iam_guard.errors import ConfigurationError

_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]*")
_ACTION = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action and the resources it was declared with, as written: templates, or the name of a loader."""

    service: str
    name: str
    resources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.service}:{self.name}"


@dataclass(slots=True)
class Catalogue:
    """The actions of one service prefix. Grows while the application's modules are imported, then stays."""

    service: str
    _rows: dict[str, ActionRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _SERVICE.fullmatch(self.service):
            message = f"expected a service prefix of lower-case letters, digits and `-`, got `{self.service}`"
            raise ConfigurationError(message, place="Service")

    def declare(self, name: str, resource: str) -> ActionRow:
        """Note that an action exists and may be done on `resource`; names differ by more than case (rule M-3)."""
        if not _ACTION.fullmatch(name):
            message = f"expected the name of an action, letters and digits without wildcards, got `{name}`"
            raise ConfigurationError(message, place=self.service)
        known = self._rows.get(name.lower())
        if known is not None and known.name != name:
            message = f"action `{name}` differs from `{known.name}` by letter case only"
            raise ConfigurationError(message, place=self.service)
        resources = known.resources if known else ()
        row = ActionRow(self.service, name, resources if resource in resources else (*resources, resource))
        self._rows[name.lower()] = row
        return row

    def __iter__(self) -> Iterator[ActionRow]:
        return iter(sorted(self._rows.values(), key=lambda row: row.name))

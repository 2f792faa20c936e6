"""The condition that limits a list query to the rows its caller may access, for the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from iam_guard.model.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """A filtered list. `action` is `prefix:name`, `resource_type` the service and name of the type (`docs document`).

    `digest` is the SHA-256 of the condition, in hexadecimal, empty for a list that was decided in memory; the values in
    the condition are not here. `outcome` is whether every row is allowed, no row, or it depends on the row. `rows` is
    the number of returned rows, None if unknown. `epoch` and `stale` are those of the policies. If `is_superset`, each
    row is decided again in memory.
    """

    principal: Principal
    action: str
    resource_type: str
    digest: str
    outcome: Literal["all", "none", "some"]
    rows: int | None = None
    epoch: int | None = None
    stale: bool = False
    is_superset: bool = False

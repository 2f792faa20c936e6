"""The actions of the served AWS services, from the names of their operations."""

from __future__ import annotations

from typing import Final

from iam_guard.api.protocol.dispatch import service_of
from iam_guard.model.own_services import SERVED

OWN_ACTIONS: Final = frozenset(f"{prefix}:{name}" for prefix in SERVED for name in service_of(prefix).operations)

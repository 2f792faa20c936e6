"""The actions of the served AWS services, from the names of their operations."""

from __future__ import annotations

from typing import Final

from iam_guard.api.iam.operations import IAM
from iam_guard.api.sts.operations import STS

OWN_ACTIONS: Final = frozenset(f"{service.prefix}:{name}" for service in (IAM, STS) for name in service.operations)

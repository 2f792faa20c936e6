"""The actions of the services that we are ourselves, by the names of their operations."""

from __future__ import annotations

from typing import Final

from iam_guard.api.iam.operations import IAM
from iam_guard.api.sts.operations import STS

OWN_ACTIONS: Final = frozenset(f"{each.prefix}:{name}" for each in (IAM, STS) for name in each.operations)

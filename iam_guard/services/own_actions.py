"""The actions of the services that we are ourselves, by the names of their operations.

Must not live here: the operations (`iam`, `sts`).
"""

from __future__ import annotations

from typing import Final

from iam_guard.services.iam.operations import IAM
from iam_guard.services.sts.operations import STS

OWN_ACTIONS: Final = frozenset(f"{each.prefix}:{name}" for each in (IAM, STS) for name in each.operations)

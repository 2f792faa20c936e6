"""What a store that remembers has at hand: it gives an answer at once, or none.

For whoever must not wait, as an event loop must not: the question is put here first, and where the store behind would
have to be asked, `CacheMiss` says so before anything has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.store.cache_regions import CacheRegion
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord


class CacheOnlyStore:
    """The answers that are in memory; every one of these raises `CacheMiss` where there is none."""

    def __init__(
        self, epoch: Callable[[], int], recall: Callable[[CacheRegion, Hashable], Any], rooms: Mapping[str, CacheRegion]
    ) -> None:
        self.epoch = epoch
        self.access_key: Callable[[str], AccessKey | None] = partial(recall, rooms["access_key"])
        self.api_key: Callable[[str], ApiKey | None] = partial(recall, rooms["api_key"])
        self.account: Callable[[str], AccountRecord] = partial(recall, rooms["account"])
        self.resource: Callable[[str], ResourceRecord] = partial(recall, rooms["resource"])
        self.certificate_trust: Callable[[], CertificateTrust] = partial(recall, rooms["certificate_trust"], "")
        self._principal: Callable[[Principal], PrincipalRecord] = partial(recall, rooms["principal"])

    def principal(self, principal: Principal) -> PrincipalRecord:
        return self._principal(principal).of(principal)

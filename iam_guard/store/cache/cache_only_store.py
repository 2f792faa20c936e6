"""The cached answers of a store, for callers that must not block, such as an event loop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

from iam_guard.model.credential import AccessKey, ApiKey, BrowserSession
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.store.cache.cache_regions import CacheRegion
from iam_guard.store.cache.change_feed import State
from iam_guard.store.policies.stored_arns import StoredArns
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord


class CacheOnlyStore:
    """Every method raises `CacheMiss`, before anything has happened, where the store would have to be queried."""

    def __init__(
        self,
        state: Callable[[], State],
        is_at: Callable[[State], bool],
        read: Callable[[CacheRegion, Hashable], Any],
        regions: Mapping[str, CacheRegion],
        arns: StoredArns,
    ) -> None:
        self.state = state
        self.is_at = is_at
        self.access_key: Callable[[str], AccessKey | None] = partial(read, regions["access_key"])
        self.api_key: Callable[[str], ApiKey | None] = partial(read, regions["api_key"])
        self.browser_session: Callable[[str], BrowserSession | None] = partial(read, regions["browser_session"])
        self.account: Callable[[str], AccountRecord] = partial(read, regions["account"])
        self._arns = arns
        self._resource: Callable[[str], ResourceRecord] = partial(read, regions["resource"])
        self.certificate_trust: Callable[[], CertificateTrust] = partial(read, regions["certificate_trust"], "")
        self._principal: Callable[[Principal], PrincipalRecord] = partial(read, regions["principal"])

    def resource(self, arn: str) -> ResourceRecord:
        """Return the resource's record, which is valid at what `state` returned before, unless that has changed."""
        arns = self._arns
        absent = arns.absent  # as in `absent_for`, without another call
        return absent if arn not in arns.may_have else self._resource(arn)

    def principal(self, principal: Principal) -> PrincipalRecord:
        return self._principal(principal).of(principal)

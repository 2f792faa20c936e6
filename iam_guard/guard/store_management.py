"""Change the store of a guard for the application and its operators, without a decision; changes are recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from iam_guard.administration.accounts import Accounts
from iam_guard.administration.api_keys import ApiKeys
from iam_guard.administration.sharing import ResourceSharing
from iam_guard.administration.user_import import UserImporting
from iam_guard.audit.change_recorder import TrailChangeRecorder
from iam_guard.audit.trail import Trail
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.guard.current_call import request_served_by
from iam_guard.model.arn import Location
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.request import ResourceLoader
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.certificate_trust import RevocationLists
from iam_guard.store.policies.resource_policies import ResourcePolicies


class StoreManagement(UserImporting):
    """The attributes and methods of `Guard` that change its store."""

    def __init__(
        self,
        store: CachedStore,
        trail: Trail,
        settings: Settings,
        catalogues: tuple[Catalogue, ...],
        resources: ResourceLoader | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self.trail, self.settings = store, trail, settings
        self.location = location = Location(settings.partition, settings.region)
        """The partition and the region of the resources that the guard decides about."""
        self.resources = resources.at(location) if isinstance(resources, MappedResources) else resources
        self.catalogues, self.clock = catalogues, clock
        """`clock` returns the present time, of decisions and of the calls of the AWS API alike."""
        self._change_recorder = recorder = TrailChangeRecorder(
            trail,
            catalogues[0].service if catalogues else "iam-guard",
            served=lambda: request_served_by(self),
        )
        self.accounts = Accounts(store, settings, recorder, lambda: self.clock())
        """The accounts, which are the application's tenants: create, list, rename, suspend, close, delete."""
        self.api_keys = ApiKeys(store, recorder)
        """The API keys that the store holds: create, list, update, rotate, delete."""
        self.resource_policies = ResourcePolicies(store, recorder, location)
        """The resource-based policies that the store holds for the application's resources: put, get, delete, list."""
        self.sharing = sharing = ResourceSharing(self.resource_policies, catalogues, self.resources, location=location)
        self.share, self.unshare, self.shares_of = sharing.share, sharing.unshare, sharing.shares_of
        self.revocation_lists = RevocationLists(store, recorder)
        """The revocation lists of trust anchors: put, list."""

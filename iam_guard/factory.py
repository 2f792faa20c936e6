"""The only file that knows every concrete part: store, cache, trail, guard, and how they wrap each other."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from iam_guard.audit.open_trail import open_log, open_rules, open_sampling
from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.sinks import Sink
from iam_guard.audit.trail import Trail
from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import Guard
from iam_guard.guard.loader import ResourceLoader
from iam_guard.guard.shadow_mode import ShadowMode
from iam_guard.settings import Settings, load
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.open_store import open_candidate, open_store, store_file
from iam_guard.store.policy_overlay import OverlaidStore
from iam_guard.store.protocol import SourceStore
from iam_guard.web.service import Service


def open_guard(
    store: str | os.PathLike[str],
    *,
    services: Iterable[Service] = (),
    resources: ResourceLoader | None = None,
    shadow: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Guard:
    """Open a guard on a database URL, or on a seed file (`iam.yaml`: in memory, following the file's edits).

    `resources` is for an application that keeps resource-based policies in its own tables: it gives a `Resource` for an
    ARN that is asked about by its text alone, or None. It is called for each decision, in the thread that decides.

    `shadow` is a candidate, a whole store like the first or a change file that is laid over it: each request is decided
    with it as well, and the record reports a different outcome; no answer changes (`iam_guard.guard.shadow_mode`).

    `settings` are those of `iam_guard.settings.Settings`; environment variables `IAM_GUARD_…` fill what is not given.
    Raises `ConfigurationError` for a wrong setting, `SeedError` for a bad seed file, `StoreUnavailable` when the
    database cannot be reached.
    """
    chosen, where, services = load(settings), os.fspath(store), _listed(services)
    with ExitStack() as undoing:
        opened = open_store(where, chosen)
        undoing.callback(opened.close)
        candidate = None if shadow is None else open_candidate(os.fspath(shadow), opened, chosen)
        if candidate is not None:
            undoing.callback(candidate.close)
        guard = guard_on(
            opened,
            chosen,
            services=services,
            resources=resources,
            database=store_file(where),
            candidate=candidate,
        )
        undoing.pop_all()
    return guard


def guard_on(
    opened: SourceStore,
    settings: Settings,
    *,
    services: Iterable[Service] = (),
    resources: ResourceLoader | None = None,
    database: Path | None = None,
    candidate: SourceStore | None = None,
) -> Guard:
    """Put a guard on a store that is open already, with an open candidate in its shadow.

    `database` is the store's file, beside which the audit key lies.
    """
    catalogues = [each.catalogue for each in _listed(services)]
    service = catalogues[0].service if catalogues else "iam-guard"
    trail = audit_trail_of(settings, service=service, database=database)
    store = CachedStore(opened, settings)
    shadow = None if candidate is None else _shadow(candidate, store, settings)
    return Guard(store, trail, settings, catalogues=catalogues, resources=resources, shadow=shadow)


def _listed(services: Iterable[Service]) -> Iterable[Service]:
    wrong: object = services
    if isinstance(services, Iterable):
        services = list(services)
        wrong = next((service for service in services if not isinstance(service, Service)), None)
    if wrong is not None:
        message = f'expected a list of services such as `Service("docs")`, got `{type(wrong).__name__}`'
        raise ConfigurationError(message, place="services")
    return services


def _shadow(candidate: SourceStore, store: CachedStore, settings: Settings) -> ShadowMode:
    laid_over = store if isinstance(candidate, OverlaidStore) else None
    cached, size = CachedStore(candidate, settings), settings.cache_size
    return ShadowMode(cached, size=size, actions=settings.shadow_actions, laid_over=laid_over)


def audit_trail_of(
    settings: Settings, *, service: str = "iam-guard", database: Path | None = None, log: Sink | None = None
) -> Trail:
    """Open the audit trail that the settings name; `log` takes records in the place of what they name."""
    rules, sampling = open_rules(settings, database), open_sampling(settings)
    opened = open_log(settings, database, service=service) if log is None else log
    return Trail(
        opened, region=settings.region, keys=ListedKeys(settings.audit_condition_keys), rules=rules, sampling=sampling
    )

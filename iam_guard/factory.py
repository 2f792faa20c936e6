"""Create a guard from its parts: store, caches, audit trail. The only module that composes concrete implementations."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from iam_guard.administration.sharing import ShareAnalysis
from iam_guard.audit.open_trail import open_audit_log, open_privacy_rules, open_sampling
from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.pseudonyms import SaltSource, pseudonym_key_file
from iam_guard.audit.sinks import Sink
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.signing_keys import create_audit_key
from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.guard.shadow_mode import ShadowMode
from iam_guard.model.catalogue import application_name
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import ResourceLoader
from iam_guard.policy.parser import parse
from iam_guard.settings import Settings, load_settings
from iam_guard.store.accounts.pseudonym_salts import CachedSalts, is_writable
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.location import store_file
from iam_guard.store.opening import open_candidate_store, open_store
from iam_guard.store.policies.policy_overlay import OverlaidStore
from iam_guard.store.protocol import SourceStore
from iam_guard.web.service import Service


def open_guard(
    store: str | os.PathLike[str],
    *,
    services: Iterable[Service] = (),
    resources: ResourceLoader | None = None,
    shadow: str | os.PathLike[str] | None = None,
    create: bool = False,
    **settings: Any,
) -> Guard:
    """Open a guard on a database URL, or on a seed file (`iam.yaml`: in memory, following the file's edits).

    `resources` is for applications with resource-based policies in their own tables: it returns the `Resource` of an
    ARN, or None. It is called for each decision, in the deciding thread.

    `shadow` is a candidate: a second store, or a change file on top of the first. Each request is also decided with it
    and the audit record reports a different outcome; the response does not change (`iam_guard.guard.shadow_mode`).

    `create` creates what `iam-guard init` does, unless it exists: the database and its keys. A database in memory
    (`sqlite://`) is always created.

    `settings` are those of `iam_guard.settings.Settings`; the defaults are environment variables `IAM_GUARD_…`.
    Raises `ConfigurationError` for an invalid setting and for a missing store, `SeedError` for an invalid seed file,
    `StoreUnavailable` if the database cannot be reached.
    """
    loaded, location, services = load_settings(settings), os.fspath(store), _checked(services)
    with ExitStack() as cleanup:
        opened = open_store(location, loaded, create=create)
        cleanup.callback(opened.close)
        if create:
            create_audit_key(loaded, store_file(location))
        candidate = None if shadow is None else open_candidate_store(os.fspath(shadow), opened, loaded)
        if candidate is not None:
            cleanup.callback(candidate.close)
        guard = guard_with_store(
            opened,
            loaded,
            services=services,
            resources=resources,
            database=store_file(location),
            candidate=candidate,
        )
        cleanup.pop_all()
    return guard


def guard_with_store(
    opened: SourceStore,
    settings: Settings,
    *,
    services: Iterable[Service] = (),
    resources: ResourceLoader | None = None,
    database: Path | None = None,
    candidate: SourceStore | None = None,
) -> Guard:
    """Create a guard on an open store, with an open candidate for shadow mode.

    `database` is the store's file; the audit key is in the same folder.
    """
    mailer = import_module("iam_guard.console.mail").Mailer(settings) if settings.smtp_url else None
    catalogues = [service.catalogue for service in _checked(services)]
    check_application_policy(settings)
    store = CachedStore(opened, settings)
    salts = CachedSalts(store) if is_writable(opened) else None  # a file has none
    trail = audit_trail_of(settings, service=application_name(catalogues), database=database, salts=salts)
    shadow = None if candidate is None else _shadow(candidate, store, settings)
    guard = Guard(store, trail, settings, catalogues=catalogues, resources=resources, shadow=shadow)
    guard.sharing.analysis = share_analysis
    guard.people.personal_data.key_file = pseudonym_key_file(settings, database)
    if mailer is not None:
        guard.people.notifications.add(mailer.notify)
    return guard


def check_application_policy(settings: Settings) -> None:
    """Raise `ConfigurationError` unless the setting is empty or an identity-based policy."""
    try:
        if settings.application_policy:
            parse(settings.application_policy, PolicyType.IDENTITY)
    except IamGuardError as error:
        raise ConfigurationError(f"expected an identity-based policy: {error}", place="application_policy") from error


def share_analysis() -> ShareAnalysis:
    """Return the checks of shares, which are loaded with the first share."""
    checks: ShareAnalysis = import_module("iam_guard.analysis.checks.share_checks").ShareChecks()
    return checks


def _checked(services: Iterable[Service]) -> Iterable[Service]:
    invalid: object = services
    if isinstance(services, Iterable):
        services = list(services)
        invalid = next((service for service in services if not isinstance(service, Service)), None)
    if invalid is not None:
        message = f'expected a list of services such as `Service("docs")`, got `{type(invalid).__name__}`'
        raise ConfigurationError(message, place="services")
    return services


def _shadow(candidate: SourceStore, store: CachedStore, settings: Settings) -> ShadowMode:
    laid_over = store if isinstance(candidate, OverlaidStore) else None
    cached, size = CachedStore(candidate, settings), settings.cache_size
    return ShadowMode(cached, size=size, actions=settings.shadow_actions, laid_over=laid_over)


def audit_trail_of(
    settings: Settings,
    *,
    service: str = "iam-guard",
    database: Path | None = None,
    log: Sink | None = None,
    salts: SaltSource | None = None,
) -> Trail:
    """Open the audit trail of the settings; `log` replaces their sink. `salts` are those of its pseudonyms."""
    rules, sampling = open_privacy_rules(settings, database, salts), open_sampling(settings)
    sink = open_audit_log(settings, database, service=service) if log is None else log
    return Trail(
        sink, region=settings.region, keys=ListedKeys(settings.audit_condition_keys), rules=rules, sampling=sampling
    )

"""Lists that show only what the caller may see: `Guard.filter` and what explains it.

A filter is cached for the caller's principal object until the store changes, unless it depends on the call or the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, NamedTuple, cast

from cachetools import LRUCache

from iam_guard.errors import ConfigurationError, NotFilterable, StoreUnavailable
from iam_guard.evaluation.partial.formula import Formula, written
from iam_guard.filters.attributes import Clause
from iam_guard.filters.dialects import DIALECTS, DialectCondition
from iam_guard.filters.rendering import Columns
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.filters.statement_filter import ListStatement, Source, checked_dialect, source_of
from iam_guard.forking import fork_safe_lock
from iam_guard.guard.list_formulas import ListFormula, ListQuestion
from iam_guard.guard.loader import Loader
from iam_guard.guard.request_context import KEYS_OF_CALLS
from iam_guard.model.arn import Location
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import State
from iam_guard.store.policies.resource_statements import has_statements, require_listable

_MAX_CACHED: Final = 4096
_TRIES: Final = 10


class Filter(NamedTuple):
    """The filter of one list. `condition` is None where every row is allowed; `outcome` is that of all dialects."""

    condition: Clause | None
    outcome: Literal["all", "none", "some"]
    digest: str


class _Cached(NamedTuple):
    principal: Principal
    state: State
    filter: Filter


class ListFilters:
    """Makes the filters of one guard, and caches them. Safe to share between threads."""

    def __init__(self, store: CachedStore, loader: Loader, settings: Settings) -> None:
        self._store = store
        self._loader = loader
        self.settings = settings
        self.location = Location(settings.partition, settings.region)
        self._lock = fork_safe_lock()
        self._cache: LRUCache[tuple[object, ...], _Cached] = LRUCache(_MAX_CACHED)
        self._listable: dict[ResourceMapping, tuple[State, bool]] = {}
        """Resource type -> the last state at which its resources had policies at most, and whether they had some."""

    def filter(self, question: ListQuestion, source: Source, now: datetime, dialect: str | None) -> Filter:
        """Return the filter of a list. Raises `NotFilterable` if no dialect, or not the given one, can have it."""
        dialects = DIALECTS if dialect is None else (checked_dialect(dialect),)
        key = (id(question.principal), question.action, question.resource_type, source, dialects, question.is_superset)
        state = self._store.state()
        with self._lock:
            cached = self._cache.get(key)
        is_cacheable = not question.context
        if is_cacheable and cached is not None and cached.principal is question.principal and cached.state is state:
            return cached.filter
        forms: dict[str, Clause | NotFilterable] = {}
        formulas: dict[str, Formula] = {}
        for name in dialects:
            columns = question.resource_type.columns(name, source)
            try:
                computation = self.compute(question, columns, now)
                formulas[name] = computation.formula
                forms[name] = columns.condition(computation.formula)
            except NotFilterable as refusal:
                forms[name] = refusal
                if len(forms) == len(dialects) and not formulas:
                    raise
            else:
                is_cacheable = is_cacheable and KEYS_OF_CALLS.isdisjoint(computation.keys_read)
        found = _filter_of(forms, formulas, dialect)
        if is_cacheable and self._store.is_at(state):
            with self._lock:
                self._cache[key] = _Cached(question.principal, state, found)
        return found

    def compute(self, question: ListQuestion, columns: Columns, now: datetime) -> ListFormula:
        """Compute the formula of a list with one state of the store. Raises `NotFilterable`, `StoreUnavailable`."""
        for _ in range(_TRIES):
            state = self._store.state()
            computation = ListFormula(question, columns, self.settings, now)
            has_policies = self._have_policies(state, question.resource_type)
            computation.compute(self._store, self._loader, has_policies=has_policies)
            if self._store.is_at(state):
                return computation
        raise StoreUnavailable("the store keeps changing while a list is filtered")

    def _have_policies(self, state: State, resource_type: ResourceMapping) -> bool:
        """Return whether resources of the service have policies in the store; read once for each state of it.

        Raises `NotFilterable` if the store has more of the resources than policies.
        """
        known = self._listable.get(resource_type)
        if known is None or known[0] is not state:
            prefix = f"arn:{self.settings.partition}:{resource_type.service}:"
            with self._store.read_transaction() as records:
                is_listed = partial(resource_type.can_be, location=self.location)
                require_listable(records, prefix, is_listed)
                known = state, has_statements(records, resource_type.service)
            self._listable[resource_type] = known
        return known[1]

    def state(self) -> State:
        """Return the present state of the store."""
        return self._store.state()

    @property
    def is_stale(self) -> bool:
        """Whether the store could not be polled the last time."""
        return self._store.stale


def _filter_of(forms: dict[str, Clause | NotFilterable], formulas: dict[str, Formula], dialect: str | None) -> Filter:
    values = list(formulas.values())
    digest = hashlib.sha256("\n".join(map(written, values)).encode()).hexdigest()
    if len(values) == len(forms) and all(value is True for value in values):
        return Filter(None, "all", digest)
    outcome: Literal["none", "some"] = "none" if all(value is False for value in values) else "some"
    condition = DialectCondition(forms) if dialect is None else forms[dialect]
    return Filter(cast(Clause, condition), outcome, digest)


def filtered(statement: ListStatement, found: Filter) -> ListStatement:
    """Return a statement with the condition of a filter."""
    return statement if found.condition is None else cast(ListStatement, statement.where(found.condition))


def listed_resource_type(statement: Any, resource_types: Iterable[ResourceMapping]) -> tuple[ResourceMapping, Source]:
    """Return the resource type whose model a statement selects. Raises `ConfigurationError` unless there is one."""
    found = []
    for resource_type in resource_types:
        try:
            found.append((resource_type, source_of(statement, resource_type)))
        except ConfigurationError:
            continue
    if len(found) != 1:
        names = ", ".join(f"`{resource_type.name}`" for resource_type, _ in found) or "none"
        message = f"expected a statement with the model of one resource type of the guard's services, got {names}"
        raise ConfigurationError(message, place="filter")
    return found[0]


def mapping_of(item: object, resource_types: Iterable[ResourceMapping]) -> ResourceMapping:
    """Return the resource type whose model a loaded object is an instance of. Raises `ConfigurationError`."""
    mapped = [mapping for mapping in resource_types if isinstance(mapping.model, type)]
    found = [mapping for mapping in mapped if isinstance(item, mapping.model)]
    if len(found) != 1:
        message = f"expected an instance of a resource type's model, got `{type(item).__name__}`"
        raise ConfigurationError(message, place="resource_type")
    return found[0]


def mapping_of_model(model: Any, resource_types: Iterable[ResourceMapping]) -> ResourceMapping:
    """Return the resource type of a model of Django, or of the model that it is a proxy of.

    Raises `ConfigurationError`.
    """
    for resource_type in resource_types:
        if resource_type.mapped.stores(model):
            return resource_type
    message = f"expected the model of a resource type of the guard's services, got `{model.__name__}`"
    raise ConfigurationError(message, place="resource_type")

"""Check declared models against their databases: what the ORM loads must be what lists compare.

`verify` is the function, `manage.py iam_guard_verify` the command. `check_models` is the system check of
`manage.py check --database`, for what the catalogue of the database says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.db import Error, connections, router, transaction
from django.db.models import Count, F, QuerySet, TextField, Window
from django.db.models.functions import RowNumber
from sqlalchemy import ColumnElement

from iam_guard import NotFilterable
from iam_guard.adapters import ListCondition, ResourceMapping, catalogues_of, mismatches
from iam_guard.errors import ConfigurationError
from iam_guard.filters import Mismatch
from iam_guard_django.lists import PermittedRows, name_of_column
from iam_guard_django.options import existing_guard, load_options
from iam_guard_django.resources import django_mapping, is_model
from iam_guard_django.views import inventory


def verify(*resource_types: ResourceMapping, using: str | None = None, sample: int = 1000) -> list[Mismatch]:
    """Return where declared resource types differ from the database; an empty list if all agree.

    Without `resource_types`, those of the services that guard the project's views. The catalogue must confirm what
    lists rely on: types, collations, NOT NULL, unique tags. Where it does, `sample` rows of each model, at equal
    distances in the order of their keys, are loaded and compared with what queries see; 0 checks the catalogue alone.
    Rows are read from the database that the routers name, or from `using`. Nothing is written. Raises
    `ConfigurationError` for a type without a model of Django, and a database that can't be filtered.
    """
    found: list[Mismatch] = []
    for resource_type in map(django_mapping, resource_types or declared_types()):
        alias = using or router.db_for_read(resource_type.model)
        found += mismatches(resource_type, _ModelRows(resource_type, alias), sample)
    return found


def declared_types() -> list[ResourceMapping]:
    """Return the resource types with models of Django, of the services that guard the project's views.

    Those of the setting's guard are included if it is open.
    """
    guard = existing_guard(load_options())
    catalogues = [*catalogues_of(inventory()), *(() if guard is None else guard.catalogues)]
    declared = {id(mapping): mapping for catalogue in catalogues for mapping in catalogue.mappings.values()}
    found = [mapping.django or mapping for mapping in declared.values() if isinstance(mapping, ResourceMapping)]
    return [mapping for mapping in found if is_model(mapping.model)]


def check_models(app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Report what the catalogue of each database says against the declared models that have a table in it.

    Django checks databases before it migrates them, too, so these are warnings.
    """
    try:
        declared = declared_types()
    except ConfigurationError:
        return []  # reported by the check of the views
    found: list[CheckMessage] = []
    for alias in databases or ():
        tables = {*connections[alias].introspection.table_names()} if declared else set()
        for resource_type in declared:
            model = resource_type.model
            if model._meta.db_table in tables and router.allow_migrate_model(alias, model):
                found += [checks.Warning(text, obj=model, id="iam_guard.W005") for text in _texts(resource_type, alias)]
    return found


def _texts(resource_type: ResourceMapping, alias: str) -> list[str]:
    try:
        return [*map(str, verify(resource_type, using=alias, sample=0))]
    except ConfigurationError as error:
        return [str(error)]


class _Value(PermittedRows):
    """The value of an SQL expression for a row, in the form that conditions of lists have."""

    conditional = False

    def __init__(self, expression: ColumnElement[Any], resource_type: ResourceMapping) -> None:
        condition = ListCondition(expression, resource_type)
        super().__init__(condition, F(name_of_column(resource_type.model)), is_total=False)
        self.output_field = TextField()


class _ModelRows:
    """The rows of a model in one database."""

    errors: tuple[type[Exception], ...] = (Error, NotFilterable)

    def __init__(self, resource_type: ResourceMapping, alias: str) -> None:
        self._resource_type, self._alias = resource_type, alias
        self._rows = QuerySet(resource_type.model, using=alias)  # of all rows: any manager may hide some
        self._key = [field.attname for field in resource_type.model._meta.pk_fields]
        self.dialect: str = connections[alias].vendor

    def execute(self, query: str, parameters: Mapping[str, str | None]) -> Iterable[Sequence[Any]]:
        with connections[self._alias].cursor() as cursor:
            cursor.execute(query, parameters)
            rows: Iterable[Sequence[Any]] = cursor.fetchall()
            return rows

    def savepoint(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = transaction.atomic(using=self._alias)
        return context

    def keys(self, sample: int) -> Iterable[Sequence[Any]]:
        total = self._rows.count()
        rows = self._rows.order_by(*self._key)
        if total > sample:
            place = Window(RowNumber(), order_by=self._key)
            rows = rows.annotate(iam_guard_rest=place * sample % total).filter(iam_guard_rest__lt=sample)
        keys: Sequence[Sequence[Any]] = [*rows.values_list(*self._key)]
        return keys

    def load(self, key: Sequence[Any]) -> Any:
        return self._row(key).first()

    def values(self, key: Sequence[Any], expressions: Sequence[ColumnElement[Any]]) -> Sequence[Any] | None:
        values = [_Value(expression, self._resource_type) for expression in expressions]
        found: Sequence[Any] | None = self._row(key).values_list(*values).first()
        return found

    def repeated(self, expression: ColumnElement[Any]) -> Sequence[Any] | None:
        value = _Value(expression, self._resource_type)
        values = self._rows.annotate(iam_guard_same=value).filter(iam_guard_same__isnull=False).order_by()
        counted = values.values("iam_guard_same").annotate(iam_guard_rows=Count("*")).filter(iam_guard_rows__gt=1)
        found: Sequence[Any] | None = next(iter(counted.values_list("iam_guard_same", "iam_guard_rows")[:1]), None)
        return found

    def _row(self, key: Sequence[Any]) -> Any:
        return self._rows.filter(**dict(zip(self._key, key, strict=True)))

"""Resources of Django's models by their ARN, for questions that have only that: `decide(arn)`, `iam-guard why`.

    def guard():
        return open_guard("iam.yaml", services=[docs], resources=ModelResources(documents))

The row is read by the ORM, with the same declaration as in lists, and in one query, or two if tags are in rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections, router
from django.db.models import F, Model, QuerySet

from iam_guard import Resource
from iam_guard.adapters import ListCondition, ResourceMapping
from iam_guard.errors import ConfigurationError
from iam_guard.filters import MappedResources
from iam_guard_django.lists import PermittedRows, name_of_column


class ModelResources(MappedResources):
    """A loader for `open_guard(resources=…)`: loads the row of a model that an ARN names, and returns its resource.

    The row is read from the database that the routers name, or from `using`. Rows that a manager hides are found, too:
    a decision about them needs their tags. Raises `ConfigurationError` for a type without a model of Django.
    """

    has_pages = False

    def __init__(self, *resource_types: ResourceMapping, using: str | None = None) -> None:
        self.resource_types = tuple(map(django_mapping, resource_types))
        self._using = using

    def _load(self, resource_type: ResourceMapping, arn: str) -> Sequence[Resource]:
        model = resource_type.model
        alias = self._using or router.db_for_read(model)
        connection = connections[alias]
        is_open = connection.connection is not None
        condition = ListCondition(self._condition(resource_type, arn, connection.vendor), resource_type)
        is_named = PermittedRows(condition, F(name_of_column(model)), is_total=False)
        try:
            return [*map(resource_type.resource_of, QuerySet(model, using=alias).filter(is_named)[:2])]
        finally:
            if not is_open:
                connection.close()  # in a thread of an asynchronous view, Django would never close it


def django_mapping(resource_type: ResourceMapping) -> ResourceMapping:
    """Return the mapping of a type to a model of Django. Raises `ConfigurationError` if it has none."""
    found = resource_type.django or resource_type
    if not is_model(found.model):
        name = getattr(found.model, "__name__", type(found.model).__name__)
        raise ConfigurationError(f"expected a model of Django, got `{name}`", place=str(resource_type))
    return found


def is_model(model: object) -> bool:
    """Return whether a resource type's model is one of Django."""
    return isinstance(model, type) and issubclass(model, Model)

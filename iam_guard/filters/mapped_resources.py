"""Resources of declared types by their ARN, for questions that have only that: front ends, `iam-guard why`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from iam_guard.errors import ConfigurationError
from iam_guard.filters.django_models import refuse_django_model
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.filters.statement_filter import checked_dialect
from iam_guard.model.request import Resource


class MappedResources:
    """A loader for `open_guard(resources=…)`: loads the row that an ARN names, and returns its resource.

    `sessions` opens a session, as `sessionmaker(engine)` does. A row that does not exist has no keys and no tags.
    Raises `ConfigurationError` for a type of Django, which `iam_guard_django.resources.ModelResources` loads.
    """

    def __init__(
        self, sessions: Callable[[], AbstractContextManager[Session]], *resource_types: ResourceMapping
    ) -> None:
        self._sessions = sessions
        self._resource_types = resource_types
        for resource_type in resource_types:
            refuse_django_model(resource_type.model, str(resource_type))

    def __call__(self, arn: str) -> Resource | None:
        """Return the resource of an ARN; None if no declared type has it, or no row is it.

        Raises `ConfigurationError` if several rows are it: the tags of one say nothing about the others.
        """
        found = [
            resource
            for resource_type in self._resource_types
            if resource_type.can_be(arn)
            for resource in self._load(resource_type, arn)
            if resource.arn == arn
        ]
        if len(found) > 1:
            raise ConfigurationError("expected a declaration whose parameters are a key, got several rows", place=arn)
        return found[0] if found else None

    def _load(self, resource_type: ResourceMapping, arn: str) -> Sequence[Resource]:
        """Return the resources of the rows with an ARN: two of them if there are several."""
        with self._sessions() as session:
            condition = self._condition(resource_type, arn, session.get_bind().dialect.name)
            rows = session.scalars(select(resource_type.model).where(condition).limit(2))
            return [resource_type.resource_of(item) for item in rows]

    def _condition(self, resource_type: ResourceMapping, arn: str, dialect: str) -> ColumnElement[bool]:
        """Return the condition of the rows with an ARN. Raises `ConfigurationError` for another dialect."""
        columns = resource_type.columns(checked_dialect(dialect), resource_type.table)
        return columns.condition(columns.simplified(resource_type.named(arn)))

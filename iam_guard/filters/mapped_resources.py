"""Resources of declared types by their ARN, for questions that have only that: front ends, `iam-guard why`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement, inspect, select
from sqlalchemy.orm import Session

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.evaluation.partial.text_matching import ACCOUNT
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.filters.statement_filter import checked_dialect
from iam_guard.model.arn import DEFAULT_LOCATION, UNLOCATED, Location, is_complete
from iam_guard.model.request import Resource


class MappedResources:
    """A loader for `open_guard(resources=…)`: loads the row that an ARN names, and returns its resource.

    `sessions` opens a session, as `sessionmaker(engine)` does. A row that does not exist has no keys and no tags.
    Several guards may have the same loader. Raises `ConfigurationError` for a type of Django, which
    `iam_guard_django.resources.ModelResources` loads.
    """

    _location: Location = DEFAULT_LOCATION

    has_pages = True
    """Whether `page` works, which searches need."""

    def __init__(
        self, sessions: Callable[[], AbstractContextManager[Session]], *resource_types: ResourceMapping
    ) -> None:
        self._sessions = sessions
        self.resource_types = resource_types
        for resource_type in resource_types:
            resource_type.require_sessions()

    def at(self, location: Location) -> Self:
        """Return the loader for a guard at a location: ARNs of another one have no row."""
        located = copy(self)
        located._location = location
        return located

    def __call__(self, arn: str) -> Resource | None:
        """Return the resource of an ARN; None if no declared type has it, or no row is it.

        Raises `ConfigurationError` if several rows are it: the tags of one say nothing about the others.
        """
        location = self._location if is_complete(arn) else UNLOCATED
        found = [
            resource
            for resource_type in self.resource_types
            if resource_type.can_be(arn, location)
            for loaded in self._load(resource_type, self._location.complete(arn))
            if (resource := loaded.at(location)).arn == arn
        ]
        if len(found) > 1:
            raise ConfigurationError("expected a declaration whose parameters are a key, got several rows", place=arn)
        return found[0] if found else None

    def page(
        self,
        resource_type: ResourceMapping,
        narrow: Callable[[Any], Any],
        *,
        account: str,
        after: str | int | None,
        limit: int,
    ) -> list[tuple[str | int, Resource]]:
        """Return resources of an account in the order of their primary key, after a key: each with its key.

        `narrow` adds the caller's conditions to the statement. Raises `InvalidInput` for a type whose primary key is
        not one column of integers, text or UUIDs.
        """
        key, kind = _primary_key(resource_type)
        statement = select(resource_type.model).order_by(key).limit(limit)
        if after is not None:
            statement = statement.where(key > (UUID(str(after)) if kind is UUID else after))
        if resource_type.account is not None and resource_type.account != account:
            return []
        with self._sessions() as session:
            columns = resource_type.columns(checked_dialect(session.get_bind().dialect.name), resource_type.table)
            owner = columns.attributes.get(ACCOUNT.name)
            if owner is not None:
                statement = statement.where(owner.expression == account)
            rows = session.scalars(narrow(statement)).all()
            name = inspect(resource_type.model).get_property_by_column(key).key
            values = [(getattr(row, name), resource_type.resource_of(row).at(self._location)) for row in rows]
        return [(str(value) if kind is UUID else value, resource) for value, resource in values]

    def _load(self, resource_type: ResourceMapping, arn: str) -> Sequence[Resource]:
        """Return the resources of the rows with an ARN: two of them if there are several."""
        with self._sessions() as session:
            condition = self._condition(resource_type, arn, session.get_bind().dialect.name)
            rows = session.scalars(select(resource_type.model).where(condition).limit(2))
            return [resource_type.resource_of(item) for item in rows]

    def _condition(self, resource_type: ResourceMapping, arn: str, dialect: str) -> ColumnElement[bool]:
        """Return the condition of the rows with an ARN. Raises `ConfigurationError` for another dialect."""
        columns = resource_type.columns(checked_dialect(dialect), resource_type.table)
        return columns.condition(columns.simplified(resource_type.named(arn, self._location)))


def _primary_key(resource_type: ResourceMapping) -> tuple[ColumnElement[Any], type]:
    """Return the column of the primary key, and the type of its values. Raises `InvalidInput` for any other key."""
    columns = inspect(resource_type.model).primary_key
    kind = columns[0].type.python_type if len(columns) == 1 else None
    if kind not in (int, str, UUID):
        message = f"expected a primary key of one column of integers, text or UUIDs for `{resource_type}`"
        raise InvalidInput(message, place="resource")
    return columns[0], kind

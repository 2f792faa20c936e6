"""The declaration of tags, in a JSON column or as `TagRows`: how a loaded object has them, and how a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Table, UniqueConstraint, inspect, select
from sqlalchemy import types as sqltypes
from sqlalchemy.orm import InstanceState, Mapper, object_session

from iam_guard.errors import ConfigurationError
from iam_guard.filters.columns import attribute_of, expression_of, read_attribute
from iam_guard.filters.tags import JsonTags, TagRows, TagTable
from iam_guard.filters.texts import TextAttribute


class TagSource(Protocol):
    """Where the tags of a resource type are."""

    def of(self, item: Any) -> Mapping[str, str]:
        """Return the tags of a loaded object; only texts are tags."""
        ...

    def columns(self, adapt: Callable[[Any], Any]) -> JsonTags | TagTable:
        """Return the tags in a query. `adapt` replaces the columns of the model by those of an alias."""
        ...


def tag_source(tags: Any, model: Any, table: Table, place: str) -> TagSource:
    """Return the source of declared tags. Raises `ConfigurationError`."""
    if isinstance(tags, TagRows):
        return TagRowsSource(tags, model, table, place)
    expression = expression_of(tags, place)
    if not isinstance(expression.type, sqltypes.JSON):
        raise ConfigurationError(f"expected a JSON column or `TagRows` as tags, got `{expression.type!r}`", place=place)
    return _JsonSource(JsonTags(expression), read_attribute(tags, place))


@dataclass(frozen=True)
class _JsonSource:
    tags: JsonTags
    read: Callable[[Any], Any]

    def of(self, item: Any) -> Mapping[str, str]:
        value = self.read(item)
        if not isinstance(value, Mapping):
            return {}
        return {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}

    def columns(self, adapt: Callable[[Any], Any]) -> JsonTags:
        return JsonTags(adapt(self.tags.column))


class TagRowsSource:
    """Tags in rows. A loaded object's are read through a plain relationship if there is one, else by a query."""

    def __init__(self, rows: TagRows, model: Any, table: Table, place: str) -> None:
        for name, source in (("key", rows.key), ("value", rows.value)):
            if not isinstance(attribute_of(name, source, "null", place), TextAttribute):
                raise ConfigurationError(f"expected text as the {name} of tags", place=place)
        self._place = place
        self._owner, self._key, self._value = (
            expression_of(source, place) for source in (rows.owner, rows.key, rows.value)
        )
        tag_table = getattr(self._owner, "table", None)
        if not isinstance(tag_table, Table) or {self._key.table, self._value.table} != {tag_table}:
            raise ConfigurationError("expected owner, key and value as columns of one table of tags", place=place)
        if not _is_unique(tag_table, {self._owner.name, self._key.name}):
            message = (
                f"expected a unique constraint on `{self._owner.name}` and `{self._key.name}` of the table of tags"
            )
            raise ConfigurationError(message, place=place)
        tag_mapper = inspect(rows.model, raiseerr=False)
        if isinstance(tag_mapper, Mapper) and tag_mapper.inherits is not None:
            message = "expected a model of tags that inherits from no other, whose rows a query would read too"
            raise ConfigurationError(message, place=place)
        self._table = tag_table
        self.resource = self._referenced(table)
        self._relationship = _plain_relationship(model, rows, self._owner, self.resource)
        self._read_key, self._read_value = read_attribute(rows.key, place), read_attribute(rows.value, place)
        self._read_resource = read_attribute(_attribute_for(model, self.resource), place)

    def _referenced(self, table: Table) -> Any:
        """Return the column of the model that the tags' owner refers to."""
        references = [key for key in self._owner.foreign_keys if key.column.table is table]
        if self._owner.foreign_keys and not references:
            raise ConfigurationError(f"expected an owner of tags that refers to `{table.name}`", place=self._place)
        referenced = [key.column for key in references if key.constraint and len(key.constraint.columns) == 1]
        keys = referenced or list(table.primary_key.columns)
        if len(keys) != 1:
            raise ConfigurationError("expected an owner of tags that refers to the model's key", place=self._place)
        return keys[0]

    def of(self, item: Any) -> Mapping[str, str]:
        if self._relationship is not None and inspect(item, raiseerr=False) is not None:
            rows = getattr(item, self._relationship)
            rows = rows.values() if isinstance(rows, Mapping) else rows
            pairs = [(self._read_key(row), self._read_value(row)) for row in rows]
        else:
            session = object_session(item) if isinstance(inspect(item, raiseerr=False), InstanceState) else None
            if session is None:
                raise ConfigurationError("expected an object in a session, to read its tags", place=self._place)
            owned = self._owner == self._read_resource(item)
            pairs = [(key, value) for key, value in session.execute(select(self._key, self._value).where(owned))]
        return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}

    def columns(self, adapt: Callable[[Any], Any]) -> TagTable:
        return TagTable(self._table, self._owner, self._key, self._value, adapt(self.resource))


def _is_unique(table: Table, names: set[str]) -> bool:
    """Return whether a constraint makes these columns unique."""
    constraints = [constraint.columns for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    indexes = [
        index.columns
        for index in table.indexes
        if index.unique and not index.dialect_options["postgresql"].get("where")
    ]
    found = [*constraints, *indexes, table.primary_key.columns]
    return any(len(columns) > 0 and {column.name for column in columns} <= names for columns in found)


def _plain_relationship(model: Any, rows: TagRows, owner: Any, resource: Any) -> str | None:
    """Return the name of the model's relationship to exactly these rows: without a condition of its own."""
    mapper = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        return None
    for relationship in mapper.relationships:
        is_these = relationship.mapper.class_ is rows.model and relationship.uselist and relationship.secondary is None
        is_loaded = relationship.lazy not in ("noload", "dynamic", "write_only")
        if is_these and is_loaded and relationship.primaryjoin.compare(resource == owner):
            return str(relationship.key)
    return None


def _attribute_for(model: Any, column: Any) -> Any:
    mapper = inspect(model, raiseerr=False)
    return column if not isinstance(mapper, Mapper) else getattr(model, mapper.get_property_by_column(column).key)

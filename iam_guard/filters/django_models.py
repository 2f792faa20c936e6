"""Models of Django as tables of SQLAlchemy, so that one renderer makes the conditions of both.

The columns are those of a model, by the type of its fields. Nothing here imports Django: what a field stores is read
from its class, and only classes of Django itself are known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import Column, ForeignKey, MetaData, Table, UniqueConstraint
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import quoted_name

from iam_guard.errors import ConfigurationError
from iam_guard.filters.columns import AddressColumn
from iam_guard.filters.tag_declaration import TagRowsSource, TagSource, tag_source
from iam_guard.filters.tags import JsonTags, TagRows, TagTable

_INTEGERS: Final = ("", "Big", "Small", "Positive", "PositiveBig", "PositiveSmall")
_TYPES: Final[Mapping[str, sqltypes.TypeEngine[Any]]] = {
    **dict.fromkeys(["CharField", "EmailField", "SlugField", "TextField", "URLField"], sqltypes.String()),
    **dict.fromkeys([f"{size}IntegerField" for size in _INTEGERS], sqltypes.BigInteger()),
    **dict.fromkeys(["AutoField", "BigAutoField", "SmallAutoField"], sqltypes.BigInteger()),
    "BooleanField": sqltypes.Boolean(),
    "DateTimeField": sqltypes.DateTime(timezone=True),
    "DecimalField": sqltypes.Numeric(),
    "FloatField": sqltypes.Float(53),
    "GenericIPAddressField": sqltypes.String(),
    "JSONField": sqltypes.JSON().with_variant(JSONB(), "postgresql"),
    "UUIDField": sqltypes.Uuid(),
}
"""Name of a field's class -> the type of its column. Values of other fields differ from what the database compares."""
_KEYS: Final = ("ForeignKey", "OneToOneField")
Columns: TypeAlias = "dict[str, Column[Any]]"


def is_django_model(model: Any) -> bool:
    """Return whether an object is a model of Django."""
    return isinstance(model, type) and hasattr(getattr(model, "_meta", None), "concrete_fields")


class DjangoModel:
    """A model of Django as a table. A declared column is the name of a field.

    `referenced` is the table that foreign keys to its columns refer to, that of another `DjangoModel`. Raises
    `ConfigurationError` for a model without a table of its own, or that is stored in several.
    """

    has_sessions = False

    def __init__(self, model: Any, place: str, referenced: Table | None = None) -> None:
        self._model, self._place = model, place
        self.table = _table(model, place, referenced)

    def column(self, declared: Any) -> Column[Any]:
        """Return the column of a field by its name. Raises `ConfigurationError` if the model has no such field."""
        fields = self._model._meta.concrete_fields
        known: Columns = {field.name: self.table.c[field.attname] for field in fields if field.column}
        found = known.get(declared, self.table.c.get(declared)) if isinstance(declared, str) else None
        if found is None:
            message = f"expected the name of a field of `{self._model.__name__}`, got `{declared!r}`"
            raise ConfigurationError(message, place=self._place)
        if isinstance(found.type, sqltypes.NullType):
            field = self._model._meta.get_field(declared)
            message = (
                f"expected a field of Django without a collation or decoder of its own, for text, a number, a boolean, "
                f"a datetime, a UUID, an address or JSON, got `{declared}`, a `{type(field).__name__}`"
            )
            raise ConfigurationError(message, place=self._place)
        return found

    parameter = column

    def tags(self, declared: Any) -> TagSource:
        if isinstance(declared, TagRows):
            return _TagRows(declared, self._model, self.table, self._place)
        return tag_source(self.column(declared), self._model, self.table, self._place)

    def stores(self, model: Any) -> bool:
        return _stored_as(model) is _stored_as(self._model)


def _stored_as(model: Any) -> Any:
    """Return the model that a model of Django stores its rows as: another one if it is a proxy; None without one."""
    return getattr(getattr(model, "_meta", None), "concrete_model", None)


def _table(model: Any, place: str, referenced: Table | None) -> Table:
    """Return the table of a model; columns have the `attname` of their field as key."""
    options = _stored_as(model)._meta
    if options.abstract or options.swapped or len({field.model for field in options.concrete_fields}) != 1:
        raise ConfigurationError(f"expected a model of one table, got `{model.__name__}`", place=place)
    columns = {field.attname: _column(field, referenced) for field in options.concrete_fields if field.column}
    unique = [*options.unique_together]
    unique += [rule.fields for rule in options.constraints if _is_plain_and_unique(rule)]
    constraints = [
        UniqueConstraint(*(columns[options.get_field(name).attname] for name in names)) for names in unique if names
    ]
    return Table(quoted_name(options.db_table, quote=True), MetaData(), *columns.values(), *constraints)


def _is_plain_and_unique(rule: Any) -> bool:
    """Return whether a constraint holds for all rows at any time: without a condition, and not deferred."""
    is_unique = type(rule).__name__ == "UniqueConstraint"
    return is_unique and rule.condition is None and rule.deferrable is None and not rule.expressions


def _column(field: Any, referenced: Table | None) -> Column[Any]:
    target = field
    while type(target).__name__ in _KEYS and _is_of_django(target):
        target = target.target_field
    column_class = AddressColumn if type(target).__name__ == "GenericIPAddressField" else Column
    keys = []
    if target is not field and referenced is not None and field.related_model._meta.db_table == referenced.name:
        keys.append(ForeignKey(referenced.c[field.target_field.attname]))
    return column_class(
        quoted_name(field.column, quote=True),
        _type_of(target),
        *keys,
        key=field.attname,
        nullable=field.null,
        primary_key=field.primary_key,
        unique=field.unique or None,
    )


def _type_of(field: Any) -> sqltypes.TypeEngine[Any]:
    name = type(field).__name__
    is_known = _is_of_django(field) and getattr(field, "db_collation", None) is None
    is_known = is_known and getattr(field, "decoder", None) is None  # loads other values than the database compares
    return _TYPES.get(name, sqltypes.NULLTYPE) if is_known else sqltypes.NULLTYPE


def _is_of_django(field: Any) -> bool:
    return type(field).__module__.startswith("django.db.models.fields")


class _TagRows:
    """Tags in rows of a model of Django. A loaded object's are read by a query, from the object's database."""

    def __init__(self, rows: TagRows, model: Any, table: Table, place: str) -> None:
        if not is_django_model(rows.model):
            raise ConfigurationError("expected `TagRows` with a model of Django, and names of its fields", place=place)
        tags = DjangoModel(rows.model, place, referenced=table)
        if tags.table.name == table.name:
            raise ConfigurationError("expected a model of tags beside that of the resources", place=place)
        owner, key, value = (tags.column(name) for name in (rows.owner, rows.key, rows.value))
        referred = rows.model._meta.get_field(owner.key).related_model
        if referred is not None and _stored_as(referred) is not _stored_as(model):
            message = f"expected an owner of tags that refers to `{model.__name__}`, got one of `{referred.__name__}`"
            raise ConfigurationError(message, place=place)
        self._source = TagRowsSource(TagRows(tags.table, owner, key, value), table, table, place)
        self._model = rows.model
        self._owner, self._key, self._value = str(owner.key), str(key.key), str(value.key)
        self._resource = str(self._source.resource.key)

    def of(self, item: Any) -> Mapping[str, str]:
        """Return the tags of a loaded object; only texts are tags."""
        all_rows = sys.modules["django.db.models"].QuerySet(self._model, using=item._state.db)  # managers may hide some
        rows = all_rows.filter(**{self._owner: getattr(item, self._resource)})
        pairs = rows.values_list(self._key, self._value)
        return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}

    def columns(self, adapt: Callable[[Any], Any]) -> JsonTags | TagTable:
        """Return the tags in a query."""
        return self._source.columns(adapt)

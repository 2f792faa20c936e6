"""The models that resource types are declared for: those of SQLAlchemy here, those of Django in `django_models.py`."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Table, inspect
from sqlalchemy.orm import Mapper

from iam_guard.errors import ConfigurationError
from iam_guard.filters.django_models import DjangoModel, is_django_model
from iam_guard.filters.tag_declaration import TagSource, tag_source


class MappedModel(Protocol):
    """The table, the columns and the tags of a model. What can't be compared exactly raises `ConfigurationError`."""

    table: Table
    has_sessions: bool
    """Whether sessions of SQLAlchemy load its rows, and declarations have its columns instead of names of fields."""

    def parameter(self, name: str) -> Any:
        """Return the column of a parameter of the ARN."""

    def column(self, declared: Any) -> Any:
        """Return the column that a declaration has, directly or by its name."""

    def tags(self, declared: Any) -> TagSource:
        """Return the tags of the rows."""

    def stores(self, model: Any) -> bool:
        """Return whether a query of Django on another model, such as a proxy, has the same rows."""


class SqlAlchemyModel:
    """A model of SQLAlchemy that is stored in one table, or a table."""

    has_sessions = True

    def __init__(self, model: Any, place: str) -> None:
        self._model, self._place = model, place
        mapper = inspect(model, raiseerr=False)
        table = mapper.persist_selectable if isinstance(mapper, Mapper) else model
        if not isinstance(table, Table):
            name = getattr(model, "__name__", type(model).__name__)
            raise ConfigurationError(f"expected a table or a model of one table, got `{name}`", place=place)
        self.table = table

    def parameter(self, name: str) -> Any:
        source = self._model.c.get(name) if isinstance(self._model, Table) else getattr(self._model, name, None)
        if source is None:
            raise ConfigurationError(f"expected `{name}` as an attribute of the model", place=self._place)
        return source

    def column(self, declared: Any) -> Any:
        return declared

    def tags(self, declared: Any) -> TagSource:
        return tag_source(declared, self._model, self.table, self._place)

    def stores(self, model: Any) -> bool:
        return False


def mapped_model(model: Any, place: str) -> MappedModel:
    """Return what a resource type needs of its model. Raises `ConfigurationError` unless rows are in one table."""
    return DjangoModel(model, place) if is_django_model(model) else SqlAlchemyModel(model, place)

"""Lists of Django that show only what the caller may see: a queryset method, and a condition for `Q`.

    class Document(models.Model):
        objects = PermittedQuerySet.as_manager()

    Document.objects.permitted("docs:GetDocument").order_by("title")

The model is that of a resource type: `Service.resource_type(…, model=Document)`, or `documents.for_django(Document)`.
The rows are exactly those for which `guard.decide` allows, and each list has one record in the audit trail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.db.models import BooleanField, Expression, F, Q, QuerySet

from iam_guard import Guard, NotFilterable, Principal
from iam_guard.adapters import CURRENT_CALL, Call, ListCondition
from iam_guard.errors import ConfigurationError
from iam_guard_django.options import bridge_for, load_options

_UTC: Final = "UTC"


class PermittedQuerySet(QuerySet):  # type: ignore[misc]  # Django has no types
    """A queryset with `permitted`; for a manager, use `PermittedQuerySet.as_manager()`."""

    def permitted(
        self,
        action: str,
        *,
        principal: Principal | None = None,
        context: Mapping[str, Any] | None = None,
        call: Call | None = None,
        guard: Guard | None = None,
    ) -> PermittedQuerySet:
        """Return the rows that the principal may do the action on, and record the list.

        Without a principal, the caller of the current request is meant; without a guard, that of the current request
        or of the setting `IAM_GUARD`. `context` adds condition keys. Raises as `Guard.filter`; a policy that only the
        queryset's database can't translate raises `NotFilterable` when it is evaluated.
        """
        condition = _guard(guard).condition(self.model, action, principal=principal, context=context, call=call)
        found: PermittedQuerySet = self.filter(PermittedRows(condition, F(name_of_column(self.model)), is_total=False))
        return found


def permitted_q(
    model: type,
    action: str,
    *,
    principal: Principal | None = None,
    context: Mapping[str, Any] | None = None,
    call: Call | None = None,
    guard: Guard | None = None,
) -> Q:
    """Return the condition of `PermittedQuerySet.permitted` as a `Q`, to combine and negate, and record a list."""
    condition = _guard(guard).condition(model, action, principal=principal, context=context, call=call)
    return Q(PermittedRows(condition, F(name_of_column(model)), is_total=True))


class PermittedRows(Expression):  # type: ignore[misc]  # Django has no types
    """The condition of a list. `is_total`: it is false instead of NULL, which costs the use of indexes."""

    conditional = True

    def __init__(self, condition: ListCondition, column: Any, *, is_total: bool) -> None:
        super().__init__(output_field=BooleanField())
        self.condition = condition
        self.is_total = is_total
        self._column = column  # has the name of the table in the query

    def __deepcopy__(self, memo: dict[int, Any]) -> PermittedRows:
        """Return a shallow copy: a `Q` is copied with all that it consists of."""
        copied: PermittedRows = self.copy()
        return copied

    def get_source_expressions(self) -> list[Any]:
        return [self._column]

    def set_source_expressions(self, expressions: list[Any]) -> None:
        [self._column] = expressions

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the SQL of the condition.

        Raises `NotFilterable`, and `ConfigurationError` in a query of another model.
        """
        model = self.condition.resource_type.model
        if self._column.target.model is not model._meta.concrete_model:
            message = f"expected a query of `{model.__name__}`, got one of `{self._column.target.model.__name__}`"
            raise ConfigurationError(message, place="filter")
        if connection.timezone_name != _UTC and self.condition.compares_dates:
            raise NotFilterable(f"expected datetimes in UTC (`USE_TZ`), got those of `{connection.timezone_name}`")
        column, _ = compiler.compile(self._column)
        alias = column.removesuffix(f".{connection.ops.quote_name(self._column.target.column)}")
        sql, parameters = self.condition.sql(connection.vendor, alias)
        return f"(({sql}) IS TRUE)" if self.is_total else f"({sql})", parameters


def name_of_column(model: Any) -> str:
    """Return the name of a field that is a column of the model."""
    return str(next(field.name for field in model._meta.concrete_fields if field.column))


def _guard(guard: Guard | None) -> Guard:
    if guard is not None:
        return guard
    call = CURRENT_CALL.get()
    return bridge_for(load_options()).guard if call is None or call.is_over else call.guard

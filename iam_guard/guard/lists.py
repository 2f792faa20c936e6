"""Lists: filter a query, decide about loaded objects, explain both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from iam_guard.audit.trail import Trail
from iam_guard.errors import InvalidInput, NotFilterable
from iam_guard.evaluation.explanation import Explanation
from iam_guard.filters.explanation import FilterExplanation, explain_filter
from iam_guard.filters.list_condition import ListCondition
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.filters.statement_filter import ListStatement, Source, checked_dialect
from iam_guard.guard.current_call import served_call
from iam_guard.guard.decision_maker import DecisionMaker
from iam_guard.guard.list_formulas import ListQuestion
from iam_guard.guard.list_queries import (
    Filter,
    ListFilters,
    filtered,
    listed_resource_type,
    mapping_of,
    mapping_of_model,
)
from iam_guard.guard.question import Question
from iam_guard.model.catalogue import Catalogue, check_action
from iam_guard.model.context import Given, Lazy
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call, Resource, ResourceLoader

T = TypeVar("T")


class ListCaller(NamedTuple):
    """Who a list is for: without a principal, the caller of the current request; `context` adds condition keys."""

    principal: Principal | None = None
    context: Mapping[str, Given | Lazy] | None = None
    call: Call | None = None


class GuardLists:
    """Filters lists for one guard."""

    def __init__(
        self,
        filters: ListFilters,
        maker: DecisionMaker,
        trail: Trail,
        *,
        catalogues: Sequence[Catalogue],
        resources: ResourceLoader | None,
    ) -> None:
        self._filters = filters
        self._maker = maker
        self._trail = trail
        self._catalogues = catalogues
        self._resources = resources

    def filter(
        self, statement: ListStatement, action: str, caller: ListCaller, *, dialect: str | None, is_superset: bool
    ) -> ListStatement:
        """Return what `Guard.filter` returns; with `is_superset`, rows that must be decided again."""
        resource_type, source = listed_resource_type(statement, self._resource_types())
        question = self._list_question(action, resource_type, caller)._replace(is_superset=is_superset)
        return filtered(statement, self._filter(question, source, dialect))

    def condition(self, model: type, action: str, caller: ListCaller) -> ListCondition:
        """Return what `Guard.condition` returns."""
        resource_type = mapping_of_model(model, self._resource_types())
        found = self._filter(self._list_question(action, resource_type, caller), resource_type.table, None)
        return ListCondition(found.condition, resource_type)

    def _filter(self, question: ListQuestion, source: Source, dialect: str | None) -> Filter:
        found = self._filters.filter(question, source, self._maker.clock(), dialect)
        self._record(question, found.digest, found.outcome)
        return found

    def permitted(
        self, items: Iterable[T], action: str, resource_type: ResourceMapping | None, caller: ListCaller
    ) -> list[T]:
        """Return what `Guard.permitted` returns."""
        found = list(items)
        if not found:
            return []
        resource_type = resource_type or mapping_of(found[0], self._resource_types())
        question = self._list_question(action, resource_type, caller)
        allowed = [item for item in found if self._may(question, item)]
        outcome: Literal["all", "none", "some"] = "some" if allowed else "none"
        self._record(question, "", "all" if len(allowed) == len(found) else outcome, rows=len(allowed))
        return allowed

    def explain_filter(
        self,
        statement: ListStatement,
        action: str,
        *,
        dialect: str,
        principal: Principal | None = None,
        context: Mapping[str, Given | Lazy] | None = None,
        call: Call | None = None,
    ) -> FilterExplanation:
        """Return the SQL of a filter, with the statement behind each part; for administrators. Nothing is recorded."""
        resource_type, source = listed_resource_type(statement, self._resource_types())
        caller = ListCaller(principal, context, call)
        question = self._list_question(action, resource_type, caller)._replace(is_superset=True)
        columns = resource_type.columns(checked_dialect(dialect), source)
        computation = self._filters.compute(question, columns, self._maker.clock())
        return explain_filter(computation.formula, computation.statements, columns, computation.refusals)

    def why_not(
        self,
        item: Any,
        action: str,
        *,
        principal: Principal | None = None,
        context: Mapping[str, Given | Lazy] | None = None,
        call: Call | None = None,
    ) -> Explanation:
        """Return what `decide` answers about a loaded object and why: why a list has it, or has it not."""
        resource_type = mapping_of(item, self._resource_types())
        question = self._list_question(action, resource_type, ListCaller(principal, context, call))
        asked = question.principal, action, self.resource_of(item), context, question.call
        return self._maker.explain(self._maker.question(*asked))

    def resource_of(self, item: Any) -> Resource:
        """Return the resource of a loaded object, with the complete ARN that this guard decides about.

        Raises `ConfigurationError` for an object of another class than the models of the guard's resource types, and
        `InvalidInput` for one without a key or an account.
        """
        return mapping_of(item, self._resource_types()).resource_of(item).at(self._filters.location)

    def _may(self, question: ListQuestion, item: Any) -> bool:
        try:
            resource = question.resource_type.resource_of(item).at(self._filters.location)
        except InvalidInput:
            return False
        principal, action, _, own_service, context, call, _ = question
        return self._maker.decide(Question(principal, action, resource, own_service, context, call)).allowed

    def _resource_types(self) -> Sequence[ResourceMapping]:
        types = [mapping for catalogue in self._catalogues for mapping in catalogue.mappings.values()]
        found = [mapping for mapping in types if isinstance(mapping, ResourceMapping)]
        return [*found, *(mapping.django for mapping in found if mapping.django is not None)]

    def _list_question(self, action: str, resource_type: ResourceMapping, caller: ListCaller) -> ListQuestion:
        if self._resources is not None and not isinstance(self._resources, MappedResources):
            raise NotFilterable("the guard's resource loader may give resources policies, which no column has")
        principal, context, call = caller
        if principal is None:
            served = served_call()
            principal, call = served.caller_for(action), call or served.facts
        check_action(action, self._catalogues)
        own_service = self._maker.is_own(action)
        return ListQuestion(principal, action, resource_type, own_service, context, call)

    def _record(
        self, question: ListQuestion, digest: str, outcome: Literal["all", "none", "some"], rows: int | None = None
    ) -> None:
        state = self._filters.state()
        record = ListFilter(
            principal=question.principal,
            action=question.action,
            resource_type=f"{question.resource_type.service} {question.resource_type.name}",
            digest=digest,
            outcome=outcome,
            rows=rows,
            epoch=state.epoch,
            stale=self._filters.is_stale,
            is_superset=question.is_superset,
        )
        self._trail.record_list(record, question.call)

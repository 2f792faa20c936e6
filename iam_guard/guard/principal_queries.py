"""`Guard.principal_queries`: what other principals may do, for a caller who may know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from iam_guard.audit.record.permission_query_record import MAX_ANSWERS
from iam_guard.audit.trail import Trail
from iam_guard.guard.decision_maker import DecisionMaker
from iam_guard.model.context import NO_KEYS, Given, Lazy
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import ActionOnResource, Call, Resource


class PrincipalQuestion(NamedTuple):
    """May the principal do the action on the resource, with these condition keys?"""

    principal: Principal
    action: str
    resource: str | Resource
    context: Mapping[str, Given | Lazy] = NO_KEYS


class PrincipalQueries:
    """Answers questions about principals for one guard."""

    def __init__(self, maker: DecisionMaker, trail: Trail) -> None:
        self._maker = maker
        self._trail = trail

    def ask(
        self, questions: Iterable[PrincipalQuestion], asked_by: Principal, *, call: Call | None = None
    ) -> list[Decision]:
        """Decide what other principals may do, for the caller `asked_by`; nothing is attempted, and no use recorded.

        `call` is the caller's: it is recorded, and supplies no condition keys. Each audit record has the caller, and up
        to 100 answers, each with its principal. Whether the caller may ask is left to the application. Raises
        `DecisionUnavailable`.
        """
        decisions: list[Decision] = []
        recorded = 0
        for question in questions:
            if len(decisions) - recorded == MAX_ANSWERS:
                self._trail.record_permission_queries(asked_by, decisions[recorded:], call)
                recorded = len(decisions)
            decisions.append(self._maker.decide(self._maker.question(*question, None)))
        if len(decisions) > recorded:
            self._trail.record_permission_queries(asked_by, decisions[recorded:], call)
        return decisions

    def ask_for(
        self,
        principal: Principal,
        questions: Iterable[ActionOnResource],
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
    ) -> list[Decision]:
        """Return what `Guard.ask` returns: decisions about actions that are not attempted, in one audit record."""
        asked = [self._maker.question(principal, action, resource, context, call) for action, resource in questions]
        decisions = [self._maker.decide(question) for question in asked]
        self._trail.record_permission_queries(principal, decisions, call)
        return decisions

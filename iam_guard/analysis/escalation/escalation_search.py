"""Find the paths by which principals of a store gain the access of another principal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from iam_guard.analysis.access.access_answers import RoleStep
from iam_guard.analysis.access.access_evaluator import open_evaluator
from iam_guard.analysis.access.role_chains import RoleChains
from iam_guard.analysis.escalation.escalation_path import EscalationPath, EscalationStep
from iam_guard.settings import Settings
from iam_guard.store.protocol import SourceStore


def escalation_paths(
    store: SourceStore, *, settings: Settings | None = None, now: datetime | None = None
) -> list[EscalationPath]:
    """Return the paths from users and roles of the store to each role that they can assume."""
    with open_evaluator(store, settings, now) as evaluator:
        chains = RoleChains(evaluator, {})
        return [
            EscalationPath(principal.arn, target, tuple(_steps(principal.arn, steps)))
            for principal in evaluator.population.principals_by_arn.values()
            for target, steps in chains.roles_of(principal).items()
        ]


def _steps(actor: str, steps: tuple[RoleStep, ...]) -> Iterator[EscalationStep]:
    for step in steps:
        statements = "; ".join(map(str, step.answer.spoken))
        yield EscalationStep("sts:AssumeRole", step.role, f"{actor} may call it: {statements}")
        actor = step.role

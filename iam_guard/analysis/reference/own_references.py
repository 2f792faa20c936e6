"""The built-in references of our own services.

`docs/generate.py` writes them into this folder from the services' tables of operations, so that loading them needs
neither the tables nor a service model; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from iam_guard.analysis.reference.json_form import read_references
from iam_guard.model.own_services import SERVED
from iam_guard.model.reference import AccessLevel, ActionEntry, ActionTarget, ResourceType, ServiceReference

_DECISION_POINT = ServiceReference(
    "iam-guard",
    tuple(
        ActionEntry(name, description, AccessLevel.READ, (ActionTarget("authzen", required=True),))
        for name, description in (
            ("EvaluateAccess", "Grants permission to ask whether principals of an account may do actions"),
            ("SearchActions", "Grants permission to list the actions that a principal may do on a resource"),
            ("SearchResources", "Grants permission to list the resources that a principal may do an action on"),
            ("SearchSubjects", "Grants permission to list the principals that may do an action on a resource"),
        )
    ),
    (ResourceType("authzen", ("arn:${Partition}:iam-guard:${Region}:${Account}:authzen",)),),
    title="AuthZEN",
)
"""The permissions of callers of AuthZEN, which has no table of operations."""


@cache
def own_references() -> tuple[ServiceReference, ...]:
    """Return the references of our own services."""
    folder = files("iam_guard.analysis.reference")
    texts = [(folder / f"{name}.json").read_text(encoding="utf-8") for name in SERVED]
    return tuple(reference for text in texts for reference in read_references(text))


def with_own_references(references: Sequence[ServiceReference]) -> tuple[ServiceReference, ...]:
    """Return the references, and the built-in ones of services that they don't describe."""
    names = {reference.name for reference in references}
    return (*references, *(own for own in own_references() if own.name not in names))


def with_permissions_to_ask(references: Sequence[ServiceReference]) -> tuple[ServiceReference, ...]:
    """Return `with_own_references`, and the permissions of callers of AuthZEN, which policies may name, too."""
    return (*with_own_references(references), _DECISION_POINT)

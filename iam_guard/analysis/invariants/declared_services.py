"""The services that an application declares, as the checks of whole stores know them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.model.reference import ServiceReference


class DeclaredServices(NamedTuple):
    """`prefixes` of the services' actions, in lower case; `actions` are all there are, None for any."""

    prefixes: frozenset[str]
    actions: tuple[str, ...] | None


def declared_services(references: Iterable[ServiceReference]) -> DeclaredServices:
    """Return the services of references; with any, only their actions and those of IAM and STS exist."""
    declared = tuple(references)
    prefixes = frozenset(service.name.lower() for service in declared)
    if not declared:
        return DeclaredServices(prefixes, None)
    listed = with_own_references(declared)
    return DeclaredServices(prefixes, tuple(f"{one.name}:{action.name}" for one in listed for action in one.actions))

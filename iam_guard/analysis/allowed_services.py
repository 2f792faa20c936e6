"""Find the services that policies allow access to (rule R-34), by the actions that their statements name.

A service is reachable if a statement allows one of its actions, and no unconditional statement denies all of them on
all resources. The existing services are unknown, since applications add their own: `*` covers our own services, and
those that are named or used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from iam_guard.model.own_services import SERVICES
from iam_guard.policy.document import Document, Effect, Statement

SERVICE_NAMES: Final[Mapping[str, str]] = {service.prefix: service.name for service in SERVICES if service.name}
"""Our own services; the name of an application's service is its namespace."""

_ALL = "*"


def service_name(namespace: str) -> str:
    """Return the name of a service."""
    return SERVICE_NAMES.get(namespace, namespace)


def known_services(used: Iterable[str]) -> frozenset[str]:
    """Return the services that `*` covers, besides those that a policy names."""
    return frozenset({*SERVICE_NAMES, *used})


def allow_statements(documents: Iterable[Document]) -> list[Statement]:
    """Return the Allow statements of documents."""
    return [
        statement for document in documents for statement in document.statements if statement.effect is Effect.ALLOW
    ]


def named_services(documents: Iterable[Document]) -> set[str]:
    """Return the services whose actions the documents allow by name."""
    actions = [action for statement in allow_statements(documents) for action in statement.actions or ()]
    return {service_of_action(action) for action in actions if action != _ALL}


def reached_services(documents: Iterable[Document], known: frozenset[str]) -> set[str]:
    """Return the known or named services that documents of one policy type together allow access to."""
    documents = list(documents)
    allowed = allow_statements(documents)
    statements = [statement for document in documents for statement in document.statements]
    denied = [statement for statement in statements if statement.effect is Effect.DENY and _is_unlimited(statement)]
    return {
        service
        for service in known | named_services(documents)
        if any(_names(statement, service) for statement in allowed)
        and not any(_names_all(statement, service) for statement in denied)
    }


def service_of_action(action: str) -> str:
    """Return the service of an action, in lower case."""
    return action.partition(":")[0].lower()


def _is_unlimited(statement: Statement) -> bool:
    everywhere = statement.not_resources is None and (statement.resources is None or _ALL in statement.resources)
    return everywhere and not statement.conditions


def _names(statement: Statement, service: str) -> bool:
    """Return whether a statement includes any action of a service."""
    if statement.actions is not None:
        return _touches(statement.actions, service)
    return not _covers(statement.not_actions or (), service)


def _names_all(statement: Statement, service: str) -> bool:
    """Return whether a statement includes every action of a service."""
    if statement.actions is not None:
        return _covers(statement.actions, service)
    return not _touches(statement.not_actions or (), service)


def _touches(actions: Iterable[str], service: str) -> bool:
    return any(action == _ALL or service_of_action(action) == service for action in actions)


def _covers(actions: Iterable[str], service: str) -> bool:
    return any(
        action == _ALL or action.lower().rstrip("*") == f"{service}:" for action in actions if action[-1:] == "*"
    )

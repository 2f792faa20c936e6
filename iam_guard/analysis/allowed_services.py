"""Which services policies let somebody reach (rule R-34), by what their statements name.

A service is reached when a statement allows an action of it, and none denies all of them everywhere without a
condition. Which services there are nobody can say here, for applications bring their own: `*` stands for our own
services, and for those that are named or used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from iam_guard.model.own_services import SERVICES
from iam_guard.policy.document import Document, Effect, Statement

SERVICE_NAMES: Final[Mapping[str, str]] = {service.prefix: service.name for service in SERVICES if service.name}
"""Our own services; one of an application has its namespace as its name."""

_ALL = "*"


def service_name(namespace: str) -> str:
    """Return the name of a service."""
    return SERVICE_NAMES.get(namespace, namespace)


def known_services(used: Iterable[str]) -> frozenset[str]:
    """Return the services that `*` stands for, beside those that a policy names."""
    return frozenset({*SERVICE_NAMES, *used})


def named_services(documents: Iterable[Document]) -> set[str]:
    """Return the services whose actions documents allow by name."""
    allowed = [
        statement for document in documents for statement in document.statements if statement.effect is Effect.ALLOW
    ]
    return {_service(action) for each in allowed for action in each.actions or () if action != _ALL}


def reached_services(documents: Iterable[Document], known: frozenset[str]) -> set[str]:
    """Return the services, of those that are known or named, that documents of one type let somebody reach together."""
    documents = list(documents)
    statements = [statement for document in documents for statement in document.statements]
    allowed = [each for each in statements if each.effect is Effect.ALLOW]
    denied = [each for each in statements if each.effect is Effect.DENY and _is_unlimited(each)]
    return {
        service
        for service in known | named_services(documents)
        if any(_names(each, service) for each in allowed) and not any(_names_all(each, service) for each in denied)
    }


def _service(action: str) -> str:
    return action.partition(":")[0].lower()


def _is_unlimited(statement: Statement) -> bool:
    everywhere = statement.not_resources is None and (statement.resources is None or _ALL in statement.resources)
    return everywhere and not statement.conditions


def _names(statement: Statement, service: str) -> bool:
    """Return whether a statement is about some action of a service."""
    if statement.actions is not None:
        return any(action == _ALL or _service(action) == service for action in statement.actions)
    return not _covers(statement.not_actions or (), service)


def _names_all(statement: Statement, service: str) -> bool:
    """Return whether a statement is about every action of a service."""
    if statement.actions is not None:
        return _covers(statement.actions, service)
    return not any(action == _ALL or _service(action) == service for action in statement.not_actions or ())


def _covers(actions: Iterable[str], service: str) -> bool:
    return any(
        action == _ALL or action.lower().rstrip("*") == f"{service}:" for action in actions if action[-1:] == "*"
    )

"""Rules about unknown actions (rules G-60, AA-22)."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.lint.subject import Subject
from iam_guard.policy.fault import Entry, Fault, actions
from iam_guard.policy.grammar import ACTION, WILDCARD, quoted


def unknown_service(subject: Subject) -> Iterator[Fault]:
    """Report a service prefix that is unknown, if all services are known."""
    if not subject.references.is_all:
        return
    for entry, prefix, _ in _split_actions(subject):
        if prefix.lower() not in subject.references.services:
            message = f"unknown service {quoted(prefix)}{subject.references.suggest_service(prefix)}"
            yield Fault("INVALID_SERVICE_IN_ACTION", message, entry.path)


def unknown_action(subject: Subject) -> Iterator[Fault]:
    """Report an action that the service doesn't have, or a pattern that matches none of its actions."""
    for entry, prefix, name in _split_actions(subject):
        service = subject.references.services.get(prefix.lower())
        if service is None or not name or subject.references.matching_actions(entry.value):
            continue
        instead = subject.references.suggest_action(service, name)
        if WILDCARD.search(name):
            message = f"no action of the service {quoted(service.name)} matches {quoted(entry.value)}{instead}"
            yield Fault("ACTION_MATCHES_NOTHING", message, entry.path)
        else:
            message = f"the service {quoted(service.name)} has no action {quoted(name)}{instead}"
            yield Fault("INVALID_ACTION", message, entry.path)


def _split_actions(subject: Subject) -> Iterator[tuple[Entry, str, str]]:
    for entry in actions(subject.document):
        prefix, colon, name = entry.value.partition(":")
        if colon and ACTION.fullmatch(entry.value):
            yield entry, prefix, name

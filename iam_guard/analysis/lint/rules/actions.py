"""Whether the actions of a policy exist (rules G-60, AA-22)."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.lint.subject import Subject
from iam_guard.policy.fault import Entry, Fault, actions
from iam_guard.policy.grammar import ACTION, WILDCARD, quoted


def unknown_service(subject: Subject) -> Iterator[Fault]:
    """A prefix that no known service has, where all services are known."""
    if not subject.known.is_all:
        return
    for entry, prefix, _ in _written(subject):
        if prefix.lower() not in subject.known.services:
            message = f"there is no service {quoted(prefix)}{_meant(subject.known.like_service(prefix))}"
            yield Fault("INVALID_SERVICE_IN_ACTION", message, entry.path)


def unknown_action(subject: Subject) -> Iterator[Fault]:
    """A name that the service has not, or a pattern that none of its names fits."""
    for entry, prefix, name in _written(subject):
        service = subject.known.services.get(prefix.lower())
        if service is None or not name or subject.known.meant(entry.value):
            continue
        instead = _meant(subject.known.like_action(service, name))
        if WILDCARD.search(name):
            message = f"no action of the service {quoted(service.name)} fits {quoted(entry.value)}{instead}"
            yield Fault("ACTION_MATCHES_NOTHING", message, entry.path)
        else:
            message = f"the service {quoted(service.name)} has no action {quoted(name)}{instead}"
            yield Fault("INVALID_ACTION", message, entry.path)


def _written(subject: Subject) -> Iterator[tuple[Entry, str, str]]:
    for entry in actions(subject.document):
        prefix, colon, name = entry.value.partition(":")
        if colon and ACTION.fullmatch(entry.value):
            yield entry, prefix, name


def _meant(close: str | None) -> str:
    return "" if close is None else f", did you mean {quoted(close)}?"

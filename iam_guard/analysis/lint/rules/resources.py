"""Whether actions and resources of a statement fit each other (rules M-10 to M-12).

An action without a resource type is asked about `*`, which no ARN matches (M-11). An entry with variables is taken for
whatever they may hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iam_guard.analysis.lint.reference_index import Known, KnownAction
from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.pattern_coverage import likely_patterns, overlaps
from iam_guard.policy.document import Statement
from iam_guard.policy.fault import Fault, place
from iam_guard.policy.grammar import quoted

_EVERYTHING = "*"
_MAX_NAMED = 3


def resource_not_taken(subject: Subject) -> Iterator[Fault]:
    """An ARN that none of the statement's actions can be about."""
    for statement in _with_resources(subject):
        meant = [subject.known.meant(action) for action in statement.actions or ()]
        if not meant or any(each is None for each in meant):
            continue  # of an action that is not known, nobody can tell
        known = [action for each in meant for action in each or ()]
        if not known or any(action.entry.open_resources for action in known):
            continue
        for index, entry in enumerate(statement.resources or ()):
            if entry != _EVERYTHING and not any(_takes(subject, action, entry) for action in known):
                message = f"{_named(known)} cannot be done to {quoted(entry)}{_taken(subject.known, known)}"
                yield Fault("RESOURCE_NOT_OF_ACTION", message, place(statement, "Resource", index))


def action_without_resource(subject: Subject) -> Iterator[Fault]:
    """An action to which nothing in the statement's `Resource` belongs, where other actions have what is theirs."""
    for statement in _with_resources(subject):
        entries = statement.resources or ()
        used = [entry for entry in entries if _is_used(subject, statement, entry)]
        if not used or _EVERYTHING in entries:
            continue
        for index, written in enumerate(statement.actions or ()):
            meant = subject.known.meant(written)
            if not meant or any(action.entry.open_resources for action in meant):
                continue
            if not any(_takes(subject, action, entry) for action in meant for entry in entries):
                needed = _taken(subject.known, meant) or ", it takes `*` alone"
                message = f"no resource of the statement belongs to {quoted(written)}{needed}"
                yield Fault("MISSING_RESOURCE_FOR_ACTION", message, place(statement, "Action", index))


def _with_resources(subject: Subject) -> Iterator[Statement]:
    return (statement for statement in subject.document.statements if statement.resources and statement.actions)


def _is_used(subject: Subject, statement: Statement, entry: str) -> bool:
    for written in statement.actions or ():
        meant = subject.known.meant(written)
        if meant is None or any(each.entry.open_resources or _takes(subject, each, entry) for each in meant):
            return True
    return False


def _takes(subject: Subject, action: KnownAction, entry: str) -> bool:
    if entry == _EVERYTHING:
        return True
    written = likely_patterns(entry, subject.document.version)
    return any(overlaps(one, other) for one in written for other in subject.known.arns_of(action))


def _named(known: Sequence[KnownAction]) -> str:
    names = [quoted(str(each)) for each in known[:_MAX_NAMED]]
    return ", ".join(names) + (f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else "")


def _taken(known: Known, actions: Sequence[KnownAction]) -> str:
    """Return which ARNs the actions take; nothing where there are none."""
    formats = dict.fromkeys(
        arn
        for action in actions
        for resource_type in action.service.resource_types
        if resource_type.name in {target.name for target in action.entry.resources}
        for arn in resource_type.arn_formats
    )
    if not formats:
        return ""
    shown = ", ".join(quoted(each) for each in list(formats)[:_MAX_NAMED])
    return f", which {'takes' if len(actions) == 1 else 'take'} {shown}"

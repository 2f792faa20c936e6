"""Rules about actions and resources that don't match (rules M-10 to M-12).

An action without a resource type is evaluated on `*`, which no ARN matches (M-11). A policy variable matches anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iam_guard.analysis.lint.reference_index import KnownAction
from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.pattern_coverage import intended_patterns, overlaps
from iam_guard.policy.document import Statement
from iam_guard.policy.fault import Fault, place
from iam_guard.policy.grammar import quoted

_EVERYTHING = "*"
_MAX_NAMED = 3


def resource_not_taken(subject: Subject) -> Iterator[Fault]:
    """Report an ARN that no action of the statement supports."""
    for statement in _with_resources(subject):
        matching = [subject.references.matching_actions(action) for action in statement.actions or ()]
        if not matching or any(actions is None for actions in matching):
            continue  # unknown actions may support it
        known = [action for actions in matching for action in actions or ()]
        if not known or any(action.entry.open_resources for action in known):
            continue
        for index, entry in enumerate(statement.resources or ()):
            if entry != _EVERYTHING and not any(_supports(subject, action, entry) for action in known):
                message = f"{_named(known)} does not apply to {quoted(entry)}{_supported_arns(known)}"
                yield Fault("RESOURCE_NOT_OF_ACTION", message, place(statement, "Resource", index))


def action_without_resource(subject: Subject) -> Iterator[Fault]:
    """Report an action without a matching resource, in a statement whose other actions have one."""
    for statement in _with_resources(subject):
        entries = statement.resources or ()
        used = [entry for entry in entries if _is_used(subject, statement, entry)]
        if not used or _EVERYTHING in entries:
            continue
        for index, written in enumerate(statement.actions or ()):
            matching = subject.references.matching_actions(written)
            if not matching or any(action.entry.open_resources for action in matching):
                continue
            if not any(_supports(subject, action, entry) for action in matching for entry in entries):
                needed = _supported_arns(matching) or ", it takes `*` alone"
                message = f"no resource of the statement applies to {quoted(written)}{needed}"
                yield Fault("MISSING_RESOURCE_FOR_ACTION", message, place(statement, "Action", index))


def _with_resources(subject: Subject) -> Iterator[Statement]:
    return (statement for statement in subject.document.statements if statement.resources and statement.actions)


def _is_used(subject: Subject, statement: Statement, entry: str) -> bool:
    for written in statement.actions or ():
        matching = subject.references.matching_actions(written)
        if matching is None or any(
            action.entry.open_resources or _supports(subject, action, entry) for action in matching
        ):
            return True
    return False


def _supports(subject: Subject, action: KnownAction, entry: str) -> bool:
    if entry == _EVERYTHING:
        return True
    patterns = intended_patterns(entry, subject.document.version)
    return any(overlaps(pattern, arn) for pattern in patterns for arn in subject.references.arns_of(action))


def _named(known: Sequence[KnownAction]) -> str:
    names = [quoted(str(action)) for action in known[:_MAX_NAMED]]
    return ", ".join(names) + (f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else "")


def _supported_arns(actions: Sequence[KnownAction]) -> str:
    """Return the message part with the ARNs that the actions support; empty if there are none."""
    formats = dict.fromkeys(arn for action in actions for arn in action.arn_formats())
    if not formats:
        return ""
    shown = ", ".join(quoted(arn) for arn in list(formats)[:_MAX_NAMED])
    return f", which {'takes' if len(actions) == 1 else 'take'} {shown}"

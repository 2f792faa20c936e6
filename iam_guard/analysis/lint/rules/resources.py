"""Rules about actions and resources that don't match (rules M-10 to M-12).

An action without a resource type is evaluated on `*`, which no ARN matches (M-11). A policy variable matches anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iam_guard.analysis.lint.subject import Subject
from iam_guard.analysis.reference.reference_index import KnownAction
from iam_guard.evaluation.matching.pattern_coverage import intended_patterns
from iam_guard.policy.document import Statement
from iam_guard.policy.fault import Fault, place
from iam_guard.policy.grammar import quoted

_EVERYTHING = "*"
_MAX_NAMED = 3


def resource_not_taken(subject: Subject) -> Iterator[Fault]:
    """Report an ARN that no action of the statement supports."""
    for statement in _with_resources(subject):
        known = subject.actions_of(statement)
        for index, entry in enumerate(statement.resources or ()):
            if known and not _may_take(subject, known, entry):
                message = f"{_named(known)} does not apply to {quoted(entry)}{_supported_arns(known)}"
                yield Fault("RESOURCE_NOT_OF_ACTION", message, place(statement, "Resource", index))


def action_without_resource(subject: Subject) -> Iterator[Fault]:
    """Report an action without a matching resource, in a statement whose other actions have one."""
    for statement in _with_resources(subject):
        entries = statement.resources or ()
        if _EVERYTHING in entries or not any(_is_used(subject, statement, entry) for entry in entries):
            continue
        for index, written in enumerate(statement.actions or ()):
            matching = subject.references.matching_actions(written)
            if matching and not any(_may_take(subject, matching, entry) for entry in entries):
                needed = _supported_arns(matching) or ", which requires the resource `*`"
                message = f"no resource of the statement applies to {quoted(written)}{needed}"
                yield Fault("MISSING_RESOURCE_FOR_ACTION", message, place(statement, "Action", index))


def _with_resources(subject: Subject) -> Iterator[Statement]:
    return (statement for statement in subject.document.statements if statement.resources and statement.actions)


def _is_used(subject: Subject, statement: Statement, entry: str) -> bool:
    matching = [subject.references.matching_actions(written) for written in statement.actions or ()]
    return any(actions is None or _may_take(subject, actions, entry) for actions in matching)


def _may_take(subject: Subject, actions: Sequence[KnownAction], entry: str) -> bool:
    """Return whether one of the actions may support a resource that the entry means."""
    patterns = intended_patterns(entry, subject.document.version)
    return entry == _EVERYTHING or any(
        subject.references.may_take(action, pattern) for action in actions for pattern in patterns
    )


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

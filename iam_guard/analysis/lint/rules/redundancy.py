"""Rules about parts of a policy that another part repeats or cancels (rule AA-25).

Only if it is certain: one entry or statement covers the other for every request. The work for one policy is limited: of
a policy with thousands of patterns or statements, the rest is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.pattern import Pattern, literal_prefix, read_wildcards
from iam_guard.evaluation.matching.pattern_coverage import covers, open_patterns
from iam_guard.policy.document import ConditionTest, Effect, Statement
from iam_guard.policy.fault import Fault, place
from iam_guard.policy.grammar import WILDCARD, quoted

_MAX_CHARACTERS = 3_000_000
"""Maximum number of characters of the patterns that one rule compares."""
_MAX_PAIRS = 250_000
"""Maximum number of pairs of statements that one rule compares."""


class _Work:
    """What is left of the limit of a rule."""

    __slots__ = ("left",)

    def __init__(self, limit: int) -> None:
        self.left = limit

    def spend(self, count: int) -> bool:
        """Count work; return whether the limit allows it."""
        self.left -= count
        return self.left >= 0


def covered_action(subject: Subject) -> Iterator[Fault]:
    """Report an action that a wider pattern of the same list covers."""
    work = _Work(_MAX_CHARACTERS)
    for statement in subject.document.statements:
        for element, values in (("Action", statement.actions), ("NotAction", statement.not_actions)):
            written = values or ()
            folded = [value.lower() for value in written]
            for index, wide in _covered(folded, [read_wildcards(text) for text in folded], work):
                message = f"{quoted(written[index])} is covered by {quoted(written[wide])}"
                yield Fault("REDUNDANT_ACTION", message, place(statement, element, index))


def covered_resource(subject: Subject) -> Iterator[Fault]:
    """Report a resource that a wider pattern of the same list covers."""
    version, work = subject.document.version, _Work(_MAX_CHARACTERS)
    for statement in subject.document.statements:
        for element, values in (("Resource", statement.resources), ("NotResource", statement.not_resources)):
            written = values or ()
            if len(written) < 2 or any("${" in resource for resource in written):
                continue
            readings = [open_patterns(resource, version) for resource in written]
            if any(len(reading) != 1 for reading in readings):
                continue
            for index, wide in _covered(written, [only for (only,) in readings], work):
                message = f"{quoted(written[index])} is covered by {quoted(written[wide])}"
                yield Fault("REDUNDANT_RESOURCE", message, place(statement, element, index))


def _covered(texts: Sequence[str], patterns: Sequence[Pattern], work: _Work) -> Iterator[tuple[int, int]]:
    """Return the indexes of entries and of the ones that cover them; the language check reports equal entries."""
    wide = [(index, literal_prefix(text)) for index, text in enumerate(texts) if WILDCARD.search(text)]
    for index, narrow in enumerate(patterns):
        for other, beginning in wide:
            if not texts[index].startswith(beginning) or texts[other] == texts[index]:
                continue
            if not work.spend(len(texts[index])):
                return
            both = covers(patterns[other], narrow)
            if both and not (index < other and covers(narrow, patterns[other])):
                yield index, other
                break


# --- statements --------------------------------------------------------------------------------------------------


def covered_statement(subject: Subject) -> Iterator[Fault]:
    """Report a statement that another statement with the same effect covers."""
    statements, work = subject.document.statements, _Work(_MAX_PAIRS)
    for narrow in statements:
        for wide in statements:
            if not work.spend(1):
                return
            if wide.effect is not narrow.effect or wide is narrow or not _covers_all(subject, wide, narrow):
                continue
            if wide.index < narrow.index or not _covers_all(subject, narrow, wide):
                message = f"statement {narrow.index} is covered by statement {wide.index}"
                yield Fault("REDUNDANT_STATEMENT", message, place(narrow))
                break


def denied_statement(subject: Subject) -> Iterator[Fault]:
    """Report an Allow that a Deny of the same policy cancels completely."""
    denies = [statement for statement in subject.document.statements if statement.effect is Effect.DENY]
    work = _Work(_MAX_PAIRS)
    for statement in subject.document.statements:
        if statement.effect is Effect.ALLOW:
            for deny in denies:
                if not work.spend(1):
                    return
                if _covers_all(subject, deny, statement):
                    message = f"statement {deny.index} denies all that statement {statement.index} allows"
                    yield Fault("ALLOW_SHADOWED_BY_DENY", message, place(statement))
                    break


def _covers_all(subject: Subject, wide: Statement, narrow: Statement) -> bool:
    """Return whether `wide` certainly applies wherever `narrow` does."""
    if not set(map(_comparable, wide.conditions)) <= set(map(_comparable, narrow.conditions)):
        return False
    return (
        _covers_principals(wide, narrow) and _covers_actions(wide, narrow) and _covers_resources(subject, wide, narrow)
    )


def _comparable(test: ConditionTest) -> tuple[str, str, frozenset[str]]:
    return test.operator, test.key.lower(), frozenset(test.values)


def _covers_principals(wide: Statement, narrow: Statement) -> bool:
    if wide.principals is None or narrow.principals is None:
        return wide.principals == narrow.principals and wide.not_principals == narrow.not_principals
    return ("AWS", "*") in wide.principals or set(narrow.principals) <= set(wide.principals)


def _covers_actions(wide: Statement, narrow: Statement) -> bool:
    if wide.actions is None or narrow.actions is None:
        return wide.actions == narrow.actions and wide.not_actions == narrow.not_actions
    listed = {action.lower() for action in wide.actions}
    patterns = [(literal_prefix(action), read_wildcards(action)) for action in listed if WILDCARD.search(action)]
    return all(
        any(action.startswith(begin) and covers(pattern, read_wildcards(action)) for begin, pattern in patterns)
        for action in {action.lower() for action in narrow.actions} - listed
    )


def _covers_resources(subject: Subject, wide: Statement, narrow: Statement) -> bool:
    if wide.resources is None or narrow.resources is None:
        return wide.resources == narrow.resources and wide.not_resources == narrow.not_resources
    if "*" in wide.resources or set(narrow.resources) <= set(wide.resources):
        return True
    if any("${" in resource for resource in (*wide.resources, *narrow.resources)) or "*" in narrow.resources:
        return False
    version = subject.document.version
    patterns = [pattern for resource in wide.resources for pattern in open_patterns(resource, version)]
    return all(
        any(covers(covering, pattern) for covering in patterns)
        for entry in narrow.resources
        for pattern in open_patterns(entry, version)
    )

"""Which resources the Allow statements about an action may match: a fast first test before a decision.

It never excludes a resource that a statement matches. Most statements name few resources, so that it saves nearly all
decisions about the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.matching.pattern import Pattern, match_pattern
from iam_guard.evaluation.matching.pattern_coverage import open_patterns
from iam_guard.evaluation.matching.resource import EVERYTHING

_USER_NAME = "${aws:username}"


@dataclass(frozen=True, slots=True)
class NamedResources:
    """The entries of Allow statements: literal ARNs and patterns; `is_all` if one of them is about everything."""

    is_all: bool
    literals: frozenset[str]
    patterns: tuple[Pattern, ...]

    def may_have(self, arn: str) -> bool:
        """Return whether an entry may match an ARN."""
        return self.is_all or arn in self.literals or any(match_pattern(pattern, arn) for pattern in self.patterns)


def named_resources(policies: Iterable[CompiledPolicy], action: str, user: str | None) -> NamedResources:
    """Return the resources that Allow statements about an action (lower case) name.

    `user` is the caller's user name, if it has one; all other variables match anything.
    """
    literals: set[str] = set()
    patterns: dict[Pattern, None] = {}
    for policy in policies:
        version = policy.content.document.version
        for compiled in policy.content.about(action):
            statement = compiled.statement
            if compiled.denies:
                continue
            if statement.resources is None or EVERYTHING in statement.resources:
                return NamedResources(True, frozenset(), ())
            for written in statement.resources:
                entry = written if user is None else written.replace(_USER_NAME, user)
                if any(character in entry for character in "*?$"):
                    patterns |= dict.fromkeys(open_patterns(entry, version))
                else:
                    literals.add(entry)
    return NamedResources(False, frozenset(literals), tuple(patterns))

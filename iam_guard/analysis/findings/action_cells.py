"""Group the actions of a service by the entries of policies that match them, so that one of each group is decided.

Actions that the same entries match have the same decision, except the few that have rules of their own. If the actions
of the service are known, they are grouped as they are. Otherwise any action may exist: those that a policy names are
known, and for each combination of wildcards that some other action can match, one such action is made up. It is
reported by the narrowest wildcard as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.pattern_search import includes
from iam_guard.analysis.checks.text_sets import Language
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard, compile_glob, is_literal, read_wildcards
from iam_guard.policy.document import Statement

MAX_CELLS: Final = 1000
"""Maximum number of groups of unnamed actions."""
_WITH_OWN_RULE: Final = "kms:RetireGrant"
"""An action that resource control policies do not limit (rule E-11)."""


class ActionCell(NamedTuple):
    """Actions with the same decision: the one to decide, and the names of all."""

    action: str
    names: tuple[str, ...]


def action_entries(statement: Statement) -> tuple[str, ...]:
    """Return the entries of `Action` or `NotAction`."""
    return (*(statement.actions or ()), *(statement.not_actions or ()))


def is_of_service(entry: str, service: str) -> bool:
    """Return whether an entry can match an action of a service (lower case)."""
    prefix = entry.partition(":")[0].lower()
    return prefix == service or not is_literal(prefix)


class ServiceActions:
    """The actions of one service, about which questions are asked. `known` are all of them; None: any may exist.

    `entries` are those of all policies concerned. Raises `Undecided` if their wildcards are too complex.
    """

    def __init__(self, service: str, entries: Iterable[str], known: Iterable[str] | None) -> None:
        self._service = service
        self._is_closed = known is not None
        self._spelling: dict[str, str] = {}
        for entry in sorted(entries):
            self._spelling.setdefault(entry.lower(), entry)
        if known is None:
            named = [entry for entry in self._spelling.values() if is_literal(entry) and is_of_service(entry, service)]
            known = [*named, _WITH_OWN_RULE] if service == "kms" else named
        self._words: Mapping[str, str] = {name.lower(): name for name in known}
        self._cells: dict[frozenset[str], tuple[ActionCell, ...]] = {}

    def cells(self, entries: Iterable[str]) -> tuple[ActionCell, ...]:
        """Return all actions, grouped by those of the entries that match them."""
        distinct = frozenset(entry.lower() for entry in entries if is_of_service(entry, self._service))
        if distinct not in self._cells:
            self._cells[distinct] = tuple(self._group(distinct))
        return self._cells[distinct]

    def _group(self, entries: frozenset[str]) -> Iterator[ActionCell]:
        globs = {entry: compile_glob(entry) for entry in sorted(entries) if not is_literal(entry)}
        groups: dict[tuple[str, ...], list[str]] = {}
        for folded, name in self._words.items():
            is_distinct = folded in entries or folded == _WITH_OWN_RULE.lower()
            matching = (name,) if is_distinct else tuple(entry for entry, matches in globs.items() if matches(folded))
            groups.setdefault(matching, []).append(name)
        yield from (ActionCell(names[0], tuple(sorted(names))) for names in groups.values())
        if not self._is_closed:
            yield from self._unnamed([*globs])

    def _unnamed(self, globs: list[str]) -> Iterator[ActionCell]:
        """Yield one made-up action for each combination of wildcards that an unnamed action can match."""
        some = (Wildcard.ONE_IN_FIELD, Wildcard.RUN_IN_FIELD)
        work, languages = Work(), [Language((f"{self._service}:", *some), words=frozenset(self._words))]
        for pattern in (read_wildcards(glob) for glob in globs if glob != "*"):
            split = [
                part
                for language in languages
                for part in (language.meet(pattern), language._replace(excluded=language.excluded | {pattern}))
                if part.find(work) is not None
            ]
            if len(split) > MAX_CELLS:
                raise Undecided(f"the actions of {self._service} in the policies have too many combinations")
            languages = split
        for language in languages:
            action = language.find(work)
            if action is not None:
                yield ActionCell(action, (self._name(action, globs),))

    def _name(self, action: str, globs: list[str]) -> str:
        """Return the narrowest wildcard that matches an action, as written."""
        matching = [glob for glob in globs if glob != "*" and compile_glob(glob)(action)]
        patterns: dict[str, Pattern] = {glob: read_wildcards(glob) for glob in matching}
        for glob, pattern in patterns.items():
            if not any(includes(pattern, other) and not includes(other, pattern) for other in patterns.values()):
                return self._spelling.get(glob, glob)
        return f"{self._service}:*"

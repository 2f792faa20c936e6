"""The policies of one type that are attached to one place, and which of their statements can speak about a request.

The statements are found by action, then by resource, so that a decision costs the same with ten statements or a hundred
thousand. By action: each document's own index, asked once per action and remembered here. By resource, where many
statements are about one action: a resource written out in full is looked up in a dictionary; one with a wildcard or a
variable is looked up by the text before it, once for each length that occurs; the rest (`*`, `NotResource`, no resource
element) always speaks. An index finds every statement that could apply and some that do not: whether one does apply is
`matching_statements`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from iam_guard.evaluation.compiler import MAX_ACTIONS, CompiledPolicy
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, is_literal, literal_prefix
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.decision import Reason
from iam_guard.policy.grammar import WITH_PRINCIPAL

_FEW = 8
"""Statements that are tried one after the other sooner than looked up."""


class Candidate:
    """A statement that is about the action of a request, and its policy. `place` is its place among the others.

    `names_principals`: the policy's statements say whom they are about, and one that does not is about nobody (G-31).
    """

    __slots__ = ("_reason", "names_principals", "place", "policy", "statement")

    def __init__(self, policy: CompiledPolicy, statement: CompiledStatement, place: int = 0) -> None:
        self.policy = policy
        self.statement = statement
        self.place = place
        self.names_principals = policy.ref.type in WITH_PRINCIPAL
        self._reason: Reason | None = None

    @property
    def reason(self) -> Reason:
        """The reason that a decision carries when the statement speaks; made once."""
        if self._reason is None:
            self._reason = _reason(self.policy, self.statement)
        return self._reason


def _reason(policy: CompiledPolicy, statement: CompiledStatement) -> Reason:
    written = statement.statement
    return Reason(
        policy_type=policy.ref.type,
        effect=written.effect.value,
        policy=policy.ref,
        statement=written.index,
        sid=written.sid,
        line=None if written.position is None else written.position.line,
    )


Candidates: TypeAlias = tuple[Candidate, ...]


class MatchingStatements(NamedTuple):
    """The statements that are about one action."""

    denies: Candidates | ResourceIndex
    allows: Candidates | ResourceIndex


class Layer(tuple[CompiledPolicy, ...]):
    """The policies, in order. Safe to share between threads."""

    has_denies: bool
    """Whether any of its statements is a Deny, whatever it is about."""
    _by_action: dict[str, MatchingStatements]

    def __init__(self, policies: Iterable[CompiledPolicy] = ()) -> None:  # `policies` are what the tuple is made of
        self.has_denies = any(statement.denies for policy in self for statement in policy.content.statements)
        self._by_action = {}

    def denies(self, action: str, resource: str) -> Candidates:
        """Return the Deny statements that can apply, in order; `action` is in lower case."""
        found = (self._by_action.get(action) or self._resolve(action)).denies
        return found if isinstance(found, tuple) else found.find(resource)

    def allows(self, action: str, resource: str) -> Candidates:
        """Return the Allow statements that can apply, in order; `action` is in lower case."""
        found = (self._by_action.get(action) or self._resolve(action)).allows
        return found if isinstance(found, tuple) else found.find(resource)

    def _resolve(self, action: str) -> MatchingStatements:
        about = [(policy, statement) for policy in self for statement in policy.content.about(action)]
        candidates = [Candidate(policy, statement, place) for place, (policy, statement) in enumerate(about)]
        found = MatchingStatements(
            denies=_indexed(tuple(candidate for candidate in candidates if candidate.statement.denies)),
            allows=_indexed(tuple(candidate for candidate in candidates if not candidate.statement.denies)),
        )
        if len(self._by_action) >= MAX_ACTIONS:  # actions may come from callers: forget rather than grow
            self._by_action.clear()
        self._by_action[action] = found
        return found


NO_POLICY = Layer()


def _indexed(candidates: Candidates) -> Candidates | ResourceIndex:
    return candidates if len(candidates) <= _FEW else ResourceIndex(candidates)


class ResourceIndex:
    """Many statements about one action, by resource."""

    __slots__ = ("_exact", "_lengths", "_prefixes")

    def __init__(self, candidates: Candidates) -> None:
        exact: dict[str, list[Candidate]] = {}
        prefixes: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            keys = set(_keys(candidate.statement))
            for text, is_whole in [_ALWAYS] if _ALWAYS in keys else keys:
                (exact if is_whole else prefixes).setdefault(text, []).append(candidate)
        self._exact = {text: tuple(found) for text, found in exact.items()}
        self._prefixes = {text: tuple(found) for text, found in prefixes.items()}
        self._lengths = tuple(sorted({len(text) for text in prefixes}))

    def find(self, resource: str) -> Candidates:
        """Return the candidates that can match a resource, in order."""
        exact = self._exact.get(resource)
        found = [] if exact is None else [exact]
        prefixes, longest = self._prefixes, len(resource)
        for length in self._lengths:
            if length > longest:
                break
            beginning = prefixes.get(resource[:length])
            if beginning is not None:
                found.append(beginning)
        if len(found) <= 1:
            return found[0] if found else ()
        distinct = {each.place: each for some in found for each in some}
        return tuple(sorted(distinct.values(), key=attrgetter("place")))


_ALWAYS = "", False
"""The key of a statement that can apply to whatever the resource begins with."""


def _keys(statement: CompiledStatement) -> Iterator[tuple[str, bool]]:
    """Return what a matching resource begins with, or is; nothing to begin with is for statements that always speak."""
    entries = statement.statement.resources
    if entries is None:
        yield _ALWAYS
        return
    for entry in entries:
        is_whole = is_literal(entry) and entry.count(":") >= ARN_FIELDS - 1  # a shorter one is completed, G-64
        yield (entry, True) if is_whole else (literal_prefix(entry), False)

"""A layer: the policies of one type at one attachment point, indexed by action and resource.

The index keeps the cost of a decision the same for ten statements or a hundred thousand. By action: each document's own
index, queried once per action and cached here. By resource, if many statements are about one action: a full ARN is
found in a dictionary; one with a wildcard or a variable by its literal prefix, one lookup for each prefix length; other
statements (`*`, `NotResource`, no resource element) are always candidates. The index returns every statement that could
apply and some that do not; `matching_statements` decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from iam_guard.evaluation.compiler import MAX_ACTIONS, CompiledPolicy
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, is_literal, literal_prefix
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.matching.referenced_keys import keys_of_document
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.decision import Reason
from iam_guard.policy.grammar import WITH_PRINCIPAL

_MAX_SCANNED = 8
"""Up to this number of statements a scan is faster than the index."""


class Candidate:
    """A statement about the action of a request, and its policy. `place` is its position in the layer.

    `names_principals`: the policy type has principals; a statement without any matches no caller (G-31).
    """

    def __init__(self, policy: CompiledPolicy, statement: CompiledStatement, place: int = 0) -> None:
        self.policy = policy
        self.statement = statement
        self.place = place
        self.names_principals = policy.ref.type in WITH_PRINCIPAL

    @cached_property
    def reason(self) -> Reason:
        """The decision's reason if the statement applies."""
        written = self.statement.statement
        return Reason(
            policy_type=self.policy.ref.type,
            effect=written.effect.value,
            policy=self.policy.ref,
            statement=written.index,
            sid=written.sid,
            line=None if written.position is None else written.position.line,
        )

    @cached_property
    def hit(self) -> Hit:
        """The hit if the statement applies, without how it names the caller."""
        return Hit(self, self.reason)


class Hit(NamedTuple):
    """A statement that applies, the decision's reason if it decides, and how it names the caller.

    `principal_match` is None for a policy type without principals, and for every Deny.
    """

    candidate: Candidate
    reason: Reason
    principal_match: PrincipalMatch | None = None


Candidates: TypeAlias = tuple[Candidate, ...]


class MatchingStatements(NamedTuple):
    """The statements that are about one action."""

    denies: Candidates | ResourceIndex
    allows: Candidates | ResourceIndex


class Layer(tuple[CompiledPolicy, ...]):
    """The policies, in order. Safe to share between threads."""

    has_denies: bool
    """Whether any of its statements is a Deny, for any action."""
    _by_action: dict[str, MatchingStatements]

    def __init__(self, policies: Iterable[CompiledPolicy] = ()) -> None:  # `policies` are what the tuple is made of
        self.has_denies = any(statement.denies for policy in self for statement in policy.content.statements)
        self._by_action = {}

    @cached_property
    def keys(self) -> frozenset[str]:
        """The condition keys that its statements reference, in lower case."""
        return frozenset(key.lower() for policy in self for key in keys_of_document(policy.content.document))

    def about(self, action: str) -> MatchingStatements:
        """Return the statements that are about an action in lower case."""
        return self._by_action.get(action) or self._resolve(action)

    def denies(self, action: str, resource: str) -> Candidates:
        """Return the Deny statements that can apply, in order; `action` is in lower case."""
        denies, _ = self._by_action.get(action) or self._resolve(action)
        return denies if isinstance(denies, tuple) else denies.find(resource)

    def allows(self, action: str, resource: str) -> Candidates:
        """Return the Allow statements that can apply, in order; `action` is in lower case."""
        _, allows = self._by_action.get(action) or self._resolve(action)
        return allows if isinstance(allows, tuple) else allows.find(resource)

    def _resolve(self, action: str) -> MatchingStatements:
        about = [(policy, statement) for policy in self for statement in policy.content.about(action)]
        candidates = [Candidate(policy, statement, place) for place, (policy, statement) in enumerate(about)]
        matching = MatchingStatements(
            denies=_indexed(tuple(candidate for candidate in candidates if candidate.statement.denies)),
            allows=_indexed(tuple(candidate for candidate in candidates if not candidate.statement.denies)),
        )
        if len(self._by_action) >= MAX_ACTIONS:  # actions may come from callers: bound the cache
            self._by_action.clear()
        self._by_action[action] = matching
        return matching


NO_POLICY = Layer()


def _indexed(candidates: Candidates) -> Candidates | ResourceIndex:
    return candidates if len(candidates) <= _MAX_SCANNED else ResourceIndex(candidates)


class ResourceIndex:
    """An index of many statements about one action, by resource."""

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
            with_prefix = prefixes.get(resource[:length])
            if with_prefix is not None:
                found.append(with_prefix)
        if len(found) <= 1:
            return found[0] if found else ()
        distinct = {candidate.place: candidate for candidates in found for candidate in candidates}
        return tuple(sorted(distinct.values(), key=attrgetter("place")))


_ALWAYS = "", False
"""The key of a statement that can apply to any resource."""


def _keys(statement: CompiledStatement) -> Iterator[tuple[str, bool]]:
    """Yield each literal prefix of a matching resource, and whether it is the whole resource."""
    entries = statement.statement.resources
    if entries is None:
        yield _ALWAYS
        return
    for entry in entries:
        is_whole = is_literal(entry) and entry.count(":") >= ARN_FIELDS - 1  # a shorter one is completed, G-64
        yield (entry, True) if is_whole else (literal_prefix(entry), False)

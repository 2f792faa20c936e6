"""Policy coverage: which parts of each policy a suite of decisions made true and false.

A *target* is one thing to be made true or false: a whole statement (it applies, it does not), and each of its elements
and conditions. What can only be true (`Action: "*"`) is no target for false. Results are a growing set, so more tests
never cover less. A policy is identified by its digest: the same content is the same policy, wherever it is attached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.statement_coverage import CONDITION
from iam_guard.model.decision import Decision, PolicyType
from iam_guard.policy.document import Document, Statement
from iam_guard.policy.renderer import to_json
from iam_guard.testing.coverage.policy_sources import LocatedPolicy, PolicyFile, policy_text
from iam_guard.testing.yaml_nodes import LineAndColumn, Steps

STATEMENT = "Statement"
"""The element name of targets that are a whole statement."""


class Target(NamedTuple):
    """One target: the statement's index (from 0), the element, and the truth value."""

    statement: int
    element: str
    truth: bool


@dataclass(slots=True)
class SeenPolicy:
    """A policy that made decisions, and the targets reached."""

    text: str
    type: PolicyType
    names: set[str] = field(default_factory=set)
    made: set[Target] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class CoverageGap:
    """A target in a file that was never reached."""

    target: Target
    place: LineAndColumn
    what: str
    """A description: `Deny Statement[1] `NoSecrets`` or `StringEquals docs:Kind`."""
    is_implied: bool
    """Whether another gap implies it, since evaluation of the statement never got that far."""

    def __str__(self) -> str:
        return f"{self.what} was never {str(self.target.truth).lower()}"


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """The coverage of one file, or of one policy of a store."""

    file: PolicyFile
    statements: int
    missed: int
    """The number of statements that never applied."""
    targets: int
    gaps: tuple[CoverageGap, ...]

    @property
    def covered(self) -> int:
        return self.targets - len(self.gaps)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The columns of reports: statements, missed ones, targets, covered ones."""
        return self.statements, self.missed, self.targets, self.covered


class PolicyCoverage:
    """The results so far. Thread-safe."""

    def __init__(self) -> None:
        self.seen: dict[str, SeenPolicy] = {}
        self._lock = Lock()

    def add(self, authorizer: Authorizer, decision: Decision) -> None:
        """Add a decision of an authorizer."""
        evaluated_statements = list(authorizer.evaluated_statements(decision))
        with self._lock:
            for statement in evaluated_statements:
                seen = self._policy(statement.content.document, statement.policy.type)
                seen.names.add(statement.policy.arn or statement.policy.name)
                made, index = seen.made, statement.statement
                made.add(Target(index, STATEMENT, statement.applies))
                for element, truth in statement.elements:
                    made.add(Target(index, element, truth))

    def _policy(self, document: Document, type: PolicyType) -> SeenPolicy:
        seen = self.seen.get(document.digest)
        if seen is None:
            has_places = any(statement.position is not None for statement in document.statements)
            text = document.text if has_places else to_json(document, 2)
            seen = self.seen[document.digest] = SeenPolicy(text, type)
        return seen

    def of_files(self, files: Iterable[PolicyFile]) -> list[FileCoverage]:
        """Return the coverage of the policies in files, including those that made no decision."""
        return [_of_file(file, self.seen) for file in files]

    def of_all_seen(self) -> list[FileCoverage]:
        """Return the coverage of all policies that made decisions."""
        seen = sorted(self.seen.values(), key=lambda policy: (sorted(policy.names), policy.text))
        return [_of_seen(policy) for policy in seen]

    # --- transfer between processes ------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Any]:
        """Return the results as plain values."""
        return {
            digest: {
                "text": policy.text,
                "type": policy.type.value,
                "names": sorted(policy.names),
                "made": sorted([target.statement, target.element, target.truth] for target in policy.made),
            }
            for digest, policy in self.seen.items()
        }

    def merge(self, results: Mapping[str, Any]) -> None:
        """Add the `to_plain` of another process."""
        with self._lock:
            for digest, policy in results.items():
                seen = self.seen.setdefault(digest, SeenPolicy(policy["text"], PolicyType(policy["type"])))
                seen.names.update(policy["names"])
                seen.made.update(Target(*target) for target in policy["made"])


def percent(files: Iterable[FileCoverage]) -> float | None:
    """Return the percentage of all targets that were reached; None without targets."""
    files = list(files)
    targets = sum(file.targets for file in files)
    return 100.0 * sum(file.covered for file in files) / targets if targets else None


# --- targets -----------------------------------------------------------------------------------------------------


def targets_of(statement: Statement) -> Iterator[Target]:
    """Return the targets of a statement."""
    elements = list(_elements(statement))
    can_be_false = any(is_twofold for _, is_twofold in elements) or bool(statement.conditions)
    for name, is_twofold in ((STATEMENT, can_be_false), *elements):
        yield Target(statement.index, name, True)
        if is_twofold:
            yield Target(statement.index, name, False)
    for number in range(len(statement.conditions)):
        yield Target(statement.index, f"{CONDITION}/{number}", True)
        yield Target(statement.index, f"{CONDITION}/{number}", False)


def _elements(statement: Statement) -> Iterator[tuple[str, bool]]:
    """Return the elements of a statement, and whether they can be false."""
    if statement.principals is not None:
        yield "Principal", ("AWS", "*") not in statement.principals
    for name, entries in (("Action", statement.actions), ("Resource", statement.resources)):
        if entries is not None:
            yield name, "*" not in entries
    for name, excepted in (
        ("NotPrincipal", statement.not_principals),
        ("NotAction", statement.not_actions),
        ("NotResource", statement.not_resources),
    ):
        if excepted is not None:
            yield name, bool(excepted)


def _of_seen(seen: SeenPolicy) -> FileCoverage:
    """Return the coverage of a policy by its own text, whose digest differs if a mapping was normalized.

    Its name is its first one, with the number of others.
    """
    first, *more = sorted(seen.names)
    file = policy_text(seen.text, f"{first} (+{len(more)})" if more else first, seen.type)
    return _of_file(file, {policy.document.digest: seen for policy in file.policies})


def _of_file(file: PolicyFile, seen: Mapping[str, SeenPolicy]) -> FileCoverage:
    statements, missed, targets = 0, 0, 0
    gaps: list[CoverageGap] = []
    for policy in file.policies:
        covered = seen.get(policy.document.digest)
        made = set() if covered is None else covered.made
        for statement in policy.document.statements:
            expected = list(targets_of(statement))
            statements += 1
            missed += Target(statement.index, STATEMENT, True) not in made
            targets += len(expected)
            gaps += [_gap(policy, statement, target, made) for target in expected if target not in made]
    gaps.sort(key=lambda gap: (gap.place, gap.target))
    return FileCoverage(file, statements, missed, targets, tuple(gaps))


def _gap(policy: LocatedPolicy, statement: Statement, target: Target, made: set[Target]) -> CoverageGap:
    steps: Steps = "Statement", statement.index
    name = f" `{statement.sid}`" if statement.sid else ""
    what = f"{statement.effect.value} Statement[{statement.index}]{name}"
    element, _, number = target.element.partition("/")
    if element == CONDITION:
        test = statement.conditions[int(number)]
        steps, what = (*steps, CONDITION, test.operator, test.key), f"{test.operator} {test.key} of {what}"
    elif element != STATEMENT:
        steps, what = (*steps, element), f"{element} of {what}"
    return CoverageGap(target, policy.locate(steps), what, _is_implied(target, made))


def _is_implied(target: Target, made: set[Target]) -> bool:
    """Return whether another gap implies this one: the statement never applied, and the element was never evaluated."""
    applies = Target(target.statement, STATEMENT, True)
    if target.element == STATEMENT:
        return target.truth is False and applies not in made
    return applies not in made and target._replace(truth=not target.truth) not in made

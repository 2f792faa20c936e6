"""Policy coverage: what a suite of decisions made true and false of each policy, and what it never did.

A *target* is one thing to be made true or false: a whole statement (it applies, it does not), and each of its elements
and conditions. What can be neither by its wording (`Action: "*"` is never false) is no target. Only what happened is
kept, as a set that grows, so more tests never cover less of a policy. A policy is known by its digest: the same content
is the same policy, wherever it is attached or written.
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
from iam_guard.testing.policy_sources import Located, PolicyFile, policy_text
from iam_guard.testing.yaml_nodes import LineAndColumn, Steps

STATEMENT = "Statement"
"""The name of the target that is a whole statement."""

_EVERYTHING = "*"


class Target(NamedTuple):
    """One thing to be made true or false: of which statement (counted from 0), which element, and what."""

    statement: int
    element: str
    truth: bool


@dataclass(slots=True)
class SeenPolicy:
    """A policy that decisions were made with, and what they made of it."""

    text: str
    type: PolicyType
    names: set[str] = field(default_factory=set)
    made: set[Target] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class CoverageGap:
    """A target that was never reached, in a file."""

    target: Target
    place: LineAndColumn
    what: str
    """As people say it: `Deny Statement[1] `NoSecrets`` or `StringEquals docs:Kind`."""
    is_implied: bool
    """Whether it goes without saying, since the statement was never asked as far as this."""

    def __str__(self) -> str:
        return f"{self.what} was never {str(self.target.truth).lower()}"


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """How one file, or one policy of a store, was tested."""

    file: PolicyFile
    statements: int
    missed: int
    """Statements that never applied."""
    targets: int
    gaps: tuple[CoverageGap, ...]

    @property
    def covered(self) -> int:
        return self.targets - len(self.gaps)


class PolicyCoverage:
    """What was seen so far. Safe to share between threads."""

    def __init__(self) -> None:
        self.seen: dict[str, SeenPolicy] = {}
        self._lock = Lock()

    def note(self, authorizer: Authorizer, decision: Decision) -> None:
        """Take in a decision of an authorizer."""
        exercised = list(authorizer.exercised(decision))
        with self._lock:
            for each in exercised:
                seen = self._policy(each.content.document, each.policy.type)
                seen.names.add(each.policy.arn or each.policy.name)
                made, index = seen.made, each.statement
                made.add(Target(index, STATEMENT, each.applies))
                for element, truth in each.elements:
                    made.add(Target(index, element, truth))

    def _policy(self, document: Document, type: PolicyType) -> SeenPolicy:
        seen = self.seen.get(document.digest)
        if seen is None:
            has_places = any(statement.position is not None for statement in document.statements)
            text = document.text if has_places else to_json(document, 2)
            seen = self.seen[document.digest] = SeenPolicy(text, type)
        return seen

    def of_files(self, files: Iterable[PolicyFile]) -> list[FileCoverage]:
        """Return how the policies of files were tested, those that no decision was made with too."""
        return [_of_file(file, self.seen) for file in files]

    def of_all_seen(self) -> list[FileCoverage]:
        """Return how the policies that decisions were made with were tested."""
        seen = sorted(self.seen.values(), key=lambda each: (sorted(each.names), each.text))
        return [_of_seen(each) for each in seen]

    # --- from one process to another -----------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            digest: {
                "text": each.text,
                "type": each.type.value,
                "names": sorted(each.names),
                "made": sorted([target.statement, target.element, target.truth] for target in each.made),
            }
            for digest, each in self.seen.items()
        }

    def merge(self, given: Mapping[str, Any]) -> None:
        """Add what `to_dict` gave elsewhere."""
        with self._lock:
            for digest, each in given.items():
                seen = self.seen.setdefault(digest, SeenPolicy(each["text"], PolicyType(each["type"])))
                seen.names.update(each["names"])
                seen.made.update(Target(*made) for made in each["made"])


def percent(files: Iterable[FileCoverage]) -> float | None:
    """Return the share of all targets that were reached; None where there are none."""
    counted = [(file.covered, file.targets) for file in files]
    targets = sum(total for _, total in counted)
    return 100.0 * sum(covered for covered, _ in counted) / targets if targets else None


def _name(seen: SeenPolicy) -> str:
    """Name a policy of a store; one that is attached in several places by the first, and how many more."""
    first, *more = sorted(seen.names)
    return f"{first} (+{len(more)})" if more else first


# --- targets -----------------------------------------------------------------------------------------------------


def targets_of(statement: Statement) -> Iterator[Target]:
    """Return what there is to be made true or false of a statement."""
    elements = list(_elements(statement))
    can_be_false = any(each for _, each in elements) or bool(statement.conditions)
    for name, is_twofold in ((STATEMENT, can_be_false), *elements):
        yield Target(statement.index, name, True)
        if is_twofold:
            yield Target(statement.index, name, False)
    for number in range(len(statement.conditions)):
        yield Target(statement.index, f"{CONDITION}/{number}", True)
        yield Target(statement.index, f"{CONDITION}/{number}", False)


def _elements(statement: Statement) -> Iterator[tuple[str, bool]]:
    """Return the elements that are written down, and whether they can be false."""
    if statement.principals is not None:
        yield "Principal", ("AWS", _EVERYTHING) not in statement.principals
    if statement.not_principals is not None:
        yield "NotPrincipal", bool(statement.not_principals)
    for name, entries in (("Action", statement.actions), ("Resource", statement.resources)):
        if entries is not None:
            yield name, _EVERYTHING not in entries
    for name, entries in (("NotAction", statement.not_actions), ("NotResource", statement.not_resources)):
        if entries is not None:
            yield name, bool(entries)


def _of_seen(seen: SeenPolicy) -> FileCoverage:
    """Tell of a policy by its own text, whose digest is another one where a mapping was written out in normal form."""
    file = policy_text(seen.text, _name(seen), seen.type)
    return _of_file(file, {policy.document.digest: seen for policy in file.policies})


def _of_file(file: PolicyFile, seen: Mapping[str, SeenPolicy]) -> FileCoverage:
    statements, missed, targets = 0, 0, 0
    gaps: list[CoverageGap] = []
    for policy in file.policies:
        known = seen.get(policy.document.digest)
        made = set() if known is None else known.made
        for statement in policy.document.statements:
            wanted = list(targets_of(statement))
            statements += 1
            missed += Target(statement.index, STATEMENT, True) not in made
            targets += len(wanted)
            gaps += [_gap(policy, statement, each, made) for each in wanted if each not in made]
    gaps.sort(key=lambda gap: (gap.place, gap.target))
    return FileCoverage(file, statements, missed, targets, tuple(gaps))


def _gap(policy: Located, statement: Statement, target: Target, made: set[Target]) -> CoverageGap:
    place = policy.locate(_steps(statement, target))
    return CoverageGap(target, place, _what(statement, target), _is_implied(target, made))


def _is_implied(target: Target, made: set[Target]) -> bool:
    """Return whether a statement that never applied says enough: the element was never asked at all."""
    applies = Target(target.statement, STATEMENT, True)
    if target.element == STATEMENT:
        return target.truth is False and applies not in made
    return applies not in made and target._replace(truth=not target.truth) not in made


def _steps(statement: Statement, target: Target) -> Steps:
    steps: Steps = "Statement", statement.index
    if target.element == STATEMENT:
        return steps
    if not target.element.startswith(f"{CONDITION}/"):
        return *steps, target.element
    test = statement.conditions[_condition(target)]
    return *steps, CONDITION, test.operator, test.key


def _what(statement: Statement, target: Target) -> str:
    named = f" `{statement.sid}`" if statement.sid else ""
    whole = f"{statement.effect.value} Statement[{statement.index}]{named}"
    if target.element == STATEMENT:
        return whole
    if not target.element.startswith(f"{CONDITION}/"):
        return f"{target.element} of {whole}"
    test = statement.conditions[_condition(target)]
    return f"{test.operator} {test.key} of {whole}"


def _condition(target: Target) -> int:
    return int(target.element.partition("/")[2])

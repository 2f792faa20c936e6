"""The entry point of the linter: policies in, findings out, in the order of the file.

A policy that can't be read has one finding. All other policies are checked for what is always refused, against the
language checks (`policy/document_check`), and with the linter's own rules. Each place has at most one finding per code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from iam_guard.analysis.lint.lint_codes import HINTS, OWN_LEVELS, SEVERITIES, level_of_code
from iam_guard.analysis.lint.reference_index import ReferenceIndex
from iam_guard.analysis.lint.rules import actions, conditions, grants, redundancy, resources
from iam_guard.analysis.lint.sources import LintedFile, PolicySource
from iam_guard.analysis.lint.subject import LintRule, Subject
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.errors import PolicyError
from iam_guard.model.reference import ServiceReference
from iam_guard.policy.document import Position
from iam_guard.policy.document_check import CHECKS, STORED
from iam_guard.policy.document_refusals import REFUSALS, Scope
from iam_guard.policy.fault import Fault, Rule
from iam_guard.policy.finding_codes import LEVELS, Level
from iam_guard.policy.json_tree import Path, steps_of
from iam_guard.policy.parser import read

LANGUAGE_RULES: tuple[Rule, ...] = (
    *(row.rule for row in REFUSALS if row.scope is Scope.ALWAYS),
    *STORED,
    *CHECKS,
)
"""Rules that need only the policy."""

LINTER_RULES: tuple[LintRule, ...] = (
    actions.unknown_service,
    actions.unknown_action,
    resources.resource_not_taken,
    resources.action_without_resource,
    conditions.unknown_key,
    conditions.key_not_supplied,
    conditions.wrong_operator,
    conditions.missing_qualifier,
    conditions.qualified_single_value,
    conditions.string_operator_on_arn,
    conditions.caller_supplied_key,
    grants.allow_everything,
    grants.negated_element,
    grants.wildcard_principal,
    grants.service_without_source,
    grants.every_role,
    redundancy.covered_action,
    redundancy.covered_resource,
    redundancy.covered_statement,
    redundancy.denied_statement,
)
"""Rules that need the references, or that compare parts of the policy."""

_AT_MEMBER_NAME = frozenset(
    {"INVALID_POLICY_ELEMENT", "INVALID_PRINCIPAL_KEY", "INVALID_CONDITION_OPERATOR", "NULL_WITH_IF_EXISTS"}
    | {"UNSUPPORTED_ELEMENT_COMBINATION", "DUPLICATE_KEYS_WITH_DIFFERENT_CASE"}
)
"""Codes of unreadable policies that are reported at the name of a member."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One finding. `line` and `column` count from 1; `place` is a JSON pointer.

    `policy` is the name of the policy in the file; empty if the file is the policy.
    """

    level: Level
    code: str
    message: str
    hint: str
    file: str
    line: int
    column: int
    place: str
    policy: str = ""
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A suppressed code. `pattern` matches the file, the name of the policy or the `Sid`."""

    code: str
    pattern: str = "*"

    @classmethod
    def of(cls, text: str) -> Ignored:
        """Parse `CODE` or `CODE@PATTERN`. Raises `ValueError` for an unknown code."""
        code, at, pattern = text.partition("@")
        if code not in LEVELS and code not in OWN_LEVELS:
            raise ValueError(f"unknown code `{code}`")
        return cls(code, pattern if at else "*")

    def matches(self, finding: LintFinding) -> bool:
        """Return whether the finding is suppressed."""
        names = (finding.file, finding.policy, finding.sid)
        return finding.code == self.code and any(fnmatchcase(name, self.pattern) for name in names if name)


@dataclass(slots=True)
class Linter:
    """Checks policies. `references` extend those of IAM and STS; with any given, all services are known.

    `least` is the lowest reported level, `ignored` are suppressed findings, `partition` is the one of our own ARNs.
    `rules` are further rules, about the application that policies are for.
    """

    references: Sequence[ServiceReference] = ()
    least: Level = "SUGGESTION"
    ignored: Sequence[Ignored] = ()
    partition: str = "aws"
    rules: Sequence[LintRule] = ()
    _index: ReferenceIndex = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._index = ReferenceIndex(with_own_references(self.references), is_all=bool(self.references))

    def lint(self, file: LintedFile) -> list[LintFinding]:
        """Return the findings of a file, by position."""
        found = [_finding(part.code, part.message, file.name, part.position) for part in file.unreadable]
        for policy in file.policies:
            found.extend(self._policy(file, policy))
        reported = [finding for finding in found if self._is_reported(finding)]
        return sorted(reported, key=lambda finding: (finding.line, finding.column, finding.code))

    def _is_reported(self, finding: LintFinding) -> bool:
        is_high = SEVERITIES.index(finding.level) >= SEVERITIES.index(self.least)
        return is_high and not any(ignored.matches(finding) for ignored in self.ignored)

    def _policy(self, file: LintedFile, policy: PolicySource) -> Iterator[LintFinding]:
        try:
            reading = read(policy.text, policy.type, partition=self.partition)
        except PolicyError as error:
            code, place = error.finding or "JSON_SYNTAX_ERROR", error.place or ""
            position = policy.locate(steps_of(place), code in _AT_MEMBER_NAME)
            if error.line is not None and policy.shift is not None:  # the file contains the policy as text
                lines, columns = policy.shift
                position = Position(error.line + lines, (error.column or 0) + columns, 0)
            yield _finding(code, error.message, file.name, position, place, policy.name)
            return
        subject = Subject(reading, self._index)
        seen: set[tuple[str, Path]] = set()
        for fault in _faults(subject, self.rules):
            if (fault.code, fault.path) not in seen:
                seen.add((fault.code, fault.path))
                position = policy.locate(fault.path, fault.name)
                sid = _sid(subject, fault)
                place = reading.source.locate(fault.path)[0]
                yield _finding(fault.code, fault.message, file.name, position, place, policy.name, sid)


def _faults(subject: Subject, rules: Sequence[LintRule]) -> Iterable[Fault]:
    for rule in LANGUAGE_RULES:
        yield from rule(subject.reading)
    for linter_rule in (*LINTER_RULES, *rules):
        yield from linter_rule(subject)


def _sid(subject: Subject, fault: Fault) -> str:
    match fault.path:
        case ("Statement", int() as index, *_) if index < len(subject.document.statements):
            return subject.document.statements[index].sid or ""
    return ""


def _finding(
    code: str, message: str, file: str, position: Position | None, place: str = "", policy: str = "", sid: str = ""
) -> LintFinding:
    line, column = (1, 0) if position is None else (position.line, position.column)
    return LintFinding(level_of_code(code), code, message, HINTS[code], file, line, column + 1, place, policy, sid)

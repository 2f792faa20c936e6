"""The door of the linter: policies in, findings out, in the order of the file.

A policy that cannot be read has one finding. Of any other, everything is looked at: what makes it be refused whatever
it is for, what the language's checks say (`policy/document_check`), and the linter's own rules. One place has one
finding of a code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from iam_guard.analysis.lint.lint_codes import HINTS, OWN_LEVELS, SEVERITIES, level_of_code
from iam_guard.analysis.lint.reference_index import Known
from iam_guard.analysis.lint.rules import actions, conditions, grants, redundancy, resources
from iam_guard.analysis.lint.sources import LintedFile, PolicySource
from iam_guard.analysis.lint.subject import LintRule, Subject
from iam_guard.analysis.reference.own_references import own_references
from iam_guard.errors import PolicyError
from iam_guard.model.reference import ServiceReference
from iam_guard.policy.document import Position
from iam_guard.policy.document_check import CHECKS, STORED
from iam_guard.policy.document_refusals import REFUSALS, Scope
from iam_guard.policy.fault import Fault, Rule
from iam_guard.policy.finding_codes import LEVELS, Level
from iam_guard.policy.json_tree import Path
from iam_guard.policy.parser import read

OF_LANGUAGE: tuple[Rule, ...] = (
    *(row.rule for row in REFUSALS if row.scope is Scope.ALWAYS),
    *STORED,
    *CHECKS,
)
"""What needs the policy alone."""

OF_LINTER: tuple[LintRule, ...] = (
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
    conditions.from_the_caller,
    grants.allow_everything,
    grants.not_action,
    grants.not_resource,
    grants.everybody,
    grants.service_without_source,
    grants.passing_a_role,
    grants.linked_roles,
    redundancy.covered_action,
    redundancy.covered_resource,
    redundancy.covered_statement,
    redundancy.denied_statement,
)
"""What needs the references, or compares parts of the policy."""

_AT_NAME = frozenset(
    {"INVALID_POLICY_ELEMENT", "INVALID_PRINCIPAL_KEY", "INVALID_CONDITION_OPERATOR", "NULL_WITH_IF_EXISTS"}
    | {"UNSUPPORTED_ELEMENT_COMBINATION", "DUPLICATE_KEYS_WITH_DIFFERENT_CASE"}
)
"""What stands at the name of a member where the policy could not be read."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One remark. `line` and `column` count from 1; `place` is a JSON pointer in `policy`, which is empty for a file
    that is one."""

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
    """A code that is not to be told, and where: `pattern` fits the file, the name of the policy or the `Sid`."""

    code: str
    pattern: str = "*"

    @classmethod
    def of(cls, text: str) -> Ignored:
        """Read `CODE` or `CODE@PATTERN`. Raises `ValueError` for a code that is none."""
        code, at, pattern = text.partition("@")
        if code not in LEVELS and code not in OWN_LEVELS:
            raise ValueError(f"there is no code `{code}`")
        return cls(code, pattern if at else "*")

    def is_about(self, finding: LintFinding) -> bool:
        """Return whether a finding is not to be told."""
        if finding.code != self.code:
            return False
        named = (finding.file, finding.policy, finding.sid)
        return self.pattern == "*" or any(fnmatchcase(each, self.pattern) for each in named if each)


@dataclass(slots=True)
class Linter:
    """Finds what is wrong or unwise. `references` are those at hand beside IAM's and STS's; none are all of them.

    `least` is the mildest level that is told, `ignored` what is not; `partition` is the one of our own ARNs.
    """

    references: Sequence[ServiceReference] = ()
    least: Level = "SUGGESTION"
    ignored: Sequence[Ignored] = ()
    partition: str = "aws"
    _known: Known = field(init=False, repr=False)

    def __post_init__(self) -> None:
        named = {reference.name for reference in self.references}
        own = [own_reference for own_reference in own_references() if own_reference.name not in named]
        self._known = Known((*own, *self.references), is_all=bool(self.references))

    def lint(self, file: LintedFile) -> list[LintFinding]:
        """Return the findings of a file, in its order."""
        found = [*self._unreadable(file)]
        for policy in file.policies:
            found.extend(self._policy(file, policy))
        told = [each for each in found if self._is_told(each)]
        return sorted(told, key=lambda each: (each.line, each.column, each.code))

    def _is_told(self, finding: LintFinding) -> bool:
        loud = SEVERITIES.index(finding.level) >= SEVERITIES.index(self.least)
        return loud and not any(each.is_about(finding) for each in self.ignored)

    def _unreadable(self, file: LintedFile) -> Iterator[LintFinding]:
        for each in file.unreadable:
            yield _finding(each.code, each.message, file.name, each.position, "", "", "")

    def _policy(self, file: LintedFile, policy: PolicySource) -> Iterator[LintFinding]:
        try:
            reading = read(policy.text, policy.type, partition=self.partition)
        except PolicyError as error:
            code, place = error.finding or "JSON_SYNTAX_ERROR", error.place or ""
            position = policy.locate(_steps(place), code in _AT_NAME)
            if error.line is not None and policy.shift is not None:  # the text itself stands in the file
                lines, columns = policy.shift
                position = Position(error.line + lines, (error.column or 0) + columns, 0)
            yield _finding(code, error.message, file.name, position, place, policy.name, "")
            return
        subject = Subject(reading, self._known)
        seen: set[tuple[str, Path]] = set()
        for fault in _faults(subject):
            if (fault.code, fault.path) not in seen:
                seen.add((fault.code, fault.path))
                position = policy.locate(fault.path, fault.name)
                sid = _sid(subject, fault)
                place = reading.source.locate(fault.path)[0]
                yield _finding(fault.code, fault.message, file.name, position, place, policy.name, sid)


def _faults(subject: Subject) -> Iterable[Fault]:
    for rule in OF_LANGUAGE:
        yield from rule(subject.reading)
    for rule_of_linter in OF_LINTER:
        yield from rule_of_linter(subject)


def _sid(subject: Subject, fault: Fault) -> str:
    match fault.path:
        case ("Statement", int() as index, *_) if index < len(subject.document.statements):
            return subject.document.statements[index].sid or ""
    return ""


def _finding(
    code: str, message: str, file: str, position: Position | None, place: str, policy: str, sid: str
) -> LintFinding:
    line, column = (1, 0) if position is None else (position.line, position.column)
    return LintFinding(level_of_code(code), code, message, HINTS[code], file, line, column + 1, place, policy, sid)


def _steps(place: str) -> Path:
    """Take a JSON pointer apart; a number may be an index or a name, and the tree knows which."""
    names = [each.replace("~1", "/").replace("~0", "~") for each in place.split("/")[1:]]
    return tuple(int(name) if name.isdecimal() else name for name in names)

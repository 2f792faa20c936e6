"""The entry point of the linter: policies in, findings out, in the order of the file.

`examination` finds the faults of one policy; here they get their level, hint, and position in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TypeAlias

from iam_guard.analysis.lint.edits import Edit
from iam_guard.analysis.lint.examination import Examination, Examiner
from iam_guard.analysis.lint.fixes import Fixer
from iam_guard.analysis.lint.lint_codes import HINTS, OWN_LEVELS, SEVERITIES, level_of_code
from iam_guard.analysis.lint.sources import LintedFile, PolicySource
from iam_guard.analysis.lint.subject import LintRule, Subject
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.analysis.reference.reference_index import ReferenceIndex
from iam_guard.model.reference import ServiceReference
from iam_guard.policy.document import Position
from iam_guard.policy.fault import Fault
from iam_guard.policy.finding_codes import LEVELS, Level
from iam_guard.policy.json_tree import JsonText, pointer


@dataclass(frozen=True, slots=True)
class FileEdit:
    """Replaces a part of a file by `text`. Lines and columns count from 1, offsets from 0; the end is not included."""

    line: int
    column: int
    end_line: int
    end_column: int
    offset: int
    end_offset: int
    text: str


@dataclass(frozen=True, slots=True)
class LintFix:
    """A verified fix of a finding. `keeps_access`: it is proved that the same requests are allowed and denied."""

    description: str
    keeps_access: bool
    edits: tuple[FileEdit, ...]


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
    fix: LintFix | None = None


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
    `rules` are further rules, about the application that policies are for. `fixes`: look for verified fixes, too.
    """

    references: Sequence[ServiceReference] = ()
    least: Level = "SUGGESTION"
    ignored: Sequence[Ignored] = ()
    partition: str = "aws"
    rules: Sequence[LintRule] = ()
    fixes: bool = False
    _examiner: Examiner = field(init=False, repr=False)
    _for_fixes: Examiner = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index = ReferenceIndex(with_own_references(self.references), is_all=bool(self.references))
        self._examiner = Examiner(index, self.partition, tuple(self.rules))
        self._for_fixes = Examiner(index, self.partition)  # the application's rules count what they see

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
        found = self._examiner.examine(policy.text, policy.type)
        fixes = _FileFixes(self._for_fixes, file, policy) if self.fixes else None
        for fault in found.faults:
            finding = _found(file, policy, found, fault)
            is_fixable = fixes is not None and self._is_reported(finding)
            yield replace(finding, fix=fixes.fix(fault)) if fixes is not None and is_fixable else finding

    def first_fixes(self, file: LintedFile, unfixed: set[Unfixed], *, unsafe: bool) -> Iterator[LintFinding]:
        """Yield the first finding of each policy with a fix: one that keeps access, or with `unsafe` any.

        Findings in `unfixed` are left out, and those without such a fix are added to it.
        """
        for policy in file.policies:
            found = self._for_fixes.examine(policy.text, policy.type)
            fixes = _FileFixes(self._for_fixes, file, policy)
            for fault in found.faults:
                finding = _found(file, policy, found, fault)
                key = policy.name, fault.code, fault.message
                if key in unfixed or not self._is_reported(finding):
                    continue
                fix = fixes.fix(fault)
                if fix is not None and (unsafe or fix.keeps_access):
                    yield replace(finding, fix=fix)
                    break
                unfixed.add(key)


Unfixed: TypeAlias = tuple[str, str, str]
"""The policy, code and message of a finding without a fix."""


class _FileFixes:
    """The fixes of one policy, as edits of the file that it is in; none in a file of another form than JSON."""

    def __init__(self, examiner: Examiner, file: LintedFile, policy: PolicySource) -> None:
        self._fixer: Fixer | None = None
        self._policy = policy
        self._examiner = examiner
        self._lines = JsonText(file.text, None, {})

    def fix(self, fault: Fault) -> LintFix | None:
        if self._policy.written is None:
            return None
        start, end = self._policy.written
        if self._fixer is None:
            self._fixer = Fixer(self._examiner, self._lines.text[start:end], self._policy.type)
        fix = self._fixer.fix(fault)
        if fix is None:
            return None
        return LintFix(fix.description, fix.keeps_access, tuple(self._edit(edit, start) for edit in fix.edits))

    def _edit(self, edit: Edit, begin: int) -> FileEdit:
        start, end = (self._lines.position_at(begin + offset) for offset in (edit.start, edit.end))
        return FileEdit(start.line, start.column + 1, end.line, end.column + 1, start.offset, end.offset, edit.text)


def _found(file: LintedFile, policy: PolicySource, found: Examination, fault: Fault) -> LintFinding:
    position, place, sid = policy.locate(fault.path, fault.name), pointer(fault.path), ""
    error = found.error
    if found.subject is not None:
        place, sid = found.subject.reading.source.locate(fault.path)[0], _sid(found.subject, fault)
    elif error is not None and error.line is not None and policy.shift is not None:  # the file contains it as text
        lines, columns = policy.shift
        position = Position(error.line + lines, (error.column or 0) + columns, 0)
    return _finding(fault.code, fault.message, file.name, position, place, policy.name, sid)


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

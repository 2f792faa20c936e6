"""The examination of one policy text: its faults in order, each code at most once at a place.

A text that can't be read has one fault. All others are checked for what is always refused, against the language checks
(`policy/document_check`), and with the linter's own rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iam_guard.analysis.lint.rules import RULES
from iam_guard.analysis.lint.subject import LintRule, Subject
from iam_guard.analysis.reference.reference_index import ReferenceIndex
from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document_check import CHECKS, STORED
from iam_guard.policy.document_refusals import REFUSALS, Scope
from iam_guard.policy.fault import Fault, Rule
from iam_guard.policy.json_tree import Path, steps_of
from iam_guard.policy.parser import read

LANGUAGE_RULES: tuple[Rule, ...] = (
    *(row.rule for row in REFUSALS if row.scope is Scope.ALWAYS),
    *STORED,
    *CHECKS,
)
"""Rules that need only the policy."""

_AT_MEMBER_NAME = frozenset(
    {"INVALID_POLICY_ELEMENT", "INVALID_PRINCIPAL_KEY", "INVALID_CONDITION_OPERATOR", "NULL_WITH_IF_EXISTS"}
    | {"UNSUPPORTED_ELEMENT_COMBINATION", "DUPLICATE_KEYS_WITH_DIFFERENT_CASE"}
)
"""Codes of unreadable policies that are reported at the name of a member."""


@dataclass(frozen=True, slots=True)
class Examiner:
    """What policies are examined with. `partition` is that of our own ARNs, `rules` are further rules."""

    references: ReferenceIndex
    partition: str = "aws"
    rules: tuple[LintRule, ...] = ()

    def examine(self, text: str, type: PolicyType, resource_type: str | None = None) -> Examination:
        """Return the faults of a policy; `resource_type` is the type of the resource that it is attached to."""
        try:
            reading = read(text, type, partition=self.partition)
        except PolicyError as error:
            code = error.finding or "JSON_SYNTAX_ERROR"
            fault = Fault(code, error.message, steps_of(error.place or ""), name=code in _AT_MEMBER_NAME)
            return Examination((fault,), None, error)
        subject = Subject(reading, self.references, resource_type)
        first = dict[tuple[str, Path], Fault]()
        for fault in _faults(subject, self.rules):
            first.setdefault((fault.code, fault.path), fault)
        return Examination(tuple(first.values()), subject, None)


@dataclass(frozen=True, slots=True)
class Examination:
    """The faults of one policy. `subject` is None for a text that can't be read; `error` says why."""

    faults: tuple[Fault, ...]
    subject: Subject | None
    error: PolicyError | None


def _faults(subject: Subject, rules: Sequence[LintRule]) -> Iterator[Fault]:
    for rule in LANGUAGE_RULES:
        yield from rule(subject.reading)
    for linter_rule in (*RULES, *rules):
        yield from linter_rule(subject)

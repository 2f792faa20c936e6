"""Policy tests: files of cases that lie beside the policies, and what each comes to.

The cases are those of rules N. In a file they may be written shorter, for people: the principal as its ARN alone, a
policy as `file: …` beside the file of cases; and a YAML file may be a mapping with a `seed` and its `cases`, which are
then decided by a guard on that seed and have no policies of their own. A stream of cases from elsewhere has none of
this: it cannot make anybody read a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import iam_guard
from iam_guard.errors import IamGuardError, InvalidInput
from iam_guard.model.decision import Decision, Outcome
from iam_guard.policy.grammar import shown
from iam_guard.testing.case_answer import decide_entry
from iam_guard.testing.case_files import UNDECODED, entries_of_file, entries_of_text
from iam_guard.testing.case_json import CaseEntry, Unreadable
from iam_guard.testing.cases import Case, read_case
from iam_guard.testing.failure_report import failing_text
from iam_guard.testing.principal_names import principal_named

ERROR = "error"
"""What is expected of a case that must be refused."""

EXPECTED = (*Outcome, ERROR)
"""What may be expected of a case."""


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One case of a file that can be run. `line` counts from 1."""

    id: str
    line: int
    expected: str
    why: str | None
    rule: str | None
    entry: CaseEntry


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """What a case came to: its outcome, or `error` and the problem. `decision` explains an outcome."""

    outcome: str
    problem: str | None = None
    decision: Decision | None = None


class PolicyTests:
    """Decides the cases of files; opens a guard once for each seed that they name. Close it."""

    def __init__(self) -> None:
        self._guards: dict[Path, Any] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the guards."""
        self._closing.close()
        self._guards.clear()

    def decide(self, entry: CaseEntry | Unreadable) -> CaseVerdict:
        """Decide one entry of a file; what cannot be decided is an error. Never raises for a case."""
        if isinstance(entry, Unreadable):
            return CaseVerdict(ERROR, shown(entry.problem))
        try:
            decision = self.decision(entry)
        except IamGuardError as error:
            return CaseVerdict(ERROR, shown(str(error)))
        if decision.error is not None:
            return CaseVerdict(ERROR, shown(decision.error), decision)
        return CaseVerdict(decision.outcome.value, None, decision)

    def decision(self, entry: CaseEntry) -> Decision:
        """Decide a case; raise an error of the family for one that is none, or is refused."""
        entry = written_out(entry)
        if entry.seed is None:
            return decide_entry(entry)
        if isinstance(entry.given, dict) and "policies" in entry.given:
            raise InvalidInput("a case that is decided by a seed has no policies of its own", place="/policies")
        case = read_case(entry.given)
        return _by_guard(self._guard(entry.seed), case)

    def _guard(self, seed: Path) -> Any:
        if seed not in self._guards:
            self._guards[seed] = iam_guard.open_guard(seed, audit="")
            self._closing.callback(self._guards[seed].close)
        return self._guards[seed]


def _by_guard(guard: Any, case: Case) -> Decision:
    """Ask the guard about the principal as its store has it; the case's condition keys win over those supplied."""
    request = case.request
    resource = iam_guard.Resource(request.resource, request.resource_account)
    decision: Decision = guard.decide(request.principal, request.action, resource, dict(request.context))
    without_policies = [reason.note for reason in decision.reasons if reason.policy is None and reason.note is not None]
    if not decision.allowed and without_policies:
        raise InvalidInput(without_policies[0], place="/request")  # a slip in the case, and no answer of a policy
    return decision


def failure_of(test: PolicyTest, verdict: CaseVerdict) -> str | None:
    """Return what is not as expected, with the whole explanation; None where it is."""
    if verdict.outcome == test.expected:
        return None
    why = [f"why it was expected: {shown(test.why)}"] if test.why else []
    problem = [f"no decision could be made: {verdict.problem}"] if verdict.problem else []
    explained = [] if verdict.decision is None else ["", failing_text(verdict.decision)]
    return "\n".join([f"expected {test.expected}, got {verdict.outcome}", *why, *problem, *explained])


# --- reading -----------------------------------------------------------------------------------------------------


def read_policy_tests(path: Path) -> list[PolicyTest]:
    """Read the cases of a file. Raises `InvalidInput`, with file, line and column as its place, where one is none."""
    tests = [_read(entry, path, number) for number, entry in enumerate(entries_of_tests(path), 1)]
    first: dict[str, int] = {}
    for test in tests:
        if test.id in first:
            message = f"two cases have the id `{shown(test.id, 100)}`: the other is in line {first[test.id]}"
            raise InvalidInput(message, place=f"{path}:{test.line}:1")
        first[test.id] = test.line
    return tests


def entries_of_tests(path: Path) -> Iterator[CaseEntry | Unreadable]:
    """Decode the cases of a file: a `.json` is one case over many lines, or JSON lines."""
    if path.suffix == ".json":
        entries = entries_of_text(path.read_text(encoding="utf-8", errors=UNDECODED), str(path))
        yield from (replace(entry, path=path) for entry in entries)
    else:
        yield from entries_of_file(path)


def _read(entry: CaseEntry | Unreadable, path: Path, number: int) -> PolicyTest:
    line, column = entry.line or 1, entry.column or 1
    here = f"{path}:{line}:{column}"
    if isinstance(entry, Unreadable):
        raise InvalidInput(shown(entry.problem), place=here)
    if not isinstance(entry.given, dict):
        raise InvalidInput("expected a case as an object", place=here)
    id, expected, why = entry.member("id"), entry.member("expected"), entry.member("why")
    if not isinstance(id, str) or not id:
        raise InvalidInput(f"expected a text as `id` of case {number}", place=here)
    if expected not in EXPECTED:
        raise InvalidInput(f"expected one of {', '.join(EXPECTED)} as `expected` of `{shown(id, 100)}`", place=here)
    return PolicyTest(shown(id), line, str(expected), _optional(why), _optional(entry.member("rule")), entry)


def _optional(given: str | int | None) -> str | None:
    return None if given is None else str(given)


# --- what may be written shorter ---------------------------------------------------------------------------------


def written_out(entry: CaseEntry) -> CaseEntry:
    """Write out what a file of cases may have in short; raise `InvalidInput` for what cannot be."""
    given = entry.given
    if not isinstance(given, dict) or entry.path is None:
        return entry
    changed: dict[str, Any] = {}
    request, policies = given.get("request"), given.get("policies")
    if isinstance(request, dict) and isinstance(request.get("principal"), str):
        changed["request"] = {**request, "principal": _principal(request["principal"])}
    if isinstance(policies, dict) and any(map(_names_file, policies.values())):
        changed["policies"] = {kind: _with_text(each, entry.path.parent) for kind, each in policies.items()}
    if not changed:
        return entry
    shared = None if "policies" in changed else entry.shared
    return CaseEntry(entry.place, {**given, **changed}, shared, entry.line, entry.column, entry.path, entry.seed)


def _principal(given: str) -> Mapping[str, Any]:
    principal = principal_named(given)
    written = {"arn": principal.arn, "account": principal.account, "type": principal.type.value}
    return written if principal.role_arn is None else {**written, "role_arn": principal.role_arn}


def _names_file(value: Any) -> bool:
    """Return whether a document, or one in a list of levels, is named by its file."""
    if isinstance(value, dict):
        return len(value) == 1 and isinstance(value.get("file"), str)
    return isinstance(value, list) and any(map(_names_file, value))


def _with_text(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_with_text(each, folder) for each in value]
    return _text(folder / value["file"], value["file"]) if _names_file(value) else value


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot read the file `{name}`: {reason}") from None

"""Policy tests: files of cases next to the policies, and their outcomes.

The cases are those of rules N, with abbreviations: a principal may be its ARN, and a policy `file: …`, relative to the
file of cases. A YAML file may be a mapping with a `seed` and `cases`, which a guard on that seed decides. A stream of
cases has no abbreviations, so untrusted input can't read files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import iam_guard
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import shown
from iam_guard.testing.case_answer import ERROR, CaseVerdict, case_verdict, decide_entry
from iam_guard.testing.case_files import entries_of_file, entries_of_text
from iam_guard.testing.case_json import CaseEntry, Unreadable
from iam_guard.testing.case_lines import UNDECODED
from iam_guard.testing.cases import read_case
from iam_guard.testing.failure_report import failing_text, notes_without_policies
from iam_guard.testing.principal_names import principal_named

EXPECTED = (*Outcome, ERROR)
"""The possible expected outcomes of a case."""


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One valid case of a file. `line` counts from 1."""

    id: str
    line: int
    expected: str
    why: str | None
    rule: str | None
    entry: CaseEntry


class PolicyTests:
    """Decides the cases of files; opens one guard per seed. Must be closed."""

    def __init__(self) -> None:
        self._guards: dict[Path, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all guards."""
        for guard in self._guards.values():
            guard.close()
        self._guards.clear()

    def decide(self, entry: CaseEntry | Unreadable) -> CaseVerdict:
        """Decide one entry of a file. An undecidable one results in an error; never raises for a case."""
        return case_verdict(entry, self.decision)

    def decision(self, entry: CaseEntry) -> Decision:
        """Decide a case. Raises `IamGuardError` for an invalid or refused one."""
        entry = expand_entry(entry)
        if entry.seed is None:
            return decide_entry(entry)
        if isinstance(entry.content, dict) and "policies" in entry.content:
            raise InvalidInput("expected no `policies` in a case that a seed decides", place="/policies")
        return _by_guard(self._guard(entry.seed), read_case(entry.content).request)

    def _guard(self, seed: Path) -> Any:
        if seed not in self._guards:
            self._guards[seed] = iam_guard.open_guard(seed, audit="")
        return self._guards[seed]


def _by_guard(guard: Any, request: AccessRequest) -> Decision:
    """Decide with the store's principal; the case's condition keys override those of the guard."""
    resource = iam_guard.Resource(request.resource, request.resource_account)
    decision: Decision = guard.decide(request.principal, request.action, resource, dict(request.context))
    if not decision.allowed and (notes := notes_without_policies(decision)):
        raise InvalidInput(notes[0], place="/request")  # a mistake in the case, not a denial by policies
    return decision


def failure_of(test: PolicyTest, verdict: CaseVerdict) -> str | None:
    """Return how the outcome differs from the expected one, with the explanation; None if it doesn't."""
    if verdict.outcome == test.expected:
        return None
    why = [f"why it was expected: {shown(test.why)}"] if test.why else []
    problem = [f"no decision could be made: {verdict.problem}"] if verdict.problem else []
    explained = [] if verdict.decision is None else ["", failing_text(verdict.decision)]
    return "\n".join([f"expected {test.expected}, got {verdict.outcome}", *why, *problem, *explained])


# --- reading -----------------------------------------------------------------------------------------------------


def read_policy_tests(path: Path) -> list[PolicyTest]:
    """Read the cases of a file. Raises `InvalidInput`, with file, line and column, for an invalid one."""
    tests = [_read(entry, path, number) for number, entry in enumerate(entries_of_tests(path), 1)]
    first: dict[str, int] = {}
    for test in tests:
        if test.id in first:
            message = f"expected unique ids, `{shown(test.id, 100)}` is also in line {first[test.id]}"
            raise InvalidInput(message, place=f"{path}:{test.line}:1")
        first[test.id] = test.line
    return tests


def entries_of_tests(path: Path) -> Iterator[CaseEntry | Unreadable]:
    """Decode the cases of a file: a `.json` is one case on any number of lines, or JSON lines."""
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
    if not isinstance(entry.content, dict):
        raise InvalidInput("expected a case as an object", place=here)
    id, expected, why = entry.member("id"), entry.member("expected"), entry.member("why")
    if not isinstance(id, str) or not id:
        raise InvalidInput(f"expected a string as `id` of case {number}", place=here)
    if expected not in EXPECTED:
        raise InvalidInput(f"expected one of {', '.join(EXPECTED)} as `expected` of `{shown(id, 100)}`", place=here)
    return PolicyTest(shown(id), line, str(expected), _optional(why), _optional(entry.member("rule")), entry)


def _optional(value: str | int | None) -> str | None:
    return None if value is None else str(value)


# --- abbreviations -----------------------------------------------------------------------------------------------


def expand_entry(entry: CaseEntry) -> CaseEntry:
    """Expand the abbreviations of a case in a file. Raises `InvalidInput` if that fails."""
    content = entry.content
    if not isinstance(content, dict) or entry.path is None:
        return entry
    changed: dict[str, Any] = {}
    request, policies = content.get("request"), content.get("policies")
    if isinstance(request, dict) and isinstance(request.get("principal"), str):
        changed["request"] = {**request, "principal": _principal(request["principal"])}
    if isinstance(policies, dict) and any(map(_names_file, policies.values())):
        changed["policies"] = {kind: _with_text(value, entry.path.parent) for kind, value in policies.items()}
    if not changed:
        return entry
    shared = None if "policies" in changed else entry.shared
    return replace(entry, content={**content, **changed}, shared=shared)


def _principal(name: str) -> Mapping[str, Any]:
    principal = principal_named(name)
    members = {"arn": principal.arn, "account": principal.account, "type": principal.type.value}
    return members if principal.role_arn is None else {**members, "role_arn": principal.role_arn}


def _names_file(value: Any) -> bool:
    """Return whether a document, or one in a list of levels, is the name of a file."""
    if isinstance(value, dict):
        return len(value) == 1 and isinstance(value.get("file"), str)
    return isinstance(value, list) and any(map(_names_file, value))


def _with_text(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_with_text(item, folder) for item in value]
    return _text(folder / value["file"], value["file"]) if _names_file(value) else value


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot read the file `{name}`: {reason}") from None

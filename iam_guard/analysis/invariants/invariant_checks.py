"""Check invariants: that only some principals, or none, may make some requests, in a whole store.

PASS is a proof about every principal of the store and every one outside of it that a resource's policy can let in. FAIL
comes with requests that the evaluator allows. UNKNOWN is neither, and must be treated as FAIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.invariants.access_survey import AccessResult, AccessSurvey
from iam_guard.analysis.invariants.invariant_file import Invariant
from iam_guard.analysis.invariants.principal_selection import Selection
from iam_guard.analysis.invariants.store_access import StoreAccess
from iam_guard.errors import PolicyError
from iam_guard.policy.grammar import shown


@dataclass(frozen=True)
class InvariantResult:
    """The verdict about an invariant: one violation for each principal that breaks it, and what was not decided."""

    invariant: Invariant
    verdict: CheckVerdict
    violations: tuple[AccessResult, ...] = ()
    problems: tuple[str, ...] = ()


def check_invariants(
    store: StoreAccess,
    invariants: Iterable[Invariant],
    own_services: frozenset[str] = frozenset(),
    advance: Callable[[int], object] = lambda count: None,
) -> list[InvariantResult]:
    """Check invariants of a store; `advance` is called with the number of callers that were checked.

    `own_services` are the prefixes, in lower case, of the actions that the application declares (rule E-16).
    """
    return [_checked(store, invariant, own_services, advance) for invariant in invariants]


def _checked(
    store: StoreAccess, invariant: Invariant, own_services: frozenset[str], advance: Callable[[int], object]
) -> InvariantResult:
    selection = Selection(store, invariant.principals, invariant.is_only)
    violations: dict[tuple[str, str], AccessResult] = {}
    problems: list[str] = []
    if not invariant.is_only:  # an exception that is not there only makes the invariant stricter
        problems += [f"no principal is `{shown(text, 200)}`" for text in selection.unmatched()]
    for query in invariant.queries:
        survey = AccessSurvey(store, query, own_services)
        for result in _results(survey, selection, invariant, problems):
            advance(1)
            if result.found is not None:
                violations.setdefault((result.caller.kind, result.caller.name), result)
            elif result.problem is not None:
                problems.append(f"{result.caller.name}: {result.problem}")
    verdict = CheckVerdict.FAIL if violations else CheckVerdict.UNKNOWN if problems else CheckVerdict.PASS
    return InvariantResult(invariant, verdict, tuple(violations.values()), tuple(dict.fromkeys(problems)))


def _results(
    survey: AccessSurvey, selection: Selection, invariant: Invariant, problems: list[str]
) -> Iterator[AccessResult]:
    names_root = not invariant.is_only and any(pattern.is_root for pattern in invariant.principals)
    counts_root = invariant.root_users or names_root
    for caller in survey.store.callers:
        if selection.has(caller):
            yield survey.of_caller(caller, of_owner=counts_root or caller.kind != "root")
    for target in survey.granting:
        try:
            callers = survey.callers_of(target, selection)
        except (Undecided, PolicyError) as error:
            problems.append(f"{target.arn}: {error}")
            continue
        for caller in callers:
            yield survey.of_target(caller, target)

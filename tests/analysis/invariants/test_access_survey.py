"""What callers of small stores may do, compared with the evaluator's decisions about every request of a few."""

from __future__ import annotations

from collections import Counter
from random import Random

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.invariants.access_survey import AccessResult, AccessSurvey
from iam_guard.analysis.invariants.principal_selection import Selection
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from tests.analysis.checks.small_policies import OUTSIDERS
from tests.analysis.invariants.small_stores import ALL_ACTIONS, ALL_RESOURCES, SmallStore
from tests.tables import table

PASS, FAIL, UNKNOWN = CheckVerdict


def survey(store: SmallStore) -> AccessSurvey:
    return AccessSurvey(store.access(), store.query, store.own_services)


def allowed(store: SmallStore, caller: Principal, count: int, resources: list[str]) -> AccessRequest | None:
    """Return a request that the query is about and the evaluator allows, from all actions and resources."""
    for context in store.contexts(caller, count):
        for action in ALL_ACTIONS:
            for resource in resources:
                request, is_allowed = store.decide(caller, action, resource, context)
                if is_allowed and store.query.concerns(request):
                    return request
    return None


def check_witness(store: SmallStore, result: AccessResult) -> None:
    """Decide a witness again, with policies that the test combines."""
    assert result.found is not None
    request = result.found.request
    again, is_allowed = store.decide(request.principal, request.action, request.resource, {**request.context})
    assert again.resource_account == request.resource_account
    assert is_allowed, request
    assert store.query.concerns(request)


@table(("first", "count"), [(0, 40)])
def test_results_of_stored_callers_agree_with_the_evaluator(first: int, count: int) -> None:
    """PASS: the evaluator allows no request. FAIL: it allows the witness."""
    verdicts: Counter[CheckVerdict] = Counter()
    for seed in range(first, first + count):
        store = SmallStore(Random(seed))
        surveyed = survey(store)
        results: dict[str, list[AccessResult]] = {}
        for caller in surveyed.store.callers:
            results.setdefault(caller.name, []).append(surveyed.of_caller(caller))
        everyone = Selection(surveyed.store, (), is_others=True)
        for target in surveyed.targets:
            for caller in surveyed.callers_of(target, everyone):
                if not caller.is_outside:
                    results.setdefault(caller.name, []).append(surveyed.of_target(caller, target))
        for principal in store.principals:
            found = results[principal.arn]
            verdicts.update(result.verdict for result in found)
            for result in found:
                if result.verdict is FAIL:
                    check_witness(store, result)
            if all(result.verdict is PASS for result in found):
                for acting in store.acting(principal):
                    assert allowed(store, acting, 2, ALL_RESOURCES) is None, (seed, principal.arn)
    assert min(verdicts[PASS], verdicts[FAIL]) > count
    assert verdicts[UNKNOWN] <= verdicts.total() / 20, verdicts


@table(("first", "count"), [(5000, 60)])
def test_results_of_outside_callers_agree_with_the_evaluator(first: int, count: int) -> None:
    """If no caller outside of the store passes, the evaluator allows none of a few."""
    outsiders = [caller for caller in OUTSIDERS if caller.account not in ("111122223333", "444455556666")]
    verdicts: Counter[CheckVerdict] = Counter()
    for seed in range(first, first + count):
        store = SmallStore(Random(seed))
        surveyed = survey(store)
        everyone = Selection(surveyed.store, (), is_others=True)
        for target in surveyed.targets:
            callers = [caller for caller in surveyed.callers_of(target, everyone) if caller.is_outside]
            results = [surveyed.of_target(caller, target) for caller in callers]
            verdicts.update(result.verdict for result in results)
            for result in results:
                if result.verdict is FAIL:
                    check_witness(store, result)
            if all(result.verdict is PASS for result in results):
                for caller in outsiders:
                    assert allowed(store, caller, 2, [target.arn or ""]) is None, (seed, target.arn, caller.arn)
    assert verdicts[FAIL] > count / 4
    assert verdicts[UNKNOWN] <= verdicts.total() / 8, verdicts

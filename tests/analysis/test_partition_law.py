"""Law: every analysis answers alike about a policy, and about the same policy in another partition.

`IAM_GUARD_TEST_PARTITION_CASES` is the number of cases, `IAM_GUARD_TEST_PARTITION_SEED` the seed of the first.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from random import Random
from types import ModuleType
from typing import Any

from iam_guard.analysis.checks.dead_statements import check_dead_statements
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.policy_checks import (
    ListedAccess,
    check_access_not_granted,
    check_equivalent,
    check_no_new_access,
    check_no_public_access,
)
from iam_guard.analysis.escalation.escalation_search import escalation_paths
from iam_guard.analysis.findings.external_access import external_findings
from iam_guard.analysis.findings.internal_access import InternalAccess
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust
from iam_guard.analysis.invariants.access_survey import AccessSurvey
from iam_guard.analysis.invariants.principal_selection import Selection
from iam_guard.analysis.lint.examination import Examiner
from iam_guard.analysis.lint.fixes import Fixer
from iam_guard.analysis.lint.policy_validation import reference_index
from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.protocol import StoredPolicy
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.analysis.escalation import escalation_worlds, random_worlds
from tests.analysis.findings.organizations import DOCUMENTS, random_seed
from tests.analysis.lint.code_cases import references
from tests.analysis.partitions import PARTITION, generators, moved

CASES = int(os.environ.get("IAM_GUARD_TEST_PARTITION_CASES", "1000"))
SEED = int(os.environ.get("IAM_GUARD_TEST_PARTITION_SEED", "0"))
NOW = datetime(2026, 1, 31, tzinfo=UTC)
EXAMINERS = {name: Examiner(reference_index(references()), name) for name in ("aws", PARTITION)}
POLICIES = "tests.analysis.checks.small_policies"
STORES = "tests.analysis.invariants.small_stores"

Answers = Callable[[int, str], Iterator[Any]]
"""Yield what is answered about the case of a seed, in a partition, as JSON values."""


def test_answers_are_alike_in_every_partition() -> None:
    counts: Counter[str] = Counter()
    for seed in range(SEED, SEED + CASES):
        answers = KINDS[seed % len(KINDS)]
        here, there = list(answers(seed, "aws")), list(answers(seed, PARTITION))
        assert moved(without_witnesses(here)) == moved(without_witnesses(there)), (seed, answers.__name__)
        if answers in (external, internal):
            assert "aws" not in partitions_of_witnesses(there), (seed, answers.__name__, there)
        counts[answers.__name__] += len(here)
    if CASES >= 1000:
        assert counts.keys() == {answers.__name__ for answers in KINDS}
        assert min(counts.values()) >= 5, counts


def without_witnesses(answer: Any) -> Any:
    """Return an answer without its witnesses, whose texts may differ."""
    if isinstance(answer, list | tuple):
        return [without_witnesses(member) for member in answer]
    if not isinstance(answer, dict):
        return answer
    return {name: without_witnesses(member) for name, member in answer.items() if name != "witness"}


def partitions_of_witnesses(answers: list[Any]) -> set[str]:
    """Return the partitions of the callers in witnesses; `aws` also if the policies of a check name none."""
    witnesses = [answer["witness"] for answer in answers if isinstance(answer, dict) and answer.get("witness")]
    callers = [witness["request"]["principal"]["arn"] for witness in witnesses]
    return {caller.split(":")[1] for caller in callers if caller.startswith("arn:")}


# --- policies ----------------------------------------------------------------------------------------------------


def case_of(seed: int, partition: str) -> tuple[Any, PolicyType]:
    """Return a pair of policies, and their type."""
    module = policies_in(POLICIES, partition)
    kind = PolicyType.RESOURCE if Random(seed).random() < 0.75 else PolicyType.IDENTITY
    pair = module.Pair(Random(seed), is_resource=kind is PolicyType.RESOURCE, with_derived=0.5)
    return pair, kind


def policies_in(name: str, partition: str) -> ModuleType:
    return generators(name)[partition != "aws"]


def is_accepted(document: Any, kind: PolicyType) -> bool:
    try:
        parse(document, kind)
    except PolicyError:
        return False
    return True


def compared(seed: int, partition: str) -> Iterator[Any]:
    pair, kind = case_of(seed, partition)
    if is_accepted(pair.existing, kind) and is_accepted(pair.new, kind):
        check = check_no_new_access if seed % 3 else check_equivalent
        yield check(pair.existing, pair.new, kind).to_dict()


def granted(seed: int, partition: str) -> Iterator[Any]:
    pair, kind = case_of(seed, partition)
    if is_accepted(pair.new, kind):
        listed = ListedAccess(*pair.listed_access()) if seed % 2 else ListedAccess(("docs:*",))
        yield check_access_not_granted(pair.new, [listed], kind).to_dict()


def public(seed: int, partition: str) -> Iterator[Any]:
    pair, kind = case_of(seed, partition)
    if kind is PolicyType.RESOURCE and is_accepted(pair.new, kind):
        yield check_no_public_access(pair.new, "AWS::S3::Bucket").to_dict()


def dead(seed: int, partition: str) -> Iterator[Any]:
    pair, kind = case_of(seed, partition)
    if is_accepted(pair.new, kind):
        try:
            yield check_dead_statements(pair.new, kind).to_dict()
        except Undecided as error:
            yield str(error)


def fixes(seed: int, partition: str) -> Iterator[Any]:
    pair, kind = case_of(seed, partition)
    fixer = Fixer(EXAMINERS[partition], json.dumps(pair.new), kind)
    for fault in fixer.found.faults:
        fix = fixer.fix(fault)
        if fix is not None:
            yield fault.code, [edit.text for edit in fix.edits], fix.keeps_access


def external(seed: int, partition: str) -> Iterator[Any]:
    pair, kind = case_of(seed, partition)
    if kind is not PolicyType.RESOURCE or not is_accepted(pair.new, kind):
        return
    arn = policies_in(POLICIES, partition).RESOURCES[seed % 5]
    policy = StoredPolicy.of(arn, kind, None, json.dumps(pair.new))
    zone = ZoneOfTrust(frozenset({escalation_worlds.ACME}))
    shared = SharedResource(arn, escalation_worlds.ACME, kind, policy)
    yield from (finding.to_dict() for finding in external_findings(shared, zone))


# --- stores ------------------------------------------------------------------------------------------------------


def store_in(seed: Any, partition: str) -> SqlStore:
    settings = Settings(partition=partition)
    store = create_store("sqlite://", settings)
    text = json.dumps(seed if partition == "aws" else moved(seed))
    apply_seed(store, load_seed_text(text, partition=partition))
    return store


def escalation(seed: int, partition: str) -> Iterator[Any]:
    choose = Random(seed)
    world = random_worlds.random_world(choose)
    name = choose.choice(["lambda", "ec2"])
    trusted = escalation_worlds.trust(f"{name}.amazonaws.com", kind="Service")
    world["roles"] = [*world["roles"], escalation_worlds.role("passed", trusted, escalation_worlds.EVERYTHING)]
    able = escalation_worlds.allow("iam:PassRole", "lambda:*", "ec2:*")
    world["users"] = [*world["users"], escalation_worlds.user("passing", able)]
    with closing(store_in({"version": 1, "accounts": [world]}, partition)) as store:
        found = escalation_paths(store, settings=Settings(partition=partition), now=NOW)
        yield from ((path.start, path.target, len(path.steps)) for path in found)  # of several shortest paths any one


def internal(seed: int, partition: str) -> Iterator[Any]:
    settings = Settings(partition=partition)
    with closing(store_in(random_seed(Random(seed)), partition)) as store:
        access = InternalAccess(store, settings=settings, now=NOW)
        for arn in DOCUMENTS if partition == "aws" else moved(DOCUMENTS):
            yield from (finding.to_dict() for finding in access.findings(arn))


def invariants(seed: int, partition: str) -> Iterator[Any]:
    store = policies_in(STORES, partition).SmallStore(Random(seed))
    survey = AccessSurvey(store.access(), store.query, store.own_services)
    everyone = Selection(survey.store, (), is_others=True)
    for target in survey.targets:
        for caller in survey.callers_of(target, everyone):
            result = survey.of_target(caller, target)
            yield target.arn, caller.name, caller.kind, result.verdict, result.problem
    for caller in survey.store.callers:
        result = survey.of_caller(caller)
        yield caller.name, result.verdict, result.problem


KINDS: list[Answers] = [
    *([compared] * 60),
    *([granted] * 54),
    *([external] * 40),
    *([public] * 20),
    *([fixes] * 10),
    *([invariants] * 8),
    *([dead] * 6),
    *(escalation, internal),
]
"""The analyses of 200 seeds."""

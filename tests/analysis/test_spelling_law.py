"""Laws: checks answer alike however the values of a policy are spelled, and hold for requests in other spellings.

`IAM_GUARD_TEST_SPELLING_CASES` is the number of cases, `IAM_GUARD_TEST_SPELLING_SEED` the seed of the first.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from random import Random

from iam_guard.analysis.checks.check_results import CheckResult, CheckVerdict
from iam_guard.analysis.checks.dead_statements import DeadKind, check_dead_statements
from iam_guard.analysis.checks.judged_policies import IsAllowed, judge
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.policy_checks import check_equivalent, check_no_new_access, compiled_policy
from iam_guard.analysis.checks.value_spellings import case_forms
from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.value_parsing import folded
from tests.analysis.spellings import Doc, SpelledPair

CASES = int(os.environ.get("IAM_GUARD_TEST_SPELLING_CASES", "1000"))
SEED = int(os.environ.get("IAM_GUARD_TEST_SPELLING_SEED", "0"))
REQUESTS = 60
IDENTITY = PolicyType.IDENTITY
CALLER = Principal.from_arn("arn:aws:iam::123456789012:user/example")
PASS, FAIL, UNKNOWN = CheckVerdict


def test_answers_do_not_depend_on_spellings() -> None:
    counts: Counter[CheckVerdict] = Counter()
    for seed in range(SEED, SEED + CASES):
        pair = SpelledPair(seed)
        existing, new = pair.document(pair.existing, Random(seed)), pair.document(pair.new, Random(-seed))
        try:
            result = check_no_new_access(existing, new, IDENTITY)
        except PolicyError:
            continue  # a year that policies must not have
        again = [pair.document(statements, Random(seed + 1)) for statements in (pair.existing, pair.new)]
        other = check_no_new_access(again[0], again[1], IDENTITY)
        assert other.verdict is result.verdict, (seed, existing, new, again)
        document, respelled = (existing, again[0]) if seed % 2 else (new, again[1])
        assert check_equivalent(document, respelled, IDENTITY).verdict is PASS, (seed, document, respelled)
        requests = [
            AccessRequest(CALLER, "docs:Get", "arn:aws:docs:::x", context, "123456789012")
            for context in pair.contexts(REQUESTS)
        ]
        check_difference(seed, result, existing, new, requests)
        if seed % 4 == 0:
            check_dead(seed, new, requests)
        counts[result.verdict] += 1
    assert counts[UNKNOWN] == 0, counts
    assert min(counts[PASS], counts[FAIL]) > CASES / 6, counts


def check_difference(seed: int, result: CheckResult, existing: Doc, new: Doc, requests: list[AccessRequest]) -> None:
    """Check that PASS means that no request is newly allowed."""
    if result.verdict is PASS:
        before, after = allowed_by(existing), allowed_by(new)
        newly = [dict(request.context) for request in requests if after(request) and not before(request)]
        assert newly == [], (seed, existing, new, newly)


def check_dead(seed: int, document: Doc, requests: list[AccessRequest]) -> None:
    """Check that a policy without its dead statements decides every request alike."""
    try:
        parts = check_dead_statements(document, IDENTITY).parts
    except Undecided:
        return
    dead = {part.statement_index for part in parts if not part.path and part.kind is not DeadKind.NO_EFFECT}
    left = [statement for index, statement in enumerate(document["Statement"]) if index not in dead]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    for more in ([], [everything]):
        if dead and (left or more):
            before = allowed_by({**document, "Statement": [*document["Statement"], *more]})
            after = allowed_by({**document, "Statement": [*left, *more]})
            changed = [dict(request.context) for request in requests if before(request) != after(request)]
            assert changed == [], (seed, document, dead, changed)


def allowed_by(document: Doc) -> IsAllowed:
    return judge(compiled_policy(document, IDENTITY))


def test_every_letter_case_is_known() -> None:
    """By the folding of the evaluator (C-44), over all of Unicode."""
    forms: dict[str, set[str]] = {}
    for char in map(chr, range(sys.maxunicode + 1)):
        if (form := folded(char)) != char:
            forms.setdefault(form, {form}).add(char)
    missing = {char for chars in forms.values() for char in chars if {char, *case_forms(char)} != chars}
    assert missing == set()
    assert case_forms("1") == case_forms("ı") == ()

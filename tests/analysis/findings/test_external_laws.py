"""Laws of external access on small random policies with every operator, against requests the evaluator decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.policy_checks import check_no_public_access
from iam_guard.analysis.findings.external_access import ExternalFinding, external_findings
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.principal import Principals
from iam_guard.model.arn import account_of
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.parser import parse
from iam_guard.store.protocol import StoredPolicy
from tests.analysis.checks.small_policies import ACCOUNT, RESOURCES, Doc, Pair

ZONE = ZoneOfTrust(frozenset({ACCOUNT}))
ALL: Doc = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
SEEDS = 500


class Case:
    """A random policy of a random resource."""

    def __init__(self, seed: int) -> None:
        self.pair = Pair(Random(seed), is_resource=True)
        self.random = Random(seed)
        self.arn = self.random.choice(RESOURCES[:5])
        self.document = self.pair.new

    def findings(self, document: Doc | None = None) -> list[ExternalFinding]:
        text = json.dumps(document or self.document)
        policy = StoredPolicy.of(self.arn, PolicyType.RESOURCE, None, text)
        return external_findings(SharedResource(self.arn, ACCOUNT, PolicyType.RESOURCE, policy), ZONE)

    def allows(self, request: AccessRequest, document: Doc | None = None) -> bool:
        """Decide a request of a caller of another account, whose own policies allow everything."""
        return decide(request, policies(document or self.document)).allowed

    def requests(self, count: int) -> Iterator[AccessRequest]:
        """Yield random requests from outside about the resource, and about resources below it."""
        for request in self.pair.requests(count):
            source = request.context.value("aws:sourcearn")
            is_inside = isinstance(source, str) and account_of(source) == ACCOUNT
            kind, account = request.principal.type, request.principal.account
            is_reported = kind not in (PrincipalType.SERVICE, PrincipalType.FEDERATED) and account != ACCOUNT
            if is_reported and not is_inside:
                arn = self.random.choice([self.arn, self.arn, f"{self.arn}/x", f"{self.arn}:x/y"])
                context = dict(request.context)
                context |= {"aws:resourceaccount": ACCOUNT} if "aws:resourceaccount" in context else {}
                yield AccessRequest(request.principal, request.action, arn, context, ACCOUNT)


def policies(document: Doc) -> Bundle:
    return bundle(identity=[ALL], session=[ALL], resource=document)


def cases(first: int, count: int = SEEDS) -> Iterator[tuple[int, Case]]:
    for seed in range(first, first + count):
        case = Case(seed)
        try:
            parse(case.document, PolicyType.RESOURCE)
        except PolicyError:
            continue  # a short ARN
        yield seed, case


def covers(finding: ExternalFinding, request: AccessRequest) -> bool:
    if not finding.principal:
        return True  # the policy could not be analysed
    is_named = Principals(finding.principal.items()).match(request.principal) is not None
    return is_named and matches(request.action, finding.actions) and not matches(request.action, finding.not_actions)


def matches(action: str, patterns: Any) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def test_no_access_from_outside_is_missed() -> None:
    allowed = errors = count = 0
    for seed, case in cases(0):
        found = case.findings()
        count += 1
        errors += any(finding.error for finding in found)
        for request in case.requests(60):
            if case.allows(request):
                allowed += 1
                assert any(covers(finding, request) for finding in found), (seed, case.document, request)
    assert allowed > count / 2
    assert errors <= count / 200


def test_request_of_each_finding_is_allowed_from_outside() -> None:
    confirmed = 0
    for seed, case in cases(2000):
        for finding in case.findings():
            request = finding.request
            if request is not None:
                assert case.allows(request), (seed, case.document, request)
                assert request.principal.account != ACCOUNT
                assert request.resource_account == ACCOUNT
                assert covers(finding, request), (seed, finding)
                confirmed += 1
    assert confirmed > SEEDS / 10


def test_order_of_statements_does_not_matter() -> None:
    for seed, case in cases(4000):
        reordered = {**case.document, "Statement": case.document["Statement"][::-1]}
        assert sentences(case.findings()) == sentences(case.findings(reordered)), (seed, case.document)


def sentences(found: list[ExternalFinding]) -> list[tuple[Any, ...]]:
    return sorted((finding.sentence, finding.is_public, finding.error) for finding in found)


def test_deny_never_adds_access() -> None:
    for seed, case in cases(6000):
        denied = {**case.random.choice(case.document["Statement"]), "Effect": "Deny"}
        stricter = {**case.document, "Statement": [*case.document["Statement"], denied]}
        before = case.findings()
        for finding in case.findings(stricter):
            request = finding.request
            if request is not None:
                assert case.allows(request), (seed, stricter)
                assert any(covers(other, request) for other in before), (seed, stricter, finding)
                assert not finding.is_public or any(other.is_public for other in before), (seed, stricter)


def test_public_findings_agree_with_the_check_of_public_access() -> None:
    """The check is about any resource, so only statements about this one count."""
    public = private = 0
    for seed, case in cases(8000):
        for statement in case.document["Statement"]:
            statement.pop("NotResource", None)
            statement["Resource"] = case.random.choice(["*", case.arn])
        found = case.findings()
        verdict = check_no_public_access(case.document, "AWS::S3::Bucket").verdict
        if verdict is CheckVerdict.UNKNOWN or any(finding.error for finding in found):
            continue
        is_public = any(finding.is_public for finding in found)
        assert is_public == (verdict is CheckVerdict.FAIL), (seed, case.document)
        public, private = public + is_public, private + (not is_public)
    assert public > SEEDS / 50
    assert private > SEEDS / 2


def test_fix_ends_the_access() -> None:
    fixed = 0
    for seed, case in cases(10_000):
        for finding in case.findings():
            if finding.fix is None:
                continue
            left = case.findings(repaired(case.document, finding))
            [(kind, name)] = finding.principal.items()
            for other in left:
                is_same = dict(other.principal) == {kind: name} and set(other.actions) & set(finding.actions)
                assert not is_same, (seed, case.document, finding.fix)
            fixed += 1
    assert fixed > SEEDS / 10


def repaired(document: Doc, finding: ExternalFinding) -> Doc:
    """Apply a fix to the JSON of a policy."""
    assert finding.fix is not None
    statements = json.loads(json.dumps(document))["Statement"]
    [(kind, name)] = finding.principal.items()
    for index in finding.fix.statements:
        statement = statements[index]
        condition = finding.fix.condition
        if condition is not None:
            block = statement.setdefault("Condition", {}).setdefault(condition.operator, {})
            block[condition.key] = list(condition.values)
        elif statement["Principal"] == "*":
            statement["Effect"] = "Deny"
        else:
            names = statement["Principal"][kind]
            listed = names if isinstance(names, list) else [names]
            statement["Principal"][kind] = [
                other for other in listed if other not in (name, f"arn:aws:iam::{name}:root")
            ]
    return {**document, "Statement": statements}

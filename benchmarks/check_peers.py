"""The same questions asked of `check` and of its peers: z3 and iamprover.

`python -m benchmarks.check_peers [EVERY]` prints rows with the ratio of the same run: questions about each EVERYth of
AWS's managed policies, of z3 as in `z3_questions`; and the invariants of a small account, of iamprover. Its account and
invariants are like those of iamprover's own demonstration. Documents are parsed before, and a question that z3 does not
answer counts as its limit. Like `policy_checks` not part of `make bench`.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

from iamprover.engine.solver import check_all
from iamprover.invariants import Invariant
from iamprover.model import Account, Policy, Principal
from iamprover.parsers.iam import parse_statement
from moto.iam.aws_managed_policies import aws_managed_policies_data

from benchmarks.clock import least
from benchmarks.policy_checks import CHANGES, Doc, compiled
from benchmarks.z3_questions import is_covered
from iam_guard.analysis.checks.comparison import Query, compare
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.statement_forms import Test, action_union, resource_union
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import LATEST, ConditionTest
from iam_guard.policy.parser import parse

ACCOUNT = "arn:aws:iam::111122223333"


def statement(action: str | list[str], resource: str | list[str], effect: str = "Allow", **more: Any) -> Doc:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def main(every: int) -> None:
    """Print all rows."""
    policies = {name: policy["Document"] for name, policy in json.loads(aws_managed_policies_data).items()}
    documents = [policies[name] for name in sorted(policies)][::every]
    for name in ("none", "narrower", "an action more"):
        compare_with_z3(name, [pair for document in documents if (pair := CHANGES[name](document)) is not None])
    random = Random(1)
    compare_with_z3("another policy", [(random.choice(documents), random.choice(documents)) for _ in documents])
    compare_with_iamprover()


# --- z3 ----------------------------------------------------------------------------------------------------------


def compare_with_z3(name: str, pairs: Iterable[tuple[Doc, Doc]]) -> None:
    """Print the mean time of both, their ratio, and the answers: (ours, that of z3)."""
    answers: Counter[tuple[bool | None, bool | None]] = Counter()
    seconds = [0.0, 0.0]
    for existing, new in [(compiled(one), compiled(other)) for one, other in pairs]:
        own, took = timed(lambda existing=existing, new=new: ours(existing, new))
        seconds[0] += took
        other, took = timed(lambda existing=existing, new=new: is_covered(existing.document, new.document))
        seconds[1] += took
        answers[own, other] += 1
    count = answers.total()
    unknown = sum(number for (_, other), number in answers.items() if other is None)
    print(
        f"z3, {name}: {seconds[0] / count * 1000:.2f} ms, z3 {seconds[1] / count * 1000:.0f} ms, "
        f"{seconds[1] / seconds[0]:,.0f} x; z3 leaves {unknown} of {count} open; {dict(answers)}",
        flush=True,
    )


def timed(call: Callable[[], bool | None]) -> tuple[bool | None, float]:
    """Return the result of a call, and its CPU time in seconds."""
    start = time.process_time()
    return call(), time.process_time() - start


def ours(existing: CompiledDocument, new: CompiledDocument) -> bool | None:
    """Return whether `existing` allows all that `new` does; None if that is undecided."""
    try:
        return compare(existing, new).witness is None
    except Undecided:
        return None


# --- iamprover ---------------------------------------------------------------------------------------------------

PRINCIPALS: dict[str, list[Doc]] = {
    "role/analysts": [statement(["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"])],
    "role/builder": [
        statement("s3:Get*", "arn:aws:s3:::*"),
        statement("s3:*", "arn:aws:s3:::trail/*", "Deny"),
    ],
    "role/operator": [
        statement(
            "iam:*",
            "*",
            Condition={
                "Bool": {"aws:MultiFactorAuthPresent": "true"},
                "IpAddress": {"aws:SourceIp": "203.0.113.0/24"},
            },
        )
    ],
    "user/trainee": [statement("s3:*", "arn:aws:s3:::playground-*")],
}
PUBLIC_SITE = statement("s3:GetObject", "arn:aws:s3:::site/*", Principal="*")
MFA = "aws:MultiFactorAuthPresent"
WITH_MFA: tuple[Test, ...] = tuple((ConditionTest(operator, MFA, ("true",)), LATEST) for operator in ("Bool", "Null"))
"""What a request with `aws:MultiFactorAuthPresent` = false does not meet."""
INVARIANTS: dict[str, tuple[list[str], str, tuple[str, ...], bool]] = {
    "only analysts read reports": (["s3:GetObject"], "arn:aws:s3:::reports/*", ("role/analysts",), False),
    "nothing reaches the trail": (["s3:*"], "arn:aws:s3:::trail/*", (), False),
    "IAM needs MFA": (["iam:Create*", "iam:Put*", "iam:Attach*", "iam:Update*"], "*", (), True),
    "reports stay private": (["s3:*"], "arn:aws:s3:::reports/*", tuple(PRINCIPALS), False),
}
"""The actions and the resource that no principal may have access to but some, and whether that is about false MFA."""


def compare_with_iamprover() -> None:
    """Print the time of all invariants, from documents that are parsed."""

    def policy(name: str, statements: list[Doc]) -> Any:
        return Policy(name=name, statements=[parse_statement(written) for written in statements])

    account = Account(
        principals=[
            Principal(arn=f"{ACCOUNT}:{name}", policies=[policy(name, listed)]) for name, listed in PRINCIPALS.items()
        ],
        resource_policies=[policy("site", [PUBLIC_SITE])],
    )
    invariants = [
        Invariant(
            id=name,
            description=name,
            actions=actions,
            resources=[resource],
            unless_principals=[f"{ACCOUNT}:{exempt}" for exempt in exempt_names],
            where={MFA: "false"} if needs_mfa else {},
        )
        for name, (actions, resource, exempt_names, needs_mfa) in INVARIANTS.items()
    ]
    documents = {name: CompiledDocument(parse({"Statement": listed})) for name, listed in PRINCIPALS.items()}
    site = CompiledDocument(parse({"Statement": PUBLIC_SITE}, PolicyType.RESOURCE))
    expected = [result.passed for result in check_all(account, invariants)]
    found = [*hold(documents, site)]
    if found != expected:
        raise SystemExit(f"expected the same results, got {found} and {expected}")
    seconds = least({"ours": lambda: [*hold(documents, site)], "iamprover": lambda: check_all(account, invariants)})
    own, other = seconds["ours"], seconds["iamprover"]
    print(f"iamprover: {own * 1000:.2f} ms, iamprover {other * 1000:.1f} ms, {other / own:,.0f} x; {found}")


def hold(documents: dict[str, CompiledDocument], site: CompiledDocument) -> Iterator[bool]:
    """Yield whether each invariant holds: no principal has the access by its own policy or by that of the site."""
    for actions, resource, exempt, needs_mfa in INVARIANTS.values():
        query = Query(
            action_union(actions),
            None if resource == "*" else resource_union([resource], LATEST),
            WITH_MFA if needs_mfa else (),
        )
        names = [name for name in documents if name not in exempt]
        is_public = bool(names) and compare(None, site, query).witness is not None
        yield not is_public and all(compare(None, documents[name], query).witness is None for name in names)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)

"""The CPU time of finding external access of many resources and roles, and of one after a change.

`python -m benchmarks.external_access [COUNT]` analyses that many policies (default 10,000) of 100 accounts, of kinds as
accounts have them, each for a resource of its own, in two zones of trust, and prints a row for each kind. Not part of
`make bench`: there is no peer that answers the same question here.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from iam_guard.analysis.findings.external_access import external_findings
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust
from iam_guard.model.decision import PolicyType
from iam_guard.store.protocol import StoredPolicy

Doc: TypeAlias = dict[str, Any]
ORGANIZATION = "o-example1234"
ACCOUNTS = [f"{111100000000 + number}" for number in range(100)]
PARTNERS = [f"{999900000000 + number}" for number in range(300)]
ACTIONS = ["docs:GetDocument", "docs:PutDocument", "docs:ListVersions", "docs:Share*", "docs:*"]


class Resource:
    """A random resource and its owner."""

    def __init__(self, random: Random, number: int) -> None:
        self.random, self.owner = random, random.choice(ACCOUNTS)
        self.arn = f"arn:aws:docs:eu-west-1:{self.owner}:document/{number:08x}"
        self.kind = PolicyType.RESOURCE

    def allow(self, principal: Any, condition: Doc | None = None, **more: Any) -> Doc:
        actions = self.random.sample(ACTIONS, self.random.choice([1, 1, 2, 3]))
        statement = {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": self.arn, **more}
        return statement if condition is None else {**statement, "Condition": condition}

    def deny(self, condition: Doc, action: str = "docs:*") -> Doc:
        return {**self.allow("*", condition), "Effect": "Deny", "Action": action}

    def partner(self) -> str:
        account = self.random.choice(PARTNERS)
        return self.random.choice([account, f"arn:aws:iam::{account}:root", f"arn:aws:iam::{account}:role/sync"])


def own(resource: Resource) -> list[Doc]:
    name = resource.random.choice(["role/app", "role/ops/deploy", "user/ann", "root"])
    return [resource.allow({"AWS": f"arn:aws:iam::{resource.owner}:{name}"})]


def service(resource: Resource) -> list[Doc]:
    condition = {"StringEquals": {"aws:SourceAccount": resource.owner}}
    return [resource.allow({"Service": "events.amazonaws.com"}, condition), *own(resource)]


def pinned(resource: Resource) -> list[Doc]:
    source = f"arn:aws:sns:eu-west-1:{resource.owner}:topic-{resource.random.randrange(50)}"
    conditions: list[Doc] = [
        {"StringEquals": {"aws:PrincipalAccount": resource.owner}},
        {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{resource.owner}:role/*"}},
        {"ArnLike": {"aws:SourceArn": source}},
    ]
    return [resource.allow("*", resource.random.choice(conditions))]


def other_account(resource: Resource) -> list[Doc]:
    count = resource.random.choice([1, 1, 1, 2, 3])
    return [resource.allow({"AWS": [resource.partner() for _ in range(count)]}), *own(resource)]


def trusted_account(resource: Resource) -> list[Doc]:
    resource.arn, resource.kind = resource.arn.replace(":document/", ":role/"), PolicyType.TRUST
    resource.arn = f"arn:aws:iam::{resource.owner}:role/{resource.arn[-8:]}"
    condition = {"StringEquals": {"sts:ExternalId": f"{resource.random.getrandbits(40):x}"}}
    allow = resource.allow({"AWS": resource.partner()}, condition, Action="sts:AssumeRole")
    del allow["Resource"]
    return [allow]


def organization(resource: Resource) -> list[Doc]:
    return [resource.allow("*", {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}}), *own(resource)]


def public(resource: Resource) -> list[Doc]:
    network = f"203.0.{resource.random.randrange(256)}.0/24"
    conditions: list[Doc | None] = [None, None, {"IpAddress": {"aws:SourceIp": network}}]
    return [resource.allow("*", resource.random.choice(conditions))]


def denied(resource: Resource) -> list[Doc]:
    insecure = resource.deny({"Bool": {"aws:SecureTransport": "false"}})
    outsiders = resource.deny({"StringNotEquals": {"aws:PrincipalOrgID": ORGANIZATION}})
    allowed = resource.random.choice([other_account, organization, own])(resource)
    return [*allowed, insecure, *resource.random.choice([[], [outsiders]])]


KINDS: dict[Callable[[Resource], list[Doc]], int] = {
    own: 40,
    service: 12,
    pinned: 8,
    other_account: 10,
    trusted_account: 5,
    organization: 10,
    public: 5,
    denied: 10,
}
"""What policies there are, and how many of a hundred."""


def shared_resources(count: int) -> list[tuple[str, SharedResource]]:
    """Return random resources with the name of their kind."""
    random = Random(1)
    found = []
    for number, kind in enumerate(random.choices([*KINDS], [*KINDS.values()], k=count)):
        resource = Resource(random, number)
        statements = kind(resource)
        text = json.dumps({"Version": "2012-10-17", "Statement": statements})
        policy = StoredPolicy.of(resource.arn, resource.kind, None, text)
        found.append((kind.__name__, SharedResource(resource.arn, resource.owner, resource.kind, policy)))
    return found


def measure(name: str, zone_of: Callable[[str], ZoneOfTrust], resources: list[tuple[str, SharedResource]]) -> None:
    """Print the times and the findings of each kind of policy."""
    times: dict[str, list[float]] = defaultdict(list)
    findings: Counter[str] = Counter()
    errors = 0
    start = time.process_time()
    for kind, resource in resources:
        before = time.process_time()
        found = external_findings(resource, zone_of(resource.account))
        times[kind].append((time.process_time() - before) * 1000)
        findings[kind] += len(found)
        errors += sum(finding.error is not None for finding in found)
    print(f"{name}: {len(resources)} policies {time.process_time() - start:.1f} s, {errors} errors")
    for kind, values in times.items():
        values.sort()
        mean = sum(values) / len(values)
        print(
            f"  {kind:16} {len(values):5} policies {findings[kind]:6} findings  mean {mean:6.2f}"
            f"  p50 {values[len(values) // 2]:6.2f}  p99 {values[len(values) * 99 // 100]:6.2f}"
            f"  max {values[-1]:6.1f} ms"
        )


def main(count: int) -> None:
    resources = shared_resources(count)
    gc.freeze()
    zones = {account: ZoneOfTrust(frozenset({account})) for account in ACCOUNTS}
    organization_zone = ZoneOfTrust(frozenset(ACCOUNTS), ORGANIZATION)
    measure("account zones", zones.__getitem__, resources)
    measure("organization zone", lambda _: organization_zone, resources)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)

"""The CPU time of internal access findings in an organization of 200 accounts x 50 roles x 500 resources.

`python -m benchmarks.internal_access [ACCOUNTS ROLES RESOURCES]` creates a store in memory, reads its principals once,
and prints a row per kind of resource policy. RESOURCES are per account. Not part of `make bench`: there is no peer that
answers the same question here.

Organizations: `usual` has roles with managed policies, with policies of their own about resources of their account,
with conditions, boundaries and control policies; in `open` each role has a policy of its own that allows everything.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any

from iam_guard.analysis.findings.internal_access import InternalAccess
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import (
    accounts,
    attachments,
    control_attachments,
    control_policies,
    identities,
    inline_policies,
    organizations,
    placements,
    policies,
    policy_versions,
    resources,
    units,
)
from iam_guard.store.sql_store import SqlStore

ORGANIZATION, ROOT = "o-exampleorg1", "r-root"
SAMPLED = 100
"""Resources that are asked about, of each kind of policy."""
KINDS = ("none", "role of the account", "role elsewhere", "account elsewhere", "organization", "condition, deny")


def text_of(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


MANAGED = {
    "ReadOnly": text_of(allow(["docs:Get*", "docs:List*", "mail:Get*"], "*")),
    "Admin": text_of(allow("*", "*")),
    "Limit": text_of(allow(["docs:*", "mail:*"], "*"), {"Effect": "Deny", "Action": "docs:Delete*", "Resource": "*"}),
}
MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "StringEquals": {"aws:PrincipalTag/team": "blue"}}


def usual_policy(account: str, number: int) -> str | None:
    """Return the inline policy of a role; None for those with managed ones."""
    team = f"arn:aws:docs:us-east-1:{account}:document/team{number}"
    if number % 5 == 0:
        return None
    if number % 5 == 1:
        return text_of(allow(["docs:GetDocument", "docs:PutDocument"], f"{team}/*", Condition=MFA))
    own = "arn:aws:docs:*:*:document/${aws:PrincipalTag/team}/*"
    return text_of(allow(["docs:*Document", "mail:Send"], [f"{team}/*", f"{team}-shared/*"]), allow("docs:Get*", own))


def open_policy(account: str, number: int) -> str:
    return text_of(allow(["docs:*", f"mail:Send{account}{number}"], "*"))


def resource_policy(kind: str, account: str, other: str, arn: str) -> str | None:
    """Return the policy of a resource."""
    if kind == "none":
        return None
    principal = {
        "role of the account": {"AWS": f"arn:aws:iam::{account}:role/r7"},
        "role elsewhere": {"AWS": [f"arn:aws:iam::{other}:role/r{number}" for number in range(3)]},
        "account elsewhere": {"AWS": other},
    }.get(kind, "*")
    inside = {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}}
    more = {} if principal != "*" else {"Condition": inside}
    if kind == "condition, deny":
        more = {"Condition": {**inside, "IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}
    statements = [allow(["docs:GetDocument", "docs:List*"], arn, Principal=principal, **more)]
    if kind == "condition, deny":
        insecure = {"Bool": {"aws:SecureTransport": "false"}}
        statements.append({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": arn, "Condition": insecure})
    return text_of(*statements)


def account_ids(count: int) -> list[str]:
    return [f"{number:012}" for number in range(100_000_000_000, 100_000_000_000 + count)]


def fill(store: SqlStore, count: int, roles: int, resource_count: int, *, is_open: bool) -> dict[str, list[str]]:
    """Create an organization; return the ARNs of its resources by kind of policy."""
    random, found = Random(1), {kind: list[str]() for kind in KINDS}
    ids = account_ids(count)
    with store.write_transaction() as records:
        for account in ids:
            records.insert(accounts, id=account, name=account, created=0)
        organization = {"scps_enabled": True, "rcps_enabled": True, "management_account": "999999999999"}
        records.insert(organizations, id=ORGANIZATION, **organization)
        records.insert(units, id=ROOT, organization_id=ORGANIZATION, parent_id=None, name="Root", folded="root")
        full, deny = text_of(allow("*", "*")), {"Effect": "Deny", "Action": "docs:Purge", "Resource": "*"}
        outside = {"StringNotEquals": {"aws:PrincipalOrgID": ORGANIZATION}}
        rcp = {"Effect": "Deny", "Principal": "*", "Action": "docs:*", "Resource": "*", "Condition": outside}
        of_root = {"S": ("SCP", text_of(allow("*", "*"), deny)), "R": ("RCP", text_of(rcp))}
        everywhere = {"F": ("SCP", full), "G": ("RCP", text_of(allow("*", "*", Principal="*")))}
        for id, (type, text) in (of_root | everywhere).items():
            columns = {"type": type, "name": id, "folded": id.lower(), "description": "", "text": text}
            owner = ORGANIZATION if id in of_root else None
            records.insert(control_policies, id=id, organization_id=owner, digest=digest(text), **columns)
            records.insert(control_attachments, policy_id=id, target=ROOT, unit_id=ROOT, account=None)
        for account in ids:
            records.insert(placements, account=account, unit_id=ROOT)
            for id in everywhere:
                records.insert(control_attachments, policy_id=id, target=account, unit_id=None, account=account)
            for name, text in MANAGED.items():
                columns = {"account": account, "path": "/", "name": name, "folded": name.lower(), "description": ""}
                records.insert(policies, id=f"{account}{name}", default_version=1, tags={}, created=0, **columns)
                version = {"version": 1, "text": text, "digest": digest(text), "created": 0}
                records.insert(policy_versions, policy_id=f"{account}{name}", **version)
            for number in range(roles):
                add_role(records, account, number, is_open=is_open)
            for number in range(resource_count):
                kind, other = KINDS[number % len(KINDS)], random.choice(ids)
                arn = f"arn:aws:docs:us-east-1:{account}:document/team{number % 50}/{number}"
                found[kind].append(arn)
                text = resource_policy(kind, account, other, arn)
                if text is not None:
                    names = {name for name in _names(text) if ":role/" in name}
                    bindings = {name: f"AROA{name[13:25]}R{name.rpartition('/r')[2]}" for name in names}
                    columns = {"account": account, "tags": {}, "text": text, "digest": digest(text)}
                    records.insert(resources, arn=arn, bindings=bindings, listed_digest=None, **columns)
    return found


def _names(text: str) -> Iterator[str]:
    for statement in json.loads(text)["Statement"]:
        principal = statement["Principal"]
        values = principal["AWS"] if isinstance(principal, dict) else principal
        yield from values if isinstance(values, list) else [values]


def add_role(records: Any, account: str, number: int, *, is_open: bool) -> None:
    id = f"AROA{account}R{number}"
    trust = text_of({"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"})
    columns = {"kind": "role", "path": "/", "name": f"r{number}", "folded": f"r{number}", "description": ""}
    boundary = f"{account}Limit" if number % 10 == 3 else None
    columns |= {"boundary_id": boundary, "tags": {"team": f"t{number}"}, "trust_text": trust}
    records.insert(identities, id=id, account=account, trust_bindings={}, created=0, **columns)
    text = open_policy(account, number) if is_open else usual_policy(account, number)
    if text is None:
        name = "Admin" if number % 25 == 0 else "ReadOnly"
        records.insert(attachments, identity_id=id, policy_id=f"{account}{name}")
    else:
        records.insert(inline_policies, identity_id=id, folded="i", name="i", text=text, digest=digest(text))


def measure(count: int, roles: int, resource_count: int, *, is_open: bool) -> None:
    """Print the time to read the principals, and the times of one resource of each kind, in milliseconds."""
    store = create_store("sqlite://", Settings())
    arns = fill(store, count, roles, resource_count, is_open=is_open)
    start = time.process_time()
    access = InternalAccess(store)
    print(f"{'open' if is_open else 'usual'}: read in {time.process_time() - start:.1f} s", flush=True)
    random = Random(2)
    gc.collect()
    gc.freeze()
    for kind, found in arns.items():
        times, findings = [], []
        for arn in random.sample(found, min(SAMPLED, len(found))):
            start = time.process_time()
            findings.append(len(access.findings(arn)))
            times.append((time.process_time() - start) * 1000)
        first, times = times[0], sorted(times)
        parts = " ".join(f"p{part} {times[len(times) * part // 100]:7.2f}" for part in (50, 95, 99))
        more = f"first {first:7.2f}  up to {max(findings)} findings"
        print(f"  {kind:20} {len(times):5}  {parts}  max {times[-1]:7.2f}  {more}", flush=True)
    store.close()
    gc.unfreeze()


def main(count: int = 200, roles: int = 50, resource_count: int = 500) -> None:
    for is_open in (False, True):
        measure(count, roles, resource_count, is_open=is_open)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Applies the users, groups and roles of a seed with their policies, groups and keys.

A declared identity is declared completely: its policies, groups, tags and keys that are not in the seed are deleted.
Rules G-38, P-5 to P-10, R-10 to R-13, R-30.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import RowMapping

from iam_guard.store.identifiers import AWS_MANAGED, Kind, fold
from iam_guard.store.schema import access_keys, api_keys, attachments, identities, inline_policies, memberships
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.row_sync import Delta, sync
from iam_guard.store.seed.seed_values import Ref, SeedAccessKey, SeedApiKey, SeedIdentity
from iam_guard.store.sql_store import access_key_context


def apply_identities(run: Run) -> None:
    """Create, change and prune identities; the policies must be registered before."""
    existing = run.rows(identities.c.account, run.account_ids)
    _register(run, existing)
    declared = {
        run.ids[account.id, identity.kind, fold(identity.name)]: (account.id, identity)
        for account in run.seed.accounts
        for identity in account.identities
    }
    desired = [_row(run, account, identity, id) for id, (account, identity) in declared.items()]
    parts: dict[str, set[str]] = defaultdict(set)
    considered = [row for row in existing if row["id"] in declared or run.prune]
    delta = sync(run.connection, identities, desired, considered)
    for (id,), fields in delta.updated.items():
        parts[id].update(_PART_NAMES.get(field, field) for field in fields)
    _apply_details(run, declared, parts)
    _record_changes(run, delta, declared, existing, parts)


def _register(run: Run, existing: list[RowMapping]) -> None:
    """Register the unique ids of the declared identities, and of others that stay."""
    before = {(row["account"], row["kind"], row["folded"]): row for row in existing}
    for account in run.seed.accounts:
        for identity in account.identities:
            key = (account.id, identity.kind.value, fold(identity.name))
            id = run.id_for(key, before.pop(key, None))
            run.register(account.id, identity.kind, identity.path, identity.name, id)
    if not run.prune:
        for row in before.values():
            run.register(row["account"], row["kind"], row["path"], row["name"], row["id"])


def _row(run: Run, account: str, identity: SeedIdentity, id: str) -> dict[str, Any]:
    trust = identity.trust
    return {
        "id": id,
        "account": account,
        "kind": identity.kind.value,
        "path": identity.path,
        "name": identity.name,
        "folded": fold(identity.name),
        "description": identity.description,
        "boundary_id": identity.boundary and policy_id(run, account, identity.boundary),
        "tags": dict(identity.tags),
        "trust_text": trust and trust.text,
        "trust_digest": trust and trust.digest,
        "trust_bindings": {} if trust is None else run.bind(trust, identity.trust_line),
        "max_session_duration": identity.max_session_duration,
        "created": run.now,
    }


def _apply_details(run: Run, declared: dict[str, tuple[str, SeedIdentity]], parts: dict[str, set[str]]) -> None:
    """Write the policies, groups and keys of the declared identities; add what changed to `parts`."""
    inline: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    member: list[dict[str, Any]] = []
    keys: list[dict[str, Any]] = []
    for id, (account, identity) in declared.items():
        inline += [
            {"identity_id": id, "folded": fold(name), "name": name, "text": policy.text, "digest": policy.digest}
            for name, policy in identity.inline.items()
        ]
        policies = {policy_id(run, account, ref) for ref in identity.attached}
        attached += [{"identity_id": id, "policy_id": policy} for policy in policies if policy is not None]
        groups = {_group_id(run, account, ref) for ref in identity.groups}
        member += [{"user_id": id, "group_id": group} for group in groups if group is not None]
        keys += [_api_key(run, id, key) for key in identity.api_keys]
    for part, table, owner, desired in (
        ("inline policies", inline_policies, inline_policies.c.identity_id, inline),
        ("attached policies", attachments, attachments.c.identity_id, attached),
        ("groups", memberships, memberships.c.user_id, member),
        ("API keys", api_keys, api_keys.c.identity_id, keys),
    ):
        for row in sync(run.connection, table, desired, run.rows(owner, declared)).rows:
            parts[row[owner.key]].add(part)
    _sync_access_keys(run, declared, parts)


def _sync_access_keys(run: Run, declared: dict[str, tuple[str, SeedIdentity]], parts: dict[str, set[str]]) -> None:
    """Write the access keys of users and root users; `parts` has a root user under its account's id."""
    of_users = run.rows(access_keys.c.user_id, declared)
    of_accounts = run.rows(access_keys.c.account, run.account_ids)
    of_roots = (row for row in of_accounts if row["user_id"] is None)
    existing: dict[str, RowMapping] = {row["id"]: row for row in (*of_users, *of_roots)}
    desired: list[dict[str, Any]] = []
    for id, (account, identity) in declared.items():
        desired += [_access_key(run, account, id, key, existing.get(key.id)) for key in identity.access_keys]
    for seed_account in run.seed.accounts:
        root = seed_account.id
        desired += [_access_key(run, root, None, key, existing.get(key.id)) for key in seed_account.root_keys]
    for row in sync(run.connection, access_keys, desired, existing.values()).rows:
        parts[row["user_id"] or row["account"]].add("access keys")


def _access_key(
    run: Run, account: str, user: str | None, key: SeedAccessKey, before: RowMapping | None
) -> dict[str, Any]:
    sealed = run.seal(key.secret, access_key_context(key.id), None if before is None else before["sealed"])
    shared = {"id": key.id, "account": account, "user_id": user}
    return shared | {"sealed": sealed, "status": key.status, "created": run.now}


def _api_key(run: Run, id: str, key: SeedApiKey) -> dict[str, Any]:
    policy = key.session_policy
    shared = {"id": key.id, "identity_id": id, "digest": key.digest, "status": key.status, "expires": key.expires}
    return shared | {"session_policy": policy and policy.text, "created": run.now}


def policy_id(run: Run, account: str, ref: Ref) -> str | None:
    """Return the id of a managed policy by ARN or name, the account's own before AWS's; None records a problem."""
    if ref.text.startswith("arn:"):
        owner = ref.text.split(":", 5)[4:5]
        id = run.arns.get(ref.text) if owner in ([account], [AWS_MANAGED]) and ":policy/" in ref.text else None
    else:
        names = [(owner, "policy", fold(ref.text)) for owner in (account, AWS_MANAGED)]
        id = next((run.ids[name] for name in names if name in run.ids), None)
    if id is None:
        run.problems.add(ref.line, f"no managed policy `{ref.text[:200]}` in account {account}")
    return id


def _group_id(run: Run, account: str, ref: Ref) -> str | None:
    id = run.ids.get((account, Kind.GROUP.value, fold(ref.text)))
    if id is None:
        run.problems.add(ref.line, f"no group `{ref.text[:200]}` in account {account}")
    return id


def _record_changes(
    run: Run,
    delta: Delta,
    declared: dict[str, tuple[str, SeedIdentity]],
    existing: list[RowMapping],
    parts: dict[str, set[str]],
) -> None:
    created, deleted = ({id for (id,) in keys} for keys in (delta.created, delta.deleted))
    for account in run.seed.accounts:
        if account.id in parts:
            run.record("updated", f"root user of account {account.id}", ("access keys",))
    for id, (account_id, identity) in declared.items():
        what = f"{identity.kind} {run.arn(account_id, identity.kind, identity.path, identity.name)}"
        if id in created:
            run.record("created", what)
        elif id in parts:
            run.record("updated", what, tuple(sorted(parts[id])))
    for row in existing:
        if row["id"] in deleted:
            run.record("deleted", f"{row['kind']} {run.arn(row['account'], row['kind'], row['path'], row['name'])}")


_PART_NAMES = {
    "boundary_id": "permissions boundary",
    "trust_text": "trust policy",
    "trust_digest": "trust policy",
    "trust_bindings": "trust policy",
    "max_session_duration": "maximum session duration",
}

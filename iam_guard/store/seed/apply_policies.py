"""Applies the managed policies of a seed and their versions (rule G-75).

A changed document becomes the new default version; beyond five versions, the oldest is deleted. Attachments are applied
by `apply_identities`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import RowMapping

from iam_guard.store.identifiers import AWS_MANAGED, fold
from iam_guard.store.policies.builtin import MANAGED
from iam_guard.store.schema import policies, policy_versions
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.row_sync import sync
from iam_guard.store.seed.seed_values import SeedPolicy


def apply_policies(run: Run) -> list[str]:
    """Create and change the declared policies; return the ids of those to delete once they are detached."""
    accounts = [*run.account_ids, AWS_MANAGED]
    existing = run.rows(policies.c.account, accounts)
    before = {(row["account"], row["folded"]): row for row in existing}
    names = {(account, fold(policy.name)) for account, policy in _declared(run)}
    versions = _versions(run, [row for key, row in before.items() if key in names])
    declared: dict[str, SeedPolicy] = {}
    desired: list[dict[str, Any]] = []
    for account, policy in _declared(run):
        row = before.get((account, fold(policy.name)))
        id = run.id_for((account, "policy", fold(policy.name)), row)
        run.register(account, "policy", policy.path, policy.name, id)
        declared[id] = policy
        desired.append(_row(run, account, policy, id, _default_version(policy, row, versions[id])))
    unused: list[str] = []
    for row in existing:
        if row["id"] not in declared and _is_pruned(run, row):
            unused.append(row["id"])
        elif row["id"] not in declared:
            run.register(row["account"], "policy", row["path"], row["name"], row["id"])
    _write(run, desired, [row for row in existing if row["id"] in declared], declared, versions)
    return unused


def delete_policies(run: Run, ids: list[str]) -> None:
    """Delete the policies that `apply_policies` returned, after they were detached."""
    rows = run.rows(policies.c.id, ids)
    sync(run.connection, policies, (), rows)
    for row in rows:
        run.record("deleted", f"policy {run.arn(row['account'], 'policy', row['path'], row['name'])}")


def _declared(run: Run) -> Iterator[tuple[str, SeedPolicy]]:
    for policy in run.seed.aws_policies:
        yield AWS_MANAGED, policy
    for account in run.seed.accounts:
        for policy in account.policies:
            yield account.id, policy


def _is_pruned(run: Run, row: RowMapping) -> bool:
    """Return whether an undeclared policy is deleted; AWS managed ones only if the seed is the complete content."""
    if row["account"] == AWS_MANAGED:
        return run.whole and row["name"] not in MANAGED
    return run.prune


def _versions(run: Run, existing: list[RowMapping]) -> dict[str, list[RowMapping]]:
    versions: dict[str, list[RowMapping]] = defaultdict(list)
    for row in run.rows(policy_versions.c.policy_id, [row["id"] for row in existing]):
        versions[row["policy_id"]].append(row)
    return versions


def _default_version(policy: SeedPolicy, row: RowMapping | None, versions: list[RowMapping]) -> int:
    """Return the number of the version with the declared document: the default version, or else a new one."""
    texts = {version["version"]: version["text"] for version in versions}
    if row is not None and texts[row["default_version"]] == policy.document.text:
        return int(row["default_version"])
    latest = row["latest_version"] if row is not None and row["latest_version"] is not None else 0
    return int(max(latest, *texts, 0)) + 1


def _row(run: Run, account: str, policy: SeedPolicy, id: str, version: int) -> dict[str, Any]:
    return {
        "id": id,
        "account": account,
        "path": policy.path,
        "name": policy.name,
        "folded": fold(policy.name),
        "description": policy.description,
        "default_version": version,
        "tags": dict(policy.tags),
        "created": run.now,
    }


def _write(
    run: Run,
    desired: list[dict[str, Any]],
    existing: list[RowMapping],
    declared: dict[str, SeedPolicy],
    versions: dict[str, list[RowMapping]],
) -> None:
    delta = sync(run.connection, policies, desired, existing)
    new: list[dict[str, Any]] = []
    changed: list[str] = []
    for row in desired:
        document = declared[row["id"]].document
        numbers = [version["version"] for version in versions[row["id"]]]
        if row["default_version"] not in numbers:
            same = {"policy_id": row["id"], "version": row["default_version"], "created": run.now}
            new.append(same | {"text": document.text, "digest": document.digest})
            _drop_oldest(run, versions[row["id"]])
            changed.append(row["id"])
        what = f"policy {run.arn(row['account'], 'policy', row['path'], row['name'])}"
        if (row["id"],) in delta.created:
            run.record("created", what)
        elif fields := delta.updated.get((row["id"],)):
            run.record("updated", what, tuple("document" if field == "default_version" else field for field in fields))
    if new:
        run.connection.execute(policy_versions.insert(), new)
        run.connection.execute(policies.update().where(policies.c.id.in_(changed)).values(updated=run.now))


def _drop_oldest(run: Run, versions: list[RowMapping]) -> None:
    """Delete the oldest versions, so that another one stays within the quota."""
    surplus = len(versions) + 1 - run.store.quotas["managed policy versions"]
    oldest = sorted(versions, key=lambda version: int(version["version"]))[: max(surplus, 0)]
    sync(run.connection, policy_versions, (), oldest)

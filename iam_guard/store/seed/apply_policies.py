"""Managed policies and their versions (rule G-75).

A changed document becomes the new default version; beyond five, the oldest one that is not the default goes away. Must
not live here: who they are attached to (`apply_identities`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import RowMapping

from iam_guard.store.builtin import MANAGED
from iam_guard.store.identifiers import AWS_MANAGED, fold
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema import policies, policy_versions
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.row_sync import rows_where, sync
from iam_guard.store.seed.seed_values import SeedPolicy


def apply_policies(run: Run) -> list[str]:
    """Create and change the declared policies; give the ids of those to delete when nobody uses them any more."""
    accounts = [*run.account_ids, AWS_MANAGED]
    existing = list(rows_where(run.connection, policies, policies.c.account, accounts))
    before = {(row["account"], row["folded"]): row for row in existing}
    versions = _versions(run, existing)
    declared: dict[str, SeedPolicy] = {}
    wanted: list[dict[str, Any]] = []
    for account, policy in _declared(run):
        row = before.get((account, fold(policy.name)))
        id = run.id_for((account, "policy", fold(policy.name)), None if row is None else row["id"])
        run.know(account, "policy", policy.path, policy.name, id)
        declared[id] = policy
        wanted.append(_row(run, account, policy, id, _default_version(policy, row, versions.get(id, []))))
    kept = [row for row in existing if row["id"] in declared]
    gone = [row for row in existing if row["id"] not in declared and _is_pruned(run, row)]
    for row in existing:
        if row["id"] not in declared and not _is_pruned(run, row):
            run.know(row["account"], "policy", row["path"], row["name"], row["id"])
    _write(run, wanted, kept, declared, versions)
    return [row["id"] for row in gone]


def delete_policies(run: Run, ids: list[str]) -> None:
    """Delete what `apply_policies` gave, once no declared identity has it any more."""
    rows = list(rows_where(run.connection, policies, policies.c.id, ids))
    sync(run.connection, policies, (), rows)
    for row in rows:
        run.note("deleted", f"policy {run.arn(row['account'], 'policy', row['path'], row['name'])}")


def _declared(run: Run) -> Iterator[tuple[str, SeedPolicy]]:
    for policy in run.seed.aws_policies:
        yield AWS_MANAGED, policy
    for account in run.seed.accounts:
        for policy in account.policies:
            yield account.id, policy


def _is_pruned(run: Run, row: RowMapping) -> bool:
    """Return whether an undeclared policy goes away; AWS's own go only where the seed is the whole truth."""
    if row["account"] == AWS_MANAGED:
        return run.whole and row["name"] not in MANAGED
    return run.prune


def _versions(run: Run, existing: list[RowMapping]) -> dict[str, list[RowMapping]]:
    versions: dict[str, list[RowMapping]] = {row["id"]: [] for row in existing}
    for row in rows_where(run.connection, policy_versions, policy_versions.c.policy_id, versions):
        versions[row["policy_id"]].append(row)
    return versions


def _default_version(policy: SeedPolicy, row: RowMapping | None, versions: list[RowMapping]) -> int:
    """Return the number of the version that has the declared document: the default if it has it, else a new one."""
    texts = {version["version"]: version["text"] for version in versions}
    if row is not None and texts[row["default_version"]] == policy.document.text:
        return int(row["default_version"])
    gone = row["latest_version"] if row is not None and row["latest_version"] is not None else 0
    return int(max(gone, *texts, 0)) + 1


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
    wanted: list[dict[str, Any]],
    kept: list[RowMapping],
    declared: dict[str, SeedPolicy],
    versions: dict[str, list[RowMapping]],
) -> None:
    delta = sync(run.connection, policies, wanted, kept)
    new: list[dict[str, Any]] = []
    changed: list[str] = []
    for row in wanted:
        document = declared[row["id"]].document
        numbers = [version["version"] for version in versions.get(row["id"], [])]
        if row["default_version"] not in numbers:
            same = {"policy_id": row["id"], "version": row["default_version"], "created": run.now}
            new.append(same | {"text": document.text, "digest": document.digest})
            _drop_oldest(run, versions.get(row["id"], []))
            changed.append(row["id"])
        what = f"policy {run.arn(row['account'], 'policy', row['path'], row['name'])}"
        if (row["id"],) in delta.created:
            run.note("created", what)
        elif fields := delta.updated.get((row["id"],)):
            run.note("updated", what, tuple(_PART[field] for field in fields if field in _PART))
    if new:
        run.connection.execute(policy_versions.insert(), new)
        run.connection.execute(policies.update().where(policies.c.id.in_(changed)).values(updated=run.now))


def _drop_oldest(run: Run, versions: list[RowMapping]) -> None:
    """Make room for one more version."""
    surplus = len(versions) + 1 - QUOTAS["managed policy versions"]
    oldest = sorted(versions, key=lambda version: int(version["version"]))[: max(surplus, 0)]
    sync(run.connection, policy_versions, (), oldest)


_PART = {
    "path": "path",
    "name": "name",
    "description": "description",
    "default_version": "document",
    "tags": "tags",
}

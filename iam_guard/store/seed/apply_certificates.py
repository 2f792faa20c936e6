"""Applies the trust anchors and certificate profiles of a seed, after its identities and policies.

A revocation list that is not in the seed stays: it may have been imported since, and without it revoked certificates
would be valid again. It is deleted only if the seed is the complete content of the store (`whole`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table

from iam_guard.model.certificates import read_revocation_list
from iam_guard.store.credentials.certificate_trust import authority_of
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.schema import certificate_profiles, revocation_lists, trust_anchors
from iam_guard.store.seed.apply_identities import policy_id
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.row_sync import sync
from iam_guard.store.seed.seed_values import Ref, SeedAnchor, SeedProfile


def apply_certificates(run: Run) -> None:
    anchors = {
        anchor.id: _anchor(run, account.id, anchor) for account in run.seed.accounts for anchor in account.anchors
    }
    profiles = {
        profile.id: _profile(run, account.id, profile) for account in run.seed.accounts for profile in account.profiles
    }
    _sync(run, trust_anchors, anchors, "trust anchor")
    _sync(run, certificate_profiles, profiles, "certificate profile")
    declared = [anchor for account in run.seed.accounts for anchor in account.anchors]
    desired = {(row["anchor_id"], row["authority"]): row for anchor in declared for row in _lists(run, anchor)}
    stored = run.rows(revocation_lists.c.anchor_id, anchors)
    existing = {(row["anchor_id"], row["authority"]): row for row in stored}
    if not run.whole:
        for key in existing.keys() & desired.keys():
            if _issued(existing[key]["text"]) > _issued(desired[key]["text"]):
                del desired[key]  # a later one was imported
        existing = {key: row for key, row in existing.items() if key in desired}
    delta = sync(run.connection, revocation_lists, desired.values(), existing.values())
    for anchor_id in sorted({key[0] for key in (*delta.created, *delta.updated, *delta.deleted)}):
        run.record("updated", f"trust anchor {anchor_id}", ("revocation lists",))


def _sync(run: Run, table: Table, desired: dict[str, dict[str, Any]], what: str) -> None:
    stored = run.rows(table.c.account, run.account_ids)
    existing = [row for row in stored if row["id"] in desired or run.prune]
    delta = sync(run.connection, table, desired.values(), existing)
    names = {row["id"]: row["name"] for row in existing} | {id: row["name"] for id, row in desired.items()}
    run.record_delta(delta, lambda key: f"{what} {names[key]}")


def _anchor(run: Run, account: str, anchor: SeedAnchor) -> dict[str, Any]:
    names = {"id": anchor.id, "account": account, "name": anchor.name, "folded": fold(anchor.name)}
    return names | {"certificates": anchor.certificates, "enabled": anchor.is_enabled, "created": run.now}


def _lists(run: Run, anchor: SeedAnchor) -> list[dict[str, Any]]:
    return [
        {
            "anchor_id": anchor.id,
            "authority": authority_of(read_revocation_list(text)),
            "text": text,
            "created": run.now,
        }
        for text in anchor.revocation_lists
    ]


def _issued(text: str) -> float:
    return read_revocation_list(text).last_update_utc.timestamp()


def _profile(run: Run, account: str, profile: SeedProfile) -> dict[str, Any]:
    policies = [policy_id(run, account, ref) for ref in profile.managed_policies]
    return {
        "id": profile.id,
        "account": account,
        "name": profile.name,
        "folded": fold(profile.name),
        "enabled": profile.is_enabled,
        "roles": [_role_arn(run, account, ref) for ref in profile.roles],
        "seconds": profile.seconds,
        "session_policy": profile.session_policy and profile.session_policy.text,
        "policy_ids": [id for id in policies if id is not None],
        "mappings": None
        if profile.mappings is None
        else {field: list(names) for field, names in profile.mappings.items()},
        "created": run.now,
    }


def _role_arn(run: Run, account: str, ref: Ref) -> str:
    """Return the ARN of a role of the account, referred to by name or ARN."""
    arns = run.arns_by_id
    id = run.ids.get((account, Kind.ROLE.value, fold(ref.text)))
    arn = ref.text if ref.text.startswith("arn:") else arns.get(id or "")
    if arn not in run.arns or f"::{account}:role/" not in arn:
        run.problems.add(ref.line, f"no role `{ref.text[:200]}` in account {account}")
    return arn or ""

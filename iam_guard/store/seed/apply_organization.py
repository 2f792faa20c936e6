"""Applies the organization of a seed: deleted and inserted as a whole when anything differs (rules E-12, E-13).

Units, placements of accounts and attachments refer to each other by foreign keys; changing single rows would need a
separate order for every case. Unique ids are kept: a control policy is identified by type and name, a unit by its id,
or by parent and name.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table, select

from iam_guard.store.identifiers import fold
from iam_guard.store.policies.builtin import FULL_ACCESS, full_access_id
from iam_guard.store.schema import accounts, control_attachments, control_policies, organizations, placements, units
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.seed_values import Ref, SeedMember, SeedOrganization, SeedUnit

Rows = list[dict[str, Any]]

_PARTS: tuple[tuple[Table, str], ...] = (
    (organizations, "policy types"),
    (units, "units"),
    (placements, "accounts"),
    (control_policies, "control policies"),
    (control_attachments, "attachments"),
)


def apply_organization(run: Run) -> None:
    """Apply the organization; if the seed is the complete content of the store, other organizations are deleted."""
    declared = run.seed.organization
    if run.whole:
        for id in run.connection.execute(select(organizations.c.id)).scalars().all():
            if declared is None or id != declared.id:
                _remove(run, _stored(run, id))
                run.record("deleted", f"organization {id}")
    if declared is not None:
        _apply(run, declared)


def _apply(run: Run, declared: SeedOrganization) -> None:
    stored = _stored(run, declared.id)
    desired = _DeclaredRows(run, declared, stored).rows()
    parts = tuple(part for table, part in _PARTS if _as_set(stored[table]) != _as_set(desired[table]))
    if not parts:
        return
    _check_management_account(run, declared)
    run.problems.raise_any()
    _remove(run, stored)
    _unplace(run, [row["account"] for row in desired[placements]])
    for table, _ in _PARTS:
        if desired[table]:
            run.connection.execute(table.insert(), desired[table])
    if stored[organizations]:
        run.record("updated", f"organization {declared.id}", parts)
    else:
        run.record("created", f"organization {declared.id}")


def _stored(run: Run, id: str) -> dict[Table, Rows]:
    """Return the rows of an organization, table by table."""

    def rows(column: Column[Any], values: list[str]) -> Rows:
        return [dict(row) for row in run.rows(column, values)]

    unit_rows = rows(units.c.organization_id, [id])
    placed = rows(placements.c.unit_id, [row["id"] for row in unit_rows])
    targets = [row["id"] for row in unit_rows] + [row["account"] for row in placed]
    return {
        organizations: rows(organizations.c.id, [id]),
        units: unit_rows,
        placements: placed,
        control_policies: rows(control_policies.c.organization_id, [id]),
        control_attachments: rows(control_attachments.c.target, targets),
    }


def _remove(run: Run, stored: dict[Table, Rows]) -> None:
    """Delete an organization; all but the attachments to accounts is deleted by cascade."""
    _unplace(run, [row["account"] for row in stored[placements]])
    ids = [row["id"] for row in stored[organizations]]
    run.connection.execute(organizations.delete().where(organizations.c.id.in_(ids)))


def _unplace(run: Run, account_ids: list[str]) -> None:
    """Remove accounts from their organizations."""
    for row in run.rows(placements.c.account, account_ids):
        account = row["account"]
        run.connection.execute(control_attachments.delete().where(control_attachments.c.account == account))
        run.connection.execute(placements.delete().where(placements.c.account == account))


def _check_management_account(run: Run, declared: SeedOrganization) -> None:
    query = select(organizations.c.id).where(
        organizations.c.management_account == declared.management_account, organizations.c.id != declared.id
    )
    if other := run.connection.execute(query).scalars().first():
        message = f"account {declared.management_account} is the management account of organization `{other}` already"
        run.problems.add(declared.line, message)


def _as_set(rows: Rows) -> set[tuple[tuple[str, str], ...]]:
    return {tuple(sorted((name, repr(value)) for name, value in row.items())) for row in rows}


class _DeclaredRows:
    """Builds the rows of the declared organization."""

    def __init__(self, run: Run, declared: SeedOrganization, stored: dict[Table, Rows]) -> None:
        self._run = run
        self._declared = declared
        self._rows: dict[Table, Rows] = {table: [] for table, _ in _PARTS}
        self._unit_ids = {(row["parent_id"], row["folded"]): row["id"] for row in stored[units]}
        self._stored_policies = {(row["type"], row["folded"]): row["id"] for row in stored[control_policies]}
        self._policy_ids: dict[tuple[str, str], str] = {}
        self._enabled = {type: _is_enabled(declared, type) for type in FULL_ACCESS}
        self._features = next((row["root_features"] for row in stored[organizations]), None)
        """Set through the API; a seed can't define them."""

    def rows(self) -> dict[Table, Rows]:
        declared = self._declared
        is_enabled = {"scps_enabled": self._enabled["SCP"], "rcps_enabled": self._enabled["RCP"]}
        names = {"id": declared.id, "management_account": declared.management_account}
        self._rows[organizations].append(names | is_enabled | {"root_features": self._features})
        self._control_policies()
        root = self._unit(declared.root, None, None)
        placed = {row["account"] for row in self._rows[placements]}
        management = declared.management_account
        if management not in placed and management in self._existing_accounts([management]):
            self._rows[placements].append({"account": management, "unit_id": root})
        missing = {member.account: member for unit in declared.root.walk() for member in unit.members}
        for account in self._existing_accounts(list(missing)):
            del missing[account]
        for account, member in missing.items():
            self._run.problems.add(member.line, f"no account `{account}` in this seed or in the store")
        return self._rows

    def _existing_accounts(self, account_ids: list[str]) -> list[str]:
        return [row["id"] for row in self._run.rows(accounts.c.id, account_ids)]

    def _control_policies(self) -> None:
        for policy in self._declared.policies:
            key = (policy.type, fold(policy.name))
            id = self._stored_policies.get(key) or self._run.store.ids("p-", "/".join((self._declared.id, *key)))
            self._policy_ids[key] = id
            self._rows[control_policies].append(
                {
                    "id": id,
                    "organization_id": self._declared.id,
                    "type": policy.type,
                    "name": policy.name,
                    "folded": fold(policy.name),
                    "description": policy.description,
                    "text": policy.document.text,
                    "digest": policy.document.digest,
                }
            )

    def _unit(self, unit: SeedUnit, parent: str | None, root: str | None) -> str:
        names = f"{self._declared.id}/{parent}/{fold(unit.name)}"
        prefix = "r-" if root is None else f"ou-{root.removeprefix('r-')}-"
        id = unit.id or self._unit_ids.get((parent, fold(unit.name))) or self._run.store.ids(prefix, names)
        shared = {"id": id, "organization_id": self._declared.id, "parent_id": parent}
        self._rows[units].append(shared | {"name": unit.name, "folded": fold(unit.name)})
        self._attach(id, unit, unit_id=id)
        for member in unit.members:
            self._rows[placements].append({"account": member.account, "unit_id": id})
            self._attach(member.account, member, account=member.account)
        for child in unit.units:
            self._unit(child, id, root or id)
        return id

    def _attach(self, target: str, level: SeedUnit | SeedMember, **columns: str) -> None:
        """Attach the control policies of a unit or account, for each enabled type."""
        for type in FULL_ACCESS:
            if not self._enabled[type]:
                continue
            ids = {self._policy_id(type, ref) for ref in level.attached.get(type, ())}
            if type not in level.attached or type == "RCP":
                ids.add(full_access_id(type))  # E-13
            unit_or_account = {"unit_id": None, "account": None} | columns
            self._rows[control_attachments] += [
                {"policy_id": id, "target": target} | unit_or_account for id in ids if id is not None
            ]

    def _policy_id(self, type: str, ref: Ref) -> str | None:
        if ref.text == FULL_ACCESS[type]:
            return full_access_id(type)
        id = self._policy_ids.get((type, fold(ref.text)))
        if id is None:
            self._run.problems.add(ref.line, f"no {type} `{ref.text[:200]}` in the organization")
            return None
        return id


def _is_enabled(declared: SeedOrganization, type: str) -> bool:
    """Return whether the seed declares a policy of this type, or attachments of this type at any level (E-14)."""
    levels: list[SeedUnit | SeedMember] = []
    for unit in declared.root.walk():
        levels += [unit, *unit.members]
    return any(policy.type == type for policy in declared.policies) or any(type in level.attached for level in levels)

"""The position of an account in its organization."""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.api.call import ServiceCall
from iam_guard.store.database.records import Records, Row
from iam_guard.store.policies.decision_query import MAX_TREE_DEPTH
from iam_guard.store.schema import organizations, placements, units


class OrganizationPosition(NamedTuple):
    """The organization, and its units from the root to the account."""

    organization: Row
    unit_ids: tuple[str, ...]

    @property
    def path(self) -> str:
        """Return the path to the account: `o-…/r-…/ou-…/` (E.1)."""
        return "/".join([self.organization["id"], *self.unit_ids]) + "/"


def find_position(call: ServiceCall, account: str) -> OrganizationPosition | None:
    """Return the position of an account; None if it is in no organization."""
    placement = call.records.one(placements, account=account)
    unit = None if placement is None else call.records.one(units, id=placement["unit_id"])
    organization = None if unit is None else call.records.one(organizations, id=unit["organization_id"])
    if organization is None:
        return None
    unit_ids: list[str] = []
    while unit is not None and len(unit_ids) < MAX_TREE_DEPTH:
        unit_ids.append(unit["id"])
        unit = None if unit["parent_id"] is None else call.records.one(units, id=unit["parent_id"])
    return OrganizationPosition(organization, tuple(reversed(unit_ids)))


def managed_organization(records: Records, account: str) -> Row | None:
    """Return the organization that an account manages; None if it manages none."""
    return records.one(organizations, management_account=account)


def member_accounts(records: Records, organization_id: str) -> frozenset[str]:
    """Return the accounts of an organization."""
    unit_ids = records.values_of(units, "id", organization_id=organization_id)
    return frozenset(row["account"] for row in records.all(placements, columns=("account",), unit_id=unit_ids))

"""Where an account is in its organization, for services that are asked about it."""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.api.call import ServiceCall
from iam_guard.store.decision_query import MAX_TREE_DEPTH
from iam_guard.store.records import Row
from iam_guard.store.schema import organizations, placements, units


class OrganizationPlace(NamedTuple):
    """The organization, and the path to the account in it: `o-…/r-…/ou-…/` (E.1)."""

    organization: Row
    path: str


def find_place(call: ServiceCall, account: str) -> OrganizationPlace | None:
    """Find the place of an account; None for one in no organization."""
    place = call.records.one(placements, account=account)
    unit = None if place is None else call.records.one(units, id=place["unit_id"])
    organization = None if unit is None else call.records.one(organizations, id=unit["organization_id"])
    if organization is None:
        return None
    steps: list[str] = []
    while unit is not None and len(steps) < MAX_TREE_DEPTH:
        steps.append(unit["id"])
        unit = None if unit["parent_id"] is None else call.records.one(units, id=unit["parent_id"])
    return OrganizationPlace(organization, "/".join([organization["id"], *reversed(steps)]) + "/")

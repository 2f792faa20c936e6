"""The query that loads what a decision needs: a caller with its policies, accounts with their units, a resource.

A single statement sees one snapshot of the database (T-9) and costs one round trip. It is a union of flat lookups; the
column `part` names the kind of a row, and `decision_rows` joins them. Flat lookups, with `among` for each list of ids,
use indexes on every database, whatever its table statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.sql.selectable import CTE

from iam_guard.store.database.row_statements import among
from iam_guard.store.schema import (
    accounts,
    attachments,
    control_attachments,
    control_policies,
    deleted_accounts,
    identities,
    inline_policies,
    memberships,
    meta,
    organizations,
    placements,
    policies,
    policy_versions,
    resources,
    units,
)

MAX_TREE_DEPTH = 16
"""The number of levels of units that are followed upwards; AWS allows 5 below the root."""

_COLUMNS: dict[str, Any] = {
    "part": String,
    "id": String,
    "target": String,
    "number": BigInteger,
    "account": String,
    "kind": String,
    "path": String,
    "name": String,
    "text": Text,
    "digest": String,
    "tags": JSON,
    "bindings": JSON,
    "unit_id": String,
    "organization_id": String,
    "management_account": String,
    "scps_enabled": Boolean,
    "rcps_enabled": Boolean,
}


@cache
def decision_query(dialect: str, *, has_principal: bool, account_count: int, has_resource: bool) -> CompoundSelect[Any]:
    """Return the query for an optional caller, a number of accounts, and an optional resource.

    The parameters are `account`, `kind` and `folded` of the caller's user or role, `account0`, `account1`, … and `arn`.
    """
    return union_all(
        _part("epoch", number=meta.c.epoch),
        *(_principal_parts() if has_principal else ()),
        *_account_parts(account_count),
        *(_resource_parts(dialect) if has_resource else ()),
    )


def _principal_parts() -> Iterator[Select[Any]]:
    key = _named(identities, "account", "kind", "folded")
    this = [column == bindparam(name, type_=String) for name, column in key.items()]
    id = select(identities.c.id).where(*this).scalar_subquery()
    groups = select(memberships.c.group_id).where(memberships.c.user_id == id)
    holders = union_all(select(identities.c.id).where(*this), groups)
    attached = select(attachments.c.policy_id).where(among(attachments.c.identity_id, holders))
    boundary = select(identities.c.boundary_id).where(*this)
    of = _named(identities, "id", "account", "kind", "path", "name", "tags")
    yield _part("holder", **of, target=identities.c.boundary_id).where(among(identities.c.id, holders))
    inline = _named(inline_policies, "name", "text", "digest")
    yield _part("inline policy", id=inline_policies.c.identity_id, **inline).where(
        among(inline_policies.c.identity_id, holders)
    )
    yield _part("attachment", id=attachments.c.policy_id, target=attachments.c.identity_id).where(
        among(attachments.c.identity_id, holders)
    )
    managed = _named(policies, "id", "account", "path", "name")
    default_version = policy_versions.c.version == policies.c.default_version
    yield (
        _part("policy", **managed, text=policy_versions.c.text, digest=policy_versions.c.digest)
        .join_from(policies, policy_versions, (policy_versions.c.policy_id == policies.c.id) & default_version)
        .where(among(policies.c.id, union_all(attached, boundary)))
    )


def _account_parts(count: int) -> Iterator[Select[Any]]:
    """Yield selects for each account, its units upwards, and the control policies attached to these."""
    attached = []
    for number in range(count):
        account = bindparam(f"account{number}", type_=String)
        chain = _chain(account, f"chain{number}")
        yield (
            _part(
                f"account{number}",
                id=accounts.c.id,
                name=accounts.c.state,
                unit_id=placements.c.unit_id,
                organization_id=organizations.c.id,
                **_named(organizations, "management_account", "scps_enabled", "rcps_enabled"),
            )
            .select_from(accounts)
            .outerjoin(placements, placements.c.account == accounts.c.id)
            .outerjoin(units, units.c.id == placements.c.unit_id)
            .outerjoin(organizations, organizations.c.id == units.c.organization_id)
            .where(accounts.c.id == account)
        )
        yield _part(f"deleted{number}", id=deleted_accounts.c.id).where(deleted_accounts.c.id == account)
        yield _part(f"unit{number}", number=chain.c.height, id=chain.c.id)
        targets = union_all(select(chain.c.id), select(account))
        at_targets = among(control_attachments.c.target, targets)
        yield _part(f"control{number}", id=control_attachments.c.policy_id, target=control_attachments.c.target).where(
            at_targets
        )
        attached.append(select(control_attachments.c.policy_id).where(at_targets))
    if attached:
        columns = _named(control_policies, "id", "organization_id", "name", "text", "digest")
        yield _part("control policy", **columns, kind=control_policies.c.type).where(
            among(control_policies.c.id, union_all(*attached))
        )


def _chain(account: ColumnElement[str], name: str) -> CTE:
    """Return the units from an account's unit upwards; `height` is 1 for that unit, and largest for the root."""
    placed = select(placements.c.unit_id).where(placements.c.account == account).scalar_subquery()
    start = select(units.c.id, units.c.parent_id, cast(literal_column("1"), BigInteger).label("height")).where(
        units.c.id == placed
    )
    chain = start.cte(name, recursive=True)
    above = select(units.c.id, units.c.parent_id, chain.c.height + 1).join(chain, units.c.id == chain.c.parent_id)
    return chain.union_all(above.where(chain.c.height < MAX_TREE_DEPTH))


def _resource_parts(dialect: str) -> Iterator[Select[Any]]:
    this = resources.c.arn == bindparam("arn", type_=String)
    yield _part("resource", **_named(resources, "account", "tags", "text", "digest", "bindings")).where(this)
    bindings = select(resources.c.bindings).where(this).scalar_subquery()
    values = func.json_each_text(bindings) if dialect == "postgresql" else func.json_each(bindings)
    bound = select(values.table_valued("value", name="bound").c.value)
    present = _named(identities, "id", "account", "kind", "path", "name")
    yield _part("bound", **present).where(among(identities.c.id, bound))


def _named(table: Table, *names: str) -> dict[str, ColumnElement[Any]]:
    return {name: table.c[name] for name in names}


def _part(part: str, **columns: ColumnElement[Any]) -> Select[Any]:
    """Return a select of all columns of the union; columns without a value are NULL."""
    values = {"part": literal_column(f"'{part}'", String), **columns}
    empty = {name: cast(null(), type) for name, type in _COLUMNS.items()}
    return select(*((values.get(name, empty[name])).label(name) for name in _COLUMNS))

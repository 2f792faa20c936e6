"""The questions, as SQL: one function per question, each gives a statement.

Every first question of a transaction starts from `meta`, so that its rows carry the epoch, and there is a row even
when nothing was found. What a request names is looked for through `sought`. Must not live here: what the rows mean
(`sql_store`), changes (`sync`, `seed_apply`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    String,
    and_,
    cast,
    literal,
    null,
    or_,
    select,
    union_all,
)

from iam_guard.store.schema import (
    access_keys,
    accounts,
    api_keys,
    attachments,
    certificate_profiles,
    control_attachments,
    control_policies,
    identities,
    inline_policies,
    memberships,
    meta,
    organizations,
    placements,
    policies,
    policy_versions,
    resources,
    revocation_lists,
    service_credentials,
    trust_anchors,
    units,
)

MAX_TREE_DEPTH = 16
"""Levels of units that are followed upwards; AWS allows 5 below the root."""

_IDENTITY = (
    identities.c.id.label("identity_id"),
    identities.c.account,
    identities.c.kind,
    identities.c.path,
    identities.c.name,
    identities.c.tags,
    identities.c.boundary_id,
)


def epoch() -> Select[Any]:
    return select(meta.c.epoch)


def identity(account: str, kind: str, folded: str) -> Select[Any]:
    """One user or role by its folded name, with its boundary: exactly one row, `identity_id` NULL if there is none."""
    named = (identities.c.account == sought(account), identities.c.folded == sought(folded))
    this = and_(identities.c.kind == kind, *named)
    boundary = _default_version(identities.c.boundary_id)
    return (
        select(meta.c.epoch, *_IDENTITY, *_policy_columns("boundary_"))
        .select_from(meta)
        .outerjoin(identities, this)
        .outerjoin(policies, policies.c.id == identities.c.boundary_id)
        .outerjoin(policy_versions, boundary)
    )


def identity_policies(identity_id: str) -> CompoundSelect[Any]:
    """The inline and attached policies of an identity and of the groups it is in; `arn_account` is NULL for inline."""
    groups = select(memberships.c.group_id).where(memberships.c.user_id == identity_id)
    holder = or_(identities.c.id == identity_id, identities.c.id.in_(groups))
    of = (identities.c.kind.label("holder_kind"), identities.c.name.label("holder_name"))
    nothing = cast(null(), String)
    inline = (
        select(
            *of,
            nothing.label("arn_account"),
            nothing.label("arn_path"),
            inline_policies.c.name,
            inline_policies.c.text,
            inline_policies.c.digest,
        )
        .join(inline_policies, inline_policies.c.identity_id == identities.c.id)
        .where(holder)
    )
    attached = (
        select(
            *of,
            policies.c.account.label("arn_account"),
            policies.c.path.label("arn_path"),
            policies.c.name,
            policy_versions.c.text,
            policy_versions.c.digest,
        )
        .join(attachments, attachments.c.identity_id == identities.c.id)
        .join(policies, policies.c.id == attachments.c.policy_id)
        .join(policy_versions, _default_version(policies.c.id))
        .where(holder)
    )
    return union_all(inline, attached)


def access_key(key_id: str) -> Select[Any]:
    """An access key with its owner; `identity_id` is NULL for a key of the root user."""
    return (
        select(access_keys.c.sealed, access_keys.c.status, access_keys.c.account.label("key_account"), *_IDENTITY)
        .outerjoin(identities, identities.c.id == access_keys.c.user_id)
        .where(access_keys.c.id == sought(key_id))
    )


def api_key(key_id: str) -> Select[Any]:
    columns = (api_keys.c.digest, api_keys.c.status, api_keys.c.expires, api_keys.c.session_policy)
    return (
        select(*columns, *_IDENTITY)
        .join(identities, identities.c.id == api_keys.c.identity_id)
        .where(api_keys.c.id == sought(key_id))
    )


def service_api_key(credential_id: str) -> Select[Any]:
    """A service-specific credential that is an API key of ours; its digest is in hexadecimal."""
    those = service_credentials.c
    return (
        select(those.digest, those.status, those.expires, those.session_policy, *_IDENTITY)
        .join(identities, identities.c.id == those.user_id)
        .where(those.id == sought(credential_id), those.session_policy.is_not(None))
    )


def account(account_id: str) -> Select[Any]:
    """The account with its place: exactly one row, `id` NULL if there is no such account."""
    return (
        select(
            meta.c.epoch,
            accounts.c.id,
            placements.c.unit_id,
            organizations.c.id.label("organization_id"),
            organizations.c.management_account,
            organizations.c.scps_enabled,
            organizations.c.rcps_enabled,
        )
        .select_from(meta)
        .outerjoin(accounts, accounts.c.id == sought(account_id))
        .outerjoin(placements, placements.c.account == accounts.c.id)
        .outerjoin(units, units.c.id == placements.c.unit_id)
        .outerjoin(organizations, organizations.c.id == units.c.organization_id)
    )


def control_levels(account_id: str, unit_id: str) -> CompoundSelect[Any]:
    """The units from the account upwards and the control policies at each: a row per policy, at least one per level.

    `height` is 0 for the account, 1 for its unit, and largest for the root.
    """
    start = select(units.c.id, units.c.parent_id, literal(1).label("height")).where(units.c.id == unit_id)
    chain = start.cte("chain", recursive=True)
    above = (
        select(units.c.id, units.c.parent_id, chain.c.height + 1)
        .join(chain, units.c.id == chain.c.parent_id)
        .where(chain.c.height < MAX_TREE_DEPTH)
    )
    chain = chain.union_all(above)
    policy = (
        control_policies.c.id.label("policy_id"),
        control_policies.c.organization_id.label("policy_organization"),
        control_policies.c.type,
        control_policies.c.name,
        control_policies.c.text,
        control_policies.c.digest,
    )
    at_units = (
        select(chain.c.height, chain.c.id.label("unit_id"), *policy)
        .select_from(chain)
        .outerjoin(control_attachments, control_attachments.c.target == chain.c.id)
        .outerjoin(control_policies, control_policies.c.id == control_attachments.c.policy_id)
    )
    at_account = (
        select(literal(0).label("height"), cast(null(), String).label("unit_id"), *policy)
        .select_from(control_attachments)
        .join(control_policies, control_policies.c.id == control_attachments.c.policy_id)
        .where(control_attachments.c.target == account_id)
    )
    return union_all(at_units, at_account)


def resource(arn: str) -> Select[Any]:
    """A resource: exactly one row, `account` NULL if it is not known."""
    columns = (resources.c.account, resources.c.tags, resources.c.text, resources.c.digest, resources.c.bindings)
    return select(meta.c.epoch, *columns).select_from(meta).outerjoin(resources, resources.c.arn == sought(arn))


def account_existence(account_id: str) -> Select[Any]:
    """The epoch, and the account's id if it exists."""
    this = accounts.c.id == sought(account_id)
    return select(meta.c.epoch, accounts.c.id).select_from(meta).outerjoin(accounts, this)


def names_of(identity_ids: Sequence[str]) -> Select[Any]:
    """What it takes to write the present ARNs of these identities."""
    columns = (identities.c.id, identities.c.account, identities.c.kind, identities.c.path, identities.c.name)
    return select(*columns).where(identities.c.id.in_(identity_ids))


def anchors() -> Select[Any]:
    """The trust anchors that are enabled, of all accounts."""
    return select(trust_anchors).where(trust_anchors.c.enabled).order_by(trust_anchors.c.id)


def anchors_lists() -> Select[Any]:
    """The revocation lists of all trust anchors."""
    return select(revocation_lists.c.anchor_id, revocation_lists.c.text)


def profiles() -> Select[Any]:
    """The certificate profiles that are enabled, of all accounts."""
    return select(certificate_profiles).where(certificate_profiles.c.enabled).order_by(certificate_profiles.c.id)


def default_texts(policy_ids: Collection[str]) -> Select[Any]:
    """The documents of managed policies as they are now."""
    found = select(policies.c.id, policy_versions.c.text).join(policy_versions, _default_version(policies.c.id))
    return found.where(policies.c.id.in_(policy_ids))


def sought(text: str) -> str:
    """Give what to look for: where no database can hold the text, the empty one, for nothing is called that."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return ""
    return "" if "\0" in text else text


def _default_version(policy_id: ColumnElement[Any]) -> ColumnElement[bool]:
    same_policy = policy_versions.c.policy_id == policy_id
    return and_(same_policy, policy_versions.c.version == policies.c.default_version)


def _policy_columns(prefix: str) -> tuple[ColumnElement[Any], ...]:
    columns = (policies.c.account, policies.c.path, policies.c.name, policy_versions.c.text, policy_versions.c.digest)
    return tuple(column.label(prefix + column.name) for column in columns)

"""The SQL statements of the store, except those of decisions and of `records`.

Names from requests are passed through `storable`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, LargeBinary, Select, String, bindparam, cast, null, select, union_all

from iam_guard.store.schema import (
    access_keys,
    api_keys,
    browser_sessions,
    certificate_profiles,
    federated_sessions,
    identities,
    meta,
    policies,
    policy_versions,
    resources,
    revocation_lists,
    service_credentials,
    trust_anchors,
)

_IDENTITY = (
    identities.c.id.label("identity_id"),
    identities.c.account,
    identities.c.kind,
    identities.c.path,
    identities.c.name,
    identities.c.tags,
    identities.c.boundary_id,
    select(meta.c.epoch).scalar_subquery().label("epoch"),
)


def epoch() -> Select[Any]:
    return select(meta.c.epoch)


def access_key(key_id: str) -> Select[Any]:
    """Select an access key with its owner; `identity_id` is NULL for a key of the root user."""
    return (
        select(access_keys.c.sealed, access_keys.c.status, access_keys.c.account.label("owner_account"), *_IDENTITY)
        .outerjoin(identities, identities.c.id == access_keys.c.user_id)
        .where(access_keys.c.id == storable(key_id))
    )


def api_key(key_id: str) -> CompoundSelect[Any]:
    """Select an API key, or the service-specific credential of that id that is an API key, with its digest as hex."""
    keys, credentials = api_keys.c, service_credentials.c
    of_key = (keys.digest, cast(null(), String).label("hex_digest"), keys.status, keys.expires, keys.session_policy)
    of_credential = (
        cast(null(), LargeBinary),
        credentials.digest,
        credentials.status,
        credentials.expires,
        credentials.session_policy,
    )
    return union_all(
        select(*of_key, *_IDENTITY)
        .join(identities, identities.c.id == keys.identity_id)
        .where(keys.id == storable(key_id)),
        select(*of_credential, *_IDENTITY)
        .join(identities, identities.c.id == credentials.user_id)
        .where(credentials.id == storable(key_id), credentials.session_policy.is_not(None)),
    )


@cache
def browser_session() -> Select[Any]:
    """Select the browser session with a `digest`, with its user and role; `identity_id` is NULL for a root user."""
    sessions, roles = browser_sessions.c, identities.alias("roles")
    return (
        select(
            *[column for column in sessions if column.name != "account"],
            sessions.account.label("owner_account"),
            *(roles.c[name].label(f"role_{name}") for name in ("account", "path", "name")),
            *_IDENTITY,
        )
        .outerjoin(identities, (identities.c.id == sessions.user_id) & (identities.c.kind == "user"))
        .outerjoin(roles, (roles.c.id == sessions.role_id) & (roles.c.kind == "role"))
        .where(sessions.digest == bindparam("digest"))
    )


@cache
def federated_session() -> Select[Any]:
    """Select the browser session with a `digest` that has no stored person.

    With its role, or with its parent key and the user of that.
    """
    sessions, roles, users = federated_sessions.c, identities.alias("roles"), identities.alias("users")
    keys = access_keys.c
    return (
        select(
            *[column for column in sessions if column.name != "sealed_hint"],
            *(roles.c[name].label(f"role_{name}") for name in ("account", "path", "name")),
            *(keys[name].label(f"key_{name}") for name in ("id", "account", "status", "user_id")),
            *(users.c[name].label(f"user_{name}") for name in ("id", "account", "path", "name")),
            select(meta.c.epoch).scalar_subquery().label("epoch"),
        )
        .outerjoin(roles, (roles.c.id == sessions.role_id) & (roles.c.kind == "role"))
        .outerjoin(access_keys, keys.id == sessions.parent_key_id)
        .outerjoin(users, (users.c.id == keys.user_id) & (users.c.kind == "user"))
        .where(sessions.digest == bindparam("digest"))
    )


def resource_arns(after: str | None, limit: int) -> Select[Any]:
    """Select the ARNs of resources with a record, in the order of their index, after one of them."""
    found = select(resources.c.arn).order_by(resources.c.arn).limit(limit)
    return found if after is None else found.where(resources.c.arn > after)


def anchors() -> Select[Any]:
    """Select the enabled trust anchors of all accounts."""
    return select(trust_anchors).where(trust_anchors.c.enabled).order_by(trust_anchors.c.id)


def anchors_lists() -> Select[Any]:
    return select(revocation_lists.c.anchor_id, revocation_lists.c.text)


def profiles() -> Select[Any]:
    """Select the enabled certificate profiles of all accounts."""
    return select(certificate_profiles).where(certificate_profiles.c.enabled).order_by(certificate_profiles.c.id)


def default_texts(policy_ids: Collection[str]) -> Select[Any]:
    is_default = policy_versions.c.version == policies.c.default_version
    found = select(policies.c.id, policy_versions.c.text)
    return found.join(policy_versions, (policy_versions.c.policy_id == policies.c.id) & is_default).where(
        policies.c.id.in_(policy_ids)
    )


def storable(text: str) -> str:
    """Return the text, or, if no database can store it, the empty text, which is never a stored name."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return ""
    return "" if "\0" in text else text

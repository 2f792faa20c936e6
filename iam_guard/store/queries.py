"""The questions beside decisions, as SQL: one function per question, each gives a statement.

What a request names is looked for through `sought`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    LargeBinary,
    Select,
    String,
    and_,
    cast,
    null,
    select,
    union_all,
)

from iam_guard.store.schema import (
    access_keys,
    api_keys,
    certificate_profiles,
    identities,
    meta,
    policies,
    policy_versions,
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
)


def epoch() -> Select[Any]:
    return select(meta.c.epoch)


def access_key(key_id: str) -> Select[Any]:
    """An access key with its owner; `identity_id` is NULL for a key of the root user."""
    return (
        select(access_keys.c.sealed, access_keys.c.status, access_keys.c.account.label("key_account"), *_IDENTITY)
        .outerjoin(identities, identities.c.id == access_keys.c.user_id)
        .where(access_keys.c.id == sought(key_id))
    )


def api_key(key_id: str) -> CompoundSelect[Any]:
    """An API key, and the service-specific credential of that id that is one; its digest is in hexadecimal."""
    keys, those = api_keys.c, service_credentials.c
    own = (keys.digest, cast(null(), String).label("hex_digest"), keys.status, keys.expires, keys.session_policy)
    of_service = (cast(null(), LargeBinary), those.digest, those.status, those.expires, those.session_policy)
    return union_all(
        select(*own, *_IDENTITY).join(identities, identities.c.id == keys.identity_id).where(keys.id == sought(key_id)),
        select(*of_service, *_IDENTITY)
        .join(identities, identities.c.id == those.user_id)
        .where(those.id == sought(key_id), those.session_policy.is_not(None)),
    )


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
    """Return what to look for: where no database can hold the text, the empty one, for nothing is called that."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return ""
    return "" if "\0" in text else text


def _default_version(policy_id: ColumnElement[Any]) -> ColumnElement[bool]:
    same_policy = policy_versions.c.policy_id == policy_id
    return and_(same_policy, policy_versions.c.version == policies.c.default_version)

"""AWS's default quotas (rules G-75 to G-79, R-10, R-13, R-30), and those of a store, which a setting changes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Final

from iam_guard.errors import ConfigurationError, did_you_mean

QUOTAS: Final = {
    "accounts per store": sys.maxsize,
    "access keys per user": 2,
    "access keys per root user": 2,
    "groups per user": 10,
    "tags per entity": 50,
    "policies attached to a user": 10,
    "policies attached to a group": 10,
    "policies attached to a role": 20,
    "managed policy versions": 5,
    "SCPs per root, unit or account": 10,
    "RCPs per root, unit or account": 5,
    "policies per account": 1500,
    "users per account": 5000,
    "groups per account": 300,
    "roles per account": 1000,
    "instance profiles per account": 1000,
    "roles per instance profile": 1,
    "SAML providers per account": 100,
    "private keys per SAML provider": 2,
    "OIDC providers per account": 100,
    "client ids per OIDC provider": 100,
    "thumbprints per OIDC provider": 5,
    "server certificates per account": 20,
    "signing certificates per user": 2,
    "SSH keys per user": 5,
    "MFA devices per user": 8,
    "virtual MFA devices per account": 5000,
    "service-specific credentials per user and service": 2,
    "jobs kept per account": 1000,
    "archive rules per analyzer": 100,
    "access previews per analyzer": 1000,
    "policy generations per account and day": 50,
}

FIXED_QUOTAS: Final = {
    "tags per entity": "sessions have at most as many",
    "roles per instance profile": "clients read one role",
    "private keys per SAML provider": "one is for the rotation of the other",
}
"""Quotas that no setting changes, and why."""

_CHANGE = re.compile(r"([^=]*[^=\s])\s*=\s*(0*[1-9][0-9]{0,11})", re.ASCII)

MAX_SESSION_DURATION = range(3600, 43200 + 1)
CLIENT_ID_LENGTH = 255
TAG_KEY_LENGTH = 128
TAG_VALUE_LENGTH = 256


def effective_quotas(changes: Iterable[str]) -> Mapping[str, int]:
    """Return all quotas with the changes of the setting `quotas`, such as `users per account=10000`.

    Unless it is changed, too, the quota for virtual MFA devices is that for users, as at AWS. Raises
    `ConfigurationError`.
    """
    changed: dict[str, int] = {}
    for change in changes:
        parsed = _CHANGE.fullmatch(change.strip())
        if parsed is None:
            example = "`users per account=10000`"
            raise _error(f"expected a quota and a whole number above 0, such as {example}, got `{change[:200]}`")
        name = parsed[1]
        if name not in QUOTAS:
            hint = did_you_mean(name, QUOTAS) or f", expected one of {', '.join(sorted(QUOTAS.keys() - FIXED_QUOTAS))}"
            raise _error(f"unknown quota `{name[:200]}`{hint}")
        if name in FIXED_QUOTAS:
            raise _error(f"the quota `{name}` cannot be changed: {FIXED_QUOTAS[name]}")
        if name in changed:
            raise _error(f"expected one number for `{name}`, got two")
        changed[name] = int(parsed[2])
    if "users per account" in changed:
        changed.setdefault("virtual MFA devices per account", changed["users per account"])
    return QUOTAS | changed if changed else QUOTAS


def _error(message: str) -> ConfigurationError:
    return ConfigurationError(message, place="quotas")

"""AWS's default quotas (rules G-75 to G-79, R-10, R-13, R-30)."""

from __future__ import annotations

QUOTAS = {
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
    "virtual MFA devices per account": 5000,  # as many as users
    "service-specific credentials per user and service": 2,
    "jobs kept per account": 1000,
    "archive rules per analyzer": 100,
    "access previews per analyzer": 1000,
    "policy generations per account and day": 50,
}

MAX_SESSION_DURATION = range(3600, 43200 + 1)
CLIENT_ID_LENGTH = 255
TAG_KEY_LENGTH = 128
TAG_VALUE_LENGTH = 256

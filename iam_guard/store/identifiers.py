"""Patterns and lengths of names, paths and tags; unique ids; ARNs (rules G-78, G-79, P-1, P-4, P-16)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn
from iam_guard.model.credential import TEMPORARY

AWS_MANAGED = "aws"
"""The account field in the ARN of an AWS managed policy."""


class Kind(StrEnum):
    """The kind of an identity, which is also the resource type in its ARN."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"


NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
NAME_LENGTHS = {"user": 64, "role": 64, "group": 128, "policy": 128}
PATH = re.compile(r"/|/[\x21-\x7e]+/")
PATH_LENGTH = 512
ARN_BYTES = 2048
"""The maximum length of an ARN in AWS; PostgreSQL's indexes accept 2,704 bytes."""
ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){2,62}")
ACCESS_KEY_ID = re.compile(rf"(?!{TEMPORARY})\w{{1,128}}", re.ASCII)
"""The id of a long-term access key; temporary ones authenticate by their session token alone (P-4)."""
API_KEY_ID = re.compile(r"[A-Za-z0-9]{4,32}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
PROVIDER_URL = re.compile(rf"https://(?P<provider>{_LABEL}(?:\.{_LABEL})*(?:/[A-Za-z0-9._~!$&'()+,;=:@%/-]*)?)")
"""The URL of an OIDC provider; its name is the part after the scheme."""
ORGANIZATION_ID = re.compile(r"o-[a-z0-9]{10,32}")
ROOT_ID = re.compile(r"r-[a-z0-9]{4,32}")
UNIT_ID = re.compile(r"ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}")

_TAG_PUNCTUATION = frozenset("_.:/=+-@")
_TAG_CATEGORIES = frozenset("LNZ")
_PLAIN_TAG = re.compile(r"[A-Za-z0-9 _.:/=+@-]*")
"""Tag text in ASCII, which needs no look at each character."""

CONTROL_POLICY_FOLDERS = {"SCP": "service_control_policy", "RCP": "resource_control_policy"}
"""Type of a control policy -> the part of its ARN that names the type."""

UniqueIds: TypeAlias = Callable[[str, str], str]
"""(prefix, name of the entity) -> a unique id."""

PREFIXES = {
    "user": "AIDA",
    "role": "AROA",
    "group": "AGPA",
    "policy": "ANPA",
    "instance-profile": "AIPA",
    "server-certificate": "ASCA",
    "ssh-key": "APKA",
    "service-credential": "ACCA",
    "saml-provider": "SAMLSP",
    "saml-private-key": "SAMLPK",
    "oidc-provider": "OIDCP",  # never shown
}


def fold(name: str) -> str:
    """Return the form under which a name is unique in its account (G-78)."""
    return name.lower()


def random_id(prefix: str, names: str) -> str:
    """Return a new unique id: the prefix, such as `AIDA`, and 17 random base-32 characters (P-4)."""
    return _unique_id(prefix, secrets.token_bytes(16))


def derived_id(prefix: str, names: str) -> str:
    """Return a unique id derived from the entity's name, so that all processes that read one seed file agree on it.

    A re-created entity gets its old id again, so a store with persistent ids must not use this (P-6).
    """
    return _unique_id(prefix, hashlib.sha256(f"iam_guard:{prefix}:{names}".encode()).digest())


def _unique_id(prefix: str, entropy: bytes) -> str:
    text = base64.b32encode(entropy).decode("ascii").rstrip("=")[:17]
    return prefix + (text if prefix.isupper() else text.lower())


def iam_arn(partition: str, account: str, kind: str, path: str, name: str) -> str:
    """Return the ARN of a user, group, role or policy (P-1)."""
    return f"arn:{partition}:iam::{account}:{kind}{path}{name}"


def root_arn(partition: str, account: str) -> str:
    return f"arn:{partition}:iam::{account}:root"


def entity_digest(entity_id: str) -> str:
    """Return what finds SAML providers by their entity id, which may be too long for an index: its SHA-256."""
    return hashlib.sha256(entity_id.encode("utf-8", "surrogatepass")).hexdigest()


def session_arn(partition: str, account: str, role: str, session: str) -> str:
    """Return the ARN of a role session, which contains the role's name without its path (P-2)."""
    return f"arn:{partition}:sts::{account}:assumed-role/{role}/{session}"


def identity_of_arn(arn: str) -> tuple[str, Kind, str] | None:
    """Return account, kind and name of the user, group or role that an ARN names; None for any other ARN."""
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        return None
    kind, _, name = parsed.resource.partition("/")
    if parsed.service != "iam" or kind not in {*Kind} or not name:
        return None
    return parsed.account, Kind(kind), name.rpartition("/")[2]


def control_policy_arn(partition: str, management: str | None, organization: str | None, type: str, id: str) -> str:
    """Return the ARN of an SCP or RCP; without an organization, of one managed by AWS."""
    path = f"{CONTROL_POLICY_FOLDERS[type]}/{id}"
    if organization is None:
        return f"arn:{partition}:organizations::aws:policy/{path}"
    return f"arn:{partition}:organizations::{management}:policy/{organization}/{path}"


def is_tag_text(text: str) -> bool:
    """Return whether a tag key or value contains only letters, numbers, white space and `_.:/=+-@`."""
    return _PLAIN_TAG.fullmatch(text) is not None or all(
        char in _TAG_PUNCTUATION or unicodedata.category(char)[0] in _TAG_CATEGORIES for char in text
    )

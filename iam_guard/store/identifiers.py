"""The names of what the store holds: patterns and lengths of names, paths and tags, unique ids, ARNs.
Rules G-78, G-79, P-1, P-4, P-16.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from iam_guard.model.credential import TEMPORARY

AWS_MANAGED = "aws"
"""What stands in the account field of the ARN of an AWS managed policy."""


class Kind(StrEnum):
    """The identities of an account; the word is also the ARN's resource type."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"


NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
NAME_LENGTHS = {"user": 64, "role": 64, "group": 128, "policy": 128}
PATH = re.compile(r"/|/[\x21-\x7e]+/")
PATH_LENGTH = 512
ARN_BYTES = 2048
"""AWS's longest ARN; PostgreSQL's indexes take 2,704 bytes."""
ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){2,62}")
ACCESS_KEY_ID = re.compile(rf"(?!{TEMPORARY})\w{{1,128}}", re.ASCII)
"""Of a long-term key; those of temporary ones sign in with their session token alone (P-4)."""
API_KEY_ID = re.compile(r"[A-Za-z0-9]{4,32}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
PROVIDER_URL = re.compile(rf"https://(?P<provider>{_LABEL}(?:\.{_LABEL})*(?:/[A-Za-z0-9._~!$&'()+,;=:@%/-]*)?)")
"""Of an OIDC provider; it is called what stands behind the scheme."""
ORGANIZATION_ID = re.compile(r"o-[a-z0-9]{10,32}")
ROOT_ID = re.compile(r"r-[a-z0-9]{4,32}")
UNIT_ID = re.compile(r"ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}")

_TAG_PUNCTUATION = frozenset("_.:/=+-@")
_TAG_CATEGORIES = frozenset("LNZ")

UniqueIds: TypeAlias = Callable[[str, str], str]
"""(prefix, what it names) -> a unique id."""

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
    "oidc-provider": "OIDCP",  # shown to nobody
}


def fold(name: str) -> str:
    """Return the form under which a name is unique in its account (G-78)."""
    return name.lower()


def random_id(prefix: str, names: str) -> str:
    """Make a unique id that nobody has had before: `AIDA` and 17 base-32 characters (P-4)."""
    return _unique_id(prefix, secrets.token_bytes(16))


def derived_id(prefix: str, names: str) -> str:
    """Make the unique id from what it names, so that every process that reads one seed file agrees on it.

    A re-created entity has its old id again, which a store that keeps its ids must not do (P-6).
    """
    return _unique_id(prefix, hashlib.sha256(f"iam_guard:{prefix}:{names}".encode()).digest())


def _unique_id(prefix: str, entropy: bytes) -> str:
    text = base64.b32encode(entropy).decode("ascii").rstrip("=")[:17]
    return prefix + (text if prefix.isupper() else text.lower())


def iam_arn(partition: str, account: str, kind: str, path: str, name: str) -> str:
    """Write the ARN of a user, group, role or policy (P-1)."""
    return f"arn:{partition}:iam::{account}:{kind}{path}{name}"


def root_arn(partition: str, account: str) -> str:
    return f"arn:{partition}:iam::{account}:root"


def session_arn(partition: str, account: str, role: str, session: str) -> str:
    """Write the ARN of a role session; it has the role's name without path (P-2)."""
    return f"arn:{partition}:sts::{account}:assumed-role/{role}/{session}"


def control_policy_arn(partition: str, management: str | None, organization: str | None, type: str, id: str) -> str:
    """Write the ARN of an SCP or RCP; without an organization, of one that AWS manages."""
    folder = {"SCP": "service_control_policy", "RCP": "resource_control_policy"}[type]
    if organization is None:
        return f"arn:{partition}:organizations::aws:policy/{folder}/{id}"
    return f"arn:{partition}:organizations::{management}:policy/{organization}/{folder}/{id}"


def is_tag_text(text: str) -> bool:
    """Return whether a tag key or value has letters, numbers, white space and `_.:/=+-@` only."""
    return all(char in _TAG_PUNCTUATION or unicodedata.category(char)[0] in _TAG_CATEGORIES for char in text)

"""The vocabulary of the policy language: elements, principal keys, condition operators, A.3 per type (rules A, D)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args
from unicodedata import east_asian_width

from iam_guard.errors import PolicyError, did_you_mean
from iam_guard.model.decision import PolicyType

PolicyVersion: TypeAlias = Literal["2008-10-17", "2012-10-17"]
VERSIONS: tuple[PolicyVersion, ...] = get_args(PolicyVersion)  # G-3
DOCUMENT_ELEMENTS = frozenset({"Version", "Id", "Statement"})  # G-1
STATEMENT_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)  # G-20
ACTIONS = ("Action", "NotAction")
RESOURCES = ("Resource", "NotResource")
PRINCIPALS = ("Principal", "NotPrincipal")
EXCLUSIVE_ELEMENTS = (ACTIONS, RESOURCES, PRINCIPALS)  # G-22, G-23
PRINCIPAL_KEYS = frozenset({"AWS", "Federated", "Service", "CanonicalUser"})  # G-40

# --- A.3: the elements of each policy type ---------------------------------------------------------------------------


class Use(StrEnum):
    """Whether a policy type supports or requires an element."""

    OPTIONAL = "optional"
    REQUIRED = "required"
    EITHER = "one of the two"
    DENY = "`Deny` only"
    ANY_PRINCIPAL = '`"*"` only'
    LATEST = "`2012-10-17` only"
    PROHIBITED = "no"


def _uses(*columns: Use) -> Mapping[PolicyType, Use]:
    return MappingProxyType(dict(zip(PolicyType, columns, strict=True)))


_O, _R, _E, _D, _L, _N = Use.OPTIONAL, Use.REQUIRED, Use.EITHER, Use.DENY, Use.LATEST, Use.PROHIBITED
_ANY = Use.ANY_PRINCIPAL

USES: Mapping[str, Mapping[PolicyType, Use]] = MappingProxyType(
    {  # in the order of PolicyType: identity, resource, boundary, session, SCP, RCP, VPC endpoint, trust
        "Version": _uses(_O, _O, _O, _O, _L, _L, _O, _O),  # G-3, G-36
        "Id": _uses(_N, _O, _N, _N, _N, _N, _O, _O),  # G-6
        "Sid": _uses(_O, _O, _O, _O, _O, _O, _O, _O),
        "Effect": _uses(_R, _R, _R, _R, _R, _D, _R, _R),  # G-21, G-37
        "Principal": _uses(_N, _E, _N, _N, _N, _ANY, _E, _R),  # G-30, G-31, G-37
        "NotPrincipal": _uses(_N, _D, _N, _N, _N, _N, _D, _N),  # G-32, G-34, G-37
        "Action": _uses(_E, _E, _E, _E, _E, _R, _E, _E),  # G-22
        "NotAction": _uses(_E, _E, _E, _E, _E, _N, _E, _E),  # G-37
        "Resource": _uses(_E, _O, _E, _E, _E, _E, _E, _N),  # M-26, G-32
        "NotResource": _uses(_E, _O, _E, _E, _E, _E, _E, _N),
        "Condition": _uses(_O, _O, _O, _O, _O, _O, _O, _O),
    }
)
"""The table of A.3: the source of the sets below and of the reference page; a test covers every cell."""


def _types(element: str, *uses: Use) -> frozenset[PolicyType]:
    return frozenset(type for type, use in USES[element].items() if use in uses)


WITHOUT_PRINCIPAL = _types("Principal", Use.PROHIBITED)
WITH_PRINCIPAL = frozenset(PolicyType) - WITHOUT_PRINCIPAL
WITHOUT_RESOURCE = _types("Resource", Use.PROHIBITED)
RESOURCE_IS_OPTIONAL = _types("Resource", Use.OPTIONAL, Use.PROHIBITED)
WITH_REQUIRED_VERSION = _types("Version", Use.LATEST)
WITH_ID = _types("Id", Use.OPTIONAL)
WITH_SHORT_ARNS = frozenset({PolicyType.IDENTITY, PolicyType.BOUNDARY})  # G-64; a boundary is a managed policy, G-38
OF_OTHER_SERVICES = frozenset({PolicyType.RESOURCE, PolicyType.VPC_ENDPOINT})  # G-24, G-25: not stored by IAM

# --- A.5: forms of strings -------------------------------------------------------------------------------------------

ACTION = re.compile(r"\*|[A-Za-z0-9.-]+:[^:]*")  # G-60, G-61
CONDITION_KEY = re.compile(r"[^:\s]+:\S.*", re.DOTALL)  # G-67; the prefix of an OIDC key has dots and slashes
UNSTORABLE = re.compile(r"[^\t\n\r\x20-\xff]")  # G-12
PARTITIONS = frozenset(
    {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}
)  # G-19
IAM_RESOURCE_TYPES = (
    *("user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/"),
    *("sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/"),
)  # G-65, in the order of IAM's sentence
S3_REGIONAL_TYPES = ("accesspoint/", "access-grants/", "async-request/", "job/", "storage-lens", "*")  # G-65
"""How the resources of S3 with a Region in their ARNs begin, and patterns that may match these."""
TAG_KEY_PREFIXES = frozenset({"aws:resourcetag", "aws:requesttag", "aws:principaltag"})  # G-67
WILDCARD = re.compile(r"[*?]")
PLAIN_SID = re.compile(r"[A-Za-z0-9]*")  # G-24

# --- D: operator names -----------------------------------------------------------------------------------------------

SetPrefix = Literal["ForAllValues", "ForAnyValue"]
SET_PREFIXES: tuple[SetPrefix, ...] = ("ForAllValues", "ForAnyValue")  # C-35
IF_EXISTS = "IfExists"  # C-30

ConditionOperator: TypeAlias = Literal[
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
]
OPERATORS: frozenset[str] = frozenset(get_args(ConditionOperator))
"""The base operators. All take a set prefix, and all except `Null` the suffix `IfExists` (rules C-30, C-34, C-35)."""


@dataclass(frozen=True, slots=True)
class OperatorName:
    """The parts of an operator name in a policy."""

    base: str
    prefix: SetPrefix | None = None
    if_exists: bool = False

    def __str__(self) -> str:
        return (f"{self.prefix}:" if self.prefix else "") + self.base + (IF_EXISTS if self.if_exists else "")


_OPERATOR_NAMES = MappingProxyType(
    {
        str(name): name
        for base in OPERATORS
        for prefix in (None, *SET_PREFIXES)
        for if_exists in (False, True)
        if not (name := OperatorName(base, prefix, if_exists)).if_exists or base != "Null"
    }
)


def split_operator(name: str) -> OperatorName:
    """Split an operator name; raise `PolicyError` for an unknown one. Names are case-sensitive (rule G-66)."""
    operator = _OPERATOR_NAMES.get(name)
    if operator is not None:
        return operator
    if name in {f"{prefix}Null{IF_EXISTS}" for prefix in ("", *(f"{each}:" for each in SET_PREFIXES))}:
        raise PolicyError(f"the operator `Null` does not take `{IF_EXISTS}`", finding="NULL_WITH_IF_EXISTS")  # C-30
    hint = did_you_mean(name, _OPERATOR_NAMES, 0.8)
    raise PolicyError(f"unknown condition operator {quoted(name)}{hint}", finding="INVALID_CONDITION_OPERATOR")  # G-66


def quoted(text: str) -> str:
    """Format user input for a message: in backticks, shortened, control characters and line breaks escaped."""
    return f"`{shown(text, 100)}`"


def shown(text: str, limit: int = 2048) -> str:
    """Format user input for a sentence: at most `limit` characters, control characters and line breaks escaped."""
    start = text if len(text) <= limit else text[:limit] + "…"
    if start.isprintable():
        return start
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in start)


def shortened(text: str, width: int) -> str:
    """Replace the middle of a text wider than `width` columns, since ARNs differ at their ends."""
    if text_width(text) <= width:
        return text
    start, end = text[: width // 2], text[len(text) - (width - 1) // 2 :]
    while text_width(start) + 1 + text_width(end) > width:  # wide characters
        start, end = (start[:-1], end) if text_width(start) > text_width(end) else (start, end[1:])
    return f"{start}…{end}"


def text_width(text: str) -> int:
    """Return the columns of a terminal that a text takes; Chinese characters take two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(char) in "WF" else 1 for char in text)

"""Principals: root user, IAM user, role session, federated user session, service, anonymous (rules G, K-10).

A federated principal, authenticated by an identity provider, exists only while it requests a role session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, is_account_id, is_service_linked_role
from iam_guard.model.context import Context, Given, Value
from iam_guard.model.json_form import (
    CONDITION_KEYS,
    FLAG,
    REQUIRED_TEXT,
    TAGS,
    TEXT,
    TEXTS,
    attributes_of_json,
    choice_form,
    json_of_attributes,
)
from iam_guard.model.used_credential import CREDENTIAL_FORM
from iam_guard.model.used_credential import Credential as Credential
from iam_guard.model.used_credential import CredentialKind as CredentialKind
from iam_guard.model.used_credential import Issued as Issued

_EMPTY: Mapping[str, str] = MappingProxyType({})


class PrincipalType(StrEnum):
    """The types of principals, as in the case format (rule N-1), which has no `FEDERATED`."""

    USER = "User"
    ASSUMED_ROLE = "AssumedRole"
    FEDERATED_USER = "FederatedUser"
    ROOT = "Root"
    SERVICE = "Service"
    FEDERATED = "Federated"
    """Authenticated by an identity provider, whose ARN is the principal's (rule G-48)."""
    ANONYMOUS = "Anonymous"

    __hash__ = str.__hash__  # faster than `Enum.__hash__`, which is Python code; used by every decision


SIGN_IN_SESSION: Final = "aws:SignInSessionArn"
"""The condition key that the sessions of people's tools have."""

REASON: Final = "iam-guard:Reason"
"""The condition key of the application itself: why it acts."""

_TYPE_KEY = {PrincipalType.ROOT: "Account"}  # aws:PrincipalType where it differs from the name above (K-10)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller.

    `arn` is the caller's ARN (for a role session the session ARN), a service name, or `anonymous`. `account` is
    None for services but the application itself, for anonymous callers and federated principals. `role_arn` is the
    full ARN of the session's role, with its path; `user_arn` is the federating user's. `tags` are the effective
    principal tags (session tags override, rule S-21). `session` has the condition keys stored in the session (rule
    K-21). `session_policies` are the documents passed with the session, None without any.

    Raises `InvalidInput` for an unknown type, an invalid ARN, and values that are not strings.
    """

    type: PrincipalType
    arn: str
    account: str | None
    role_arn: str | None = None
    user_arn: str | None = None
    userid: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    session: Mapping[str, Given] = field(default_factory=lambda: _EMPTY, compare=False)
    session_policies: tuple[str, ...] | None = None
    has_boundary: bool = False
    credential: Credential | None = field(default=None, compare=False)
    _keys: list[Context] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        kind: object = self.type
        if not isinstance(kind, PrincipalType):
            object.__setattr__(self, "type", _parse_type(kind))
        _check_string(self.arn, "arn")
        if not _STRING_OR_NONE.issuperset(map(type, (self.account, self.role_arn, self.user_arn, self.userid))):
            for name in ("account", "role_arn", "user_arn", "userid"):
                _check_string("" if getattr(self, name) is None else getattr(self, name), name)
        if self.type not in _WITHOUT_ARN and (self.arn.count(":") < 5 or not self.arn.startswith("arn:")):
            raise InvalidInput(f"expected the ARN of a principal, got `{self.arn[:200]}`")

    def __hash__(self) -> int:
        return hash((self.arn, self.role_arn, self.userid))

    def __reduce__(self) -> tuple[object, ...]:
        """Support `pickle` and `copy`, which read-only mappings do not."""
        values: dict[str, object] = {name: getattr(self, name) for name in _PRINCIPAL}
        return _from_pickle, (values | {"tags": dict(self.tags), "session": dict(self.session)},)

    def to_dict(self) -> dict[str, object]:
        """Return the principal as a JSON-compatible object, from which `from_dict` returns an equal principal.

        It is neither signed nor encrypted: use `guard.sealed_principals.seal` where others can write.
        """
        return {"version": _VERSION, **json_of_attributes(self, _PRINCIPAL)}

    @classmethod
    def from_dict(cls, members: Mapping[str, object]) -> Principal:
        """Return the principal of an object that `to_dict` returned.

        Raises `InvalidInput` for a later version, an unknown, missing or invalid member, an invalid ARN, or one of
        another type or account; `ContextError` for tags that differ by letter case only.
        """
        if not isinstance(members, Mapping):
            raise InvalidInput(f"expected a principal as an object, got `{type(members).__name__}`")
        members = dict(members)
        version = members.pop("version", None)
        if type(version) is not int or version != _VERSION:
            is_later = type(version) is int and version > _VERSION
            got = "a later one" if is_later else "another value"
            raise InvalidInput(f"expected a principal of version {_VERSION}, got {got}", place="/version")
        principal = cls(**{"account": None, **attributes_of_json(members, _PRINCIPAL)})
        _check_arns(principal)
        _ = principal.condition_keys  # raises `ContextError`
        return principal

    @classmethod
    def from_arn(
        cls,
        arn: str,
        *,
        role_arn: str | None = None,
        user_arn: str | None = None,
        userid: str | None = None,
        tags: Mapping[str, str] | None = None,
        session_policies: tuple[str, ...] | None = None,
        has_boundary: bool = False,
    ) -> Principal:
        """Return the principal with an ARN, which determines type and account.

        Without `role_arn`, a role session's role has the root path (rule P-2). Raises `InvalidInput` for an ARN that is
        not a principal's, `ContextError` for tags that differ by letter case only.
        """
        _check_string(arn, "arn")
        parsed = Arn.parse(arn)
        kind = _type_of(parsed)
        if kind is None or not is_account_id(parsed.account):
            raise InvalidInput(f"expected the ARN of a principal, got `{arn[:200]}`")
        if kind is PrincipalType.ASSUMED_ROLE and role_arn is None:
            role_name = parsed.resource.split("/")[1]
            role_arn = f"arn:{parsed.partition}:iam::{parsed.account}:role/{role_name}"
        principal = cls(
            type=kind,
            arn=arn,
            account=parsed.account,
            role_arn=role_arn,
            user_arn=user_arn,
            userid=userid,
            tags=MappingProxyType(dict(tags or {})),
            session_policies=session_policies,
            has_boundary=has_boundary,
        )
        _ = principal.condition_keys  # raises `ContextError`
        return principal

    @classmethod
    def anonymous(cls) -> Principal:
        """Return the principal of a request without credentials."""
        return cls(PrincipalType.ANONYMOUS, "anonymous", None)

    @classmethod
    def service(cls, name: str) -> Principal:
        """Return a service principal such as `cloudtrail.amazonaws.com` (rule G-47)."""
        return cls(PrincipalType.SERVICE, name, None)

    @classmethod
    def application(cls, name: str, account: str, policies: tuple[str, ...], reason: str) -> Principal:
        """Return the service principal of the application itself, which acts in an account with these policies alone.

        `reason` is the value of its condition key `iam-guard:Reason`.
        """
        keys = MappingProxyType({REASON: reason})
        return cls(PrincipalType.SERVICE, name, account, session=keys, session_policies=policies)

    @classmethod
    def federated(cls, provider: str, *, userid: str, keys: Mapping[str, Given]) -> Principal:
        """Return a principal authenticated by an identity provider (its ARN); `keys` are its condition keys."""
        return cls(PrincipalType.FEDERATED, provider, None, userid=userid, session=MappingProxyType(dict(keys)))

    @property
    def name(self) -> str:
        """The friendly name: user name, session name, federated name, service name, `root` or `anonymous`."""
        return self.arn.rsplit("/", 1)[-1] if "/" in self.arn else self.arn.rsplit(":", 1)[-1]

    @property
    def identity_arn(self) -> str:
        """The ARN of the user or role whose policies the caller has, if its type has any; empty if it is unknown."""
        match self.type:
            case PrincipalType.ASSUMED_ROLE:
                return self.role_arn or ""
            case PrincipalType.FEDERATED_USER:
                return self.user_arn or ""
            case _:
                return self.arn

    @property
    def mfa_at(self) -> datetime | None:
        """When a user or root user authenticated its session with MFA; None for long-term keys and other sessions.

        Role sessions do not have it, even if the trust policy required MFA (S-15). Those of a company's sign-on do, if
        its identity provider is trusted for second factors, and says that one was used.
        """
        issued = _issued_with_mfa_state(self)
        return None if issued is None else issued.mfa_at

    @property
    def is_service_linked(self) -> bool:
        """Whether this is a session of a service-linked role, by the role's path (rule P-14)."""
        return self.role_arn is not None and is_service_linked_role(self.role_arn)

    @property
    def is_assumed_root(self) -> bool:
        """Whether this is a root session of AssumeRoot; true in doubt (rule S-35)."""
        session: object = self.session
        return not isinstance(session, Mapping) or "aws:AssumedRoot" in session

    @property
    def is_application(self) -> bool:
        """Whether this is the application itself: the only service that acts in an account and has policies (E-67)."""
        return self.type is PrincipalType.SERVICE and self.account is not None

    @property
    def is_of_tool(self) -> bool:
        """Whether the credentials are those of a tool that its user approved in a browser session."""
        return SIGN_IN_SESSION in self.session

    def key(self, folded_key: str) -> Value | None:
        """Return the principal's value of a condition key, in lower case (K-10, E.1, E.2)."""
        return self.condition_keys.value(folded_key)

    @property
    def condition_keys(self) -> Context:
        """All condition keys that the principal supplies; computed once, on first use.

        Raises `ContextError` for tags that differ by letter case only (rule C-4).
        """
        if not self._keys:
            self._keys.append(Context(_derived_keys(self)))
        return self._keys[0]


_WITHOUT_ARN = frozenset({PrincipalType.SERVICE, PrincipalType.ANONYMOUS})
_WITHOUT_ACCOUNT = _WITHOUT_ARN | {PrincipalType.FEDERATED}
_STRING_OR_NONE = frozenset({str, type(None)})


_VERSION = 1
"""The version of `to_dict`; another one if a member is added or changed."""
_PRINCIPAL = {
    "type": choice_form(PrincipalType, is_required=True),
    "arn": REQUIRED_TEXT,
    "account": TEXT,
    "role_arn": TEXT,
    "user_arn": TEXT,
    "userid": TEXT,
    "tags": TAGS,
    "session": CONDITION_KEYS,
    "session_policies": TEXTS,
    "has_boundary": FLAG,
    "credential": CREDENTIAL_FORM,
}


def _from_pickle(values: dict[str, Any]) -> Principal:
    mappings = {name: MappingProxyType(values[name]) for name in ("tags", "session")}
    return Principal(**{**values, **mappings})


def _check_arns(principal: Principal) -> None:
    """Raise `InvalidInput` unless the ARNs are those of the type and account, as in all principals made here."""
    kind, account = principal.type, principal.account
    if kind in _WITHOUT_ACCOUNT:
        if account is not None:
            raise InvalidInput(f"expected no account of a principal of type {kind}", place="/account")
        if kind is PrincipalType.ANONYMOUS and principal.arn != "anonymous":
            raise InvalidInput("expected `anonymous`", place="/arn")
    else:
        parsed = Arn.parse(principal.arn)
        if _type_of(parsed) is not kind or parsed.account != account or not is_account_id(account):
            raise InvalidInput(f"expected the ARN of a principal of type {kind} and its account", place="/arn")
    for name, kind_of_arn, arn in (("role_arn", "role/", principal.role_arn), ("user_arn", "", principal.user_arn)):
        if arn is not None and (Arn.parse(arn).service != "iam" or not Arn.parse(arn).resource.startswith(kind_of_arn)):
            raise InvalidInput("expected the ARN of a role or user", place=f"/{name}")


def _parse_type(value: object) -> PrincipalType:
    try:
        return PrincipalType(value)  # type: ignore[arg-type]  # any value is checked
    except ValueError:
        raise InvalidInput(f"expected one of {', '.join(PrincipalType)} as a principal's type") from None


def _check_string(value: object, field: str) -> None:
    if not isinstance(value, str):
        raise InvalidInput(f"expected a string as a principal's {field}, got `{type(value).__name__}`")


def _type_of(arn: Arn) -> PrincipalType | None:
    match arn.service, arn.resource.split("/")[0]:
        case "iam", "root" if arn.resource == "root":
            return PrincipalType.ROOT
        case "iam", "user":
            return PrincipalType.USER
        case "sts", "assumed-role" if arn.resource.count("/") == 2:
            return PrincipalType.ASSUMED_ROLE
        case "sts", "federated-user":
            return PrincipalType.FEDERATED_USER
        case _:
            return None


def _derived_keys(principal: Principal) -> dict[str, Given]:
    """Return the keys of table K-10, the principal tags and the keys stored in the session."""
    kind = principal.type
    keys: dict[str, Given] = {f"aws:PrincipalTag/{key}": value for key, value in principal.tags.items()}
    keys.update(principal.session)
    keys.update(_session_keys(principal))
    keys["aws:PrincipalType"] = _TYPE_KEY.get(kind, kind.value)
    if kind is PrincipalType.ANONYMOUS:
        keys.update({"aws:PrincipalAccount": "anonymous", "aws:userid": "anonymous"})
        return keys
    if kind is PrincipalType.SERVICE or kind is PrincipalType.FEDERATED:
        return keys if principal.account is None else {**keys, "aws:PrincipalAccount": principal.account}
    keys["aws:PrincipalAccount"] = principal.account
    keys["aws:PrincipalArn"] = principal.role_arn if kind is PrincipalType.ASSUMED_ROLE else principal.arn
    keys["aws:userid"] = _userid(principal)
    if kind is PrincipalType.USER:
        keys["aws:username"] = principal.name
    return keys


def _session_keys(principal: Principal) -> dict[str, Given]:
    """Return the keys of table E.2 that a session of this kind has."""
    issued = None if principal.credential is None else principal.credential.issued
    if issued is None:
        return {}
    keys: dict[str, Given] = {"aws:TokenIssueTime": issued.issued}
    if issued.source_identity is not None:
        keys["aws:SourceIdentity"] = issued.source_identity
    if _issued_with_mfa_state(principal) is not None:
        keys["aws:MultiFactorAuthPresent"] = issued.mfa_at is not None
    return keys


def _issued_with_mfa_state(principal: Principal) -> Issued | None:
    """Return the terms of a session that says whether MFA was used.

    These are browser sessions of people, those of GetSessionToken, the only operation that records MFA, and role
    sessions whose identity provider is trusted for it.
    """
    issued = None if principal.credential is None else principal.credential.issued
    if issued is None or principal.is_assumed_root:
        return None
    if principal.type is PrincipalType.ASSUMED_ROLE:
        return None if issued.mfa_at is None else issued
    return issued if principal.type in (PrincipalType.USER, PrincipalType.ROOT) else None


def _userid(principal: Principal) -> str | None:
    if principal.userid is not None:
        return principal.userid
    match principal.type:
        case PrincipalType.ROOT:
            return principal.account
        case PrincipalType.FEDERATED_USER:
            return f"{principal.account}:{principal.name}"
        case _:
            return None

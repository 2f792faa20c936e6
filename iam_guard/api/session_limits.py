"""The operations that temporary credentials, or the application, can't call, whatever policies allow (rule H.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from iam_guard.errors import AccessDenied
from iam_guard.model.principal import Issued, Principal, PrincipalType


class SessionLimits(NamedTuple):
    """The operations that one kind of session can call.

    STS: all except `denied`, or only `allowed`. IAM and our own service: always, with MFA, or never.
    """

    iam: Literal["always", "with MFA", "never"]
    denied: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None

    def refuses(self, service: str, name: str, issued: Issued | None) -> bool:
        """Return whether the session can't call an operation."""
        if service in _OF_IAM:
            has_mfa = issued is not None and issued.mfa_at is not None
            return self.iam == "never" or (self.iam == "with MFA" and not has_mfa)
        return service == "sts" and (name in self.denied or (self.allowed is not None and name not in self.allowed))


_FEDERATED_USER_OPERATIONS = frozenset({"GetCallerIdentity", "GetScopedCredentials", "GetDelegatedAccessToken"})
_SESSION_TOKEN_LIMITS = SessionLimits(
    "with MFA", allowed=_FEDERATED_USER_OPERATIONS | {"AssumeRole", "GetWebIdentityToken"}
)

_TOOL_LIMITS = SessionLimits("always", denied=frozenset({"GetFederationToken", "GetSessionToken"}))
"""Of users and root users with a browser session, or who approved a tool: as in the console, for which AWS documents no
limit. What requires a long-term key is refused as for every session."""

_ASSUMED_ROOT_LIMITS = SessionLimits("always", allowed=frozenset({"GetCallerIdentity"}))
"""The session policies of AssumeRoot restrict IAM to the task."""

LIMITS_BY_PRINCIPAL: Final[Mapping[PrincipalType, SessionLimits]] = {
    PrincipalType.ASSUMED_ROLE: SessionLimits("always", denied=frozenset({"GetFederationToken", "GetSessionToken"})),
    PrincipalType.FEDERATED_USER: SessionLimits("never", allowed=_FEDERATED_USER_OPERATIONS),
    PrincipalType.USER: _SESSION_TOKEN_LIMITS,
    PrincipalType.ROOT: _SESSION_TOKEN_LIMITS,
}
"""The limits by the session's principal. Sessions of users and root users are those of GetSessionToken, or of tools."""

_OF_IAM: Final = ("iam", "iam-guard")
_NOT_OF_APPLICATION: Final = ("sts", "signin")
"""Services that give credentials, and whose operations may need no permission (E-66, E-67)."""

_ALWAYS_SESSIONS = frozenset({PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER})
"""Principal types that are sessions, whatever the kind of credential."""


def session_issuance(caller: Principal) -> Issued | None:
    """Return how the caller's temporary credentials were issued; None for other credentials."""
    return None if caller.credential is None else caller.credential.issued


def long_term_key_of(caller: Principal) -> str | None:
    """Return the id of the long-term access key that a user or root user signs with; None for other credentials."""
    credential = caller.credential
    is_user = caller.type in (PrincipalType.USER, PrincipalType.ROOT)
    if not is_user or credential is None or credential.kind != "sigv4" or credential.issued:
        return None
    return credential.id


def own_source_identity(caller: Principal) -> str | None:
    issued = session_issuance(caller)
    return None if issued is None else issued.source_identity


def check_session_limits(caller: Principal, service: str, name: str) -> None:
    """Raise `AccessDenied` for an operation that the caller's kind of credentials can't call."""
    if caller.is_application and service in _NOT_OF_APPLICATION:
        raise AccessDenied(f"The application cannot call {name}")
    issued = session_issuance(caller)
    if issued is None and caller.type not in _ALWAYS_SESSIONS and not _is_of_browser(caller):
        return
    limits = _limits_of(caller)
    if limits is None or limits.refuses(service, name, issued):
        unless = " that were issued without MFA" if service in _OF_IAM and limits and limits.iam == "with MFA" else ""
        raise AccessDenied(f"Cannot call {name} with session credentials{unless}")


def _is_of_browser(caller: Principal) -> bool:
    return caller.credential is not None and caller.credential.kind == "session"


def _limits_of(caller: Principal) -> SessionLimits | None:
    if caller.is_assumed_root:
        return _ASSUMED_ROOT_LIMITS
    if (caller.is_of_tool or _is_of_browser(caller)) and caller.type in (PrincipalType.USER, PrincipalType.ROOT):
        return _TOOL_LIMITS
    return LIMITS_BY_PRINCIPAL.get(caller.type)

"""What temporary credentials may not call, whatever their policies say (the table of rule H.1), as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from iam_guard.errors import AccessDenied
from iam_guard.model.principal import Issued, Principal, PrincipalType


class Reach(NamedTuple):
    """What one kind of session may call: of STS all but `but`, or `only` these; of IAM always, with MFA, or never."""

    iam: Literal["always", "with MFA", "never"]
    but: frozenset[str] = frozenset()
    only: frozenset[str] | None = None

    def refuses(self, service: str, name: str, issued: Issued | None) -> bool:
        """Return whether an operation is out of reach."""
        if service == "iam":
            has_mfa = issued is not None and issued.mfa_at is not None
            return self.iam == "never" or (self.iam == "with MFA" and not has_mfa)
        return service == "sts" and (name in self.but or (self.only is not None and name not in self.only))


_OF_FEDERATED = frozenset({"GetCallerIdentity", "GetScopedCredentials", "GetDelegatedAccessToken"})
_OF_A_USER = Reach("with MFA", only=_OF_FEDERATED | {"AssumeRole", "GetWebIdentityToken"})

_OF_ASSUMED_ROOT = Reach("always", only=frozenset({"GetCallerIdentity"}))
"""The session policies of AssumeRoot say which task it is."""

REACHES: Final[Mapping[PrincipalType, Reach]] = {
    PrincipalType.ASSUMED_ROLE: Reach("always", but=frozenset({"GetFederationToken", "GetSessionToken"})),
    PrincipalType.FEDERATED_USER: Reach("never", only=_OF_FEDERATED),
    PrincipalType.USER: _OF_A_USER,
    PrincipalType.ROOT: _OF_A_USER,
}
"""Whose session it is -> what it may call. The user's and the root user's are those of GetSessionToken."""

_BY_ITSELF = frozenset({PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER})
"""Callers that are sessions whatever they signed in with."""


def issued_to(caller: Principal) -> Issued | None:
    """Return how the caller's temporary credentials were issued; None for other credentials."""
    return None if caller.credential is None else caller.credential.issued


def refuse_out_of_reach(caller: Principal, service: str, name: str) -> None:
    """Raise `AccessDenied` for an operation that the caller's kind of credentials may not call."""
    issued = issued_to(caller)
    if issued is None and caller.type not in _BY_ITSELF:
        return
    reach = _OF_ASSUMED_ROOT if caller.is_assumed_root else REACHES.get(caller.type)
    if reach is None or reach.refuses(service, name, issued):
        unless = " that were issued without MFA" if service == "iam" and reach and reach.iam == "with MFA" else ""
        raise AccessDenied(f"Cannot call {name} with session credentials{unless}")

"""The `userIdentity` member of a record: a principal as CloudTrail describes it.

CloudTrail has its own terms for each kind of caller and leaves out the members that a kind lacks. Unknown members are
absent. Rules K-10, P-1, P-13, S-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.model.arn import account_of
from iam_guard.model.principal import REASON, CredentialKind, Principal, PrincipalType

_TYPE = {
    PrincipalType.ROOT: "Root",
    PrincipalType.USER: "IAMUser",
    PrincipalType.ASSUMED_ROLE: "AssumedRole",
    PrincipalType.FEDERATED_USER: "FederatedUser",
}

_CREDENTIAL_MEMBER = {"sigv4": "accessKeyId", "sts": "accessKeyId"}
"""Credential kind -> CloudTrail's member for its id; bearer credentials of every kind use `credentialId`."""


def user_identity(principal: Principal) -> dict[str, object]:
    """Return the caller as CloudTrail's `userIdentity`."""
    if principal.type is PrincipalType.ANONYMOUS:
        return {"type": "AWSAccount", "principalId": "", "accountId": "anonymous"}  # as for anonymous S3 requests
    if principal.type is PrincipalType.SERVICE:
        return present({"type": "AWSService", "invokedBy": principal.arn, "accountId": principal.account})
    if principal.type is PrincipalType.FEDERATED:
        return _saml_user(principal) if ":saml-provider/" in principal.arn else _web_identity(principal)
    identity: dict[str, object] = {
        "type": _TYPE[principal.type],
        "principalId": principal.key("aws:userid"),
        "arn": principal.arn,
        "accountId": principal.account,
        "userName": principal.name if principal.type is PrincipalType.USER else None,
        "sessionContext": _session_context(principal),
    }
    credential = principal.credential
    if credential is not None:
        identity[_CREDENTIAL_MEMBER.get(credential.kind, "credentialId")] = credential.id
        if credential.envelope is not None:
            identity["invokedBy"] = f"sealed-principal/{credential.envelope.id}"
    return present(identity)


def stated_reason(principal: Principal | None) -> object:
    """Return why the application itself says that it acts; None for every other caller."""
    return principal.session.get(REASON) if principal is not None and principal.is_application else None


def _web_identity(principal: Principal) -> dict[str, object]:
    """Return the identity that an OIDC provider vouches for, as in CloudTrail's AssumeRoleWithWebIdentity records."""
    provider = principal.arn.partition(":oidc-provider/")[2]
    return present(
        {
            "type": "WebIdentityUser",
            "principalId": principal.userid,
            "userName": principal.key(f"{provider}:sub".lower()),
            "identityProvider": principal.arn,
        }
    )


def _saml_user(principal: Principal) -> dict[str, object]:
    """Return the identity that a SAML provider vouches for, as in CloudTrail's AssumeRoleWithSAML records.

    `arn` is the provider's, which CloudTrail lacks: the qualifier is a hash of it.
    """
    return present(
        {
            "type": "SAMLUser",
            "principalId": principal.userid,
            "arn": principal.arn,
            "userName": principal.key("saml:sub"),
            "identityProvider": principal.key("saml:namequalifier"),
        }
    )


def unknown_identity(kind: CredentialKind, credential_id: str | None) -> dict[str, object]:
    """Return the identity for refused credentials: the caller is unknown, except for the credential id."""
    return present({"type": "Unknown", _CREDENTIAL_MEMBER.get(kind, "credentialId"): credential_id})


def is_of_browser(principal: Principal) -> bool:
    """Return whether the caller has a browser session, which CloudTrail calls a session of the console."""
    return principal.credential is not None and principal.credential.kind == "session"


def present(members: dict[str, object]) -> dict[str, object]:
    """Return the members whose value is not None."""
    return {name: value for name, value in members.items() if value is not None}


def mapping(value: object) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one, for members that may be masked."""
    return value if isinstance(value, dict) else {}


def _session_context(principal: Principal) -> dict[str, object] | None:
    """Return `sessionContext` for temporary credentials, None for long-term ones (S-1)."""
    created = principal.key("aws:tokenissuetime")
    if created is None and principal.type not in (PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER):
        return None
    mfa = principal.key("aws:multifactorauthpresent")
    return present(
        {
            "sessionIssuer": _session_issuer(principal),
            "webIdFederationData": _web_identity_data(principal),
            "attributes": present({"creationDate": created, "mfaAuthenticated": mfa or "false"}),
            "sourceIdentity": principal.key("aws:sourceidentity"),
            "signInSessionArn": principal.key("aws:signinsessionarn"),
            "assumedRoot": principal.key("aws:assumedroot"),
        }
    )


def _web_identity_data(principal: Principal) -> dict[str, object] | None:
    """Return which OIDC provider a role session began with, its client and its subject; None for other sessions."""
    provider = principal.key("aws:federatedprovider")
    name = provider.partition(":oidc-provider/")[2] if isinstance(provider, str) else ""
    if not name:
        return None
    keys = (f"{name}:aud", f"{name}:sub")
    return {"federatedProvider": provider, "attributes": present({key: principal.key(key.lower()) for key in keys})}


def _session_issuer(principal: Principal) -> dict[str, object] | None:
    """Return the role behind a role session, or the user behind a federated session."""
    match principal.type, principal.role_arn, principal.user_arn:
        case PrincipalType.ASSUMED_ROLE, str(arn), _:
            kind, userid = "Role", principal.userid
        case PrincipalType.FEDERATED_USER, _, str(arn):
            kind, userid = "IAMUser", None
        case _:
            return None
    return present(
        {
            "type": kind,
            "principalId": userid.split(":")[0] if userid else None,  # P-13
            "arn": arn,
            "accountId": account_of(arn),
            "userName": arn.rsplit("/", 1)[-1],
        }
    )

"""GetWebIdentityToken: a JSON Web Token that identifies the caller to other services (S-37).

Its claims are AWS's: the principal (the role, for a session) as `sub`, and below AWS's namespace the account,
organization, tags, and the session's frozen condition keys. The token is no credential for this API. Keys and signing
are in `token_issuer` and `token_signing`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import find_identity
from iam_guard.api.organization_position import find_position
from iam_guard.api.service_errors import (
    JWTPayloadSizeExceeded,
    OutboundWebIdentityFederationDisabled,
    SessionDurationEscalation,
)
from iam_guard.api.session_limits import session_issuance
from iam_guard.api.sts.session_tags import passed_tags, tag_keys
from iam_guard.api.token_issuer import ALGORITHMS, current_signing_key, issuer_of, token_library
from iam_guard.errors import AccessDenied, ValidationError
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import Kind

DEFAULT_SECONDS: Final = 300
MAX_BYTES: Final = 5760
"""Of the claims as JSON, so that the signed token fits into a header that proxies accept."""
CLAIMS: Final = "https://sts.amazonaws.com/"
"""The claim that contains AWS's own claims."""

SESSION_CLAIMS: Final[Mapping[str, str]] = {
    "federated_provider": "aws:FederatedProvider",
    "identity_store_user_id": "identitystore:UserId",
    "identity_store_arn": "identitystore:IdentityStoreArn",
    "ec2_source_instance_arn": "ec2:SourceInstanceArn",
    "ec2_instance_source_vpc": "aws:Ec2InstanceSourceVpc",
    "ec2_instance_source_private_ipv4": "aws:Ec2InstanceSourcePrivateIPv4",
    "ec2_role_delivery": "ec2:RoleDelivery",
    "source_identity": "aws:SourceIdentity",
    "lambda_source_function_arn": "lambda:SourceFunctionArn",
    "glue_credential_issuing_service": "glue:CredentialIssuingService",
}
"""Claim -> the session's condition key with its value."""


def own_identity(call: ServiceCall, parameters: Input) -> Resource:
    """Return the caller as the token's resource. Raises `ValidationError` for unsupported options."""
    if parameters["SigningAlgorithm"] not in ALGORITHMS:
        raise ValidationError(
            f"The signing algorithm must be one of {', '.join(ALGORITHMS)}.", place="SigningAlgorithm"
        )
    if parameters.get("SubjectMode", "AWSIdentity") != "AWSIdentity":
        raise ValidationError("The calling session has no origin identity.", place="SubjectMode")
    if "Scope" in parameters:
        raise ValidationError("Scope can be specified only with the subject mode OriginIdentity.", place="Scope")
    return call.resource(f"arn:{call.partition}:sts::{call.account}:self")


def identity_keys(call: ServiceCall, parameters: Input) -> dict[str, Given]:
    """Return the condition keys of the requested token."""
    keys: dict[str, Given] = {
        "sts:IdentityTokenAudience": list(parameters["Audience"]),
        "sts:DurationSeconds": parameters.get("DurationSeconds", DEFAULT_SECONDS),
        "sts:SigningAlgorithm": parameters["SigningAlgorithm"],
        "sts:SubjectMode": parameters.get("SubjectMode", "AWSIdentity"),
    }
    return keys | tag_keys(call, parameters)


def get_web_identity_token(call: ServiceCall, parameters: Input) -> Output:
    """Return a signed token that identifies the caller."""
    issuer = issuer_of(call)
    if issuer is None:
        raise OutboundWebIdentityFederationDisabled("Outbound web identity federation is not enabled for your account.")
    expires = call.now + parameters.get("DurationSeconds", DEFAULT_SECONDS)
    issued = session_issuance(call.caller)
    if issued is not None and issued.expires.timestamp() < expires:
        raise SessionDurationEscalation("The requested token would outlive the calling session.")
    subject = _subject(call.caller)
    audience: list[str] = list(parameters["Audience"])
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience[0] if len(audience) == 1 else audience,
        "sub": subject,
        "iat": call.now,
        "exp": expires,
        "jti": str(uuid.uuid4()),
        CLAIMS: {name: value for name, value in _aws_claims(call, parameters, subject).items() if value},
    }
    if len(json.dumps(claims).encode()) > MAX_BYTES:
        raise JWTPayloadSizeExceeded("The token would be too large: pass fewer or shorter tags.")
    key = current_signing_key(call, issuer, parameters["SigningAlgorithm"])
    token = token_library().sign(claims, key.private, algorithm=key.algorithm, key_id=key.id)
    return {"WebIdentityToken": token, "Expiration": instant(expires)}


def _subject(caller: Principal) -> str:
    """Return the ARN that a policy would name: the role's for a role session."""
    if caller.type is PrincipalType.ASSUMED_ROLE:
        if caller.role_arn is None:  # INVARIANT: an authenticated role session has its role
            raise AccessDenied("The role of the calling session is not known.")
        return caller.role_arn
    return caller.arn


def _aws_claims(call: ServiceCall, parameters: Input, subject: str) -> dict[str, Any]:
    caller, position = call.caller, find_position(call, call.account)
    region = None if caller.credential is None else caller.credential.region
    return {
        "aws_account": call.account,
        "source_region": region,
        "org_id": position and position.organization["id"],
        "ou_path": position and [position.path],
        "principal_id": subject,
        "principal_tags": _principal_tags(call),
        "original_session_exp": _session_end(caller),
        **{claim: caller.key(key.lower()) for claim, key in SESSION_CLAIMS.items()},
        "request_tags": passed_tags(parameters),
    }


def _principal_tags(call: ServiceCall) -> dict[str, str]:
    """Return the tags of the user or role, overridden by those of the session (S-21)."""
    caller = call.caller
    row = None
    if caller.type is PrincipalType.USER:
        row = find_identity(call, Kind.USER, caller.name)
    elif caller.role_arn is not None:
        row = find_identity(call, Kind.ROLE, caller.role_arn.rpartition("/")[2])
    session = {key.lower() for key in caller.tags}
    stored: Mapping[str, str] = {} if row is None else row["tags"]
    return {**{key: value for key, value in stored.items() if key.lower() not in session}, **caller.tags}


def _session_end(caller: Principal) -> str | None:
    issued = session_issuance(caller)
    if issued is None or caller.type is not PrincipalType.ASSUMED_ROLE:
        return None
    return datetime.fromtimestamp(issued.expires.timestamp(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

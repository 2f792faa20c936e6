"""GetWebIdentityToken: a JSON Web Token by which services elsewhere know the caller (rule S-37).

The token says who calls, as AWS's says it: the principal (of a session its role) as `sub`, and under one name of AWS's
its account, organization, tags, and what the session froze about where it came from. It is no credential here. Must not
live here: keys (`issuer`), how tokens are signed (`signed_tokens`), how they are verified (nobody's business but the
receiver's).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import find_identity
from iam_guard.api.operation import Permission
from iam_guard.api.organization_position import find_place
from iam_guard.api.session_limits import issued_to
from iam_guard.api.sts.session_tags import passed_tags, tag_keys
from iam_guard.api.sts.sts_errors import (
    JWTPayloadSizeExceeded,
    OutboundWebIdentityFederationDisabled,
    SessionDurationEscalation,
)
from iam_guard.api.token_issuer import ALGORITHMS, issuer_of, key_that_signs, token_library
from iam_guard.errors import AccessDenied, ValidationError
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import Kind

USUAL_SECONDS: Final = 300
MAX_BYTES: Final = 5760
"""Of the claims as JSON: the signed token then fits into a header that proxies let through."""
CLAIMS: Final = "https://sts.amazonaws.com/"
"""The name under which AWS's own claims are; receivers look for them there."""

FROZEN: Final[Mapping[str, str]] = {
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
"""Claim -> the condition key of the session that it tells."""


def own_identity(call: ServiceCall, given: Input) -> Resource:
    """Return what the token is about: the caller itself. Raises `ValidationError` for what no token may be."""
    if given["SigningAlgorithm"] not in ALGORITHMS:
        raise ValidationError(
            f"The signing algorithm must be one of {', '.join(ALGORITHMS)}.", place="SigningAlgorithm"
        )
    if given.get("SubjectMode", "AWSIdentity") != "AWSIdentity":
        raise ValidationError("The calling session has no origin identity.", place="SubjectMode")
    if "Scope" in given:
        raise ValidationError("Scope can be specified only with the subject mode OriginIdentity.", place="Scope")
    return Resource(f"arn:{call.partition}:sts::{call.account}:self", account=call.account)


def identity_keys(call: ServiceCall, given: Input) -> dict[str, Given]:
    """Return the condition keys of what is asked for."""
    keys: dict[str, Given] = {
        "sts:IdentityTokenAudience": list(given["Audience"]),
        "sts:DurationSeconds": given.get("DurationSeconds", USUAL_SECONDS),
        "sts:SigningAlgorithm": given["SigningAlgorithm"],
        "sts:SubjectMode": given.get("SubjectMode", "AWSIdentity"),
    }
    return keys | tag_keys(given)


def identity_further(call: ServiceCall, given: Input) -> list[Permission]:
    """Ask for the permission to put tags into the token."""
    if not given.get("Tags"):
        return []
    return [Permission("sts:TagGetWebIdentityToken", own_identity(call, given), identity_keys(call, given))]


def get_web_identity_token(call: ServiceCall, given: Input) -> Output:
    """Sign a token that says who calls."""
    issuer = issuer_of(call)
    if issuer is None:
        raise OutboundWebIdentityFederationDisabled("Outbound web identity federation is not enabled for your account.")
    expires = call.now + given.get("DurationSeconds", USUAL_SECONDS)
    issued = issued_to(call.caller)
    if issued is not None and issued.expires.timestamp() < expires:
        raise SessionDurationEscalation("The requested token would outlive the calling session.")
    subject = _subject(call.caller)
    audience: list[str] = list(given["Audience"])
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience[0] if len(audience) == 1 else audience,
        "sub": subject,
        "iat": call.now,
        "exp": expires,
        "jti": str(uuid.uuid4()),
        CLAIMS: {name: value for name, value in _about(call, given, subject).items() if value},
    }
    if len(json.dumps(claims).encode()) > MAX_BYTES:
        raise JWTPayloadSizeExceeded("The token would be too large: pass fewer or shorter tags.")
    key = key_that_signs(call, issuer, given["SigningAlgorithm"])
    token = token_library().sign(claims, key.private, algorithm=key.algorithm, key_id=key.id)
    return {"WebIdentityToken": token, "Expiration": instant(expires)}


def _subject(caller: Principal) -> str:
    """Return the principal that a policy elsewhere would name: of a session its role."""
    if caller.type is PrincipalType.ASSUMED_ROLE:
        if caller.role_arn is None:  # INVARIANT: whoever signs in as a session has its role
            raise AccessDenied("The role of the calling session is not known.")
        return caller.role_arn
    return caller.arn


def _about(call: ServiceCall, given: Input, subject: str) -> dict[str, Any]:
    caller, place = call.caller, find_place(call, call.account)
    region = None if caller.credential is None else caller.credential.region
    return {
        "aws_account": call.account,
        "source_region": region,
        "org_id": place and place.organization["id"],
        "ou_path": place and [place.path],
        "principal_id": subject,
        "principal_tags": _principal_tags(call),
        "original_session_exp": _session_end(caller),
        **{claim: caller.key(key.lower()) for claim, key in FROZEN.items()},
        "request_tags": passed_tags(given),
    }


def _principal_tags(call: ServiceCall) -> dict[str, str]:
    """Return the tags of the user or role, and over them those of the session (S-21)."""
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
    issued = issued_to(caller)
    if issued is None or caller.type is not PrincipalType.ASSUMED_ROLE:
        return None
    return datetime.fromtimestamp(issued.expires.timestamp(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

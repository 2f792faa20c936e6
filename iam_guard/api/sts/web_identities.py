"""AssumeRoleWithWebIdentity: a role session for a token of a registered OIDC provider (S-3, S-30).

The call is unsigned. Its token is verified before the transaction, since that may fetch the issuer's keys; the provider
and its audiences, which may have changed since, are loaded again with the role.
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import OperationRequest, Permission
from iam_guard.api.sts.credentials import SessionTerms, issue
from iam_guard.api.sts.session_policies import requested_policies
from iam_guard.api.sts.unsupported_features import refuse_parameters
from iam_guard.authn.federation.role_session import (
    FederatedIdentity,
    find_role,
    not_admitted,
    questions,
    read_role_arn,
    session_principal,
    session_seconds,
)
from iam_guard.authn.federation.web_identity import (
    ACTION,
    VerifiedToken,
    audience_of,
    federated_identity,
    find_provider,
)
from iam_guard.errors import MissingAuthenticationToken


def verify_web_identity(request: OperationRequest) -> VerifiedToken | None:
    """Verify the token of a request; None if the server verifies none. Raises the error for an invalid one."""
    parameters, tokens, store = request.parameters, request.server.tokens, request.store
    if tokens is None:
        return None
    refuse_parameters("AssumeRoleWithWebIdentity", parameters)
    account = read_role_arn(parameters["RoleArn"]).account
    token = tokens.read(parameters["WebIdentityToken"])
    with store.read_transaction() as records:
        audience_of(token, find_provider(records, store.partition, account, token.issuer))
    tokens.verify(token, request.now, account)
    return VerifiedToken(account, token)


def web_identity_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permissions by the role's trust policy; a missing role is like one without a trust policy."""
    arn, identity = parameters["RoleArn"], _federated_identity(call, parameters)
    role = find_role(call.records, call.partition, arn)
    return [Permission(*question, identity.principal) for question in questions(identity, arn, role)]


def assume_role_with_web_identity(call: ServiceCall, parameters: Input) -> Output:
    """Issue a session of a role for a federated identity that its trust policy allows."""
    verified = _verified_token(call)
    token = verified.token
    role = find_role(call.records, call.partition, parameters["RoleArn"])
    if role is None:  # INVARIANT: a missing role has no trust policy, so its call was denied
        raise not_admitted(ACTION)
    identity = _federated_identity(call, parameters, requested_policies(call, parameters))
    principal = session_principal(identity, role, call.partition, call.time)
    terms = SessionTerms(
        session_seconds(role, parameters.get("DurationSeconds")),
        transitive_tag_keys=identity.transitive_tag_keys,
        source_identity=identity.source_identity,
    )
    issued = issue(call, parameters, principal, terms)
    return {
        **issued.members,
        "SubjectFromWebIdentityToken": token.subject,
        "AssumedRoleUser": {"Arn": principal.arn, "AssumedRoleId": principal.userid},
        "PackedPolicySize": issued.packed_size,
        "Provider": token.issuer,
        "Audience": audience_of(token, find_provider(call.records, call.partition, verified.account, token.issuer)),
        "SourceIdentity": identity.source_identity,
    }


def _federated_identity(
    call: ServiceCall, parameters: Input, policies: tuple[str, ...] | None = None
) -> FederatedIdentity:
    verified = _verified_token(call)
    provider = find_provider(call.records, call.partition, verified.account, verified.token.issuer)
    return federated_identity(
        verified.token,
        provider,
        parameters["RoleArn"],
        session_name=parameters["RoleSessionName"],
        session_policies=policies,
    )


def _verified_token(call: ServiceCall) -> VerifiedToken:
    if not isinstance(call.verified_token, VerifiedToken):
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    return call.verified_token

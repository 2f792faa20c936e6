"""AssumeRoleWithWebIdentity: a role session for whoever shows a token of a registered OIDC provider (rules S-3, S-30).

Nobody signs this call. The token is verified before there is a transaction, for that may ask the issuer for its keys;
what may have changed since, the provider and its audiences, is looked up again with the role.
"""

from __future__ import annotations

from datetime import UTC, datetime

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Permission, Proving
from iam_guard.api.sts.credentials import Terms, issue
from iam_guard.api.sts.session_policies import given_policies
from iam_guard.authn.federation.role_session import (
    FederatedIdentity,
    find_role,
    not_admitted,
    questions,
    read_role_arn,
    session_principal,
    session_seconds,
)
from iam_guard.authn.federation.web_identity import ACTION, VerifiedToken, audience_of, find_provider, proved_by
from iam_guard.errors import MissingAuthenticationToken, NotSupported


def prove_web_identity(proving: Proving, given: Input) -> VerifiedToken:
    """Verify the token of a call. Raises what a bad one is refused with."""
    if "ProviderId" in given:
        raise NotSupported(
            "The parameter ProviderId is not supported: access tokens of OAuth 2.0 are not checked here."
        )
    account = read_role_arn(given["RoleArn"]).account
    token = proving.tokens.read(given["WebIdentityToken"])
    with proving.store.viewing() as records:
        audience_of(token, find_provider(records, proving.store.partition, account, token.issuer))
    proving.tokens.verify(token, proving.now)
    return VerifiedToken(account, token)


def web_identity_permissions(call: ServiceCall, given: Input) -> list[Permission]:
    """Ask the trust policy of the role, or of none in its place."""
    arn, proved = given["RoleArn"], _proved(call, given)
    role = find_role(call.records, call.partition, arn)
    return [Permission(*question, proved.principal) for question in questions(proved, arn, role)]


def assume_role_with_web_identity(call: ServiceCall, given: Input) -> Output:
    """Make a session of a role for whom its trust policy lets in."""
    vouched, proved = _vouched(call), _proved(call, given)
    role = find_role(call.records, call.partition, given["RoleArn"])
    if role is None:  # INVARIANT: what does not exist has no trust policy, so nobody gets here
        raise not_admitted(ACTION)
    policies = given_policies(call, given)
    proved = _proved(call, given, policies)
    principal = session_principal(proved, role, call.partition, datetime.fromtimestamp(call.now, UTC))
    terms = Terms(
        session_seconds(role, given.get("DurationSeconds")),
        transitive_tag_keys=proved.transitive_tag_keys,
        source_identity=proved.source_identity,
    )
    made = issue(call, given, principal, terms)
    return {
        **made.members,
        "SubjectFromWebIdentityToken": vouched.token.subject,
        "AssumedRoleUser": {"Arn": principal.arn, "AssumedRoleId": principal.userid},
        "PackedPolicySize": made.packed_size,
        "Provider": vouched.token.issuer,
        "Audience": _audience(call),
        "SourceIdentity": proved.source_identity,
    }


def _proved(call: ServiceCall, given: Input, policies: tuple[str, ...] | None = None) -> FederatedIdentity:
    vouched = _vouched(call)
    provider = find_provider(call.records, call.partition, vouched.account, vouched.token.issuer)
    return proved_by(
        vouched.token,
        provider,
        given["RoleArn"],
        session_name=given["RoleSessionName"],
        session_policies=policies,
    )


def _audience(call: ServiceCall) -> str:
    vouched = _vouched(call)
    provider = find_provider(call.records, call.partition, vouched.account, vouched.token.issuer)
    return audience_of(vouched.token, provider)


def _vouched(call: ServiceCall) -> VerifiedToken:
    if call.vouched is None:
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    return call.vouched

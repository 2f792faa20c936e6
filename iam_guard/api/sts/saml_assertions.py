"""AssumeRoleWithSAML: a role session for the assertion of a registered SAML provider (S-3, S-31).

The call is unsigned. Its assertion is verified before the transaction; in the transaction that issues the credentials,
the provider must still be the same, and the assertion is recorded as used: it counts once for each role.
"""

from __future__ import annotations

from datetime import UTC, datetime

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import OperationRequest, Permission
from iam_guard.api.sts.credentials import SessionTerms, issue
from iam_guard.api.sts.session_policies import requested_policies
from iam_guard.authn.federation.role_session import (
    FederatedIdentity,
    find_role,
    not_admitted,
    questions,
    read_role_arn,
    session_principal,
)
from iam_guard.authn.federation.saml_identity import (
    ACTION,
    VerifiedAssertion,
    check_unchanged,
    find_saml_provider_of,
    is_saml_provider_arn,
    name_qualifier,
    remembered_until,
    saml_identity,
    saml_session_seconds,
    subject_type,
    used_assertion,
)
from iam_guard.errors import InvalidIdentityToken, MissingAuthenticationToken, ValidationError
from iam_guard.model.arn import account_of
from iam_guard.store.credentials.used_tokens import use_token


def verify_saml(request: OperationRequest) -> VerifiedAssertion | None:
    """Verify the assertion of a request; None if the server verifies none. Raises the error for an invalid one."""
    parameters, assertions, store = request.parameters, request.server.assertions, request.store
    if assertions is None:
        return None
    assertions.check_recipients()
    account, arn = read_role_arn(parameters["RoleArn"]).account, parameters["PrincipalArn"]
    if not is_saml_provider_arn(arn):
        raise ValidationError("Request ARN is invalid", place="PrincipalArn")
    if account_of(arn) != account:
        raise InvalidIdentityToken("The provider is not registered in the account of the role")
    with store.read_transaction() as records:
        provider = find_saml_provider_of(records, store.partition, store.sealer, arn)
    if provider.valid_until <= request.now:
        raise InvalidIdentityToken("The metadata of the provider has expired")
    now = datetime.fromtimestamp(request.now, UTC)
    assertion = assertions.read(parameters["SAMLAssertion"], provider.identity, now)
    return VerifiedAssertion(account, assertion, provider)


def saml_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permissions by the role's trust policy; a missing role is like one without a trust policy."""
    arn, identity = parameters["RoleArn"], _saml_identity(call, parameters)
    role = find_role(call.records, call.partition, arn)
    return [Permission(*question, identity.principal) for question in questions(identity, arn, role)]


def assume_role_with_saml(call: ServiceCall, parameters: Input) -> Output:
    """Issue a session of a role for an assertion that its trust policy allows."""
    _, assertion, provider = _verified_assertion(call)
    role = find_role(call.records, call.partition, parameters["RoleArn"])
    if role is None:  # INVARIANT: a missing role has no trust policy, so its call was denied
        raise not_admitted(ACTION)
    check_unchanged(call.records, call.partition, provider)
    identity = _saml_identity(call, parameters, requested_policies(call, parameters))
    principal = session_principal(identity, role, call.partition, call.time)
    terms = SessionTerms(
        saml_session_seconds(assertion, role, parameters.get("DurationSeconds"), call.time),
        transitive_tag_keys=identity.transitive_tag_keys,
        source_identity=identity.source_identity,
    )
    issued = issue(call, parameters, principal, terms)
    used, expires = used_assertion(assertion, role.arn), remembered_until(assertion)
    if not use_token(call.records, *used, expires=expires, now=call.now):
        raise InvalidIdentityToken(f"The assertion {assertion.id} was already used for this role")
    return {
        **issued.members,
        "AssumedRoleUser": {"Arn": principal.arn, "AssumedRoleId": principal.userid},
        "PackedPolicySize": issued.packed_size,
        "Subject": assertion.subject,
        "SubjectType": subject_type(assertion),
        "Issuer": assertion.issuer,
        "Audience": assertion.recipient,
        "NameQualifier": name_qualifier(assertion.issuer, provider),
        "SourceIdentity": identity.source_identity,
    }


def _saml_identity(call: ServiceCall, parameters: Input, policies: tuple[str, ...] | None = None) -> FederatedIdentity:
    _, assertion, provider = _verified_assertion(call)
    return saml_identity(assertion, provider, parameters["RoleArn"], session_policies=policies)


def _verified_assertion(call: ServiceCall) -> VerifiedAssertion:
    if not isinstance(call.verified_token, VerifiedAssertion):
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    return call.verified_token

"""The operation table of STS: caller identity and temporary credentials (H)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Operation, Service, tag_permission
from iam_guard.api.service_errors import InvalidAuthorizationMessage
from iam_guard.api.sts.credentials import get_access_key_info
from iam_guard.api.sts.identity_tokens import get_web_identity_token, identity_keys, own_identity
from iam_guard.api.sts.mfa_codes import has_mfa_code, mfa_keys
from iam_guard.api.sts.role_sessions import assume_role, assume_role_further, assume_role_keys, role_to_assume
from iam_guard.api.sts.root_sessions import assume_root, root_keys, root_to_assume
from iam_guard.api.sts.saml_assertions import assume_role_with_saml, saml_permissions, verify_saml
from iam_guard.api.sts.session_tags import tag_keys
from iam_guard.api.sts.unsupported_features import NOT_SUPPORTED
from iam_guard.api.sts.user_sessions import federated_user, get_federation_token, get_session_token, own_session
from iam_guard.api.sts.web_identities import (
    assume_role_with_web_identity,
    verify_web_identity,
    web_identity_permissions,
)
from iam_guard.store.sealed_messages import read_message


def get_caller_identity(call: ServiceCall, parameters: Input) -> Output:
    """Return the caller's identity; needs no permission and can't be denied (E-66, K-11)."""
    return {"UserId": call.caller.userid or call.account, "Account": call.account, "Arn": call.caller.arn}


def decode_authorization_message(call: ServiceCall, parameters: Input) -> Output:
    """Decrypt the details of a denial, for callers of its account with permission to see them (S-36)."""
    message = read_message(parameters["EncodedMessage"], call.account, call.sealer)
    if message is None:
        raise InvalidAuthorizationMessage("Message is not valid")
    return {"DecodedMessage": message}


STS = Service(
    "sts",
    {
        "AssumeRole": Operation(
            assume_role,
            role_to_assume,
            keys=(assume_role_keys,),
            further=(assume_role_further,),
            writes=has_mfa_code,
            keys_write=True,
            explains_denials=False,
        ),
        "AssumeRoleWithWebIdentity": Operation(
            assume_role_with_web_identity,
            reads=True,
            verify_token=verify_web_identity,
            permissions=web_identity_permissions,
        ),
        "AssumeRoleWithSAML": Operation(assume_role_with_saml, verify_token=verify_saml, permissions=saml_permissions),
        "AssumeRoot": Operation(assume_root, root_to_assume, keys=(root_keys,), reads=True, explains_denials=False),
        "DecodeAuthorizationMessage": Operation(decode_authorization_message, reads=True),
        "GetAccessKeyInfo": Operation(get_access_key_info, reads=True),
        "GetCallerIdentity": Operation(get_caller_identity, reads=True),
        "GetFederationToken": Operation(
            get_federation_token,
            federated_user,
            keys=(tag_keys,),
            further=(tag_permission("sts:TagSession", federated_user, tag_keys),),
            reads=True,
        ),
        "GetWebIdentityToken": Operation(
            get_web_identity_token,
            own_identity,
            keys=(identity_keys,),
            further=(tag_permission("sts:TagGetWebIdentityToken", own_identity, identity_keys),),
        ),
        "GetSessionToken": Operation(
            get_session_token, own_session, keys=(mfa_keys,), writes=has_mfa_code, keys_write=True
        ),
    },
    NOT_SUPPORTED,
)

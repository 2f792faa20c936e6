"""The table of STS: who the caller is, and temporary credentials (rules H)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Operation, Service
from iam_guard.api.sts.authorization_messages import decode_authorization_message
from iam_guard.api.sts.credentials import get_access_key_info
from iam_guard.api.sts.identity_tokens import (
    get_web_identity_token,
    identity_further,
    identity_keys,
    own_identity,
)
from iam_guard.api.sts.mfa_codes import mfa_keys, shows_code
from iam_guard.api.sts.role_sessions import assume_role, assuming_further, assuming_keys, role_to_assume
from iam_guard.api.sts.root_sessions import assume_root, root_keys, root_to_assume
from iam_guard.api.sts.unsupported_operations import NOT_SUPPORTED
from iam_guard.api.sts.user_sessions import (
    federated_user,
    federation_further,
    federation_keys,
    get_federation_token,
    get_session_token,
    own_session,
)
from iam_guard.api.sts.web_identities import (
    assume_role_with_web_identity,
    prove_web_identity,
    web_identity_permissions,
)


def get_caller_identity(call: ServiceCall, given: Input) -> Output:
    """Return who calls; nobody needs permission for that, and nobody can be denied it (rules E-66, K-11)."""
    return {"UserId": call.caller.userid or call.account, "Account": call.account, "Arn": call.caller.arn}


STS = Service(
    "sts",
    {
        "AssumeRole": Operation(
            assume_role,
            role_to_assume,
            keys=(assuming_keys,),
            further=(assuming_further,),
            writes=shows_code,
            gives_reasons=False,
        ),
        "AssumeRoleWithWebIdentity": Operation(
            assume_role_with_web_identity,
            reads=True,
            prove=prove_web_identity,
            asks=web_identity_permissions,
        ),
        "AssumeRoot": Operation(assume_root, root_to_assume, keys=(root_keys,), reads=True, gives_reasons=False),
        "DecodeAuthorizationMessage": Operation(decode_authorization_message, reads=True),
        "GetAccessKeyInfo": Operation(get_access_key_info, reads=True),
        "GetCallerIdentity": Operation(get_caller_identity, reads=True),
        "GetFederationToken": Operation(
            get_federation_token,
            federated_user,
            keys=(federation_keys,),
            further=(federation_further,),
            reads=True,
        ),
        "GetWebIdentityToken": Operation(
            get_web_identity_token, own_identity, keys=(identity_keys,), further=(identity_further,)
        ),
        "GetSessionToken": Operation(get_session_token, own_session, keys=(mfa_keys,), writes=shows_code),
    },
    NOT_SUPPORTED,
)

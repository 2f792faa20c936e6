"""The operation table of our own service, `iam-guard`: what AWS has no operation for.

Its model is `models/iam-guard/`, in botocore's form.
"""

from __future__ import annotations

from typing import Any, Final

from iam_guard.api.operation import Operation, Service
from iam_guard.api.own import (
    account_operations,
    browser_sessions,
    key_operations,
    links,
    resource_operations,
    sign_on_operations,
)
from iam_guard.api.own.key_operations import authority_of_owner, key_owner
from iam_guard.api.own.resource_operations import POLICY_DIGESTS, grantee_key, own_resource
from iam_guard.api.own.sign_on_operations import authority_of_provider, provider_resource
from iam_guard.api.paging import PageMembers

_CREATES_KEY: Final = (authority_of_owner("iam:CreateAccessKey"),)
_UPDATES_KEY: Final = (authority_of_owner("iam:UpdateAccessKey"),)
_DELETES_KEY: Final = (authority_of_owner("iam:DeleteAccessKey"),)
_SHARES: Final[dict[str, Any]] = {"digests": POLICY_DIGESTS, "prepare": resource_operations.prepare_share}
_ACCOUNT: Final = account_operations.account_resource

IAM_GUARD = Service(
    "iam-guard",
    {
        # --- people
        "CreateInvitationLink": Operation(links.create_invitation_link, permissions=links.invitation_permissions),
        "CreateResetLink": Operation(links.create_reset_link, permissions=links.reset_permissions),
        "ListBrowserSessions": Operation(
            browser_sessions.list_browser_sessions, permissions=browser_sessions.list_permissions, reads=True
        ),
        "EndBrowserSession": Operation(
            browser_sessions.end_browser_session, permissions=browser_sessions.end_permissions
        ),
        "EndBrowserSessions": Operation(
            browser_sessions.end_browser_sessions, permissions=browser_sessions.end_permissions
        ),
        # --- API keys
        "CreateApiKey": Operation(key_operations.create_key, key_owner, further=_CREATES_KEY),
        "ListApiKeys": Operation(key_operations.list_keys, key_owner, reads=True),
        "UpdateApiKey": Operation(key_operations.update_key, key_owner, further=_UPDATES_KEY),
        "DeleteApiKey": Operation(key_operations.delete_key, key_owner, further=_DELETES_KEY),
        "RotateApiKey": Operation(key_operations.rotate_key, key_owner, further=_CREATES_KEY),
        # --- sign-on providers
        "AddSignOnProvider": Operation(
            sign_on_operations.add_provider, provider_resource, further=(authority_of_provider,)
        ),
        "ListSignOnProviders": Operation(sign_on_operations.list_providers, reads=True),
        "RemoveSignOnProvider": Operation(
            sign_on_operations.remove_provider, provider_resource, further=(authority_of_provider,)
        ),
        # --- resources
        "PutResourcePolicy": Operation(resource_operations.put_resource_policy, own_resource, digests=POLICY_DIGESTS),
        "GetResourcePolicy": Operation(resource_operations.get_resource_policy, own_resource, reads=True),
        "DeleteResourcePolicy": Operation(
            resource_operations.delete_resource_policy, own_resource, digests=POLICY_DIGESTS
        ),
        "ListResourcePolicies": Operation(resource_operations.list_resource_policies, reads=True),
        "ShareResource": Operation(resource_operations.share_resource, own_resource, (grantee_key,), **_SHARES),
        "UnshareResource": Operation(resource_operations.unshare_resource, own_resource, (grantee_key,), **_SHARES),
        "ListShares": Operation(resource_operations.list_shares, own_resource, reads=True),
        # --- the account
        "GetAccount": Operation(account_operations.get_account, _ACCOUNT, reads=True),
        "RenameAccount": Operation(account_operations.rename_account, _ACCOUNT),
        "CloseAccount": Operation(
            account_operations.close_account, _ACCOUNT, further=(account_operations.authority_to_close,)
        ),
    },
    pages=PageMembers("maxResults", "nextToken"),
)

"""Operations on the account: alias, settings, summary, reports, organization; and unsupported operations."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam import unsupported_operations
from iam_guard.api.iam.account import (
    account_settings,
    account_summary,
    credential_report,
    organization_access,
    organization_features,
    service_access,
)
from iam_guard.api.iam.authorization_targets import key_from_member, principal_target
from iam_guard.api.operation import Operation

ROWS: Mapping[str, Operation] = {
    "CreateAccountAlias": Operation(account_settings.create_account_alias),
    "DeleteAccountAlias": Operation(account_settings.delete_account_alias),
    "DisableOutboundWebIdentityFederation": Operation(account_settings.disable_outbound_federation),
    "EnableOutboundWebIdentityFederation": Operation(account_settings.enable_outbound_federation),
    "GenerateCredentialReport": Operation(credential_report.generate_credential_report),
    "GenerateOrganizationsAccessReport": Operation(
        organization_access.generate_organizations_access_report,
        organization_access.access_report,
        (key_from_member("iam:OrganizationsPolicyId", "OrganizationsPolicyId"),),
        further=(organization_access.organizations_permissions,),
    ),
    "GenerateServiceLastAccessedDetails": Operation(
        service_access.generate_service_last_accessed, principal_target("Arn")
    ),
    "GetAccountProperties": Operation(account_settings.get_account_properties, reads=True),
    "GetAccountSummary": Operation(account_summary.get_account_summary, reads=True),
    "GetCredentialReport": Operation(credential_report.get_credential_report, reads=True),
    "GetOrganizationsAccessReport": Operation(organization_access.get_organizations_access_report, reads=True),
    "GetOutboundWebIdentityFederationInfo": Operation(account_settings.get_outbound_federation, reads=True),
    "GetServiceLastAccessedDetails": Operation(service_access.get_service_last_accessed, reads=True),
    "GetServiceLastAccessedDetailsWithEntities": Operation(
        service_access.get_service_last_accessed_with_entities, reads=True
    ),
    "ListAccountAliases": Operation(account_settings.list_account_aliases, reads=True),
    "ListOrganizationsFeatures": Operation(organization_features.list_organizations_features, reads=True),
    "PutAccountProperties": Operation(account_settings.put_account_properties),
    "SetSecurityTokenServicePreferences": Operation(account_settings.set_security_token_service_preferences),
    **organization_features.ROWS,
    **unsupported_operations.ROWS,
}

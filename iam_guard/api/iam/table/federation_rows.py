"""Operations on identity providers: SAML and OIDC."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam.authorization_targets import arn_target, new_entity_target
from iam_guard.api.iam.policies.context_providers import requested_propagation_keys, stored_propagation_keys
from iam_guard.api.iam.providers import oidc_providers, saml_providers
from iam_guard.api.iam.providers.oidc_providers import find_oidc_provider, load_oidc_provider, new_oidc_provider
from iam_guard.api.iam.providers.saml_providers import (
    find_saml_provider,
    load_saml_provider,
    requested_issuers,
    stored_issuers,
)
from iam_guard.api.iam.tags import create_operation, tag_operations
from iam_guard.api.operation import Operation
from iam_guard.store import schema

_SAML = arn_target("SAMLProviderArn", find_saml_provider)
_SAML_REQUESTED = requested_propagation_keys(requested_issuers)
_SAML_STORED = stored_propagation_keys("SAMLProviderArn", find_saml_provider, stored_issuers)

_OIDC = arn_target("OpenIDConnectProviderArn", find_oidc_provider)
_OIDC_REQUESTED = requested_propagation_keys(lambda parameters: [parameters["Url"]] if "Url" in parameters else [])
_OIDC_STORED = stored_propagation_keys(
    "OpenIDConnectProviderArn", find_oidc_provider, lambda row: [f"https://{row['url']}"]
)

ROWS: Mapping[str, Operation] = {
    # --- SAML providers
    "CreateSAMLProvider": create_operation(
        "SAMLProvider", saml_providers.create_saml_provider, new_entity_target("saml-provider", "Name"), _SAML_REQUESTED
    ),
    "DeleteSAMLProvider": Operation(saml_providers.delete_saml_provider, _SAML),
    "GetSAMLProvider": Operation(saml_providers.get_saml_provider, _SAML, reads=True),
    "ListSAMLProviders": Operation(saml_providers.list_saml_providers, reads=True),
    **tag_operations("SAMLProvider", schema.saml_providers, _SAML, load_saml_provider),
    "UpdateSAMLProvider": Operation(saml_providers.update_saml_provider, _SAML, (_SAML_REQUESTED, _SAML_STORED)),
    # --- OIDC providers
    "AddClientIDToOpenIDConnectProvider": Operation(oidc_providers.add_client_id, _OIDC),
    "CreateOpenIDConnectProvider": create_operation(
        "OpenIDConnectProvider", oidc_providers.create_oidc_provider, new_oidc_provider, _OIDC_REQUESTED
    ),
    "DeleteOpenIDConnectProvider": Operation(oidc_providers.delete_oidc_provider, _OIDC),
    "GetOpenIDConnectProvider": Operation(oidc_providers.get_oidc_provider, _OIDC, reads=True),
    "ListOpenIDConnectProviders": Operation(oidc_providers.list_oidc_providers, reads=True),
    "RemoveClientIDFromOpenIDConnectProvider": Operation(oidc_providers.remove_client_id, _OIDC),
    **tag_operations("OpenIDConnectProvider", schema.oidc_providers, _OIDC, load_oidc_provider),
    "UpdateOpenIDConnectProvider": Operation(
        oidc_providers.update_oidc_provider, _OIDC, (_OIDC_REQUESTED, _OIDC_STORED)
    ),
    "UpdateOpenIDConnectProviderThumbprint": Operation(oidc_providers.update_thumbprints, _OIDC),
}

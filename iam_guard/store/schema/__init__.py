"""The tables of the store: entities and policies (`core`), `credentials`, `people` who sign in, `federation`,
`management`, and `analyzers`.
"""

from __future__ import annotations

from iam_guard.store.schema.analyzers import access_previews, analyzers, archive_rules, findings
from iam_guard.store.schema.core import (
    UNLISTABLE,
    access_keys,
    accounts,
    api_keys,
    attachments,
    changes,
    control_attachments,
    control_policies,
    deleted_accounts,
    identities,
    inline_policies,
    memberships,
    meta,
    metadata,
    organizations,
    placements,
    policies,
    policy_versions,
    resource_statements,
    resources,
    sealed_columns,
    sealing_context,
    units,
)
from iam_guard.store.schema.credentials import (
    SHORT_METADATA,
    certificate_profiles,
    former_passwords,
    issuer_keys,
    login_profiles,
    mfa_devices,
    oidc_providers,
    password_policies,
    revocation_lists,
    saml_private_keys,
    saml_providers,
    server_certificates,
    service_credentials,
    signing_certificates,
    ssh_keys,
    trust_anchors,
)
from iam_guard.store.schema.federation import (
    federated_sessions,
    pending_sign_ins,
    sign_on_providers,
    tool_sessions,
    used_tokens,
)
from iam_guard.store.schema.management import (
    access_key_uses,
    credential_reports,
    instance_profiles,
    jobs,
    pseudonym_salts,
    service_uses,
)
from iam_guard.store.schema.signing_in import (
    browser_sessions,
    passkeys,
    password_resets,
    recovery_codes,
    sign_in_failures,
)

"""The tables of company sign-on and of people's tools: what accounts configure, sessions without a stored person, and
what counts once.

Tokens are stored as SHA-256 of at least 128 random bits; secrets that must be readable are sealed.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, String, Text, UniqueConstraint

from iam_guard.store.schema.core import owned_by, required, sealed, table
from iam_guard.store.schema.facts import UNCACHED, Facts

sign_on_providers = table(
    "sign_on_providers",
    Facts(UNCACHED, impersonal="of an account"),
    Column("id", String, primary_key=True),
    owned_by("accounts.id", "account"),
    # what people read on the button
    *required(String, "name", "folded"),
    # the identity provider of the account: one of the two
    owned_by("saml_providers.id", "saml_provider_id", optional=True, index=True),
    owned_by("oidc_providers.id", "oidc_provider_id", optional=True, index=True),
    # of OIDC only; without a secret, a public client
    Column("client_id", String, index=True),
    sealed("sealed_secret", "sign-on-provider:1", "id", optional=True),
    *required(JSON, "scopes"),
    # of OIDC: which claims give which roles
    *required(JSON, "roles"),
    # whether its statements about second factors count
    *required(Boolean, "trusts_mfa"),
    # of OIDC: whether it keeps the redirect address that all had until schema 0014; NULL: it has its own
    Column("has_common_redirect", Boolean),
    *required(BigInteger, "created"),
    UniqueConstraint("account", "folded"),
)

federated_sessions = table(
    "federated_sessions",
    Facts(
        "session:{digest}",
        unread="userid issuer subject provider_session sealed_hint created seen address user_agent",
        owner="access key",
        exported="id userid created seen expires method address user_agent",
        withheld="digest role_id parent_key_id terms provider issuer subject provider_session",
        kept_until="expires",
    ),
    # of the token in the cookie, which is like that of a person's session
    Column("digest", String(64), primary_key=True),
    Column("id", String, nullable=False, unique=True),
    # of the session's principal
    owned_by("accounts.id", "account", index=True),
    # the role of a role session, or the access key that a federated user depends on: one of the two
    owned_by("identities.id", "role_id", optional=True, index=True),
    owned_by("access_keys.id", "parent_key_id", optional=True, index=True),
    # the unique id of the caller, `AROA...:name` or `ACCOUNT:name`
    Column("userid", String, nullable=False, index=True),
    # what temporary credentials are sealed from, without secret and access key id
    *required(JSON, "terms"),
    # `oidc`, `saml` or `credentials`
    *required(String, "method"),
    # the ARN of the identity provider; NULL: credentials
    Column("provider", String),
    # who signed in, for the logout that the provider sends
    Column("issuer", String),
    Column("subject", String, index=True),
    Column("provider_session", String, index=True),
    # the URL that signs out of the provider, which has the ID token
    sealed("sealed_hint", "logout-hint", "id", optional=True),
    # as in `browser_sessions`
    *required(BigInteger, "created", "seen", "expires"),
    *required(String, "address"),
    *required(Text, "user_agent"),
)

tool_sessions = table(
    "tool_sessions",
    Facts(
        UNCACHED,
        owner="tool",
        exported="id owner client_id region redirect_uri approved_by user_agent created expires used revoked reason",
        withheld="person_account person_id terms code_digest code_expires code_challenge key_thumbprint refresh_digest "
        "former_digest former_until password_changed subject_digest session_digest",
        recorded="id",
        kept_until="expires",
    ),
    # the UUID at the end of the ARN
    Column("id", String(36), primary_key=True),
    owned_by("accounts.id", "account"),
    # the user or role that the session is of; NULL: the root user, or a federated user
    owned_by("identities.id", "identity_id", optional=True, index=True),
    # the ARN of the user, role, root user or federated user when the session began
    Column("owner", String, nullable=False, index=True),
    # the account and unique id of the person who approved it, in a role or not; without an id: the root user; neither:
    # of a session without a stored person
    Column("person_account", String),
    Column("person_id", String),
    # what temporary credentials are sealed from, without secret and access key id
    *required(JSON, "terms"),
    *required(String, "client_id", "region"),
    # of the authorization code; it stays once it was redeemed, so that a second use is noticed
    Column("code_digest", String(64)),
    Column("code_expires", BigInteger),
    *required(String, "code_challenge", "redirect_uri"),
    # the thumbprint of the client's DPoP key (RFC 9449); NULL until the code is redeemed
    Column("key_thumbprint", String),
    # the present refresh token, sealed for a client that has not received it, and the one before with its end
    Column("refresh_digest", String(64)),
    sealed("sealed_refresh", "tool-session", "id", optional=True),
    Column("former_digest", String(64)),
    Column("former_until", BigInteger),
    # the time of the person's last change of password when the session began; NULL: not a person; -1: it was changed
    Column("password_changed", BigInteger),
    *required(BigInteger, "created", "expires"),
    Column("used", BigInteger),
    Column("revoked", BigInteger),
    Column("reason", String),
    # the id of the browser session that approved it
    *required(String, "approved_by"),
    # of what the identity provider of that session calls person and session, for the logout that it sends
    *(Column(name, String(64), index=True) for name in ("subject_digest", "session_digest")),
    *required(Text, "user_agent"),
    UniqueConstraint("code_digest"),
    # the expired ones of an account, and those of a person that are not revoked
    Index("ix_tool_sessions_expires", "account", "expires"),
    Index("ix_tool_sessions_person", "person_account", "person_id", "revoked"),
)

pending_sign_ins = table(
    "pending_sign_ins",
    Facts(
        UNCACHED,
        impersonal="sealed, and deleted after minutes, or with the sessions of a provider's person",
        kept_until="expires",
    ),
    # of the token in the URL that the browser goes on to
    Column("digest", String(64), primary_key=True),
    owned_by("sign_on_providers.id", "provider_id", index=True),
    # the verified SAML response or ID token as it was received, of which the browser chooses a role or confirms
    sealed("sealed", "pending-sign-in:1", "digest"),
    # of what the identity provider calls person and session, for the logout that it sends
    *(Column(name, String(64), index=True) for name in ("subject_digest", "session_digest")),
    *required(BigInteger, "received"),
    Column("expires", BigInteger, nullable=False, index=True),
)

used_tokens = table(
    "used_tokens",
    Facts(UNCACHED, impersonal="digests of tokens, until they expire", kept_until="expires"),
    # of the purpose and of what identifies the token
    Column("digest", String(64), primary_key=True),
    Column("expires", BigInteger, nullable=False, index=True),
)

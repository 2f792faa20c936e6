"""Company sign-on, sessions without a stored person, sessions of people's tools, and tokens that count once.

Revision ID: 0013
"""

import hashlib
from typing import Any
from xml.parsers import expat

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ACCOUNT = ("account", sa.String(), False)


def upgrade() -> None:
    """Create the tables."""
    _create(
        "sign_on_providers",
        ("id", sa.String(), False),
        _ACCOUNT,
        ("name", sa.String(), False),
        ("folded", sa.String(), False),
        ("saml_provider_id", sa.String(), True),
        ("oidc_provider_id", sa.String(), True),
        ("client_id", sa.String(), True),
        ("sealed_secret", sa.LargeBinary(), True),
        ("scopes", sa.JSON(), False),
        ("roles", sa.JSON(), False),
        ("trusts_mfa", sa.Boolean(), False),
        ("created", sa.BigInteger(), False),
        owners={
            "account": "accounts.id",
            "saml_provider_id": "saml_providers.id",
            "oidc_provider_id": "oidc_providers.id",
        },
        unique=(("account", "folded"),),
    )
    _create(
        "federated_sessions",
        ("digest", sa.String(64), False),
        ("id", sa.String(), False),
        _ACCOUNT,
        ("role_id", sa.String(), True),
        ("parent_key_id", sa.String(), True),
        ("userid", sa.String(), False),
        ("terms", sa.JSON(), False),
        ("method", sa.String(), False),
        *((name, sa.String(), True) for name in ("provider", "issuer", "subject", "provider_session")),
        ("sealed_hint", sa.LargeBinary(), True),
        *((name, sa.BigInteger(), False) for name in ("created", "seen", "expires")),
        ("address", sa.String(), False),
        ("user_agent", sa.Text(), False),
        owners={"account": "accounts.id", "role_id": "identities.id", "parent_key_id": "access_keys.id"},
        unique=(("id",),),
    )
    _create_tool_sessions()
    _create(
        "pending_sign_ins",
        ("digest", sa.String(64), False),
        ("provider_id", sa.String(), False),
        ("sealed", sa.LargeBinary(), False),
        ("received", sa.BigInteger(), False),
        ("expires", sa.BigInteger(), False),
        owners={"provider_id": "sign_on_providers.id"},
    )
    _create("used_tokens", ("digest", sa.String(64), False), ("expires", sa.BigInteger(), False))
    for table, column in _INDEXED:
        op.create_index(f"ix_{table}_{column}", table, [column])
    _add_entity_digests()


def _create_tool_sessions() -> None:
    _create(
        "tool_sessions",
        ("id", sa.String(36), False),
        _ACCOUNT,
        ("identity_id", sa.String(), True),
        ("owner", sa.String(), False),
        ("person_account", sa.String(), True),
        ("person_id", sa.String(), True),
        ("terms", sa.JSON(), False),
        ("client_id", sa.String(), False),
        ("region", sa.String(), False),
        ("code_digest", sa.String(64), True),
        ("code_expires", sa.BigInteger(), True),
        ("code_challenge", sa.String(), False),
        ("redirect_uri", sa.String(), False),
        ("key_thumbprint", sa.String(), True),
        ("refresh_digest", sa.String(64), True),
        ("sealed_refresh", sa.LargeBinary(), True),
        ("former_digest", sa.String(64), True),
        ("former_until", sa.BigInteger(), True),
        ("password_changed", sa.BigInteger(), True),
        ("created", sa.BigInteger(), False),
        ("expires", sa.BigInteger(), False),
        ("used", sa.BigInteger(), True),
        ("revoked", sa.BigInteger(), True),
        ("reason", sa.String(), True),
        ("approved_by", sa.String(), False),
        ("user_agent", sa.Text(), False),
        owners={"account": "accounts.id", "identity_id": "identities.id"},
        unique=(("code_digest",),),
    )


def _add_entity_digests() -> None:
    """Add the digest of the entity id to SAML providers, by which the issuer of a response is found."""
    op.add_column("saml_providers", sa.Column("entity_digest", sa.String(64)))
    op.create_index("ix_saml_providers_entity_digest", "saml_providers", ["entity_digest"])
    providers = sa.table("saml_providers", sa.column("id"), sa.column("document"), sa.column("entity_digest"))
    connection = op.get_bind()
    for id in connection.execute(sa.select(providers.c.id)).scalars().all():  # their documents may be long
        document = connection.execute(sa.select(providers.c.document).where(providers.c.id == id)).scalar_one()
        digest = _entity_digest(document)
        connection.execute(sa.update(providers).where(providers.c.id == id).values(entity_digest=digest))


def _entity_digest(document: str) -> str | None:
    """Return the digest of the entity id, an attribute of the document's first element."""
    found: list[dict[str, str]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda _, attributes: found.append(attributes) if not found else None
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, UnicodeEncodeError):
        return None
    entity_id = found[0].get("entityID", "").strip()
    return hashlib.sha256(entity_id.encode()).hexdigest() if entity_id else None


_INDEXED = (
    ("sign_on_providers", "saml_provider_id"),
    ("sign_on_providers", "oidc_provider_id"),
    ("federated_sessions", "account"),
    ("federated_sessions", "role_id"),
    ("federated_sessions", "parent_key_id"),
    ("federated_sessions", "userid"),
    ("federated_sessions", "subject"),
    ("federated_sessions", "provider_session"),
    ("tool_sessions", "account"),
    ("tool_sessions", "identity_id"),
    ("tool_sessions", "owner"),
    ("tool_sessions", "person_id"),
    ("pending_sign_ins", "provider_id"),
    ("pending_sign_ins", "expires"),
    ("used_tokens", "expires"),
)


def _create(
    name: str,
    *columns: tuple[str, Any, bool],
    owners: dict[str, str] | None = None,
    unique: tuple[tuple[str, ...], ...] = (),
) -> None:
    """Create a table whose key is its first column, and whose rows belong to rows of other tables."""
    constraints: list[Any] = [
        sa.ForeignKeyConstraint([column], [target], name=f"fk_{name}_{column}", ondelete="CASCADE")
        for column, target in (owners or {}).items()
    ]
    constraints += [sa.UniqueConstraint(*names, name=f"uq_{name}_{'_'.join(names)}") for names in unique]
    op.create_table(
        name,
        *(sa.Column(label, type, nullable=optional) for label, type, optional in columns),
        sa.PrimaryKeyConstraint(columns[0][0], name=f"pk_{name}"),
        *constraints,
    )

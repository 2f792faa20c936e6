"""The validated values of a seed. References by name or ARN are still text; `apply` resolves them.

Secrets never appear in a repr.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from iam_guard.policy.document import Document
from iam_guard.store.identifiers import Kind


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference by name or ARN, and its line."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class SeedAccessKey:
    id: str
    secret: str = field(repr=False)
    status: str
    line: int


@dataclass(frozen=True, slots=True)
class SeedApiKey:
    """`digest` is the SHA-256 of the secret; `expires` is in seconds since 1970."""

    id: str
    digest: bytes = field(repr=False)
    status: str
    expires: int | None
    session_policy: Document | None
    line: int


@dataclass(frozen=True, slots=True)
class SeedPolicy:
    """A managed policy."""

    name: str
    path: str
    description: str
    document: Document
    tags: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class SeedIdentity:
    """A user, group or role; fields that its kind does not have are empty."""

    kind: Kind
    name: str
    path: str
    line: int
    description: str = ""
    attached: tuple[Ref, ...] = ()
    inline: Mapping[str, Document] = field(default_factory=dict)
    boundary: Ref | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[Ref, ...] = ()
    access_keys: tuple[SeedAccessKey, ...] = ()
    api_keys: tuple[SeedApiKey, ...] = ()
    trust: Document | None = None
    trust_line: int = 0
    max_session_duration: int | None = None


@dataclass(frozen=True, slots=True)
class SeedResource:
    arn: str
    tags: Mapping[str, str]
    policy: Document | None
    line: int
    policy_line: int


@dataclass(frozen=True, slots=True)
class SeedOidcProvider:
    """An OIDC provider; `url` is without `https://`, as in its ARN."""

    url: str
    client_ids: tuple[str, ...]
    tags: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class SeedSignOnProvider:
    """An identity provider whose people sign in: `oidc` is a URL without `https://`, `saml` a name; one of them."""

    name: str
    oidc: str | None
    saml: str | None
    client_id: str | None
    secret: str | None = field(repr=False)
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    trusts_mfa: bool
    line: int


@dataclass(frozen=True, slots=True)
class SeedSamlProvider:
    """A SAML provider; `valid_until` is that of its metadata, None without one."""

    name: str
    document: str = field(repr=False)
    entity_id: str
    valid_until: int | None
    tags: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class SeedAnchor:
    """A trust anchor: certificates of authorities, and revocation lists, in PEM."""

    name: str
    id: str
    certificates: str = field(repr=False)
    revocation_lists: tuple[str, ...] = field(repr=False)
    is_enabled: bool
    line: int


@dataclass(frozen=True, slots=True)
class SeedProfile:
    """The roles that client certificates may assume; `mappings` is None if the seed does not define any."""

    name: str
    id: str
    roles: tuple[Ref, ...]
    seconds: int
    session_policy: Document | None
    managed_policies: tuple[Ref, ...]
    mappings: Mapping[str, tuple[str, ...]] | None
    is_enabled: bool
    line: int


@dataclass(frozen=True, slots=True)
class SeedAccount:
    id: str
    name: str
    line: int
    alias: str | None = None
    email: str | None = None
    requires_mfa: bool | None = None
    """None leaves it as it is."""
    root_keys: tuple[SeedAccessKey, ...] = ()
    policies: tuple[SeedPolicy, ...] = ()
    identities: tuple[SeedIdentity, ...] = ()
    resources: tuple[SeedResource, ...] = ()
    oidc_providers: tuple[SeedOidcProvider, ...] = ()
    sign_on_providers: tuple[SeedSignOnProvider, ...] = ()
    saml_providers: tuple[SeedSamlProvider, ...] = ()
    anchors: tuple[SeedAnchor, ...] = ()
    profiles: tuple[SeedProfile, ...] = ()


@dataclass(frozen=True, slots=True)
class SeedControlPolicy:
    """An SCP or RCP; `type` is `SCP` or `RCP`."""

    type: str
    name: str
    description: str
    document: Document
    line: int


@dataclass(frozen=True, slots=True)
class SeedMember:
    """An account of a unit; `attached` has the listed control policies of each type that the seed defines here."""

    account: str
    attached: Mapping[str, tuple[Ref, ...]]
    line: int


@dataclass(frozen=True, slots=True)
class SeedUnit:
    """A unit with its descendants; the root is a unit without a name."""

    name: str
    id: str | None
    attached: Mapping[str, tuple[Ref, ...]]
    members: tuple[SeedMember, ...]
    units: tuple[SeedUnit, ...]
    line: int

    def walk(self) -> Iterator[SeedUnit]:
        """Yield the unit and its descendants."""
        yield self
        for child in self.units:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class SeedOrganization:
    id: str
    management_account: str
    policies: tuple[SeedControlPolicy, ...]
    root: SeedUnit
    line: int


@dataclass(frozen=True, slots=True)
class Seed:
    """The content of one file. `name` is the file's name in errors."""

    name: str
    accounts: tuple[SeedAccount, ...] = ()
    aws_policies: tuple[SeedPolicy, ...] = ()
    organization: SeedOrganization | None = None

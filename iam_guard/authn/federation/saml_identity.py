"""Map a SAML assertion to a role, condition keys, session tags and source identity (S-24, S-31, K-32, K-34).

A provider is registered by an account and is valid for roles of that account only. The attribute `Role` lists the pairs
of role and provider that the assertion is for. Known attributes are condition keys of the decision, `saml:mail`; the
session keeps `saml:sub`, `saml:sub_type` and `saml:namequalifier` only. Values are read letter by letter, not trimmed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Final, NamedTuple

from iam_guard.authn.federation.role_session import (
    SESSION_NAME,
    SOURCE_IDENTITY,
    FederatedIdentity,
    Role,
    not_admitted,
    session_seconds,
)
from iam_guard.authn.saml.assertion import SamlAssertion, SamlIdentityProvider
from iam_guard.errors import AccessDenied, ExpiredIdentityToken, InvalidIdentityToken, InvalidInput
from iam_guard.evaluation.matching.condition_keys import is_multivalued
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal
from iam_guard.model.saml_metadata import read_metadata
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import fold, iam_arn
from iam_guard.store.schema import saml_private_keys, saml_providers, sealing_context
from iam_guard.store.sealing import Sealer

ACTION: Final = "sts:AssumeRoleWithSAML"
MAX_NAME_ID: Final = 256
"""Bytes of a subject and of its format in UTF-8, so that session tokens stay short (SAML core 8.3.7)."""
SESSION_DURATION: Final = (900, 43_200)
REMEMBERED_SECONDS: Final = 600
"""Seconds beyond its validity for which a used assertion is remembered: the clocks of servers with one store may
differ, and a copy that a browser has received may wait for five minutes."""

_AWS: Final = "https://aws.amazon.com/SAML/Attributes/"
ROLE_ATTRIBUTE: Final = f"{_AWS}Role"
_TAG: Final = _AWS + "PrincipalTag:"
_RESERVED: Final = "AWSReservedSSO_"
_PROVIDER_ARN: Final = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:saml-provider/[\w.-]{1,128}", re.ASCII)
_ROLE_ARN: Final = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[!-~]+", re.ASCII)
_SECONDS: Final = re.compile(r"[1-9][0-9]{2,4}", re.ASCII)

_FORMAT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:"
_SUBJECT_TYPES: Final = {f"{_FORMAT}{name}": name for name in ("persistent", "transient")}

_EDU: Final = "urn:oid:1.3.6.1.4.1.5923.1"
_CLAIMS: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
ATTRIBUTE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "saml:cn": ("urn:oid:2.5.4.3",),
    "saml:commonName": ("http://schemas.xmlsoap.org/claims/CommonName", "2.5.4.3"),
    "saml:eduOrgHomePageURI": (f"{_EDU}.2.1.2",),
    "saml:eduOrgIdentityAuthNPolicyURI": (f"{_EDU}.2.1.3",),
    "saml:eduOrgLegalName": (f"{_EDU}.2.1.4",),
    "saml:eduOrgSuperiorURI": (f"{_EDU}.2.1.5",),
    "saml:eduOrgWhitePagesURI": (f"{_EDU}.2.1.6",),
    "saml:eduPersonAffiliation": (f"{_EDU}.1.1.1",),
    "saml:eduPersonAssurance": (f"{_EDU}.1.1.11",),
    "saml:eduPersonEntitlement": (f"{_EDU}.1.1.7",),
    "saml:eduPersonNickname": (f"{_EDU}.1.1.2",),
    "saml:eduPersonOrgDN": (f"{_EDU}.1.1.3",),
    "saml:eduPersonOrgUnitDN": (f"{_EDU}.1.1.4",),
    "saml:eduPersonPrimaryAffiliation": (f"{_EDU}.1.1.5",),
    "saml:eduPersonPrimaryOrgUnitDN": (f"{_EDU}.1.1.8",),
    "saml:eduPersonPrincipalName": (f"{_EDU}.1.1.6",),
    "saml:eduPersonScopedAffiliation": (f"{_EDU}.1.1.9",),
    "saml:eduPersonTargetedID": (f"{_EDU}.1.1.10",),
    "saml:givenName": (f"{_CLAIMS}/givenname", "urn:oid:2.5.4.42", "2.5.4.42"),
    "saml:mail": (f"{_CLAIMS}/emailaddress", "urn:oid:0.9.2342.19200300.100.1.3", "0.9.2342.19200300.100.1.3"),
    "saml:name": (f"{_CLAIMS}/name",),
    "saml:organizationStatus": ("urn:oid:0.9.2342.19200300.100.1.45", "0.9.2342.19200300.100.1.45"),
    "saml:surname": (f"{_CLAIMS}/surname", "urn:oid:2.5.4.4", "2.5.4.4"),
    "saml:uid": (
        "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid",
        "urn:oid:0.9.2342.19200300.100.1.1",
        "0.9.2342.19200300.100.1.1",
    ),
    "saml:x500UniqueIdentifier": ("urn:oid:2.5.4.45", "2.5.4.45"),
}
"""Condition key -> the names of the attributes that supply it; the first that the assertion has is used."""


@dataclass(frozen=True, slots=True)
class StoredSamlProvider:
    """A registered provider. `source` is what the store has for it, to find out whether that changed."""

    arn: str
    account: str
    name: str
    identity: SamlIdentityProvider
    valid_until: int
    """The end of its metadata's validity, in seconds since 1970."""
    source: tuple[object, ...] = field(repr=False)


class RolePair(NamedTuple):
    """A role and the provider by which an assertion may assume it."""

    role: str
    provider: str


class VerifiedAssertion(NamedTuple):
    """A verified assertion of a provider, for roles of one account."""

    account: str
    assertion: SamlAssertion
    provider: StoredSamlProvider


# --- providers ---------------------------------------------------------------------------------------------------


def find_saml_provider_of(records: Records, partition: str, sealer: Sealer, arn: str) -> StoredSamlProvider:
    """Return the provider with exactly this ARN, with its private keys. Raises `InvalidIdentityToken` without one."""
    row = _provider_row(records, partition, arn)
    keys = _key_rows(records, row)
    try:
        metadata = read_metadata(row["document"])
    except InvalidInput:
        raise InvalidIdentityToken("The metadata of the provider is not valid") from None
    identity = SamlIdentityProvider(
        metadata.entity_id,
        metadata.certificates,
        tuple(
            sealer.open(key["sealed"], sealing_context(saml_private_keys.c.sealed, key["id"])).decode() for key in keys
        ),
        requires_encryption=row["encryption_mode"] == "Required",
    )
    valid_until = row["valid_until"] or 0
    return StoredSamlProvider(arn, row["account"], row["name"], identity, valid_until, _source(row, keys))


def check_unchanged(records: Records, partition: str, provider: StoredSamlProvider) -> None:
    """Raise `InvalidIdentityToken` if the provider was changed after its assertion was verified."""
    row = _provider_row(records, partition, provider.arn)
    if _source(row, _key_rows(records, row)) != provider.source:
        raise InvalidIdentityToken("The provider was changed while its assertion was verified")


def _provider_row(records: Records, partition: str, arn: str) -> Row:
    account, name = arn.split(":")[4], arn.rpartition("/")[2]
    row = records.one(saml_providers, account=account, folded=fold(name))
    if row is None or iam_arn(partition, account, "saml-provider", "/", row["name"]) != arn:
        raise InvalidIdentityToken("Specified provider doesn't exist")
    return row


def _key_rows(records: Records, row: Row) -> list[Row]:
    return list(records.all(saml_private_keys, provider_id=row["id"], order=("created", "id")))


def _source(row: Row, keys: list[Row]) -> tuple[object, ...]:
    return (*(row[name] for name in ("id", "document", "valid_until", "encryption_mode")), *(key["id"] for key in keys))


def is_saml_provider_arn(text: str) -> bool:
    """Return whether a text has the form of a SAML provider's ARN."""
    return _PROVIDER_ARN.fullmatch(text) is not None


# --- the role ----------------------------------------------------------------------------------------------------


def role_pairs(assertion: SamlAssertion) -> tuple[RolePair, ...]:
    """Return the pairs of the attribute `Role`. Raises `InvalidIdentityToken` for anything else in it.

    Role names may contain commas, provider names may not.
    """
    values = assertion.attributes.get(ROLE_ATTRIBUTE, ())
    if not values:
        raise InvalidIdentityToken("Role is required in AuthnResponse")
    return tuple(dict.fromkeys(map(_pair, values)))


def _pair(value: str) -> RolePair:
    first, _, rest = value.partition(",")
    if is_saml_provider_arn(first):
        provider, role = first, rest
    else:
        role, _, provider = value.rpartition(",")
    if not is_saml_provider_arn(provider) or _ROLE_ARN.fullmatch(role) is None:
        raise InvalidIdentityToken("expected the ARNs of a role and a SAML provider as a value of the attribute Role")
    return RolePair(role, provider)


def providers_in(values: Iterable[str]) -> frozenset[str]:
    """Return the ARNs of SAML providers in values of the attribute `Role`, whatever else these are."""
    parts = (part for value in values for part in (value.partition(",")[0], value.rpartition(",")[2]))
    return frozenset(filter(is_saml_provider_arn, parts))


def check_role_pair(assertion: SamlAssertion, role_arn: str, provider_arn: str) -> None:
    """Raise `AccessDenied` unless the assertion is for this role by this provider (S-31), `InvalidIdentityToken`."""
    if RolePair(role_arn, provider_arn) not in role_pairs(assertion):
        reason = "the role with this provider is not a value of the attribute Role"
    elif role_arn.rpartition("/")[2].startswith(_RESERVED):
        reason = f"roles {_RESERVED}* are for IAM Identity Center only"
    else:
        return
    raise AccessDenied(f"{not_admitted(ACTION).message}: {reason}")


def saml_session_seconds(assertion: SamlAssertion, role: Role, requested: int | None, now: datetime) -> int:
    """Return the shortest duration of the request, the attribute SessionDuration and SessionNotOnOrAfter (S-3, S-31).

    Raises `ValidationError`, `InvalidIdentityToken`, `ExpiredIdentityToken`.
    """
    seconds = session_seconds(role, requested)
    duration = _optional_value(assertion, "SessionDuration")
    if duration is not None:
        minimum, maximum = SESSION_DURATION
        if _SECONDS.fullmatch(duration) is None or not minimum <= int(duration) <= maximum:
            raise InvalidIdentityToken(f"expected {minimum} to {maximum} seconds as the attribute SessionDuration")
        seconds = min(seconds, int(duration))
    end = assertion.session_not_on_or_after
    if end is not None:
        seconds = min(seconds, int((end - now).total_seconds()))
    if seconds <= 0:
        raise ExpiredIdentityToken("the session of the identity provider has ended (SessionNotOnOrAfter)")
    return seconds


# --- the identity ------------------------------------------------------------------------------------------------


def used_assertion(assertion: SamlAssertion, role_arn: str) -> tuple[str, ...]:
    """Return what `use_token` takes for an assertion, which counts once for a role, in browsers and at the API."""
    return "saml", assertion.issuer, assertion.id, role_arn


def remembered_until(assertion: SamlAssertion) -> int:
    """Return until when the use of an assertion is remembered, in seconds since 1970."""
    return ceil(assertion.valid_until.timestamp()) + REMEMBERED_SECONDS


def name_qualifier(issuer: str, provider: StoredSamlProvider) -> str:
    """Return AWS's hash of an issuer, an account and a provider's name."""
    text = f"{issuer}{provider.account}/{provider.name}"
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode("ascii")


def subject_type(assertion: SamlAssertion) -> str:
    """Return the format of the subject without the prefix of SAML 2.0."""
    return assertion.subject_format.removeprefix(_FORMAT)


def saml_identity(
    assertion: SamlAssertion,
    provider: StoredSamlProvider,
    role_arn: str,
    *,
    session_policies: tuple[str, ...] | None = None,
) -> FederatedIdentity:
    """Return the federated identity of a verified assertion, for a role that it lists.

    Raises `InvalidIdentityToken` for invalid session contents, `AccessDenied` for a role that it doesn't list.
    """
    if max(len(text.encode()) for text in (assertion.subject, assertion.subject_format)) > MAX_NAME_ID:
        raise InvalidIdentityToken(f"expected a NameID, and a format of it, of at most {MAX_NAME_ID} bytes")
    check_role_pair(assertion, role_arn, provider.arn)
    qualifier = name_qualifier(assertion.issuer, provider)
    session_keys: dict[str, Given] = {
        "saml:sub": assertion.subject,
        "saml:sub_type": _SUBJECT_TYPES.get(assertion.subject_format, assertion.subject_format),
        "saml:namequalifier": qualifier,
    }
    keys: dict[str, Given] = {
        **_attribute_keys(assertion),
        **session_keys,
        "saml:aud": assertion.recipient,
        "saml:iss": assertion.issuer,
        "saml:doc": f"{provider.account}/{provider.name}",
        "aws:FederatedProvider": provider.arn,
    }
    try:
        return FederatedIdentity(
            principal=Principal.federated(provider.arn, userid=f"{qualifier}:{assertion.subject}", keys=session_keys),
            action=ACTION,
            session_name=_session_name(assertion),
            keys=keys,
            session_keys={**session_keys, "aws:FederatedProvider": provider.arn},
            tags=_tags(assertion),
            transitive_tag_keys=assertion.attributes.get(f"{_AWS}TransitiveTagKeys", ()),
            source_identity=_source_identity(assertion),
            session_policies=session_policies,
        )
    except InvalidInput as error:
        raise InvalidIdentityToken(error.message) from None


def _attribute_keys(assertion: SamlAssertion) -> dict[str, Given]:
    """Return the condition keys of known attributes; one with several values, as a list."""
    keys: dict[str, Given] = {}
    for key, names in ATTRIBUTE_KEYS.items():
        values = next((values for name in names if (values := assertion.attributes.get(name))), ())
        if values:
            keys[key] = values if is_multivalued(key.lower()) or len(values) > 1 else values[0]
    return keys


def _session_name(assertion: SamlAssertion) -> str:
    name = _optional_value(assertion, "RoleSessionName")
    if name is None:
        raise InvalidIdentityToken("RoleSessionName is required in AuthnResponse")
    if SESSION_NAME.fullmatch(name) is None:
        raise InvalidIdentityToken("RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}")
    return name


def _source_identity(assertion: SamlAssertion) -> str | None:
    identity = _optional_value(assertion, "SourceIdentity")
    if identity is not None and SOURCE_IDENTITY.fullmatch(identity) is None:
        raise InvalidIdentityToken('Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"')
    return identity


def _tags(assertion: SamlAssertion) -> dict[str, str]:
    """Return the session tags (S-24)."""
    tags: dict[str, str] = {}
    for name, values in assertion.attributes.items():
        if name.startswith(_TAG):
            if len(values) != 1:
                raise InvalidIdentityToken(f"expected one value of each attribute PrincipalTag, got {len(values)}")
            tags[name.removeprefix(_TAG)] = values[0]
    return tags


def _optional_value(assertion: SamlAssertion, name: str) -> str | None:
    """Return the value of an attribute of AWS, None without the attribute. Raises `InvalidIdentityToken`."""
    if f"{_AWS}{name}" not in assertion.attributes:
        return None
    values = assertion.attributes[f"{_AWS}{name}"]
    if len(values) != 1:
        raise InvalidIdentityToken(f"expected one value of the attribute {name}, got {len(values)}")
    return values[0]

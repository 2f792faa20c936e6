"""What a verified SAML assertion says, and the rules for accepting it (SAML core 2 and 5, profiles 4.1.4).

Only elements of verified bytes get here. Every element that is required, known and unique is named; any other refuses
the assertion. Texts are compared as they are, without trimming. The rules of its times are in `validity`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from iam_guard.authn.saml.validity import Validity, read_instant
from iam_guard.authn.saml.xml_tree import XmlElement, local_name, shorten
from iam_guard.errors import InvalidIdentityToken

SAML: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
MAX_NAME: Final = 1024
"""Characters of an issuer, a subject, an audience, or the name of an attribute."""
MAX_SAML_ATTRIBUTES: Final = 200
MAX_SAML_VALUES: Final = 2_000

_UNSPECIFIED: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
_ENTITY: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,256}")
_PARTS: Final = ("Issuer", "Subject", "Conditions", "AuthnStatement", "AttributeStatement")
_CONDITIONS: Final = ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")
"""The last two restrict what an identity provider may do with the assertion, or how often it is accepted: once."""


@dataclass(frozen=True, slots=True)
class SamlIdentityProvider:
    """A trusted identity provider: its signing certificates (DER), and our private keys (PEM) for its encryption."""

    entity_id: str
    certificates: tuple[bytes, ...]
    private_keys: tuple[str, ...] = field(default=(), repr=False)
    requires_encryption: bool = False


@dataclass(frozen=True, slots=True)
class SamlReceiver:
    """Who receives assertions: the audiences that each `Recipient` admits, and the clock difference in seconds."""

    recipients: Mapping[str, frozenset[str]]
    skew: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlAssertion:
    """A verified assertion. No copy of it is accepted from `valid_until` on."""

    id: str
    issuer: str
    subject: str
    subject_format: str
    recipient: str
    audiences: tuple[str, ...]
    in_response_to: str | None
    issued: datetime
    valid_until: datetime
    session_not_on_or_after: datetime | None
    authn_contexts: tuple[str, ...]
    session_index: str | None
    attributes: Mapping[str, tuple[str, ...]]


def read_assertion(assertion: XmlElement, entity_id: str, receiver: SamlReceiver, validity: Validity) -> SamlAssertion:
    """Check a verified assertion. Raises `InvalidIdentityToken`, `ExpiredIdentityToken`."""
    _check_parts(assertion, _PARTS)
    id = read_header(assertion)
    issued = validity.check_issued(read_instant(assertion, "IssueInstant"))
    issuer = read_issuer(assertion.only(f"{SAML}Issuer"), entity_id)
    subject = assertion.only(f"{SAML}Subject")
    name, confirmation = _subject_parts(subject)
    recipient = _recipient(confirmation, receiver)
    conditions = assertion.only(f"{SAML}Conditions")
    _check_parts(conditions, _CONDITIONS)
    for element, is_required in ((confirmation, True), (conditions, False)):
        validity.check_period(element, ends=is_required)
    statements = assertion.named(f"{SAML}AuthnStatement")
    if not statements:
        raise InvalidIdentityToken("expected an AuthnStatement in Assertion, got none")
    indexes = [_attribute_text(statement, "SessionIndex") for statement in statements]
    return SamlAssertion(
        id=id,
        issuer=issuer,
        subject=read_text(name),
        subject_format=_attribute_text(name, "Format") or _UNSPECIFIED,
        recipient=recipient,
        audiences=_audiences(conditions, receiver.recipients[recipient]),
        in_response_to=_attribute_text(confirmation, "InResponseTo"),
        issued=issued,
        valid_until=validity.end(issued),
        session_not_on_or_after=validity.check_sessions(statements),
        authn_contexts=tuple(context for statement in statements for context in _contexts(statement)),
        session_index=next(filter(None, indexes), None),
        attributes=_attributes(assertion),
    )


def read_header(element: XmlElement) -> str:
    """Return the ID of a response or an assertion, and check its version. Raises `InvalidIdentityToken`."""
    if element.attributes.get("Version") != "2.0":
        raise InvalidIdentityToken(f"expected Version 2.0 of {local_name(element.name)}")
    id = element.attributes.get("ID", "")
    if not _ID.fullmatch(id):
        raise InvalidIdentityToken(f"expected an ID of {local_name(element.name)}")
    return id


def read_issuer(element: XmlElement, entity_id: str | None = None) -> str:
    """Return the issuer, which must be the entity id if that is given. Raises `InvalidIdentityToken`."""
    issuer = read_text(element)
    if entity_id is not None and issuer != entity_id:
        raise InvalidIdentityToken(f"expected the issuer of the provider, got `{shorten(issuer)}`")
    if element.attributes.get("Format", _ENTITY) != _ENTITY:
        raise InvalidIdentityToken("expected an Issuer without Format")
    return issuer


def read_text(element: XmlElement) -> str:
    """Return the text of an element that must have some. Raises `InvalidIdentityToken`."""
    if not 1 <= len(element.text) <= MAX_NAME:
        raise InvalidIdentityToken(f"expected a text of 1 to {MAX_NAME} characters in {local_name(element.name)}")
    return element.text


def _attribute_text(element: XmlElement, name: str) -> str | None:
    """Return an optional attribute. Raises `InvalidIdentityToken` if it is empty or too long."""
    text = element.attributes.get(name)
    if text is not None and not 1 <= len(text) <= MAX_NAME:
        raise InvalidIdentityToken(f"expected 1 to {MAX_NAME} characters as {name} of {local_name(element.name)}")
    return text


def _check_parts(element: XmlElement, known: tuple[str, ...]) -> None:
    for child in element.children:
        if child.name not in {SAML + name for name in known}:
            message = f"{local_name(child.name)} is not accepted in {local_name(element.name)}"
            raise InvalidIdentityToken(message)


def _subject_parts(subject: XmlElement) -> tuple[XmlElement, XmlElement]:
    """Return the name and the data of the confirmation."""
    _check_parts(subject, ("NameID", "SubjectConfirmation"))
    confirmation = subject.only(f"{SAML}SubjectConfirmation")
    if confirmation.attributes.get("Method") != BEARER:
        raise InvalidIdentityToken("expected the method bearer of SubjectConfirmation")
    _check_parts(confirmation, ("SubjectConfirmationData",))
    data = confirmation.only(f"{SAML}SubjectConfirmationData")
    if data.children or data.text.strip():
        raise InvalidIdentityToken("expected nothing in SubjectConfirmationData")
    return subject.only(f"{SAML}NameID"), data


def _recipient(confirmation: XmlElement, receiver: SamlReceiver) -> str:
    recipient = confirmation.attributes.get("Recipient", "")
    if recipient not in receiver.recipients:
        raise InvalidIdentityToken(f"the Recipient is not accepted here: `{shorten(recipient)}`")
    return recipient


def _audiences(conditions: XmlElement, admitted: frozenset[str]) -> tuple[str, ...]:
    """Return all audiences. Each restriction must name an admitted one."""
    audiences: list[str] = []
    for restriction in conditions.named(f"{SAML}AudienceRestriction"):
        _check_parts(restriction, ("Audience",))
        names = [read_text(audience) for audience in restriction.children]
        if admitted.isdisjoint(names):
            raise InvalidIdentityToken(f"the Audience is not accepted here: `{shorten(', '.join(names))}`")
        audiences += names
    if not audiences:
        raise InvalidIdentityToken("expected an AudienceRestriction in Conditions, got none")
    return tuple(audiences)


def _contexts(statement: XmlElement) -> list[str]:
    _check_parts(statement, ("SubjectLocality", "AuthnContext"))
    context = statement.only(f"{SAML}AuthnContext")
    return [read_text(child) for child in context.named(f"{SAML}AuthnContextClassRef")]


def _attributes(assertion: XmlElement) -> Mapping[str, tuple[str, ...]]:
    """Return the values by name; elements with the same name are one attribute."""
    found: dict[str, list[str]] = {}
    for statement in assertion.named(f"{SAML}AttributeStatement"):
        _check_parts(statement, ("Attribute",))
        for attribute in statement.children:
            name = attribute.attributes.get("Name", "")
            if not 1 <= len(name) <= MAX_NAME:
                raise InvalidIdentityToken(f"expected a Name of 1 to {MAX_NAME} characters of Attribute")
            found.setdefault(name, []).extend(_values(attribute, name))
    if len(found) > MAX_SAML_ATTRIBUTES or sum(map(len, found.values())) > MAX_SAML_VALUES:
        raise InvalidIdentityToken("the assertion has too many attributes or values")
    if len({name.casefold() for name in found}) != len(found):
        raise InvalidIdentityToken("expected attributes whose names differ by more than letter case")
    return MappingProxyType({name: tuple(values) for name, values in found.items()})


def _values(attribute: XmlElement, name: str) -> list[str]:
    _check_parts(attribute, ("AttributeValue",))
    return [_value(value, name) for value in attribute.children]


def _value(value: XmlElement, name: str) -> str:
    """Return the text of a value, or of the name id in it, which `eduPersonTargetedID` has."""
    match value.children:
        case ():
            return value.text
        case (XmlElement(name=kind, children=()) as name_id,) if kind == f"{SAML}NameID":
            return name_id.text
    raise InvalidIdentityToken(f"expected text as value of the attribute `{shorten(name)}`, got an element")

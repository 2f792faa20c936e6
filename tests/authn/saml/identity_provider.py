"""A SAML identity provider for tests: it writes, signs and encrypts responses as the known products do, or wrongly.

`IdentityProvider().response(now=…, recipient=…)` is the base64 text that a client sends. Each field of `Message` is a
keyword of it; `shape` chooses the product whose way of writing it imitates.
"""

from __future__ import annotations

import base64
import dataclasses
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from tests.authn.saml.xml_signer import DS, Encryption, KeyPair, Signing, encrypt, key_pair, sign

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
ENTITY_ID = "https://idp.example.com/saml"
RECIPIENT = "https://signin.example.com/saml"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
AWS = "https://aws.amazon.com/SAML/Attributes/"
ROLE = "arn:aws:iam::111122223333:role/reader,arn:aws:iam::111122223333:saml-provider/company"
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    f"{AWS}Role": (ROLE, ROLE.replace("reader", "writer")),
    f"{AWS}RoleSessionName": ("ada@example.com",),
    f"{AWS}PrincipalTag:Team": ("blue & green",),
}
MARKERS = {"assertion": "@@assertion@@", "response": "@@response@@"}


def same(text: str) -> str:
    return text


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a product writes the same facts."""

    name: str = "plain"
    p: str = "samlp"
    """The prefix of the protocol's namespace."""
    a: str = "saml"
    """The prefix of the assertion's namespace; empty for a default namespace."""
    on_root: bool = True
    """The assertion's namespace is declared on the root, rather than on Issuer and Assertion."""
    root: str = ""
    """More attributes of the root."""
    signed: str = "assertion"
    signing: Mapping[str, object] = field(default_factory=dict)
    value: str = ""
    """Attributes of AttributeValue."""
    attribute: str = ""
    """Attributes of Attribute."""
    issuer: str = ""
    """Attributes of Issuer."""
    assertion: str = ""
    """More attributes of Assertion."""
    attributes_first: bool = False
    milliseconds: bool = True
    declaration: str = ""
    indented: bool = False
    width: int = 0
    """Characters of a line of the base64 text."""


_EC_XS = {"inclusive": "xs"}
_ENTITY = 'Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity"'
_BASIC = 'NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic"'
_STRING = f'{XS} xsi:type="xs:string"'
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
SHAPES = [
    Shape(),
    Shape(
        name="keycloak",
        signing={"prefix": "dsig", "key_info": "named"},
        assertion=f'xmlns="{SAML}"',
        value=_STRING,
        attribute=f'FriendlyName="x" {_BASIC}',
        signed="both",
    ),
    Shape(
        name="okta",
        p="saml2p",
        a="saml2",
        on_root=False,
        root='xmlns:xs="http://www.w3.org/2001/XMLSchema"',
        signing={**_EC_XS, "wrapped": 76},
        issuer=_ENTITY,
        assertion='xmlns:xs="http://www.w3.org/2001/XMLSchema"',
        value='xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string"',
        attribute=_BASIC,
        declaration=_XML,
        signed="both",
    ),
    Shape(name="entra", a="", on_root=False, signing={"prefix": ""}, attributes_first=True),
    Shape(
        name="adfs",
        a="",
        on_root=False,
        root='Consent="urn:oasis:names:tc:SAML:2.0:consent:unspecified"',
        attributes_first=True,
        signing={
            "key_info": f'<KeyInfo xmlns="{DS}"><X509Data><X509SubjectName>CN=x</X509SubjectName></X509Data></KeyInfo>'
        },
    ),
    Shape(
        name="google",
        p="saml2p",
        a="saml2",
        on_root=False,
        signing={"key_info": "subject", "wrapped": 76},
        value=f'{XS} xsi:type="xs:anyType"',
        declaration=_XML.replace("?>", ' standalone="no"?>'),
        signed="response",
        width=76,
    ),
    Shape(
        name="shibboleth",
        p="saml2p",
        a="saml2",
        on_root=False,
        issuer=_ENTITY,
        signing={"inclusive": "xsd", "wrapped": 76},
        root='xmlns:xsd="http://www.w3.org/2001/XMLSchema"',
        value='xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xsd:string"',
        attribute='NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:uri"',
        declaration=_XML,
        signed="both",
    ),
    Shape(
        name="simplesamlphp",
        assertion=XS,
        value='xsi:type="xs:string"',
        attribute=_BASIC,
        milliseconds=False,
        indented=True,
        signing={"indented": True, "wrapped": 64},
        declaration='<?xml version="1.0"?>\n',
        signed="both",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one response says; all times are texts or follow from `now`."""

    now: datetime = NOW
    shape: Shape = field(default_factory=Shape)
    issuer: str = ENTITY_ID
    response_issuer: str | None = None
    response_id: str = "_response1"
    assertion_id: str = "_assertion1"
    issued: str = ""
    not_before: str = ""
    not_on_or_after: str = ""
    confirmed_until: str = ""
    authenticated: str = ""
    session_not_on_or_after: str = ""
    recipient: str = RECIPIENT
    destination: str | None = None
    """The recipient by default; empty for none."""
    audiences: tuple[str, ...] | None = None
    """The recipient by default."""
    in_response_to: str = ""
    confirmed_in_response_to: str | None = None
    status: str = SUCCESS
    subject: str = "ada@example.com"
    subject_format: str = PERSISTENT
    session_index: str = "_session1"
    authn_context: str = PASSWORD
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ATTRIBUTES)
    more_conditions: str = ""
    signed: str | None = None
    """assertion | response | both | none; by default what the shape signs."""
    assertion_signing: Mapping[str, object] = field(default_factory=dict)
    response_signing: Mapping[str, object] = field(default_factory=dict)
    encryption: Encryption | None = None
    edit: Callable[[str], str] = same
    """Changes the text before anything is signed."""
    edit_signed: Callable[[str], str] = same
    """Changes the text after the assertion is signed, before it is encrypted and the response is signed."""

    def time(self, seconds: float) -> str:
        """Return the text of an instant, in seconds from now."""
        unit = "milliseconds" if self.shape.milliseconds else "seconds"
        return (self.now + timedelta(seconds=seconds)).astimezone(UTC).isoformat(timespec=unit)[:-6] + "Z"


def unsigned(message: Message) -> str:
    """Return the document, with a marker in the place of each signature."""
    shape = message.shape
    a, declared = names_of(shape)
    at_root = f" {declared}" if shape.on_root else ""
    below = "" if shape.on_root else f" {declared}"
    destination = message.recipient if message.destination is None else message.destination
    issuer = message.issuer if message.response_issuer is None else message.response_issuer
    more = f" {shape.root}" if shape.root else ""
    for name, value in (("Destination", destination), ("InResponseTo", message.in_response_to)):
        more += f" {name}={quoteattr(value)}" if value else ""
    text = (
        f'<{shape.p}:Response xmlns:{shape.p}="{SAMLP}"{at_root} ID="{message.response_id}" Version="2.0" '
        f'IssueInstant="{message.issued or message.time(0)}"{more}>'
        f"<{a}Issuer{below}{_attribute(shape.issuer)}>{escape(issuer)}</{a}Issuer>{MARKERS['response']}"
        f'<{shape.p}:Status><{shape.p}:StatusCode Value="{message.status}"/></{shape.p}:Status>'
        f"{_assertion(message, a, below)}</{shape.p}:Response>"
    )
    return shape.declaration + (text.replace("><", ">\n  <") if shape.indented else text)


def names_of(shape: Shape) -> tuple[str, str]:
    """Return the prefix with its colon, and the declaration, of the assertion's namespace."""
    return (f"{shape.a}:", f'xmlns:{shape.a}="{SAML}"') if shape.a else ("", f'xmlns="{SAML}"')


def _attribute(text: str) -> str:
    return f" {text}" if text else ""


def _assertion(message: Message, a: str, declared: str) -> str:
    shape = message.shape
    statements = [_authn_statement(message, a), _attribute_statement(message, a)]
    return (
        f'<{a}Assertion{declared}{_attribute(shape.assertion)} ID="{message.assertion_id}" Version="2.0" '
        f'IssueInstant="{message.issued or message.time(0)}">'
        f"<{a}Issuer{_attribute(shape.issuer)}>{escape(message.issuer)}</{a}Issuer>{MARKERS['assertion']}"
        f"{_subject(message, a)}{_conditions(message, a)}"
        f"{''.join(reversed(statements) if shape.attributes_first else statements)}</{a}Assertion>"
    )


def _subject(message: Message, a: str) -> str:
    answered = message.confirmed_in_response_to
    answered = message.in_response_to if answered is None else answered
    more = f" InResponseTo={quoteattr(answered)}" if answered else ""
    return (
        f'<{a}Subject><{a}NameID Format="{message.subject_format}">{escape(message.subject)}</{a}NameID>'
        f'<{a}SubjectConfirmation Method="{BEARER}"><{a}SubjectConfirmationData{more} '
        f'NotOnOrAfter="{message.confirmed_until or message.time(300)}" Recipient={quoteattr(message.recipient)}/>'
        f"</{a}SubjectConfirmation></{a}Subject>"
    )


def _conditions(message: Message, a: str) -> str:
    audiences = (message.recipient,) if message.audiences is None else message.audiences
    named = "".join(f"<{a}Audience>{escape(audience)}</{a}Audience>" for audience in audiences)
    return (
        f'<{a}Conditions NotBefore="{message.not_before or message.time(-30)}" '
        f'NotOnOrAfter="{message.not_on_or_after or message.time(600)}">'
        f"<{a}AudienceRestriction>{named}</{a}AudienceRestriction>{message.more_conditions}</{a}Conditions>"
    )


def _authn_statement(message: Message, a: str) -> str:
    until = message.session_not_on_or_after
    more = f' SessionNotOnOrAfter="{until}"' if until else ""
    return (
        f'<{a}AuthnStatement AuthnInstant="{message.authenticated or message.time(-60)}"{more} '
        f'SessionIndex="{message.session_index}"><{a}AuthnContext>'
        f"<{a}AuthnContextClassRef>{message.authn_context}</{a}AuthnContextClassRef></{a}AuthnContext></{a}AuthnStatement>"
    )


def _attribute_statement(message: Message, a: str) -> str:
    if not message.attributes:
        return ""
    shape = message.shape
    written = ""
    for name, values in message.attributes.items():
        opened = f"<{a}AttributeValue{_attribute(shape.value)}>"
        texts = "".join(f"{opened}{escape(value)}</{a}AttributeValue>" for value in values)
        written += f"<{a}Attribute Name={quoteattr(name)}{_attribute(shape.attribute)}>{texts}</{a}Attribute>"
    return f"<{a}AttributeStatement>{written}</{a}AttributeStatement>"


def encoded(document: str | bytes, width: int = 0) -> str:
    """Return the base64 text of a document, in lines of that many characters."""
    content = document.encode() if isinstance(document, str) else document
    text = base64.b64encode(content).decode("ascii")
    return "\r\n".join(textwrap.wrap(text, width)) if width else text


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


class IdentityProvider:
    """An entity with one signing key: `rsa`, `P-256`, `P-384` or `P-521`."""

    def __init__(self, entity_id: str = ENTITY_ID, key: str | KeyPair = "rsa") -> None:
        self.entity_id = entity_id
        self.key = key_pair(key) if isinstance(key, str) else key

    def document(self, **changes: object) -> str:
        """Return the XML of a response."""
        message = dataclasses.replace(Message(issuer=self.entity_id), **changes)  # type: ignore[arg-type]
        shape = message.shape
        signed = shape.signed if message.signed is None else message.signed
        parts = {"both": ("assertion", "response")}.get(signed, (signed,))
        text = message.edit(unsigned(message))
        ids = {"assertion": message.assertion_id, "response": message.response_id}
        own = {"assertion": message.assertion_signing, "response": message.response_signing}
        for part, marker in MARKERS.items():
            if part in parts:
                settings = {"key": self.key, **shape.signing, **own[part]}
                text = sign(text, marker, ids[part], Signing(**settings))  # type: ignore[arg-type]
            text = text.replace(marker, "")
            if part == "assertion":
                text = self._encrypted(text, message) if message.encryption else message.edit_signed(text)
        return text

    def response(self, **changes: object) -> str:
        """Return the base64 text of a response."""
        shape = changes.get("shape", Shape())
        return encoded(self.document(**changes), shape.width if isinstance(shape, Shape) else 0)

    def _encrypted(self, text: str, message: Message) -> str:
        """Return the document with its assertion encrypted."""
        assert message.encryption
        a, declared = names_of(message.shape)
        start = text.index(f"<{a}Assertion")
        end = text.index(f"</{a}Assertion>") + len(f"</{a}Assertion>")
        [element] = etree.fromstring(text.encode()).findall(f"{{{SAML}}}Assertion")
        element.tail = None
        inside = encrypt(message.edit_signed(etree.tostring(element, encoding="unicode")), message.encryption)
        shown = f"<{a}EncryptedAssertion {declared}>{inside}</{a}EncryptedAssertion>"
        return text[:start] + shown + text[end:]

    def metadata(self, more: str = "") -> str:
        """Return the metadata document, with more elements below its EntityDescriptor."""
        place = quoteattr(self.entity_id + "/sso")
        bindings = [f"urn:oasis:names:tc:SAML:2.0:bindings:{name}" for name in ("HTTP-Redirect", "HTTP-POST")]
        services = "".join(f'<SingleSignOnService Binding="{named}" Location={place}/>' for named in bindings)
        certificate = f"<X509Data><X509Certificate>{self.key.certificate_text}</X509Certificate></X509Data>"
        return (
            f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID={quoteattr(self.entity_id)}>'
            f'{more}<IDPSSODescriptor protocolSupportEnumeration="{SAMLP}"><KeyDescriptor use="signing">'
            f'<KeyInfo xmlns="{DS}">{certificate}</KeyInfo></KeyDescriptor>{services}'
            "</IDPSSODescriptor></EntityDescriptor>"
        )

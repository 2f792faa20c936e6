"""Valid responses: every product's shape, algorithm, encryption and optional part, with what must be read from them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from iam_guard.authn.saml.assertion import SamlAssertion, SamlIdentityProvider, SamlReceiver
from tests.authn.saml.identity_provider import (
    ATTRIBUTES,
    ENTITY_ID,
    NOW,
    RECIPIENT,
    SAML,
    SHAPES,
    IdentityProvider,
    Message,
)
from tests.authn.saml.xml_signer import KINDS, XENC, XENC11, Encryption, key_pair

RECEIVER = SamlReceiver({RECIPIENT: frozenset({RECIPIENT})})
OAEP = XENC + "rsa-oaep-mgf1p"
OAEP_11 = XENC11 + "rsa-oaep"


@dataclass(frozen=True)
class Valid:
    """A response that must be accepted, and who sent it."""

    name: str
    changes: Mapping[str, object]
    kind: str = "rsa"
    expected: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """What the message itself does not say."""

    @property
    def text(self) -> str:
        return IdentityProvider(key=self.kind).response(**self.changes)

    @property
    def message(self) -> Message:
        return dataclasses.replace(Message(), **self.changes)  # type: ignore[arg-type]

    @property
    def facts(self) -> SamlAssertion:
        return dataclasses.replace(_facts(self.message), **self.expected)  # type: ignore[arg-type]


def provider_of(kind: str = "rsa") -> SamlIdentityProvider:
    """Return the provider as its account registered it, with a key to decrypt."""
    return SamlIdentityProvider(ENTITY_ID, (key_pair(kind).certificate,), (key_pair("rsa", "receiver").pem,))


def _facts(message: Message) -> SamlAssertion:
    issued = _instant(message.issued or message.time(0))
    confirmed = _instant(message.confirmed_until or message.time(300))
    ends = (issued + timedelta(minutes=5), confirmed, _instant(message.not_on_or_after or message.time(600)))
    session = message.session_not_on_or_after
    return SamlAssertion(
        id=message.assertion_id,
        issuer=message.issuer,
        subject=message.subject,
        subject_format=message.subject_format,
        recipient=message.recipient,
        audiences=message.audiences or (message.recipient,),
        in_response_to=message.in_response_to or None,
        issued=issued,
        valid_until=min(ends) + timedelta(seconds=60),
        session_not_on_or_after=_instant(session) if session else None,
        authn_contexts=(message.authn_context,),
        session_index=message.session_index,
        attributes=message.attributes,
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def replacing(old: str, new: str) -> Callable[[str], str]:
    """Return a change of the text that must take place exactly once."""

    def replace(text: str) -> str:
        assert text.count(old) == 1, f"{text.count(old)} times {old}"
        return text.replace(old, new)

    return replace


def _signatures() -> list[Valid]:
    """Return each shape with each signature, and each algorithm with each kind of key."""
    found = []
    for shape in SHAPES:
        for signed in ("assertion", "response", "both"):
            changes = {"shape": shape, "signed": signed, "in_response_to": "_request1"}
            found.append(Valid(f"{shape.name}, {signed} signed", changes))
    for kind in KINDS:
        for bits in ("256", "384", "512"):
            named = {"algorithm": f"{'rsa' if kind == 'rsa' else 'ecdsa'}-sha{bits}", "digest": f"sha{bits}"}
            found.append(Valid(f"{kind} {bits}", {"assertion_signing": named}, kind))
            found.append(
                Valid(f"{kind} {bits} of the response", {"response_signing": named, "signed": "response"}, kind)
            )
    forms = ("none", "value", "subject", "named")
    return found + [Valid(f"KeyInfo {form}", {"assertion_signing": {"key_info": form}}) for form in forms]


def _encryptions() -> list[Valid]:
    """Return each cipher, transport and place of the key."""
    ciphers = ["aes128-gcm", "aes256-gcm", "aes128-cbc", "aes256-cbc"]
    settings = [Encryption(cipher=name, beside=beside) for name in ciphers for beside in (False, True)]
    settings += [
        Encryption(transport=OAEP, digest="sha256"),
        Encryption(transport=OAEP_11, digest="sha256", mask="sha1"),
        Encryption(transport=OAEP_11, digest="sha256", mask="sha256", prefix="e"),
        Encryption(transport=OAEP_11, digest="sha512", mask="sha512"),
    ]
    found = []
    for signed in ("assertion", "response", "both"):
        for one in settings:
            place = "beside" if one.beside else "inside"
            name = f"encrypted, {signed} signed, {one.cipher} {place}, {one.transport[-12:]} {one.digest} {one.mask}"
            found.append(Valid(name, {"encryption": one, "signed": signed}))
    shapes = [shape for shape in SHAPES if shape.name in ("keycloak", "okta", "adfs", "shibboleth")]
    by_shape = [Valid(f"encrypted by {shape.name}", {"encryption": Encryption(), "shape": shape}) for shape in shapes]
    return found + by_shape


def _soon(seconds: float) -> str:
    return Message().time(seconds)


_RESTRICTED = f"<saml:AudienceRestriction><saml:Audience>{RECIPIENT}</saml:Audience></saml:AudienceRestriction>"
_NAMED = 'NameQualifier="https://idp.example.com/saml" SPNameQualifier="https://signin.example.com/saml" Format='
_EXCLUSIVE_IN_SCOPE = f'xmlns:unused="urn:example:unused" xmlns:again="{SAML}"'


def _moved(before: str) -> Callable[[str], str]:
    """Return a change that moves the assertion's signature; it still is a child of what it signs."""

    def change(text: str) -> str:
        [signature] = re.findall(r"<ds:Signature .*</ds:Signature>", text, re.DOTALL)
        return replacing(before, signature + before)(text.replace(signature, ""))

    return change


_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_VALUES = "<saml:AttributeValue>{}</saml:AttributeValue>"
_TWICE = f'<saml:Attribute Name="Twice">{_VALUES.format("a")}</saml:Attribute>'
_ROOT_ONLY = replacing("<samlp:Response ", '<samlp:Response xmlns:xs="http://www.w3.org/2001/XMLSchema" ')
_NONE: Mapping[str, object] = {}
_EDITS: list[tuple[str, Callable[[str], str], Mapping[str, object]]] = [
    ("OneTimeUse", replacing("</saml:Conditions>", "<saml:OneTimeUse/></saml:Conditions>"), _NONE),
    (
        "ProxyRestriction",
        replacing("</saml:Conditions>", '<saml:ProxyRestriction Count="0"/></saml:Conditions>'),
        _NONE,
    ),
    ("NameQualifier", replacing("<saml:NameID Format=", f"<saml:NameID {_NAMED}"), _NONE),
    ("no session index", replacing(' SessionIndex="_session1"', ""), {"session_index": None}),
    ("unused declarations", replacing("<samlp:Response ", f"<samlp:Response {_EXCLUSIVE_IN_SCOPE} "), _NONE),
    (
        "character references",
        replacing("ada@example.com</saml:NameID>", "&#97;da&#64;example.com</saml:NameID>"),
        _NONE,
    ),
    ("space within tags", replacing("</saml:NameID>", "</saml:NameID \n>"), _NONE),
    ("a restriction twice", replacing(_RESTRICTED, _RESTRICTED * 2), {"audiences": (RECIPIENT, RECIPIENT)}),
    (
        "an attribute twice",
        replacing("<saml:AttributeStatement>", f"<saml:AttributeStatement>{_TWICE * 2}"),
        {"attributes": {"Twice": ("a", "a"), **ATTRIBUTES}},
    ),
    ("a start of the confirmation", replacing(" Recipient=", f' NotBefore="{_soon(59)}" Recipient='), _NONE),
    ("no Issuer of the response", replacing(f"<saml:Issuer>{ENTITY_ID}</saml:Issuer>@@response@@", ""), _NONE),
    ("byte order mark", lambda text: _MARK + text, _NONE),
]
_AFTER: list[tuple[str, Callable[[str], str]]] = [
    ("signature first", _moved("<saml:Issuer>https://idp.example.com/saml</saml:Issuer><saml:Subject>")),
    ("signature last", _moved("</saml:Assertion>")),
    ("line breaks in base64", lambda text: text.replace("==</ds:SignatureValue>", "==\n</ds:SignatureValue>")),
    (
        "another KeyInfo",
        lambda text: text.replace(key_pair().certificate_text, key_pair("rsa", "attacker").certificate_text),
    ),
    ("garbage in KeyInfo", lambda text: text.replace(key_pair().certificate_text, "garbage")),
    ("unused declarations", replacing("<samlp:Response ", f"<samlp:Response {_EXCLUSIVE_IN_SCOPE} ")),
]
_CHANGES: list[tuple[str, Mapping[str, object]]] = [
    ("several audiences", {"audiences": ("urn:example:other", RECIPIENT)}),
    ("no destination", {"destination": ""}),
    ("no attributes", {"attributes": {}}),
    ("a request answered", {"in_response_to": "_request1"}),
    ("spaces are kept", {"subject": " ada\u00a0 ", "attributes": {"Name": (" x ", "")}}),
    ("line breaks are kept", {"attributes": {"Name": ("one\ntwo\tthree",)}}),
    ("other scripts", {"subject": "Zoë Ω 日本 😀", "attributes": {"straße": ("naïve", "ἀρχή")}}),
    ("a session end", {"session_not_on_or_after": _soon(3600)}),
    ("in the future within the skew", {"issued": _soon(59), "not_before": _soon(59)}),
    (
        "expired within the skew",
        {"confirmed_until": _soon(-59), "not_on_or_after": _soon(-59), "not_before": _soon(-99)},
    ),
    ("five minutes old", {"issued": _soon(-300)}),
    ("microseconds", {"issued": NOW.strftime("%Y-%m-%dT%H:%M:%S.000000Z")}),
    ("seven digits", {"issued": NOW.strftime("%Y-%m-%dT%H:%M:%S.0000000Z")}),
    ("long values", {"attributes": {"Groups": tuple(f"group {number}" for number in range(400))}}),
    ("another context", {"authn_context": "https://refeds.org/profile/mfa"}),
]


def _options() -> list[Valid]:
    """Return what is optional, or harmless: after the signature, only outside of what it signs."""
    found = [Valid(name, {"edit": edit}, expected=expected) for name, edit, expected in _EDITS]
    found += [Valid(f"{name}, after signing", {"edit_signed": edit}) for name, edit in _AFTER]
    found += [Valid(name, change) for name, change in _CHANGES]
    answered = {"in_response_to": "_request1"}
    return [
        *found,
        Valid("only the confirmation answers", {"confirmed_in_response_to": "_request1"}, expected=answered),
        Valid(
            "prefix declared on the root",
            {"edit": _ROOT_ONLY, "assertion_signing": {"inclusive": "xs"}, "signed": "both"},
        ),
    ]


VALID = _signatures() + _encryptions() + _options()

"""Hostile responses that are read in two ways, or whose parsing is expensive: no signature is ever looked at."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

from tests.authn.saml.hostile_documents import Hostile, edited, message
from tests.authn.saml.identity_provider import IdentityProvider, encoded
from tests.authn.saml.valid_responses import replacing
from tests.authn.saml.wrapping import MALLORY

SUBJECT = ">ada@example.com</saml:NameID>"
DECLARED = '<?xml version="1.0" encoding="{}"?>'
LAUGHS = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 10))
ABSOLUTE = "absolute namespace, got "
NOT_SIGNED = "expected a signature in the Response or the Assertion"
SAML_1 = 'xmlns:saml="urn:oasis:names:tc:SAML:1.0:assertion"'
UTF_8 = "expected a declaration of XML 1.0 in UTF-8"
BESIDE = "text beside elements is not allowed"
BASE64 = "expected a SAML response in base64"
LONG = "expected at most 100000 characters of base64"
WELL_FORMED = "expected well-formed XML"
CDATA = "a CDATA section is not allowed"
COMMENT = "a comment is not allowed"
INSTRUCTION = "a processing instruction is not allowed"
DOCUMENT_TYPE = "a document type is not allowed"
SAME_ID = "several elements have the ID `_assertion1`"
ONE_ID = "expected at most one ID of an element, without a namespace"


def subject(text: str) -> Callable[[str], str]:
    """Return a change of the subject's text."""
    return replacing(SUBJECT, f">{text}</saml:NameID>")


def before(text: str) -> Callable[[str], str]:
    return lambda document: text + document


def with_entities(declarations: str, reference: str = "&e;") -> Callable[[str], str]:
    return lambda document: f"<!DOCTYPE a [{declarations}]>" + subject(reference)(document)


def sent(name: str, reason: str, change: Callable[[str], bytes]) -> Hostile:
    """Return a document that is sent as other bytes."""
    return Hostile(name=name, reason=reason, document=lambda: change(IdentityProvider().document()))


def text(name: str, reason: str, change: Callable[[str], str]) -> Hostile:
    """Return a valid document whose base64 text was changed."""
    return Hostile(name=name, reason=reason, text=lambda: change(IdentityProvider().response()))


def compressed(document: str) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(document.encode()) + packer.flush()


def added(attribute: str, element: str = "<saml:AttributeValue") -> Callable[[str], str]:
    """Return a change that adds an attribute to the first element of that name."""
    return lambda document: document.replace(element, f"{element} {attribute}", 1)


SPLIT = [
    edited("comment in the subject", COMMENT, subject("ada@example.com<!-- -->.attacker.example.com")),
    message("signed comment in the subject", COMMENT, edit=subject("ada@example.com<!-- -->.attacker.example.com")),
    message("signed comment in a value", COMMENT, edit=replacing("blue &amp; green", "blue<!---->")),
    edited("comment in an audience", COMMENT, replacing("<saml:Audience>", "<saml:Audience><!-- -->")),
    edited("comment before the root", COMMENT, before("<!-- -->")),
    edited("comment after the root", COMMENT, lambda document: document + "<!-- -->"),
    edited("comment in the signature", COMMENT, replacing("<ds:SignedInfo>", "<ds:SignedInfo><!-- -->")),
    message(
        "signed instruction in the subject", INSTRUCTION, edit=subject("ada@example.com<?a?>.attacker.example.com")
    ),
    edited(
        "instruction before the root", INSTRUCTION, before('<?xml-stylesheet href="https://attacker.example.com"?>')
    ),
    edited("instruction after the root", INSTRUCTION, lambda document: document + "<?a b?>"),
    edited("CDATA in the subject", CDATA, subject("<![CDATA[ada@example.com]]>")),
    message("signed CDATA in the subject", CDATA, edit=subject("ada@<![CDATA[example.com]]>")),
    edited("CDATA between elements", CDATA, replacing("<saml:Subject>", "<saml:Subject><![CDATA[ ]]>")),
    message("element in the subject", BESIDE, edit=subject('ada<b xmlns="urn:x:x"/>.attacker.example.com')),
    message(
        "text beside elements",
        BESIDE,
        edit=replacing("<saml:Subject>", "<saml:Subject>x"),
    ),
]
DOCUMENT_TYPES = [
    edited("document type", DOCUMENT_TYPE, before("<!DOCTYPE a>")),
    edited("internal entity", DOCUMENT_TYPE, with_entities(f'<!ENTITY e "{MALLORY}">')),
    edited("external entity", DOCUMENT_TYPE, with_entities('<!ENTITY e SYSTEM "file:///etc/passwd">')),
    edited("external document type", DOCUMENT_TYPE, before('<!DOCTYPE a SYSTEM "https://attacker.example.com/a.dtd">')),
    edited("parameter entity", DOCUMENT_TYPE, with_entities('<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;', "x")),
    edited("billion laughs", DOCUMENT_TYPE, with_entities('<!ENTITY e0 "ha">' + LAUGHS, "&e9;")),
    edited("default attribute", DOCUMENT_TYPE, before('<!DOCTYPE a [<!ATTLIST a ID CDATA "_assertion1">]>')),
    edited("undeclared entity", WELL_FORMED, subject("&e;")),
]
ENCODINGS = [
    sent("UTF-16", "expected XML in UTF-8", lambda document: document.encode("utf-16")),
    sent("UTF-16 without mark", WELL_FORMED, lambda document: document.encode("utf-16-le")),
    sent("UTF-32", "expected XML in UTF-8", lambda document: document.encode("utf-32")),
    edited("declared as UTF-7", UTF_8, before(DECLARED.format("UTF-7"))),
    edited("declared as UTF-16", UTF_8, before(DECLARED.format("UTF-16"))),
    edited("declared as Latin-1", UTF_8, before(DECLARED.format("ISO-8859-1"))),
    sent("Latin-1", "expected XML in UTF-8", lambda document: subject("Zoë")(document).encode("latin-1")),
    sent(
        "overlong UTF-8", "expected XML in UTF-8", lambda document: document.encode().replace(b"ada@", b"ada\xc1\x80")
    ),
    sent(
        "surrogate in UTF-8",
        "expected XML in UTF-8",
        lambda document: document.encode().replace(b"ada@", b"\xed\xa0\x80"),
    ),
    sent(
        "mark and declaration",
        INSTRUCTION,
        lambda document: b"\xef\xbb\xbf" + before(DECLARED.format("UTF-8"))(document).encode(),
    ),
    edited("XML 1.1", UTF_8, before('<?xml version="1.1"?>')),
    edited("two declarations", INSTRUCTION, before('<?xml version="1.0"?><?xml version="1.0"?>')),
    edited("space before the declaration", INSTRUCTION, before(' <?xml version="1.0"?>')),
    edited("NUL", WELL_FORMED, subject("ada\0@example.com")),
    edited("reference to NUL", WELL_FORMED, subject("ada&#0;@example.com")),
    edited("no character", WELL_FORMED, subject("ada\uffff")),
]
FORMS = [
    Hostile(name="empty", reason=WELL_FORMED, text=lambda: ""),
    Hostile(name="no XML", reason=WELL_FORMED, document=lambda: "response"),
    Hostile(name="JSON", reason=WELL_FORMED, document=lambda: '{"issuer": "https://idp.example.com/saml"}'),
    Hostile(name="root of another name", reason="expected a Response of SAML 2.0, got `a`", document=lambda: "<a/>"),
    sent("truncated", WELL_FORMED, lambda document: document.encode()[:-20]),
    sent("two roots", WELL_FORMED, lambda document: document.encode() * 2),
    sent("text after the root", WELL_FORMED, lambda document: document.encode() + b"x"),
    sent("compressed", "expected XML in UTF-8", compressed),
    sent("gzipped", "expected XML in UTF-8", lambda document: zlib.compress(document.encode(), wbits=31)),
    edited("undeclared prefix", WELL_FORMED, subject("<undeclared:b/>")),
    edited("attribute twice", WELL_FORMED, added('Version="2.0" Version="2.0"', "<saml:Subject")),
    edited("attribute twice by two prefixes", WELL_FORMED, added('xmlns:a="urn:x:x" xmlns:b="urn:x:x" a:c="" b:c=""')),
    text("no base64", BASE64, lambda sent: sent[:100] + "%" + sent[100:]),
    text("base64 for URLs", BASE64, lambda sent: sent[:100] + "-_-_" + sent[100:]),
    text("base64 without its end", BASE64, lambda sent: sent[:-3]),
    text("base64 after its end", BASE64, lambda sent: base64.b64encode(b"a").decode("ascii") + sent),
    text("base64 of base64", WELL_FORMED, encoded),
    text("not ASCII", BASE64, lambda sent: "\u0430" + sent),
    text("XML rather than base64", BASE64, lambda sent: base64.b64decode(sent).decode()),
]
SIZES = [
    message("too long", LONG, attributes={"Name": ("x" * 76_000,)}),
    text("long blank space", LONG, lambda sent: sent + "\n" * 100_000),
    edited("deep nesting", "nested too deeply", replacing("<samlp:Status>", "<samlp:Status>" + "<a>" * 9_000)),
    edited("many elements", "too many elements", replacing("<samlp:Status>", "<samlp:Status>" + "<a/>" * 9_000)),
    edited(
        "many attributes of an element",
        "Attribute has too many attributes",
        replacing(
            "<saml:AttributeStatement>", "<Attribute " + " ".join(f"a{number}=''" for number in range(4_000)) + "/>"
        ),
    ),
    edited(
        "many namespaces",
        "has too many attributes",
        added(" ".join(f'xmlns:n{number}="urn:n:{number}"' for number in range(1_500))),
    ),
    edited(
        "long name of an attribute",
        "the digest in the signature does not match the content",
        added(f'{"a" * 50_000}=""'),
    ),
]
IDS = [
    edited("ID twice", SAME_ID, added('ID="_assertion1"')),
    edited("Id of the same value", SAME_ID, added('Id="_assertion1"')),
    edited("id of the same value", SAME_ID, added('id="_assertion1"')),
    edited("xml:id of the same value", ONE_ID, added('xml:id="_assertion1"')),
    edited("iD of the same value", ONE_ID, added('iD="_assertion1"')),
    edited("samlp:ID beside ID", ONE_ID, added('samlp:ID="_assertion1"', "<samlp:Response")),
    edited("samlp:ID on the assertion", ONE_ID, added('samlp:ID="_forged"', "<saml:Assertion")),
    edited("ID by a foreign namespace", ONE_ID, added('xmlns:x="urn:x:x" x:ID="_assertion1"')),
    edited("Id beside ID", ONE_ID, added('Id="_assertion1"', "<saml:Assertion")),
    edited("response and assertion have one ID", SAME_ID, replacing('ID="_response1"', 'ID="_assertion1"')),
    message(
        "assertion without ID",
        "expected an ID of Assertion",
        edit=replacing(' ID="_assertion1"', ""),
        signed="response",
    ),
    message("response without ID", "expected an ID of Response", edit=replacing(' ID="_response1"', "")),
    message("empty ID", "expected an ID of Assertion", assertion_id="", signed="response"),
    edited(
        "other ID", "expected a signature for the element that contains it", replacing(' ID="_assertion1"', ' ID="_a"')
    ),
]
NAMESPACES = [
    edited("relative namespace", ABSOLUTE + "`1`", added('xmlns:r="1"', "<saml:Assertion")),
    edited("relative namespace of the root", ABSOLUTE + "`../a`", added('xmlns:r="../a"', "<samlp:Response")),
    edited("relative default namespace", ABSOLUTE + "`//a`", added('xmlns="//a"', "<samlp:Response")),
    message(
        "relative namespace outside of the signature",
        ABSOLUTE + "`a`",
        edit_signed=added('xmlns:r="a"', "<samlp:Response"),
        signed="assertion",
    ),
    edited("undeclared namespace again", WELL_FORMED, added('xmlns:saml=""', "<saml:Assertion")),
    edited("namespace of xml", WELL_FORMED, added('xmlns:xml="urn:example:xml"', "<saml:Assertion")),
    edited("namespace of xmlns", WELL_FORMED, added('xmlns:xmlns="urn:example:xml"', "<saml:Assertion")),
    edited("assertion of SAML 1", "Assertion is not accepted in Response", added(SAML_1, "<saml:Assertion")),
    message("protocol of SAML 1", "expected a Response of SAML 2.0", edit=replacing("2.0:protocol", "1.0:protocol")),
    edited("namespace with a space", WELL_FORMED, lambda text: text.replace(':assertion"', ':assertion "')),
    edited(
        "signature of another namespace", NOT_SIGNED, lambda text: text.replace('xmldsig#"><ds:Sig', 'xmldsig"><ds:Sig')
    ),
]
XML = SPLIT + DOCUMENT_TYPES + ENCODINGS + FORMS + SIZES + IDS + NAMESPACES

"""Hostile responses that the provider itself signs: what they claim is not for us, not now, or not one thing."""

from __future__ import annotations

from collections.abc import Callable

from iam_guard.errors import CredentialError, ExpiredIdentityToken, IdpRejectedClaim, InvalidIdentityToken
from tests.authn.saml.hostile_documents import Hostile, edited, message
from tests.authn.saml.identity_provider import AWS, BEARER, ENTITY_ID, NOW, PERSISTENT, RECIPIENT, SAML, SHAPES, Message
from tests.authn.saml.valid_responses import replacing

ATTACKER = "https://attacker.example.com/saml"
STATUS_OF = "urn:oasis:names:tc:SAML:2.0:status:"
SUCCEEDED = f'<samlp:StatusCode Value="{STATUS_OF}Success"/>'
LATER = "2027-01-15T13:00:00"
ISSUER = f"<saml:Issuer>{ENTITY_ID}</saml:Issuer>@@assertion@@"
DAY = f' NotOnOrAfter="{Message().time(300)}"'


def at(seconds: float) -> str:
    return Message().time(seconds)


def without(name: str) -> Callable[[str], str]:
    """Return a change that removes the first element of that name."""

    def change(text: str) -> str:
        start = text.index(f"<{name}")
        closed = f"</{name}>" if f"</{name}>" in text else "/>"
        return text[:start] + text[text.index(closed, start) + len(closed) :]

    return change


def twice(name: str) -> Callable[[str], str]:
    """Return a change that writes the first element of that name twice."""

    def change(text: str) -> str:
        start = text.index(f"<{name}")
        end = text.index(f"</{name}>", start) + len(f"</{name}>")
        return text[:end] + text[start:end] + text[end:]

    return change


def behind_conditions(added: str) -> Callable[[str], str]:
    return replacing("</saml:Conditions>", "</saml:Conditions>" + added)


def before_status(added: str) -> Callable[[str], str]:
    return replacing("<samlp:Status>", added + "<samlp:Status>")


def in_data(content: str) -> Callable[[str], str]:
    """Return a change that puts something into the data of the confirmation."""
    end = f'Recipient="{RECIPIENT}"'
    return replacing(f"{end}/>", f"{end}>{content}</saml:SubjectConfirmationData>")


def in_end_of(name: str) -> Callable[[str], Callable[[str], str]]:
    return lambda content: replacing(f"</saml:{name}>", f"{content}</saml:{name}>")


in_confirmation = in_end_of("SubjectConfirmation")
in_restriction = in_end_of("AudienceRestriction")
in_statement = in_end_of("AuthnStatement")


def two_assertions(text: str) -> str:
    return twice("saml:Assertion")(text.replace("@@assertion@@", "")).replace("_assertion1", "_assertion2", 1)


def assertion_as_root(text: str) -> str:
    start = text.index("<saml:Assertion ")
    return text[start : text.index("</samlp:Response>")].replace(" ", f' xmlns:saml="{SAML}" ', 1)


def claim(
    name: str,
    reason: str,
    edit: Callable[[str], str],
    error: type[CredentialError] = InvalidIdentityToken,
    signed: str = "both",
) -> Hostile:
    """Return a document that is changed before the assertion and the response are signed."""
    return message(name, reason, error, edit=edit, signed=signed)


CONFIRMED = "expected a time with Z as NotOnOrAfter of SubjectConfirmationData"
TIMES = [
    message(
        "confirmation expired", "NotOnOrAfter of SubjectConfirmationData", ExpiredIdentityToken, confirmed_until=at(-60)
    ),
    message(
        "conditions expired",
        "NotOnOrAfter of Conditions",
        ExpiredIdentityToken,
        not_on_or_after=at(-60),
        not_before=at(-99),
    ),
    message("not yet valid", "NotBefore of Conditions is in the future", not_before=at(61)),
    message("issued long ago", "within 5 minutes of issuance", ExpiredIdentityToken, issued=at(-301)),
    message("issued in the future", "IssueInstant is in the future", issued=at(61)),
    message("session ended", "SessionNotOnOrAfter is in the past", ExpiredIdentityToken, session_not_on_or_after=at(0)),
    message("conditions without Z", "expected a time with Z as NotOnOrAfter of Conditions", not_on_or_after=LATER),
    message("issued without Z", "expected a time with Z as IssueInstant of Response", issued=NOW.isoformat()[:-6]),
    message("negative year", "expected a time with Z as NotBefore of Conditions", not_before="-2027-01-15T12:00:00Z"),
    message("latest time", "NotBefore of Conditions is in the future", not_before="9999-12-31T23:59:59Z"),
    message("no time", "SessionNotOnOrAfter of AuthnStatement", session_not_on_or_after="never"),
    claim("no IssueInstant", "IssueInstant of Response", lambda text: text.replace(f' IssueInstant="{at(0)}"', "")),
    claim("no end of the confirmation", CONFIRMED, replacing(DAY, "")),
    claim(
        "no end, but a start",
        "NotBefore of SubjectConfirmationData is in the future",
        replacing(DAY, DAY.replace("NotOnOrAfter", "NotBefore")),
    ),
    claim(
        "confirmation not yet valid",
        "NotBefore of SubjectConfirmationData is in the future",
        replacing(DAY, f'{DAY} NotBefore="{at(61)}"'),
    ),
    *(
        message(f"time {text}", CONFIRMED, confirmed_until=text)
        for text in (
            LATER,
            LATER + "+00:00",
            f" {LATER}Z",
            f"{LATER}Z ",
            f"{LATER}z",
            LATER.replace("T", " ") + "Z",
            "2027-01-16",
            "1800000000",
            "12027-01-15T12:00:00Z",
            "2027-13-15T12:00:00Z",
            "2027-02-30T12:00:00Z",
            "2027-01-15T24:00:00Z",
            "2027-01-15T12:00:60Z",
            "2027-W03-5T13:00:00Z",
            "20270115T130000Z",
            "\u0662\u0660\u0662\u0667-01-15T13:00:00Z",
        )
    ),
]
AUDIENCE = "the Audience is not accepted here: `"
NO_RECIPIENT = "the Recipient is not accepted here: `"
DESTINATION = "the Destination is not accepted here: `"
WRONG_ISSUER = f"expected the issuer of the provider, got `{ATTACKER}`"
DIFFERS = "InResponseTo differs between Response and SubjectConfirmationData"
ANSWERED = {"in_response_to": "_request1", "confirmed_in_response_to": ""}
ENTITY = f"<saml:Audience>{ATTACKER}</saml:Audience>"
RESTRICTED = "saml:AudienceRestriction"
FOR_US = [
    message("wrong audience", AUDIENCE + ATTACKER, audiences=(ATTACKER,)),
    message("no audience", AUDIENCE, audiences=()),
    message("audience that begins like ours", f"{AUDIENCE}{RECIPIENT}/", audiences=(RECIPIENT + "/",)),
    message("audience in other letters", AUDIENCE + RECIPIENT.upper(), audiences=(RECIPIENT.upper(),)),
    message("audience with spaces", f"{AUDIENCE} {RECIPIENT}", audiences=(f" {RECIPIENT} ",)),
    message("AWS's audience", f"{AUDIENCE}urn:amazon:webservices", audiences=("urn:amazon:webservices",)),
    message("empty audience", "text of 1 to 1024 characters in Audience", audiences=("",)),
    claim("no audience restriction", "expected an AudienceRestriction in Conditions", without(RESTRICTED)),
    claim(
        "second restriction to another",
        AUDIENCE + ATTACKER,
        lambda text: twice(RESTRICTED)(text).replace(f"<saml:Audience>{RECIPIENT}</saml:Audience>", ENTITY, 1),
    ),
    message(
        "wrong recipient", NO_RECIPIENT + ATTACKER, recipient=ATTACKER, audiences=(RECIPIENT,), destination=RECIPIENT
    ),
    message(
        "recipient that begins like ours", f"{NO_RECIPIENT}{RECIPIENT}?", recipient=RECIPIENT + "?", destination=""
    ),
    claim("no recipient", NO_RECIPIENT, replacing(f' Recipient="{RECIPIENT}"', "")),
    message("wrong destination", DESTINATION + ATTACKER, destination=ATTACKER),
    message("wrong destination, signed", DESTINATION + ATTACKER, destination=ATTACKER, signed="both"),
    edited("empty destination", DESTINATION, replacing(f'Destination="{RECIPIENT}"', 'Destination=""')),
    message("wrong issuer", WRONG_ISSUER, issuer=ATTACKER),
    message("wrong issuer of the response", WRONG_ISSUER, response_issuer=ATTACKER),
    message("wrong issuer of the assertion", WRONG_ISSUER, issuer=ATTACKER, response_issuer=ENTITY_ID),
    message("issuer with a space", f"got `{ENTITY_ID} `", issuer=ENTITY_ID + " "),
    claim("no issuer of the assertion", "expected one Issuer in Assertion", replacing(ISSUER, "@@assertion@@")),
    claim(
        "issuer of another format",
        "expected an Issuer without Format",
        replacing(ISSUER, ISSUER.replace(">", ' Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">', 1)),
    ),
    message("answers to two requests", DIFFERS, in_response_to="_request1", confirmed_in_response_to="_request2"),
    message("only the response answers", DIFFERS, in_response_to="_request1", confirmed_in_response_to=""),
    message("only the response answers, signed", DIFFERS, signed="both", **ANSWERED),
]
STATUS = [
    message("status Requester", "the status `Requester`", IdpRejectedClaim, status=STATUS_OF + "Requester"),
    message("status of another namespace", "the status `Success`", IdpRejectedClaim, status="samlp:Success"),
    message("empty status", "the status ``", IdpRejectedClaim, status=""),
    message("status with a space", "the status `Success `", IdpRejectedClaim, status=STATUS_OF + "Success "),
    message("long status", "the status `AAAA", IdpRejectedClaim, status="A" * 60_000),
    claim("no status", "expected one Status in Response, got none", without("samlp:Status")),
    claim("two statuses", "expected at most one Status in Response, got 2", twice("samlp:Status")),
    claim(
        "success below a failure",
        "the status `Responder Success`",
        replacing(
            SUCCEEDED,
            f'<samlp:StatusCode Value="{STATUS_OF}Responder">{SUCCEEDED}</samlp:StatusCode>',
        ),
        IdpRejectedClaim,
    ),
    claim(
        "failure below a success",
        "the status `Success AuthnFailed`",
        replacing('Success"/>', f'Success"><samlp:StatusCode Value="{STATUS_OF}AuthnFailed"/></samlp:StatusCode>'),
        IdpRejectedClaim,
    ),
    claim(
        "failure without an assertion",
        "the status `Responder`",
        lambda text: without("saml:Assertion")(text).replace(STATUS_OF + "Success", STATUS_OF + "Responder"),
        IdpRejectedClaim,
        signed="response",
    ),
]
OF_ASSERTION, OF_RESPONSE = 'ID="_assertion1" Version="', 'ID="_response1" Version="'
METHOD = "expected the method bearer of SubjectConfirmation"
SHAPE = [
    claim("version 1.1", "expected Version 2.0 of Assertion", replacing(OF_ASSERTION + "2.0", OF_ASSERTION + "1.1")),
    claim("response of 1.1", "expected Version 2.0 of Response", replacing(OF_RESPONSE + "2.0", OF_RESPONSE + "1.1")),
    claim("no version", "expected Version 2.0 of Assertion", replacing(OF_ASSERTION + '2.0"', 'ID="_assertion1"')),
    claim(
        "no assertion", "expected one assertion, in the Response, got 0", without("saml:Assertion"), signed="response"
    ),
    claim("two assertions", "expected one assertion, in the Response, got 2", two_assertions, signed="response"),
    claim("no subject", "expected one Subject in Assertion, got none", without("saml:Subject")),
    claim("two subjects", "expected at most one Subject in Assertion, got 2", twice("saml:Subject")),
    claim("no NameID", "expected one NameID in Subject, got none", without("saml:NameID")),
    claim("two NameIDs", "expected at most one NameID in Subject, got 2", twice("saml:NameID")),
    message("empty NameID", "expected a text of 1 to 1024 characters in NameID", subject=""),
    message("long NameID", "expected a text of 1 to 1024 characters in NameID", subject="a" * 1025),
    claim("no confirmation", "expected one SubjectConfirmation in Subject", without("saml:SubjectConfirmation")),
    claim(
        "two confirmations", "expected at most one SubjectConfirmation in Subject", twice("saml:SubjectConfirmation")
    ),
    claim("holder of key", METHOD, replacing(BEARER, BEARER.replace("bearer", "holder-of-key"))),
    claim("sender vouches", METHOD, replacing(BEARER, BEARER.replace("bearer", "sender-vouches"))),
    claim("no method", METHOD, replacing(f' Method="{BEARER}"', "")),
    claim("no confirmation data", "expected one SubjectConfirmationData", without("saml:SubjectConfirmationData")),
    claim(
        "something in the confirmation data",
        "expected nothing in SubjectConfirmationData",
        in_data("<a xmlns='urn:x:x'/>"),
    ),
    claim("text in the confirmation data", "expected nothing in SubjectConfirmationData", in_data("text")),
    claim(
        "name in the confirmation", "NameID is not accepted in SubjectConfirmation", in_confirmation("<saml:NameID/>")
    ),
    claim("foreign audience", "Audience is not accepted in AudienceRestriction", in_restriction("<samlp:Audience/>")),
    claim("foreign context", "AuthnContext is not accepted in AuthnStatement", in_statement("<samlp:AuthnContext/>")),
    claim("empty request", "expected 1 to 1024 characters as InResponseTo", replacing(DAY, f'{DAY} InResponseTo=""')),
    claim("empty format", "expected 1 to 1024 characters as Format of NameID", replacing(PERSISTENT, "")),
    message("long session index", "expected 1 to 1024 characters as SessionIndex", session_index="a" * 1025),
    claim("no conditions", "expected one Conditions in Assertion, got none", without("saml:Conditions")),
    claim("two conditions", "expected at most one Conditions in Assertion, got 2", twice("saml:Conditions")),
    message("unknown condition", "Condition is not accepted in Conditions", more_conditions="<saml:Condition/>"),
    message(
        "foreign condition", "OneTimeUse is not accepted in Conditions", more_conditions='<OneTimeUse xmlns="urn:x:x"/>'
    ),
    claim("no AuthnStatement", "expected an AuthnStatement in Assertion, got none", without("saml:AuthnStatement")),
    claim(
        "only an AuthzDecisionStatement",
        "AuthzDecisionStatement is not accepted in Assertion",
        lambda text: text.replace("AuthnStatement", "AuthzDecisionStatement"),
    ),
    claim(
        "another root", "got `ArtifactResponse`", lambda text: text.replace("samlp:Response", "samlp:ArtifactResponse")
    ),
    claim(
        "LogoutResponse", "got `LogoutResponse`", lambda text: text.replace("samlp:Response", "samlp:LogoutResponse")
    ),
    claim("assertion as the root", "got `Assertion`", assertion_as_root, signed="assertion"),
    claim("unknown element", "a is not accepted in Assertion", behind_conditions('<a xmlns="urn:x:x"/>')),
    claim("unknown element of the response", "a is not accepted in Response", before_status('<a xmlns="urn:x:x"/>')),
]
NAME = f' Name="{AWS}RoleSessionName"'
NO_NAME = "expected a Name of 1 to 1024 characters of Attribute"
LETTER_CASE = "expected attributes whose names differ by more than letter case"
ENTRA = next(shape for shape in SHAPES if shape.name == "entra")  # the shortest
ATTRIBUTES = [
    message("names that differ in case", LETTER_CASE, attributes={f"{AWS}Role": ("a",), f"{AWS}role": ("b",)}),
    message(
        "tags that differ in case",
        LETTER_CASE,
        attributes={f"{AWS}PrincipalTag:Team": ("a",), f"{AWS}PrincipalTag:team": ("b",)},
    ),
    message(
        "names that differ in a ligature",
        LETTER_CASE,
        attributes={f"{AWS}PrincipalTag:ß": ("a",), f"{AWS}PrincipalTag:SS": ("b",)},
    ),
    message("many attributes", "too many attributes", attributes={f"name {number}": ("x",) for number in range(201)}),
    message("many values", "too many attributes or values", attributes={"name": ("",) * 2_001}, shape=ENTRA),
    claim("attribute without a name", NO_NAME, replacing(NAME, "")),
    claim("empty name", NO_NAME, replacing(NAME, ' Name=""')),
    claim("long name", NO_NAME, replacing(NAME, f' Name="{"a" * 1025}"')),
    claim(
        "element in a value",
        "expected text as value of the attribute",
        replacing(">ada@example.com</saml:AttributeValue>", '><b xmlns="urn:x:x">x</b></saml:AttributeValue>'),
    ),
    claim(
        "encrypted attribute",
        "EncryptedAttribute is not accepted in AttributeStatement",
        replacing("</saml:AttributeStatement>", "<saml:EncryptedAttribute/></saml:AttributeStatement>"),
    ),
    claim(
        "foreign value",
        "AttributeValue is not accepted in Attribute",
        replacing(">ada@example.com</saml:AttributeValue>", '/><AttributeValue xmlns="urn:x:x">x</AttributeValue>'),
    ),
]
CLAIMS = TIMES + FOR_US + STATUS + SHAPE + ATTRIBUTES

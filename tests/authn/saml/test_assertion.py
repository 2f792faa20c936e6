"""What is read from a verified assertion where it may say something in several ways, and the limits of its texts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from iam_guard.authn.saml.assertion import (
    MAX_NAME,
    MAX_SAML_ATTRIBUTES,
    MAX_SAML_VALUES,
    SamlAssertion,
    SamlIdentityProvider,
    SamlReceiver,
)
from iam_guard.authn.saml.response import read_response
from iam_guard.errors import InvalidIdentityToken
from tests.authn.saml.identity_provider import ENTITY_ID, NOW, PASSWORD, RECIPIENT, IdentityProvider, Message, Shape
from tests.authn.saml.xml_signer import key_pair
from tests.tables import table

OTHER = "https://other.example.com/saml"
PROVIDER = SamlIdentityProvider(ENTITY_ID, (key_pair("rsa").certificate,))
RECEIVER = SamlReceiver({RECIPIENT: frozenset({RECIPIENT, "urn:example:service"}), OTHER: frozenset({OTHER})})


def read(**changes: object) -> SamlAssertion:
    return read_response(IdentityProvider().response(**changes), PROVIDER, RECEIVER, NOW)


def replacing(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert text.count(old) == 1
        return text.replace(old, new)

    return edit


def test_subject_without_format_is_unspecified() -> None:
    """The default of SAML."""
    edit = replacing(f' Format="{Message().subject_format}"', "")
    assert read(edit=edit).subject_format == "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"


def test_each_recipient_admits_its_own_audiences() -> None:
    """One of several audiences is enough; all of them are read."""
    audiences = ("urn:example:other", "urn:example:service")
    assert read(audiences=audiences).audiences == audiences
    assert read(recipient=OTHER).audiences == (OTHER,)
    with pytest.raises(InvalidIdentityToken, match="the Audience is not accepted here"):
        read(recipient=OTHER, audiences=audiences)


def test_all_restrictions_must_admit_us() -> None:
    """Each restricts further."""
    restriction = "<saml:AudienceRestriction><saml:Audience>{}</saml:Audience></saml:AudienceRestriction>"
    ours = restriction.format("urn:example:service")
    assert read(more_conditions=ours).audiences == (RECIPIENT, "urn:example:service")
    for more in (restriction.format(OTHER), "<saml:AudienceRestriction/>"):
        with pytest.raises(InvalidIdentityToken, match="the Audience is not accepted here"):
            read(more_conditions=more)


def test_statements_are_read_together() -> None:
    """All contexts, the first index, the earliest end of a session."""
    until = Message().time(900)
    second = (
        f'<saml:AuthnStatement AuthnInstant="{Message().time(0)}" SessionIndex="second" SessionNotOnOrAfter="{until}">'
        "<saml:SubjectLocality/><saml:AuthnContext><saml:AuthnContextClassRef>urn:x:mfa</saml:AuthnContextClassRef>"
        "<saml:AuthnContextDeclRef>urn:x:other</saml:AuthnContextDeclRef></saml:AuthnContext></saml:AuthnStatement>"
    )
    edit = replacing("</saml:AuthnStatement>", "</saml:AuthnStatement>" + second)
    found = read(edit=edit, session_not_on_or_after=Message().time(1800))
    assert found.authn_contexts == (PASSWORD, "urn:x:mfa")
    assert found.session_index == "_session1"
    assert found.session_not_on_or_after == NOW + timedelta(seconds=900)


LONG = "x" * MAX_NAME


@table(
    ("old", "new", "reason"),
    [
        ('SessionIndex="_session1"', f'SessionIndex="{LONG}x"', "as SessionIndex of AuthnStatement"),
        ('SessionIndex="_session1"', 'SessionIndex=""', "as SessionIndex of AuthnStatement"),
        (Message().subject_format, "", "as Format of NameID"),
        (Message().subject_format, LONG + "x", "as Format of NameID"),
        ("ada@example.com</saml:NameID>", f"{LONG}x</saml:NameID>", "a text of 1 to 1024 characters in NameID"),
        (PASSWORD, "", "a text of 1 to 1024 characters in AuthnContextClassRef"),
        ("<saml:Audience>", f"<saml:Audience>{LONG}", "a text of 1 to 1024 characters in Audience"),
        ('Name="Name"', f'Name="{LONG}x"', "a Name of 1 to 1024 characters"),
        ('Name="Name"', "", "a Name of 1 to 1024 characters"),
    ],
)
def test_texts_have_limits(old: str, new: str, reason: str) -> None:
    """Also those that only end up in a database."""
    with pytest.raises(InvalidIdentityToken, match=reason):
        read(edit=replacing(old, new), attributes={"Name": ("value",)})


DATA = f'Recipient="{RECIPIENT}"/>'
CLOSED = f'Recipient="{RECIPIENT}">{{}}</saml:SubjectConfirmationData>'


@table(
    ("new", "reason"),
    [
        (DATA + "<saml:NameID>a</saml:NameID>", "NameID is not accepted in SubjectConfirmation"),
        (CLOSED.format("<saml:Audience>a</saml:Audience>"), "expected nothing in SubjectConfirmationData"),
        (CLOSED.format("text"), "expected nothing in SubjectConfirmationData"),
    ],
)
def test_confirmation_of_another_kind_is_refused(new: str, reason: str) -> None:
    """A name or key in it would restrict who may present the assertion."""
    with pytest.raises(InvalidIdentityToken, match=reason):
        read(edit=replacing(DATA, new))


@table(
    ("place", "parent"),
    [
        ("</saml:AuthnStatement>", "AuthnStatement"),
        ("</saml:AudienceRestriction>", "AudienceRestriction"),
        ("</saml:Conditions>", "Conditions"),
        ("</saml:Subject>", "Subject"),
        ("</saml:AttributeStatement>", "AttributeStatement"),
        ("</saml:Attribute>", "Attribute"),
        ("</saml:Assertion>", "Assertion"),
    ],
)
def test_unknown_elements_are_refused(place: str, parent: str) -> None:
    """What we don't know could restrict what the assertion is for."""
    with pytest.raises(InvalidIdentityToken, match=f"^New is not accepted in {parent}$"):
        read(edit=replacing(place, '<New xmlns="urn:x:x"/>' + place), attributes={"Name": ("value",)})


def test_longest_texts_are_accepted() -> None:
    """Up to the limit."""
    assert read(subject=LONG, session_index=LONG).session_index == LONG


def test_number_of_attributes_and_values_is_limited() -> None:
    """At the limit they are accepted."""
    most = {f"a{number}": () for number in range(MAX_SAML_ATTRIBUTES)}
    assert len(read(attributes=most).attributes) == MAX_SAML_ATTRIBUTES
    with pytest.raises(InvalidIdentityToken, match="too many attributes or values"):
        read(attributes={**most, "one more": ()})
    short = Shape(a="")
    assert len(read(attributes={"a": ("",) * MAX_SAML_VALUES}, shape=short).attributes["a"]) == MAX_SAML_VALUES
    with pytest.raises(InvalidIdentityToken, match="too many attributes or values"):
        read(attributes={"a": ("",) * (MAX_SAML_VALUES + 1)}, shape=short)


@table("names", [("Team", "team"), ("Team", "TEAM", "Other"), ("straße", "STRASSE")])
def test_names_that_differ_in_case_are_refused(names: tuple[str, ...]) -> None:
    """Condition keys and tags ignore the case, so one would hide the other."""
    with pytest.raises(InvalidIdentityToken, match="names differ by more than letter case"):
        read(attributes=dict.fromkeys(names, ("value",)))

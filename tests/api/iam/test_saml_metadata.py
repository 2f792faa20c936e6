"""What metadata documents say, and which are refused: hostile ones above all."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.api.iam.saml_metadata import MAX_ELEMENTS, MAX_LEVELS, read_metadata
from iam_guard.errors import InvalidInput
from tests.api.iam.identity_parts import certificate, metadata


def shown(der: bytes) -> str:
    return base64.b64encode(der).decode()


def test_a_document_tells_who_and_with_which_key() -> None:
    """Entity id, certificate, and no end where it names none; an expired certificate is a certificate."""
    found = read_metadata(metadata())
    assert found.entity_id == "https://idp.example.com/saml"
    assert found.certificates == (certificate(),)
    assert found.valid_until is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2040-02-03T04:05:06Z", datetime(2040, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2040-02-03T04:05:06.789+01:00", datetime(2040, 2, 3, 3, 5, 6, tzinfo=UTC)),
        (" 2040-02-03T04:05:06 ", datetime(2040, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("1999-01-01T00:00:00Z", datetime(1999, 1, 1, tzinfo=UTC)),
    ],
)
def test_it_tells_until_when(text: str, expected: datetime) -> None:
    """`validUntil` is an instant, in UTC where it does not say."""
    assert read_metadata(metadata(attributes=f'validUntil="{text}"')).valid_until == expected.timestamp()


@pytest.mark.parametrize(
    "text", ["", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z", "9" * 400]
)
def test_no_instant_is_refused(text: str) -> None:
    """Also what no calendar here can show again."""
    with pytest.raises(InvalidInput, match="expected a date and time as validUntil"):
        read_metadata(metadata(attributes=f'validUntil="{text}"'))


def test_keys_to_sign_with_are_told_and_others_not() -> None:
    """A key without `use` signs too; one to encrypt to does not, nor one of another role or place."""
    second, third = certificate("second"), certificate("third")
    key = '<md:KeyDescriptor {}><x xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:X509Certificate>{}</d:X509Certificate></x></md:KeyDescriptor>'
    inside = (
        key.format("", shown(second)) + key.format('use="encryption"', shown(third)) + key.format("", shown(second))
    )
    elsewhere = f"</md:IDPSSODescriptor><md:SPSSODescriptor>{key.format('', shown(third))}</md:SPSSODescriptor>"
    reopened = '<md:IDPSSODescriptor protocolSupportEnumeration="a urn:oasis:names:tc:SAML:2.0:protocol">'
    found = read_metadata(metadata(inside=inside + elsewhere + reopened))
    assert found.certificates == (certificate(), second)


REFUSED = [
    ("not XML", "x" * 1000, "not well-formed"),
    ("cut off", metadata()[:-200].rstrip()[:-30], "not well-formed"),
    ("two roots", metadata() + "<a/>", "not well-formed"),
    ("several entities", metadata(root="EntitiesDescriptor"), "expected an EntityDescriptor"),
    ("other namespace", metadata().replace("SAML:2.0:metadata", "SAML:1.0:metadata"), "expected an EntityDescriptor"),
    ("nobody", metadata(entity_id=""), "expected an entityID"),
    ("a name without end", metadata(entity_id="x" * 1025), "expected an entityID"),
    ("SAML 1.1", metadata(protocol="urn:oasis:names:tc:SAML:1.1:protocol"), "expected an IDPSSODescriptor"),
    ("a service provider", metadata().replace("IDPSSO", "SPSSO"), "expected an IDPSSODescriptor"),
    ("no key to sign with", metadata(use='use="encryption"'), "expected an IDPSSODescriptor"),
    ("no certificate", metadata(key="AAAA"), "a certificate in it cannot be read"),
    ("no base64", metadata(key="!"), "a certificate in it cannot be read"),
    ("half a certificate", metadata(key=shown(certificate()[:-9])), "a certificate in it cannot be read"),
    ("document type", metadata(before="<!DOCTYPE x>"), "a document type is not allowed"),
    ("outside document", metadata(before='<!DOCTYPE x SYSTEM "file:///etc/hostname">'), "a document type is not"),
    ("entity", metadata(before='<!DOCTYPE x [<!ENTITY e "1">]>', inside="&e;"), "a document type is not allowed"),
    ("entity of nobody", metadata(inside="&e;"), "not well-formed"),
    ("deep", metadata(inside="<a>" * MAX_LEVELS + "</a>" * MAX_LEVELS), "nested too deeply"),
    ("wide", metadata(inside="<a/>" * MAX_ELEMENTS), "too many elements"),
    ("control character", metadata(inside="\x01"), "not well-formed"),
    ("half a surrogate", metadata(inside="\ud800"), "not well-formed"),
]


@pytest.mark.parametrize(("document", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_no_metadata_is_refused(document: str, reason: str) -> None:
    """One error, whatever was sent; no entity is ever resolved."""
    with pytest.raises(InvalidInput, match=f"^Could not parse metadata: .*{reason}"):
        read_metadata(document)


@given(st.text() | st.text().map(lambda text: metadata(inside=text)) | st.text().map(lambda text: metadata(key=text)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else comes out of reading than metadata or InvalidInput."""
    try:
        found = read_metadata(text)
    except InvalidInput:
        return
    assert found.certificates


def test_small_keys_are_refused() -> None:
    """AWS takes keys of 1,024 bits and more."""
    assert read_metadata(metadata(key=shown(certificate(bits=1024)))).certificates
    with pytest.raises(InvalidInput, match="less than 1024 bits"):
        read_metadata(metadata(key=shown(certificate(bits=1023))))

"""SAML metadata documents: valid, invalid and hostile ones."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import InvalidInput
from iam_guard.model.saml_metadata import MAX_ELEMENTS, MAX_LEVELS, read_metadata
from tests.api.iam.identity_parts import certificate, metadata
from tests.tables import table


def shown(der: bytes) -> str:
    return base64.b64encode(der).decode()


def test_metadata_has_entity_id_and_certificate() -> None:
    """No validity if it has none; an expired certificate is accepted."""
    found = read_metadata(metadata())
    assert found.entity_id == "https://idp.example.com/saml"
    assert found.certificates == (certificate(),)
    assert found.valid_until is None


@table(
    ("text", "expected"),
    [
        ("2040-02-03T04:05:06Z", datetime(2040, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2040-02-03T04:05:06.789+01:00", datetime(2040, 2, 3, 3, 5, 6, tzinfo=UTC)),
        (" 2040-02-03T04:05:06 ", datetime(2040, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("1999-01-01T00:00:00Z", datetime(1999, 1, 1, tzinfo=UTC)),
    ],
)
def test_metadata_has_its_validity(text: str, expected: datetime) -> None:
    """`validUntil` is UTC by default."""
    assert read_metadata(metadata(attributes=f'validUntil="{text}"')).valid_until == expected.timestamp()


@table(
    "text", ["", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z", "9" * 400]
)
def test_invalid_validity_is_rejected(text: str) -> None:
    """Also times that can't be represented."""
    with pytest.raises(InvalidInput, match="expected a date and time as validUntil"):
        read_metadata(metadata(attributes=f'validUntil="{text}"'))


def test_only_signing_keys_are_used() -> None:
    """A key without `use` signs too; an encryption key doesn't, nor one of another role or place."""
    second, third = certificate("second"), certificate("third")
    key = '<md:KeyDescriptor {}><x xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:X509Certificate>{}</d:X509Certificate></x></md:KeyDescriptor>'
    inside = (
        key.format("", shown(second)) + key.format('use="encryption"', shown(third)) + key.format("", shown(second))
    )
    elsewhere = f"</md:IDPSSODescriptor><md:SPSSODescriptor>{key.format('', shown(third))}</md:SPSSODescriptor>"
    reopened = '<md:IDPSSODescriptor protocolSupportEnumeration="a urn:oasis:names:tc:SAML:2.0:protocol">'
    found = read_metadata(metadata(inside=inside + elsewhere + reopened))
    assert found.certificates == (certificate(), second)


def test_sign_on_urls_are_read_by_binding() -> None:
    """The first of each binding; not those of another role, and nothing that a browser must not be sent to."""
    service = '<md:SingleSignOnService Binding="{}" Location="{}"/>'
    inside = (
        service.format("urn:post", " https://idp.example.com/post ")
        + service.format("urn:post", "https://idp.example.com/second")
        + service.format("urn:redirect", "javascript:alert(1)")
        + service.format("urn:redirect", "https://idp.example.com/redirect?a=b")
        + f"<md:Other>{service.format('urn:nested', 'https://idp.example.com/nested')}</md:Other>"
        + f"</md:IDPSSODescriptor><md:SPSSODescriptor>{service.format('urn:other', 'https://sp.example.com')}"
        "</md:SPSSODescriptor><md:IDPSSODescriptor>"
    )
    expected = {"urn:post": "https://idp.example.com/post", "urn:redirect": "https://idp.example.com/redirect?a=b"}
    assert read_metadata(metadata(inside=inside)).sign_on_urls == expected
    assert read_metadata(metadata()).sign_on_urls == {}


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
    ("no certificate", metadata(key="AAAA"), "a certificate in it cannot be parsed"),
    ("no base64", metadata(key="!"), "a certificate in it cannot be parsed"),
    ("half a certificate", metadata(key=shown(certificate()[:-9])), "a certificate in it cannot be parsed"),
    ("document type", metadata(before="<!DOCTYPE x>"), "a document type is not allowed"),
    ("outside document", metadata(before='<!DOCTYPE x SYSTEM "file:///etc/hostname">'), "a document type is not"),
    ("entity", metadata(before='<!DOCTYPE x [<!ENTITY e "1">]>', inside="&e;"), "a document type is not allowed"),
    ("entity of nobody", metadata(inside="&e;"), "not well-formed"),
    ("deep", metadata(inside="<a>" * MAX_LEVELS + "</a>" * MAX_LEVELS), "nested too deeply"),
    ("wide", metadata(inside="<a/>" * MAX_ELEMENTS), "too many elements"),
    ("control character", metadata(inside="\x01"), "not well-formed"),
    ("half a surrogate", metadata(inside="\ud800"), "not well-formed"),
]


@table(("document", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_invalid_metadata_is_rejected(document: str, reason: str) -> None:
    """With one error; no entity is ever resolved."""
    with pytest.raises(InvalidInput, match=f"^Could not parse metadata: .*{reason}"):
        read_metadata(document)


@given(st.text() | st.text().map(lambda text: metadata(inside=text)) | st.text().map(lambda text: metadata(key=text)))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    """Only metadata or InvalidInput."""
    try:
        found = read_metadata(text)
    except InvalidInput:
        return
    assert found.certificates


def test_small_keys_are_rejected() -> None:
    """As at AWS, below 1,024 bits."""
    assert read_metadata(metadata(key=shown(certificate(bits=1024)))).certificates
    with pytest.raises(InvalidInput, match="less than 1024 bits"):
        read_metadata(metadata(key=shown(certificate(bits=1023))))

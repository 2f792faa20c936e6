"""What a certificate says of its holder: session tags, session name and source identity, as Roles Anywhere makes them.

    x509Subject/CN   x509Issuer/O   x509SAN/DNS   x509SAN/URI   x509SAN/Name/CN

Of alternative names the first of each kind counts. An attribute of a name that comes twice is refused where it is
mapped, for one value must not stand for two; a profile may leave it out. The session name is the serial number in
hexadecimal, the source identity the common name of the subject.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.x509 import (
    Certificate,
    DirectoryName,
    DNSName,
    ExtensionNotFound,
    Name,
    ObjectIdentifier,
    SubjectAlternativeName,
    UniformResourceIdentifier,
)
from cryptography.x509.oid import NameOID

from iam_guard.errors import UntrustedCertificate

_ATTRIBUTES: Final[Mapping[ObjectIdentifier, str]] = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.TITLE: "T",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.USER_ID: "UID",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "E",
}
_EVERY: Final = "*"
_NAME: Final = "Name/"


def session_name(certificate: Certificate) -> str:
    """Return the serial number in hexadecimal; two digits at least, for a shorter name is none."""
    return f"{certificate.serial_number:02x}"


def common_name(certificate: Certificate) -> str | None:
    """Return the common name of the subject, None without one. Raises `UntrustedCertificate` for several."""
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) > 1:
        raise UntrustedCertificate("expected one common name in the certificate's subject")
    return names[0] if names else None


def certificate_tags(certificate: Certificate, mappings: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the session tags of a certificate. Raises `UntrustedCertificate` for an attribute that comes twice."""
    tags: dict[str, str] = {}
    for field, specifiers in mappings.items():
        wanted = frozenset(specifiers)
        match field:
            case "x509Subject":
                tags.update(_of_name(field, certificate.subject, wanted))
            case "x509Issuer":
                tags.update(_of_name(field, certificate.issuer, wanted))
            case "x509SAN":
                tags.update(_of_alternatives(field, certificate, wanted))
    return tags


def _of_name(field: str, name: Name, wanted: frozenset[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for attribute in name:
        word = _ATTRIBUTES.get(attribute.oid)
        if word is None or not (word in wanted or _EVERY in wanted):
            continue
        key = f"{field}/{word}"
        if key in tags:
            raise UntrustedCertificate(f"expected the attribute {key} once in the certificate, or not among mappings")
        tags[key] = str(attribute.value)
    return tags


def _of_alternatives(field: str, certificate: Certificate, wanted: frozenset[str]) -> dict[str, str]:
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return {}
    tags: dict[str, str] = {}
    for word, found in (
        ("DNS", names.get_values_for_type(DNSName)),
        ("URI", names.get_values_for_type(UniformResourceIdentifier)),
    ):
        if found and (word in wanted or _EVERY in wanted):
            tags[f"{field}/{word}"] = found[0]
    directory = names.get_values_for_type(DirectoryName)
    inner = frozenset(each.removeprefix(_NAME) for each in wanted if each.startswith(_NAME))
    if directory and (inner or _EVERY in wanted):
        tags.update(_of_name(f"{field}/Name", directory[0], inner or wanted))
    return tags

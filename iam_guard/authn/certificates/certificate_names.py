"""Map a certificate to session tags, session name and source identity, as Roles Anywhere does.

    x509Subject/CN   x509Issuer/O   x509SAN/DNS   x509SAN/URI   x509SAN/Name/CN

The first alternative name of each kind is used. A repeated attribute is refused if it is mapped; a profile can leave it
out. The session name is the serial number in hexadecimal, the source identity the subject's common name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.x509 import (
    Certificate,
    DirectoryName,
    DNSName,
    Name,
    ObjectIdentifier,
    SubjectAlternativeName,
    UniformResourceIdentifier,
)
from cryptography.x509.oid import NameOID

from iam_guard.errors import UntrustedCertificate
from iam_guard.model.certificates import extension_of

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
_WILDCARD: Final = "*"
_NAME: Final = "Name/"


def session_name(certificate: Certificate) -> str:
    """Return the serial number in hexadecimal, with at least the two digits that a session name needs."""
    return f"{certificate.serial_number:02x}"


def common_name(certificate: Certificate) -> str | None:
    """Return the subject's common name, None without one. Raises `UntrustedCertificate` for several."""
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) > 1:
        raise UntrustedCertificate("expected one common name in the certificate's subject")
    return names[0] if names else None


def certificate_tags(certificate: Certificate, mappings: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the session tags of a certificate. Raises `UntrustedCertificate` for a repeated attribute."""
    tags: dict[str, str] = {}
    for field, specifiers in mappings.items():
        selected = frozenset(specifiers)
        match field:
            case "x509Subject":
                tags.update(_name_tags(field, certificate.subject, selected))
            case "x509Issuer":
                tags.update(_name_tags(field, certificate.issuer, selected))
            case "x509SAN":
                tags.update(_alternative_name_tags(field, certificate, selected))
    return tags


def _name_tags(field: str, name: Name, selected: frozenset[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for attribute in name:
        specifier = _ATTRIBUTES.get(attribute.oid)
        if specifier is None or not (specifier in selected or _WILDCARD in selected):
            continue
        key = f"{field}/{specifier}"
        if key in tags:
            raise UntrustedCertificate(f"expected the attribute {key} once in the certificate, or not among mappings")
        tags[key] = str(attribute.value)
    return tags


def _alternative_name_tags(field: str, certificate: Certificate, selected: frozenset[str]) -> dict[str, str]:
    names = extension_of(certificate, SubjectAlternativeName)
    if names is None:
        return {}
    tags: dict[str, str] = {}
    for specifier, values in (
        ("DNS", names.get_values_for_type(DNSName)),
        ("URI", names.get_values_for_type(UniformResourceIdentifier)),
    ):
        if values and (specifier in selected or _WILDCARD in selected):
            tags[f"{field}/{specifier}"] = values[0]
    directory = names.get_values_for_type(DirectoryName)
    inner = frozenset(each.removeprefix(_NAME) for each in selected if each.startswith(_NAME))
    if directory and (inner or _WILDCARD in selected):
        tags.update(_name_tags(f"{field}/Name", directory[0], inner or selected))
    return tags

"""Session tags, session name and source identity of a certificate, as in Roles Anywhere."""

from __future__ import annotations

import pytest
from cryptography import x509

from iam_guard.authn.certificates.certificate_names import certificate_tags, common_name, session_name
from iam_guard.errors import UntrustedCertificate
from iam_guard.model.trust import ALL_NAMES
from tests.authn.authorities import authority, make, name
from tests.tables import table

ROOT = authority("CN=Root/O=Acme")
NAMES = [
    x509.DNSName("a.example"),
    x509.DNSName("b.example"),
    x509.UniformResourceIdentifier("spiffe://acme/robot"),
    x509.DirectoryName(name("CN=inner/OU=dock")),
    x509.RFC822Name("r@acme.example"),
]
GOOD = make("CN=robot-7/O=Acme/OU=dock", ROOT, names=NAMES, serial=0x1F71C5).certificate
SUBJECT = {"x509Subject/CN": "robot-7", "x509Subject/O": "Acme", "x509Subject/OU": "dock"}
ISSUER = {"x509Issuer/CN": "Root", "x509Issuer/O": "Acme"}
SAN = {
    "x509SAN/DNS": "a.example",
    "x509SAN/URI": "spiffe://acme/robot",
    "x509SAN/Name/CN": "inner",
    "x509SAN/Name/OU": "dock",
}


def test_certificate_has_all_tags_by_default() -> None:
    """The first alternative name of each kind."""
    assert certificate_tags(GOOD, ALL_NAMES) == SUBJECT | ISSUER | SAN


@table(
    ("mappings", "tags"),
    [
        ({}, {}),
        ({"x509Subject": ["CN", "UID"]}, {"x509Subject/CN": "robot-7"}),
        ({"x509Issuer": ["*"], "x509SAN": ["URI"]}, ISSUER | {"x509SAN/URI": "spiffe://acme/robot"}),
        ({"x509SAN": ["Name/CN"]}, {"x509SAN/Name/CN": "inner"}),
        ({"x509SAN": ["*"]}, SAN),
    ],
)
def test_profile_mappings_select_tags(mappings: dict[str, list[str]], tags: dict[str, str]) -> None:
    assert certificate_tags(GOOD, mappings) == tags


def test_repeated_attribute_is_refused_if_mapped() -> None:
    """It can be left out of the mapping."""
    twice = make("CN=x/OU=a/OU=b", ROOT).certificate
    with pytest.raises(UntrustedCertificate, match="x509Subject/OU"):
        certificate_tags(twice, ALL_NAMES)
    assert certificate_tags(twice, {"x509Subject": ["CN"]}) == {"x509Subject/CN": "x"}


def test_session_name_is_serial_and_identity_common_name() -> None:
    """At least two hexadecimal digits; no identity without a common name."""
    assert (session_name(GOOD), common_name(GOOD)) == ("1f71c5", "robot-7")
    assert session_name(make("CN=x", ROOT, serial=5).certificate) == "05"
    assert common_name(make("O=Acme", ROOT).certificate) is None
    with pytest.raises(UntrustedCertificate):
        common_name(make("CN=a/CN=b", ROOT).certificate)

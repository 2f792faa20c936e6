"""Verification of client certificates: paths, key usage, strength, revocation.

Certificates are real and signed by test authorities; each refused one has a single defect.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.authn.certificates.certificate import TrustedAuthorities
from iam_guard.errors import InvalidInput, StoreUnavailable, UntrustedCertificate
from iam_guard.model.certificates import read_authorities, read_revocation_list
from iam_guard.model.trust import CertificateTrust, TrustAnchor
from tests.authn.authorities import CLIENT, DAY, NOW, SERVER, Party, authority, make, name, revocation_list
from tests.tables import table

ROOT = authority("CN=Root")
ISSUING = authority("CN=Issuing", ROOT, path_length=0)
GOOD = make("CN=robot-7", ISSUING)


SPIFFE = make("", ROOT, names=[x509.UniformResourceIdentifier("spiffe://a/b")])
INDIRECT = "of other authorities' certificates"


def trusted(*anchors: Party, lists: tuple[str, ...] = (), account: str = "111122223333") -> TrustedAuthorities:
    """Return trust anchors, one for each authority; the lists belong to the first."""
    records = [
        TrustAnchor(f"anchor-{number}", account, f"a{number}", each.pem, lists if number == 0 else ())
        for number, each in enumerate(anchors)
    ]
    return TrustedAuthorities(CertificateTrust(1, tuple(records)))


def refused(party: Party, *anchors: Party, now: datetime = NOW, lists: tuple[str, ...] = ()) -> str:
    with pytest.raises(UntrustedCertificate) as caught:
        trusted(*(anchors or (ROOT,)), lists=lists).verify(party.chain, now)
    return str(caught.value)


# --- paths -----------------------------------------------------------------------------------------------------------


def test_path_to_trust_anchor_verifies() -> None:
    """It is valid until the first certificate of the path expires."""
    found = trusted(ROOT).verify(GOOD.chain, NOW)
    assert found.certificate == GOOD.certificate
    assert [anchor.id for anchor in found.anchors] == ["anchor-0"]
    assert found.until == min(each.not_valid_after_utc for each in (*GOOD.chain, ROOT.certificate))


@table(
    ("party", "anchors"),
    [
        pytest.param(make("CN=x", ROOT), (ROOT,), id="signed by the root itself"),
        pytest.param(GOOD, (ISSUING,), id="an intermediate authority is the anchor"),
        pytest.param(Party(GOOD.certificate, GOOD.key), (ISSUING,), id="and then nothing need be brought"),
        pytest.param(make("CN=x", ROOT, usages=(SERVER, CLIENT)), (ROOT,), id="also for servers"),
        pytest.param(make("CN=x", ROOT, usages=None), (ROOT,), id="without extended key usage"),
        pytest.param(
            make("", ROOT, names=[x509.UniformResourceIdentifier("spiffe://a/b")]), (ROOT,), id="a SPIFFE one"
        ),
        pytest.param(make("CN=x", ROOT, key=rsa.generate_private_key(65537, 2048)), (ROOT,), id="RSA with 2048 bits"),
        pytest.param(make("CN=x", ROOT, key=ec.generate_private_key(ec.SECP384R1())), (ROOT,), id="P-384"),
        pytest.param(Party(GOOD.certificate, GOOD.key, (*GOOD.between, ROOT.certificate)), (ROOT,), id="with the root"),
        pytest.param(Party(GOOD.certificate, GOOD.key, (ROOT.certificate, *GOOD.between)), (ROOT,), id="in any order"),
    ],
)
def test_valid_certificates_verify(party: Party, anchors: tuple[Party, ...]) -> None:
    assert trusted(*anchors).verify(party.chain, NOW).certificate == party.certificate


def weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505  that is the point


def weak_authority() -> Party:
    return authority("CN=Weak", ROOT, key=weak_key())


IMPOSTOR = authority("CN=Root")  # of the same name
CONSTRAINED = authority("CN=C", ROOT, constraints=x509.NameConstraints([x509.DNSName("a.example")], None))
IN_NAMES = authority("CN=D", ROOT, constraints=x509.NameConstraints([x509.DirectoryName(name("O=Acme"))], None))


@table(
    "party",
    [
        pytest.param(make("CN=x", IMPOSTOR), id="of another authority with our name"),
        pytest.param(make("CN=x"), id="self-signed"),
        pytest.param(ROOT, id="the anchor itself"),
        pytest.param(ISSUING, id="an authority"),
        pytest.param(Party(GOOD.certificate, GOOD.key), id="without its intermediate"),
        pytest.param(make("CN=x", make("CN=no authority", ROOT)), id="signed by a client"),
        pytest.param(make("CN=x", authority("CN=deeper", ISSUING)), id="deeper than the authority allows"),
        pytest.param(make("CN=x", ROOT, usages=(SERVER,)), id="for servers"),
        pytest.param(make("CN=x", ROOT, usages=(ExtendedKeyUsageOID.CODE_SIGNING,)), id="for code"),
        pytest.param(make("CN=x", ROOT, usages=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)), id="for anything"),
        pytest.param(make("CN=x", ROOT, signs=False), id="not for signatures"),
        pytest.param(make("CN=x", ROOT, signs=None), id="without key usage"),
        pytest.param(make("CN=x", ROOT, ends=NOW - timedelta(seconds=1)), id="ended"),
        pytest.param(make("CN=x", ROOT, begins=NOW + timedelta(seconds=1)), id="not begun"),
        pytest.param(make("CN=x", authority("CN=E", ROOT, ends=NOW - timedelta(hours=1))), id="its authority ended"),
        pytest.param(make("CN=x", ROOT, key=weak_key()), id="RSA with 1024 bits"),
        pytest.param(make("CN=x", weak_authority()), id="its authority has RSA with 1024 bits"),
        pytest.param(make("CN=x", ROOT, key=ec.generate_private_key(ec.SECP256K1())), id="a curve of coins"),
        pytest.param(make("CN=x", ROOT, key=ed25519.Ed25519PrivateKey.generate()), id="Ed25519"),
        pytest.param(make("CN=x", CONSTRAINED, names=[x509.DNSName("x.b.example")]), id="a name that is not permitted"),
        pytest.param(make("CN=x.a.example", CONSTRAINED), id="no name where names are constrained"),
        pytest.param(make("CN=x/O=Acme", IN_NAMES), id="an unsupported name constraint"),
    ],
)
def test_invalid_certificates_are_refused(party: Party) -> None:
    refused(party)


def test_permitted_name_verifies() -> None:
    """The constraint refuses other names, not everything that its authority signs."""
    party = make("CN=x", CONSTRAINED, names=[x509.DNSName("x.a.example")])
    assert trusted(ROOT).verify(party.chain, NOW)


def test_expired_trust_anchor_is_refused() -> None:
    """A root's own expiry counts too."""
    old = authority("CN=Old", ends=NOW + DAY)
    party = make("CN=x", old)
    assert trusted(old).verify(party.chain, NOW)
    refused(party, old, now=NOW + 2 * DAY)


def test_long_chain_is_refused_unverified() -> None:
    """Clients cannot make us try hundreds of authorities."""
    others = tuple(authority(f"CN={number}").certificate for number in range(12))
    assert "at most" in refused(Party(GOOD.certificate, GOOD.key, (*GOOD.between, *others)))


def test_no_trust_anchor_refuses_all() -> None:
    with pytest.raises(UntrustedCertificate):
        TrustedAuthorities(CertificateTrust(1)).verify(GOOD.chain, NOW)


def test_client_certificate_as_trust_anchor_is_refused() -> None:
    """It would be valid by itself, independent of its authority."""
    with pytest.raises(StoreUnavailable):
        trusted(make("CN=x"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_certificate_with_flipped_bit_is_refused(data: st.DataObject) -> None:
    """A certificate changed in any bit does not verify or cannot be parsed.

    But for the number of unused bits of its signature: that is the same content with the same signature.
    """
    der = bytearray(GOOD.certificate.public_bytes(Encoding.DER))
    position = data.draw(st.integers(0, len(der) * 8 - 1))
    der[position // 8] ^= 1 << position % 8
    try:
        changed = x509.load_der_x509_certificate(bytes(der))
        changed.public_key()
    except Exception:  # noqa: BLE001  it is not even a certificate
        return
    if (changed.tbs_certificate_bytes, changed.signature) == (
        GOOD.certificate.tbs_certificate_bytes,
        GOOD.certificate.signature,
    ):
        return
    with pytest.raises(UntrustedCertificate):
        trusted(ROOT).verify((changed, *GOOD.between), NOW)


# --- revocation ----------------------------------------------------------------------------------------------------


def test_revoked_certificate_is_refused() -> None:
    """By its authority's list, and no other certificate."""
    lists = (revocation_list(ISSUING, GOOD, 12345),)
    assert "revoked" in refused(GOOD, ROOT, lists=lists)
    other = make("CN=other", ISSUING)
    found = trusted(ROOT, lists=lists).verify(other.chain, NOW)
    assert found.until == NOW + 7 * DAY  # then a newer list is needed


def test_revoked_authority_refuses_its_certificates() -> None:
    assert "revoked" in refused(GOOD, ROOT, lists=(revocation_list(ROOT, ISSUING),))


def test_expired_list_refuses_its_authority() -> None:
    """Revocations since are unknown: withholding a newer list must not help."""
    stale = revocation_list(ISSUING, issued=NOW - 9 * DAY, ends=NOW - DAY)
    assert "has expired" in refused(GOOD, ROOT, lists=(stale,))
    assert "has expired" in refused(GOOD, ROOT, lists=(revocation_list(ISSUING),), now=NOW + 7 * DAY)
    direct = make("CN=direct", ROOT)
    assert trusted(ROOT, lists=(stale,)).verify(direct.chain, NOW)  # of another authority


def test_expired_list_still_revokes() -> None:
    stale = revocation_list(ISSUING, GOOD, issued=NOW - 9 * DAY, ends=NOW - DAY)
    assert "revoked" in refused(GOOD, ROOT, lists=(stale,))


def test_future_list_is_refused() -> None:
    early = revocation_list(ISSUING, issued=NOW + DAY, ends=NOW + 9 * DAY)
    refused(GOOD, ROOT, lists=(early,))


def test_forged_list_refuses_its_authority() -> None:
    """It claims to be the authority's and does not verify."""
    forged = revocation_list(ISSUING, key=ec.generate_private_key(ec.SECP256R1()))
    refused(GOOD, ROOT, lists=(forged,))
    of_another = revocation_list(authority("CN=Issuing"), GOOD)  # the same name, its own key: another authority
    assert trusted(ROOT, lists=(of_another,)).verify(GOOD.chain, NOW)


def test_list_with_another_name_of_the_key_counts() -> None:
    """An authority whose name is spelled differently in its list is the same authority."""
    renamed = Party(make("CN=ISSUING", is_authority=True, key=ISSUING.key).certificate, ISSUING.key)
    assert "revoked" in refused(GOOD, ROOT, lists=(revocation_list(renamed, GOOD),))


def test_list_of_one_anchor_revokes_for_all() -> None:
    """Two accounts trust one authority, one has its list: revoked for both."""
    record = [
        TrustAnchor("a", "111122223333", "a", ROOT.pem),
        TrustAnchor("b", "444455556666", "b", ROOT.pem, (revocation_list(ISSUING, GOOD),)),
    ]
    with pytest.raises(UntrustedCertificate, match="revoked"):
        TrustedAuthorities(CertificateTrust(1, tuple(record))).verify(GOOD.chain, NOW)


def test_stale_list_of_one_account_refuses_there_only() -> None:
    stale = revocation_list(ISSUING, issued=NOW - 9 * DAY, ends=NOW - DAY)
    record = [
        TrustAnchor("a", "111122223333", "a", ROOT.pem),
        TrustAnchor("b", "444455556666", "b", ROOT.pem, (stale,)),
    ]
    found = TrustedAuthorities(CertificateTrust(1, tuple(record))).verify(GOOD.chain, NOW)
    assert [anchor.id for anchor in found.anchors] == ["a"]


# --- what may be configured ------------------------------------------------------------------------------------------


def distribution_point(**flags: bool) -> x509.IssuingDistributionPoint:
    flags = {
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    } | flags
    return x509.IssuingDistributionPoint(None, None, only_some_reasons=None, **flags)


@table(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(ROOT.pem, id="a certificate"),
        pytest.param(revocation_list(ROOT) + revocation_list(ISSUING), id="two"),
        pytest.param(revocation_list(ROOT)[:-40], id="half of one"),
        pytest.param(revocation_list(ROOT, extensions=[(x509.DeltaCRLIndicator(1), True)]), id="of changes only"),
        pytest.param(
            revocation_list(ROOT, extensions=[(distribution_point(indirect_crl=True), True)]),
            id=INDIRECT,
        ),
        pytest.param(
            revocation_list(
                ROOT, extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]
            ),
            id="with a critical extension",
        ),
    ],
)
def test_incomplete_list_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_revocation_list(text)
    assert "BEGIN" not in str(caught.value)


def test_list_for_user_certificates_is_accepted() -> None:
    text = revocation_list(ROOT, extensions=[(distribution_point(only_contains_user_certs=True), True)])
    assert len(read_revocation_list(text)) == 0


@table(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(GOOD.pem, id="a client's"),
        pytest.param(ROOT.pem + GOOD.pem, id="a client's among them"),
        pytest.param(weak_authority().pem, id="a weak key"),
        pytest.param(authority("CN=x", signs=None).pem, id="no key usage"),
        pytest.param(GOOD.key_pem, id="a private key"),
    ],
)
def test_certificate_of_no_authority_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_authorities(text)
    assert "PRIVATE" not in str(caught.value)


def test_several_authorities_are_parsed() -> None:
    assert read_authorities(f"my authorities\n{ROOT.pem}and\n{ISSUING.pem}") == [ROOT.certificate, ISSUING.certificate]

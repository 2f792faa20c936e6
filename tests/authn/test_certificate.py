"""Client certificates, verified against trust anchors: paths, usages, strength, revocation.

Certificates are real and signed by authorities of our own; each refused one is wrong in one thing only.
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

from iam_guard.authn.certificate import TrustedAuthorities
from iam_guard.errors import InvalidInput, StoreUnavailable, UntrustedCertificate
from iam_guard.model.certificates import read_authorities, read_revocation_list
from iam_guard.model.trust import CertificateTrust, TrustAnchor
from tests.authn.authorities import CLIENT, DAY, NOW, SERVER, Party, authority, make, name, revocation_list

ROOT = authority("CN=Root")
ISSUING = authority("CN=Issuing", ROOT, path_length=0)
GOOD = make("CN=robot-7", ISSUING)


SPIFFE = make("", ROOT, names=[x509.UniformResourceIdentifier("spiffe://a/b")])
INDIRECT = "of others' certificates"


def trusted(*anchors: Party, lists: tuple[str, ...] = (), account: str = "111122223333") -> TrustedAuthorities:
    """Trust anchors, one for each authority; the lists are all of the first."""
    records = [
        TrustAnchor(f"anchor-{number}", account, f"a{number}", each.pem, lists if number == 0 else ())
        for number, each in enumerate(anchors)
    ]
    return TrustedAuthorities(CertificateTrust(1, tuple(records)))


def refused(given: Party, *anchors: Party, now: datetime = NOW, lists: tuple[str, ...] = ()) -> str:
    with pytest.raises(UntrustedCertificate) as caught:
        trusted(*(anchors or (ROOT,)), lists=lists).verify(given.chain, now)
    return str(caught.value)


# --- paths -----------------------------------------------------------------------------------------------------------


def test_a_path_to_a_trust_anchor_verifies() -> None:
    """The anchor at its end vouches, and it holds until the first certificate of the path ends."""
    found = trusted(ROOT).verify(GOOD.chain, NOW)
    assert found.certificate == GOOD.certificate
    assert [anchor.id for anchor in found.anchors] == ["anchor-0"]
    assert found.until == min(each.not_valid_after_utc for each in (*GOOD.chain, ROOT.certificate))


@pytest.mark.parametrize(
    ("given", "anchors"),
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
def test_other_right_ones(given: Party, anchors: tuple[Party, ...]) -> None:
    assert trusted(*anchors).verify(given.chain, NOW).certificate == given.certificate


def weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505  that is the point


def weak_authority() -> Party:
    return authority("CN=Weak", ROOT, key=weak_key())


STRANGER = authority("CN=Root")  # of the same name
CONSTRAINED = authority("CN=C", ROOT, constraints=x509.NameConstraints([x509.DNSName("a.example")], None))
IN_NAMES = authority("CN=D", ROOT, constraints=x509.NameConstraints([x509.DirectoryName(name("O=Acme"))], None))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(make("CN=x", STRANGER), id="of a stranger with our name"),
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
        pytest.param(make("CN=x/O=Acme", IN_NAMES), id="constrained in a way that nobody here compares"),
    ],
)
def test_a_wrong_one_is_refused(given: Party) -> None:
    refused(given)


def test_a_permitted_name_is_good() -> None:
    """The constraint above refuses for the name, and not all that its authority signs."""
    given = make("CN=x", CONSTRAINED, names=[x509.DNSName("x.a.example")])
    assert trusted(ROOT).verify(given.chain, NOW)


def test_an_ended_trust_anchor_vouches_for_nobody() -> None:
    """A root's own end counts: who lets it pass has stopped looking after it."""
    old = authority("CN=Old", ends=NOW + DAY)
    given = make("CN=x", old)
    assert trusted(old).verify(given.chain, NOW)
    refused(given, old, now=NOW + 2 * DAY)


def test_a_long_chain_is_not_looked_at() -> None:
    """Nobody makes us try out hundreds of authorities."""
    others = tuple(authority(f"CN={number}").certificate for number in range(12))
    assert "at most" in refused(Party(GOOD.certificate, GOOD.key, (*GOOD.between, *others)))


def test_without_anchors_nobody_is_good() -> None:
    with pytest.raises(UntrustedCertificate):
        TrustedAuthorities(CertificateTrust(1)).verify(GOOD.chain, NOW)


def test_a_client_certificate_is_no_trust_anchor() -> None:
    """It would vouch for itself, and never end with its authority's."""
    with pytest.raises(StoreUnavailable):
        trusted(make("CN=x"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bit_counts(data: st.DataObject) -> None:
    """A certificate that is changed in one bit, wherever it is, does not verify or is not read at all."""
    der = bytearray(GOOD.certificate.public_bytes(Encoding.DER))
    position = data.draw(st.integers(0, len(der) * 8 - 1))
    der[position // 8] ^= 1 << position % 8
    try:
        changed = x509.load_der_x509_certificate(bytes(der))
        changed.public_key()
    except Exception:  # noqa: BLE001  it is not even a certificate
        return
    with pytest.raises(UntrustedCertificate):
        trusted(ROOT).verify((changed, *GOOD.between), NOW)


# --- revocation ----------------------------------------------------------------------------------------------------


def test_a_revoked_certificate_is_refused() -> None:
    """By its authority's list, and nobody else by it."""
    lists = (revocation_list(ISSUING, GOOD, 12345),)
    assert "revoked" in refused(GOOD, ROOT, lists=lists)
    other = make("CN=other", ISSUING)
    found = trusted(ROOT, lists=lists).verify(other.chain, NOW)
    assert found.until == NOW + 7 * DAY  # then a newer list is needed


def test_a_revoked_authority_takes_its_certificates_along() -> None:
    assert "revoked" in refused(GOOD, ROOT, lists=(revocation_list(ROOT, ISSUING),))


def test_an_expired_list_refuses_all_of_its_authority() -> None:
    """Nobody knows what was revoked since: holding a newer list back must not save a revoked certificate."""
    stale = revocation_list(ISSUING, issued=NOW - 9 * DAY, ends=NOW - DAY)
    assert "has expired" in refused(GOOD, ROOT, lists=(stale,))
    assert "has expired" in refused(GOOD, ROOT, lists=(revocation_list(ISSUING),), now=NOW + 7 * DAY)
    direct = make("CN=direct", ROOT)
    assert trusted(ROOT, lists=(stale,)).verify(direct.chain, NOW)  # of another authority


def test_what_an_expired_list_revokes_stays_revoked() -> None:
    stale = revocation_list(ISSUING, GOOD, issued=NOW - 9 * DAY, ends=NOW - DAY)
    assert "revoked" in refused(GOOD, ROOT, lists=(stale,))


def test_a_list_from_the_future_is_not_believed() -> None:
    early = revocation_list(ISSUING, issued=NOW + DAY, ends=NOW + 9 * DAY)
    refused(GOOD, ROOT, lists=(early,))


def test_a_list_that_somebody_else_signed_says_nothing_and_refuses() -> None:
    """It claims to be the authority's, and does not verify."""
    forged = revocation_list(ISSUING, key=ec.generate_private_key(ec.SECP256R1()))
    refused(GOOD, ROOT, lists=(forged,))
    of_another = revocation_list(authority("CN=Issuing"), GOOD)  # the same name, its own key: another authority
    assert trusted(ROOT, lists=(of_another,)).verify(GOOD.chain, NOW)


def test_a_list_of_the_same_key_counts_whatever_name_it_bears() -> None:
    """An authority whose name is spelled otherwise in its list is the same authority."""
    renamed = Party(make("CN=ISSUING", is_authority=True, key=ISSUING.key).certificate, ISSUING.key)
    assert "revoked" in refused(GOOD, ROOT, lists=(revocation_list(renamed, GOOD),))


def test_one_genuine_list_revokes_everywhere() -> None:
    """Two accounts trust one authority, one of them has its list: the certificate is revoked for both."""
    record = [
        TrustAnchor("a", "111122223333", "a", ROOT.pem),
        TrustAnchor("b", "444455556666", "b", ROOT.pem, (revocation_list(ISSUING, GOOD),)),
    ]
    with pytest.raises(UntrustedCertificate, match="revoked"):
        TrustedAuthorities(CertificateTrust(1, tuple(record))).verify(GOOD.chain, NOW)


def test_a_stale_list_of_one_account_refuses_there_alone() -> None:
    stale = revocation_list(ISSUING, issued=NOW - 9 * DAY, ends=NOW - DAY)
    record = [
        TrustAnchor("a", "111122223333", "a", ROOT.pem),
        TrustAnchor("b", "444455556666", "b", ROOT.pem, (stale,)),
    ]
    found = TrustedAuthorities(CertificateTrust(1, tuple(record))).verify(GOOD.chain, NOW)
    assert [anchor.id for anchor in found.anchors] == ["a"]


# --- what may be configured ------------------------------------------------------------------------------------------


def distribution_point(**flags: bool) -> x509.IssuingDistributionPoint:
    given = {
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    } | flags
    return x509.IssuingDistributionPoint(None, None, only_some_reasons=None, **given)


@pytest.mark.parametrize(
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
def test_a_list_that_does_not_tell_everything_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_revocation_list(text)
    assert "BEGIN" not in str(caught.value)


def test_a_list_for_certificates_of_users_is_taken() -> None:
    text = revocation_list(ROOT, extensions=[(distribution_point(only_contains_user_certs=True), True)])
    assert len(read_revocation_list(text)) == 0


@pytest.mark.parametrize(
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
def test_what_is_no_authority_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_authorities(text)
    assert "PRIVATE" not in str(caught.value)


def test_several_authorities_are_read() -> None:
    assert read_authorities(f"my authorities\n{ROOT.pem}and\n{ISSUING.pem}") == [ROOT.certificate, ISSUING.certificate]

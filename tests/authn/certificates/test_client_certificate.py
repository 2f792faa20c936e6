"""The formats of client certificates: as real servers and proxies send them, and malformed ones."""

from __future__ import annotations

import base64
import contextlib
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.authn.certificates.client_certificate import read_client_certificate
from iam_guard.authn.presented_credentials import ReceivedCertificate
from iam_guard.errors import CredentialError, IncompleteSignature
from tests.authn.authorities import Party, authority, make
from tests.tables import table

ROOT = authority()
ISSUING = authority("CN=Issuing", ROOT)
GOOD = make("CN=robot-7/O=Example, Inc.", ISSUING)
OTHER = make("CN=other", ISSUING)


def pems(*parties: Party) -> str:
    return "".join(party.pem for party in parties)


def byte_sequence(party: Party) -> str:
    return f":{base64.b64encode(party.certificate.public_bytes(Encoding.DER)).decode()}:"


def carried(source: str, *values: str, chain: tuple[str, ...] = (), is_trusted: bool = True) -> ReceivedCertificate:
    encoded = tuple(value.encode("latin-1") for value in values)
    return ReceivedCertificate(source, encoded, tuple(each.encode() for each in chain), is_trusted)


NGINX, ALB, ENVOY, RFC = "ssl-client-cert", "x-amzn-mtls-clientcert", "x-forwarded-client-cert", "client-cert"
SUBJECT = 'By=spiffe://a/b;Subject="CN=robot-7,O=\\"Example, Inc.\\"";URI=;DNS=a.example;DNS=b.example'
WHOLE = quote(pems(GOOD, ISSUING), safe="")


@table(
    ("received", "intermediates"),
    [
        pytest.param(carried("tls", GOOD.pem, ISSUING.pem), 1, id="the server: a list of PEM"),
        pytest.param(carried("tls", GOOD.pem), 0, id="the server: one alone"),
        pytest.param(carried(NGINX, GOOD.escaped), 0, id="nginx: $ssl_client_escaped_cert"),
        pytest.param(carried(ALB, quote(pems(GOOD, ISSUING), safe="+=/")), 1, id="a load balancer: + and / as is"),
        pytest.param(carried(RFC, byte_sequence(GOOD)), 0, id="RFC 9440"),
        pytest.param(
            carried(RFC, byte_sequence(GOOD), chain=(byte_sequence(ISSUING),)), 1, id="RFC 9440: with a chain"
        ),
        pytest.param(
            carried(RFC, byte_sequence(GOOD), chain=(f"{byte_sequence(ISSUING)}, {byte_sequence(ROOT)}",)),
            2,
            id="RFC 9440: with a chain in one header",
        ),
        pytest.param(carried(ENVOY, f'Cert="{GOOD.escaped}"'), 0, id="Envoy: Cert"),
        pytest.param(carried(ENVOY, f"Hash={GOOD.fingerprint};{SUBJECT};Chain={WHOLE}"), 1, id="Envoy: unquoted"),
        pytest.param(
            carried(ENVOY, f'Hash={GOOD.fingerprint};Cert="{GOOD.escaped}";Chain="{WHOLE}";{SUBJECT}'),
            1,
            id="Envoy: everything",
        ),
    ],
)
def test_certificate_is_parsed(received: ReceivedCertificate, intermediates: int) -> None:
    """The client certificate first, then its intermediates."""
    found = read_client_certificate([received], [])
    assert found.chain == (GOOD.certificate, ISSUING.certificate, ROOT.certificate)[: 1 + intermediates]
    assert (found.fingerprint, found.role) == (GOOD.fingerprint, None)
    assert "BEGIN" not in repr(found)


@table(
    "received",
    [
        pytest.param(carried("tls", "no PEM"), id="no PEM"),
        pytest.param(carried(NGINX, GOOD.escaped[:-60]), id="half of one"),
        pytest.param(carried(NGINX, GOOD.escaped, GOOD.escaped), id="two headers"),
        pytest.param(carried(NGINX, quote(GOOD.key_pem)), id="a private key"),
        pytest.param(carried(NGINX, quote(GOOD.pem) * 11), id="too many"),
        pytest.param(carried(RFC, GOOD.escaped), id="RFC 9440: escaped PEM"),
        pytest.param(carried(RFC, byte_sequence(GOOD)[:-1]), id="RFC 9440: without its end"),
        pytest.param(carried(RFC, f"{byte_sequence(GOOD)}, {byte_sequence(OTHER)}"), id="RFC 9440: two"),
        pytest.param(carried(RFC, byte_sequence(GOOD), chain=("x",)), id="RFC 9440: a wrong chain"),
        pytest.param(carried(ENVOY, f"Hash={GOOD.fingerprint};{SUBJECT}"), id="Envoy: without the certificate"),
        pytest.param(carried(ENVOY, "CN=robot-7"), id="Envoy: no pair that is known"),
        pytest.param(carried(ENVOY, f"Cert={GOOD.escaped},Cert={OTHER.escaped}"), id="Envoy: two elements"),
        pytest.param(carried(ENVOY, f"Cert={GOOD.escaped},"), id="Envoy: an empty second element"),
        pytest.param(carried(ENVOY, f"Cert={GOOD.escaped};Cert={OTHER.escaped}"), id="Envoy: twice in one element"),
        pytest.param(carried(ENVOY, f"Cert={OTHER.escaped};Chain={WHOLE}"), id="Envoy: Cert is not the chain's first"),
        pytest.param(carried(ENVOY, f"Hash={OTHER.fingerprint};Cert={GOOD.escaped}"), id="Envoy: another one's Hash"),
        pytest.param(carried(ENVOY, f'Subject="CN=a;Cert={GOOD.escaped}'), id="Envoy: a quote that does not end"),
        pytest.param(carried(NGINX, GOOD.escaped, is_trusted=False), id="from an untrusted client"),
    ],
)
def test_malformed_certificate_is_refused_without_echo(received: ReceivedCertificate) -> None:
    with pytest.raises(IncompleteSignature) as caught:
        read_client_certificate([received], [])
    assert "BEGIN" not in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_subject_cannot_inject_a_certificate() -> None:
    """Envoy escapes commas, semicolons and quotes within a subject."""
    subject = f'Subject="CN=\\";Cert={OTHER.escaped};,Cert={OTHER.escaped},\\"x"'
    found = read_client_certificate([carried(ENVOY, f"{subject};Cert={GOOD.escaped}")], [])
    assert found.chain == (GOOD.certificate,)


def test_certificates_from_two_sources_are_refused() -> None:
    with pytest.raises(IncompleteSignature, match="several"):
        read_client_certificate([carried("tls", GOOD.pem), carried(NGINX, GOOD.escaped)], [])


def test_role_header_must_be_one_role_arn() -> None:
    arn = "arn:aws:iam::111122223333:role/team/Robot"
    assert read_client_certificate([carried("tls", GOOD.pem)], [arn.encode()]).role == arn
    for wrong in ([b""], [b"Robot"], [arn.encode()] * 2, [b"arn:\x00"], [b"arn:" + b"x" * 2100], [b"arn:\xff"]):
        with pytest.raises(IncompleteSignature):
            read_client_certificate([carried("tls", GOOD.pem)], wrong)


@given(st.sampled_from(["tls", NGINX, ENVOY, RFC]), st.binary(max_size=300))
def test_any_header_is_parsed_or_refused(source: str, value: bytes) -> None:
    """No other exception, whatever a proxy forwards."""
    with contextlib.suppress(CredentialError):
        read_client_certificate([ReceivedCertificate(source, (value,), (), True)], [])

"""Reading certificates and keys: what is taken, what is refused, and that nothing of a text comes back in an error."""

from __future__ import annotations

import base64
import random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from iam_guard.api.iam.iam_errors import KeyPairMismatch, MalformedCertificate
from iam_guard.api.iam.pem_certificates import (
    holds,
    in_pem,
    key_in_pem,
    read_certificate,
    read_certificates,
    read_private_key,
    require_chain,
    require_pair,
)
from tests.api.iam.certificate_parts import TODAY, certificate_pem, key_of, private_pem, rsa_key


def test_a_certificate_is_kept_as_it_was_given() -> None:
    """Where it was in the usual form; line ends and texts around it are left out."""
    text = certificate_pem("leaf")
    assert in_pem([read_certificate(text)]) == text
    assert in_pem([read_certificate("subject=leaf\n" + text.replace("\n", "\r\n") + "\n\n")]) == text


def test_a_private_key_beside_a_certificate_is_not_kept() -> None:
    """Many a file holds both; the certificate alone is read."""
    for text in (certificate_pem("leaf") + private_pem("leaf"), private_pem("leaf") + certificate_pem("leaf")):
        assert "PRIVATE" not in in_pem([read_certificate(text)])
        assert "PRIVATE" not in in_pem(read_certificates(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n",
        private_pem("leaf"),
        certificate_pem("leaf") + certificate_pem("other"),
        certificate_pem("leaf")[:-40],
        "é" * 100,
    ],
)
def test_what_is_no_certificate(text: str) -> None:
    """Refused with AWS's code, and without a word of the text."""
    with pytest.raises(MalformedCertificate) as caught:
        read_certificate(text)
    assert "leaf" not in str(caught.value)
    assert not any(line in repr(caught.value) for line in text.splitlines() if len(line) > 20)
    assert caught.value.__cause__ is None


def test_a_certificate_for_a_key_of_no_known_kind() -> None:
    """It can be read, but nothing can be done with it."""
    lines = certificate_pem("leaf").splitlines()
    der = base64.b64decode("".join(lines[1:-1]))
    curve = bytes.fromhex("2a8648ce3d030107")
    assert curve in der
    other = base64.b64encode(der.replace(curve, curve[:-1] + b"\x7f")).decode()
    with pytest.raises(MalformedCertificate):
        read_certificate("\n".join([lines[0], other, lines[-1]]))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (private_pem("leaf", b"password"), "the body is encrypted"),
        (certificate_pem("leaf"), "ensure the key is in PEM format"),
        ("", "ensure the key is in PEM format"),
        (private_pem("leaf").replace("A", "B"), "ensure the key is in PEM format"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMC0CAQACAQ\n-----END RSA PRIVATE KEY-----\n", "ensure the key is in PEM"),
    ],
)
def test_what_is_no_private_key(text: str, sentence: str) -> None:
    """An encrypted one too, for its password would have to be kept as well."""
    with pytest.raises(MalformedCertificate, match=sentence) as caught:
        read_private_key(text)
    assert not any(line in repr(caught.value) for line in text.splitlines() if len(line) > 20)


def test_keys_in_all_forms() -> None:
    """PKCS #8, and the older form of OpenSSL."""
    for key in (key_of("leaf"), rsa_key("ssh", 2048)):
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            read = read_private_key(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())
            assert key_in_pem(read) == key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_belongs_to_its_certificate() -> None:
    """And to no other one."""
    require_pair(read_certificate(certificate_pem("leaf")), read_private_key(private_pem("leaf")))
    with pytest.raises(KeyPairMismatch):
        require_pair(read_certificate(certificate_pem("leaf")), read_private_key(private_pem("other")))


def test_a_chain_leads_from_each_certificate_to_the_next() -> None:
    """In order, beginning with whoever signed the first; AWS tells the place."""
    leaf = read_certificate(certificate_pem("leaf", "middle"))
    middle = read_certificate(certificate_pem("middle", "authority"))
    authority = read_certificate(certificate_pem("authority"))
    for chain in ([], [middle], [middle, authority]):
        require_chain(leaf, chain)
    for chain, index in (([authority], -1), ([authority, middle], -1), ([middle, middle], 0)):
        with pytest.raises(MalformedCertificate, match=f"invalid certificate is: {index}"):
            require_chain(leaf, chain)


def test_a_name_alone_makes_no_issuer() -> None:
    """Whoever only calls itself as the issuer did not sign."""
    leaf = read_certificate(certificate_pem("leaf", "middle"))
    impostor = read_certificate(certificate_pem("middle", key="impostor"))
    assert impostor.subject == leaf.issuer
    with pytest.raises(MalformedCertificate):
        require_chain(leaf, [impostor])


@pytest.mark.parametrize(("begins", "ends", "expected"), [(-2, 2, True), (1, 2, False), (-2, -1, False)])
def test_a_certificate_holds_in_its_time(begins: int, ends: int, expected: bool) -> None:
    """Neither before nor after."""
    assert (
        holds(read_certificate(certificate_pem("leaf", begins=begins, ends=ends)), int(TODAY.timestamp())) is expected
    )


def test_damaged_texts_are_refused_and_nothing_else() -> None:
    """Whatever a library says of a certificate or key that is almost right, it becomes an error of ours."""
    random_ = random.Random(7)
    sources = [certificate_pem("leaf"), private_pem("leaf")]
    old = PrivateFormat.TraditionalOpenSSL
    sources.append(rsa_key("ssh", 2048).private_bytes(Encoding.PEM, old, NoEncryption()).decode())
    refused = 0
    for number in range(900):
        text = _damaged(sources[number % len(sources)], random_)
        read = read_certificate if number % len(sources) == 0 else read_private_key
        try:
            read(text)
        except MalformedCertificate:
            refused += 1
    assert 300 < refused < 900


def _damaged(text: str, random_: random.Random) -> str:
    first, *lines, last = text.strip().splitlines()
    content = bytearray(base64.b64decode("".join(lines)))
    for _ in range(random_.choice([1, 1, 2, 5])):
        content[random_.randrange(len(content))] = random_.choice([0, 1, 127, 255])
    return "\n".join([first, base64.b64encode(content).decode(), last])

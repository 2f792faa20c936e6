"""Parsing certificates and keys: accepted and rejected input, and errors without input."""

from __future__ import annotations

import base64
import random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from iam_guard.api.iam.credentials.pem_certificates import (
    in_pem,
    is_valid_at,
    key_in_pem,
    read_certificate,
    read_certificates,
    read_private_key,
    require_chain,
    require_pair,
)
from iam_guard.api.service_errors import KeyPairMismatch, MalformedCertificate
from tests.api.iam.certificate_parts import TODAY, certificate_pem, key_of, private_pem, rsa_key
from tests.tables import table


def test_certificate_is_normalized() -> None:
    """Line ends and surrounding text are left out."""
    text = certificate_pem("leaf")
    assert in_pem([read_certificate(text)]) == text
    assert in_pem([read_certificate("subject=leaf\n" + text.replace("\n", "\r\n") + "\n\n")]) == text


def test_private_key_in_the_same_file_is_dropped() -> None:
    """Only the certificate is parsed."""
    for text in (certificate_pem("leaf") + private_pem("leaf"), private_pem("leaf") + certificate_pem("leaf")):
        assert "PRIVATE" not in in_pem([read_certificate(text)])
        assert "PRIVATE" not in in_pem(read_certificates(text))


@table(
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
def test_invalid_certificate_is_rejected(text: str) -> None:
    """With AWS's code, and without quoting the text."""
    with pytest.raises(MalformedCertificate) as caught:
        read_certificate(text)
    assert "leaf" not in str(caught.value)
    assert not any(line in repr(caught.value) for line in text.splitlines() if len(line) > 20)
    assert caught.value.__cause__ is None


def test_certificate_with_unknown_key_kind_is_rejected() -> None:
    """It can be parsed, but not used."""
    lines = certificate_pem("leaf").splitlines()
    der = base64.b64decode("".join(lines[1:-1]))
    curve = bytes.fromhex("2a8648ce3d030107")
    assert curve in der
    other = base64.b64encode(der.replace(curve, curve[:-1] + b"\x7f")).decode()
    with pytest.raises(MalformedCertificate):
        read_certificate("\n".join([lines[0], other, lines[-1]]))


@table(
    ("text", "sentence"),
    [
        (private_pem("leaf", b"password"), "the body is encrypted"),
        (certificate_pem("leaf"), "ensure the key is in PEM format"),
        ("", "ensure the key is in PEM format"),
        (private_pem("leaf").replace("A", "B"), "ensure the key is in PEM format"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMC0CAQACAQ\n-----END RSA PRIVATE KEY-----\n", "ensure the key is in PEM"),
    ],
)
def test_invalid_private_key_is_rejected(text: str, sentence: str) -> None:
    """Also an encrypted one, since its password would have to be stored."""
    with pytest.raises(MalformedCertificate, match=sentence) as caught:
        read_private_key(text)
    assert not any(line in repr(caught.value) for line in text.splitlines() if len(line) > 20)


def test_private_key_formats_are_accepted() -> None:
    """PKCS #8, and OpenSSL's older format."""
    for key in (key_of("leaf"), rsa_key("ssh", 2048)):
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            read = read_private_key(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())
            assert key_in_pem(read) == key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_key_must_match_its_certificate() -> None:
    """And to no other one."""
    require_pair(read_certificate(certificate_pem("leaf")), read_private_key(private_pem("leaf")))
    with pytest.raises(KeyPairMismatch):
        require_pair(read_certificate(certificate_pem("leaf")), read_private_key(private_pem("other")))


def test_chain_must_be_in_order() -> None:
    """AWS's message has the index."""
    leaf = read_certificate(certificate_pem("leaf", "middle"))
    middle = read_certificate(certificate_pem("middle", "authority"))
    authority = read_certificate(certificate_pem("authority"))
    for chain in ([], [middle], [middle, authority]):
        require_chain(leaf, chain)
    for chain, index in (([authority], -1), ([authority, middle], -1), ([middle, middle], 0)):
        with pytest.raises(MalformedCertificate, match=f"invalid certificate is: {index}"):
            require_chain(leaf, chain)


def test_issuer_name_without_signature_is_rejected() -> None:
    leaf = read_certificate(certificate_pem("leaf", "middle"))
    impostor = read_certificate(certificate_pem("middle", key="impostor"))
    assert impostor.subject == leaf.issuer
    with pytest.raises(MalformedCertificate):
        require_chain(leaf, [impostor])


@table(("begins", "ends", "expected"), [(-2, 2, True), (1, 2, False), (-2, -1, False)])
def test_certificate_validity_period_is_checked(begins: int, ends: int, expected: bool) -> None:
    """Neither before nor after."""
    assert (
        is_valid_at(read_certificate(certificate_pem("leaf", begins=begins, ends=ends)), int(TODAY.timestamp()))
        is expected
    )


def test_damaged_input_raises_only_our_errors() -> None:
    """Whatever the library raises for almost valid input."""
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

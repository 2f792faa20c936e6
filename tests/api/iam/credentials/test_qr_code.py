"""The QR code for authenticator apps."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from iam_guard.api.iam.credentials.qr_code import ISSUER, provisioning_uri, qr_code
from iam_guard.authn.people.second_factors.one_time_codes import new_seed
from tests.tables import table


@table("device", ["phone", "jane+1=a,b.c@d-e", "x" * 226])
def test_uri_has_label_secret_and_issuer(device: str) -> None:
    """For every device name."""
    seed = new_seed()
    parts = urlsplit(provisioning_uri(device, "111122223333", seed))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert unquote(parts.path) == f"/{ISSUER}:{device}@111122223333"
    assert parse_qs(parts.query) == {"secret": [seed], "issuer": [ISSUER]}


@table("text", ["short", "x" * 500])
def test_qr_code_is_a_png(text: str) -> None:
    """A PNG, from its first bytes to its last."""
    picture = qr_code(text)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")
    assert picture != qr_code(text + "!")

from __future__ import annotations

import hashlib
import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.authn import api_key
from iam_guard.errors import InvalidClientTokenId, InvalidInput
from tests.tables import table

ID, SECRET = "K7Q2EXAMPLE", "s3cretS3cretS3cretS3cretS3cretS3cret"
TEXT = api_key.format_api_key(ID, SECRET)

ids = st.from_regex(r"\A[A-Za-z0-9]{4,32}\Z")
secret_texts = st.from_regex(r"\A[A-Za-z0-9]{32,128}\Z")


@given(ids, secret_texts)
def test_api_key_formatted_parses_to_id_and_digest(id: str, secret: str) -> None:
    """Formatting and parsing are inverse, up to the digest."""
    parsed = api_key.parse(api_key.format_api_key(id, secret))
    assert (parsed.id, parsed.digest) == (id, hashlib.sha256(secret.encode()).digest())


def test_api_key_text_form_is_stable() -> None:
    """Issued keys stay valid: the form, the check and the digest are pinned."""
    assert TEXT == "igk_K7Q2EXAMPLE_s3cretS3cretS3cretS3cretS3cretS3cret_2OCFEY"
    assert api_key.digest_of(SECRET) == hashlib.sha256(SECRET.encode()).digest()


def test_api_key_generated_matches_scanner_pattern() -> None:
    """Every generated key matches; id and secret come from the random bytes."""
    keys = [api_key.generate_api_key(secrets.token_bytes) for _ in range(50)]
    assert len({key.id for key in keys}) == len({key.digest for key in keys}) == 50
    for key in keys:
        assert re.fullmatch(api_key.SCANNER_PATTERN, key.text)
        assert (api_key.parse(key.text).id, api_key.parse(key.text).digest) == (key.id, key.digest)


@table("byte", [0x00, 0xFF])
def test_api_key_secret_has_fixed_length(byte: int) -> None:
    """For all 256-bit values."""
    key = api_key.generate_api_key(lambda length: bytes([byte]) * length)
    assert [len(part) for part in key.text.split("_")] == [3, 16, 43, 6]


@given(st.integers(0, len(TEXT) - 1), st.sampled_from("0aZ_-é "))
def test_api_key_with_one_changed_character_is_refused(position: int, character: str) -> None:
    """The check detects typing errors without the store."""
    mistyped = TEXT[:position] + character + TEXT[position + 1 :]
    if mistyped != TEXT:
        with pytest.raises(InvalidClientTokenId):
            api_key.parse(mistyped)


@table("text", ["", "igk_", TEXT + "\n", " " + TEXT, TEXT + "0", TEXT.upper(), "eyJhbGciOiJub25lIn0.e30.", "igk_" * 99])
def test_invalid_api_key_is_refused_without_echo(text: str) -> None:
    """Other tokens get AWS's message, which does not quote them."""
    with pytest.raises(InvalidClientTokenId) as caught:
        api_key.parse(text)
    assert str(caught.value) == "The security token included in the request is invalid."


@table(
    ("id", "secret", "place"),
    [
        ("abc", SECRET, "id"),
        ("a_bcd", SECRET, "id"),
        ("a" * 33, SECRET, "id"),
        (ID, "short", "secret"),
        (ID, SECRET + "_", "secret"),
        (ID, "s" * 129, "secret"),
        (ID, SECRET + "\n", "secret"),
    ],
)
def test_api_key_with_invalid_parts_is_not_formatted(id: str, secret: str, place: str) -> None:
    """A seed with an invalid key is refused, and the secret is not quoted."""
    with pytest.raises(InvalidInput) as caught:
        api_key.format_api_key(id, secret)
    assert caught.value.place == place
    assert secret not in str(caught.value)


def test_api_key_repr_hides_secrets() -> None:
    """Text and digest are never logged by accident."""
    key = api_key.generate_api_key(secrets.token_bytes)
    for shown in (repr(key), repr(api_key.parse(key.text))):
        assert key.id in shown
        assert key.text not in shown
        assert repr(key.digest) not in shown

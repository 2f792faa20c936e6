"""SigV4A: derived keys, region sets, temporary keys, caching; awscrt signs."""

from __future__ import annotations

from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential import extract
from iam_guard.authn.presented_credentials import ASYMMETRIC, SigV4Credential
from iam_guard.authn.signatures import sigv4a
from iam_guard.authn.signatures.accepted_scope import AcceptedScope
from iam_guard.authn.signatures.signature_replays import SignatureReplays
from iam_guard.errors import InvalidClientTokenId, SignatureDoesNotMatch
from tests.authn.signing import ALICE, Received, authenticated, with_header
from tests.authn.test_vectors import KEY, THEN, received, session_of, signed_by_crt
from tests.tables import table

PLAIN = received("GET /a?b=c HTTP/1.1\nHost:example.amazonaws.com\n\n")
ORDER = sigv4a._ORDER


def parsed_credential(one: Received) -> SigV4Credential:
    found = extract(one.request, max_header=64 * 1024)
    assert isinstance(found, SigV4Credential)
    return found


@table("place", ["header", "query"])
@table(
    ("regions", "region", "accepted"),
    [
        ("us-east-1", "us-east-1", True),
        ("us-east-1", "us-east-12", False),
        ("us-east-1", "eu-west-1", False),
        ("*", "eu-west-1", True),
        ("us-*", "us-gov-west-1", True),
        ("us-*", "eu-west-1", False),
        ("*-west-*", "eu-west-1", True),
        ("us-east-1,eu-*", "eu-west-1", True),
        ("us-east-1, eu-*", "eu-west-1", True),
        ("us-east-1,us-west-2", "eu-west-1", False),
    ],
)
def test_signature_is_valid_in_its_regions(place: str, regions: str, region: str, accepted: bool) -> None:
    """One must be the guard's region; `*` matches any characters."""
    one, scope = signed_by_crt(PLAIN, "sigv4a", place, region=regions), AcceptedScope((region,))
    if accepted:
        principal = authenticated(one, access_key=KEY, now=THEN, accepted=scope)
        assert principal == ALICE
        assert principal.credential is not None
        assert principal.credential.region == region  # for the audit trail, and for when the key was last used
    else:
        with pytest.raises(SignatureDoesNotMatch, match=f"expected one with '{region}'"):
            authenticated(one, access_key=KEY, now=THEN, accepted=scope)


def test_changed_region_set_is_refused() -> None:
    """So are none and two."""
    one = signed_by_crt(PLAIN, "sigv4a", "header", region="us-east-1")
    for values in ([b"*"], [b"us-east-1,eu-west-1"], [], [b"us-east-1", b"us-east-1"]):
        with pytest.raises((SignatureDoesNotMatch, Exception), match=r"calculated|X-Amz-Region-Set|got 2") as caught:
            authenticated(with_header(one, b"x-amz-region-set", *values), access_key=KEY, now=THEN)
        assert getattr(caught.value, "status", None) == 401


def test_session_signs_with_its_own_key_pair() -> None:
    """Derived from the temporary secret and id."""
    one = signed_by_crt(PLAIN, "sigv4a", "header", token="token")
    principal = authenticated(one, access_key=KEY, now=THEN, open_session=session_of)
    assert principal.credential is not None
    assert principal.credential.kind == "sts"
    with pytest.raises(InvalidClientTokenId):
        authenticated(one, access_key=KEY, now=THEN, open_session=lambda _: None)


def test_unknown_key_costs_as_much_as_wrong_secret() -> None:
    """Both derive a key pair and check a signature."""
    one = signed_by_crt(PLAIN, "sigv4a", "header")
    with (
        mock.patch.object(sigv4a, "public_key", wraps=sigv4a.public_key) as derived,
        mock.patch.object(sigv4a, "is_asymmetric_signature", wraps=sigv4a.is_asymmetric_signature) as checked,
    ):
        with pytest.raises(InvalidClientTokenId):
            authenticated(one, access_key=None, now=THEN)
        assert (derived.call_count, checked.call_count) == (1, 1)


def test_public_key_is_cached() -> None:
    """For every day, region and service of one region set."""
    callers = CallerCache()
    with mock.patch.object(sigv4a, "public_key", wraps=sigv4a.public_key) as derived:
        for _ in range(3):
            assert (
                authenticated(signed_by_crt(PLAIN, "sigv4a", "header"), access_key=KEY, now=THEN, callers=callers)
                == ALICE
            )
    assert derived.call_count == 1


def test_cached_key_pair_and_signing_key_are_separate() -> None:
    """A caller with both algorithms has two entries."""
    callers = CallerCache()
    for algorithm in ("sigv4", "sigv4a", "sigv4", "sigv4a"):
        one = signed_by_crt(PLAIN, algorithm, "header")
        assert authenticated(one, access_key=KEY, now=THEN, callers=callers) == ALICE
    assert len(callers) == 2


def test_key_candidate_over_curve_order_is_skipped() -> None:
    """The next block of the KDF is used, which happens for one of 2^32 secrets."""
    first, second = ORDER - 1, 5
    blocks = [number.to_bytes(32, "big") for number in (first, second)]
    with mock.patch("hmac.digest", side_effect=blocks) as digest:
        numbers = sigv4a.public_key("secret", "AKID").public_numbers()
    expected = sigv4a.ec.derive_private_key(second + 1, sigv4a.ec.SECP256R1()).public_key().public_numbers()
    assert numbers == expected
    assert [call.args[1].count(b"AKID\x01") for call in digest.call_args_list] == [1, 0]
    assert digest.call_args_list[1].args[1] == (
        b"\0\0\0\x01" + ASYMMETRIC.encode() + b"\0" + b"AKID\x02" + b"\0\0\x01\0"
    )


def test_negated_signature_is_a_replay() -> None:
    """From (r, s) anyone can compute (r, n - s), which is valid too."""
    one = signed_by_crt(PLAIN, "sigv4a", "header")
    [text] = one.request.values(b"authorization")
    signature = parsed_credential(one).signature
    r, s = decode_dss_signature(bytes.fromhex(signature))
    twin = with_header(
        one, b"authorization", text.replace(signature.encode(), encode_dss_signature(r, ORDER - s).hex().encode())
    )
    assert authenticated(twin, access_key=KEY, now=THEN) == ALICE
    replays = SignatureReplays(10)
    assert authenticated(one, access_key=KEY, now=THEN, replays=replays) == ALICE
    with pytest.raises(SignatureDoesNotMatch, match="used before"):
        authenticated(twin, access_key=KEY, now=THEN, replays=replays)

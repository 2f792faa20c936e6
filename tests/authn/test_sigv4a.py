"""SigV4A: keys from secrets, sets of regions, temporary keys, what is remembered; awscrt signs."""

from __future__ import annotations

from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from iam_guard.authn import sigv4a
from iam_guard.authn.accepted_scope import AcceptedScope
from iam_guard.authn.caller_cache import Callers
from iam_guard.authn.credential import extract
from iam_guard.authn.presented_credentials import ASYMMETRIC, SigV4Credential
from iam_guard.authn.signature_replays import SignatureReplays
from iam_guard.errors import InvalidClientTokenId, SignatureDoesNotMatch
from tests.authn.signing import ALICE, Received, authenticated, with_header
from tests.authn.test_vectors import KEY, THEN, received, session_of, signed_by_crt

PLAIN = received("GET /a?b=c HTTP/1.1\nHost:example.amazonaws.com\n\n")
ORDER = sigv4a._ORDER


def credential_of(one: Received) -> SigV4Credential:
    found = extract(one.request, max_header=64 * 1024)
    assert isinstance(found, SigV4Credential)
    return found


@pytest.mark.parametrize("place", ["header", "query"])
@pytest.mark.parametrize(
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
def test_a_signature_is_good_in_its_regions(place: str, regions: str, region: str, accepted: bool) -> None:
    """The guard's own region must be one of them; `*` stands for any characters."""
    one, scope = signed_by_crt(PLAIN, "sigv4a", place, region=regions), AcceptedScope((region,))
    if accepted:
        principal = authenticated(one, access_key=KEY, now=THEN, accepted=scope)
        assert principal == ALICE
        assert principal.credential is not None
        assert principal.credential.region == region  # for the audit trail, and for when the key was last used
    else:
        with pytest.raises(SignatureDoesNotMatch, match=f"expected one with '{region}'"):
            authenticated(one, access_key=KEY, now=THEN, accepted=scope)


def test_the_regions_are_signed() -> None:
    """Another set in its place is refused, and so is none or two."""
    one = signed_by_crt(PLAIN, "sigv4a", "header", region="us-east-1")
    for values in ([b"*"], [b"us-east-1,eu-west-1"], [], [b"us-east-1", b"us-east-1"]):
        with pytest.raises((SignatureDoesNotMatch, Exception), match=r"calculated|X-Amz-Region-Set|got 2") as caught:
            authenticated(with_header(one, b"x-amz-region-set", *values), access_key=KEY, now=THEN)
        assert getattr(caught.value, "status", None) == 401


def test_a_session_signs_with_a_key_of_its_own() -> None:
    """The key pair follows from the temporary secret and the temporary id."""
    one = signed_by_crt(PLAIN, "sigv4a", "header", token="token")
    principal = authenticated(one, access_key=KEY, now=THEN, open_session=session_of)
    assert principal.credential is not None
    assert principal.credential.kind == "sts"
    with pytest.raises(InvalidClientTokenId):
        authenticated(one, access_key=KEY, now=THEN, open_session=lambda _: None)


def test_an_unknown_key_and_a_wrong_secret_are_told_apart_by_nothing_but_the_code() -> None:
    """Both take the same steps: a key pair is derived and a signature checked."""
    one = signed_by_crt(PLAIN, "sigv4a", "header")
    with (
        mock.patch.object(sigv4a, "public_key", wraps=sigv4a.public_key) as derived,
        mock.patch.object(sigv4a, "is_signature", wraps=sigv4a.is_signature) as checked,
    ):
        with pytest.raises(InvalidClientTokenId):
            authenticated(one, access_key=None, now=THEN)
        assert (derived.call_count, checked.call_count) == (1, 1)


def test_the_public_key_is_derived_once() -> None:
    """It is remembered with the caller, for every day, region and service of one set."""
    callers = Callers()
    with mock.patch.object(sigv4a, "public_key", wraps=sigv4a.public_key) as derived:
        for _ in range(3):
            assert (
                authenticated(signed_by_crt(PLAIN, "sigv4a", "header"), access_key=KEY, now=THEN, callers=callers)
                == ALICE
            )
    assert derived.call_count == 1


def test_a_remembered_key_pair_is_no_remembered_signing_key() -> None:
    """One caller with both algorithms has two entries."""
    callers = Callers()
    for algorithm in ("sigv4", "sigv4a", "sigv4", "sigv4a"):
        one = signed_by_crt(PLAIN, algorithm, "header")
        assert authenticated(one, access_key=KEY, now=THEN, callers=callers) == ALICE
    assert len(callers) == 2


def test_a_candidate_over_the_order_of_the_curve_is_passed_over() -> None:
    """The next block of the KDF is taken; the first fits but for one in 2^32 secrets."""
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


def test_the_twin_of_a_signature_is_a_replay() -> None:
    """From (r, s) anybody can make (r, n - s), which verifies too; it is the same signature sent again."""
    one = signed_by_crt(PLAIN, "sigv4a", "header")
    [text] = one.request.values(b"authorization")
    signature = credential_of(one).signature
    r, s = decode_dss_signature(bytes.fromhex(signature))
    twin = with_header(
        one, b"authorization", text.replace(signature.encode(), encode_dss_signature(r, ORDER - s).hex().encode())
    )
    assert authenticated(twin, access_key=KEY, now=THEN) == ALICE
    replays = SignatureReplays(10)
    assert authenticated(one, access_key=KEY, now=THEN, replays=replays) == ALICE
    with pytest.raises(SignatureDoesNotMatch, match="used before"):
        authenticated(twin, access_key=KEY, now=THEN, replays=replays)

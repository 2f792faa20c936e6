"""Verify what a browser answers for a passkey, with the library `webauthn`, which only the extra `console` has.

It takes a while to import, so this module is loaded with the first answer.
"""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.authn.people.second_factors.passkey_challenges import ALGORITHMS
from iam_guard.imports import requires_extra

with requires_extra("console", "a passkey"):
    from webauthn import verify_authentication_response, verify_registration_response
    from webauthn.helpers import bytes_to_base64url, parse_registration_credential_json
    from webauthn.helpers.cose import COSEAlgorithmIdentifier
    from webauthn.helpers.structs import CredentialDeviceType


class EnrolledKey(NamedTuple):
    """A key that an authenticator made. `is_synced`: it may be copied to other devices of its owner."""

    id: str
    public_key: bytes
    sign_count: int
    transports: list[str]
    is_synced: bool


class UsedKey(NamedTuple):
    """What an authenticator reports about a key with a valid signature."""

    sign_count: int
    is_synced: bool


def enrolled_key(text: str, challenge: bytes, rp_id: str, origin: str, *, verified_user: bool) -> EnrolledKey:
    """Return the key of an answer to creation options. Raises an error of any kind for one that is not valid."""
    credential = parse_registration_credential_json(text)
    found = verify_registration_response(
        credential=credential,
        expected_challenge=challenge,
        expected_rp_id=rp_id,
        expected_origin=origin,
        require_user_verification=verified_user,
        supported_pub_key_algs=[COSEAlgorithmIdentifier(number) for number in ALGORITHMS],
    )
    id = bytes_to_base64url(found.credential_id)
    if id != credential.id:
        raise ValueError("expected the key with the id of the answer")
    transports = [transport.value for transport in credential.response.transports or ()]
    is_synced = found.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    return EnrolledKey(id, found.credential_public_key, found.sign_count, transports, is_synced)


def used_key(
    text: str, challenge: bytes, rp_id: str, origin: str, *, public_key: bytes, verified_user: bool
) -> UsedKey:
    """Return what an answer to request options says. Raises an error of any kind for one that is not valid.

    The caller compares the counter, so that a copied key is recorded as what it is.
    """
    found = verify_authentication_response(
        credential=text,
        expected_challenge=challenge,
        expected_rp_id=rp_id,
        expected_origin=origin,
        credential_public_key=public_key,
        credential_current_sign_count=0,
        require_user_verification=verified_user,
    )
    return UsedKey(found.new_sign_count, found.credential_device_type is CredentialDeviceType.MULTI_DEVICE)

"""DecodeAuthorizationMessage: what a refusal meant, for who may know it (rule S-36)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.sts.sts_errors import InvalidAuthorizationMessage
from iam_guard.store.sealed_messages import read_message


def decode_authorization_message(call: ServiceCall, given: Input) -> Output:
    """Open a message that belongs to the caller's account. Raises `InvalidAuthorizationMessage`."""
    message = read_message(given["EncodedMessage"], call.account, call.sealer)
    if message is None:
        raise InvalidAuthorizationMessage("Message is not valid")
    return {"DecodedMessage": message}

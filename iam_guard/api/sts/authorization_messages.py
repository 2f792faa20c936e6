"""DecodeAuthorizationMessage: the details of a denial, for callers with permission to see them (S-36)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.service_errors import InvalidAuthorizationMessage
from iam_guard.store.sealed_messages import read_message


def decode_authorization_message(call: ServiceCall, parameters: Input) -> Output:
    """Decrypt a message of the caller's account. Raises `InvalidAuthorizationMessage`."""
    message = read_message(parameters["EncodedMessage"], call.account, call.sealer)
    if message is None:
        raise InvalidAuthorizationMessage("Message is not valid")
    return {"DecodedMessage": message}

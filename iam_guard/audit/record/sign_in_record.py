"""The record of a step of a sign-in, as CloudTrail has it: `signin.amazonaws.com`, `AwsConsoleSignIn`.

A failure does not say what was wrong. A typed name is never recorded unless it is a person's (it may be
a password). Pure, like `record`.
"""

from __future__ import annotations

from typing import Final

from iam_guard.audit.record.identity import present, user_identity
from iam_guard.audit.record.record import Stamp, envelope, extension
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent

SIGN_IN: Final = "sign_in"
HIDDEN: Final = "HIDDEN_DUE_TO_SECURITY_REASONS"
FAILED: Final = "Failed authentication"


def sign_in_record(event: SignInEvent, call: Call | None, stamp: Stamp) -> dict[str, object]:
    """Return the record of a step of a sign-in."""
    record = envelope(f"signin:{event.name}", call, stamp)
    principal = event.principal
    account = event.account if principal is None else principal.account
    unknown: dict[str, object] = {
        "type": "IAMUser",
        "principalId": "",
        "accountId": account,
        "accessKeyId": "",
        "userName": HIDDEN,
    }
    record["userIdentity"] = present(unknown) if principal is None else user_identity(principal)
    record["requestParameters"] = None
    record["responseElements"] = {event.name: "Success" if event.succeeded else "Failure"}
    if not event.succeeded:
        record["errorMessage"] = FAILED
    record["readOnly"] = False
    record["eventType"] = "AwsConsoleSignIn"
    record["recipientAccountId"] = account
    if event.facts:
        record["additionalEventData"] = dict(event.facts)
    record["iamGuard"] = extension(SIGN_IN, stamp, {"enforced": True})
    return record

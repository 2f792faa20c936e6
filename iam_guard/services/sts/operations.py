"""The table of STS: who the caller is. Must not live here: issuing credentials."""

from __future__ import annotations

from iam_guard.services.call import Input, Output, ServiceCall
from iam_guard.services.operation import Operation, Service


def get_caller_identity(call: ServiceCall, given: Input) -> Output:
    """Say who calls; nobody needs permission for that, and nobody can be denied it (rules E-66, K-11)."""
    return {"UserId": call.caller.userid or call.account, "Account": call.account, "Arn": call.caller.arn}


STS = Service("sts", {"GetCallerIdentity": Operation(get_caller_identity, reads=True)})

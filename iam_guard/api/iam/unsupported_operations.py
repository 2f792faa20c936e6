"""Operations that exist only inside AWS, with the reasons for callers and the documentation.

They are authorized like all others, so that a denied caller doesn't get the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple, NoReturn

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.authorization_targets import key_from_member, principal_target
from iam_guard.api.operation import Keys, KeySource, Operation, Target, all_resources
from iam_guard.errors import NotSupported
from iam_guard.model.context import Given
from iam_guard.model.request import Resource


class UnsupportedOperation(NamedTuple):
    """Why an operation is not supported, and what is authorized."""

    reason: str
    target: Target = all_resources
    keys: tuple[KeySource, ...] = ()


def _delegation_request(call: ServiceCall, parameters: Input) -> Resource:
    """Return a delegation request by its id, or all of them."""
    return call.resource(call.arn("delegation-request", "/", parameters.get("DelegationRequestId", "*")))


def _delegation_keys(call: ServiceCall, parameters: Input) -> Keys:
    """Return the condition keys of a new delegation request."""
    keys: dict[str, Given] = {
        "iam:DelegationDuration": parameters["SessionDuration"],
        "iam:NotificationChannel": parameters["NotificationChannel"],
    }
    template = parameters["Permissions"].get("PolicyTemplateArn")
    return keys if template is None else {**keys, "iam:TemplateArn": template}


_DELEGATION: Final = (
    "only partners that AWS has onboarded make delegation requests, for permissions registered with AWS, and only "
    "AWS's console and notification service issue the tokens"
)
_TEMPLATES: Final = "only AWS services create role templates"
_SUMMARY: Final = "a language model in AWS writes the summary of a delegation request"
_OWNER: Final = key_from_member("iam:DelegationRequestOwner", "OwnerId")

_UNSUPPORTED: Final[Mapping[str, UnsupportedOperation]] = {
    "AcceptDelegationRequest": UnsupportedOperation(_DELEGATION, _delegation_request),
    "AcquireRole": UnsupportedOperation(_TEMPLATES),
    "AssociateDelegationRequest": UnsupportedOperation(_DELEGATION, _delegation_request),
    "CreateDelegationRequest": UnsupportedOperation(_DELEGATION, _delegation_request, (_delegation_keys,)),
    "GetDelegationRequest": UnsupportedOperation(_DELEGATION, _delegation_request),
    "GetHumanReadableSummary": UnsupportedOperation(_SUMMARY, principal_target("EntityArn")),
    "GetRoleTemplateVersion": UnsupportedOperation(_TEMPLATES),
    "ListDelegationRequests": UnsupportedOperation(_DELEGATION, keys=(_OWNER,)),
    "RejectDelegationRequest": UnsupportedOperation(_DELEGATION, _delegation_request),
    "SendDelegationToken": UnsupportedOperation(_DELEGATION, _delegation_request),
    "UpdateDelegationRequest": UnsupportedOperation(_DELEGATION, _delegation_request),
}

NOT_SUPPORTED: Final[Mapping[str, str]] = {name: row.reason for name, row in _UNSUPPORTED.items()}
"""Operation -> why it is not supported."""


def _refuse(name: str, call: ServiceCall, parameters: Input) -> NoReturn:
    raise NotSupported(f"The operation {name} is not supported: {NOT_SUPPORTED[name]}.")


ROWS: Final[Mapping[str, Operation]] = {
    name: Operation(partial(_refuse, name), row.target, row.keys, reads=True) for name, row in _UNSUPPORTED.items()
}

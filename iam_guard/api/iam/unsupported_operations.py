"""Operations that make sense inside AWS only: each with the reason, which its caller and the documentation are told.

They are authorized like all others, so that nobody without the permission hears more than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.operation import Handler, Keys, Target
from iam_guard.errors import NotSupported
from iam_guard.model.context import Given
from iam_guard.model.request import Resource

_DELEGATION: Final = (
    "a delegation request is made by a partner that Amazon has onboarded, on permissions that are registered there, "
    "and its token is handed out by AWS's own console and notification service"
)
_TEMPLATES: Final = "role templates are made and managed by services of AWS, and none of them is here"

NOT_SUPPORTED: Final[Mapping[str, str]] = {
    "AcceptDelegationRequest": _DELEGATION,
    "AcquireRole": _TEMPLATES,
    "AssociateDelegationRequest": _DELEGATION,
    "CreateDelegationRequest": _DELEGATION,
    "GetDelegationRequest": _DELEGATION,
    "GetHumanReadableSummary": "the summary of a delegation request is written by a language model of AWS",
    "GetRoleTemplateVersion": _TEMPLATES,
    "ListDelegationRequests": _DELEGATION,
    "RejectDelegationRequest": _DELEGATION,
    "SendDelegationToken": _DELEGATION,
    "UpdateDelegationRequest": _DELEGATION,
}
"""Operation -> why it is not supported."""


def unsupported(name: str) -> Handler:
    """Make the handler of an operation that is not supported."""

    def refuse(call: ServiceCall, given: Input) -> NoReturn:
        raise NotSupported(f"The operation {name} is not supported: {NOT_SUPPORTED[name]}.")

    return refuse


def delegation_request(member: str | None) -> Target:
    """Return a delegation request by its id, or all that could be."""

    def target(call: ServiceCall, given: Input) -> Resource:
        id = given[member] if member else "*"
        return Resource(f"arn:{call.partition}:iam::{call.account}:delegation-request/{id}", account=call.account)

    return target


def delegation_keys(call: ServiceCall, given: Input) -> Keys:
    """Return the condition keys that the making of a delegation request has."""
    keys: dict[str, Given] = {
        "iam:DelegationDuration": given["SessionDuration"],
        "iam:NotificationChannel": given["NotificationChannel"],
    }
    template = given["Permissions"].get("PolicyTemplateArn")
    return keys if template is None else {**keys, "iam:TemplateArn": template}

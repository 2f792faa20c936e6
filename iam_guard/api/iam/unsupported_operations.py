"""Operations that exist only inside AWS, with the reasons for callers and the documentation.

They are authorized like all others, so that a denied caller doesn't get the reason.
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
    "a delegation request is made by a partner that Amazon has onboarded, for permissions that are registered there, "
    "and its token is issued by AWS's own console and notification service"
)
_TEMPLATES: Final = "role templates are created and managed by AWS services, none of which exists here"

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
    """Return the handler of an unsupported operation."""

    def refuse(call: ServiceCall, parameters: Input) -> NoReturn:
        raise NotSupported(f"The operation {name} is not supported: {NOT_SUPPORTED[name]}.")

    return refuse


def delegation_request(member: str | None) -> Target:
    """Return a delegation request by its id, or all of them."""

    def target(call: ServiceCall, parameters: Input) -> Resource:
        id = parameters[member] if member else "*"
        return Resource(f"arn:{call.partition}:iam::{call.account}:delegation-request/{id}", account=call.account)

    return target


def delegation_keys(call: ServiceCall, parameters: Input) -> Keys:
    """Return the condition keys of a new delegation request."""
    keys: dict[str, Given] = {
        "iam:DelegationDuration": parameters["SessionDuration"],
        "iam:NotificationChannel": parameters["NotificationChannel"],
    }
    template = parameters["Permissions"].get("PolicyTemplateArn")
    return keys if template is None else {**keys, "iam:TemplateArn": template}

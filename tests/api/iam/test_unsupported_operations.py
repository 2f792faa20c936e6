"""Unsupported operations: authorized, then rejected with the reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from botocore import xform_name

from iam_guard.api.iam.table import account_rows
from iam_guard.api.iam.unsupported_operations import NOT_SUPPORTED
from tests.api.conftest import ACCOUNT, allow

Refused = Callable[..., AbstractContextManager[None]]

ID = "dr-0123456789abcdef"
REQUEST = f"arn:aws:iam::{ACCOUNT}:delegation-request/{ID}"
TEMPLATE = "arn:aws:iam::aws:role-template/example"
PARAMETERS: dict[str, dict[str, Any]] = {
    "AcquireRole": {"TemplateArn": TEMPLATE},
    "CreateDelegationRequest": {
        "Description": "d",
        "Permissions": {"PolicyTemplateArn": TEMPLATE},
        "RequestorWorkflowId": "workflow",
        "NotificationChannel": "arn:aws:sns:us-east-1:111122223333:topic",
        "SessionDuration": 3600,
    },
    "GetHumanReadableSummary": {"EntityArn": REQUEST},
    "GetRoleTemplateVersion": {"TemplateArn": TEMPLATE},
    "ListDelegationRequests": {"OwnerId": f"arn:aws:iam::{ACCOUNT}:user/admin"},
}


def call(client: Any, operation: str) -> None:
    parameters = PARAMETERS.get(operation, {"DelegationRequestId": ID})
    getattr(client, xform_name(operation))(**parameters)


@pytest.mark.parametrize("operation", NOT_SUPPORTED)
def test_unsupported_operation_has_its_reason(iam: Any, refused: Refused, operation: str) -> None:
    with refused("NotSupported", f"The operation {operation} is not supported: {NOT_SUPPORTED[operation]}.", 400):
        call(iam, operation)


@pytest.mark.parametrize("operation", NOT_SUPPORTED)
def test_unsupported_operation_is_authorized_first(
    client_for: Callable[..., Any], refused: Refused, operation: str
) -> None:
    """A denied caller doesn't get the reason."""
    with refused("AccessDenied", f"iam:{operation}", 403):
        call(client_for("nobody"), operation)
    with refused("NotSupported"):
        call(client_for("somebody", allow(f"iam:{operation}")), operation)


def test_delegation_request_is_the_resource(client_for: Callable[..., Any], refused: Refused) -> None:
    """As in the service authorization reference, with the keys for creating one."""
    for operation in NOT_SUPPORTED:
        if operation not in PARAMETERS:
            with refused("AccessDenied", f"iam:{operation} on resource: {REQUEST} "):
                call(client_for("nobody"), operation)
    short = {"NumericLessThanEquals": {"iam:DelegationDuration": "3600"}}
    with refused("NotSupported"):
        call(client_for("short", allow("iam:CreateDelegationRequest", **short)), "CreateDelegationRequest")
    shorter = {"NumericLessThan": {"iam:DelegationDuration": "3600"}}
    with refused("AccessDenied"):
        call(client_for("shorter", allow("iam:CreateDelegationRequest", **shorter)), "CreateDelegationRequest")


def test_every_reason_has_a_row() -> None:
    """Its operation is in the table of the account's operations."""
    assert set(NOT_SUPPORTED) <= set(account_rows.ROWS)

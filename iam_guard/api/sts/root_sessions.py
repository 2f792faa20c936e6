"""AssumeRoot: a session of a member account's root user, for one task, from the management account (S-35, R-3).

The organization is what lets a management account in, as a trust policy lets callers assume a role: the decision is
about the member account's root user, with a policy of its own for as long as root sessions are enabled. So a refusal is
the same whether the account exists, is a member, or has the feature. The session is the root user, limited to the task
by AWS's policy for it. There are no delegated administrators here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.organization_features import SESSIONS
from iam_guard.api.operation import Keys, not_authorized
from iam_guard.api.organization_position import find_place
from iam_guard.api.session_limits import issued_to
from iam_guard.api.sts.credentials import Terms, frozen_keys, issue
from iam_guard.api.sts.session_policies import default_text
from iam_guard.errors import AccessDenied, InvalidInput, ValidationError
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import AWS_MANAGED, iam_arn, root_arn
from iam_guard.store.task_policies import PATH, TASK_POLICIES

MAX_SECONDS: Final = 900
_EVERYTHING: Final = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
"""What the root user may do, of which the task's policy takes all but the task."""


def root_to_assume(call: ServiceCall, given: Input) -> Resource:
    """Return the member account's root user, with the policy that lets the management account in.

    Raises what a call is refused with whichever account it names.
    """
    if call.is_root:
        raise AccessDenied("Root users may not call AssumeRoot.")
    account = _target_account(call, given)
    arn = root_arn(call.partition, account)
    if account == call.account:
        raise not_authorized(call.caller, "sts:AssumeRoot", arn)  # a management account is no member
    return Resource(arn, account=account, policy=_let_in(call) if _may_enter(call, account) else None)


def root_keys(call: ServiceCall, given: Input) -> Keys:
    """Return the condition key of the task."""
    return {"sts:TaskPolicyArn": _task_arn(call, given)}


def assume_root(call: ServiceCall, given: Input) -> Output:
    """Make a session of a root user for a caller who may."""
    account = _target_account(call, given)
    arn = root_arn(call.partition, account)
    if not _may_enter(call, account):  # INVARIANT: whom the organization does not let in was refused
        raise not_authorized(call.caller, "sts:AssumeRoot", arn)
    issued = issued_to(call.caller)
    identity = None if issued is None else issued.source_identity
    principal = Principal(
        PrincipalType.ROOT,
        arn,
        account,
        userid=account,
        session=frozen_keys(call, {"aws:AssumedRoot": True, "aws:SourceIdentity": identity}),
        session_policies=(_EVERYTHING, default_text(replace(call, account=account), _task_arn(call, given))),
    )
    terms = Terms(given.get("DurationSeconds", MAX_SECONDS), source_identity=identity)
    return {**issue(call, given, principal, terms).members, "SourceIdentity": identity}


def _task_arn(call: ServiceCall, given: Input) -> str:
    arn: str = given["TaskPolicyArn"].get("arn", "")
    if arn not in {iam_arn(call.partition, AWS_MANAGED, "policy", PATH, name) for name in TASK_POLICIES}:
        raise ValidationError("The task policy must be one of AWS's policies for root tasks.", place="TaskPolicyArn")
    return arn


def _target_account(call: ServiceCall, given: Input) -> str:
    target: str = given["TargetPrincipal"]
    if is_account_id(target):
        return target
    try:
        arn = Arn.parse(target)
    except InvalidInput:
        arn = None
    if arn is None or not is_account_id(arn.account) or target != root_arn(call.partition, arn.account):
        raise ValidationError("The target must be an account, or the ARN of its root user.", place="TargetPrincipal")
    return arn.account


def _may_enter(call: ServiceCall, account: str) -> bool:
    """Return whether the caller's account manages the organization of another one that has root sessions."""
    place = find_place(call, account)
    return (
        place is not None
        and account != call.account
        and place.organization["management_account"] == call.account
        and SESSIONS in (place.organization["root_features"] or ())
    )


def _let_in(call: ServiceCall) -> str:
    statement: Mapping[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": root_arn(call.partition, call.account)},
        "Action": "sts:AssumeRoot",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement})

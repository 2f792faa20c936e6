"""AssumeRoot: a session of a member account's root user for one task, from the management account (S-35, R-3).

The organization admits its management account as a trust policy admits callers: the resource is the member account's
root user, with a generated policy while root sessions are enabled. So a denial doesn't reveal whether the account
exists, is a member, or has the feature. The session is the root user, limited by AWS's policy for the task. Delegated
administrators are not supported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.account.organization_features import SESSIONS
from iam_guard.api.iam.entities import parsed_arn
from iam_guard.api.operation import Keys, not_authorized
from iam_guard.api.organization_position import find_position
from iam_guard.api.session_limits import own_source_identity
from iam_guard.api.sts.credentials import SessionTerms, issue, session_keys
from iam_guard.api.sts.session_policies import default_text
from iam_guard.errors import AccessDenied, ValidationError
from iam_guard.model.arn import is_account_id
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import AWS_MANAGED, iam_arn, root_arn
from iam_guard.store.policies.task_policies import PATH, TASK_POLICIES

MAX_SECONDS: Final = 900
_ALLOW_ALL: Final = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
"""The root user's permissions, which the task's policy restricts."""


def root_to_assume(call: ServiceCall, parameters: Input) -> Resource:
    """Return the member account's root user, with the policy that admits the management account.

    Raises the errors that don't depend on the account.
    """
    if call.is_root:
        raise AccessDenied("Root users may not call AssumeRoot.")
    account = _target_account(call, parameters)
    arn = root_arn(call.partition, account)
    if account == call.account:
        raise not_authorized(call.caller, "sts:AssumeRoot", arn)  # the management account is no member
    policy = _admission_policy(call) if _manages_root_sessions(call, account) else None
    return Resource(arn, account=account, policy=policy)


def root_keys(call: ServiceCall, parameters: Input) -> Keys:
    """Return the condition key of the task policy."""
    return {"sts:TaskPolicyArn": _task_arn(call, parameters)}


def assume_root(call: ServiceCall, parameters: Input) -> Output:
    """Issue credentials for a session of a root user."""
    account = _target_account(call, parameters)
    arn = root_arn(call.partition, account)
    if not _manages_root_sessions(call, account):  # INVARIANT: such a call was denied
        raise not_authorized(call.caller, "sts:AssumeRoot", arn)
    identity = own_source_identity(call.caller)
    principal = Principal(
        PrincipalType.ROOT,
        arn,
        account,
        userid=account,
        session=session_keys(call, {"aws:AssumedRoot": True, "aws:SourceIdentity": identity}),
        session_policies=(_ALLOW_ALL, default_text(replace(call, account=account), _task_arn(call, parameters))),
    )
    terms = SessionTerms(parameters.get("DurationSeconds", MAX_SECONDS), source_identity=identity)
    return {**issue(call, parameters, principal, terms).members, "SourceIdentity": identity}


def _task_arn(call: ServiceCall, parameters: Input) -> str:
    arn: str = parameters["TaskPolicyArn"].get("arn", "")
    if arn not in {iam_arn(call.partition, AWS_MANAGED, "policy", PATH, name) for name in TASK_POLICIES}:
        raise ValidationError("The task policy must be one of AWS's policies for root tasks.", place="TaskPolicyArn")
    return arn


def _target_account(call: ServiceCall, parameters: Input) -> str:
    target: str = parameters["TargetPrincipal"]
    if is_account_id(target):
        return target
    arn = parsed_arn(target)
    if arn is None or not is_account_id(arn.account) or target != root_arn(call.partition, arn.account):
        raise ValidationError("The target must be an account, or the ARN of its root user.", place="TargetPrincipal")
    return arn.account


def _manages_root_sessions(call: ServiceCall, account: str) -> bool:
    """Return whether the caller's account manages the other account's organization, which has root sessions enabled."""
    position = find_position(call, account)
    return (
        position is not None
        and account != call.account
        and position.organization["management_account"] == call.account
        and SESSIONS in (position.organization["root_features"] or ())
    )


def _admission_policy(call: ServiceCall) -> str:
    statement: Mapping[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": call.root_arn},
        "Action": "sts:AssumeRoot",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement})

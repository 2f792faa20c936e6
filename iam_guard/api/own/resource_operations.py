"""The policies of an account's resources in the store, and shares in them.

A resource is the account's if its ARN says so: one without an account in its ARN is the application's to administer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.administration.sharing import ResourceSharing, grantee_arguments
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Digests, Keys, OperationRequest
from iam_guard.api.own.call_store import Edits, previewed, resource_policies_of, sharing_of
from iam_guard.api.paging import page_of_sorted
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.arn import account_of, is_iam_or_sts
from iam_guard.model.request import Resource
from iam_guard.policy.share_statements import Share
from iam_guard.store.schema import resources


def put_resource_policy(call: ServiceCall, parameters: Input) -> None:
    """Attach a policy to a resource. Raises `InvalidInput`, `PolicyError`, `LimitExceeded`, `AccountStateConflict`."""
    resource_policies_of(call).put(sharing_of(call).require_stored(parameters["resourceArn"]), parameters["policy"])


def get_resource_policy(call: ServiceCall, parameters: Input) -> Output:
    """Return the policy of a resource. Raises `NoSuchEntity`."""
    text = resource_policies_of(call).get(parameters["resourceArn"])
    if text is None:
        raise NoSuchEntity("The resource has no policy.")
    return {"policy": text}


def delete_resource_policy(call: ServiceCall, parameters: Input) -> None:
    """Delete the policy of a resource. Raises `NoSuchEntity`."""
    resource_policies_of(call).delete(parameters["resourceArn"])


def list_resource_policies(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the resources of the account that have a policy, by ARN."""
    policies = resource_policies_of(call)

    def fetch(after: str | None, limit: int) -> list[str]:
        return [policy.arn for policy in policies.list(account=call.account, after=after, limit=limit)]

    page = page_of_sorted(parameters, fetch, str)
    return {"resourceArns": page.rows, **page.members}


def share_resource(call: ServiceCall, parameters: Input) -> Output:
    """Allow a grantee some actions on a resource. Raises what `guard.sharing.share` raises."""
    return {"share": _described(_share(sharing_of(call), parameters))}


def unshare_resource(call: ServiceCall, parameters: Input) -> Output:
    """Take actions from a grantee, or all. Raises what `guard.sharing.unshare` raises."""
    return {"shares": [_described(share) for share in _unshare(sharing_of(call), parameters)]}


def prepare_share(request: OperationRequest, account: str, parameters: Input) -> Edits:
    """Return the edit of the policy that a call makes. Raises what the call raises."""
    change = _share if request.name == "ShareResource" else _unshare
    with request.store.read_transaction() as records:
        call = request.call(account, None, records)
        return previewed(call, parameters["resourceArn"], lambda sharing: change(sharing, parameters))


def _share(sharing: ResourceSharing, parameters: Input) -> Share:
    grantee = grantee_arguments(parameters["grantee"])
    return sharing.share(parameters["resourceArn"], **grantee, actions=parameters["actions"])


def _unshare(sharing: ResourceSharing, parameters: Input) -> list[Share]:
    grantee = grantee_arguments(parameters["grantee"])
    return sharing.unshare(parameters["resourceArn"], **grantee, actions=parameters.get("actions"))


def list_shares(call: ServiceCall, parameters: Input) -> Output:
    """Return what the policy of a resource grants to whom."""
    return {"shares": [_described(share) for share in sharing_of(call).shares_of(parameters["resourceArn"])]}


def own_resource(call: ServiceCall, parameters: Input) -> Resource:
    """Return the resource of a call. Raises `InvalidInput` for one that is not the account's by its ARN."""
    arn: str = parameters["resourceArn"]
    if account_of(arn) != call.account or is_iam_or_sts(arn) or "*" in arn or "?" in arn:
        message = f"expected the ARN of one resource of the application with the account {call.account}"
        raise InvalidInput(message, place="resourceArn")
    described = sharing_of(call).described(arn)
    return Resource(arn, account=call.account, tags=described.tags, keys=described.keys)


def grantee_key(call: ServiceCall, parameters: Input) -> Keys:
    """Return the condition key with the grantee of a share."""
    return {"iam-guard:Grantee": parameters["grantee"]}


def _digest(call: ServiceCall, parameters: Mapping[str, Any]) -> str | None:
    row = call.records.one(resources, arn=parameters["resourceArn"])
    return None if row is None else row["digest"]


POLICY_DIGESTS = Digests(_digest, _digest)


def _described(share: Share) -> Output:
    return {
        "grantee": share.grantee,
        "actions": list(share.actions),
        "isWrittenByHand": share.is_written_by_hand,
    }

"""How the evaluator judges one document alone, as the only policy of its kind.

An identity-based policy belongs to the caller, and the resource to the caller's account, which leaves access to
identity policies (so keys and roles, which need a policy, are no exception, E-42). A resource-based policy belongs to
the resource: a caller of another account is allowed by its own side, one of the resource's account has no policy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy, compile_policy
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST

_EVERYTHING = {"Version": LATEST, "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_OTHER_SIDE = bundle(identity=[_EVERYTHING])
_SESSION_ALLOWED = bundle(identity=[_EVERYTHING], session=[_EVERYTHING])

IsAllowed = Callable[[AccessRequest], bool]


def judge(document: CompiledDocument) -> IsAllowed:
    """Return the function that decides a request with a document alone; its type is identity or resource."""
    kind = document.document.type
    layer = Layer([CompiledPolicy(PolicyRef("the policy", kind), document)])
    if kind is PolicyType.IDENTITY:
        return lambda request: decide(request, Bundle(identity=layer, resource=_delegating(_owner(request)))).allowed
    return lambda request: decide(request, _with_own_side(request, layer)).allowed


def _owner(request: AccessRequest) -> str:
    return request.owner or request.principal.account or "*"


@lru_cache(maxsize=1024)
def _delegating(account: str) -> Layer:
    """Return the policy of a resource that leaves access to the identity policies of its account."""
    source = {
        "Version": LATEST,
        "Statement": {"Effect": "Allow", "Principal": {"AWS": account}} | {"Action": "*", "Resource": "*"},
    }
    return Layer([compile_policy(source, PolicyRef("the resource's policy", PolicyType.RESOURCE))])


def _with_own_side(request: AccessRequest, layer: Layer) -> Bundle:
    owner = request.owner
    if request.principal.account is None or owner is None or owner == request.principal.account:
        return Bundle(resource=layer)
    own = _SESSION_ALLOWED if request.principal.type is PrincipalType.FEDERATED_USER else _OTHER_SIDE
    return Bundle(identity=own.identity, session=own.session, resource=layer)

"""How tests name a principal: by its ARN, mostly."""

from __future__ import annotations

from iam_guard.model.arn import Arn
from iam_guard.model.principal import Principal

_SESSION = "test"


def principal_named(given: Principal | str) -> Principal:
    """Return the principal that a test means: itself, the ARN of one, `anonymous`, or a service's name.

    The ARN of a role stands for a session of it, called `test`. Raises `InvalidInput` for anything else.
    """
    if isinstance(given, Principal):
        return given
    if given == "anonymous":
        return Principal.anonymous()
    if not given.startswith("arn:") and given.endswith(".amazonaws.com"):
        return Principal.service(given)
    arn = Arn.parse(given)
    if arn.service == "iam" and arn.resource.startswith("role/"):
        name = arn.resource.rsplit("/", 1)[-1]
        session = f"arn:{arn.partition}:sts::{arn.account}:assumed-role/{name}/{_SESSION}"
        return Principal.from_arn(session, role_arn=given)
    return Principal.from_arn(given)

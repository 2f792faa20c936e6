"""Names of principals in tests."""

from __future__ import annotations

from iam_guard.model.arn import Arn
from iam_guard.model.principal import Principal

_SESSION = "test"


def principal_named(name: Principal | str) -> Principal:
    """Return the principal that a name means: a principal itself, an ARN, `anonymous`, or a service's name.

    The ARN of a role means a session of it, named `test`. Raises `InvalidInput` for any other name.
    """
    if isinstance(name, Principal):
        return name
    if name == "anonymous":
        return Principal.anonymous()
    if not name.startswith("arn:") and name.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return Principal.service(name)
    arn = Arn.parse(name)
    if arn.service == "iam" and arn.resource.startswith("role/"):
        role = arn.resource.rsplit("/", 1)[-1]
        session = f"arn:{arn.partition}:sts::{arn.account}:assumed-role/{role}/{_SESSION}"
        return Principal.from_arn(session, role_arn=name)
    return Principal.from_arn(name)

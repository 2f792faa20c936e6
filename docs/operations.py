"""The rows of the page about the IAM API, computed from the permissions of each row of the table of operations.

The targets are computed with a store in which every named entity exists, and with names in braces; so the page shows
what the code does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from iam_guard.api.call import ApiServer, ServiceCall
from iam_guard.api.iam.operations import IAM
from iam_guard.api.iam.unsupported_operations import NOT_SUPPORTED
from iam_guard.api.operation import Operation, Permission
from iam_guard.api.protocol.service_model import Shape, load_api
from iam_guard.model.principal import Principal
from iam_guard.store.database.records import Records, Table
from iam_guard.store.protocol import RecordStore
from iam_guard.store.sealing import Sealer

ACCOUNT = "{account}"
_CALLER = Principal.from_arn("arn:aws:iam::111122223333:user/caller")


class Everything:
    """Records in which every entity exists, under the requested name."""

    def one(self, table: Table, **where: Any) -> Mapping[str, Any] | None:
        if table.name == "password_policies":
            return None
        name = where.get("folded", "{name}")
        row: dict[str, Any] = {column.name: "{" + column.name + "}" for column in table.columns}
        return row | {"path": "/", "name": name, "kind": where.get("kind", "user"), "account": ACCOUNT, "tags": {}}

    def all(self, table: Table, **where: Any) -> Sequence[Mapping[str, Any]]:
        return []

    def count(self, table: Table, **where: Any) -> int:
        return 0


def operation_rows() -> list[tuple[str, str, str, str]]:
    """Yield for each supported operation: name, resource, condition keys, further permissions."""
    rows = [(name, *_asked(name, row)) for name, row in sorted(IAM.operations.items()) if name not in NOT_SUPPORTED]
    return [(f"`{name}`", resource, keys, further) for name, resource, keys, further in rows]


class Asked(NamedTuple):
    """The permissions of a row: the ARN that it is decided about, its condition keys, further permissions."""

    given: Mapping[str, Any]
    resource: str
    keys: Sequence[str]
    further: Sequence[Permission]


def ask(name: str, row: Operation, service: str = "iam") -> Asked:
    """Return the permissions of a row of a service for a call with every member of its input."""
    shape = load_api(service).operations[name].input
    given = {} if shape is None else {member: _placeholder(member, each) for member, each in shape.members.items()}
    store = SimpleNamespace(partition="aws", sealer=Sealer([bytes(32)]), ids=lambda prefix, _: prefix)
    call = ServiceCall(ApiServer(cast(RecordStore, store)), _CALLER, ACCOUNT, 0, cast(Records, Everything()))
    keys = sorted({key.partition("/{")[0] for source in row.keys for key in source(call, given)}, key=str.lower)
    further = [permission for more in row.further for permission in more(call, given)]
    return Asked(given, row.target(call, given).arn, keys, further)


def _asked(name: str, row: Operation) -> tuple[str, str, str]:
    asked = ask(name, row)
    shown = [f"`{each.action}` on {_shown(each.resource.arn, asked.given)}" for each in asked.further]
    keys = ", ".join(f"`{_with_tag(key)}`" for key in asked.keys)
    return _shown(asked.resource, asked.given), keys, "; ".join(shown)


_EXAMPLES = {"DeletionTaskId": "task/aws-service-role/SERVICE/ROLE/00000000-0000-0000-0000-000000000000"}
"""Members with a special format."""


def _placeholder(member: str, shape: Shape) -> Any:
    match shape.kind:
        case "list" if shape.element.kind == "structure":
            return [{name: "{" + name.lower() + "}" for name in shape.element.members}]
        case "list":
            return ["{" + member + "}"]
        case "string" if member in _EXAMPLES:
            return _EXAMPLES[member]
        case "string" if member in ("Path", "NewPath"):
            return "/"
        case "string" if member.endswith(("Arn", "SerialNumber")):
            return "arn:aws:iam::{account}:{" + member + "}"
        case "string":
            return "{" + member + "}"
        case "map":
            return {"{" + member + "}": "{value}"}
        case "structure":
            return {}
        case _:
            return 1


def _with_tag(key: str) -> str:
    return f"{key}/…" if key == "aws:RequestTag" else key


def _shown(arn: str, given: Mapping[str, Any]) -> str:
    """Return the resource part, as in AWS's tables; an ARN from the input is shown as its member."""
    rest = arn if arn == "*" else arn.split(":", 5)[5]
    for member in given:  # names were folded to be looked for
        rest = rest.replace("{" + member.lower() + "}", "{" + member + "}")
    return f"`{rest}`"

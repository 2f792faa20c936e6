"""Which statements lists can be filtered by: what partial evaluation and the columns of a resource type translate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.matching.referenced_keys import distinct_keys, keys_of_statement
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.filters.tags import TAG
from iam_guard.model.arn import DEFAULT_LOCATION, Location
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest, Document, Statement

_ACCOUNT: Final = "111122223333"
_PRINCIPAL_TAG: Final = "aws:principaltag/"
_CALLER: Final = f"arn:aws:iam::{_ACCOUNT}:user/caller"
"""Also the value of every key that does not depend on the resource: a text, and an ARN."""


def untranslated(
    document: Document, statement: Statement, resource_type: ResourceMapping, dialect: str, partition: str = "aws"
) -> Iterator[tuple[ConditionTest | None, NotFilterable]]:
    """Yield what of a statement a list of the resource type cannot have: conditions, or None for its resources.

    `partition` is that of the application's ARNs.
    """
    account = resource_type.account or _ACCOUNT
    keys = [key.lower() for key in distinct_keys(keys_of_statement(statement, document.version))]
    tags = {key.removeprefix(_PRINCIPAL_TAG): _CALLER for key in keys if key.startswith(_PRINCIPAL_TAG)}
    principal = Principal(PrincipalType.USER, _CALLER, account, tags=tags)
    known = {
        key: _CALLER for key in keys if not (key in resource_type.open_keys or key.startswith((TAG, _PRINCIPAL_TAG)))
    }
    columns = resource_type.columns(dialect, resource_type.table)
    opened = OpenRequest(
        AccessRequest(principal, f"{resource_type.service}:List", "*", known),
        resource_type.arn(account, Location(partition, DEFAULT_LOCATION.region)),
        open_keys=resource_type.open_keys,
        has_tags=resource_type.has_tags,
    )
    yield from columns.decision(opened, known).untranslated(statement, document.version, document.type)

"""Add to a query the condition that its rows are allowed: partial evaluation, and the columns of a resource type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, TypeVar, cast

from sqlalchemy import Delete, FromClause, Select, Table, Update
from sqlalchemy.sql.selectable import Alias, Join

from iam_guard.errors import ConfigurationError
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.partial.formula import Formula, OneOf, Readable, all_of, any_of
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.evaluation.partial.text_matching import ACCOUNT
from iam_guard.filters.dialects import DIALECTS
from iam_guard.filters.rendering import Columns
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.model.arn import Location
from iam_guard.model.context import Given, Lazy
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest

_RESOURCE_ACCOUNT: Final = "aws:resourceaccount"
Source: TypeAlias = FromClause
ListStatement = TypeVar("ListStatement", bound="Select[Any] | Update | Delete")
"""A statement that can be filtered."""


def filter_statement(
    authorizer: Authorizer,
    principal: Principal,
    statement: ListStatement,
    action: str,
    *,
    resource_type: ResourceMapping,
    context: Mapping[str, Given | Lazy] | None = None,
    dialect: str,
    region: str = "us-east-1",
    partition: str = "aws",
) -> ListStatement:
    """Return the statement for the rows that the authorizer's policies allow the principal to do the action on.

    `statement` is a SELECT, UPDATE or DELETE of SQLAlchemy with the resource type's model, `dialect` is `sqlite` or
    `postgresql`. The rows are exactly those for whose resource `authorizer.decide(AccessRequest.for_resource(…))`
    allows. Raises `NotFilterable` for policies that can't be translated exactly, `ConfigurationError` for a statement
    without the model.
    """
    source = source_of(statement, resource_type)
    columns = resource_type.columns(checked_dialect(dialect), source)
    formula = list_formula(
        authorizer.policies,
        principal,
        action,
        resource_type,
        columns,
        context=context,
        region=region,
        partition=partition,
    )
    return statement if formula is True else cast(ListStatement, statement.where(columns.condition(formula)))


def checked_dialect(dialect: str) -> str:
    """Return the name of a dialect back. Raises `ConfigurationError` for one that can't be filtered."""
    if dialect in DIALECTS:
        return dialect
    raise ConfigurationError(f"expected the dialect {' or '.join(DIALECTS)}, got `{dialect}`", place="filter")


def list_formula(
    policies: Bundle,
    principal: Principal,
    action: str,
    resource_type: ResourceMapping,
    columns: Columns,
    *,
    context: Mapping[str, Given | Lazy] | None,
    region: str,
    partition: str,
) -> Formula:
    """Return the formula of the rows that policies allow, for resources of all accounts. Raises `NotFilterable`."""

    def of_owner(owner: str | None) -> Formula:
        known = {} if owner is None else {_RESOURCE_ACCOUNT: owner}
        given = {key.lower(): value for key, value in (context or {}).items()}
        request = AccessRequest(principal, action, "*", {**known, **given})
        open_keys = resource_type.open_keys | ({_RESOURCE_ACCOUNT} if owner is None else frozenset())
        arn = resource_type.arn(owner, Location(partition, region))
        opened = OpenRequest(request, arn, open_keys=open_keys, has_tags=resource_type.has_tags)
        return columns.decision(opened, context).formula(policies, owner)

    readable = columns.readable_parameters()
    if resource_type.account is not None:
        return all_of((*readable, of_owner(resource_type.account)))
    elsewhere = of_owner(None)
    if elsewhere is not False:
        elsewhere = all_of((Readable(ACCOUNT.name), elsewhere))
    if principal.account is None:
        return all_of((*readable, elsewhere))
    own = frozenset({principal.account})
    in_own = all_of((OneOf(ACCOUNT.name, own, wanted=True), of_owner(principal.account)))
    in_others = all_of((OneOf(ACCOUNT.name, own, wanted=False), elsewhere))
    return all_of((*readable, any_of((in_own, in_others))))


def source_of(statement: Any, resource_type: ResourceMapping) -> FromClause:
    """Return the resource type's table in a statement, or its alias.

    Raises `ConfigurationError` unless it is there once.
    """
    if isinstance(statement, (Update, Delete)):
        froms: list[FromClause] = [statement.table]
    elif isinstance(statement, Select):
        if _is_plain(statement) and resource_type.table in statement.columns_clause_froms:
            return resource_type.table
        froms = list(statement.get_final_froms())
    else:
        message = f"expected a SELECT, UPDATE or DELETE of SQLAlchemy, got `{type(statement).__name__}`"
        raise ConfigurationError(message, place="filter")
    found = [source for part in froms for source in _sources(part) if _is_of(source, resource_type.table)]
    if len(found) != 1:
        message = f"expected a statement with the table `{resource_type.table.name}` once, got it {len(found)} times"
        raise ConfigurationError(message, place="filter")
    return found[0] if isinstance(found[0], Alias) else resource_type.table


def _is_plain(statement: Select[Any]) -> bool:
    """Return whether a statement selects from nothing but what its columns are of: then it need not be compiled."""
    joins, sources = getattr(statement, "_setup_joins", None), getattr(statement, "_from_obj", None)
    return joins == () and sources == () and len(statement.columns_clause_froms) == 1


def _sources(part: FromClause) -> list[FromClause]:
    return [*_sources(part.left), *_sources(part.right)] if isinstance(part, Join) else [part]


def _is_of(source: FromClause, table: Table) -> bool:
    element = source.element if isinstance(source, Alias) else source
    return bool(element == table)  # one of the ORM is annotated, and equal

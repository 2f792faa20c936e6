"""The indexes that filters of a resource type can use, as the statements of policies suggest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.partial.text_matching import ACCOUNT
from iam_guard.filters.attributes import Attribute
from iam_guard.filters.dialects import COMPILERS
from iam_guard.filters.hints import folded_tag
from iam_guard.filters.rendering import Columns
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.filters.statement_filter import checked_dialect
from iam_guard.filters.tags import TAG, TagTable, folded_key, is_jsonb
from iam_guard.filters.texts import TextAttribute
from iam_guard.policy.grammar import split_operator

_EQUALITY: Final = frozenset(
    {"StringEquals", "StringLike", "NumericEquals", "DateEquals", "ArnEquals", "ArnLike", "Bool"}
)
_WORD: Final = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class SuggestedIndex:
    """A statement that creates an index, and what for."""

    name: str
    ddl: str
    reason: str


def suggest_indexes(authorizer: Authorizer, resource_type: ResourceMapping, *, dialect: str) -> list[SuggestedIndex]:
    """Return the indexes by which filters of these policies find rows, in the order of their use.

    Each ends with the key of the model, so that a page ordered by it needs no sorting. Tags in a JSON column can be
    indexed if it is of the type JSONB, on PostgreSQL.
    """
    columns = resource_type.columns(checked_dialect(dialect), resource_type.table)
    found: dict[str, SuggestedIndex] = {}
    for index in (*_of_account(columns), *_of_conditions(authorizer, resource_type, columns)):
        found.setdefault(index.name, index)
    return list(found.values())


def _of_account(columns: Columns) -> Iterator[SuggestedIndex]:
    account = columns.attributes.get(ACCOUNT.name)
    if account is not None:
        yield _index(columns, "account", _sql(account.expression, columns), "rows of the caller's account")


def _of_conditions(
    authorizer: Authorizer, resource_type: ResourceMapping, columns: Columns
) -> Iterator[SuggestedIndex]:
    for policy in authorizer.policies:
        for statement in policy.content.document.statements:
            for test in statement.conditions:
                if split_operator(test.operator).base in _EQUALITY:
                    keys = [test.key, *re.findall(r"\$\{([^,}]+)", " ".join(test.values))]
                    yield from (index for key in keys for index in _of_key(key.lower(), resource_type, columns))
        patterns = [entry for statement in policy.content.document.statements for entry in statement.resources or ()]
        if any(not entry.endswith("*") or "/" in entry for entry in patterns):
            yield from _of_parameters(resource_type, columns)


def _of_key(key: str, resource_type: ResourceMapping, columns: Columns) -> Iterator[SuggestedIndex]:
    if key in resource_type.open_keys:
        yield from _of_attribute(columns.attributes[key], columns)
    if not key.startswith(TAG) or columns.tags is None:
        return
    name = key.removeprefix(TAG)
    reason = f"rows by the tag `{name}`"
    if isinstance(columns.tags, TagTable):
        yield _of_tag_rows(columns.tags, name, columns, reason)
    elif columns.dialect == "postgresql" and is_jsonb(columns.tags.column) and name.isascii():
        yield _index(columns, f"tag_{name}", f"({_sql(folded_tag(columns.tags, name), columns)})", reason)


def _of_attribute(attribute: Attribute, columns: Columns) -> Iterator[SuggestedIndex]:
    name = attribute.name.rpartition(":")[2]
    yield _index(columns, name, _sql(attribute.expression, columns), f"rows by `{attribute.name}`")


def _of_parameters(resource_type: ResourceMapping, columns: Columns) -> Iterator[SuggestedIndex]:
    """Yield an index for the beginnings of texts in ARNs, which PostgreSQL's usual indexes can't find."""
    for name, attribute in columns.attributes.items():
        if name.startswith("{") and isinstance(attribute, TextAttribute) and name != ACCOUNT.name:
            operators = " text_pattern_ops" if columns.dialect == "postgresql" else ""
            expression = _sql(attribute.expression, columns) + operators
            yield _index(columns, name.strip("{}"), expression, f"rows by the beginning of `{name}`")


def _of_tag_rows(tags: TagTable, name: str, columns: Columns, reason: str) -> SuggestedIndex:
    key = _sql(folded_key(tags.key, (name,), columns.dialect), columns)
    parts = (f"({key})", _sql(tags.value, columns), _sql(tags.owner, columns))
    table = _PREPARERS[columns.dialect].format_table(tags.table)
    index = f"ix_{tags.table.name}_by_value"  # type: ignore[attr-defined]
    return SuggestedIndex(index, f"CREATE INDEX {index} ON {table} ({', '.join(parts)})", reason)


def _index(columns: Columns, name: str, expression: str, reason: str) -> SuggestedIndex:
    table: Any = columns.table
    preparer = _PREPARERS[columns.dialect]
    index = f"ix_{table.name}_{_WORD.sub('_', name)}"[:60]
    key = [preparer.quote(column.name) for column in table.primary_key.columns]
    parts = ", ".join(dict.fromkeys((expression, *key)))
    return SuggestedIndex(
        index, f"CREATE INDEX {preparer.quote(index)} ON {preparer.format_table(table)} ({parts})", reason
    )


_PREPARERS: Final = {name: dialect.identifier_preparer for name, dialect in COMPILERS.items()}


def _sql(expression: Any, columns: Columns) -> str:
    """Return an expression as part of an index: columns without their table, values as literals."""
    options = {"literal_binds": True, "include_table": False}
    return str(expression.compile(dialect=COMPILERS[columns.dialect], compile_kwargs=options))

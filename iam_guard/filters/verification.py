"""Check a declaration against a database: what loaded objects have must be what queries see.

First the catalogue. Where it agrees, rows of a sample: each is loaded as the application would, and every value of its
resource becomes a few conditions, rendered as in a filter, that must be true or false for the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Column, ColumnElement, String, Table, case, cast, func, inspect, literal_column, select
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from iam_guard.errors import ConfigurationError, ContextError, InvalidInput, NotFilterable
from iam_guard.evaluation.matching.pattern import ARN_FIELDS
from iam_guard.evaluation.partial.formula import Compares, Formula, OneOf, Open, Presence, Readable, all_of, any_of
from iam_guard.evaluation.partial.text_matching import ACCOUNT
from iam_guard.filters.attributes import bound_text
from iam_guard.filters.database_catalogue import DatabaseCatalogue, Mismatch
from iam_guard.filters.date_columns import DateAttribute
from iam_guard.filters.number_columns import FloatAttribute, IntegerAttribute
from iam_guard.filters.rendering import Columns
from iam_guard.filters.resource_type import DECLARED, ResourceMapping
from iam_guard.filters.statement_filter import checked_dialect
from iam_guard.filters.tags import TAG, JsonTags, is_jsonb, tag_elements
from iam_guard.filters.texts import concatenated
from iam_guard.model.arn import DEFAULT_LOCATION
from iam_guard.model.context import Context

_SHOWN: Final = 60
_CHUNK: Final = 200
"""Conditions per query."""
_NO_TAG: Final = f"{TAG}no such tag"
_NOTHING: Final = "no value"
_ARN: Final = "ARN"
_ACCOUNT: Final = "aws:resourceaccount"
_JSON_FUNCTIONS: Final = {
    "sqlite": (func.json_array, func.json_group_array),
    "postgresql": (func.json_build_array, func.json_agg),
}


def verify(session: Session, *resource_types: ResourceMapping, sample: int = 1000) -> list[Mismatch]:
    """Return where declared resource types differ from the database; an empty list if all agree.

    Without `resource_types`, all that the process has declared. The catalogue must confirm what filters rely on: types,
    collations, NOT NULL, unique tags. Where it does, `sample` rows of each type, at equal distances in the order of
    their keys, are loaded and compared with what queries see; 0 checks the catalogue alone. `session` must have no
    pending changes. For an `AsyncSession`: `await session.run_sync(verify)`. Raises `ConfigurationError` for a database
    that can't be filtered.
    """
    with session.no_autoflush:
        return [
            mismatch
            for resource_type in resource_types or sorted(DECLARED, key=str)
            for mismatch in mismatches(resource_type, _SessionRows(session, resource_type), sample)
        ]


def mismatches(resource_type: ResourceMapping, rows: Rows, sample: int) -> list[Mismatch]:
    """Return where a resource type differs from a database: in the catalogue, else in a sample of its rows."""
    catalogue = DatabaseCatalogue(checked_dialect(rows.dialect), rows.execute)
    columns = resource_type.columns(catalogue.dialect, resource_type.table)
    wrong = list(catalogue.mismatches(str(resource_type), columns, resource_type.open_keys))
    if not wrong and sample > 0:
        wrong = _RowComparison(rows, resource_type, catalogue).mismatches(sample)
    return [replace(mismatch, name=_written(mismatch.name, resource_type)) for mismatch in wrong]


class Rows(Protocol):
    """The rows of a resource type: as an application loads them, and as queries see them."""

    dialect: str
    errors: tuple[type[Exception], ...]
    """The errors of queries."""

    def execute(self, query: str, parameters: Mapping[str, str | None]) -> Iterable[Sequence[Any]]:
        """Return the rows of a query about the catalogue, with named parameters such as `%(table)s`."""
        ...

    def savepoint(self) -> AbstractContextManager[Any]:
        """Return a context whose failed queries have no effect outside of it."""
        ...

    def keys(self, sample: int) -> Iterable[Sequence[Any]]:
        """Return keys of rows at equal distances."""
        ...

    def load(self, key: Sequence[Any]) -> Any:
        """Return a row as the application loads it; None if it is gone."""
        ...

    def values(self, key: Sequence[Any], expressions: Sequence[ColumnElement[Any]]) -> Sequence[Any] | None:
        """Return values of one row in a query; None if it is gone."""
        ...

    def repeated(self, expression: ColumnElement[Any]) -> Sequence[Any] | None:
        """Return a value that several rows have, and their number; None without one."""
        ...


class _SessionRows:
    """The rows of a model of SQLAlchemy, or of a table."""

    errors: tuple[type[Exception], ...] = (DBAPIError,)

    def __init__(self, session: Session, resource_type: ResourceMapping) -> None:
        self._session, self._model, self._place = session, resource_type.model, str(resource_type)
        resource_type.require_sessions()
        self._is_table = isinstance(self._model, Table)
        self._key = list((self._model if self._is_table else inspect(self._model)).primary_key)
        self.dialect = session.connection().dialect.name

    def execute(self, query: str, parameters: Mapping[str, str | None]) -> Iterable[Sequence[Any]]:
        named = sql(query % {name: f":{name}" for name in parameters})
        return self._session.connection().execute(named, parameters)

    def savepoint(self) -> AbstractContextManager[Any]:
        return self._session.connection().begin_nested()

    def keys(self, sample: int) -> Iterable[Sequence[Any]]:
        if not self._key:
            raise ConfigurationError("expected a primary key, to name rows", place=self._place)
        number = func.row_number().over(order_by=self._key)
        total = func.count().over()
        rows = select(*self._key, number, total).select_from(self._model).subquery()
        *key, row_number, row_total = rows.c
        is_sampled = (row_total <= sample) | (row_number * sample % row_total < sample)
        return self._session.execute(select(*key).where(is_sampled).order_by(row_number)).all()

    def load(self, key: Sequence[Any]) -> Any:
        loaded = self.values(key, [self._model])
        return loaded if loaded is None or self._is_table else loaded[0]

    def values(self, key: Sequence[Any], expressions: Sequence[Any]) -> Sequence[Any] | None:
        is_row = [column == value for column, value in zip(self._key, key, strict=True)]
        return self._session.execute(select(*expressions).select_from(self._model).where(*is_row)).first()

    def repeated(self, expression: ColumnElement[Any]) -> Sequence[Any] | None:
        rows = select(expression.label("value")).select_from(self._model).subquery()
        count = func.count()
        found = select(rows.c.value, count).where(rows.c.value.is_not(None)).group_by(rows.c.value).having(count > 1)
        return self._session.execute(found.limit(1)).first()


class _Check(NamedTuple):
    """A condition that must be `expected` for a row; `seen` says what the query sees otherwise."""

    name: str
    formula: Formula
    expected: bool
    seen: str


class _RowComparison:
    """The comparison of one resource type's rows."""

    def __init__(self, rows: Rows, resource_type: ResourceMapping, catalogue: DatabaseCatalogue) -> None:
        self._rows, self._resource_type, self._catalogue = rows, resource_type, catalogue
        self._dialect = catalogue.dialect
        self._found: dict[str, Mismatch] = {}

    def mismatches(self, sample: int) -> list[Mismatch]:
        """Return the mismatches of a sample, one per name."""
        try:
            with self._rows.savepoint():
                for key in self._rows.keys(sample):
                    self._compare(key)
                self._compare_arns()
        except self._rows.errors as error:
            self._add("database", "compared", f"`{_shortened(str(getattr(error, 'orig', error)))}`", "-")
        return list(self._found.values())

    def _compare(self, key: Sequence[Any]) -> None:
        row = ", ".join(map(str, key))
        try:
            loaded = self._rows.load(key)
        except (LookupError, TypeError, ValueError) as error:
            self._add("row", f"that can't be loaded ({_shortened(str(error))})", "lists it", row)
            return
        if loaded is None:
            return
        shared = self._resource_type.columns(self._dialect, self._resource_type.table)
        columns = Columns(shared.attributes, shared.tags, shared.table, shared.dialect)  # keeps no clause of this row
        try:
            resource = self._resource_type.resource_of(loaded).at(DEFAULT_LOCATION)
        except InvalidInput:
            readable = [columns.simplified(Readable(name)) for name in columns.attributes if name.startswith("{")]
            for check in self._failed(columns, key, [_Check(_ARN, all_of(readable), False, "one")]):
                self._add(_ARN, _NOTHING, check.seen, row)
            return
        tags = self._seen_tags(key, columns, row)
        context = Context.of_resource(None, resource.tags, resource.keys, resource.account)
        names = [name for name in columns.attributes if not name.startswith("{")]
        if columns.tags is not None:
            names += dict.fromkeys([TAG + tag.lower() for tag in (*resource.tags, *tags)] + [_NO_TAG])
        given = {name: _value(context, name) for name in names}
        checks = [check for name, value in given.items() for check in _checks(name, value, columns)]
        checks += self._arn_checks(resource.arn)
        failed = {check.name: check for check in reversed([*self._failed(columns, key, checks)])}
        if _ACCOUNT in failed:
            failed.pop(_ARN, None)  # it has the account
        for name, check in failed.items():
            expected = _shown(resource.arn if name == _ARN else given[name])
            got = _shown(self._stored(name, columns, key, tags))
            is_explained = got != expected and not isinstance(check.formula, Readable)
            self._add(name, expected, got if is_explained else f"{got}, {check.seen}", row)

    def _arn_checks(self, arn: str) -> Iterator[_Check]:
        *fields, last = arn.split(":", ARN_FIELDS - 1)
        for text in (last, *_near(last)):
            seen = "which finds no row" if text == last else f"found as `{_shortened(text)}`"
            yield _Check(_ARN, self._named((*fields, text)), text == last, seen)

    def _named(self, fields: Sequence[str]) -> Formula:
        return self._resource_type.named(":".join(fields), DEFAULT_LOCATION)

    def _stored(self, name: str, columns: Columns, key: Sequence[Any], tags: Mapping[str, str]) -> str | None:
        """Return a value as the database has it."""
        if name.startswith(TAG):
            return next((value for tag, value in tags.items() if TAG + tag.lower() == name), None)
        expression = self._arn(columns) if name == _ARN else columns.attributes[name].expression
        selected = self._rows.values(key, [cast(expression, String)])
        return None if selected is None else selected[0]

    def _failed(self, columns: Columns, key: Sequence[Any], checks: Iterable[_Check]) -> Iterator[_Check]:
        """Yield the checks that fail for a row. All are asked at once, and one by one only if one of them fails."""
        simplified: list[tuple[_Check, Formula]] = []
        for check in checks:
            try:
                simplified.append((check, columns.simplified(check.formula)))
            except NotFilterable:
                continue  # as a policy about it would be
        all_met = all_of(formula for check, formula in simplified if check.expected)
        one_met = any_of(formula for check, formula in simplified if not check.expected)
        if self._met(columns, key, [all_met, one_met]) in ([True, False], None):
            return
        for start in range(0, len(simplified), _CHUNK):
            part = simplified[start : start + _CHUNK]
            met = self._met(columns, key, [formula for _, formula in part]) or []
            yield from (check for (check, _), is_met in zip(part, met, strict=False) if is_met != check.expected)

    def _met(self, columns: Columns, key: Sequence[Any], formulas: Iterable[Formula]) -> list[bool] | None:
        """Return which formulas a query finds true for a row; None if it is gone."""
        values = self._rows.values(key, [case((columns.condition(formula), 1), else_=0) for formula in formulas])
        return None if values is None else [value == 1 for value in values]

    def _seen_tags(self, key: Sequence[Any], columns: Columns, row: str) -> dict[str, str]:
        """Return the tags that queries see."""
        tags = columns.tags
        if tags is None:
            return {}
        source, name, value = tag_elements(tags, self._dialect)
        array, group = _JSON_FUNCTIONS[self._dialect]
        pairs = select(cast(group(array(name, value)), String)).select_from(source).correlate(columns.table)
        kind: ColumnElement[Any] = literal_column("NULL")
        if isinstance(tags, JsonTags):
            kind = _json_type(tags, self._dialect)
        else:
            pairs = pairs.where(tags.owner == tags.resource)
        seen = self._rows.values(key, [kind, pairs.scalar_subquery()])
        if seen is None:
            return {}
        if seen[0] not in (None, "null", "object"):
            self._add("tags", "an object of strings", f"JSON of the type {seen[0]}", row)
        return {name: value for name, value in json.loads(seen[1] or "[]") if name is not None and value is not None}

    def _arn(self, columns: Columns) -> ColumnElement[str]:
        resource_type = self._resource_type
        pieces = resource_type.arn(resource_type.account, DEFAULT_LOCATION)
        return concatenated(
            [
                columns.attributes[piece.name].as_text(self._dialect)
                if isinstance(piece, Open)
                else bound_text(str(piece))
                for piece in pieces
            ]
        )

    def _compare_arns(self) -> None:
        """Add a mismatch if two rows have the same ARN."""
        table = self._resource_type.table
        columns = self._resource_type.columns(self._dialect, table)
        names = [name for name in columns.attributes if name.startswith("{") and name != ACCOUNT.name]
        parameter = columns.attributes[names[0]].expression if len(names) == 1 else None
        if isinstance(parameter, Column) and {parameter.name} in self._catalogue.unique_columns(table):
            return
        repeated = self._rows.repeated(self._arn(columns))
        if repeated is not None:
            arn, rows = repeated
            self._found.setdefault(
                _ARN, Mismatch(str(self._resource_type), _ARN, f"one row for `{_shortened(arn)}`", f"{rows} rows")
            )

    def _add(self, name: str, expected: str, got: str, row: str) -> None:
        known = self._found.get(name)
        if known is not None:
            self._found[name] = replace(known, rows=known.rows + 1)
            return
        self._found[name] = Mismatch(str(self._resource_type), name, expected, got, row, 1)


def _written(name: str, resource_type: ResourceMapping) -> str:
    """Return a name as it is declared; names of attributes are in lower case."""
    if name.startswith(TAG):
        return f"aws:ResourceTag/{name.removeprefix(TAG)}"
    declared = {key.lower(): key for key in resource_type.condition_keys}
    return ACCOUNT.name if name == _ACCOUNT else declared.get(name, name)


def _checks(name: str, value: str | ContextError | None, columns: Columns) -> Iterator[_Check]:
    """Yield what must be true or false for a condition key with a value."""
    if isinstance(value, ContextError):
        yield _Check(name, Readable(name), False, "which it compares")
        return
    yield _Check(name, Readable(name), True, "which it can't compare")
    present = "absent" if value is not None else "present"
    yield _Check(name, Presence(name, wanted=True), value is not None, present)
    yield _Check(name, Presence(name, wanted=False), value is None, present)
    yield _Check(name, Presence(name, wanted=True, or_blank=True), bool(value), "blank" if value else "not blank")
    if value is None:
        yield _Check(name, OneOf(name, frozenset({""}), wanted=True), False, "equal to the empty string")
        return
    attribute = columns.attributes.get(name)
    if isinstance(attribute, (FloatAttribute, IntegerAttribute, DateAttribute)):
        kind = "Date" if isinstance(attribute, DateAttribute) else "Numeric"
        for operator, is_met in ((f"{kind}Equals", True), (f"{kind}LessThanEquals", True), (f"{kind}LessThan", False)):
            for wanted in (True, False):
                comparison = Compares(name, operator, (value,), wanted)
                yield _Check(name, comparison, is_met == wanted, f"another for {operator}")
    for text in (value, *_near(value)):
        seen = "unequal to it" if text == value else f"equal to `{_shortened(text)}`"
        for wanted in (True, False):
            yield _Check(name, OneOf(name, frozenset({text}), wanted), (text == value) == wanted, seen)


def _near(text: str) -> Iterator[str]:
    """Yield texts that a database could take for the same."""
    yield text + " "
    for other in (text.swapcase(), text.rstrip()):
        if other != text:
            yield other


def _value(context: Context, name: str) -> str | ContextError | None:
    """Return the value of a condition key as a decision reads it, or its error."""
    try:
        value = context.value(name)
    except ContextError as error:
        return error
    return value  # type: ignore[return-value]  # columns have one value


def _json_type(tags: JsonTags, dialect: str) -> ColumnElement[str]:
    if dialect == "sqlite":
        return case((func.json_valid(tags.column) == 1, func.json_type(tags.column)))
    return func.jsonb_typeof(tags.column) if is_jsonb(tags.column) else func.json_typeof(tags.column)


def _shown(value: object) -> str:
    if isinstance(value, ContextError):
        return "a value that can't be read"
    return _NOTHING if value is None else f"`{_shortened(str(value))}`"


def _shortened(text: str) -> str:
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"

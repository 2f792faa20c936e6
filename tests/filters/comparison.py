"""Compare a filter with decisions about each row, and reduce a difference to what it needs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from iam_guard import (
    AccessRequest,
    Authorizer,
    IamGuardError,
    NotFilterable,
    Resource,
    compile_policies,
    filter_statement,
)
from iam_guard.model.arn import DEFAULT_LOCATION
from iam_guard.model.context import Context, resource_values

from .databases import loaded
from .generate import ACTION, Case
from .models import Kind

WIDER, NARROWER = "listed, not allowed", "allowed, not listed"


@dataclass(frozen=True)
class Difference:
    """A case in which the filter is wrong about a row; `problem` says how."""

    case: Case
    number: int
    problem: str


class Reading(NamedTuple):
    """What a decision about a row takes: `values` are the condition keys of its resource, in lower case."""

    arn: str
    account: str | None
    values: dict[str, Any]

    @classmethod
    def of(cls, resource: Resource) -> Reading:
        """Return the reading of a resource, so that its values are converted once for many requests."""
        resource = resource.at(DEFAULT_LOCATION)
        account = {} if resource.account is None else {"aws:resourceaccount": resource.account}
        return cls(resource.arn, resource.account, account | resource_values(resource.tags, resource.keys))

    def request(self, case: Case, given: Mapping[str, Any]) -> AccessRequest:
        """Return the request that `AccessRequest.for_resource` makes; `given` is the context of the case."""
        context = Context()
        context._values = {**self.values, **given}
        return AccessRequest(case.principal, ACTION, self.arn, context, self.account)


class Comparison:
    """The rows of one kind in a database, with what `decide` takes for each.

    A row whose tags have keys that differ in letter case only has several readings; one without a resource has none.
    """

    def __init__(self, session: Session, kind: Kind, **options: Any) -> None:
        self.session, self.kind = session, kind
        self.dialect = session.get_bind().dialect.name
        self.declared = kind.declare(**options)
        self._read_rows(session.scalars(sa.select(kind.model)))

    def _read_rows(self, rows: Iterable[Any]) -> None:
        self.rows = {row.number: row for row in rows}
        self.numbers = sorted(self.rows)
        self.readings = {number: self._readings(row) for number, row in self.rows.items()}
        self._read = {number: [*map(Reading.of, readings)] for number, readings in self.readings.items()}
        self.ambiguous = {number for number, row in self.rows.items() if _variants(_tags_of(row))}

    def renewed(self) -> Comparison:
        """Return the comparison of the same rows with a new declaration, which has cached nothing."""
        other = copy(self)
        other.declared = self.kind.declare()
        return other

    def _readings(self, row: Any) -> list[Resource]:
        variants = _variants(_tags_of(row))
        rows = [row] if not variants else [*self._unambiguous(row, variants)]
        try:
            return [self.declared.resource_of(reading) for reading in rows]
        except IamGuardError:
            return []

    def _unambiguous(self, row: Any, variants: list[list[str]]) -> Iterator[Any]:
        """Yield copies of a row, each with one tag of those whose keys differ in letter case only.

        A value that is no text is no tag.
        """
        tags = _tags_of(row)
        columns = {column.key: getattr(row, column.key) for column in sa.inspect(type(row)).column_attrs}
        others = {key: value for key, value in tags.items() if not any(key in keys for keys in variants)}
        choices = [[key for key in keys if isinstance(tags[key], str)] or keys[:1] for keys in variants]
        for keys in product(*choices):
            yield loaded(self.kind, columns | {"tags": others | {key: tags[key] for key in keys}})

    def allows(self, authorizer: Authorizer, case: Case, number: int) -> bool:
        """Return whether every reading of the row is allowed."""
        readings = self.readings[number]
        try:
            requests = [AccessRequest.for_resource(case.principal, ACTION, row, case.context) for row in readings]
        except IamGuardError:
            return False
        return bool(requests) and all(authorizer.decide(request).allowed for request in requests)

    def allowed(self, authorizer: Authorizer, case: Case, numbers: Collection[int]) -> set[int]:
        """Return the numbers of the rows of which every reading is allowed."""
        try:
            given = dict(Context(case.context))
        except IamGuardError:
            return set()
        decide, read = authorizer.decide, self._read
        return {
            number
            for number in numbers
            if (readings := read[number]) and all(decide(reading.request(case, given)).allowed for reading in readings)
        }

    def listed(self, authorizer: Authorizer, case: Case, only: Collection[int] | None = None) -> set[int]:
        """Return the numbers of the rows, all or some, that the filter lists. Raises `NotFilterable`."""
        table = self.declared.table
        statement = sa.select(table.c.number)
        if only is not None:
            statement = statement.where(sa.text(f"{table.name}.number IN ({', '.join(map(str, only))})"))
        filtered = filter_statement(
            authorizer,
            case.principal,
            statement,
            ACTION,
            resource_type=self.declared,
            context=case.context,
            dialect=self.dialect,
        )
        try:  # a statement that is executed once need not be cached
            found = self.session.connection().execute(filtered, execution_options={"compiled_cache": None})
            return set(found.scalars())
        except sa.exc.SQLAlchemyError:
            self.session.rollback()
            raise

    def compare(self, case: Case, numbers: Collection[int] | None = None) -> tuple[set[int], list[Difference]]:
        """Return the listed rows, all or those of the numbers, and what is wrong with them. Raises `NotFilterable`."""
        [(listed, differences)] = compare_databases([self], case, numbers)
        if isinstance(listed, NotFilterable):
            raise listed
        return listed, differences

    def reads_as(self, other: Comparison, number: int) -> bool:
        """Return whether decisions about a row are the same in another database."""
        return self is other or self._read[number] == other._read[number]

    def is_wrong(self, difference: Difference) -> bool:
        """Return whether the filter is still wrong in the same way, perhaps with fewer policies."""
        case, number = difference.case, difference.number
        try:
            authorizer = compile_policies(**case.policies)
            listed = number in self.listed(authorizer, case, [number] if number else None)
        except sa.exc.SQLAlchemyError:
            return number == 0
        except (IamGuardError, TypeError):
            return False
        if number == 0 or self.allows(authorizer, case, number) is listed:
            return False
        return listed == (difference.problem == WIDER)

    def reduce(self, difference: Difference) -> Difference:
        """Remove parts of the policies and the context while the filter stays wrong."""
        is_reduced = True
        while is_reduced:
            is_reduced = False
            for smaller in _smaller(difference):
                if self.is_wrong(smaller):
                    difference, is_reduced = smaller, True
                    break
        return difference

    def describe(self, difference: Difference) -> str:
        """Return a reproduction of a difference."""
        reduced = self.reduce(difference)
        case, row = reduced.case, self.rows.get(reduced.number)
        columns = {} if row is None else {key: value for key, value in vars(row).items() if not key.startswith("_")}
        if row is not None:
            columns["tags"] = _tags_of(row)
        return "\n".join(
            [
                f"{reduced.problem} ({self.kind.name}, {self.dialect})",
                f"  principal: {case.principal.arn} {case.principal.role_arn or ''} {dict(case.principal.tags)}",
                f"  context: {case.context}",
                f"  policies: {json.dumps(case.policies, ensure_ascii=False, default=str)}",
                f"  row: {columns}",
            ]
        )


def compare_databases(
    comparisons: Sequence[Comparison], case: Case, numbers: Collection[int] | None = None
) -> Iterator[tuple[set[int] | NotFilterable, list[Difference]]]:
    """Yield for each database the listed rows, all or those of the numbers, or its refusal, and what is wrong.

    The databases have the same rows; one that both read alike is decided about once.
    """
    authorizer = compile_policies(**case.policies)
    first = comparisons[0]
    compared = first.numbers if numbers is None else numbers
    decided: set[int] | None = None
    for comparison in comparisons:
        try:
            listed = comparison.listed(authorizer, case, numbers)
        except NotFilterable as refusal:
            yield refusal, []
            continue
        except sa.exc.SQLAlchemyError as error:
            yield set(), [Difference(case, 0, f"the database refuses the query: {str(error)[:300]}")]
            continue
        if decided is None:
            decided = first.allowed(authorizer, case, compared)
        others = [number for number in compared if not comparison.reads_as(first, number)]
        allowed = decided.difference(others) | comparison.allowed(authorizer, case, others)
        wrong = [Difference(case, number, WIDER) for number in sorted(listed - allowed)]
        missing = sorted(allowed - listed - comparison.ambiguous)
        yield listed, wrong + [Difference(case, number, NARROWER) for number in missing]


def _tags_of(row: Any) -> Any:
    """Return the tags of a loaded row: a mapping, or another JSON value."""
    if isinstance(row.tags, list) and row.tags and hasattr(row.tags[0], "key"):
        return {tag.key: tag.value for tag in row.tags}
    return row.tags


def _variants(tags: Any) -> list[list[str]]:
    """Return the groups of keys that differ in letter case only."""
    groups: dict[str, list[str]] = {}
    for key in tags if isinstance(tags, Mapping) else ():
        groups.setdefault(key.lower(), []).append(key)
    return [keys for keys in groups.values() if len(keys) > 1]


def _smaller(difference: Difference) -> Iterator[Difference]:
    """Yield the same difference without one part of the policies or the context, large parts first."""
    case = difference.case
    for path in sorted(_paths(case.policies), key=len):
        policies = deepcopy(case.policies)
        parent: Any = policies
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
        yield replace(difference, case=replace(case, policies=policies))
    for key in case.context:
        context = {name: value for name, value in case.context.items() if name != key}
        yield replace(difference, case=replace(case, context=context))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Collection[tuple[Any, ...]]:
    found = [path] if path else []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        found += _paths(member, (*path, key))
    return found

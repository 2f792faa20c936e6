"""Lists of Django have the rows that `decide` allows, or are refused: generated policies over hostile rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import product
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from django.db.models import F, Q  # noqa: E402
from iam_guard_django.lists import PermittedRows  # noqa: E402
from iam_guard_django.resources import ModelResources  # noqa: E402

from iam_guard import Authorizer, NotFilterable, TagRows  # noqa: E402
from iam_guard.errors import ConfigurationError, InvalidInput  # noqa: E402
from iam_guard.filters.list_condition import ListCondition  # noqa: E402
from iam_guard.filters.statement_filter import list_formula  # noqa: E402
from iam_guard.model.request import Resource  # noqa: E402
from tests.filters.comparison import Comparison  # noqa: E402
from tests.filters.databases import DIALECTS  # noqa: E402
from tests.filters.generate import ACTION, Case, generate_case  # noqa: E402
from tests.filters.models import Kind  # noqa: E402
from tests.filters.rows import Row, make_rows  # noqa: E402
from tests.integrations.django_lists import (  # noqa: E402
    MODELS,
    Record,
    RecordTag,
    django_database,
    insert_rows,
)

CASES = 150


class DjangoComparison(Comparison):
    """The rows of a model of Django; its type is declared by one of SQLAlchemy, with columns of the same names."""

    def __init__(self, alias: str, dialect: str, kind: Kind, model: Any) -> None:
        self.kind, self.dialect = kind, dialect
        tags = TagRows(RecordTag, owner="record", key="key", value="value") if model is Record else None
        main = kind.declare()
        self.mapping = main.for_django(model, tags=tags)
        self.declared = main
        self.listable = model.objects.using(alias)
        self._read_rows(self.listable)

    def _unambiguous(self, row: Any, variants: list[list[str]]) -> Iterator[Any]:
        others = {key: value for key, value in row.tags.items() if not any(key in keys for keys in variants)}
        choices = [[key for key in keys if isinstance(row.tags[key], str)] or keys[:1] for keys in variants]
        for keys in product(*choices):
            columns = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
            yield type(row)(**columns | {"tags": others | {key: row.tags[key] for key in keys}})

    def listed(self, authorizer: Authorizer, case: Case, only: Collection[int] | None = None) -> set[int]:
        """Return the numbers of the listed rows, after comparing them with those of the negated condition."""
        columns = self.mapping.columns(self.dialect, self.mapping.table)
        region = {"region": "us-east-1", "partition": "aws"}
        formula = list_formula(
            authorizer.policies, case.principal, ACTION, self.mapping, columns, context=case.context, **region
        )
        condition = ListCondition(columns.condition(formula), self.mapping)
        rows = self.listable if only is None else self.listable.filter(number__in=only)
        found = set(rows.filter(PermittedRows(condition, F("number"), is_total=False)).values_list("number", flat=True))
        others = rows.exclude(Q(PermittedRows(condition, F("number"), is_total=True))).values_list("number", flat=True)
        assert only is not None or set(others) == self.rows.keys() - found
        return found


def _rows(kind: Kind, model: Any) -> list[Row]:
    rows = make_rows(kind)
    return [row for row in rows if model is not Record or not _has_variants(row["tags"])]


def _has_variants(tags: Mapping[str, Any]) -> bool:
    return len({key.lower() for key in tags}) < len(tags)


@pytest.fixture(scope="module", params=DIALECTS)
def comparisons(request: pytest.FixtureRequest) -> Iterator[list[DjangoComparison]]:
    with django_database(request.param) as alias:
        for kind, model in MODELS:
            insert_rows(alias, model, _rows(kind, model))
        yield [DjangoComparison(alias, request.param, kind, model) for kind, model in MODELS]


def test_list_of_django_has_what_decide_allows(comparisons: list[DjangoComparison]) -> None:
    """Exact or refused; the negation of the condition has all other rows."""
    rows = [_rows(kind, model) for kind, model in MODELS]
    lists: Counter[str] = Counter()
    for seed in range(CASES):
        comparison = comparisons[seed % len(comparisons)]
        case = generate_case(random.Random(f"django {seed}"), comparison.kind, rows[seed % len(comparisons)])
        try:
            listed, differences = comparison.compare(case)
        except NotFilterable:
            lists["refused"] += 1
            continue
        assert not differences, comparison.describe(differences[0])
        lists["none" if not listed else "all" if len(listed) == len(comparison.rows) else "some"] += 1
    assert lists["refused"] <= 0.2 * CASES, lists
    assert lists["some"] >= 0.2 * CASES, lists


def test_row_of_an_arn_is_that_row_or_refused(comparisons: list[DjangoComparison]) -> None:
    """The resource of each hostile row is loaded by its ARN, unless another row has the same one."""
    outcomes: Counter[str] = Counter()
    for comparison in comparisons:
        load = ModelResources(comparison.mapping, using=comparison.listable.db)
        resources: dict[str, list[Resource]] = {}
        for row in comparison.rows.values():
            with suppress(InvalidInput):
                resource = comparison.mapping.resource_of(row)
                resources.setdefault(resource.arn, []).append(resource)
        for arn, found in resources.items():
            try:
                assert repr([load(arn)]) == repr(found)  # of an unreadable value too, which equals nothing
                outcomes["loaded"] += 1
            except ConfigurationError:
                assert len(found) > 1
                outcomes["refused"] += 1
    assert outcomes["loaded"] > 1000, outcomes
    assert outcomes["refused"] > 100, outcomes

"""A filter lists the rows that `decide` allows, or refuses: generated policies over hostile rows.

A failure names the seed of its case: `IAM_GUARD_TEST_FILTER_SEED=12 IAM_GUARD_TEST_FILTER_CASES=1` repeats it. With
`pytest -rP`, the numbers of lists and of decisions are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from iam_guard import AccessRequest, NotFilterable, Principal
from iam_guard.model.context import Context
from tests.filters.comparison import Comparison, Reading, compare_databases
from tests.filters.databases import available_dialects, database, missing_server
from tests.filters.generate import ACTION, ALL_KINDS, FIRST_SEED, ROWS, Case, case_count, numbered_case
from tests.filters.rows import HERE
from tests.store.databases import do_without

SHARES = 4
"""Parts of the cases, which processes run at the same time."""
REPORTED = 5
"""Differences after which the comparison ends."""


class Law:
    """The comparison of generated cases with the rows of each declaration, in every database."""

    def __init__(self, databases: list[list[Comparison]]) -> None:
        self.databases = databases
        self.lists: Counter[str] = Counter()
        self.decisions = 0
        self.reasons: Counter[str] = Counter()
        self.unnamed: Counter[str] = Counter()
        self.found: list[str] = []

    def compare(self, seed: int) -> None:
        """Compare one case with its rows in every database."""
        comparisons = self.databases[seed % len(ALL_KINDS)]
        case, numbers = numbered_case(seed)
        for comparison, (listed, differences) in zip(
            comparisons, compare_databases(comparisons, case, numbers), strict=True
        ):
            if isinstance(listed, NotFilterable):
                self.lists["refused"] += 1
                self.reasons[listed.reason] += 1
                if not (listed.policy and listed.statement and listed.reason):
                    self.unnamed[listed.reason] += 1
                continue
            self.decisions += ROWS
            self.lists["none" if not listed else "all" if len(listed) == ROWS else "some"] += 1
            if differences:
                self.found.append(f"seed {seed}: {comparison.describe(differences[0])}")


@pytest.fixture(scope="module")
def databases() -> Iterator[list[list[Comparison]]]:
    """Return the hostile rows of each declaration in SQLite, and in PostgreSQL if there is a server."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(database(dialect)) for dialect in available_dialects()]
        yield [[Comparison(session, kind) for session in sessions] for kind in ALL_KINDS]


@pytest.mark.parametrize("share", range(SHARES))
def test_filter_lists_what_decide_allows(databases: list[list[Comparison]], share: int) -> None:
    """Exact or refused; most cases are translated, and many of them list some rows and not all."""
    law = Law(databases)
    seeds = range(FIRST_SEED + share, FIRST_SEED + case_count(), SHARES)
    for seed in seeds:
        law.compare(seed)
        if len(law.found) >= REPORTED:
            break
    lists = law.lists
    print(f"{lists.total() - lists['refused']} lists, {law.decisions} decisions about rows: {dict(lists)}")
    assert not law.found, "\n".join(["", *law.found])
    assert not law.unnamed, f"refusals that name no statement: {law.unnamed.most_common(20)}"
    if len(seeds) >= 100:
        assert lists["refused"] <= 0.2 * lists.total(), law.reasons.most_common(20)
        assert lists["some"] >= 0.2 * (lists.total() - lists["refused"]), lists
    if (reason := missing_server()) is not None:
        do_without(reason)


def test_requests_of_the_comparison_are_those_of_resources(databases: list[list[Comparison]]) -> None:
    """A comparison converts the values of a row once; a decision gets the same request for a resource."""
    caller = Principal.from_arn(f"arn:aws:iam::{HERE}:user/ann")
    given = {"aws:SourceIp": "10.1.2.3", "docs:Class": "given", "aws:ResourceTag/Team": "given", "docs:Mode": None}
    for context in ({}, given):
        for comparisons in databases:
            case = Case(comparisons[0].kind, caller, {}, context)
            for resource in [one for readings in comparisons[0].readings.values() for one in readings]:
                request = AccessRequest.for_resource(caller, ACTION, resource, context)
                compared = Reading.of(resource).request(case, dict(Context(context)))
                assert (compared, dict(compared.context)) == (request, dict(request.context))
                assert _unreadable(compared.context) == _unreadable(request.context)


def _unreadable(context: Context) -> set[str]:
    """Return the keys whose values cannot be computed."""
    found = set()
    for key in list(context._values):
        try:
            context.value(key)
        except Exception:  # noqa: BLE001  a key of a row that cannot be read
            found.add(key)
    return found


def test_databases_read_most_rows_alike(databases: list[list[Comparison]]) -> None:
    """So one decision counts for both; SQLite stores no negative zero, and a datetime without its time zone."""
    for first, *others in databases:
        for other in others:
            assert other.numbers == first.numbers
            unlike = [number for number in first.numbers if not other.reads_as(first, number)]
            assert len(unlike) < len(first.numbers) / 3, [vars(first.rows[number]) for number in unlike[:5]]


def test_hostile_rows_have_resources_and_some_none(databases: list[list[Comparison]]) -> None:
    """Most rows can be decided; those with an invalid account or without an id cannot, and some have readings."""
    for comparison in [one for of_kind in databases for one in of_kind]:
        without = [number for number, readings in comparison.readings.items() if not readings]
        assert len(without) < len(comparison.rows) / 8, [vars(comparison.rows[number]) for number in without[:5]]
        assert max(len(readings) for readings in comparison.readings.values()) > 1

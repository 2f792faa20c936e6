"""A page of the documents that a caller may see, out of a million, in PostgreSQL: ours, Cerbos, and row by row.

Callers see 0.1 %, 10 % and 90 % of the rows by 200 statements about ten tags (`documents`). A page is 50 rows ordered
by their key, as objects of the ORM, and each is of another caller; its time includes making the filter. Cerbos does
the same: the plan of its server, its adapter for SQLAlchemy, and the same page. Both must list the same documents,
else the run stops. Pages alternate, in wall-clock time, since database and Cerbos are other processes; row by row is a
decision for each of the first 2,000 documents.

The plan of PostgreSQL for a page of each kind is written to `benchmarks/results/lists.txt`, and bounded for callers who
see few rows. Skipped without a server of PostgreSQL; without Cerbos, whose server is a program of its own
(`peers/with_cerbos.py`), there are no rows of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeAlias

from sqlalchemy import Engine, Select, create_engine, func, select
from sqlalchemy.orm import Session

from benchmarks.clock import Call, least
from benchmarks.documents import (
    ACCOUNT,
    ACTION,
    SECRET,
    SHARES,
    TAGS,
    Caller,
    Document,
    Group,
    TagRule,
    analyze,
    callers,
    fill,
    groups,
    rules,
)
from benchmarks.peers.with_cerbos import CONDITIONS, RULES, Cerbos, started
from benchmarks.row import Row, Skipped
from iam_guard import AccessRequest, Authorizer, Principal, Service, compile_policies, filter_statement
from iam_guard.filters.indexes import suggest_indexes
from tests.store.databases import find_server

PAGE = 50
SAMPLE = 2_000
"""The rows that are decided one by one."""
ROUNDS = 40
MAX_REMOVED = 20 * PAGE
"""Maximum number of rows that PostgreSQL reads in vain for a page of a caller who sees few."""
STATEMENTS_OF_A_POLICY = 20
EXPLAINED = Path(__file__).resolve().parent / "results" / "lists.txt"
OURS, UNINDEXED = "iam_guard", "without indexes"
PEERS = {CONDITIONS: "Cerbos, 200 conditions in two rules", RULES: "Cerbos, 200 rules"}

docs = Service("docs")
documents = docs.resource_type(
    "document",
    "document/{id}",
    model=Document,
    account=Document.account,
    tags=Document.tags,
    keys={"docs:Class": Document.classification},
)

List: TypeAlias = Callable[[Caller], Select[Any]]
"""Returns the query of the documents that a caller may see."""


def measure() -> Iterator[Row]:
    """Measure the making of filters, row by row, and pages."""
    server = find_server()
    if isinstance(server, str):
        raise Skipped(server)
    engine = create_engine(server.create())
    try:
        fill(engine)
        yield from _rows(engine, Ours())
    finally:
        engine.dispose()
        server.close()


def _rows(engine: Engine, ours: Ours) -> Iterator[Row]:
    yield from _row_by_row(engine, ours)
    without = {kind: _times(engine, kind, {OURS: ours.statement})[OURS] for kind in SHARES}
    _create_indexes(engine, ours)
    _write_plans(engine, ours)
    for kind in SHARES:
        yield from _pages(kind, _times(engine, kind, {OURS: ours.statement}) | {UNINDEXED: without[kind]})
    with started() as cerbos:
        yield from _filters(ours, cerbos)
        lists: dict[str, List] = {OURS: ours.statement, PEERS[CONDITIONS]: cerbos.statement}
        for kind in SHARES:
            _assure_equal_counts(engine, callers(kind)[0], lists)
            yield from _pages(kind, _times(engine, kind, lists))


def _create_indexes(engine: Engine, ours: Ours) -> None:
    """Create the suggested indexes, and those of the expressions that Cerbos compares."""
    suggested = {index.ddl for index in suggest_indexes(ours.authorizers[groups()[0]], documents, dialect="postgresql")}
    of_cerbos = {f"CREATE INDEX ON documents ((tags ->> '{tag}'))" for tag in TAGS}
    with engine.begin() as connection:
        for definition in sorted(suggested | of_cerbos):
            connection.exec_driver_sql(definition)
    analyze(engine)


class Ours:
    """An authorizer for each group of callers, with the group's statements as identity policies."""

    def __init__(self) -> None:
        self.authorizers = {group: compiled(group) for group in groups()}

    def statement(self, caller: Caller) -> Select[Any]:
        """Return the query of the documents that a caller may see."""
        return listed(self.authorizers[caller.group], caller)

    def decide(self, caller: Caller, document: Document) -> bool:
        """Decide about one document."""
        resource = documents.resource_of(document)
        request = AccessRequest.for_resource(principal_of(caller), ACTION, resource, {})
        return self.authorizers[caller.group].decide(request).allowed


def listed(authorizer: Authorizer, caller: Caller) -> Select[Any]:
    """Return the query of the documents that an authorizer allows a caller to see."""
    every = select(Document)
    principal = principal_of(caller)
    return filter_statement(authorizer, principal, every, ACTION, resource_type=documents, dialect="postgresql")


def principal_of(caller: Caller) -> Principal:
    """Return a caller, with the value that is denied to it as its tag."""
    arn = f"arn:aws:iam::{ACCOUNT}:user/{caller.role}-{caller.number}"
    return Principal.from_arn(arn, tags={"blocked": caller.blocked})


def compiled(group: Group) -> Authorizer:
    """Compile the rules of a group, as policies of typical size."""
    statements = [_statement(rule) for rule in rules(group)]
    chunks = range(0, len(statements), STATEMENTS_OF_A_POLICY)
    return compile_policies(
        identity=[
            {"Version": "2012-10-17", "Statement": statements[start : start + STATEMENTS_OF_A_POLICY]}
            for start in chunks
        ]
    )


def _statement(rule: TagRule) -> dict[str, Any]:
    equal = {f"aws:ResourceTag/{rule.tag}": "${aws:PrincipalTag/blocked}" if rule.value is None else rule.value}
    return {
        "Effect": "Allow" if rule.allows else "Deny",
        "Action": ACTION,
        "Resource": f"arn:aws:docs:us-east-1:{ACCOUNT}:document/*",
        "Condition": {"StringEquals": equal | ({"docs:Class": SECRET} if rule.only_secret else {})},
    }


# --- filters and single decisions --------------------------------------------------------------------------------


def _filters(ours: Ours, cerbos: Cerbos) -> Iterator[Row]:
    """Measure a filter for a caller of a group that no filter was made for yet, for another caller, and once more.

    The peers are the plan of Cerbos with its translation; they have no cache.
    """
    numbers = count(1)
    group = groups()[0]
    fresh = iter([compiled(group) for _ in range(ROUNDS + 2)])

    def caller() -> Caller:
        return Caller(group, next(numbers), 0)

    same = caller()
    calls: dict[str, Call] = {
        "policies never used": lambda: listed(next(fresh), same),
        "another caller": lambda: ours.statement(caller()),
        "the same caller": lambda: ours.statement(same),
        **{name: partial(_statement_of_peer, cerbos, caller, policy) for policy, name in PEERS.items()},
    }
    taken = least(calls, ROUNDS, 0.0, timer=time.perf_counter)
    for name in calls.keys() - PEERS.values():
        for peer in PEERS.values():
            yield Row(f"a filter by 200 statements, {name}", taken[name] * 1e3, "ms", taken[name] / taken[peer], peer)


def _statement_of_peer(cerbos: Cerbos, caller: Callable[[], Caller], policy: str) -> object:
    return cerbos.statement(caller(), policy)


def _row_by_row(engine: Engine, ours: Ours) -> Iterator[Row]:
    """Measure a list of a small part of the table beside a decision about each of its documents."""
    caller = callers("middle")[0]
    part = Document.id <= SAMPLE

    def filtered() -> list[int]:
        with Session(engine) as session:
            return [document.id for document in session.scalars(ours.statement(caller).where(part))]

    def decided() -> list[int]:
        with Session(engine) as session:
            every = session.scalars(select(Document).where(part))
            return [document.id for document in every if ours.decide(caller, document)]

    _assure_same(caller, {OURS: sorted(filtered()), "row by row": sorted(decided())})
    taken = least({OURS: filtered, "row by row": decided}, ROUNDS, 0.0, timer=time.perf_counter)
    name = f"the permitted ones of {SAMPLE:,} rows"
    yield Row(name, taken[OURS] * 1e3, "ms", taken[OURS] / taken["row by row"], "row by row")


# --- pages -------------------------------------------------------------------------------------------------------


def _times(engine: Engine, kind: str, lists: Mapping[str, List]) -> dict[str, list[float]]:
    """Return the milliseconds of a page of each caller of a kind. All lists must have the same documents."""
    taken: dict[str, list[float]] = {name: [] for name in lists}
    for caller in callers(kind):
        found = {}
        for name, statement in lists.items():
            begun = time.perf_counter()
            with Session(engine) as session:
                found[name] = [document.id for document in session.scalars(_page(statement(caller), caller))]
            taken[name].append((time.perf_counter() - begun) * 1e3)
        _assure_same(caller, found)
    return taken


def _page(statement: Select[Any], caller: Caller) -> Select[Any]:
    return statement.where(Document.id > caller.after).order_by(Document.id).limit(PAGE)


def _assure_same(caller: Caller, found: Mapping[str, object]) -> None:
    first, *others = found.values()
    if not first or any(other != first for other in others):
        raise SystemExit(f"expected the same documents for {caller}, got {found}")


def _assure_equal_counts(engine: Engine, caller: Caller, lists: Mapping[str, List]) -> None:
    """Assure that all lists have as many documents in the whole table."""
    with engine.connect() as connection:
        counted = {
            name: connection.scalar(select(func.count()).select_from(statement(caller).subquery()))
            for name, statement in lists.items()
        }
    _assure_same(caller, counted)


def _pages(kind: str, times: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    taken = {name: _percentiles(each) for name, each in times.items()}
    for peer in taken.keys() - {OURS}:
        for percentile, value in taken[OURS].items():
            name = f"a page of {PAGE}, a caller who sees {SHARES[kind] * 100:g} %, {percentile}"
            yield Row(name, value, "ms", value / taken[peer][percentile], peer)


def _percentiles(taken: Sequence[float]) -> dict[str, float]:
    return {"median": median(taken), "95th percentile": quantiles(taken, n=20)[-1]}


def _write_plans(engine: Engine, ours: Ours) -> None:
    """Write how PostgreSQL reads a page of each kind. It must find the few rows of the first kind by indexes."""
    plans = {}
    with engine.connect() as connection:
        for kind in SHARES:
            caller = callers(kind)[0]
            page = _page(ours.statement(caller), caller).compile(engine, compile_kwargs={"literal_binds": True})
            plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {page}").scalars()
            plans[kind] = "\n".join(plan)
    EXPLAINED.parent.mkdir(exist_ok=True)
    EXPLAINED.write_text("\n\n".join(f"{kind}\n{plan}" for kind, plan in plans.items()) + "\n", encoding="utf-8")
    removed = sum(map(int, re.findall(r"Rows Removed by (?:Filter|Index Recheck): (\d+)", plans["narrow"])))
    if "Seq Scan on documents" in plans["narrow"] or removed > MAX_REMOVED:
        expected = f"expected no sequential scan and at most {MAX_REMOVED} rows removed for a caller who sees few"
        raise SystemExit(f"{expected}, got {removed}: see {EXPLAINED.name}")

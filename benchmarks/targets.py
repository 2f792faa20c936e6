"""The targets of the benchmarks, as one table; the page shows which are met.

Ratios to a peer of the same run and counts of instructions bind; absolute times depend on the machine, and inform.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks.row import Row, show


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for the rows of a benchmark whose name fits `rows`, with `*` for anything.

    Of the value; where `peer` is named, of the ratio to this peer. An upper bound unless `at_least`.
    """

    benchmark: str
    rows: str
    bound: float
    peer: str = ""
    at_least: bool = False

    def covers(self, benchmark: str, row: Row) -> bool:
        """Return whether the target is about this row."""
        return benchmark == self.benchmark and fnmatchcase(row.name, self.rows) and self.peer in ("", row.peer)

    def is_met(self, row: Row) -> bool:
        """Return whether the row meets the bound."""
        value = row.ratio if self.peer else row.value
        return value >= self.bound if self.at_least else value <= self.bound

    def words(self, row: Row) -> str:
        """Return the bound as text."""
        unit = "×" if self.peer else row.unit
        return f"{'≥' if self.at_least else '≤'} {show(self.bound)} {unit}"


_ADDED = "added to a request: "
_TRAIL = "SigV4, audit to a trail"
_PYJWT, _CASBIN = "PyJWT RS256, async dependency", "casbin's middleware, 9 lines of policy"

TARGETS = (
    Target("decision", "allow, *", 3.0),
    Target("decision", "implicit deny, *", 2.0),
    Target("decision", "explicit deny, *", 2.0),
    Target("pythons", "allow, *, CPython 3.11", 4.5),
    Target("many", "* statements, 1 action", 1.5, peer="10 of them"),
    Target("many", "* policies, 50 actions", 1.5, peer="100 of them"),
    Target("load", "10,000 policies of 3 statements: read, compiled", 1.1),
    Target("load", "10,000 policies of 3 statements: * compiled", 1.5),
    Target("load", "10,000 policies of 3 statements: * every statement decided", 1.5),
    Target("load", "10,000 policies of 3 statements: *, memory", 100.0),
    Target("load", "1,000 managed policies of AWS: * compiled", 1.0),
    Target("load", "1,000 managed policies of AWS: * every statement decided", 1.0),
    Target("load", "1,000 managed policies of AWS: *, memory", 60.0),
    Target("cold", "*", 5.0),
    Target("cold", "*", 2.0, peer="2,000 users"),
    Target("changes", "SQLite: 99 % use a change within", 1_000.0),
    Target("changes", "PostgreSQL: 99 % use a change within", 100.0),
    Target("changes", "*, 50 unrelated changes a second, *: cache hits", 99.0, at_least=True),
    Target("changes", "*, 50 unrelated changes a second, *: CPU time of a decision", 1.2, peer="without changes"),
    Target("changes", "* writing: writes a second", 0.9, peer="without notifications", at_least=True),
    Target("changes", "* writing: CPU time of a write", 1.1, peer="without notifications"),
    Target("lists", "a page of 50, *, 95th percentile", 20.0),
    Target("lists", "a filter by 200 statements, *", 1.0),
    Target("lists", "a filter by 200 statements, *", 0.1, peer="Cerbos, 200 rules"),
    Target("lists", "a filter by 200 statements, *", 0.1, peer="Cerbos, 200 conditions in two rules"),
    Target("lists", "the permitted ones of 2,000 rows", 0.1, peer="row by row"),
    Target("memory", "*", 6.0),
    Target("worst", "slowest first decision: *", 50.0),
    Target("worst", "*", 10.0),
    Target("authn", "SigV4, GET, no body", 16.0),
    Target("authn", "SigV4, GET, a query of two", 16.0),
    Target("authn", "SigV4, POST, a body of 1 KiB", 16.0),
    Target("session_tokens", "open a *", 15.0),
    Target("session_tokens", "opened before, a *", 2.0),
    Target("authn", "OIDC token, known", 5.0),
    Target("authn", "SigV4, GET, no body", 0.35, peer="botocore signing it"),
    Target("authn", "SigV4, GET, no body", 1.8, peer="a minimal verifier"),
    Target("bytecodes", f"instructions {_ADDED}{_TRAIL}", 1_900),
    Target("bytecodes", f"calls {_ADDED}{_TRAIL}", 70),
    Target("guarded", f"{_ADDED}SigV4", 30.0),
    Target("guarded", f"{_ADDED}{_TRAIL}", 30.0),
    Target("guarded", f"{_ADDED}API key*", 30.0),
    Target("guarded", f"{_ADDED}FastAPI, decorator, {_TRAIL}", 50.0),
    Target("guarded", f"{_ADDED}FastAPI, dependency, {_TRAIL}", 75.0),
    Target("guarded", f"{_ADDED}{_TRAIL}", 0.40, peer=_PYJWT),
    Target("guarded", f"{_ADDED}{_TRAIL}", 0.33, peer=_CASBIN),
    Target("latency", f"{_ADDED}{_TRAIL}", 40.0),
    Target("latency", f"{_ADDED}{_TRAIL}", 0.40, peer=_PYJWT),
    Target("latency", f"{_ADDED}{_TRAIL}", 0.33, peer=_CASBIN),
    Target("variety", f"{_ADDED}* documents in turn, *", 1.3, peer="one document"),
    Target("variety", "added to `Guard.decide`: *", 10.0),
    Target("control_plane", "start of the server, *", 1.0),
    Target("in_process", "GetUser *", 0.33, peer="boto3 over HTTP"),
    Target("control_plane", "GetUser, *: requests a second", 800.0, at_least=True),
    Target("control_plane", "CreateUser, *: requests a second", 150.0, at_least=True),
    Target("control_plane", "*: requests a second", 1.0, peer="moto", at_least=True),
    Target("pipeline", "noting *, mean", 5.0),
    Target("pipeline", "noting *, 99th percentile", 25.0),
    Target("trail", "writer, commits of 250: records a second", 100_000.0, at_least=True),
    Target("trail", "verifying ten million records, extrapolated", 60.0),
    Target("questions", "actions of a role in 90 days, ten million*", 0.2),
    Target("questions", "verifying ten million*", 60.0),
    Target("unauthenticated", "*: CPU time added", 1.0),
    Target("unauthenticated", "*: memory added", 64.0),
    Target("unauthenticated", "a signed request meanwhile*", 1.2, peer="the same without them"),
    Target("unauthenticated", "the event loop meanwhile*", 5.0),
    Target("sign_in", "*: the median differs by", 3.0),
    Target("sign_in", "*: Mann-Whitney p", 0.01, at_least=True),
    Target("sign_in", "200 at once: the event loop late, 99th percentile", 5.0),
    Target("sign_in", "200 at once: a guarded request, 99th percentile", 2.0, peer="the same without them"),
    Target("sign_in", "200 at once: memory added", 8.0, peer="a hash"),
    Target("sign_in", "one by one: a sign-in, 95th percentile", 300.0),
    Target("start", "iam-guard --help", 150.0),
    Target("start", "iam-guard decide", 400.0),
    Target("start", "iam-guard --help", 2.0, peer="python -c pass"),
    Target("start", "iam-guard decide", 5.0, peer="python -c pass"),
    Target("served", "SigV4, requests a second of *", 0.55, peer="bare Starlette", at_least=True),
    Target("served", "API key, requests a second of *", 0.60, peer="bare Starlette", at_least=True),
)


def targets_of(benchmark: str, row: Row) -> list[Target]:
    """Return the targets of a row: the first that fits for its value, and the first for its ratio to a peer."""
    found: dict[str, Target] = {}
    for target in TARGETS:
        if target.covers(benchmark, row):
            found.setdefault(target.peer, target)
    return list(found.values())

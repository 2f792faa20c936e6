"""Decisions stay fast, and the benchmark page shows the measured results.

A decision is compared with some plain work of the same process, both in CPU time and each at its best of many short
rounds: a ratio, which a slow or busy machine leaves as it is. The bounds are two and a half times what was measured
when this was written; they find what got several times slower, and nothing less.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.apps import bare, behind, guard_with_trail, signed
from benchmarks.bytecodes import counted
from benchmarks.clock import CALIBRATION, Call, calibrate, least
from benchmarks.decision import QUESTIONS
from benchmarks.guarded import HOST
from benchmarks.many import SIZES
from benchmarks.ours import built, compiled
from benchmarks.page import FOLDER, NUMBERS, RESULTS_TEMPLATE, collect, marks, pages
from benchmarks.row import Row, show
from benchmarks.run import BENCHMARKS
from benchmarks.tables import HIGHLIGHTS, interpreters_table
from benchmarks.targets import TARGETS, targets_of
from benchmarks.world import MAX_IN_ONE_DOCUMENT, Question, few, folder, one_action
from iam_guard.model.decision import Outcome
from tests.tables import table

ROUNDS, SECONDS_OF_A_ROUND = 60, 0.002
MAX_INSTRUCTIONS, MAX_CALLS = 2_012, 70
"""What the guard may add to a request."""


def times_the_calibration_loop(call: Call) -> float:
    taken = least({"call": call, CALIBRATION: calibrate}, ROUNDS, SECONDS_OF_A_ROUND)
    return taken["call"] / taken[CALIBRATION]


# --- as fast as it was -------------------------------------------------------------------------------------------


@table(("kind", "most"), [("allow, 2 conditions", 8.0), ("implicit deny", 6.5), ("explicit deny", 4.5)])
def test_small_decision_takes_few_calibration_loops(kind: str, most: float) -> None:
    """A decision among 5 policies of 15 statements."""
    question, outcome = QUESTIONS[kind]
    assert times_the_calibration_loop(built(compiled(few(), 15), question, outcome)) < most


@pytest.mark.slow
def test_large_policy_decision_is_as_fast_as_small_one() -> None:
    """100,000 statements about the same action are indexed, not scanned."""
    rules = one_action(SIZES[-1])
    question = Question("docs:Get", f"{folder(SIZES[-1] // 2)}draft", allowed=True)
    call = built(compiled(rules, MAX_IN_ONE_DOCUMENT), question, Outcome.ALLOWED)
    assert times_the_calibration_loop(call) < 8.5


def test_slow_call_is_detected() -> None:
    """The measure distinguishes a call from ten."""
    assert 6.0 < times_the_calibration_loop(lambda: [calibrate() for _ in range(10)]) < 15.0


@pytest.mark.skipif(sys.version_info[:2] != (3, 13), reason="the number of instructions depends on the Python version")
def test_guarded_request_executes_few_instructions() -> None:
    """The fewest of three requests, since one may poll the store; signed with SigV4, with a trail."""
    headers = signed(HOST)
    with closing(guard_with_trail()) as guard:
        app, alone = behind(guard), counted(bare(), {"host": HOST}).total
        instructions, calls = min(counted(app, headers).total for _ in range(3))
    assert instructions - alone[0] <= MAX_INSTRUCTIONS
    assert calls - alone[1] <= MAX_CALLS


# --- the page ----------------------------------------------------------------------------------------------------


def numbers() -> Any:
    return json.loads((FOLDER / NUMBERS).read_text(encoding="utf-8"))


def test_benchmark_page_equals_the_results() -> None:
    """`python -m benchmarks.page` generates page and charts."""
    assert {name: (FOLDER / name).read_text(encoding="utf-8") for name in pages(numbers())} == pages(numbers())


def test_results_of_another_machine_are_marked() -> None:
    """Of a benchmark that was added after the last run of all: its figures can't be compared with the others."""
    results = numbers()
    for benchmark in results["benchmarks"].values():
        benchmark.pop("machine", None)
    assert not [name for name, text in pages(results).items() if "on another machine" in text]
    results["benchmarks"]["start"]["machine"] = {"processor": "another", "Python": "CPython 3.11"}
    words = {name: text for name, text in pages(results).items() if "on another machine" in text}
    assert "| start `iam-guard decide` (on another machine) |" in words["benchmarks.md"]
    assert "Measured on another machine: another, CPython 3.11." in words["benchmark-results.md"]


def test_partly_skipped_benchmark_shows_its_rows() -> None:
    """Such as that with a server which is not installed."""
    results = numbers()
    results["benchmarks"]["served"]["skipped"] = "httptools and uvloop"
    (added,) = set(pages(results)["benchmark-results.md"].splitlines()) - set(
        pages(numbers())["benchmark-results.md"].splitlines()
    )
    assert added == "Not measured: httptools and uvloop."


def test_interpreters_are_compared() -> None:
    """A row has the time on one Python, and its ratio to that on another one."""
    name = "implicit deny, question built, CPython 3.11"
    rows = [Row(name, 4.0, "us", 2.0, "CPython 3.13"), Row(name, 4.0, "us", 8.0, CALIBRATION)]
    assert interpreters_table(rows).splitlines()[0::2] == [
        "| Decision | CPython 3.11 | CPython 3.13 |",
        "| implicit deny | 4.00\N{NO-BREAK SPACE}µs | 2.00\N{NO-BREAK SPACE}µs |",
    ]


def test_first_fitting_target_counts() -> None:
    """The specific one comes first in the table."""
    (target,) = targets_of("worst", Row("slowest first decision: variables", 40.0, "ms", 1.0, "json"))
    assert target.bound == 50.0


def test_every_benchmark_has_its_section() -> None:
    """And every section its benchmark."""
    assert set(marks(RESULTS_TEMPLATE.read_text(encoding="utf-8"))) == set(BENCHMARKS)


def test_every_target_has_a_measured_row() -> None:
    """A target of a renamed row would never be checked; skipped benchmarks are exempt."""
    measured = [
        (name, Row(**row))
        for name, each in numbers()["benchmarks"].items()
        for row in each["rows"] or []
        if not each["skipped"]
    ]
    skipped = {name for name in BENCHMARKS if numbers()["benchmarks"].get(name, {"skipped": True})["skipped"]}
    idle = [
        target
        for target in TARGETS
        if target.benchmark not in skipped and not any(target.covers(name, row) for name, row in measured)
    ]
    assert idle == []


def test_every_highlight_has_a_measured_row() -> None:
    """The first page would silently lose the figure of a renamed row."""
    benchmarks = numbers()["benchmarks"]
    measured = {(name, row["name"], row["peer"]) for name, each in benchmarks.items() for row in each["rows"]}
    named = {figure[:2] for figure in measured}
    shown = [row for row in HIGHLIGHTS if benchmarks.get(row.benchmark, {"rows": []})["rows"]]
    assert [row for row in shown if (row.benchmark, row.row) not in named] == []
    assert [row for row in shown if row.peer and (row.benchmark, row.row, row.peer) not in measured] == []


def test_target_is_an_upper_or_lower_bound() -> None:
    """Of a value or of the ratio to a peer."""
    quick, slow = Row("SigV4", 29.0, "us", 7.0, "bare Starlette"), Row("SigV4", 31.0, "us", 7.0, "bare Starlette")
    (above,) = targets_of("guarded", Row("added to a request: SigV4", 1.0, "us", 1.0, "bare Starlette"))
    assert above.is_met(quick)
    assert not above.is_met(slow)
    (below,) = targets_of("served", Row("API key, requests a second of CPU time", 9.0, "1/s", 0.59, "bare Starlette"))
    assert not below.is_met(Row("", 9.0, "1/s", 0.59, "bare Starlette"))
    assert below.is_met(Row("", 9.0, "1/s", 0.61, "bare Starlette"))
    assert targets_of("served", Row("API key, requests a second of CPU time", 9.0, "1/s", 0.59, "another")) == []


def test_row_may_have_several_targets() -> None:
    """One for its value, one for the ratio to a peer; the page shows both."""
    row = Row("GetUser, 8 at a time: requests a second", 790.0, "1/s", 1.5, "moto")
    assert [target.is_met(row) for target in targets_of("control_plane", row)] == [False, True]


def test_results_of_several_machines_are_refused(tmp_path: Path) -> None:
    """A page is about one machine."""
    for name, processor in (("decision", "fast"), ("load", "slow")):
        result: dict[str, Any] = {
            "when": "2026-01-01",
            "machine": {"processor": processor},
            "skipped": None,
            "rows": [],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    with pytest.raises(SystemExit, match=r"one machine, got several: decision, load"):
        collect(tmp_path)


@table(
    ("value", "text"),
    [(0.0, "0.0"), (0.00123, "0.00123"), (0.999, "0.999"), (4.604, "4.60"), (39.5, "39.5"), (123456.0, "123,456")],
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    """More would suggest a precision that no benchmark has."""
    assert show(value) == text

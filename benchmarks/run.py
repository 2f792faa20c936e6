"""Run the benchmarks: `python benchmarks/run.py [NAME...]`. A slow result is not a failure.

Machines differ, and the same one changes from minute to minute: every row has a peer that was measured in the same run;
quote only the ratio. Results are printed, and written to `benchmarks/results/` as JSON, from which `page`
generates the page of the documentation. A benchmark is a module with a function `measure() -> Iterator[Row]`; one that
can't run on the machine raises `Skipped`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)  # for `benchmarks`, which is never installed
    import benchmarks.own_tests  # noqa: F401

from benchmarks.machine import describe  # noqa: E402
from benchmarks.row import Skipped, show  # noqa: E402

RESULTS = HERE / "results"
BENCHMARKS = {
    "audit": "microseconds of noting a decision",
    "authn": "microseconds to find out who sent a request",
    "bodies": "microseconds that a guard adds to a request of FastAPI with a JSON body",
    "bytecodes": "instructions and calls that a guard adds to a request",
    "cases": "cases a second of `iam-guard decide`",
    "changes": "milliseconds until other processes use a change, and what following changes costs",
    "cold": "milliseconds of a decision for which nothing is cached, in a store of 200,000 users",
    "control_plane": "requests a second of the IAM API, beside moto's server",
    "decision": "microseconds of one small warm decision",
    "guarded": "microseconds that the whole guard adds to a request",
    "in_process": "microseconds of a call by a client in the process, beside boto3 over HTTP",
    "latency": "microseconds that a guard adds to a request under uvicorn, one client",
    "lists": "milliseconds of a page of the rows that a caller may see (needs PostgreSQL, and Cerbos for its rows)",
    "load": "seconds and MiB to load policies",
    "many": "microseconds of one warm decision among many statements, policies, principals",
    "memory": "KiB for each principal that a guard knows",
    "pipeline": "microseconds that a request pays for its record in a trail",
    "pythons": "microseconds of one small warm decision on the oldest and newest other Python of this machine",
    "questions": "seconds of a question to a compacted trail (`BENCH_RECORDS`: of how many records)",
    "session_tokens": "microseconds to open a session token",
    "served": "requests a second under uvicorn (needs `wrk`), 16 clients and one",
    "sign_in": "what the duration of a refused sign-in reveals, and 200 sign-ins at once",
    "start": "milliseconds of CPU time until a command of `iam-guard` begins",
    "trail": "records a second that the audit trail takes, and that are verified",
    "unauthenticated": "CPU time and memory of hostile requests without credentials, and a caller meanwhile",
    "variety": "microseconds that the whole guard adds when documents, callers and their kinds vary",
    "where": "shares of a guarded request, by room",
    "worst": "milliseconds of a decision with documents contrived to be slow",
}


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    listed = ", ".join(f"{name}: {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(description=f"Measure iam_guard ({listed}).")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all of them if none is named")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}")
    for name in names:
        _run(name)


def _run(name: str) -> None:
    print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
    rows, skipped = [], None
    try:
        for row in importlib.import_module(f"benchmarks.{name}").measure():
            print(f"  {row.name:64} {show(row.value):>10} {row.unit:8} {row.ratio:>9.3g} x {row.peer}", flush=True)
            rows.append(asdict(row))
    except Skipped as reason:
        print(f"  skipped: {reason}", flush=True)
        skipped = str(reason)
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(),
        "skipped": skipped,
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

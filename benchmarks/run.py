"""Run the benchmarks: `python benchmarks/run.py [NAME...]`. Nothing fails for being slow.

Machines differ, and the same one from minute to minute: every row has a peer that was measured in the same run, and
the ratio to it is what may be quoted. Results are printed, and written to `benchmarks/results/` as JSON. A benchmark is
a module with a function `measure() -> Iterator[Row]`. Must not live here: what is measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
BENCHMARKS = {
    "cases": "cases a second of `iam-guard decide`",
    "decision": "microseconds of one warm decision",
    "worst": "milliseconds of a decision with documents contrived to be slow",
}


def main() -> None:
    """Measure what is named on the command line, or everything."""
    listed = ", ".join(f"{name}: {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(description=f"Measure iam_guard ({listed}).")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all of them if none is named")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}")
    sys.path.insert(0, str(HERE.parent))  # for `benchmarks` and `tests`, which are never installed
    for name in names:
        _run(name)


def _run(name: str) -> None:
    print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
    rows = []
    for row in importlib.import_module(f"benchmarks.{name}").measure():
        print(f"  {row.name:48} {row.value:>12,.1f} {row.unit:10} {row.ratio:>9.3g} x {row.peer}", flush=True)
        rows.append(asdict(row))
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Generate the pages of the documentation from the results: `python -m benchmarks.page`, after `make bench`.

The results in `benchmarks/results/` are copied to `docs/explanation/benchmarks.json`, which is in the repository. The
pages are generated from that file and from `page.md` and `results.md`, which have the text and a mark `[[NAME]]` for
each table; so a test can check that they are up to date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.charts import charts
from benchmarks.row import Row, show
from benchmarks.tables import (
    ADDED,
    KINDS,
    SIZES,
    highlights_table,
    in_micro,
    peers_table,
    quantity,
    requests_table,
    results_table,
    table,
)
from benchmarks.targets import Target, targets_of

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FOLDER = ROOT / "docs" / "explanation"
NUMBERS = "benchmarks.json"
NOTE = "\n<!-- Made by benchmarks/page.py from benchmarks.json; `python -m benchmarks.page` makes it anew. -->\n"

PAGE_TEMPLATE = ROOT / "benchmarks" / "page.md"
RESULTS_TEMPLATE = ROOT / "benchmarks" / "results.md"
_MARK = re.compile(r"^\[\[([a-z_]+)\]\]$", re.MULTILINE)

Results = Mapping[str, Any]
"""The result of `collect`, and the content of the file of numbers."""


def main() -> None:
    """Collect the results, and write numbers, page and charts."""
    results = collect(RESULTS)
    (FOLDER / NUMBERS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, text in pages(results).items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def collect(folder: Path) -> Results:
    """Join the results of all benchmarks; they must be of one machine with the same packages."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    if not read:
        raise SystemExit("no results yet: run `make bench`")
    machines = {json.dumps(each["machine"]): name for name, each in read.items()}
    if len(machines) > 1:
        raise SystemExit(f"expected the results of one machine, got several: {', '.join(machines.values())}")
    kept = {name: {key: each[key] for key in ("when", "skipped", "rows")} for name, each in read.items()}
    return {"machine": next(iter(read.values()))["machine"], "benchmarks": kept}


def rows_of(results: Results, benchmark: str) -> list[Row]:
    """Return the rows of a benchmark, none if it was not run."""
    return [Row(**each) for each in results["benchmarks"].get(benchmark, {"rows": []})["rows"]]


def pages(results: Results) -> dict[str, str]:
    """Return the two pages and their charts: file name -> text."""
    rows = {name: rows_of(results, name) for name in results["benchmarks"]}
    page, words = PAGE_TEMPLATE.read_text(encoding="utf-8"), RESULTS_TEMPLATE.read_text(encoding="utf-8")
    first = {
        "requests": requests_table(rows.get("guarded", [])),
        "sizes": peers_table(rows.get("many", []), SIZES, "Statements"),
        "kinds": peers_table(rows.get("decision", []), KINDS, "Decision"),
        "highlights": highlights_table(rows),
        "targets": _targets(rows, marks(words)),
    }
    every = {name: _results(results, name) for name in marks(words)} | {"machine": _machine(results)}
    return {"benchmarks.md": _filled(page, first), "benchmark-results.md": _filled(words, every), **charts(rows)}


def _filled(words: str, tables: Mapping[str, str]) -> str:
    title, _, rest = words.partition("\n")
    return f"{title}\n{NOTE}{_MARK.sub(lambda mark: tables[mark[1]], rest)}"


def marks(words: str) -> dict[str, str]:
    """Return the benchmarks with a mark in the text: name -> title of the section."""
    found, title = {}, ""
    for line in words.splitlines():
        mark = _MARK.fullmatch(line)
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif mark is not None and mark[1] != "machine":
            found[mark[1]] = title
    return found


# --- the parts of the pages --------------------------------------------------------------------------------------


def _targets(rows: Mapping[str, Sequence[Row]], titles: Mapping[str, str]) -> str:
    """Return how many targets of each section are met, and those that are not."""
    judged = {
        (title, row.name, target): row
        for name, title in titles.items()
        for row in rows.get(name, [])
        for target in targets_of(name, row)
    }
    missed = [
        (title, name.removeprefix(ADDED), _measured(row, target), in_micro(target.words(row)))
        for (title, name, target), row in judged.items()
        if not target.is_met(row)
    ]
    text = f"Of {len(judged)} targets, {len(judged) - len(missed)} are met"
    if not missed:
        return f"{text}."
    return f"{text}. These are not:\n\n{table(('Where', 'What', 'Is', 'Should be'), missed)}"


def _measured(row: Row, target: Target) -> str:
    return f"{show(row.ratio)} × {row.peer}" if target.peer else quantity(row.value, row.unit)


def _machine(results: Results) -> str:
    days = sorted({result["when"][:10] for result in results["benchmarks"].values()})
    measured = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return table(("What", "Which"), [*results["machine"].items(), ("measured", measured)])


def _results(results: Results, name: str) -> str:
    """Return the table of a benchmark, or the reason for its absence."""
    if name not in results["benchmarks"]:
        return "Not measured."
    skipped = results["benchmarks"][name]["skipped"]
    return f"Not measured: {skipped}." if skipped else results_table(name, rows_of(results, name))


if __name__ == "__main__":
    main()

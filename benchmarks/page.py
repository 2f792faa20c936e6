"""Generate the page of the documentation from the results: `python -m benchmarks.page`, after `make bench`.

The results in `benchmarks/results/` are copied to `docs/explanation/benchmarks.json`, which is in the repository. The
page is generated from that file and from `page.md`, which has the text and a mark `[[NAME]]` for each table; so a test
can check that it is up to date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.charts import charts
from benchmarks.row import Row, show
from benchmarks.targets import Target, targets_of

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FOLDER = ROOT / "docs" / "explanation"
NUMBERS = "benchmarks.json"
PAGE = "benchmarks.md"
NOTE = "<!-- Made by benchmarks/page.py from benchmarks.json; `python -m benchmarks.page` makes it anew. -->\n\n"

TEMPLATE = ROOT / "benchmarks" / "page.md"
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
    """Return the page and its charts: file name -> text."""
    drawn = charts({name: rows_of(results, name) for name in results["benchmarks"]})
    words = TEMPLATE.read_text(encoding="utf-8")
    tables = {name: _results(results, name) for name in marks(words)}
    tables |= {"summary": _summary(results, words), "machine": _machine(results)}
    return {PAGE: NOTE + _MARK.sub(lambda mark: tables[mark[1]], words), **drawn}


def marks(words: str) -> dict[str, str]:
    """Return the benchmarks with a mark in the text: name -> title of the section."""
    found, title = {}, ""
    for line in words.splitlines():
        mark = _MARK.fullmatch(line)
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif mark is not None and mark[1] not in ("summary", "machine"):
            found[mark[1]] = title
    return found


# --- the parts of the page ---------------------------------------------------------------------------------------


def _summary(results: Results, words: str) -> str:
    judged = {
        (title, row.name, target): row
        for name, title in marks(words).items()
        for row in rows_of(results, name)
        for target in targets_of(name, row)
    }
    missed = [
        (title, name, _measured(row, target), target.words(row))
        for (title, name, target), row in judged.items()
        if not target.is_met(row)
    ]
    text = f"Of {len(judged)} targets, {len(judged) - len(missed)} are kept."
    if not missed:
        return text
    return f"{text} These are not:\n\n{_table(('Where', 'What', 'Is', 'Should be'), missed)}"


def _measured(row: Row, target: Target) -> str:
    return f"{show(row.ratio)} × {row.peer}" if target.peer else f"{show(row.value)} {row.unit}"


def _machine(results: Results) -> str:
    days = sorted({result["when"][:10] for result in results["benchmarks"].values()})
    measured = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return _table(("What", "Which"), [*results["machine"].items(), ("measured", measured)])


def _results(results: Results, name: str) -> str:
    """Return the table of a benchmark, or the reason for its absence."""
    if name not in results["benchmarks"]:
        return "Not measured."
    skipped = results["benchmarks"][name]["skipped"]
    if skipped:
        return f"Not measured: {skipped}."
    return _table(("What", "Ours", "Target", "Peers, ours being 1"), list(_lines(name, rows_of(results, name))))


def _lines(benchmark: str, rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """Return a line of the table for each name; its rows differ in the peer."""
    for name, group in groupby(rows, key=lambda row: row.name):
        same = list(group)
        verdicts = dict.fromkeys(_verdict(row, target) for row in same for target in targets_of(benchmark, row))
        peers = ", ".join(f"{row.peer} {show(1 / row.ratio)}" for row in same if row.ratio)
        yield name, f"{show(same[0].value)} {same[0].unit}", "; ".join(verdicts), peers


def _verdict(row: Row, target: Target) -> str:
    return f"{target.words(row)}: {'kept' if target.is_met(row) else '**missed**'}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines).replace("*a", "\\*a")  # a wildcard, and no emphasis


if __name__ == "__main__":
    main()

"""What a command imports before it begins: only what it needs, so that it begins at once."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

from tests.tables import table

LOADING = """
import json, runpy, sys
sys.argv[0] = "iam-guard"
present = set(sys.modules)
try:
    runpy.run_module("iam_guard", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted({*sys.modules} - present)), file=sys.stderr)
"""
STORE = {"sqlalchemy", "alembic", "cryptography", "iam_guard.store"}
WEB = {"starlette", "anyio", "uvicorn", "iam_guard.web", "iam_guard.api", "iam_guard.authn", "iam_guard.guard.guard"}
TRAIL = {"opentelemetry", "iam_guard.audit"}
FILES = {"yaml", "rich", "html", "zipfile"}


@cache
def imported(*arguments: str) -> frozenset[str]:
    """Run the command in a new interpreter without input, and return the modules that it has imported at the end."""
    command = [sys.executable, "-c", LOADING, *arguments]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True, timeout=300)
    return frozenset(json.loads(done.stderr))


@table(
    ("arguments", "needless"),
    [
        ("--help", STORE | WEB | TRAIL | FILES | {"cachetools", "iam_guard.policy", "importlib.metadata"}),
        ("audit --help", STORE | WEB | TRAIL | FILES | {"cachetools", "iam_guard.policy"}),
        ("decide", STORE | WEB | TRAIL | FILES | {"asyncio", "iam_guard.testing.coverage.policy_coverage"}),
        ("check batch", STORE | WEB | TRAIL | FILES | {"asyncio"}),
        ("check no-new-access --help", STORE | WEB | TRAIL | {"asyncio", "rich"}),
        ("explain --help", STORE | WEB | TRAIL | {"asyncio", "rich"}),
        ("lint --help", STORE | WEB | TRAIL | {"asyncio", "rich"}),
        ("who-can --help", WEB | TRAIL | {"alembic", "rich"}),
        ("what-can --help", WEB | TRAIL | {"alembic", "rich"}),
        ("audit verify --help", WEB | {"sqlalchemy", "rich", "opentelemetry", "iam_guard.analysis"}),
        ("audit tail --help", WEB | {"sqlalchemy", "rich", "iam_guard.analysis"}),
        ("audit query --help", WEB | {"sqlalchemy", "rich", "duckdb", "opentelemetry", "iam_guard.analysis"}),
        ("apply --help", WEB | {"alembic", "rich", "opentelemetry", "iam_guard.evaluation"}),
    ],
)
def test_command_imports_only_what_it_needs(arguments: str, needless: set[str]) -> None:
    found = imported(*arguments.split())
    assert {"iam_guard.cli.group", "click"} <= found
    assert needless & found == set()


@table(("arguments", "most"), [("--help", 5), ("audit --help", 6), ("decide", 75)])
def test_command_imports_few_of_our_modules(arguments: str, most: int) -> None:
    """Each takes about half a millisecond."""
    ours = [name for name in imported(*arguments.split()) if name.startswith("iam_guard")]
    assert len(ours) <= most, sorted(ours)

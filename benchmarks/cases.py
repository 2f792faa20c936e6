"""The cases per second of `iam-guard decide`, in CPU time, compared with `json.loads` of the same lines.

The command runs as a process; the cost of an empty input (starting Python, imports) is subtracted and reported
separately.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clock import seconds_of_child
from benchmarks.row import Row
from tests.oracle.generate import generate_case

RUNS = 3
ACCOUNT = "111122223333"
CASE_FILES = Path(__file__).resolve().parent.parent / "tests" / "cases"


def measure() -> Iterator[Row]:
    """Measure the command with each input."""
    start = median(_seconds_of_command(os.devnull) for _ in range(RUNS))
    bare = seconds_of_child([sys.executable, "-c", ""], os.devnull)
    yield Row("start of the command, taken off in all below", start * 1000, "ms", start / bare, "bare Python")
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in INPUTS.items():
            path = Path(folder, "cases.jsonl")
            path.write_text("".join(lines()), encoding="utf-8")
            yield _row(name, path, start)


def _row(name: str, path: Path, start: float) -> Row:
    lines = path.read_text(encoding="utf-8").splitlines()
    ours, peers = [], []
    for _ in range(RUNS):
        ours.append(_seconds_of_command(path) - start)
        peers.append(_seconds_of_loads(lines))
    rate = len(lines) / median(ours)
    return Row(name, rate, "cases/s", rate * median(peers) / len(lines), "json.loads of the lines")


def _seconds_of_command(stdin: str | Path) -> float:
    return seconds_of_child([sys.executable, "-m", "iam_guard", "decide"], stdin)


def _seconds_of_loads(lines: list[str]) -> float:
    begun = time.process_time()
    for line in lines:
        json.loads(line)
    return time.process_time() - begun


# --- the inputs --------------------------------------------------------------------------------------------------


def shared() -> Iterator[str]:
    """Return 60,000 requests of one principal with one set of 5 documents of 3 statements, 3.6 KB a line."""
    rng = random.Random(1)
    policies = {"identity": [_document(number) for number in range(5)]}
    for number in range(60_000):
        action = rng.choice(["GetDocument", "List1", "Put2Document", "DeleteDocument"])
        yield _line(number, f"docs{rng.randrange(5)}", action, policies)


def _line(number: int, service: str, action: str, policies: dict[str, Any]) -> str:
    request = {
        "principal": {"arn": f"arn:aws:iam::{ACCOUNT}:user/ada", "account": ACCOUNT, "type": "User"},
        "action": f"{service}:{action}",
        "resource": f"arn:aws:{service}:us-east-1:{ACCOUNT}:document/{number % 3}/{number}",
        "context": {"aws:SourceIp": "10.1.2.3", "aws:ResourceTag/class": "public", "aws:SecureTransport": True},
    }
    return json.dumps({"id": f"c{number}", "request": request, "policies": policies, "expected": "Allowed"}) + "\n"


def _document(number: int) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [_statement(number, kind) for kind in range(3)]}


def _statement(number: int, kind: int) -> dict[str, Any]:
    arn = f"arn:aws:docs{number}:us-east-1:{ACCOUNT}"
    statement: dict[str, Any] = {
        "Sid": f"Statement{number}{kind}",
        "Effect": "Deny" if (number, kind) == (4, 2) else "Allow",
        "Action": [f"docs{number}:Get*", f"docs{number}:List{kind}", f"docs{number}:Put{kind}Document"],
        "Resource": [f"{arn}:document/{kind}/*", f"{arn}:folder/{kind}"],
    }
    if kind == 1:
        statement["Condition"] = {
            "StringEquals": {"aws:ResourceTag/class": ["public", "internal"]},
            "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.168.0.0/16"]},
        }
    return statement


def conformance() -> Iterator[str]:
    """Return all conformance cases, one file after the other, 40 times over."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(CASE_FILES.glob("*.jsonl"))]
    for _ in range(40):
        for text in texts:
            yield text.rstrip("\n") + "\n"


def own_document() -> Iterator[str]:
    """Return 20,000 requests, each with a different document of 3 statements."""
    for number in range(20_000):
        yield _line(number, f"docs{number}", "GetDocument", {"identity": [_document(number)]})


def generated() -> Iterator[str]:
    """Return 10,000 cases that share no document: each has 3.5 documents with 8.4 statements, 2.2 KB."""
    rng = random.Random(1)
    for _ in range(10_000):
        yield json.dumps(generate_case(rng)) + "\n"


INPUTS: dict[str, Callable[[], Iterator[str]]] = {
    "one set of policies for 60,000 requests": shared,
    "the conformance cases, 40 times": conformance,
    "a document for each of 20,000 requests": own_document,
    "10,000 generated cases that share no document": generated,
}

"""A process of `load`: load all policies in one way, and print the seconds and the MiB as JSON.

    python -m benchmarks.load_child WAY FILE

FILE has one document per line, in the order of the rules of `typical`.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.ours import ADA
from benchmarks.peers.table import installed
from benchmarks.world import typical
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document_check import CHECKS, STORED
from iam_guard.policy.fault import Reading
from iam_guard.policy.json_text import read_json
from iam_guard.policy.parser import parse

FORGET_PEAK, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def main(way: str, path: Path) -> None:
    """Load the policies, and print the cost."""
    loading = WAYS[way](path) if way in WAYS else _peer(way)
    gc.collect()
    FORGET_PEAK.write_text("5")  # otherwise the peak of the imports hides that of loading
    memory, begun = _peak(), time.process_time()
    loaded = loading()
    seconds = time.process_time() - begun
    print(json.dumps({"s": seconds, "MiB": _peak() - memory}))
    del loaded


def _peak() -> float:
    """Return the peak of the resident memory in MiB; that of `getrusage` includes the parent process."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


# --- ours --------------------------------------------------------------------------------------------------------


def _compile(path: Path) -> Callable[[], object]:
    return lambda: [compile_policies(identity=[text]) for text in _texts(path)]


def _check_and_compile(path: Path) -> Callable[[], object]:
    def load() -> list[Authorizer]:
        loaded = []
        for text in _texts(path):
            document = parse(text)
            reading = Reading(document, read_json(document.text))
            assert all(fault.message for rule in (*STORED, *CHECKS) for fault in rule(reading))
            loaded.append(compile_policies(identity=[text]))
        return loaded

    return load


def _compile_and_ask(path: Path) -> Callable[[], object]:
    questions = [list(_questions(json.loads(text))) for text in _texts(path)]

    def load() -> list[Authorizer]:
        loaded = [compile_policies(identity=[text]) for text in _texts(path)]
        for authorizer, asked in zip(loaded, questions, strict=True):
            for request in asked:
                authorizer.decide(request)
        return loaded

    return load


def _texts(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        yield from lines


def _questions(document: dict[str, Any]) -> Iterator[AccessRequest]:
    """Yield a matching request for each statement, with a letter for each wildcard."""
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        if "Action" in statement and "Resource" in statement:
            yield AccessRequest(ADA, _first(statement["Action"]), _first(statement["Resource"]))


def _first(written: str | list[str]) -> str:
    first = written if isinstance(written, str) else written[0]
    return first if first == "*" else first.replace("*", "x")


# --- others ------------------------------------------------------------------------------------------------------


def _json(path: Path) -> Callable[[], object]:
    return lambda: [json.loads(text) for text in _texts(path)]


def _peer(name: str) -> Callable[[], object]:
    rules = typical()
    peer = next(peer for peer in installed() if peer.name == name)
    return lambda: peer.load(rules)


WAYS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "compile": _compile,
    "check and compile": _check_and_compile,
    "compile and ask": _compile_and_ask,
    "json.loads": _json,
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

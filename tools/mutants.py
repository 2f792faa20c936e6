"""Run mutation tests: `python -m tools.mutants evaluation` changes that package in many small ways and runs its tests.

mutmut makes the mutants: each changed function is stored beside the original, and `MUTANT_UNDER_TEST` selects one. This
runner collects the tests once, finds which functions each test calls, and forks for each mutant: the child runs the
tests that call the changed function, fast and specific ones first, until one fails. The mutants of a function that is
called while modules are imported each get a process that collects anew.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pytest
from mutmut.mutation import trampoline
from mutmut.mutation.file_mutation import mutate_file_contents

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "mutants"
TESTS = {
    "evaluation": ("tests/cases", "tests/evaluation"),
    "policy": ("tests/cases", "tests/policy"),
    "model": ("tests/model", "tests/policy"),
    "net": ("tests/authn",),
    "authn": ("tests/authn", "--ignore=tests/authn/test_hostile_parsing.py"),  # counts calls, and a mutant adds one
}
"""Package -> the tests that have to detect its mutants, if these are not just the folder of its name.

Without those that detect more by chance.
"""
PACKAGES = [path.parent.name for path in sorted((ROOT / "iam_guard").glob("*/__init__.py"))]
SELECTED = "MUTANT_UNDER_TEST"
MAX_SECONDS = 60
KILLED, SURVIVED, TIMEOUT, UNCALLED = "killed", "survived", "timeout", "not called"


class Mutant(NamedTuple):
    """One changed function: `iam_guard.policy.parser.x_parse__mutmut_3`."""

    name: str
    file: str

    @property
    def function(self) -> str:
        return self.name.partition("__mutmut_")[0]


def generate(package: str) -> list[Mutant]:
    """Copy the repository to `mutants/`, with the mutants of the package, and return them."""
    shutil.rmtree(COPY, ignore_errors=True)
    ignored = shutil.ignore_patterns(".*", "mutants", "site", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, COPY, ignore=ignored)
    mutants = []
    for path in sorted((COPY / "iam_guard" / package).rglob("*.py")):
        name = str(path.relative_to(COPY))
        mutated = mutate_file_contents(name, path.read_text())
        path.write_text(mutated.code)
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        mutants += [Mutant(f"{module}.{mutant}", name) for mutant in mutated.mutant_names]
    return mutants


class Runner:
    """A pytest plugin that runs the collected tests for each mutant instead of once."""

    def __init__(self, mutants: Sequence[Mutant]) -> None:
        self.mutants = mutants
        self.results: dict[Mutant, str] = {}
        self.called: set[str] = set()
        self.callers: dict[str, list[pytest.Item]] = defaultdict(list)
        self.detecting = mmap.mmap(-1, 4 * len(mutants))
        trampoline.record_trampoline_hit = lambda name, caller=None: self.called.add(name)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        imported = frozenset(self.called)
        self.find_callers(session.items)
        running: dict[int, int] = {}
        for number, mutant in enumerate(self.mutants):
            if mutant.function in imported:
                self.results[mutant] = alone(mutant, session.config.args)
            elif not self.callers[mutant.function]:
                self.results[mutant] = UNCALLED
            else:
                if len(running) >= (os.cpu_count() or 1):
                    self.wait(session, running)
                running[self.fork(session, number)] = number
        while running:
            self.wait(session, running)
        return True

    def find_callers(self, items: list[pytest.Item]) -> None:
        """Find the tests that call each function, in another process: what compiled policies cache hides mutants."""
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=self.run_all, args=(items, sender))
        process.start()
        sender.close()
        calls = receiver.recv()
        process.join()
        passed = [row for row in zip(items, calls, strict=True) if row[1] is not None]
        ranked = sorted(passed, key=lambda row: row[1][0] * len(row[1][1]))
        for item, (_, functions) in ranked:
            for function in functions:
                self.callers[function].append(item)

    def run_all(self, items: list[pytest.Item], sender: Connection) -> None:
        """Send the seconds that each test takes, and the functions that it calls; None for one that fails."""
        calls: list[tuple[float, set[str]] | None] = []
        failed = 0
        for item in items:
            self.called.clear()
            start = time.perf_counter()
            run(item)
            calls.append((time.perf_counter() - start, set(self.called)))
            if item.session.testsfailed > failed:
                failed = item.session.testsfailed
                calls[-1] = None
                print(f"left out, since it fails without a mutant: {item.nodeid}", flush=True)
        sender.send(calls)

    def fork(self, session: pytest.Session, number: int) -> int:
        """Start a process that runs the tests of a mutant, and return its id."""
        if pid := os.fork():
            return pid
        os.environ[SELECTED] = self.mutants[number].name
        signal.alarm(MAX_SECONDS)
        for item in self.callers[self.mutants[number].function]:
            run(item)
            if session.testsfailed:
                self.detecting[4 * number : 4 * number + 4] = session.items.index(item).to_bytes(4)
                os._exit(1)
        os._exit(0)

    def wait(self, session: pytest.Session, running: dict[int, int]) -> None:
        """Record the result of the next process, and move the test that failed to the front of its function's."""
        pid, status = os.wait()
        number = running.pop(pid)
        mutant = self.mutants[number]
        timeout = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        self.results[mutant] = TIMEOUT if timeout else KILLED if status else SURVIVED
        if self.results[mutant] == KILLED:
            item = session.items[int.from_bytes(self.detecting[4 * number : 4 * number + 4])]
            self.callers[mutant.function].remove(item)
            self.callers[mutant.function].insert(0, item)
        if self.results[mutant] == SURVIVED or len(self.results) % 100 == 0:
            print(f"{len(self.results)} of {len(self.mutants)}: {mutant.name} {self.results[mutant]}", flush=True)


def run(item: pytest.Item) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def alone(mutant: Mutant, tests: Sequence[str]) -> str:
    """Return the result of a mutant that is selected while its module is imported."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", *tests]
    environment = os.environ | {SELECTED: mutant.name}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=3 * MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return TIMEOUT
    return KILLED if done.returncode else SURVIVED


def table(results: dict[Mutant, str]) -> Iterator[str]:
    """Yield a line for each file, then the total, then the names of the mutants that were not detected."""
    files: dict[str, list[str]] = defaultdict(list)
    for mutant, result in results.items():
        files[mutant.file.removeprefix("iam_guard/")].append(result)
    yield "| File | Mutants | Killed | Timeouts | Survived |"
    yield "|---|---:|---:|---:|---:|"
    for file, found in sorted(files.items()):
        killed, timeouts = found.count(KILLED), found.count(TIMEOUT)
        survived = len(found) - killed - timeouts
        yield f"| `{file}` | {len(found):,} | {killed:,} | {timeouts or ''} | {survived or ''} |"
    found = list(results.values())
    yield f"{len(found):,} mutants, {found.count(KILLED) + found.count(TIMEOUT):,} detected"
    yield from (f"{mutant.name} {result}" for mutant, result in results.items() if result in (SURVIVED, UNCALLED))


def main(arguments: Sequence[str]) -> None:
    """Run the mutants of packages or folders, such as `store/seed`; with a number N at the end, every Nth mutant."""
    *packages, every = arguments if arguments and arguments[-1].isdigit() else (*arguments, "1")
    for package in packages or PACKAGES:  # in a process each: the modules of the copy are imported once
        process = multiprocessing.get_context("fork").Process(target=test_package, args=(package, int(every)))
        process.start()
        process.join()


def test_package(package: str, every: int) -> None:
    """Run the mutants of a package, and print the results."""
    mutants = generate(package)[::every]
    os.chdir(COPY)
    sys.path.insert(0, str(COPY))
    os.environ[SELECTED] = "stats"
    runner = Runner(mutants)
    options = ["-n", "0", "-p", "no:cacheprovider", "-o", "addopts=", "-p", "no:terminal"]
    pytest.main([*options, *TESTS.get(package, (f"tests/{package}",))], plugins=[runner])
    print("\n".join(table(runner.results)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

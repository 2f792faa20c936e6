"""Shared fixtures: a guard on a small seed, and requests signed by botocore."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from logging.handlers import QueueHandler
from pathlib import Path

import botocore.auth
import httpx2._config
import hypothesis
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard import Guard, Service, open_guard
from iam_guard.settings import Settings
from iam_guard.store.database import sqlite
from iam_guard.web import key_lookups
from tests import tables
from tests.changed import ROOT, affected_tests, changed_files
from tests.prepared_stores import use_prepared_stores
from tests.tables import spread

pytest.register_assert_rewrite("tests.integrations.contract")  # so that its assertions are explained
patient = hypothesis.settings(max_examples=50, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("patient", patient)  # no time limits, since machines may be slow
hypothesis.settings.register_profile("brief", patient, max_examples=20)  # for .ci/run
hypothesis.settings.load_profile("patient")

for _phase in ("connect", "read", "write", "pool"):  # the default of five seconds is too short for slow machines
    setattr(httpx2._config.DEFAULT_TIMEOUT_CONFIG, _phase, 60.0)


def wait_longer_for_stores(seconds: float = 20.0) -> None:
    """Raise the default of `store_timeout`, since machines may be slow."""
    names, defaults = [item.name for item in fields(Settings)], list(Settings.__init__.__defaults__ or ())
    defaults[names.index("store_timeout")] = seconds
    Settings.__init__.__defaults__ = tuple(defaults)  # type: ignore[misc]


wait_longer_for_stores()
use_prepared_stores()
key_lookups.MAX_WAIT, key_lookups.MAX_TOTAL_WAIT = 20.0, 60.0  # type: ignore[misc]  # and how long a key takes to be found
sqlite.BUSY_SECONDS = 60.0  # type: ignore[misc]  # and how long threads wait for the one connection to memory

CASES_OF_EACH = "--cases-of-each"
TESTS = Path(__file__).parent
SLOW = (
    "clients",  # other programs: the `aws` CLI, Ansible, the JavaScript SDK
    "typing",  # mypy
    "test_bench.py",
    "test_changed.py",  # of the tools of the tests themselves
    "test_tables.py",
    "test_packaging.py",
    "analysis/reports/test_report_in_browser.py",
    "console/browser",
    "docs/test_examples.py",  # `make check` runs the folder `docs`, too
    "docs/test_sign_in_tutorial.py",
    "api/test_crash.py",
    "audit/test_pipeline_processes.py",
    "cli/test_serve.py",
    "filters/test_translator_mutants.py",  # of the law itself
    "integrations/test_fastmcp_http.py",
    "integrations/test_routes_command.py",
    "store/test_query_plans.py",
    "store/test_server_frozen.py",
    "store/test_shares_at_once.py",  # processes
)
"""The slow kinds, which `make test` leaves to `make test-all`; single tests have the marker `slow`."""
LONG = frozenset((TESTS / "long_tests.txt").read_text().split())
"""The tests that `make test` leaves to `make test-all` for their time: laws, servers, processes, many requests."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are processors, since tests also wait: for servers, databases and threads."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "run this many parametrized cases of each test function, spread from first to last"
    parser.addoption(CASES_OF_EACH, type=int, default=0, metavar="N", help=help)
    help = "run only the tests that the changes since `main` affect"
    parser.addoption("--changed", action="store_true", help=help)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore the test files that `--changed` leaves out."""
    if not config.getoption("--changed") or collection_path.is_dir():
        return None
    return collection_path.relative_to(ROOT) not in _affected() or None


@cache
def _affected() -> set[Path]:
    return affected_tests(changed_files())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow kinds, and deselect the cases that `--cases-of-each` omits."""
    for item in items:
        if _is_slow(item.path):
            item.add_marker(pytest.mark.slow)
        if item.nodeid.partition("[")[0].removeprefix("tests/") in LONG:
            item.add_marker(pytest.mark.long)
    if "faketime" in os.environ.get("LD_PRELOAD", ""):  # a forked child may inherit its lock in the locked state
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("forks")])
        items[:] = [item for item in items if not item.get_closest_marker("forks")]
    count = tables.cases_of_each = config.getoption(CASES_OF_EACH)
    if count > 0:
        cases: dict[str, list[pytest.Item]] = {}
        for item in items:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
        kept = {item.nodeid for case in cases.values() for item in spread(case, count)}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
        items[:] = [item for item in items if item.nodeid in kept]


@cache
def _is_slow(path: Path) -> bool:
    return any(path.is_relative_to(TESTS / name) for name in SLOW)


ROOT_LEVEL = logging.getLogger().level


def pytest_runtest_teardown() -> None:
    """Reset the root logger: Litestar's applications change it for the whole process.

    They lower its level, and add a handler that writes to this test's standard error in a thread.
    """
    root = logging.getLogger()
    root.setLevel(ROOT_LEVEL)
    for handler in root.handlers[:]:
        if isinstance(handler, QueueHandler):
            root.removeHandler(handler)


def pytest_collection_finish() -> None:
    """Exclude the 20,000 collected tests from garbage collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(20_000, *gc.get_threshold()[1:])


ACME = "111122223333"
ADA = ("AKIATESTADA000000001", "ada-secret-0123456789abcdefghijklmnopqrs")
RITA = ("AKIATESTRITA00000001", "rita-secret-0123456789abcdefghijklmnopqr")

SEED = """
version: 1
accounts:
  - id: "111122223333"
    name: acme
    root: {email: root@acme.example}
    users:
      - name: ada
        inline:
          Admin: {Version: "2012-10-17", Statement: [{Sid: All, Effect: Allow, Action: "docs:*", Resource: "*"}]}
        access_keys: [{id: AKIATESTADA000000001, secret: ada-secret-0123456789abcdefghijklmnopqrs}]
      - name: rita
        inline:
          Read: {Version: "2012-10-17", Statement: [{Sid: Read, Effect: Allow, Action: "docs:Get*", Resource: "*"}]}
        access_keys: [{id: AKIATESTRITA00000001, secret: rita-secret-0123456789abcdefghijklmnopqr}]
"""


@pytest.fixture
def audit_file(tmp_path: Path) -> Path:
    """Return the audit file of the test's guard."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
def guard(tmp_path: Path, audit_file: Path) -> Iterator[Guard]:
    """Open a guard on the seed above, in memory, with an audit file."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    opened = open_guard(str(seed), services=[Service("docs")], audit=str(audit_file))
    yield opened
    opened.close()


Sign = Callable[..., dict[str, str]]


@pytest.fixture
def sign() -> Sign:
    """Return a function that signs a request to `http://testserver` with botocore and returns its headers."""

    def signed(
        key: tuple[str, str],
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        service: str = "docs",
        region: str = "us-east-1",
    ) -> dict[str, str]:
        url = f"http://testserver{path}"
        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
        botocore.auth.SigV4Auth(Credentials(*key), service, region).add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}

    return signed

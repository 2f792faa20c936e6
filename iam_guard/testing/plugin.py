"""The pytest plugin: fixtures, policy tests as items, coverage. The only file that imports pytest.

pytest loads it in every run where iam_guard is installed, so it imports the product only on use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import iam_guard as product
from iam_guard import testing
from iam_guard.testing.file_names import PATTERNS, is_policy_test

if TYPE_CHECKING:
    from iam_guard.guard.guard import Guard
    from iam_guard.testing.policy_tests import PolicyTest

SEED = "iam_guard_seed"
POLICY_TESTS = "iam_guard_policy_tests"

_MARKER = "iam_guard(seed, *, services=(), **settings): configure the guard of the fixture `iam_guard` for the test"
_ENDS = ("fail_under", "json", "html")
_COVERAGES = (("iam_guard_cov", "policy coverage"), ("iam_guard_route_cov", "route coverage"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("iam-guard", "access policies (iam-guard)")
    group.addoption(
        "--iam-guard-cov",
        action="append",
        nargs="?",
        const="",
        default=[],
        metavar="PATH",
        help="report statements and conditions that were never true or never false; of the policies in PATH (a file or "
        "folder, can be repeated), by default of all policies that decide",
    )
    group.addoption("--iam-guard-cov-fail-under", type=float, metavar="N", help="fail if coverage is below N percent")
    group.addoption("--iam-guard-cov-json", metavar="FILE", help="write policy coverage as JSON")
    group.addoption("--iam-guard-cov-html", metavar="FILE", help="write policy coverage as one HTML page")
    group.addoption(
        "--iam-guard-route-cov",
        nargs="?",
        const="",
        metavar="MODULE:APP",
        help="report guarded routes that were never allowed or never denied; of MODULE:APP, by default of every "
        "application that the tests call",
    )
    group.addoption(
        "--iam-guard-route-cov-fail-under", type=float, metavar="N", help="fail if coverage is below N percent"
    )
    group.addoption("--iam-guard-route-cov-json", metavar="FILE", help="write route coverage as JSON")
    group.addoption(
        "--iam-guard-update",
        action="store_true",
        help="write the approved access matrices instead of comparing with them",
    )
    parser.addini(SEED, "the seed file of the fixture `iam_guard`, relative to the project root")
    parser.addini(POLICY_TESTS, "file name patterns of policy tests", type="args", default=list(PATTERNS))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    for name, title in _COVERAGES:
        is_enabled = config.getoption(name) not in (None, [])
        for end in () if is_enabled else _ENDS:
            if config.getoption(f"{name}_{end}", None) is not None:
                option = f"--{name}".replace("_", "-")
                raise pytest.UsageError(f"{option}-{end.replace('_', '-')} needs {option}")
        if is_enabled and not config.option.collectonly:
            measurement = _measurement(config, name)
            config.pluginmanager.register(_Coverage(config, name, title, measurement), f"iam-guard-{name}")


# --- coverage ----------------------------------------------------------------------------------------------------


def _measurement(config: pytest.Config, name: str) -> Any:
    value = config.getoption(name)
    try:
        if name == "iam_guard_route_cov":
            return import_module("iam_guard.testing.coverage.route_measurement").RouteMeasurement(value)
        module = import_module("iam_guard.testing.coverage.policy_measurement")
        paths = [config.invocation_params.dir / path for path in value if path]
        return module.PolicyMeasurement(paths, tests=config.getini(POLICY_TESTS))
    except product.IamGuardError as error:
        raise pytest.UsageError(f"iam-guard: {error}") from None


class _Coverage:
    """One measurement in one process; pytest-xdist workers send theirs to the reporting process."""

    def __init__(self, config: pytest.Config, name: str, title: str, measurement: Any) -> None:
        self._config = config
        self._name = name
        self._title = title
        self._measurement = measurement
        self._lost = 0
        measurement.__enter__()

    def pytest_unconfigure(self) -> None:
        self._measurement.__exit__()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        result = getattr(node, "workeroutput", {}).get(self._name)
        if result is None:
            self._lost += 1
        else:
            self._measurement.merge(result)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[self._name] = self._measurement.to_plain()
            return
        self._measurement.write(json_file=self._option("json"), html_file=self._option("html"))
        if self._shortfall() is not None and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(self._title)
        terminalreporter.write_line(self._measurement.text())
        if self._lost:
            terminalreporter.write_line(f"{self._lost} workers ended without sending their coverage", yellow=True)
        shortfall = self._shortfall()
        if shortfall is not None:
            terminalreporter.write_line(f"{self._title} of {shortfall}", red=True, bold=True)

    def _shortfall(self) -> str | None:
        module = import_module("iam_guard.testing.coverage.policy_measurement")
        found: str | None = module.shortfall(self._measurement.share(), self._option("fail_under"))
        return found

    def _option(self, end: str) -> Any:
        return self._config.getoption(f"{self._name}_{end}", None)


# --- policy tests ------------------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".py" and is_policy_test(file_path, parent.config.getini(POLICY_TESTS)):
        return PolicyTestFile.from_parent(parent, path=file_path)
    return None


_RUNNER = pytest.StashKey[Any]()


class PolicyTestFile(pytest.File):
    """A file of policy tests. An invalid one is a collection error with its place."""

    def collect(self) -> Iterable[PolicyTestItem]:
        tests = import_module("iam_guard.testing.policy_tests")
        try:
            found = tests.read_policy_tests(self.path)
        except product.IamGuardError as error:
            raise self.CollectError(str(error.place) + ": " + error.message) from None
        if _RUNNER not in self.config.stash:
            self.config.stash[_RUNNER] = tests.PolicyTests()
            self.config.add_cleanup(self.config.stash[_RUNNER].close)
        for test in found:
            yield PolicyTestItem.from_parent(self, name=test.id, test=test)


class PolicyTestFailed(Exception):
    """A case had another outcome than expected; the message is the complete report."""


class PolicyTestItem(pytest.Item):
    """One case of a policy test."""

    def __init__(self, *, test: PolicyTest, **more: Any) -> None:
        super().__init__(**more)
        self._test = test
        if test.rule:
            self.extra_keyword_matches.add(test.rule)

    def runtest(self) -> None:
        tests = import_module("iam_guard.testing.policy_tests")
        failure = tests.failure_of(self._test, self.config.stash[_RUNNER].decide(self._test.entry))
        if failure is not None:
            raise PolicyTestFailed(failure)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, PolicyTestFailed):
            first, _, rest = str(excinfo.value).partition("\n")
            is_short = self.config.getoption("tbstyle") == "line"
            return f"{self._place()}: {first}" if is_short else f"{first}\n{self._place()}\n{rest}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._test.line - 1, self.name

    def _place(self) -> str:
        root = self.config.rootpath
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
        return f"{path.as_posix()}:{self._test.line}"


# --- fixtures ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _iam_guards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    guards = import_module("iam_guard.testing.guards").Guards(tmp_path_factory.mktemp("iam-guard"))
    yield guards
    guards.close()


@pytest.fixture
def iam_guard_seed(request: pytest.FixtureRequest) -> str | Path | Mapping[str, Any]:
    """Return the seed of `iam_guard`, a path or a mapping, from the marker or the ini option. Can be overridden."""
    marker = request.node.get_closest_marker("iam_guard")
    given = None if marker is None else (marker.args[0] if marker.args else marker.kwargs.get("seed"))
    if given is not None:
        return given if isinstance(given, Mapping) else request.path.parent / given
    named = request.config.getini(SEED)
    if not named:
        raise pytest.UsageError(
            f"the fixture `iam_guard` needs a seed: `@pytest.mark.iam_guard(seed)`, the ini option `{SEED}`, "
            f"or a fixture `{SEED}` of your own"
        )
    return request.config.rootpath / str(named)


@pytest.fixture
def iam_guard_services() -> Iterable[Any]:
    """Return the services that the application of `iam_guard` declares. Override it with yours."""
    return ()


@pytest.fixture
def iam_guard(
    request: pytest.FixtureRequest,
    _iam_guards: Any,
    iam_guard_seed: str | Path | Mapping[str, Any],
    iam_guard_services: Iterable[Any],
) -> Guard:
    """Return an in-memory guard on the seed, without an audit trail. It can't be changed: it only follows its file."""
    marker = request.node.get_closest_marker("iam_guard")
    settings = {} if marker is None else {key: value for key, value in marker.kwargs.items() if key != "seed"}
    guard: Guard = _iam_guards.get(iam_guard_seed, settings.pop("services", iam_guard_services), settings)
    return guard


@pytest.fixture(name="as_principal")
def _as_principal(request: pytest.FixtureRequest) -> Callable[[Any], AbstractContextManager[Any]]:
    """Return `as_principal(principal)`: applications and decorated handlers have this caller inside the block.

    Handlers that are called directly use the guard of the fixture `iam_guard`.
    """

    def enter(principal: Any) -> AbstractContextManager[Any]:
        return testing.as_principal(principal, request.getfixturevalue("iam_guard"))

    return enter


@pytest.fixture(name="assert_matrix")
def _assert_matrix(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return `assert_matrix(path, principals=…, actions=…, resources=…)`, which compares access with an approved file.

    The path is relative to the test. The guard is the fixture `iam_guard`, or `decider`.
    """

    def compare(path: str | Path, *, decider: Any = None, **questions: Any) -> None:
        __tracebackhide__ = True
        guard = request.getfixturevalue("iam_guard") if decider is None else decider
        matrix = testing.access_matrix(guard, **questions)
        update: bool = request.config.getoption("iam_guard_update")
        testing.assert_matrix(matrix, request.path.parent / path, update=update)

    return compare

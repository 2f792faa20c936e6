"""The pytest plugin in users' projects: fixtures, reports, and no effect on projects that don't use it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from starlette import testclient

from iam_guard import factory, testing
from iam_guard.store.seed import seed_follower
from iam_guard.testing import assertions, callers, guards, matrix_files, plugin, policy_tests
from iam_guard.testing.coverage import policy_measurement, route_measurement

pytest_plugins = ["pytester"]

LOADED = (
    *(factory, seed_follower, testclient),
    *(assertions, callers, guards, matrix_files, policy_measurement, policy_tests, route_measurement),
)
"""What a run in this process would load, and forget at its end; some of it can be loaded only once in a process."""

ROOT = Path(__file__).resolve().parents[2]
RITA = "arn:aws:iam::111122223333:user/rita"
READER = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Read", "Effect": "Allow", "Action": "docs:Get*", "Resource": "*"},
    {"Sid": "NoSecrets", "Effect": "Deny", "Action": "*", "Resource": "arn:aws:docs:*:*:document/secret"}
  ]
}"""
SEED = """
version: 1
accounts:
  - id: "111122223333"
    name: acme
    root: {email: root@acme.example}
    users: [{name: rita, inline: {Read: {file: reader.json}}}]
"""
CASES = """
- id: rita reads
  rule: R-1
  request: {principal: "arn:aws:iam::111122223333:user/rita", action: "docs:GetDocument", resource: "*"}
  policies: {identity: [{file: reader.json}]}
  expected: Allowed
- id: rita writes
  request: {principal: "arn:aws:iam::111122223333:user/rita", action: "docs:PutDocument", resource: "*"}
  policies: {identity: [{file: reader.json}]}
  expected: Allowed
"""
TESTS = """
import pytest
from iam_guard import AccessDenied, Service, current_principal
from iam_guard.testing import assert_allowed, assert_denied

RITA = "arn:aws:iam::111122223333:user/rita"
docs = Service("docs")

@docs.requires("GetDocument", resource="document/{name}")
def get(name):
    return current_principal().name

@docs.requires("PutDocument")
def put():
    raise AssertionError

@pytest.fixture
def iam_guard_services():
    return [docs]

def test_guard(iam_guard):
    assert_allowed(iam_guard, RITA, "docs:GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
    assert iam_guard.catalogues

def test_caller(as_principal):
    with as_principal(RITA):
        assert get("7") == "rita"
        with pytest.raises(AccessDenied):
            put()

def test_matrix(assert_matrix):
    assert_matrix("access.csv", principals={"rita": RITA})
"""

WITHOUT = [each for name in ("anyio", "hypothesispytest", "cacheprovider") for each in ("-p", f"no:{name}")]
"""Other plugins, which take longer to load than what is tried."""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(
        "[pytest]\niam_guard_seed = policies/iam.yaml\naddopts = --strict-markers -p no:cacheprovider\n"
        "filterwarnings =\n    error\n    ignore:Module already imported so cannot be rewritten"
    )
    folder = pytester.mkdir("policies")
    (folder / "reader.json").write_text(READER)
    (folder / "iam.yaml").write_text(SEED)
    return pytester


def write(project: pytest.Pytester, **files: str) -> None:
    names = {"cases": "policies/reader.policy-test.yaml", "tests": "test_app.py"}
    for name, text in files.items():
        (project.path / names[name]).write_text(text)


# --- fixtures ----------------------------------------------------------------------------------------------------


def test_fixtures_provide_guard_caller_and_matrix(project: pytest.Pytester) -> None:
    """With the seed of the ini file and the project's services; a matrix is written on request."""
    write(project, tests=TESTS)
    project.runpytest_inprocess().assert_outcomes(passed=2, failed=1)
    project.runpytest_inprocess("--iam-guard-update").assert_outcomes(passed=3)
    assert (project.path / "access.csv").read_text().splitlines()[1] == "*,docs:GetDocument,rita,Allowed"
    project.runpytest_inprocess().assert_outcomes(passed=3)


def test_marker_sets_seed_and_settings(project: pytest.Pytester) -> None:
    """A file next to the test, or a mapping; the nearest marker wins."""
    project.makepyfile(
        """
        import pytest

        ACCOUNT = {"id": "444455556666", "name": "b", "root": {"email": "b@b.example"}, "users": [{"name": "bob"}]}
        pytestmark = pytest.mark.iam_guard({"version": 1, "accounts": [ACCOUNT]}, region="eu-west-1")

        def test_mapping(iam_guard):
            assert iam_guard.settings.region == "eu-west-1"

        @pytest.mark.iam_guard("policies/iam.yaml")
        def test_file(iam_guard):
            assert iam_guard.settings.region == "us-east-1"
        """
    )
    project.runpytest_inprocess().assert_outcomes(passed=2)


def test_fixture_without_seed_suggests_options(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(iam_guard): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the fixture `iam_guard` needs a seed: `@pytest.mark.iam_guard(seed)`*"])


def test_failure_shows_explanation_without_our_code(project: pytest.Pytester) -> None:
    """The traceback ends in the test."""
    write(
        project,
        tests=f"""
from iam_guard.testing import assert_denied

def test_it(iam_guard):
    assert_denied(iam_guard, "{RITA}", "docs:Get", "arn:aws:docs:us-east-1:111122223333:x", outcome="ExplicitlyDenied")
""",
    )
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["E*expected ExplicitlyDenied, got Allowed", "E*Action `docs:Get[*]`"])
    result.stdout.no_fnmatch_line("*assertions.py*")


# --- policy tests ------------------------------------------------------------------------------------------------


def test_policy_tests_are_items_with_place(project: pytest.Pytester) -> None:
    """Next to the policies; the name is the case's id, and the rule is a keyword."""
    write(project, cases=CASES)
    result = project.runpytest_inprocess("-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "policies/reader.policy-test.yaml::rita reads PASSED*",
            "expected Allowed, got ImplicitlyDenied",
            "policies/reader.policy-test.yaml:7",
            "*Action `docs:Get[*]`: the request has `docs:PutDocument`",
            "FAILED policies/reader.policy-test.yaml::rita writes - expected Allowed, got *",
        ]
    )
    short = project.runpytest_inprocess("--tb=line").stdout
    short.fnmatch_lines(["policies/reader.policy-test.yaml:7: expected Allowed, got ImplicitlyDenied"])
    short.no_fnmatch_line("*Action `docs:Get*")
    project.runpytest_inprocess("-k", "R-1").assert_outcomes(passed=1, deselected=1)
    project.runpytest_inprocess("-k", "writes").assert_outcomes(failed=1, deselected=1)
    project.runpytest_inprocess("policies/reader.policy-test.yaml::rita reads").assert_outcomes(passed=1)


def test_last_failed_policy_test_is_run_again(project: pytest.Pytester) -> None:
    """`--lf`, as for any test."""
    project.makeini("[pytest]")
    write(project, cases=CASES)
    project.runpytest_inprocess().assert_outcomes(passed=1, failed=1)
    project.runpytest_inprocess("--lf").assert_outcomes(failed=1)


def test_file_patterns_can_be_set(project: pytest.Pytester) -> None:
    """With an ini option, which replaces the default."""
    project.makeini("[pytest]\niam_guard_policy_tests = cases/*.yaml\n")
    write(project, cases=CASES)
    (project.mkdir("cases") / "a.yaml").write_text(CASES.replace("reader.json", "../policies/reader.json"))
    project.runpytest_inprocess().assert_outcomes(passed=1, failed=1)


def test_invalid_file_is_a_collection_error_with_place(project: pytest.Pytester) -> None:
    """File, line and column; other files are collected."""
    write(project, cases="- id: a\n  expected: [\n", tests="def test_it(): pass")
    result = project.runpytest_inprocess("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*reader.policy-test.yaml:3:1: not readable as YAML*"])


# --- coverage ----------------------------------------------------------------------------------------------------


def test_policy_coverage_is_reported_and_enforced(project: pytest.Pytester) -> None:
    """Of guards and of policy tests, with places in the policy's file; low coverage fails a passing run."""
    write(project, cases=CASES.replace("expected: Allowed\n- id: rita writes", "expected: Allowed\n- id: no"), tests="")
    options = ["--iam-guard-cov=policies", "--iam-guard-cov-json=r/c.json", "--iam-guard-cov-html=r/c.html"]
    result = project.runpytest_inprocess(*options, "--iam-guard-cov-fail-under=90", "-k", "reads")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*= policy coverage =*",
            "policies/reader.json * 2 *1 *",
            "policies/reader.json:5:5: Deny Statement?1? `NoSecrets` was never true",
            "policy coverage of *% is below the minimum of 90%",
        ]
    )
    assert json.loads((project.path / "r/c.json").read_text())["files"][0]["name"] == "policies/reader.json"
    assert "NoSecrets" in (project.path / "r/c.html").read_text()
    assert project.runpytest_inprocess(*options, "--iam-guard-cov-fail-under=20", "-k", "reads").ret == 0


@pytest.mark.slow
def test_coverage_is_merged_over_processes(project: pytest.Pytester) -> None:
    """The results of pytest-xdist workers together equal those of one process."""
    secret = CASES.replace("rita reads", "secret").replace(
        'resource: "*"', 'resource: "arn:aws:docs:::document/secret"'
    )
    write(project, cases=CASES + secret.split("- id: rita writes")[0], tests=TESTS)
    reports: list[Any] = []
    for more in ([], ["-n", "2"]):
        options = ["--iam-guard-cov", "--iam-guard-cov-json=c.json", "--iam-guard-route-cov", *WITHOUT, *more]
        result = project.runpytest_subprocess(*options)
        result.stdout.fnmatch_lines(["*= route coverage =*", "0 of 0 guarded routes*"])
        reports.append(json.loads((project.path / "c.json").read_text()))
    assert reports[0] == reports[1]
    assert reports[0]["percent"] > 80


APP = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from iam_guard import GuardMiddleware, Service, open_guard

docs = Service("docs")

@docs.requires("GetDocument", resource="document/{name}")
async def get(request):
    return PlainTextResponse("ok")

guard = open_guard("policies/iam.yaml")
app = Starlette(
    routes=[Route("/documents/{name}", get), Route("/others/{name}", get, methods=["POST"])],
    middleware=[Middleware(GuardMiddleware, guard=guard)],
)
"""


@pytest.mark.parametrize("option", ["--iam-guard-route-cov", "--iam-guard-route-cov=the_app:app"])
def test_route_coverage_is_reported_and_enforced(project: pytest.Pytester, option: str) -> None:
    """Of every application that is called, or of the named one."""
    project.makepyfile(
        the_app=APP,
        test_routes=f"""
        from starlette.testclient import TestClient
        from iam_guard.testing import signed_in
        from the_app import app, guard

        def test_it():
            assert TestClient(signed_in(app, "{RITA}")).get("/documents/7").status_code == 200
            assert TestClient(app).get("/documents/7").status_code == 401
            guard.close()
        """,
    )
    result = project.runpytest_inprocess(
        option, "--iam-guard-route-cov-fail-under=100", "--iam-guard-route-cov-json=r.json"
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "GET,HEAD  /documents/{name}  docs:GetDocument  yes      yes",
            "POST      /others/{name}     docs:GetDocument  NEVER    NEVER",
            "1 of 2 guarded routes were tested both ways",
            "route coverage of 50.00% is below the minimum of 100%",
        ]
    )
    assert json.loads((project.path / "r.json").read_text())["percent"] == 50


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--iam-guard-cov-fail-under=90", "--iam-guard-cov-fail-under needs --iam-guard-cov"),
        ("--iam-guard-route-cov-fail-under=90", "--iam-guard-route-cov-fail-under needs --iam-guard-route-cov"),
        ("--iam-guard-cov-html=c.html", "--iam-guard-cov-html needs --iam-guard-cov"),
        ("--iam-guard-cov=polices", "expected a file or folder, found none"),
        ("--iam-guard-route-cov=the_app", "expected module:app"),
    ],
)
def test_threshold_without_measurement_is_refused(project: pytest.Pytester, option: str, words: str) -> None:
    """It would always pass."""
    result = project.runpytest_inprocess(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{words}*"])


def test_threshold_without_results_fails(project: pytest.Pytester) -> None:
    """No decision was made, and no application called; collecting only is no run."""
    write(project, tests="def test_it(): pass")
    for name in ("cov", "route-cov"):
        options = [f"--iam-guard-{name}", f"--iam-guard-{name}-fail-under=1"]
        result = project.runpytest_inprocess(*options)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*coverage of nothing was measured, expected at least 1%"])
        assert project.runpytest_inprocess(*options, "--collect-only").ret == 0


def test_policies_of_renamed_policy_tests_are_excluded(project: pytest.Pytester) -> None:
    """They are samples, for any file patterns."""
    project.makeini("[pytest]\niam_guard_policy_tests = *.cases.yaml\n")
    (project.path / "policies" / "a.cases.yaml").write_text(CASES.replace("{file: reader.json}", "{Statement: []}"))
    result = project.runpytest_inprocess("--iam-guard-cov=policies")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["policies/reader.json * 0%*", "TOTAL * 0%"])


# --- what is documented ------------------------------------------------------------------------------------------


def test_reference_page_is_complete() -> None:
    """Each option, each fixture and each public name."""
    page = (ROOT / "docs/reference/testing.md").read_text()
    source = Path(plugin.__file__).read_text()
    options = re.findall(r'"(--iam-guard[a-z-]+)"', source)
    fixtures = [named or name for named, name in re.findall(r'@pytest.fixture(?:\(name="(\w+)"\))?\ndef (\w+)', source)]
    assert len(options) == 8
    assert fixtures == ["iam_guard_seed", "iam_guard_services", "iam_guard", "as_principal", "assert_matrix"]
    names = [*options, *fixtures, *testing.__all__, plugin.SEED, plugin.POLICY_TESTS]
    assert [name for name in names if f"`{name}" not in page] == []


# --- those who do not use it -------------------------------------------------------------------------------------


def test_plugin_is_installed_without_pytest() -> None:
    """pytest finds it, and installing iam_guard does not install pytest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"iam_guard": "iam_guard.testing.plugin"}
    named = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    assert not [each for each in named if each.startswith("pytest")]


def test_unused_plugin_imports_nothing(tmp_path: Path) -> None:
    """Of the product, only the plugin and the names of the packages; no third-party package."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] == 'iam_guard'}\n"
        "    assert ours == {'iam_guard', 'iam_guard.imports', 'iam_guard.testing', 'iam_guard.testing.file_names',"
        " 'iam_guard.testing.plugin'}\n"
        "    assert not {'starlette', 'yaml', 'sqlalchemy', 'cryptography', 'anyio'} & set(sys.modules)\n"
    )
    (tmp_path / "data.yaml").write_text("[not ours")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:anyio",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:cacheprovider",
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout

"""The forge's workflows and the hooks of pre-commit: they call what the repository has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def commands(workflow: dict[str, Any]) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_workflows_call_targets_of_the_makefile() -> None:
    """A renamed target fails here, not on the first pull request after it."""
    found = [command for path in WORKFLOWS for command in commands(yaml.safe_load(path.read_text()))]
    called = {command.split()[1] for command in found if command.startswith("make ")}
    assert {"check", "test", "test-all", "dist"} <= called <= TARGETS
    assert ".ci/run" in found


def test_workflows_may_only_read_except_the_one_that_publishes() -> None:
    """No job has a token that writes; the publishing job has an identity, and runs no code of the repository."""
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert job["timeout-minutes"] <= 90
            assert job.get("permissions") == ({"id-token": "write"} if name == "publish" else None)
            if name == "publish":
                assert not [step for step in job["steps"] if "run" in step or "checkout" in step["uses"]]


def test_workflows_test_supported_pythons() -> None:
    """From the oldest that `requires-python` admits."""
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    for name, job in (("checks", "test"), ("nightly", "test-all")):
        jobs = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())["jobs"]
        assert jobs[job]["strategy"]["matrix"]["python"][0] == oldest


def test_hooks_run_existing_commands() -> None:
    """Each hook runs a target of the Makefile or a tool that one runs."""
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]:
        program, argument, *_ = hook["entry"].split()
        assert argument in TARGETS if program == "make" else f"$(BIN)/{Path(program).name} " in MAKEFILE, hook["entry"]
    assert "make check" in {hook["entry"] for hook in repository["hooks"]}

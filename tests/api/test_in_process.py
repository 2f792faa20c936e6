"""The tests of IAM and STS again, with clients in the process instead of boto3's over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tables import table

HERE = Path(__file__).parent


@pytest.mark.slow
@table("service", ["iam", "sts"])
def test_scripts_of_boto3_run_in_the_process(service: str) -> None:
    """With the same answers, errors and records; tests with the marker `over_http` are about requests."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow and not over_http"]
    done = subprocess.run(
        [*command, str(HERE / service)],
        env={**os.environ, "IAM_GUARD_TEST_API": "process"},
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parent.parent,
    )
    assert done.returncode == 0, done.stdout[-4000:]

"""Test the example consumer: repeated denials of a principal are one alert, also across a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iam_guard.audit.writer.segment_writer import SegmentWriter
from tests.audit.trails import KEY, NOON

PROGRAM = Path(__file__).parents[2] / "examples" / "audit_alerts" / "alerts.py"


def denial(number: int, second: int, who: str = "mallory", outcome: str = "ImplicitlyDenied") -> bytes:
    made = {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::111122223333:user/{who}"},
        "eventTime": f"{NOON + timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": "docs",
        "eventName": f"Get{number % 2}",
        "eventID": f"id-{number}",
        "iamGuard": {"version": "1.0", "kind": "decision", "outcome": outcome},
    }
    return json.dumps(made).replace(": ", ":").replace(", ", ",").encode() + b"\n"


def alerts(trail: Path, *more: str) -> list[dict[str, Any]]:
    arguments = [sys.executable, str(PROGRAM), str(trail), "--key", str(KEY.verifier), "--once", "--limit", "3", *more]
    run = subprocess.run([*arguments, "--seconds", "60"], capture_output=True, text=True, check=True, timeout=300)
    return [json.loads(line) for line in run.stdout.splitlines()]


def write(trail: Path, *lines: bytes) -> None:
    writer = SegmentWriter(trail, KEY, service="docs", clock=lambda: NOON)
    writer.append(lines)
    writer.close()


def test_three_denials_in_a_minute_are_one_alert(tmp_path: Path) -> None:
    write(tmp_path, *(denial(number, number * 10) for number in range(5)))
    [alert] = alerts(tmp_path)
    assert alert["principal"].endswith(":user/mallory")
    assert (alert["denials"], alert["actions"]) == (3, ["docs:Get0", "docs:Get1"])
    assert alert["id"].endswith("/id-0")


@pytest.mark.parametrize(
    "lines",
    [
        [denial(number, number * 30) for number in range(6)],  # never three in a minute
        [denial(number, number, who=f"user{number % 3}") for number in range(6)],  # two of each
        [denial(number, number, outcome="Allowed") for number in range(6)],
    ],
)
def test_fewer_denials_raise_no_alert(tmp_path: Path, lines: list[bytes]) -> None:
    write(tmp_path, *lines)
    assert alerts(tmp_path) == []


def test_denials_from_before_a_restart_still_count(tmp_path: Path) -> None:
    """Denials are acknowledged only when they are too old to count."""
    trail = tmp_path / "trail"
    write(trail, denial(0, 0), denial(1, 100), denial(2, 110))
    assert alerts(trail) == []
    writer = SegmentWriter(trail, KEY, service="later", clock=lambda: NOON + timedelta(seconds=110))
    writer.append([denial(3, 120)])
    writer.close()
    [alert] = alerts(trail)
    assert alert["id"].endswith("/id-1")

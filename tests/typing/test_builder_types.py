"""A type checker reports errors in policies written in Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
from datetime import datetime
from ipaddress import ip_network

from iam_guard import compile_policies
from iam_guard.model.decision import PolicyType
from iam_guard.policy.builder import PolicyDocument, PolicyStatement, allow, policy

draft = allow("docs:Get*", "docs:List*")
tagged: dict[str, str] = {"aws:ResourceTag/team": "red"}

good: PolicyStatement = draft.on("document/*").when("StringEquals", tagged)
draft.when("StringLike", {"aws:TagKeys": ["a", "b"]}, set_operator="ForAllValues", if_exists=True)
draft.when("IpAddress", {"aws:SourceIp": [ip_network("203.0.113.0/24"), "2001:db8::/32"]})
draft.when("Bool", {"aws:SecureTransport": True}).when("DateLessThan", {"aws:CurrentTime": datetime.max})
draft.to("*", service=["events.amazonaws.com"], canonical_user="0a")
document: PolicyDocument = policy(good, type=PolicyType.IDENTITY, version="2008-10-17")
compile_policies(identity=[document])

draft.when("StringEqual", tagged)  # refused
draft.when("stringEquals", tagged)  # refused
draft.when("StringEquals", tagged, set_operator="ForAll")  # refused
draft.when("StringEquals", {"aws:TagKeys": {"a"}})  # refused
draft.when("StringEquals", {"aws:TagKeys": None})  # refused
draft.on(1)  # refused
draft.to(user="ann")  # refused
draft.content = good.content  # refused
policy(draft, version="2020-01-01")  # refused
policy({"Effect": "Allow"})  # refused
allow(["docs:Get*"])  # refused
"""


def test_invalid_builder_calls_are_type_errors(tmp_path: Path) -> None:
    """Operators, set operators, versions, types of values and principals: exactly the marked lines are refused."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache"]
    completed = subprocess.run([*mypy, program], cwd=ROOT, capture_output=True, text=True, check=False)
    refused = {int(line) for line in re.findall(r"^\S*program\.py:(\d+): error:", completed.stdout, re.MULTILINE)}
    marked = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# refused")}
    assert refused == marked, completed.stdout + completed.stderr

"""What a type checker says about policies written in Python: a wrong word is an error before the program runs."""

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

begun = allow("docs:Get*", "docs:List*")
tagged: dict[str, str] = {"aws:ResourceTag/team": "red"}

good: PolicyStatement = begun.on("document/*").when("StringEquals", tagged)
begun.when("StringLike", {"aws:TagKeys": ["a", "b"]}, set_operator="ForAllValues", if_exists=True)
begun.when("IpAddress", {"aws:SourceIp": [ip_network("203.0.113.0/24"), "2001:db8::/32"]})
begun.when("Bool", {"aws:SecureTransport": True}).when("DateLessThan", {"aws:CurrentTime": datetime.max})
begun.to("*", service=["events.amazonaws.com"], canonical_user="0a")
document: PolicyDocument = policy(good, type=PolicyType.IDENTITY, version="2008-10-17")
compile_policies(identity=[document])

begun.when("StringEqual", tagged)  # refused
begun.when("stringEquals", tagged)  # refused
begun.when("StringEquals", tagged, set_operator="ForAll")  # refused
begun.when("StringEquals", {"aws:TagKeys": {"a"}})  # refused
begun.when("StringEquals", {"aws:TagKeys": None})  # refused
begun.on(1)  # refused
begun.to(user="ann")  # refused
begun.content = good.content  # refused
policy(begun, version="2020-01-01")  # refused
policy({"Effect": "Allow"})  # refused
allow(["docs:Get*"])  # refused
"""


def test_a_wrong_word_is_a_type_error(tmp_path: Path) -> None:
    """Operators, set operators, versions, kinds of value and of principal: exactly the marked lines are refused."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache"]
    done = subprocess.run([*mypy, program], cwd=ROOT, capture_output=True, text=True, check=False)
    refused = {int(line) for line in re.findall(r"^\S*program\.py:(\d+): error:", done.stdout, re.MULTILINE)}
    marked = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# refused")}
    assert refused == marked, done.stdout + done.stderr

"""Answers to a stream of cases: equal to those of each case alone, in order, and without delay."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from iam_guard.cli import main
from iam_guard.errors import IamGuardError
from iam_guard.testing.case_answer import answer
from iam_guard.testing.case_json import CaseDecoder, CaseEntry
from iam_guard.testing.case_lines import buffered_lines
from iam_guard.testing.cases import decide_case, read_case
from tests.oracle.generate import generate_case
from tests.tables import table

CASES = Path(__file__).parent.parent / "cases"


def by_itself(case: Any) -> dict[str, Any]:
    try:
        decision = decide_case(read_case(case))
    except IamGuardError as error:
        return {"id": case["id"], "error": str(error)}
    if decision.error is not None:
        return {"id": case["id"], "error": decision.error}
    return {"id": case["id"], "outcome": decision.outcome.value}


def test_shared_policies_give_same_answers() -> None:
    """N-9: for any cached policies, and in any order of cases."""
    rng = random.Random(7)
    texts = [path.read_text(encoding="utf-8") for path in sorted(CASES.glob("*.jsonl"))]
    cases = [json.loads(line) for text in texts for line in text.splitlines()]
    cases += [generate_case(rng) for _ in range(300)]
    mixed = [case | {"policies": rng.choice(cases)["policies"]} for case in cases for _ in range(2)]
    decoder = CaseDecoder()
    for case in [*cases, *mixed, *mixed]:
        assert answer(decoder.decode(json.dumps(case), "x")) == by_itself(case)


def test_shared_policies_are_compiled_once() -> None:
    decoder = CaseDecoder()
    first, *others = [decoder.decode(json.dumps(CASE | {"id": f"c{number}"}), "x") for number in range(4)]
    assert [answer(each)["outcome"] for each in (first, *others)] == ["Allowed"] * 4
    shared = [other.shared for other in others if isinstance(other, CaseEntry)]
    assert shared[0] is not None
    assert shared[0].authorizer is not None
    assert all(each is shared[0] for each in shared)


ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}
CASE: dict[str, Any] = {
    "id": "c1",
    "request": {
        "principal": {"arn": "arn:aws:iam::111122223333:user/ada", "account": "111122223333", "type": "User"},
        "action": "docs:GetDocument",
        "resource": "arn:aws:docs:us-east-1:111122223333:document/7",
        "context": {},
    },
    "policies": {"identity": [ALLOW]},
}


# --- hostile cases -----------------------------------------------------------------------------------------------


@table(
    ("line", "answered"),
    [
        ('{"id": "\\ud800"}', "expected an object"),
        ('{"id": "a\\ud800", "request": 5}', "expected an object"),
        ('{"id": ["\\ud800"]}', "expected an object"),
        ('{"id": 1e400}', "expected an object"),
        ('{"id": ' + "[" * 700 + "]" * 700 + "}", "expected an object"),
        ('{"\\ud800": 1, "id": "\\n"}', "unknown key `\\ud800`"),
        ('{"id": 1, "id": 2, "\\ud800": 1, "\\ud800": 2}', "repeated"),
    ],
)
def test_answer_is_printable(line: str, answered: str) -> None:
    """N-9: as one line and as JSON, for any text in the case."""
    given = answer(CaseDecoder().decode(line, "x"))
    assert answered in given["error"]
    assert given["error"].isprintable()
    json.loads(json.dumps(given), parse_constant=pytest.fail)
    f"{given['id']}".encode()


@table(
    ("changes", "words"),
    [
        ({"context": {"docs:Size": 1e400}}, "(at docs:Size)"),
        ({"context": {"docs:Kind": [["a"]]}}, "(at docs:Kind)"),
        ({"context": {1: "a"}}, "expected a string as context key, got `int`"),
        ({"context": {None: "a"}}, "expected a string as context key"),
        ({"principal": {"arn": "ada", "account": "111122223333", "type": "User"}}, "expected the ARN of a principal"),
        ({"principal": {"arn": "ada", "account": "111122223333", "type": "user"}}, "expected one of"),
    ],
)
def test_undecidable_case_is_an_error(changes: dict[str, Any], words: str) -> None:
    """N-9, C-45: the stream continues."""
    case = CASE | {"request": CASE["request"] | changes}
    given = answer(CaseEntry("x", case))
    assert given["id"] == "c1"
    assert words in given["error"]


def test_test_command_continues_after_hostile_cases(tmp_path: Path) -> None:
    """`iam-guard test`: each is reported as a failed case."""
    keys = tmp_path / "keys.yaml"
    keys.write_text("- {id: keys, request: {context: {1: a}}}\n- {id: more, policies: {1: {2: 3}}, expected: error}\n")
    halves = tmp_path / "halves.jsonl"
    halves.write_text(
        '{"id": "\\ud800"}\n{"id": "b", "expected": "\\udfff"}\n' + json.dumps(CASE | {"expected": "Allowed"})
    )
    for more in ([], ["--json"]):
        run = CliRunner().invoke(main, ["test", *more, str(keys), str(halves)])
        assert (run.exit_code, isinstance(run.exception, SystemExit)) == (1, True)
        assert len(run.output.splitlines()) == 4
        assert "2" in run.output.splitlines()[-1]
        assert "\\ud800" in run.output


# --- lines as they come ------------------------------------------------------------------------------------------


class Arriving(BytesIO):
    """A stream whose reads return what has arrived by then."""

    def __init__(self, *parts: bytes) -> None:
        super().__init__()
        self.parts = list(parts)

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.parts.pop(0) if self.parts else b""


@table(
    ("parts", "batches"),
    [
        ([], []),
        ([b"a\nb\n"], [["a", "b"]]),
        ([b"a\n", b"b\nc"], [["a"], ["b"], ["c"]]),
        ([b"a", b"b", b"\nc\n"], [["ab", "c"]]),
        ([b"\n\n"], [["", ""]]),
        ([b"\xc3", b"\xa9\n\xff\n"], [["é", "\udcff"]]),
        ([b"a\r\nb\x0bc\n"], [["a\r", "b\x0bc"]]),
    ],
)
def test_lines_are_returned_as_they_arrive(parts: list[bytes], batches: list[list[str]]) -> None:
    """Complete lines at once, the last one also without its end; invalid UTF-8 stays recognizable."""
    assert list(buffered_lines(Arriving(*parts))) == batches


def test_split_reads_lose_no_bytes() -> None:
    text = "".join(f'{{"id": "{number}é"}}\n' * (number % 3) + "x" * number + "\n" for number in range(40))
    octets = text.encode()
    for size in (1, 2, 7, 64, 1 << 16):
        parts = [octets[at : at + size] for at in range(0, len(octets), size)]
        assert [line for lines in buffered_lines(Arriving(*parts)) for line in lines] == text.split("\n")[:-1]


def test_line_is_answered_before_next_is_sent() -> None:
    """Design 4.3: `iam-guard decide` can be used interactively."""
    command = [sys.executable, "-m", "iam_guard", "decide"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write("\n" + json.dumps(CASE | {"id": f"c{number}"}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"id": f"c{number}", "outcome": "Allowed"}
        rest, _ = process.communicate("{}")
    assert "error" in json.loads(rest)
    assert process.returncode == 0

"""`iam-guard explain`: one case from a file or standard input, as a tree or JSON; exit code 0, 1 or 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from iam_guard.cli import main
from tests.tables import table


def case(id: str = "one", action: str = "docs:GetDocument") -> dict[str, Any]:
    principal = {"arn": "arn:aws:iam::111122223333:user/ann", "account": "111122223333", "type": "User"}
    readers = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
    request = {"principal": principal, "action": action, "resource": "*", "context": {}}
    return {"id": id, "request": request, "policies": {"identity": [readers]}}


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["explain", *arguments], input=stdin)


@table("indent", [None, 2])
@table(("action", "code"), [("docs:GetDocument", 0), ("docs:PutDocument", 1), ("nonsense", 2)])
def test_case_from_standard_input_is_explained(action: str, code: int, indent: int | None) -> None:
    """The exit code is the outcome; the case can have several lines."""
    done = run(stdin=json.dumps(case(action=action), indent=indent))
    assert done.exit_code == code, done.output
    assert done.stdout.startswith("Allowed" if code == 0 else "ImplicitlyDenied")


def test_json_option_prints_the_tree() -> None:
    """`--json` prints the tree as one object."""
    done = run("--json", stdin=json.dumps(case(action="docs:PutDocument")))
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "ImplicitlyDenied"
    assert answer["nearest"][0]["change"] == "the action would have to match `docs:Get*`"


@pytest.mark.parametrize("name", ["cases.jsonl", "cases.yaml"])
def test_id_option_selects_a_case(tmp_path: Path, name: str) -> None:
    """`--id` selects a case of a file; invalid lines before it are skipped."""
    cases = [case("one"), case("two", "docs:PutDocument")]
    file = tmp_path / name
    lines = "\n".join([json.dumps(cases[0]), "no case", json.dumps(cases[1])])
    file.write_text(lines if name.endswith("l") and "json" in name else yaml.safe_dump(cases))
    assert run(str(file), "--id", "one").exit_code == 0
    assert run(str(file), "--id", "two").exit_code == 1


@table(
    ("arguments", "stdin", "message"),
    [
        ((), "", "expected a case as JSON object"),
        ((), "{", "expected a case as JSON object"),
        ((), '{\n"id": "one",\n"id": "two"\n}', "the key `id` is repeated"),
        ((), "[]", "expected an object"),
        ((), "\n".join([json.dumps(case())] * 2), "or --id to choose one, got 2 cases"),
        (("--id", "x"), json.dumps(case()), "expected one case with the id `x`, got 0 of 1 cases"),
        (("--id", "one"), "\n".join([json.dumps(case())] * 2), "with the id `one`, got 2 of 2 cases"),
        ((), json.dumps({**case(), "policies": {"identity": [{"Statement": "x"}]}}), "/Statement"),
        (("nowhere.json",), "", "nowhere.json"),
    ],
)
def test_invalid_input_is_refused(arguments: tuple[str, ...], stdin: str, message: str) -> None:
    """Exit code 2 and a message, never a traceback."""
    done = run(*arguments, stdin=stdin)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""

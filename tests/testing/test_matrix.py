"""Access matrices: every cell is decided, a slip is no cell, and a change of access is seen."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from iam_guard import Guard, Service, compile_policies, open_guard
from iam_guard.cli import main
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import Outcome
from iam_guard.testing import access_matrix, assert_matrix
from iam_guard.testing.matrix import AccessMatrix, Cell
from iam_guard.testing.matrix_files import matrix_csv, read_approved, read_description
from iam_guard.testing.matrix_renderings import matrix_html, matrix_json, matrix_svg, matrix_text
from tests.conftest import SEED

ACCOUNT = "arn:aws:iam::111122223333"
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
PRINCIPALS = {"ada": f"{ACCOUNT}:user/ada", "rita": f"{ACCOUNT}:user/rita", "anybody": "anonymous"}


@pytest.fixture
def matrix(guard: Guard) -> AccessMatrix:
    return access_matrix(
        guard, principals=PRINCIPALS, actions=["docs:GetDocument", "docs:PutDocument"], resources={"plan": DOCUMENT}
    )


def test_every_cell_is_decided(matrix: AccessMatrix, audit_file: Path) -> None:
    """In the order that was given; nothing is noted, for nobody asked for access."""
    assert [(access.action[5:8], access.principal, outcome.value) for access, outcome in matrix] == [
        ("Get", "ada", "Allowed"),
        ("Get", "rita", "Allowed"),
        ("Get", "anybody", "ImplicitlyDenied"),
        ("Put", "ada", "Allowed"),
        ("Put", "rita", "ImplicitlyDenied"),
        ("Put", "anybody", "ImplicitlyDenied"),
    ]
    assert not audit_file.exists() or audit_file.read_text() == ""


def test_a_matrix_asks_the_store_once_for_each_principal(guard: Guard) -> None:
    """Twenty thousand cells took a minute when each of them asked anew."""
    before = guard.usage()["caller"].misses
    access_matrix(guard, principals=PRINCIPALS, actions=[f"docs:Get{number}" for number in range(20)])
    assert guard.usage()["caller"].misses - before == len(PRINCIPALS)


def test_the_actions_may_be_those_of_the_application(tmp_path: Path) -> None:
    """What its services have declared."""
    docs = Service("docs")
    docs.requires("GetDocument")(lambda: None)
    (tmp_path / "iam.yaml").write_text(SEED)
    guard = open_guard(tmp_path / "iam.yaml", services=[docs])
    assert access_matrix(guard, principals=[f"{ACCOUNT}:user/ada"]).actions == ("docs:GetDocument",)
    guard.close()


def test_policies_without_a_guard_make_one_too() -> None:
    """With condition keys for all questions."""
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"docs:Late": "true"}}}
    policies = compile_policies(identity=[{"Statement": statement}])
    questions: dict[str, Any] = {"principals": [PRINCIPALS["ada"]], "actions": ["docs:Get"], "resources": [DOCUMENT]}
    for context, outcome in (({"docs:Late": True}, "ExplicitlyDenied"), (None, "ImplicitlyDenied")):
        [(_, found)] = access_matrix(policies, context=context, **questions)
        assert found == outcome


@pytest.mark.parametrize(
    ("questions", "words"),
    [
        ({"principals": [f"{ACCOUNT}:user/nobody"]}, "does not exist"),
        ({"actions": ["GetDocument"]}, "no decision could be made"),
        ({"resources": ["arn:aws:s3:::bucket"]}, "the owner of the resource is unknown"),
        ({"actions": "docs:Get"}, "got one text"),
        ({"resources": DOCUMENT}, "got one text"),
        ({"actions": []}, "needs a principal, an action and a resource"),
        ({"actions": None}, "needs a principal, an action and a resource"),
        ({"actions": [f"docs:A{n}" for n in range(50_000)], "resources": ["*", DOCUMENT]}, "at most 100000 cells"),
    ],
)
def test_a_slip_in_the_question_is_no_cell(guard: Guard, questions: dict[str, Any], words: str) -> None:
    """`not allowed` would be wrong for who is not there."""
    asked = {"principals": list(PRINCIPALS.values())[:2], "actions": ["docs:Get"], **questions}
    with pytest.raises(InvalidInput, match=words):
        access_matrix(guard, **asked)


# --- forms -------------------------------------------------------------------------------------------------------


def test_the_table_has_signs_and_says_what_they_mean(matrix: AccessMatrix) -> None:
    """Actions down, principals across."""
    assert matrix_text(matrix).splitlines() == [
        "plan                ada  rita  anybody",
        "  docs:GetDocument  ✓    ✓     –",
        "  docs:PutDocument  ✓    –     –",
        "",
        "✓ allowed, – not allowed, ✗ denied",
    ]


def hostile() -> AccessMatrix:
    access = Cell("</svg><script>", 'docs:"x"&\x00', "<b>ann</b>")
    return AccessMatrix((access.principal,), (access.action,), (access.resource,), {access: Outcome.EXPLICITLY_DENIED})


def test_pictures_stand_alone_and_say_it_in_words(matrix: AccessMatrix) -> None:
    """No script, nothing from elsewhere; whatever the names are."""
    for made, words in ((matrix, "✓ allowed"), (hostile(), "✗ denied")):
        for picture in (matrix_html(made), matrix_svg(made)):
            assert words in picture
            assert "<script" not in picture
            assert "<b>" not in picture
            assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
        svg = ElementTree.fromstring(matrix_svg(made))  # noqa: S314  our own
        assert (svg.get("role"), svg[0].tag[-5:]) == ("img", "title")
    assert matrix_json(matrix)["access"][0] == {
        "resource": "plan",
        "action": "docs:GetDocument",
        "principal": "ada",
        "outcome": "Allowed",
    }


def test_the_words_of_a_drawn_cell_fit_into_it(matrix: AccessMatrix) -> None:
    """A letter of 14 px in a monospaced font is at most 8.5 wide; the words begin 8 from the left."""
    drawn = ElementTree.fromstring(matrix_svg(matrix))  # noqa: S314  our own
    name = "{http://www.w3.org/2000/svg}"
    cells = drawn.findall(f"{name}g")
    assert len(cells) == len(matrix.outcomes)
    for cell in cells:
        box, words = cell.find(f"{name}rect"), cell.findtext(f"{name}text")
        assert box is not None
        assert words
        assert 8 + len(words) * 8.5 <= int(box.get("width") or 0)


COLUMNS = "resource,action,principal,outcome"


# --- approved ----------------------------------------------------------------------------------------------------


def test_what_was_approved_is_compared(matrix: AccessMatrix, tmp_path: Path) -> None:
    """Gained stands first; the file is written when that is asked for, and only then."""
    path = tmp_path / "access.csv"
    with pytest.raises(AssertionError, match="there is no approved matrix"):
        assert_matrix(matrix, path)
    assert_matrix(matrix, path, update=True)
    assert_matrix(matrix, path)
    assert read_approved(path) == matrix.outcomes
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[1][3], rows[6][3] = "ImplicitlyDenied", "Allowed"
    rows.append(["plan", "docs:Old", "ada", "ExplicitlyDenied"])
    path.write_text("\n".join(map(",".join, rows)))
    with pytest.raises(AssertionError) as failed:
        assert_matrix(matrix, path)
    assert str(failed.value).splitlines()[1:-1] == [
        "gained:    ada docs:GetDocument on plan: ImplicitlyDenied -> Allowed",
        "lost:      rita docs:PutDocument on plan: Allowed -> ImplicitlyDenied",
        "otherwise: ada docs:Old on plan: ExplicitlyDenied -> not asked",
    ]


def test_the_approved_file_does_not_depend_on_the_order_of_questions(guard: Guard, matrix: AccessMatrix) -> None:
    """A review sees changes of access and nothing else."""
    turned = access_matrix(
        guard,
        principals=dict(reversed(PRINCIPALS.items())),
        actions=["docs:PutDocument", "docs:GetDocument"],
        resources={"plan": DOCUMENT},
    )
    assert matrix_csv(turned) == matrix_csv(matrix)


@pytest.mark.parametrize("name", ["=1+1", "+ann", "-ann", "@ann", "\tann", "\uff1dann", "'=ann", "''@ann"])
def test_no_name_is_a_formula_in_the_csv(guard: Guard, tmp_path: Path, name: str) -> None:
    """IAM's names may begin with `=`, `+`, `-` or `@`; a spreadsheet would run them. What is read is the name."""
    asked = access_matrix(
        guard, principals={name: PRINCIPALS["ada"]}, actions=["docs:GetDocument"], resources={name: DOCUMENT}
    )
    written = matrix_csv(asked)
    (row,) = list(csv.reader(written.splitlines()))[1:]
    assert (row[0], row[2]) == (f"'{name}", f"'{name}")
    (tmp_path / "access.csv").write_text(written)
    assert read_approved(tmp_path / "access.csv") == asked.outcomes


@pytest.mark.parametrize("name", ["ann", "o'ann", "'ann", "a=b", "*", ",ann"])
def test_other_names_stay_as_they_are(guard: Guard, name: str) -> None:
    asked = access_matrix(
        guard, principals={name: PRINCIPALS["ada"]}, actions=["docs:GetDocument"], resources={name: DOCUMENT}
    )
    (row,) = list(csv.reader(matrix_csv(asked).splitlines()))[1:]
    assert (row[0], row[2]) == (name, name)


def test_file_that_was_approved_before_is_read(guard: Guard, tmp_path: Path) -> None:
    """With the name as it is, which versions before wrote."""
    asked = access_matrix(
        guard, principals={"=ann": PRINCIPALS["ada"]}, actions=["docs:GetDocument"], resources={"plan": DOCUMENT}
    )
    (tmp_path / "access.csv").write_text(matrix_csv(asked).replace("'=ann", "=ann"))
    assert read_approved(tmp_path / "access.csv") == asked.outcomes


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n", "resource,action,principal,outcome\nx,y,z\n", "resource,action,principal,outcome\na,b,c,Yes\n"],
)
def test_what_is_no_approved_file_is_refused(text: str, tmp_path: Path) -> None:
    """With its line."""
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_approved(tmp_path / "a.csv")
    assert str(refused.value.place).startswith(f"{tmp_path / 'a.csv'}:")


# --- the command -------------------------------------------------------------------------------------------------

DESCRIPTION = f"""
seed: iam.yaml
principals: {{ada: "{PRINCIPALS["ada"]}", rita: "{PRINCIPALS["rita"]}"}}
actions: [docs:GetDocument, docs:PutDocument]
resources: {{plan: "{DOCUMENT}"}}
context: {{docs:Kind: report, docs:Labels: [a, b]}}
"""
APP = """
from starlette.applications import Starlette
from starlette.routing import Route
from iam_guard import Service

@Service("docs").requires("ListDocuments")
async def listed(request): ...

app = Starlette(routes=[Route("/", listed)])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iam.yaml").write_text(SEED)
    (tmp_path / "access.yaml").write_text(DESCRIPTION)
    (tmp_path / "matrix_app.py").write_text(APP)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["matrix", "access.yaml", *arguments])


def test_the_command_shows_and_writes(folder: Path) -> None:
    """The form is that of the file's name, or as asked."""
    assert "docs:PutDocument  ✓    –" in run().output
    assert json.loads(run("--json").output)["principals"] == ["ada", "rita"]
    for name, beginning in (("a.html", "<!doctype"), ("a.svg", "<svg"), ("a.csv", "resource,"), ("a.txt", "plan ")):
        assert run("--output", name).exit_code == 0
        assert (folder / name).read_text().startswith(beginning)


def test_the_command_compares_with_what_was_approved(folder: Path) -> None:
    """0 as it was, 1 with the changes."""
    missing = run("--check", "access.csv")
    assert (missing.exit_code, "access.csv: cannot be read" in missing.stderr) == (2, True)
    assert run("--approve", "access.csv").exit_code == 0
    same = run("--check", "access.csv")
    assert (same.exit_code, same.output) == (0, "no changes\n")
    (folder / "iam.yaml").write_text(SEED.replace("docs:Get*", "docs:*"))
    changed = run("--check", "access.csv")
    assert (changed.exit_code, changed.output.split(":")[0]) == (1, "gained")
    assert len(json.loads(run("--check", "access.csv", "--json").output)["changes"]) == 1


def test_the_command_takes_actions_from_an_application(folder: Path) -> None:
    """Those that guard its endpoints."""
    (folder / "access.yaml").write_text(DESCRIPTION.replace("actions: [docs:GetDocument, docs:PutDocument]", ""))
    assert run().exit_code == 2
    assert "docs:ListDocuments" in run("--app", "matrix_app:app").output


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("principle: {}", "1:12"),
        ("seed: iam.yaml", "1:1"),
        ("principals: []", "1:13"),
        ("principals:\n  - {a: b}", "2:5"),
        ("principals: [a\n", "2:1"),
        ("", "1:1"),
    ],
)
def test_a_description_with_a_slip_says_where(folder: Path, text: str, place: str) -> None:
    """File, line, column."""
    (folder / "access.yaml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_description(Path("access.yaml"))
    assert refused.value.place == f"access.yaml:{place}"
    assert run().exit_code == 2

"""Access matrices: every cell is a decision, mistakes are errors, and changes of access are reported."""

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
    """In the given order; queries are not audited."""
    assert [(access.action[5:8], access.principal, outcome.value) for access, outcome in matrix] == [
        ("Get", "ada", "Allowed"),
        ("Get", "rita", "Allowed"),
        ("Get", "anybody", "ImplicitlyDenied"),
        ("Put", "ada", "Allowed"),
        ("Put", "rita", "ImplicitlyDenied"),
        ("Put", "anybody", "ImplicitlyDenied"),
    ]
    assert not audit_file.exists() or audit_file.read_text() == ""


def test_matrix_loads_each_principal_once(guard: Guard) -> None:
    """Twenty thousand cells took a minute when each loaded its principal."""
    before = guard.usage().caches["caller"].misses
    access_matrix(guard, principals=PRINCIPALS, actions=[f"docs:Get{number}" for number in range(20)])
    assert guard.usage().caches["caller"].misses - before == len(PRINCIPALS)


def test_actions_default_to_declared_ones(tmp_path: Path) -> None:
    """Of the guard's services."""
    docs = Service("docs")
    docs.requires("GetDocument")(lambda: None)
    (tmp_path / "iam.yaml").write_text(SEED)
    guard = open_guard(tmp_path / "iam.yaml", services=[docs])
    assert access_matrix(guard, principals=[f"{ACCOUNT}:user/ada"]).actions == ("docs:GetDocument",)
    guard.close()


def test_matrix_of_policies_without_guard() -> None:
    """With condition keys for all cells."""
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
        ({"actions": ["docs:Get", "iam:CreatUser"]}, "the service `iam` has no action `CreatUser`, did you mean"),
        ({"resources": ["arn:aws:s3:::bucket"]}, "the owner of the resource is unknown"),
        ({"actions": "docs:Get"}, "got one string"),
        ({"resources": DOCUMENT}, "got one string"),
        ({"actions": []}, "expected at least one principal, one action and one resource"),
        ({"actions": None}, "expected at least one principal, one action and one resource"),
        ({"actions": [f"docs:A{n}" for n in range(50_000)], "resources": ["*", DOCUMENT]}, "at most 100000 cells"),
    ],
)
def test_mistake_in_question_is_an_error(guard: Guard, questions: dict[str, Any], words: str) -> None:
    """`not allowed` would be wrong for an unknown principal."""
    arguments = {"principals": list(PRINCIPALS.values())[:2], "actions": ["docs:Get"], **questions}
    with pytest.raises(InvalidInput, match=words):
        access_matrix(guard, **arguments)


# --- forms -------------------------------------------------------------------------------------------------------


def test_text_has_signs_and_legend(matrix: AccessMatrix) -> None:
    """Actions as rows, principals as columns."""
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


def test_renderings_are_self_contained_and_have_words(matrix: AccessMatrix) -> None:
    """No script, nothing external, for any names."""
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


def test_words_of_svg_cell_fit(matrix: AccessMatrix) -> None:
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


def test_approved_matrix_is_compared(matrix: AccessMatrix, tmp_path: Path) -> None:
    """Gained access is first; the file is written only on request."""
    path = tmp_path / "access.csv"
    with pytest.raises(AssertionError, match="expected an approved matrix"):
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
        "changed:   ada docs:Old on plan: ExplicitlyDenied -> not listed",
    ]


def test_approved_file_is_independent_of_order(guard: Guard, matrix: AccessMatrix) -> None:
    """A review shows changes of access only."""
    turned = access_matrix(
        guard,
        principals=dict(reversed(PRINCIPALS.items())),
        actions=["docs:PutDocument", "docs:GetDocument"],
        resources={"plan": DOCUMENT},
    )
    assert matrix_csv(turned) == matrix_csv(matrix)


@pytest.mark.parametrize("name", ["=1+1", "+ann", "-ann", "@ann", "\tann", "\uff1dann", "'=ann", "''@ann"])
def test_formula_names_are_escaped_in_csv(guard: Guard, tmp_path: Path, name: str) -> None:
    """IAM names may begin with `=`, `+`, `-` or `@`, which spreadsheets run; reading returns the name."""
    matrix = access_matrix(
        guard, principals={name: PRINCIPALS["ada"]}, actions=["docs:GetDocument"], resources={name: DOCUMENT}
    )
    written = matrix_csv(matrix)
    (row,) = list(csv.reader(written.splitlines()))[1:]
    assert (row[0], row[2]) == (f"'{name}", f"'{name}")
    (tmp_path / "access.csv").write_text(written)
    assert read_approved(tmp_path / "access.csv") == matrix.outcomes


@pytest.mark.parametrize("name", ["ann", "o'ann", "'ann", "a=b", "*", ",ann"])
def test_other_names_are_not_escaped(guard: Guard, name: str) -> None:
    matrix = access_matrix(
        guard, principals={name: PRINCIPALS["ada"]}, actions=["docs:GetDocument"], resources={name: DOCUMENT}
    )
    (row,) = list(csv.reader(matrix_csv(matrix).splitlines()))[1:]
    assert (row[0], row[2]) == (name, name)


def test_unescaped_approved_file_is_read(guard: Guard, tmp_path: Path) -> None:
    """Earlier versions wrote names unescaped."""
    matrix = access_matrix(
        guard, principals={"=ann": PRINCIPALS["ada"]}, actions=["docs:GetDocument"], resources={"plan": DOCUMENT}
    )
    (tmp_path / "access.csv").write_text(matrix_csv(matrix).replace("'=ann", "=ann"))
    assert read_approved(tmp_path / "access.csv") == matrix.outcomes


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n", "resource,action,principal,outcome\nx,y,z\n", "resource,action,principal,outcome\na,b,c,Yes\n"],
)
def test_invalid_approved_file_is_refused(text: str, tmp_path: Path) -> None:
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


def test_matrix_command_prints_and_writes(folder: Path) -> None:
    """The format follows the suffix of the file, or the option."""
    assert "docs:PutDocument  ✓    –" in run().output
    assert json.loads(run("--json").output)["principals"] == ["ada", "rita"]
    for name, beginning in (("a.html", "<!doctype"), ("a.svg", "<svg"), ("a.csv", "resource,"), ("a.txt", "plan ")):
        assert run("--output", name).exit_code == 0
        assert (folder / name).read_text().startswith(beginning)


def test_matrix_command_compares_with_approved(folder: Path) -> None:
    """Exit code 0 without changes, 1 with changes."""
    missing = run("--check", "access.csv")
    assert (missing.exit_code, "access.csv: cannot be read" in missing.stderr) == (2, True)
    assert run("--approve", "access.csv").exit_code == 0
    same = run("--check", "access.csv")
    assert (same.exit_code, same.output) == (0, "no changes\n")
    (folder / "iam.yaml").write_text(SEED.replace("docs:Get*", "docs:*"))
    changed = run("--check", "access.csv")
    assert (changed.exit_code, changed.output.split(":")[0]) == (1, "gained")
    assert len(json.loads(run("--check", "access.csv", "--json").output)["changes"]) == 1


def test_matrix_command_uses_actions_of_application(folder: Path) -> None:
    """Those that guard its endpoints."""
    (folder / "access.yaml").write_text(DESCRIPTION.replace("actions: [docs:GetDocument, docs:PutDocument]", ""))
    assert run().exit_code == 2
    assert "docs:ListDocuments" in run("--app", "matrix_app:app").output


def test_matrix_command_uses_store_of_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IAM_GUARD_STORE names the store of a description without `seed`; --store and `seed` come first."""
    (folder / "iam.yaml").rename(folder / "other.yaml")
    monkeypatch.setenv("IAM_GUARD_STORE", "other.yaml")
    assert run().exit_code == 2
    (folder / "access.yaml").write_text(DESCRIPTION.replace("seed: iam.yaml", ""))
    assert "docs:PutDocument  ✓    –" in run().output
    monkeypatch.setenv("IAM_GUARD_STORE", "missing.yaml")
    assert "docs:PutDocument  ✓    –" in run("--store", "other.yaml").output
    monkeypatch.delenv("IAM_GUARD_STORE")
    assert "expected a `seed` in the file, --store, or IAM_GUARD_STORE" in run().stderr


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
def test_invalid_description_names_place(folder: Path, text: str, place: str) -> None:
    """File, line, column."""
    (folder / "access.yaml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_description(Path("access.yaml"))
    assert refused.value.place == f"access.yaml:{place}"
    assert run().exit_code == 2

"""A library that is not installed: the error names the extra that brings it, for every optional import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import iam_guard
from iam_guard.errors import ConfigurationError
from iam_guard.imports import requires_extra
from tests.tables import table

PACKAGE = Path(iam_guard.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
WITHIN = "net/connections.py"
"""The module that imports a library as it is: all its importers do so within `requires_extra`."""

SHIP = (
    "from iam_guard.audit.shipping.destinations import *; from iam_guard.audit.shipping.sink_url import SinkUrl; "
    "open_sinks([SinkUrl.parse(sink)])"
)
BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from iam_guard.errors import ConfigurationError
try:
    {statement}
except ConfigurationError as error:
    print(error)
"""


class Imports(ast.NodeVisitor):
    """The modules that a file imports, but for those within `requires_extra`, and for type checkers."""

    def __init__(self, path: Path) -> None:
        self.names: set[str] = set()
        self.visit(ast.parse(path.read_text()))

    def visit_Import(self, node: ast.Import) -> None:
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names.add(node.module or "")

    def visit_With(self, node: ast.With) -> None:
        if "requires_extra" not in ast.unparse(node.items[0]):
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)


def test_every_optional_import_names_its_extra() -> None:
    core = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in PROJECT["dependencies"]} | {
        "yaml",
        "anyio",
        "pytest",
    }
    known = sys.stdlib_module_names | core | {"opentelemetry", "iam_guard"}
    imports = {path.relative_to(PACKAGE).as_posix(): Imports(path).names for path in PACKAGE.rglob("*.py")}
    bare = {path for path, names in imports.items() if {name.partition(".")[0] for name in names} - known}
    assert bare == {WITHIN}
    assert not any("iam_guard.net.connections" in names for names in imports.values())


@table(
    ("library", "statement", "purpose", "extra"),
    [
        (
            "botocore",
            "from iam_guard.api.protocol.service_model import load_api; load_api('iam')",
            "the AWS-",
            "server",
        ),
        (
            "botocore",
            "import iam_guard; iam_guard.client(iam_guard.open_guard(FILE), 'iam', account=A, reason='a')",
            "a client in the process",
            "client",
        ),
        ("uvicorn", "from iam_guard.cli.group import *; import iam_guard.cli.serve", "`iam-guard serve`", "server"),
        ("jinja2", "from iam_guard.console import sign_in_pages", "a page in the browser", "console"),
        ("segno", "import iam_guard.api.iam.credentials.qr_code", "a QR code", "console"),
        ("webauthn", "import iam_guard.authn.people.second_factors.webauthn_responses", "a passkey", "console"),
        ("anycrc", "import iam_guard.authn.signatures.crc", "the checksum of an upload", "uploads"),
        (
            "psycopg",
            "import iam_guard.store.database.postgresql",
            "a PostgreSQL store",
            "postgres",
        ),
        ("rich", "import iam_guard.cli.audit.record_view", "`audit tail` without `--json`", "server"),
        ("duckdb", "import iam_guard.audit.consumer.query", "`audit query`", "query"),
        ("joserfc", "import iam_guard.authn.tokens.jws", "an OIDC token", "oidc"),
        ("httpcore2", "import iam_guard.authn.tokens.https_fetch", "an OIDC provider", "oidc"),
        ("httpcore2", "sink='https://hooks.example.com/in'; SHIP", "a sink `webhook`", "webhook"),
        ("requests", "sink='otlp+https://collector'; SHIP", "a sink `otlp`", "otlp"),
        ("nats", "sink='nats://127.0.0.1'; SHIP", "a sink `nats`", "nats"),
        ("authlib", "import iam_guard.authn.people.sign_on.oidc_client", "sign-on by OIDC", "sign-on"),
    ],
)
def test_missing_library_names_the_extra(
    library: str, statement: str, purpose: str, extra: str, tmp_path: Path
) -> None:
    seed = tmp_path / "iam.yaml"
    seed.write_text("version: 1\naccounts: [{id: '111122223333'}]\n")
    statement = statement.replace("FILE", repr(str(seed))).replace("A,", "'111122223333',")
    statement = statement.replace("SHIP", SHIP)
    script = BLOCKED.format(library=library, statement=statement)
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    expected = f"requires the extra `{extra}` of iam_guard: pip install 'iam-guard[{extra}]'"
    assert re.fullmatch(f"{re.escape(purpose)}.*{re.escape(expected)}", answer.stdout.strip()), answer


def test_extras_exist() -> None:
    """Those that errors name."""
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    named = set(re.findall(r'requires_extra\("([^"]+)"', text))
    assert len(named) > 8
    assert named <= set(PROJECT["optional-dependencies"])


def test_other_errors_pass() -> None:
    with pytest.raises(ImportError, match="cannot import name"), requires_extra("server", "a server"):
        from iam_guard.errors import absent  # noqa: F401
    with pytest.raises(ConfigurationError) as caught, requires_extra("server", "a server"):
        import absent_library  # noqa: F401
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)

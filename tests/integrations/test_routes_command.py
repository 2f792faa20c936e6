"""`iam-guard routes` for the applications of every framework with an adapter (issue G, route coverage)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.contract import needed

ROOT = Path(__file__).resolve().parents[2]
FLASK = """
from flask import Flask
from iam_guard_flask import IamGuard
from iam_guard import Service, open_guard, public

docs, app = Service("docs"), Flask(__name__)

@app.get("/documents/<document_id>")
@docs.requires("GetDocument", resource="document/{document_id}")
def get_document(document_id): return "seen"

@app.get("/health")
@public
def health(): return "ok"

IamGuard(app, guard=open_guard("iam.yaml"), public_endpoints=["static"])
"""
DJANGO = """
from django.conf import settings
settings.configure(
    ROOT_URLCONF=__name__, MIDDLEWARE=["iam_guard_django.GuardMiddleware"], IAM_GUARD={"guard": "routed:guard"},
    INSTALLED_APPS=["iam_guard_django"], SECRET_KEY="x", ALLOWED_HOSTS=["*"],
)
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from iam_guard import Service, open_guard, public

docs = Service("docs")
guard = open_guard("iam.yaml", services=[docs])

@docs.requires("GetDocument", resource="document/{document_id}")
def get_document(request, document_id): return HttpResponse("seen")

@public
def health(request): return HttpResponse("ok")

urlpatterns = [path("documents/<document_id>", get_document), path("health", health)]
app = get_wsgi_application()
"""
FASTAPI = """
from fastapi import FastAPI
from iam_guard import Service, public

docs, app = Service("docs"), FastAPI(openapi_url=None)

@app.get("/documents/{document_id}")
@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(document_id: str): return "seen"

@app.get("/health")
@public
async def health(): return "ok"
"""


def routes(folder: Path, program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """List the routes of `app` in a program, which is called `routed`."""
    (folder / "routed.py").write_text(program)
    (folder / "iam.yaml").write_text("{version: 1, accounts: [{id: '111122223333'}]}")
    return command_in(folder, "routes", "routed:app", *options)


def command_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iam_guard", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("package", "program"),
    [("iam_guard_flask", FLASK), ("iam_guard_django", DJANGO), ("iam_guard_fastapi", FASTAPI)],
    ids=["Flask", "Django", "FastAPI"],
)
def test_endpoints_are_listed_and_an_unguarded_one_fails(tmp_path: Path, package: str, program: str) -> None:
    needed(package)
    listed = routes(tmp_path, program)
    assert listed.returncode == 0, listed.stderr
    assert "docs:GetDocument on document/{document_id}" in listed.stdout
    assert ", 0 unguarded" in listed.stdout
    opened = routes(tmp_path, program.replace("@public\n", ""))
    assert "UNGUARDED" in opened.stdout or "neither guarded nor public" in opened.stderr
    assert opened.returncode != 0


def test_misspelt_parameter_is_an_error(tmp_path: Path) -> None:
    """Which would stop the start-up."""
    needed("iam_guard_fastapi")
    listed = routes(tmp_path, FASTAPI.replace('{document_id}")\nasync', '{documentid}")\nasync'))
    assert listed.returncode == 2
    assert ", 0 unguarded" in listed.stdout
    assert "expected the parameter `documentid` of the route or the handler, got `document_id`" in listed.stderr


@pytest.mark.parametrize(
    ("package", "program"), [("iam_guard_flask", FLASK), ("iam_guard_django", DJANGO)], ids=["Flask", "Django"]
)
def test_other_commands_include_the_routes(tmp_path: Path, package: str, program: str) -> None:
    """Actions for a matrix, a reference and the linter, although the module has no named service."""
    needed(package)
    routes(tmp_path, f"{program}\ndel docs\n")
    matrix = "seed: iam.yaml\nprincipals: ['arn:aws:iam::111122223333:root']\n"
    (tmp_path / "access.yaml").write_text(matrix)
    for command in (["reference", "routed:app"], ["matrix", "access.yaml", "--app", "routed:app"]):
        result = command_in(tmp_path, *command)
        assert "GetDocument" in result.stdout, result.stderr


def test_unknown_application_is_reported(tmp_path: Path) -> None:
    """An empty list must not look like a passed check."""
    nothing = routes(tmp_path, "class Nothing:\n    pass\n\napp = Nothing()\n")
    assert nothing.returncode == 2
    assert "expected an application with endpoints, found none" in nothing.stderr
    broken = command_in(tmp_path, "routes", "nowhere:app")
    assert broken.stderr == "iam-guard: cannot import `nowhere:app`: ModuleNotFoundError: No module named 'nowhere'\n"

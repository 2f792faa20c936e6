"""The looks of the pages: templates and a style sheet of the application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.errors import ConfigurationError
from tests.console.site import Site

OWN_PAGE = "<h1>Acme: {{ title }}</h1>{{ problem }}<main>{% block content %}{% endblock %}</main>"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


def browser(site: Site, **looks: Any) -> TestClient:
    app = Starlette(routes=[Mount("/signin", sign_in_pages(site.guard, **looks))])
    return TestClient(app, base_url="http://localhost", follow_redirects=False)


def test_own_template_replaces_the_one_of_its_name(site: Site, tmp_path: Path) -> None:
    """The others stay, with their forms; people sign in."""
    (tmp_path / "page.html").write_text(OWN_PAGE)
    site.browser = browser(site, templates=tmp_path)
    page = site.browser.get("/signin/")
    assert "<h1>Acme: Sign in as a user</h1>" in page.text
    assert 'name="csrf_token"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert site.sign_in().status_code == 303
    assert "<h1>Acme: Your sessions</h1>" in site.browser.get("/signin/sessions").text


def test_own_template_escapes_what_was_typed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "sign_in.html").write_text(
        '{% extends "page.html" %}{% block content %}<b>{{ typed.username }}</b>'
        '<input type="hidden" name="csrf_token" value="{{ csrf_token }}">{% endblock %}'
    )
    site.browser = browser(site, templates=tmp_path)
    assert "<b>&lt;script&gt;</b>" in site.sign_in("<script>", "wrong").text


def test_own_style_follows_the_built_in_one(site: Site, tmp_path: Path) -> None:
    (tmp_path / "own.css").write_text(":root { --accent: red; }")
    built_in = browser(site).get("/signin/style.css").text
    answer = browser(site, style=tmp_path / "own.css").get("/signin/style.css")
    assert answer.text == f"{built_in}\n:root {{ --accent: red; }}"
    assert answer.headers["content-type"].startswith("text/css")


def test_missing_folder_is_refused(site: Site, tmp_path: Path) -> None:
    """Otherwise the built-in templates would be used instead."""
    with pytest.raises(ConfigurationError, match="expected a folder"):
        sign_in_pages(site.guard, templates=tmp_path / "none")

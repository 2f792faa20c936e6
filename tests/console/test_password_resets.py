"""Links that set a new password: by an administrator, and by e-mail for root users."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from iam_guard.console.languages import LANGUAGES, choose_language, texts
from iam_guard.console.sign_in_pages import sign_in_pages
from iam_guard.store.schema import password_resets
from tests.console.test_sign_in_pages import ACCOUNT, NEW_PASSWORD, PASSWORD, Site
from tests.tables import table

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/ada"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


def link_of(site: Site, name: str = "bob") -> str:
    return f"/signin/reset?token={site.guard.own_credentials.make_reset(site.person(name), ADMIN)}"


def test_link_of_an_administrator_is_used_once(site: Site) -> None:
    link = link_of(site)
    assert site.send(link, new_password="short").status_code == 400  # and the link stays
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 303
    assert site.sign_in("bob", NEW_PASSWORD).status_code == 303
    again = site.send(link, new_password=PASSWORD)
    assert (again.status_code, "no longer valid" in again.text) == (400, True)


def test_link_ends_after_an_hour_and_with_the_next_one(site: Site) -> None:
    first, second = link_of(site), link_of(site)
    assert site.send(first, new_password=NEW_PASSWORD).status_code == 400
    site.now += timedelta(hours=1)
    assert site.send(second, new_password=NEW_PASSWORD).status_code == 400
    assert site.send("/signin/reset?token=made-up", new_password=NEW_PASSWORD).status_code == 400


def test_link_does_not_replace_the_second_factor(site: Site) -> None:
    site.sign_in()
    site.enrol()
    site.browser = site.new_browser()
    site.now += timedelta(minutes=2)
    assert site.send(link_of(site, "ada"), new_password=NEW_PASSWORD).status_code == 303
    assert site.sign_in(password=NEW_PASSWORD).headers["location"] == "/signin/mfa"


def test_token_is_stored_as_a_hash(site: Site) -> None:
    token = link_of(site).partition("=")[2]
    with site.store.read_transaction() as records:
        assert token not in str(records.all(password_resets))


def test_forgotten_password_of_a_root_user(site: Site) -> None:
    """The answer is the same for every address; a second link is sent only after some minutes."""
    sent: queue.Queue[tuple[str, str]] = queue.Queue()
    pages = sign_in_pages(site.guard, send_reset=lambda email, link: sent.put((email, link)))
    site.browser = TestClient(
        Starlette(routes=[Mount("/signin", pages)]), base_url="http://localhost", follow_redirects=False
    )
    assert "I have forgotten my password" in site.browser.get("/signin/?type=root").text
    answers = {
        site.send("/signin/forgot", email=email).text
        for email in ("root@acme.example", "root@acme.example", "eve@acme.example", "")
    }
    assert len(answers) == 1
    email, link = sent.get(timeout=60)
    assert email == "root@acme.example"
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 303
    assert sent.empty()
    site.now += timedelta(minutes=6)
    site.send("/signin/forgot", email="root@acme.example")
    assert sent.get(timeout=60)[0] == "root@acme.example"


def test_without_a_sender_there_is_no_such_page(site: Site) -> None:
    assert site.browser.get("/signin/forgot").headers["location"] == "/signin/"
    assert "forgotten" not in site.browser.get("/signin/?type=root").text


# --- languages ---------------------------------------------------------------------------------------------------


def test_languages_have_the_same_texts() -> None:
    keys = {language: list(texts(language)) for language in LANGUAGES}
    assert keys["en"] == keys["de"]
    assert all(all(texts(language).values()) for language in LANGUAGES)


@table(
    ("accepted", "preferred", "language"),
    [
        ("", "", "en"),
        ("de", "", "de"),
        ("de-AT, en;q=0.5", "", "de"),
        ("fr, de;q=0.2, en;q=0.1", "", "de"),
        ("en, de", "", "en"),
        ("de;q=0, en", "", "en"),
        ("de;q=x", "", "en"),
        ("*", "", "en"),
        ("en", "de", "de"),
        ("en", "xx", "en"),
    ],
)
def test_language_is_chosen(accepted: str, preferred: str, language: str) -> None:
    assert choose_language(accepted, preferred) == language

"""The tutorial about members in a browser: an invitation, another role with a second factor, and the trail of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.browser.visitor import BROWSERS, BrowserOptions, Visitor
from tests.console.site import NEW_PASSWORD, code_of
from tests.docs.reader import ROOT, Reader
from tests.integrations.contract import needed
from tools.blocks import files_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

needed("fastapi", "iam_guard_fastapi")

PAGE = ROOT / "docs" / "tutorial" / "members.md"
ADA = "arn:aws:iam::111122223333:user/ada"
MAX_LINES = 80


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader up to the invitation of the first administrator, whose link is the output of the last command."""
    made = Reader(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    (tmp_path / "changes.py").write_text(files_of(text)["changes.py"], encoding="utf-8")
    made.follow(text.partition("## Invite a member")[0])
    with made.serving("uvicorn app:app --no-proxy-headers"):
        yield made


@pytest.fixture
def new_person(chromium: Browser, reader: Reader) -> Iterator[Callable[[BrowserOptions], Visitor]]:
    with ExitStack() as windows:

        def open_window(options: BrowserOptions) -> Visitor:
            visitor = Visitor(chromium, f"http://localhost:{reader.port}", options)
            windows.callback(visitor.close)
            return visitor

        yield open_window


def join(person: Visitor, link: str, name: str) -> None:
    """Choose a password by the link of an invitation, and sign in."""
    person.open(link)
    person.fill(new_password=NEW_PASSWORD)
    person.press("first_password")
    person.open("/signin")
    person.sign_in(name, NEW_PASSWORD)
    person.expect("/signin/sessions", "sessions")


def press(person: Visitor, name: str, button: str) -> None:
    with person.page.expect_navigation():
        person.page.locator(f"form[action='/team/{name}/role']").get_by_role("button", name=button, exact=True).click()


def status_of(person: Visitor, path: str) -> int:
    answer = person.page.goto(path)
    assert answer is not None
    return answer.status


def test_application_is_short() -> None:
    """Lines with code of the application and of its template."""
    files = files_of(PAGE.read_text(encoding="utf-8"))
    lines = [line for name in ("app.py", "team.html") for line in files[name].splitlines() if line.strip()]
    assert 0 < len(lines) <= MAX_LINES


@pytest.mark.parametrize("options", BROWSERS.values(), ids=BROWSERS)
def test_administrator_manages_members(
    reader: Reader, new_person: Callable[[BrowserOptions], Visitor], options: BrowserOptions
) -> None:
    ada, rita = new_person(options), new_person(options)
    join(ada, reader.output.strip(), "ada")
    ada.open("/team")
    ada.page.get_by_label("Name").fill("rita")
    with ada.page.expect_navigation():
        ada.page.get_by_role("button", name="Invite").click()
    join(rita, ada.page.get_by_role("status").locator("code").inner_text(), "rita")
    assert [status_of(rita, path) for path in ("/plans/public-2027", "/plans/merger", "/team")] == [200, 403, 403]

    press(ada, "rita", "editor")
    ada.expect("/signin/mfa", "second_factor")
    assert ada.status == ada.text["not_saved"]
    ada.follow("new_factor")
    ada.press("new_factor")
    seed, now = ada.page.locator("code").inner_text(), datetime.now(UTC)
    earlier, present = (code_of(seed, now + timedelta(seconds=30 * step)) for step in (-1, 0))
    ada.fill(first_code=earlier, second_code=present)
    ada.press("continue")
    ada.follow("continue")
    assert (ada.path, status_of(rita, "/plans/merger")) == ("/team", 403)

    press(ada, "rita", "editor")
    assert (ada.path, status_of(rita, "/plans/merger")) == ("/team", 200)
    reader.run(
        "python changes.py",
        f'{ADA} CreateUser {{"userName": "rita"}}\n{ADA} CreateInvitationLink {{"userName": "rita"}}\n'
        f'{ADA} AddUserToGroup {{"groupName": "editor", "userName": "rita"}}\n',
    )
    press(ada, "rita", "Remove")
    assert "rita" not in ada.page.inner_text("body")
    assert status_of(rita, "/plans/public-2027") == 200  # the sign-in page: her session has ended
    assert rita.path == "/signin/"

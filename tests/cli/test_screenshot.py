"""Pictures of pages: with an installed Chromium, and what is reported about browsers that take none."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from iam_guard.cli.analyze import screenshot
from iam_guard.cli.analyze.screenshot import find_browser, write_screenshot
from iam_guard.errors import InvalidInput
from tests.console.browser.chromium import VARIABLE
from tests.store.databases import do_without
from tests.tables import table

PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<style>body {{ margin: 0 }} div {{ height: {height}px; background: #0b57b8 }}</style></head>"
    "<body><div>é</div></body></html>\n"
)


def program(folder: Path, script: str) -> str:
    """Write a program that takes the place of a browser."""
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@table("height, expected", [(3000, 6000), (9000, 2 * screenshot.MAX_HEIGHT)])
def test_picture_has_the_height_of_the_page_up_to_the_limit(tmp_path: Path, height: int, expected: int) -> None:
    try:
        browser = find_browser(os.environ.get(VARIABLE))
    except InvalidInput as error:
        do_without(str(error))
    target = tmp_path / "page.png"
    write_screenshot(PAGE.format(height=height), target, browser)
    written = target.read_bytes()
    assert written.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", written[16:24]) == (2 * screenshot.WIDTH, expected)


def test_missing_browser_is_reported_with_the_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InvalidInput, match=r"expected one of the browsers chromium, .* for --png, got none: install one"
    ):
        find_browser(None)
    with pytest.raises(InvalidInput, match="expected the browser `/opt/none` for --png, got none"):
        find_browser("/opt/none")
    (tmp_path / "google-chrome").symlink_to("/bin/true")
    assert find_browser(None) == str(tmp_path / "google-chrome")


@table(
    "script, message",
    [
        ("exit 3", "got the exit code 3"),
        ("true", "expected the height of the page from `.*`, got none"),
        ("""echo '<html data-height="700">'""", "expected a picture from `.*`, got none"),
        ("exec sleep 60", "within 0.2 seconds, got none"),
    ],
)
def test_browser_without_a_picture_is_an_error(tmp_path: Path, script: str, message: str) -> None:
    target = tmp_path / "page.png"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screenshot, "TIMEOUT", 0.2 if "sleep" in script else 60)
        with pytest.raises(InvalidInput, match=message):
            write_screenshot(PAGE.format(height=1), target, program(tmp_path, script))
    assert not target.exists()


def test_file_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "browser").write_text("")
    with pytest.raises(InvalidInput, match=r"expected a browser in `.*`, got: Permission denied"):
        write_screenshot(PAGE.format(height=1), tmp_path / "page.png", str(tmp_path / "browser"))


@table("user, expected", [(0, True), (1000, False)])
def test_sandbox_is_off_for_root_alone(tmp_path: Path, user: int, expected: bool) -> None:
    browser = program(tmp_path, f'echo "$@" > {tmp_path}/arguments; exit 3')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: user)
        with pytest.raises(InvalidInput):
            write_screenshot(PAGE.format(height=1), tmp_path / "page.png", browser)
    assert ("--no-sandbox" in (tmp_path / "arguments").read_text()) is expected

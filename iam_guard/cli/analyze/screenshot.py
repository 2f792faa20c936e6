"""A picture of a page, taken by a browser without a window: Chromium, Chrome or Edge.

The browser runs twice, each time with a new profile: to measure how high the page is, and to take the picture.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from iam_guard.errors import InvalidInput

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
"""The names of the programs on the path, the first that is installed is used."""
WIDTH, MAX_HEIGHT = 1280, 8000
"""The size of the picture in CSS pixels, of which each is two pixels wide and high; a higher page is cut."""
TIMEOUT = 120
"""Seconds for each run of the browser."""
_MEASURE = (
    "<script>addEventListener('load', () => {"
    " document.documentElement.dataset.height = document.documentElement.scrollHeight })</script>"
)
"""Writes the height of the page into it; placed before its content security policy, which allows no script."""
_HEIGHT = re.compile(rb'<html[^>]* data-height="(\d+)"')


def find_browser(program: str | None) -> str:
    """Return the path of a program, or of an installed browser if None. Raises `InvalidInput` if there is none."""
    found = next(filter(None, map(shutil.which, [program] if program else BROWSERS)), None)
    if found is None:
        names = f"the browser `{program}`" if program else f"one of the browsers {', '.join(BROWSERS)}"
        raise InvalidInput(f"expected {names} for --png, got none: install one, or set --browser to its path")
    return found


def write_screenshot(page: str, target: Path, browser: str) -> None:
    """Write a picture of a page, which is HTML with a `<head>`, as PNG; `browser` is the path of the program.

    Raises `InvalidInput` if the browser takes no picture, or none within `TIMEOUT`.
    """
    with TemporaryDirectory(prefix="iam-guard-", ignore_cleanup_errors=True) as name:  # the browser may still write
        folder = Path(name)
        measured, picture = folder / "measured.html", folder / "page.png"
        measured.write_text(page.replace("<head>", f"<head>{_MEASURE}", 1), encoding="utf-8")
        height = _HEIGHT.search(_run(browser, folder, measured, "--dump-dom", f"--window-size={WIDTH},1000"))
        if height is None:
            raise InvalidInput(f"expected the height of the page from `{browser}`, got none")
        size = f"--window-size={WIDTH},{min(int(height[1]), MAX_HEIGHT)}"
        _run(browser, folder, measured, f"--screenshot={picture}", size, "--force-device-scale-factor=2")
        if not picture.exists():
            raise InvalidInput(f"expected a picture from `{browser}`, got none")
        shutil.copyfile(picture, target)


def _run(browser: str, folder: Path, page: Path, *options: str) -> bytes:
    """Run the browser on a page, and return its output."""
    command = [browser, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # which Chromium does not start without, for root; the page is our own
    try:
        done = subprocess.run(  # noqa: S603  # a browser that the caller has installed
            [*command, *options, page.as_uri()], capture_output=True, timeout=TIMEOUT, check=True
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"expected a result of `{browser}` within {TIMEOUT} seconds, got none") from None
    except subprocess.CalledProcessError as error:
        raise InvalidInput(f"expected a picture from `{browser}`, got the exit code {error.returncode}") from None
    except OSError as error:
        raise InvalidInput(f"expected a browser in `{browser}`, got: {error.strerror}") from None
    return done.stdout

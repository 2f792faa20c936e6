"""One Chromium for the tests of this folder, and browser windows that fail the test if Chromium complains."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.browser.chromium import launched
from tests.console.browser.visitor import BROWSERS, BrowserOptions, NewVisitor, Visitor
from tests.console.site import Site
from tests.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Launch one for all tests: its event loop would disturb tests of other folders."""
    with launched() as browser:
        yield browser


@pytest.fixture
def sent() -> queue.Queue[str]:
    """Return the links that were sent to root users."""
    return queue.Queue()


@pytest.fixture
def site(tmp_path: Path, sent: queue.Queue[str]) -> Iterator[Site]:
    made = Site(tmp_path, lambda email, link: sent.put(link))
    yield made
    made.guard.close()


@pytest.fixture
def new_visitor(chromium: Browser, site: Site) -> Iterator[NewVisitor]:
    """Return a function that opens a browser window; at the end, Chromium has not complained."""
    visitors: list[Visitor] = []
    with serving(site.app) as url, ExitStack() as windows:

        def open_window(options: BrowserOptions = BrowserOptions()) -> Visitor:
            visitor = Visitor(chromium, url.replace("127.0.0.1", "localhost"), options)
            windows.callback(visitor.close)
            visitors.append(visitor)
            return visitor

        yield open_window
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    assert not complaints, "\n".join(complaints)


@pytest.fixture(params=[pytest.param(options, id=name) for name, options in BROWSERS.items()])
def visitor(new_visitor: NewVisitor, request: pytest.FixtureRequest) -> Visitor:
    """Return a visitor with each kind of browser."""
    return new_visitor(request.param)

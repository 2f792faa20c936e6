"""A provider that hangs: the other pages answer, and people of other accounts sign in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from iam_guard.console.workers import MAX_WORKERS
from iam_guard.web.shared_workers import MAX_WORKERS_OF_ACCOUNT
from tests.authn.people.oidc_provider import OidcProvider, serving_provider
from tests.console.oidc_site import OidcSite
from tests.serving import serving

CROWD = 2 * MAX_WORKERS + MAX_WORKERS_OF_ACCOUNT
PATIENCE = 60
"""Seconds that an answer may take, since machines may be slow."""


def get(url: str) -> tuple[int, str]:
    """Return the status of an answer, and where it leads."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=PATIENCE)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"host": "localhost"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("location", "")


def wait_for(reached: Callable[[], bool]) -> None:
    for _ in range(PATIENCE * 100):
        if reached():
            return
        threading.Event().wait(0.01)
    raise AssertionError("expected the state within a minute")


def test_hanging_provider_stops_no_others(tmp_path: Path) -> None:
    """A crowd signs in with it, larger than all threads of the pages; few requests reach it at a time."""
    with (
        serving_provider(OidcProvider("https://id.slow.example")) as slow,
        serving_provider(OidcProvider("https://id.other.example")) as other,
        ThreadPoolExecutor(CROWD) as crowd,
    ):
        site = OidcSite(tmp_path, slow, other, oidc_timeout=PATIENCE)
        assert site.evil is not None
        slow.hanging = ("openid-configuration",)
        slow.answers.clear()
        with serving(site.app) as url:
            waiting = [crowd.submit(get, f"{url}/signin/oidc/start?provider={site.entry.id}") for _ in range(CROWD)]
            wait_for(lambda: slow.count("openid-configuration") == MAX_WORKERS_OF_ACCOUNT)
            assert [get(f"{url}/signin/")[0] for _ in range(MAX_WORKERS)] == [200] * MAX_WORKERS
            status, location = get(f"{url}/signin/oidc/start?provider={site.evil.id}")
            assert (status, "state" in dict(parse_qsl(urlsplit(location).query))) == (303, True)
            assert slow.count("openid-configuration") == MAX_WORKERS_OF_ACCOUNT
            slow.answers.set()
            assert {future.result()[0] for future in waiting} <= {303, 503}
        site.guard.close()

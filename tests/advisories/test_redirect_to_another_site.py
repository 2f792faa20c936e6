"""Advisory: the sign-in pages must not send a person on to another site (open redirect).

A link to the page of a site that a person trusts would end at a copy of it, which asks for the password again. Browsers
read a backslash as a slash, drop tabs and newlines, and take what follows two slashes for a host.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from iam_guard.model.request import Call
from tests.console.site import Site, code_of
from tests.signed_in import issue_session

EVIL = "evil.example"
HOSTILE = (
    f"https://{EVIL}/",
    f"http://{EVIL}",
    f"HTTPS://{EVIL}/",
    f"https:{EVIL}",
    f"https:/{EVIL}",
    f"https:///{EVIL}",
    f"https:\\\\{EVIL}",
    f"https://localhost@{EVIL}/",
    f"https://localhost:80@{EVIL}/",
    f"https://localhost.{EVIL}/",
    f"https://{EVIL}/#localhost",
    f"//{EVIL}",
    f"///{EVIL}",
    f"////{EVIL}",
    f"//localhost@{EVIL}",
    f"//{EVIL}:443/signin",
    f"//user:password@{EVIL}/",
    f"/\\{EVIL}",
    f"/\\/{EVIL}",
    f"\\/{EVIL}",
    f"\\\\{EVIL}",
    f"/\t/{EVIL}",
    f"\t//{EVIL}",
    f"/\n/{EVIL}",
    f"/\r/{EVIL}",
    f"/\r\n/{EVIL}",
    f"/\x00/{EVIL}",
    f"/\x0b/{EVIL}",
    f"\x01//{EVIL}",
    f" //{EVIL}",
    f"\N{NO-BREAK SPACE}//{EVIL}",
    f"/%09/{EVIL}",
    f"/%0a/{EVIL}",
    f"/%5c{EVIL}",
    f"/%2f{EVIL}",
    f"%2f%2f{EVIL}",
    f"/./\\{EVIL}",
    f"/.//{EVIL}",
    f"/..//{EVIL}",
    f"/%2e%2e//{EVIL}",
    f"/;//{EVIL}",
    f"/?//{EVIL}",
    f"/#//{EVIL}",
    f"/a\r\nLocation: https://{EVIL}/",
    f"/a\r\n\r\n<script src=//{EVIL}>",
    f"/\N{FULLWIDTH SOLIDUS}{EVIL}",
    f"/\N{DIVISION SLASH}{EVIL}",
    "//evil\N{IDEOGRAPHIC FULL STOP}example",
    "//evil\N{FULLWIDTH FULL STOP}example",
    "//\N{CIRCLED LATIN SMALL LETTER E}vil.example",
    "/\N{IDEOGRAPHIC FULL STOP}/evil",
    "/\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "//[2001:db8::1]/",
    "//[::ffff:192.0.2.7]/",
    "//[2001:db8::1",
    "/[::1",
    "//3221225991/",
    "//0xc0.0.2.7/",
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    f"blob:https://{EVIL}/x",
    f"ws://{EVIL}/",
    EVIL,
    f".{EVIL}",
    f"@{EVIL}",
    f"?next=//{EVIL}",
    f"#//{EVIL}",
    "",
    "/" * 1_999 + EVIL,
    "/" + "a" * 10_000,
    f"//{EVIL}/" + "a" * 1_900,
    '/"><script>alert(1)</script>',
)
GOOD = {
    "/documents/7": "/documents/7",
    "/documents/7?a=b&c=%2F%2Fd": "/documents/7?a=b&c=%2F%2Fd",
    f"/go?to=https://{EVIL}/": f"/go?to=https://{EVIL}/",
    "/a:b@c": "/a:b@c",
    "/%E2%82%AC": "/%E2%82%AC",
}
_is_own_path = re.compile(r"/(?![/\\])[!-\[\]-~]*").fullmatch
"""A path with a query, which no browser takes for another host, whatever it contains."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


def by_form(site: Site, next: str) -> Any:
    return site.sign_in(browser=site.new_browser(), next=next)


def by_link(site: Site, next: str) -> Any:
    """Open a link to the page, and send its form as the browser would."""
    return site.sign_in(browser=site.new_browser(), path=f"/signin/?next={quote(next, safe='')}")


def by_second_step(site: Site, next: str) -> Any:
    """Be asked for a second factor, and then go on."""
    browser = site.new_browser()
    answer = site.sign_in("bob", browser=browser, path=f"/signin/?next={quote(next, safe='')}")
    assert urlsplit(answer.headers["location"])[:3] == ("", "", "/signin/mfa")
    site.now += timedelta(minutes=2)
    return site.send(answer.headers["location"], browser, mfa_code=site.code("bob"))


@pytest.fixture
def locations(site: Site) -> dict[str, list[str]]:
    """Return where each URL leads, by each way."""
    with_factor(site)
    ways = (by_form, by_link, by_second_step)
    found: dict[str, list[str]] = {}
    for next in (*HOSTILE, *GOOD):
        answers = [way(site, next) for way in ways]
        assert {answer.status_code for answer in answers} == {303}, next
        found[next] = [answer.headers["location"] for answer in answers]
    return found


def with_factor(site: Site) -> None:
    """Let bob have an authenticator app."""
    person = site.person("bob")
    own = site.guard.people.own_credentials
    session = issue_session(site.guard, person)[1]
    device = own.new_device(session)
    codes = code_of(device.seed, site.now - timedelta(seconds=30)), code_of(device.seed, site.now)
    assert not isinstance(own.enable_device(session, device.serial, codes, Call("1")), str)


def test_next_stays_on_the_site(locations: dict[str, list[str]]) -> None:
    """By the form, by a link, and after a second step."""
    assert len(HOSTILE) >= 40
    for next, found in locations.items():
        for location in found:
            assert _is_own_path(location), next
            assert next in GOOD or EVIL not in urlsplit(location).netloc
    assert {next: set(locations[next]) for next in GOOD} == {next: {expected} for next, expected in GOOD.items()}


def test_next_stays_on_the_site_in_browsers(locations: dict[str, list[str]]) -> None:
    """As resolved by the algorithm of browsers, of which Node.js has an implementation."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    script = "for (const l of JSON.parse(process.argv[1])) console.log(new URL(l, 'http://localhost/signin/').origin)"
    every = sorted({location for found in locations.values() for location in found})
    resolved = subprocess.run([node, "-e", script, json.dumps(every)], capture_output=True, text=True, check=True)
    assert set(resolved.stdout.split()) == {"http://localhost"}
    hostile = [f"//{EVIL}", f"/\\{EVIL}", f"/\t/{EVIL}"]
    control = subprocess.run([node, "-e", script, json.dumps(hostile)], capture_output=True, text=True, check=True)
    assert set(control.stdout.split()) == {f"http://{EVIL}"}


def test_pages_link_to_no_other_site(site: Site) -> None:
    """Their links and hidden fields have a `next` that is safe, or none."""
    for next in HOSTILE:
        for path in ("/signin/", "/signin/?type=root", "/signin/forgot", "/signin/reset"):
            page = site.new_browser().get(path, params={"next": next, **({"type": "root"} if "root" in path else {})})
            assert "<script>" not in page.text
            links = [unescape(found) for found in re.findall(r'(?:href|action|src)="([^"]*)"', page.text)]
            assert all(_is_own_path(link) for link in links), next
            fields = [unescape(found) for found in re.findall(r'name="next" value="([^"]*)"', page.text)]
            named = [value for link in links for value in parse_qs(urlsplit(link).query).get("next", [])]
            assert all(not value or _is_own_path(value) for value in (*fields, *named)), next


def test_redirect_of_the_guard_stays_on_the_site(site: Site) -> None:
    """It names the path that was asked for, however many slashes it begins with."""
    headers = {"sec-fetch-mode": "navigate", "accept": "text/html"}
    for path in ("/documents/7", f"//{EVIL}/documents/7", f"/documents/7?next=//{EVIL}", f"/documents/%09/{EVIL}"):
        answer = site.new_browser().get(f"http://localhost{path}", headers=headers)
        location = answer.headers.get("location", "/")
        assert _is_own_path(location)
        final = site.sign_in(path="/signin/?" + urlsplit(location).query, browser=site.new_browser())
        assert _is_own_path(final.headers["location"])

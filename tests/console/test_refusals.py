"""Refused sign-ins are alike, whatever the reason: the page, its headers, the statements, and one hash.

So is what a request for a link waits for, whichever address it names.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords import passwords
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.people.work_queue import MAX_OF_ONE
from iam_guard.authn.tokens.session_cookie import csrf_token
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.store.database.records import Records
from iam_guard.store.schema import identities, login_profiles, mfa_devices, password_policies, sign_in_failures
from iam_guard.store.sealing import Sealer
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.console.site import PASSWORD, START, Site
from tests.passwords import set_password

BETA = "222233334444"
NAMES = ("carl", "dora", "hal", "lea", "mia", "rob", "zoe")
MORE = {
    "version": 1,
    "accounts": [
        {
            "id": BETA,
            "name": "beta",
            "alias": "beta",
            "root": {"email": "root@beta.example"},
            "users": [{"name": name} for name in NAMES],
        }
    ],
}
POLICY = {
    "MinimumPasswordLength": 8,
    "MaxPasswordAge": 30,
    "HardExpiry": True,
    "AllowUsersToChangePassword": True,
    **{f"Require{kind}": False for kind in ("Symbols", "Numbers", "UppercaseCharacters", "LowercaseCharacters")},
}
NOW = int(START.timestamp())
FORM_COOKIE = "A" * 43

WRONG = "wrong"
USERS: dict[str, dict[str, str]] = {
    "wrong password": {"account": "acme", "username": "ada", "password": WRONG},
    "account by its id": {"account": BETA, "username": "zoe", "password": WRONG},
    "unknown user": {"account": "acme", "username": "eve", "password": PASSWORD},
    "other case": {"account": "acme", "username": "Ada", "password": PASSWORD},
    "unknown account": {"account": "umbrella", "username": "ada", "password": PASSWORD},
    "unknown account by id": {"account": "9" * 12, "username": "ada", "password": PASSWORD},
    "no login profile": {"account": "beta", "username": "carl", "password": PASSWORD},
    "deleted": {"account": "beta", "username": "dora", "password": PASSWORD},
    "a policy": {"account": "beta", "username": "zoe", "password": WRONG},
    "unknown, a policy": {"account": "beta", "username": "eve", "password": WRONG},
    "second factor": {"account": "beta", "username": "mia", "password": WRONG},
    "expired for good": {"account": "beta", "username": "hal", "password": PASSWORD},
    "locked": {"account": "beta", "username": "lea", "password": PASSWORD},
    "to be changed": {"account": "beta", "username": "rob", "password": WRONG},
    "empty": {"account": "", "username": "", "password": ""},
    "hostile": {"account": "' OR 1=1 --", "username": "a\x00b", "password": "\x00"},
}
ROOTS: dict[str, dict[str, str]] = {
    "wrong password": {"email": "root@acme.example", "password": WRONG},
    "unknown address": {"email": "eve@acme.example", "password": PASSWORD},
    "no password": {"email": "root@beta.example", "password": PASSWORD},
    "empty": {"email": "", "password": ""},
}


class Seen(NamedTuple):
    """What a client sees of a refusal, and what it costs."""

    status: int
    headers: list[tuple[str, str]]
    page: str
    statements: list[str]
    hashes: int


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    apply_seed(made.store, load_seed_text(json.dumps(MORE)))
    with made.store.write_transaction() as records:
        people = {name: _person(records, name) for name in NAMES}
        for name in ("dora", "hal", "lea", "mia", "rob", "zoe"):
            assert set_password(records, PasswordHasher(8, 1), people[name], PASSWORD, NOW) is None
        records.insert(password_policies, account=BETA, policy=POLICY)
        records.update(login_profiles, {"changed": 0}, owner=people["hal"].owner)
        records.update(login_profiles, {"reset_required": True}, owner=people["rob"].owner)
        lea = attempts.guess_subject(people["lea"], "", "password")
        records.insert(sign_in_failures, subject=lea, failures=attempts.MAX_FAILURES, last=0)
        records.delete(identities, id=people["dora"].owner)
        _enable_device(records, made, people["mia"])
    made.guard.refresh()
    yield made
    made.guard.close()


def _person(records: Records, name: str) -> Person:
    found = find_person(records, "aws", account=BETA, name=name)
    assert found is not None
    return found


def _enable_device(records: Records, site: Site, person: Person) -> None:
    serial = f"arn:aws:iam::{BETA}:mfa/{person.owner}"
    values = {"account": BETA, "path": "/", "name": "d", "folded": person.owner, "tags": {}, "created": 0}
    sealed = site.store.sealer.seal(b"A" * 64, b"mfa-device:" + serial.encode())
    owner = {"user_id": person.user_id, "for_root": person.user_id is None, "enabled": 1}
    records.insert(mfa_devices, serial=serial, sealed=sealed, **values, **owner)


@contextmanager
def watched(site: Site) -> Iterator[tuple[list[str], list[int]]]:
    """Collect the statements of the store, and count the hashes."""
    executed: list[str] = []
    hashes = [0]
    derive = passwords._derive

    def counting(*arguments: Any) -> str:
        hashes[0] += 1
        return derive(*arguments)

    def listen(*arguments: Any) -> None:
        executed.append(arguments[2])

    event.listen(site.store.engine, "before_cursor_execute", listen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_derive", counting)
        yield executed, hashes
    event.remove(site.store.engine, "before_cursor_execute", listen)


def refused(site: Site, path: str, fields: dict[str, str]) -> Seen:
    """Send the form with a cookie that stays the same."""
    browser = TestClient(site.app, base_url="http://localhost", cookies={"iam-guard-dev-form": FORM_COOKIE})
    with watched(site) as (executed, hashes):
        answer = browser.post(path, data={"csrf_token": csrf_token(FORM_COOKIE), **fields})
    hidden = ("x-amzn-requestid", "content-length")  # a random one; and what was typed
    headers = sorted((name, value) for name, value in answer.headers.multi_items() if name not in hidden)
    page = re.sub(r'(name="(?:account|username|email)"[^>]*) value="[^"]*"', r"\1", answer.text)
    by = r"accounts\.(?:id|alias) = "  # according to what was typed
    statements = [re.sub(by, "accounts.id = ", statement) for statement in executed]
    return Seen(answer.status_code, headers, page, statements, hashes[0])


@pytest.mark.parametrize(("path", "kinds"), [("/signin/", USERS), ("/signin/?type=root", ROOTS)], ids=["user", "root"])
def test_refusals_are_alike(site: Site, path: str, kinds: dict[str, dict[str, str]]) -> None:
    """The second time too, in the same order and in the reverse one."""
    usual = refused(site, path, kinds["wrong password"])
    assert (usual.status, usual.hashes) == (400, 1)
    assert len(usual.statements) > 5
    assert "iam-guard-dev=" not in str(usual.headers)
    for name in (*kinds, *reversed(kinds)):
        assert refused(site, path, kinds[name]) == usual, name


def test_root_user_with_second_factor_is_alike(site: Site) -> None:
    usual = refused(site, "/signin/?type=root", ROOTS["wrong password"])
    with site.store.write_transaction() as records:
        _enable_device(records, site, Person(BETA, f"arn:aws:iam::{BETA}:root"))
        records.update(mfa_devices, {"account": site.root().account}, for_root=True)
    site.guard.refresh()
    assert refused(site, "/signin/?type=root", ROOTS["wrong password"]) == usual


# --- forgotten passwords -----------------------------------------------------------------------------------------


ADDRESSES = ("root@acme.example", "root@beta.example", "eve@acme.example", "", "root@acme.example")


@pytest.fixture
def forgot(site: Site) -> Iterator[Callable[[str], Seen]]:
    """Return a function that asks for a link; the links are not sent until the test ends."""
    may_send = threading.Event()
    pages = sign_in_pages(site.guard, send_reset=lambda *_: may_send.wait(60) and None)
    site.app = Starlette(routes=[Mount("/signin", pages)])  # type: ignore[assignment]
    yield lambda email: refused(site, "/signin/forgot", {"email": email})
    may_send.set()


def test_request_for_a_link_is_alike_for_every_address(site: Site, forgot: Callable[[str], Seen]) -> None:
    """The answer waits for no statement at all, nor for the message."""
    usual = forgot("eve@acme.example")
    assert usual.status == 200
    for email in ADDRESSES:
        seen = forgot(email)
        assert seen[:3] == usual[:3]
        assert seen.hashes == 0


def test_request_for_a_link_waits_for_no_statement(site: Site, forgot: Callable[[str], Seen]) -> None:
    """They are made in the thread that sends, for which the request doesn't wait."""
    browser = TestClient(site.app, base_url="http://localhost", cookies={"iam-guard-dev-form": FORM_COOKIE})
    fields = {"csrf_token": csrf_token(FORM_COOKIE)}
    with site.store.write_transaction():  # so that no other one begins
        for email in ADDRESSES:
            assert browser.post("/signin/forgot", data={**fields, "email": email}).status_code == 200


def test_request_for_a_link_is_dropped_unseen_if_too_many_wait(site: Site, forgot: Callable[[str], Seen]) -> None:
    usual = forgot("root@acme.example")
    assert all(forgot(f"eve{number}@acme.example")[:3] == usual[:3] for number in range(MAX_OF_ONE + 5))


def test_cookie_of_a_known_browser_is_opened_for_unknown_names_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the cookie of a client's own account would show who exists, by the time that this takes."""
    opened: list[bytes] = []
    unseal = Sealer.open

    def watching(sealer: Sealer, sealed: bytes, context: bytes) -> bytes:
        opened.append(context)
        return unseal(sealer, sealed, context)

    site.sign_in("bob")
    cookie = str(site.browser.cookies["iam-guard-dev-browser"])
    monkeypatch.setattr(Sealer, "open", watching)
    for fields in USERS.values():
        browser = site.new_browser()
        browser.cookies.update({"iam-guard-dev-form": FORM_COOKIE, "iam-guard-dev-browser": cookie})
        assert browser.post("/signin/", data={"csrf_token": csrf_token(FORM_COOKIE), **fields}).status_code == 400
    assert len(opened) == len(USERS)

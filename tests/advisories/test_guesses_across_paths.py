"""Advisory: a secret has one budget of guesses, over all the ways in which a client can try it.

The IAM API's `ChangePassword` did not count at all: a refused call rolls its transaction back. STS counted codes in the
memory of each process, and by a window, so that guesses never ended. A session that was renewed had new guesses.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.testclient import TestClient

from iam_guard import aws_api
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.second_factors.factors import devices_of
from iam_guard.authn.people.second_factors.one_time_codes import _generator
from iam_guard.store.schema import sign_in_failures
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.console.site import ACCOUNT, EVERYTHING, NEW_PASSWORD, PASSWORD, SEED, Site

KEY = ("AKIATESTADA000000001", "ada-secret-0123456789abcdefghijklmnopqrs")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"},
            "Action": "sts:AssumeRole",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        }
    ],
}
ADA = {"name": "ada", "inline": {"all": EVERYTHING}, "access_keys": [{"id": KEY[0], "secret": KEY[1]}]}
MORE = {
    "version": 1,
    "accounts": [{**SEED["accounts"][0], "users": [ADA], "roles": [{"name": "worker", "trust": TRUST}]}],  # type: ignore[index]
}
WRONG = "wrong"
WAIT = timedelta(seconds=attempts.MAX_WAIT)


def signed(service: str, fields: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the body and the headers of a call."""
    body = urlencode(fields)
    request = AWSRequest("POST", "http://localhost/", data=body, headers={"host": "localhost"})
    request.headers["content-type"] = "application/x-www-form-urlencoded"
    SigV4Auth(Credentials(*KEY), service, "us-east-1").add_auth(request)
    return body, dict(request.headers.items())


class Attacked(Site):
    """The site with the API beside it, and `ada`, who has an access key and perhaps an authenticator app."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        apply_seed(self.store, load_seed_text(json.dumps(MORE)))
        self.guard.refresh()
        self.api = TestClient(aws_api(self.guard), base_url="http://localhost")

    def call(self, service: str, version: str, action: str, **parameters: str) -> int:
        body, headers = signed(service, {"Action": action, "Version": version, **parameters})
        answer = self.api.post("/", content=body, headers=headers)
        assert (answer.status_code, "AccessDenied" in answer.text) in ((200, False), (403, True)), answer.text
        return int(answer.status_code)

    @property
    def serial(self) -> str:
        with self.store.read_transaction() as records:
            [row] = devices_of(records, self.person("ada"))
        return str(row["serial"])

    def code_at(self, step: int) -> str:
        """Return the code of a step from now."""
        with self.store.read_transaction() as records:
            [row] = devices_of(records, self.person("ada"))
        return _generator(row, self.store.sealer).generate(int(self.now.timestamp()) + 30 * step).decode()

    # --- a password; each returns whether it was right

    def by_page(self, password: str) -> bool:
        return bool(self.sign_in(password=password, browser=self.new_browser()).status_code == 303)

    def by_api(self, password: str) -> bool:
        parameters = {"OldPassword": password, "NewPassword": NEW_PASSWORD}
        return self.call("iam", "2010-05-08", "ChangePassword", **parameters) == 200

    # --- a code; each returns whether it was right

    def by_code_page(self, code: str) -> bool:
        browser = self.new_browser()
        self.sign_in(browser=browser)
        return bool(self.send("/signin/mfa", browser, mfa_code=code).status_code == 303)

    def by_session_token(self, code: str) -> bool:
        return self.call("sts", "2011-06-15", "GetSessionToken", SerialNumber=self.serial, TokenCode=code) == 200

    def by_role(self, code: str) -> bool:
        named = {"RoleArn": ROLE, "RoleSessionName": "xyz", "SerialNumber": self.serial, "TokenCode": code}
        return self.call("sts", "2011-06-15", "AssumeRole", **named) == 200


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attacked]:
    made = Attacked(tmp_path)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: made.now.replace(tzinfo=None))
    yield made
    made.guard.close()


PASSWORDS: list[Callable[[Attacked, str], bool]] = [Attacked.by_page, Attacked.by_api]
CODES: list[Callable[[Attacked, str], bool]] = [Attacked.by_code_page, Attacked.by_session_token, Attacked.by_role]
WRONG_CODES = ("000000", "111111", "222222")


def wrong_code(site: Attacked) -> str:
    """Return one that is wrong for some minutes."""
    right = {site.code_at(step) for step in range(-3, 4)}
    return next(code for code in WRONG_CODES if code not in right)


def test_wrong_password_is_counted_on_every_path(site: Attacked) -> None:
    """Five on one close the others, too."""
    for first in PASSWORDS:
        for _ in range(attempts.FREE):
            assert not first(site, WRONG)
        assert not any(path(site, PASSWORD) for path in PASSWORDS)
        site.now += timedelta(days=1)
        assert site.by_page(PASSWORD)


def test_password_has_100_guesses_over_all_paths(site: Attacked) -> None:
    paths = cycle(PASSWORDS)
    for _ in range(attempts.MAX_FAILURES):
        assert not next(paths)(site, WRONG)
        site.now += WAIT
    site.now += timedelta(days=30)
    assert not any(path(site, PASSWORD) for path in PASSWORDS)
    with site.store.read_transaction() as records:
        [row] = records.all(sign_in_failures)
    assert row["failures"] == attempts.MAX_FAILURES


def test_right_password_by_the_api_ends_the_count(site: Attacked) -> None:
    for _ in range(attempts.FREE - 1):
        assert not site.by_api(WRONG)
    assert site.by_api(PASSWORD)
    with site.store.read_transaction() as records:
        assert records.all(sign_in_failures) == []


def test_guesses_by_the_api_at_once_are_counted(site: Attacked) -> None:
    """Only as many are compared as may be."""
    compared: list[str] = []
    matches = PasswordHasher.matches

    def counting(hasher: PasswordHasher, password: str, digest: str | None) -> bool:
        compared.append(password)
        return matches(hasher, password, digest)

    async def guess_at_once() -> set[int]:
        transport = httpx.ASGITransport(site.api.app)
        fields = {
            "Action": "ChangePassword",
            "Version": "2010-05-08",
            "OldPassword": WRONG,
            "NewPassword": NEW_PASSWORD,
        }
        body, headers = signed("iam", fields)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            guesses = [client.post("/", content=body, headers=headers) for _ in range(24)]
            return {answer.status_code for answer in await asyncio.gather(*guesses)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PasswordHasher, "matches", counting)
        assert asyncio.run(guess_at_once()) == {403}
    assert len(compared) == attempts.FREE


def test_guesses_in_sessions_have_one_budget(site: Attacked) -> None:
    """A client with a session may get another one; a new password that is refused is no guess."""
    site.sign_in()
    for _ in range(attempts.FREE + 1):
        answer = site.send("/signin/password", password=PASSWORD, new_password="short")
        assert "minimum length" in answer.text
    other = site.new_browser()
    site.sign_in(browser=other)
    for _ in range(attempts.FREE):
        assert site.send("/signin/password", password=WRONG, new_password=NEW_PASSWORD).status_code == 400
    right = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    assert site.send("/signin/password", other, **right).status_code == 400
    site.now += timedelta(seconds=31)
    assert site.send("/signin/password", other, **right).status_code == 303


@pytest.fixture
def enrolled(site: Attacked) -> Attacked:
    """Let ada have an authenticator app."""
    site.sign_in()
    site.enrol()
    site.now += timedelta(minutes=5)
    return site


def test_wrong_code_is_counted_on_every_path(enrolled: Attacked) -> None:
    for first in CODES:
        for _ in range(attempts.FREE):
            assert not first(enrolled, wrong_code(enrolled))
        for path in CODES:
            assert not path(enrolled, enrolled.code("ada"))
        enrolled.now += timedelta(hours=1)
        assert first(enrolled, enrolled.code("ada"))
        enrolled.now += timedelta(minutes=5)


def test_code_has_100_guesses_over_all_paths(enrolled: Attacked) -> None:
    paths = cycle(CODES)
    for _ in range(attempts.MAX_FAILURES):
        assert not next(paths)(enrolled, wrong_code(enrolled))
        enrolled.now += WAIT
    enrolled.now += timedelta(days=30)
    assert not any(path(enrolled, enrolled.code("ada")) for path in CODES)


def test_right_code_of_a_denied_call_is_no_guess(enrolled: Attacked) -> None:
    """The role's trust policy refuses, not the device."""
    named = {"RoleArn": ROLE + "s", "RoleSessionName": "xyz", "SerialNumber": enrolled.serial}
    for _ in range(attempts.FREE + 1):
        assert enrolled.call("sts", "2011-06-15", "AssumeRole", **named, TokenCode=enrolled.code("ada")) == 403
    assert enrolled.by_session_token(enrolled.code("ada"))

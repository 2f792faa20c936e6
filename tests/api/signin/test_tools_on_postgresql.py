"""Two servers on one PostgreSQL database: what one does to a tool's session holds in the other at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.api.signin.conftest import ACME, ADMIN_KEY, NEW_PASSWORD, Office
from tests.api.signin.test_tokens import CHANGED, CODE_EXPIRED, TOKEN_EXPIRED, error_of
from tests.api.signin.tool import Tool
from tests.api.test_on_postgresql import on_postgresql
from tests.store.databases import SEALING_KEY


@contextmanager
def served(url: str) -> Iterator[str]:
    """Serve the API in a process of its own, and yield its address."""
    command = [sys.executable, "-m", "iam_guard", "serve", "--store", url, "--port", "0", "--console"]
    environment = {**os.environ, "IAM_GUARD_SEALING_KEYS": SEALING_KEY}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                break
        else:
            raise AssertionError("the server did not start")
        try:
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The people, in this process; the two servers are others."""
    with on_postgresql() as url, ExitStack() as stack:
        made = Office(Path(tmp_path_factory.mktemp("office")), url, sealing_keys=(SEALING_KEY,))
        stack.callback(made.guard.close)
        made.urls = [stack.enter_context(served(url)) for _ in range(2)]  # type: ignore[attr-defined]
        made.url = made.urls[0]  # type: ignore[attr-defined]
        yield made


def at(office: Office, number: int, tool: Tool) -> Tool:
    """Return a tool that talks to one of the two servers."""
    tool.url = office.urls[number]  # type: ignore[attr-defined]
    return tool


def test_session_goes_on_at_the_other_server(office: Office) -> None:
    tool = office.tool()
    got = at(office, 0, tool).redeem(office.code(tool)).json()
    again = at(office, 1, tool).refresh(got["refreshToken"])
    assert again.status_code == 200
    assert at(office, 0, tool).refresh(again.json()["refreshToken"]).status_code == 200


def test_revocation_at_one_server_holds_at_the_other_at_once(office: Office) -> None:
    tool = office.tool()
    got = at(office, 0, tool).redeem(office.code(tool)).json()
    signin = office.client("signin", ADMIN_KEY)
    arn = office.client("signin", got).list_sessions()["items"]
    everything = f"arn:aws:iam::{ACME}:*"
    for session in arn:
        signin.batch_revoke_sessions(principalArn=everything, sessionArns=[session["sessionArn"]])
    assert error_of(at(office, 1, tool).refresh(got["refreshToken"])) == TOKEN_EXPIRED


def test_changed_password_holds_at_both_servers_within_a_second(office: Office) -> None:
    tools = [office.tool(), office.tool()]
    got = [at(office, 0, tool).redeem(office.code(tool, office.browser("cleo"))).json() for tool in tools]
    office.set_password(office.person("cleo"), NEW_PASSWORD)
    started = time.monotonic()
    for number, tool in enumerate(tools):
        assert error_of(at(office, number, tool).refresh(got[number]["refreshToken"])) == CHANGED
    assert time.monotonic() - started < 10  # of two requests; none waits for a poll


def test_code_is_redeemed_once_by_two_servers_at_the_same_time(office: Office) -> None:
    tool = office.tool()
    code = office.code(tool)
    tools = [Tool(url, key=tool.key, verifier=tool.verifier) for url in office.urls]  # type: ignore[attr-defined]
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda one: one.redeem(code), tools))
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    refused = next(answer for answer in answers if answer.status_code == 401)
    assert error_of(refused) == CODE_EXPIRED
    [good] = [answer.json() for answer in answers if answer.status_code == 200]
    assert error_of(tools[0].refresh(good["refreshToken"])) == TOKEN_EXPIRED


def test_concurrent_refreshes_get_the_same_successor(office: Office) -> None:
    """Several processes of one person share the cache of a login."""
    tool = office.tool()
    got = at(office, 0, tool).redeem(office.code(tool)).json()
    tools = [Tool(url, key=tool.key) for url in office.urls * 3]  # type: ignore[attr-defined]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda one: one.refresh(got["refreshToken"]), tools))
    assert {answer.status_code for answer in answers} == {200}
    [successor] = {answer.json()["refreshToken"] for answer in answers}
    assert tools[1].refresh(successor).status_code == 200


def test_proof_counts_once_at_two_servers(office: Office) -> None:
    tool = office.tool()
    got = at(office, 0, tool).redeem(office.code(tool)).json()
    proof = tool.proof()
    assert tool.refresh(got["refreshToken"], proof).status_code == 200
    assert tool.refresh(got["refreshToken"], proof).status_code == 400

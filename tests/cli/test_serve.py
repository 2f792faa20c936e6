"""`iam-guard serve` as a process: output, initial state, exit codes, and visibility of its changes (T-9)."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from iam_guard import Principal, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.authn.api_key import format_api_key
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.schema import accounts
from iam_guard.store.sealing import Sealer, new_key
from tests.smtp_server import smtp_server

KEY = ("AKIAROOTKEY000000001", "root-secret")
ACCOUNT = "111122223333"
Serve = Callable[..., "Served"]

SEED = """
version: 1
accounts:
  - id: "111122223333"
    name: acme
    users:
      - name: ada
        attached: [AdministratorAccess]
        access_keys: [{id: AKIAADA, secret: ada-secret}]
        api_keys: [{id: ADAKEY, secret: adasecret0123456789abcdefghijklmnopqrstu}]
"""


class Served:
    """A server process."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "iam_guard", "serve", "--port", "0", *arguments]
        variables = os.environ | (environment or {})
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.url = self.line.split()[-1] if self.line else ""

    def client(self, key: tuple[str, str] = KEY, service: str = "iam") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
            region_name="us-east-1",
        )

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Stop it, and return its exit code, the rest of its output, and its errors."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=300)
        return self.process.returncode, output, errors


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that are stopped after the test."""
    started: list[Served] = []

    def start(*arguments: str, **options: Any) -> Served:
        started.append(Served(*arguments, **options))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()


def root(where: str = "sqlite://") -> tuple[str, ...]:
    return ("--store", where, "--root-access-key", ":".join(KEY), "--account", ACCOUNT)


def test_serve_prints_one_line_with_address(serve: Serve) -> None:
    """When it is ready; a signal ends it with exit code 0."""
    served = serve(*root())
    assert served.line == f"iam-guard serves at {served.url}\n"
    assert served.client().get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert served.client(service="sts").get_caller_identity()["Account"] == ACCOUNT
    assert served.end() == (0, "", "")


def test_console_serves_the_pages_beside_the_api(serve: Serve) -> None:
    """At the address that is printed; the API keeps every other path."""
    served = serve(*root(), "--console")
    port = served.url.rpartition(":")[2]
    with httpx2.Client(base_url=f"http://localhost:{port}") as browser:
        page = browser.get("/signin")
        assert page.status_code == 200
        assert "Account id or alias" in page.text
        assert browser.get("/signin/style.css").headers["content-type"].startswith("text/css")
        assert browser.get("/signing").status_code != 200
    assert served.client().get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    code, rest, errors = served.end()
    assert (code, errors) == (0, "")
    assert rest in ("", f"sign in at http://localhost:{port}/signin\n")  # the second line may be read with the first


def test_authzen_is_served_beside_the_api(serve: Serve, tmp_path: Path) -> None:
    """With the address of the server as the identifier, and every other path left to the API."""
    seed = tmp_path / "seed.yaml"
    seed.write_text(SEED, encoding="utf-8")
    served = serve("--store", "sqlite://", "--seed", str(seed), "--authzen", "--service", "docs")
    subject = {"type": "user", "id": f"arn:aws:iam::{ACCOUNT}:user/ada"}
    resource = {"type": "document", "id": f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7"}
    body = {"subject": subject, "action": {"name": "docs:GetDocument"}, "resource": resource}
    with httpx2.Client(base_url=served.url) as client:
        metadata = client.get("/.well-known/authzen-configuration").json()
        assert metadata["policy_decision_point"] == served.url
        headers = {"authorization": "Bearer " + format_api_key("ADAKEY", "adasecret0123456789abcdefghijklmnopqrstu")}
        answer = client.post(metadata["access_evaluation_endpoint"], headers=headers, json=body)
        assert answer.json() == {"decision": True}
    assert served.client(("AKIAADA", "ada-secret")).get_user()["User"]["UserName"] == "ada"


def test_console_sends_links_by_the_server_of_the_settings(serve: Serve) -> None:
    """Refused at the start if links would lead nowhere."""
    with smtp_server() as server:
        variables = {"IAM_GUARD_SMTP_URL": f"smtp://localhost:{server.port}", "IAM_GUARD_MAIL_FROM": "app@acme.example"}
        options = (*root(), "--root-email", "root@acme.example", "--console")
        refused = serve(*options, environment=variables)
        assert "(at site_url)" in refused.process.communicate(timeout=300)[1]
        assert refused.process.returncode == 2
        served = serve(*options, environment={**variables, "IAM_GUARD_SITE_URL": "https://app.example"})
        served.client().create_login_profile(Password="a long password of the root user")  # else there is no link
        with httpx2.Client(base_url=f"http://localhost:{served.url.rpartition(':')[2]}") as browser:
            token = browser.get("/signin/forgot").text.partition('name="csrf_token" value="')[2].partition('"')[0]
            browser.post("/signin/forgot", data={"csrf_token": token, "email": "root@acme.example"})
        contents = [server.mails.get(timeout=60).message.get_content() for _ in range(2)]
    content = next(content for content in contents if "The password was changed" not in content)
    assert "\nhttps://app.example/signin/reset?token=" in content


def test_serve_accepts_assertions_for_named_recipients(serve: Serve) -> None:
    """None by default; an option replaces those of the environment; an invalid one is refused at the start."""
    call = {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/reader",
        "PrincipalArn": f"arn:aws:iam::{ACCOUNT}:saml-provider/company",
        "SAMLAssertion": "none",
    }
    without = serve(*root())
    with pytest.raises(ClientError, match=r"AccessDenied.*saml_recipients names no recipient"):
        without.client(service="sts").assume_role_with_saml(**call)
    options = (*root(), "--saml-recipient", "https://a.example/saml", "--saml-recipient", "https://b.example/saml")
    served = serve(*options, environment={"IAM_GUARD_SAML_RECIPIENTS": "no URL"})
    with pytest.raises(ClientError, match=r"InvalidIdentityToken.*Specified provider doesn't exist"):
        served.client(service="sts").assume_role_with_saml(**call)
    refused = serve(*root(), "--saml-recipient", "signin.example.com/saml")
    assert "(at saml_recipients)" in refused.process.communicate(timeout=300)[1]
    assert refused.process.returncode == 2


def test_interrupt_ends_server(serve: Serve) -> None:
    served = serve(*root())
    assert served.end(signal.SIGINT) == (0, "", "")


def test_unfinished_body_does_not_keep_the_server(serve: Serve) -> None:
    """It is cut off after some seconds, however long a body may take."""
    served = serve(*root(), environment={"IAM_GUARD_BODY_TIMEOUT": "3600"})
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100")  # it waits for the body
        client.sendall(b"Action=")
        status, _, errors = served.end()
    assert status == 0
    assert "Traceback" not in errors


def test_log_has_time_and_level(serve: Serve) -> None:
    """Here for a session token that another server has sealed, which is an outage and no invalid credential."""
    served = serve(*root())
    token = Sealer([new_key()]).seal_text(b"of another server", b"session-token:1", "igst_")
    session = boto3.Session(*KEY, aws_session_token=token, region_name="us-east-1")
    client = session.client("iam", endpoint_url=served.url, config=Config(retries={"max_attempts": 0}))
    with pytest.raises(ClientError) as refused:
        client.get_user()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    errors = served.end()[2]
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING iam_guard.store: a text was sealed with", errors, re.M
    )
    assert token not in errors


def test_first_account_is_created_once(serve: Serve, tmp_path: Path) -> None:
    """A store with accounts is not changed, whatever key is passed, and a warning says so; users outlive the server."""
    url = f"sqlite:///{tmp_path}/iam.db"
    first = serve(*root(url))
    first.client().create_user(UserName="zoe")
    first.end()
    assert serve(*root(url)).end() == (0, "", "")
    second = serve("--store", url, "--root-access-key", "AKIAOTHER:other", "--account", "999999999999")
    assert [user["UserName"] for user in second.client().list_users()["Users"]] == ["zoe"]
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        second.client(("AKIAOTHER", "other")).get_user()
    ignored = "iam-guard: --root-access-key has no effect: the store has accounts; use one of its keys\n"
    assert second.end() == (0, "", ignored)


def test_first_account_gets_the_address_of_its_root_user(serve: Serve, tmp_path: Path) -> None:
    """Only the first; without the account there is none to set it for."""
    url = f"sqlite:///{tmp_path}/iam.db"
    for address in ("Root@Acme.Example", "other@acme.example"):
        serve(*root(url), "--root-email", address).end()
    store = open_database(url, Settings())
    with store.read_transaction() as records:
        assert [row["email"] for row in records.all(accounts)] == ["root@acme.example"]
    store.close()
    for options, message in (
        (("--store", url), "expected --root-access-key, too, with --root-email"),
        (root(url), "expected an e-mail address, got `acme.example`"),
    ):
        served = serve(*options, "--root-email", "acme.example")
        _, errors = served.process.communicate(timeout=300)
        assert (served.process.returncode, message in errors) == (2, True), errors


def test_missing_store_is_served_only_with_an_account(serve: Serve, tmp_path: Path) -> None:
    """A misspelt file would be an empty store, which rejects every credential."""
    served = serve("--store", f"sqlite:///{tmp_path}/typo.db")
    _, errors = served.process.communicate(timeout=300)
    assert served.process.returncode == 2
    assert f"expected a store in `{tmp_path}/typo.db`, got none: run `iam-guard init --store" in errors
    assert list(tmp_path.iterdir()) == []


def test_root_key_comes_from_environment(serve: Serve) -> None:
    """So that other users of the machine can't read it in the process list."""
    served = serve("--store", "sqlite://", environment={"IAM_GUARD_ROOT_ACCESS_KEY": ":".join(KEY)})
    assert served.client().get_user()["User"]["Arn"] == "arn:aws:iam::123456789012:root"


def test_seed_is_applied_before_serving(serve: Serve, tmp_path: Path) -> None:
    """An API key of the seed authenticates."""
    (tmp_path / "seed.yaml").write_text(SEED)
    served = serve("--store", "sqlite://", "--seed", str(tmp_path / "seed.yaml"))
    assert served.client(("AKIAADA", "ada-secret")).get_user()["User"]["UserName"] == "ada"
    bearer = {"authorization": "Bearer " + format_api_key("ADAKEY", "adasecret0123456789abcdefghijklmnopqrstu")}
    form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    assert f"{ACCOUNT}:user/ada" in httpx2.post(served.url, data=form, headers=bearer).text


def test_initial_changes_are_audited(serve: Serve, tmp_path: Path) -> None:
    """The seed and the first account, without any secret."""
    (tmp_path / "seed.yaml").write_text(SEED)
    audit = {"IAM_GUARD_AUDIT": str(tmp_path / "audit.jsonl")}
    serve(*root(), environment=audit).client().get_user()
    serve("--store", "sqlite://", "--seed", str(tmp_path / "seed.yaml"), environment=audit)
    events = [(each["eventName"], each["iamGuard"]["kind"]) for each in read_records(tmp_path / "audit.jsonl")]
    assert events == [("CreateAccount", "policy_change"), ("GetUser", "decision"), ("ApplySeed", "policy_change")]
    text = (tmp_path / "audit.jsonl").read_text()
    assert "root-secret" not in text
    assert "ada-secret" not in text


def test_forwarded_address_needs_trusted_proxy(serve: Serve, tmp_path: Path) -> None:
    """A client on the same machine can't choose its address either: the setting lists trusted proxies."""
    statement = '{Effect: Deny, Action: "*", Resource: "*", Condition: {NotIpAddress: {"aws:SourceIp": 10.0.0.0/8}}}'
    inside = f"inline: {{Inside: {{Version: '2012-10-17', Statement: {statement}}}}}"
    (tmp_path / "seed.yaml").write_text(SEED.replace("access_keys:", f"{inside}\n        access_keys:"))
    seed = ("--store", "sqlite://", "--seed", str(tmp_path / "seed.yaml"))
    headers = {
        "authorization": "Bearer " + format_api_key("ADAKEY", "adasecret0123456789abcdefghijklmnopqrstu"),
        "x-forwarded-for": "10.1.2.3",
    }
    form = {"Action": "GetUser", "Version": "2010-05-08"}
    assert httpx2.post(serve(*seed).url, data=form, headers=headers).status_code == 403
    behind = serve(*seed, environment={"IAM_GUARD_TRUSTED_PROXIES": "127.0.0.0/8"})
    assert httpx2.post(behind.url, data=form, headers=headers).status_code == 200


def test_followed_seed_file_is_read_only(serve: Serve, tmp_path: Path) -> None:
    """A store that is a seed file is served; changes are refused with the reason."""
    (tmp_path / "iam.yaml").write_text(SEED)
    ada = serve("--store", str(tmp_path / "iam.yaml")).client(("AKIAADA", "ada-secret"))
    assert ada.get_user()["User"]["UserName"] == "ada"
    with pytest.raises(ClientError, match=r"NotSupported.*follows the file `iam\.yaml`"):
        ada.create_user(UserName="zoe")


def test_reset_restores_initial_state(serve: Serve) -> None:
    """`POST /-/reset` also clears caches, in the time of a few requests."""
    served = serve(*root(), "--allow-reset")
    iam = served.client()
    for name in ("a", "b", "c"):
        iam.create_user(UserName=name)
    requests, reset = [], []
    for _ in range(5):
        began = time.perf_counter()
        assert httpx2.get(f"{served.url}/-/reset").status_code == 405
        requests.append(time.perf_counter() - began)
        assert httpx2.post(f"{served.url}/-/reset").status_code == 204
        reset.append(time.perf_counter() - began)
    assert min(reset) < 50 * min(requests), "about 15 ms, beside 1 ms"
    assert iam.list_users()["Users"] == []
    iam.create_user(UserName="a")


def test_reset_needs_its_option(serve: Serve) -> None:
    served = serve(*root())
    served.client().create_user(UserName="zoe")
    assert httpx2.post(f"{served.url}/-/reset").status_code in (400, 403)
    assert len(served.client().list_users()["Users"]) == 1


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("--store", "sqlite://", "--root-access-key", "secretwithoutcolon"), "expected ID:SECRET"),
    (("--store", "sqlite://", "--root-access-key", "AKIA:"), "expected ID:SECRET"),
    (("--store", "sqlite://", "--root-access-key", "AKIA NO:x"), "expected ID:SECRET"),
    (("--store", "sqlite://", "--root-access-key", "ASIATEMPORARY0000001:x"), "does not begin with ASIA"),
    (("--store", "sqlite://", "--root-access-key", "AKIA:x", "--account", "12"), "account id of 12 digits"),
    (("--store", "mysql://x"), "expected a store of the form"),
    (("--store", "sqlite:///{tmp}/iam.db", "--allow-reset"), "expected an in-memory store"),
    (("--store", "sqlite://", "--host", "203.0.113.1"), "cannot listen on 203.0.113.1"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG)
def test_invalid_options_are_reported(serve: Serve, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2 and a message without any secret."""
    served = serve(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    output, errors = served.process.communicate(timeout=300)
    assert (served.process.returncode, output) == (2, "")
    assert says in errors
    assert "secretwithoutcolon" not in errors
    assert "Traceback" not in errors


def test_other_process_sees_change_within_a_second(serve: Serve, tmp_path: Path) -> None:
    """The server changes, a guard in this process decides with it at the default settings; after `refresh` at once."""
    url = f"sqlite:///{tmp_path}/iam.db"
    iam = serve(*root(url)).client()
    iam.create_user(UserName="zoe")
    zoe = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/zoe")
    guard = open_guard(url)
    question = ("iam:GetUser", zoe.arn)
    assert not guard.decide(zoe, *question).allowed
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}'
    iam.put_user_policy(UserName="zoe", PolicyName="All", PolicyDocument=document)
    began = time.monotonic()
    last = began
    while not guard.decide(zoe, *question).allowed:
        assert last - began < 1.0  # a request a second after the change sees it, however long it takes
        time.sleep(0.01)
        last = time.monotonic()
    iam.delete_user_policy(UserName="zoe", PolicyName="All")
    guard.refresh()
    assert not guard.decide(zoe, *question).allowed
    guard.close()


def test_server_sees_change_of_other_process(serve: Serve, tmp_path: Path) -> None:
    """The server decides within a second with a policy that this process writes."""
    url = f"sqlite:///{tmp_path}/iam.db"
    served = serve(*root(url))
    root_user = served.client()
    root_user.create_user(UserName="zoe")
    made = root_user.create_access_key(UserName="zoe")["AccessKey"]
    zoe = served.client((made["AccessKeyId"], made["SecretAccessKey"]))
    with pytest.raises(ClientError, match="AccessDenied"):
        zoe.list_users()
    (tmp_path / "seed.yaml").write_text(
        f'{{version: 1, accounts: [{{id: "{ACCOUNT}", users: [{{name: zoe, attached: [AdministratorAccess], '
        f'access_keys: [{{id: {made["AccessKeyId"]}, secret: "{made["SecretAccessKey"]}"}}]}}]}}]}}'
    )
    applied = [sys.executable, "-m", "iam_guard", "apply", str(tmp_path / "seed.yaml"), "--store", url]
    subprocess.run(applied, check=True, capture_output=True)
    began = time.monotonic()
    while True:
        started = time.monotonic()
        try:
            zoe.list_users()
            break
        except ClientError:
            assert started - began < 1.0
            time.sleep(0.01)


def test_unsigned_bodies_do_not_fill_memory(serve: Serve) -> None:
    """Sixteen connections of 4 MB each, unsigned and with an unknown key; each gets its own error."""
    served = serve(*root())
    served.client().get_user()
    before = _resident(served)
    answers = [_pushed(served, number % 2 == 0) for number in range(16)]
    assert _resident(served) - before < 8
    for number, answer in enumerate(answers):
        expected = b"MissingAuthenticationToken" if number % 2 else b"InvalidClientTokenId"
        assert not answer or expected in answer, answer  # a system may drop an answer to who is still sending
    assert any(answers)


def _resident(served: Served) -> float:
    """Return the resident memory of a server in megabytes."""
    pages = Path(f"/proc/{served.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _pushed(served: Served, signs: bool) -> bytes:
    """Send up to 4 MB of a body of 8 MB, as far as the server reads it, and return its answer, if any."""
    address = urlsplit(served.url)
    request = AWSRequest("POST", served.url + "/", data=b"", headers={"Host": address.netloc})
    if signs:
        SigV4Auth(Credentials("AKIAUNKNOWN000000001", "x"), "iam", "us-east-1").add_auth(request)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(["POST / HTTP/1.1", *lines, "Content-Length: 8000000", "", ""]).encode()
    with socket.create_connection((address.hostname, address.port), timeout=2) as connection:
        try:
            connection.sendall(head)
            for _ in range(64):
                connection.sendall(b"x" * 65_536)
        except OSError:
            pass
        try:
            return connection.recv(65_536)
        except OSError:
            return b""

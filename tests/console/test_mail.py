"""E-mails to root users, by a real SMTP server: links, notifications, TLS, and what an attacker can't put into them."""

from __future__ import annotations

import smtplib
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from iam_guard.authn.people.notifications import Notification
from iam_guard.authn.people.work_queue import MAX_OF_ONE
from iam_guard.console import mail
from iam_guard.console.mail import Mailer
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings, load_settings
from iam_guard.store.schema import accounts
from tests.audit.pipelines import eventually
from tests.authn.authorities import SERVER, authority, make
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, START, Site
from tests.smtp_server import SmtpServer, smtp_server
from tests.tables import table

SITE, ROOT = "https://app.example.com", "root@acme.example"
FROM = "no-reply@acme.example"
SECRET = "p@ss:word/%41"
QUOTED = "p%40ss%3Aword%2F%2541"
NOTIFICATION = Notification(
    "new_browser", f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, ROOT, START, "192.0.2.7", "see http://evil.example"
)


def mailer(url: str, **settings: Any) -> Mailer:
    return Mailer(Settings(**{"smtp_url": url, "mail_from": FROM, "site_url": SITE, **settings}))


@cache
def authorities() -> tuple[str, dict[str, str]]:
    """Return the certificate of an authority, and certificates with keys that it has issued, by host."""
    root = authority("CN=Mail")
    hosts = ("localhost", "mail.example")
    parties = {host: make(f"CN={host}", root, names=[x509.DNSName(host)], usages=[SERVER]) for host in hosts}
    return root.pem, {host: party.pem + party.key_pem for host, party in parties.items()}


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's certificate for `localhost`, whose authority is trusted."""
    trusted, certificates = authorities()
    (tmp_path / "authority.pem").write_text(trusted)
    (tmp_path / "server.pem").write_text(certificates["localhost"])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return tmp_path / "server.pem"


# --- messages ----------------------------------------------------------------------------------------------------


def test_link_is_sent_in_both_languages() -> None:
    with smtp_server() as server:
        mailer(f"smtp://127.0.0.1:{server.port}").send_reset(ROOT, "/signin/reset?token=abc_-123")
        mail = server.mails.get(timeout=60)
    message = mail.message
    assert (mail.sender, mail.recipients, message["From"], message["To"]) == (FROM, [ROOT], FROM, ROOT)
    assert message["Subject"] == "Choose a new password / Neues Passwort wählen"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    lines = message.get_content().splitlines()
    assert lines.count(f"{SITE}/signin/reset?token=abc_-123") == 2
    assert any("within an hour" in line for line in lines)
    assert any("innerhalb einer Stunde" in line for line in lines)


def test_notification_is_sent_to_root_users_only() -> None:
    """Users have no address."""
    with smtp_server() as server:
        sender = mailer(f"smtp://localhost:{server.port}", sign_in_url="/auth/signin")
        sender.notify(replace(NOTIFICATION, email=None))
        sender.notify(NOTIFICATION)
        content = server.mails.get(timeout=60).message.get_content()
        assert server.mails.empty()
    for text in (ACCOUNT, "2026-03-01 12:00 UTC", "192.0.2.7", f"{SITE}/auth/signin", "in a new browser"):
        assert text in content
    assert "evil.example" not in content


KINDS = ("factor_added", "factor_removed", "recovery_code_used", "password_changed", "new_browser", "guesses_exhausted")


@table("kind", KINDS)
def test_every_kind_of_notification_has_a_text(kind: Any) -> None:
    with smtp_server() as server:
        mailer(f"smtp://localhost:{server.port}").notify(replace(NOTIFICATION, kind=kind, address=""))
        message = server.mails.get(timeout=60).message
    assert " / " in message["Subject"]
    assert "{" not in message.get_content()


@table(
    "address",
    [
        "root@acme.example\r\nBcc: eve@evil.example",
        "root@acme.example\nSubject: x",
        "root@acme.example, eve@evil.example",
        "root@acme.example;eve@evil.example",
        "<root@acme.example>",
        "Root <eve@evil.example>",
        '"a b"@acme.example',
        "root@acme.example> SIZE=1",
        "root@acme.example\x00",
        "root@acme.example ",
        "root@[192.0.2.1]",
        "r\N{KELVIN SIGN}@acme.example",
        "root@\N{CYRILLIC SMALL LETTER A}cme.example",
        "@acme.example",
        "root",
        "",
        "a" * 65 + "@acme.example",
        "a@" + "b." * 130 + "example",
    ],
)
def test_address_cannot_add_headers_or_recipients(address: str) -> None:
    """Stored addresses are checked less strictly than those that mails are sent to."""
    with smtp_server() as server:
        with pytest.raises(InvalidInput):
            mailer(f"smtp://localhost:{server.port}").send_reset(address, "/reset")
        assert server.commands == []
    with pytest.raises(ConfigurationError):
        mailer("smtp://localhost:25", mail_from=address)


# --- the connection ----------------------------------------------------------------------------------------------


@table("scheme", ["smtps", "smtp"])
def test_password_is_sent_by_tls_only(certificate: Path, scheme: str) -> None:
    """From the beginning, or after STARTTLS, at loopback too."""
    options = {"is_tls": scheme == "smtps", "password": f"user:{SECRET}"}
    with smtp_server(certificate, **options) as server:
        mailer(f"{scheme}://user:{QUOTED}@localhost:{server.port}").send_reset(ROOT, "/reset")
        mail = server.mails.get(timeout=60)
    assert (mail.is_encrypted, mail.user, mail.recipients) == (True, "user", [ROOT])
    before = server.commands.index("STARTTLS") if scheme == "smtp" else 0
    assert not any(command.startswith(("AUTH", "MAIL")) for command in server.commands[:before])


def test_server_without_starttls_gets_no_password(certificate: Path) -> None:
    """As if an attacker on the way had removed the offer."""
    with smtp_server(certificate, offers_tls=False, password=f"user:{SECRET}") as server:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            mailer(f"smtp://user:{QUOTED}@localhost:{server.port}").send_reset(ROOT, "/reset")
        assert not any(command.startswith(("AUTH", "MAIL")) for command in server.commands)


def test_tls_is_required_beyond_loopback() -> None:
    """`0.0.0.0` leads here, but is not an address of loopback."""
    with smtp_server(offers_tls=False) as server:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            mailer(f"smtp://0.0.0.0:{server.port}").send_reset(ROOT, "/reset")
        assert not any(command.startswith("MAIL") for command in server.commands)


@table(
    ("host", "is_trusted", "scheme"),
    [
        (host, trusted, scheme)
        for host, trusted in (("mail.example", True), ("localhost", False))
        for scheme in ("smtps", "smtp")
    ],
)
def test_certificate_is_verified(tmp_path: Path, host: str, is_trusted: bool, scheme: str) -> None:
    """Its host, and its authority."""
    trusted, certificates = authorities()
    (tmp_path / "authority.pem").write_text(trusted)
    (tmp_path / "server.pem").write_text(certificates[host])
    with (
        pytest.MonkeyPatch.context() as patch,
        smtp_server(tmp_path / "server.pem", is_tls=scheme == "smtps") as server,
    ):
        if is_trusted:
            patch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        with pytest.raises(ssl.SSLCertVerificationError):
            mailer(f"{scheme}://user:{QUOTED}@localhost:{server.port}").send_reset(ROOT, "/reset")
        assert not any(command.startswith(("AUTH", "MAIL")) for command in server.commands)


def test_refused_recipient_and_password_raise(certificate: Path) -> None:
    with smtp_server(refused="550 unknown") as server, pytest.raises(smtplib.SMTPRecipientsRefused):
        mailer(f"smtp://localhost:{server.port}").send_reset(ROOT, "/reset")
    with (
        smtp_server(certificate, password="user:other") as server,
        pytest.raises(smtplib.SMTPAuthenticationError) as caught,
    ):
        mailer(f"smtp://user:{QUOTED}@localhost:{server.port}").send_reset(ROOT, "/reset")
    assert SECRET not in str(caught.value)


def test_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT", 0.05)
    with smtp_server() as server:
        server.gate.clear()
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            mailer(f"smtp://localhost:{server.port}").send_reset(ROOT, "/reset")


# --- settings ----------------------------------------------------------------------------------------------------


@table(
    "url",
    [
        f"smtps://user:{QUOTED}@",
        f"smtps://user:{QUOTED}@host/path",
        f"smtps://user:{QUOTED}@host?tls=no",
        f"smtps://user:{QUOTED}@host#fragment",
        f"smtps://user:{QUOTED}@host:99999",
        f"smtps://user:{QUOTED}@host:x",
        f"smtps://user:{QUOTED}@ho st",
        f"smtps://:{QUOTED}@host",
        f"https://user:{QUOTED}@host",
        f"user:{QUOTED}@host",
        f"smtps://user:{QUOTED}@[::1",
        f"smtps://user%C3%BC:{QUOTED}@host",
        "smtps://user@host",
        "host",
    ],
)
def test_invalid_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a URL such as smtps") as caught:
        mailer(url)
    error: BaseException | None = caught.value
    assert error is not None
    assert SECRET not in str(error)
    assert QUOTED not in str(error)
    assert "smtp_url" in str(error)


@table(("url", "port"), [("smtps://host", 465), ("smtp://host", 587), ("smtp://[::1]:25/", 25)])
def test_port_of_the_scheme_is_the_default(url: str, port: int) -> None:
    assert mailer(url)._server.port == port


def test_password_is_not_shown(tmp_path: Path) -> None:
    settings = load_settings({}, {"IAM_GUARD_SMTP_URL": f"smtps://user:{QUOTED}@host"})
    made = mailer(f"smtps://user:{QUOTED}@host")
    for shown in (repr(settings), repr(made), repr(made._server)):
        assert SECRET not in shown
        assert QUOTED not in shown


@table("missing", ["site_url", "mail_from"])
def test_incomplete_settings_are_refused_at_the_start(tmp_path: Path, missing: str) -> None:
    """When the guard is opened, not when the first link is sent."""
    given = {"smtp_url": "smtps://host", "mail_from": FROM, "site_url": SITE, missing: ""}
    site = Site(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        guard_with_store(site.store, Settings(epoch_poll=3600, **given))
    assert missing in str(caught.value)
    site.guard.close()


# --- with the pages ----------------------------------------------------------------------------------------------


class MailedSite(Site):
    """A site whose guard sends e-mails by the server."""

    def __init__(self, folder: Path, server: SmtpServer) -> None:
        url = f"smtp://localhost:{server.port}"
        super().__init__(folder, smtp_url=url, mail_from=FROM, site_url=SITE)

    def close(self) -> None:
        """Close the guard, after the pages have sent all links."""
        eventually(lambda: not any("link-to-reset" in thread.name for thread in threading.enumerate()))
        self.guard.close()


@pytest.fixture
def mailed(tmp_path: Path) -> Iterator[tuple[MailedSite, SmtpServer]]:
    with ExitStack() as stack:
        server = stack.enter_context(smtp_server())
        site = MailedSite(tmp_path, server)
        yield site, server
        server.gate.set()
        site.close()


def link_in(server: SmtpServer) -> str:
    content = server.mails.get(timeout=60).message.get_content()
    [link] = {line for line in content.splitlines() if "token=" in line}
    return str(link)


def test_forgotten_password_is_reset_by_e_mail(mailed: tuple[MailedSite, SmtpServer]) -> None:
    site, server = mailed
    assert "I have forgotten my password" in site.browser.get("/signin/?type=root").text
    site.send("/signin/forgot", email="ROOT@acme.example")
    link = link_in(server)
    assert link.startswith(f"{SITE}/signin/reset?token=")
    assert site.send(link.removeprefix(SITE), new_password=NEW_PASSWORD).status_code == 303
    assert "The password was changed" in server.mails.get(timeout=60).message["Subject"]
    assert site.send("/signin/?type=root", email=ROOT, password=NEW_PASSWORD).status_code == 303
    assert "in a new browser" in server.mails.get(timeout=60).message["Subject"]


def test_link_does_not_name_the_host_of_the_request(mailed: tuple[MailedSite, SmtpServer]) -> None:
    """Otherwise a client could send the token of another to its own server."""
    site, server = mailed
    page = site.browser.get("/signin/forgot")
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-forwarded-prefix": "/evil"}
    site.browser.cookies.set("iam-guard-dev-form", site.browser.cookies["iam-guard-dev-form"], domain="evil.example")
    for host in ("localhost", "evil.example"):
        site.browser.post(
            "/signin/forgot", data={"csrf_token": token, "email": ROOT}, headers={**headers, "host": host}
        )
    content = server.mails.get(timeout=60).content
    assert b"evil" not in content
    assert SITE.encode() in content


def test_path_of_a_mount_cannot_add_text(tmp_path: Path) -> None:
    """A client can choose it if it has a parameter."""
    with smtp_server() as server:
        site = MailedSite(tmp_path, server)
        app = Starlette(routes=[Mount("/{tenant}/signin", sign_in_pages(site.guard))])
        site.browser = TestClient(app, base_url="http://localhost", follow_redirects=False)
        site.send("/a%0A%0Aevil.example%20/signin/forgot", email=ROOT)
        assert link_in(server).startswith(f"{SITE}/a%0A%0Aevil.example%20/signin/reset?token=")
        site.close()


def test_pages_do_not_wait_for_the_server(
    mailed: tuple[MailedSite, SmtpServer], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it hangs, further requests get the same answer; many are dropped, which is logged once."""
    monkeypatch.setattr(mail, "TIMEOUT", 600.0)
    site, server = mailed
    server.gate.clear()
    answers = set()
    for number in range(MAX_OF_ONE + 10):
        site.now += timedelta(hours=1)
        answers.add(site.send("/signin/forgot", email=ROOT if number % 2 else "eve@acme.example").text)
    dropped = "link to reset a password dropped: too many are waiting"
    assert caplog.messages == [dropped]
    other = TestClient(site.app, base_url="http://localhost", client=("198.51.100.1", 50_000))
    for client in (other, site.browser):  # a drop is logged again, since the other client had room
        answers.add(site.send("/signin/forgot", client, email=ROOT).text)
    assert caplog.messages == [dropped] * 2
    assert len(answers) == 1


def test_failing_server_is_logged_without_address_and_link(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once; and people sign in."""
    with smtp_server() as server:
        site = MailedSite(tmp_path, server)
    for _ in range(3):
        site.send("/signin/forgot", email=ROOT)
        assert site.send("/signin/?type=root", email=ROOT, password=PASSWORD).status_code == 303
        site.send("/signin/out")
        site.now += timedelta(minutes=6)
    names = ("link to reset a password", "notification")
    expected = {f"{name} failed: ConnectionRefusedError" for name in names}
    eventually(lambda: expected <= set(caplog.messages))
    site.close()
    assert sorted(message for message in caplog.messages if "Connection" in message) == sorted(expected)
    assert "token" not in caplog.text
    assert ROOT not in caplog.text


def test_address_that_gets_no_mail_has_the_same_answer(mailed: tuple[MailedSite, SmtpServer]) -> None:
    """A stored one that is not in ASCII, or would add a recipient."""
    site, server = mailed
    with site.store.write_transaction() as records:
        records.update(accounts, {"email": "a,b@acme.example"}, id=ACCOUNT)
    answers = {site.send("/signin/forgot", email=email).text for email in ("a,b@acme.example", "eve@acme.example")}
    assert len(answers) == 1
    site.close()
    assert server.commands == []

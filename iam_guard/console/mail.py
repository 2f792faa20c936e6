"""E-mails to root users by an SMTP server: links to reset a password, and notifications.

A message has the texts of all languages of the pages, since that of its recipient is unknown. It has nothing that an
attacker could choose: neither the `Host` of a request, nor the address as typed, nor the name of a browser.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from iam_guard.authn.people.notifications import Notification
from iam_guard.console.languages import LANGUAGES, texts
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.net.trusted_addresses import is_loopback
from iam_guard.settings import Settings

TIMEOUT: Final = 10.0
"""Seconds to wait for each answer of the server."""
_PORTS: Final = {"smtps": 465, "smtp": 587}
_MAX_ADDRESS: Final = 254
_ADDRESS: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*", re.A | re.I)


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    is_tls: bool
    user: str
    password: str = field(repr=False)

    def connect(self, name: str) -> smtplib.SMTP:
        """Return a connection with TLS, signed in. Without TLS only to loopback, and only without a password."""
        context = ssl.create_default_context()
        if self.is_tls:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, name, timeout=TIMEOUT, context=context)
        else:
            smtp = smtplib.SMTP(self.host, self.port, name, timeout=TIMEOUT)
        try:
            if not self.is_tls and (self.user or not is_loopback(self.host)):
                smtp.starttls(context=context)
            if self.user:
                smtp.login(self.user, self.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


class Mailer:
    """Sends e-mails as the settings `smtp_url`, `mail_from` and `site_url` say. Safe to share between threads.

    Its methods wait for the server. They raise `OSError`, of which the errors of `smtplib` are subclasses, and
    `InvalidInput` for an address that no e-mail is sent to. Raises `ConfigurationError` for invalid settings.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.site_url:
            raise ConfigurationError("expected a value, since links in e-mails lead there", place="site_url")
        self._server = _server_of(settings.smtp_url)
        self._sender = _address(settings.mail_from, ConfigurationError, "mail_from")
        self._site = settings.site_url
        self._sign_in = settings.site_url + (settings.sign_in_url or "/signin")

    def send_reset(self, email: str, path: str) -> None:
        """Send the link with this path of the site to a root user."""

        def paragraphs(text: Mapping[str, str]) -> list[str]:
            return [text["mail_reset"].format(site=self._site), self._site + path, text["mail_ignore"]]

        self._send(email, "mail_reset_subject", paragraphs)

    def notify(self, notification: Notification) -> None:
        """Send a notification to a root user; others have no address, and get none."""
        if notification.email is None:
            return
        subject = f"mail_{notification.kind}"

        def paragraphs(text: Mapping[str, str]) -> list[str]:
            about = text["mail_about"].format(account=notification.account, site=self._site)
            facts = [f"{text['mail_time']}: {notification.at:%Y-%m-%d %H:%M %Z}"]
            facts += [f"{text['address']}: {notification.address}"] if notification.address else []
            return [f"{text[subject]}. {about}", "\n".join(facts), text["mail_not_you"], self._sign_in]

        self._send(notification.email, subject, paragraphs)

    def _send(self, email: str, subject: str, paragraphs: Callable[[Mapping[str, str]], list[str]]) -> None:
        recipient = _address(email, InvalidInput, "email")
        languages = [texts(language) for language in LANGUAGES]
        message = EmailMessage(policy=SMTP)
        message["From"], message["To"] = self._sender, recipient
        message["Subject"] = " / ".join(text[subject] for text in languages)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.domain)
        message["Auto-Submitted"] = "auto-generated"  # else absent recipients answer (RFC 3834)
        body = "\n\n--\n\n".join("\n\n".join(paragraphs(text)) for text in languages)
        message.set_content(body, cte="quoted-printable")
        with self._server.connect(self._sender.domain) as smtp:
            smtp.send_message(message, self._sender.addr_spec, [recipient.addr_spec])


def _server_of(url: str) -> _Server:
    """Parse the URL of a server. Raises `ConfigurationError`, which does not quote it: it may have a password."""
    expected = "expected a URL such as smtps://user:password@smtp.example.com, or smtp://… for STARTTLS"
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ConfigurationError(expected, place="smtp_url") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not _is_bare(parts) or bool(user) != bool(password) or not (user + password).isascii():
        raise ConfigurationError(expected, place="smtp_url")
    return _Server(parts.hostname or "", port, parts.scheme == "smtps", user, password)


def _is_bare(parts: SplitResult) -> bool:
    """Return whether a URL has a host, and nothing after it."""
    has_host = re.fullmatch(r"[a-z0-9.-]+|[0-9a-f:.]+", parts.hostname or "") is not None
    return has_host and parts.path in ("", "/") and not parts.query and not parts.fragment


def _address(text: str, error: type[ConfigurationError | InvalidInput], place: str) -> Address:
    """Return an address, which can neither add a header nor another recipient."""
    if len(text) > _MAX_ADDRESS or not _ADDRESS.fullmatch(text):
        raise error(f"expected an e-mail address in ASCII, got `{text[:64]}`", place=place)
    local, _, domain = text.rpartition("@")
    return Address(username=local, domain=domain)

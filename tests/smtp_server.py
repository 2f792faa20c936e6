"""An SMTP server with STARTTLS or TLS, and with passwords, that keeps what it receives."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from queue import Queue
from typing import Any


@dataclass
class SmtpServer:
    """What the server was sent. `gate` is what each session waits for first."""

    port: int = 0
    mails: Queue[Mail] = field(default_factory=Queue)
    commands: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    certificate: Path | None = None
    is_tls: bool = False
    offers_tls: bool = True
    password: str = ""
    """What clients must sign in with: `user:password`; empty for nothing."""
    refused: str = ""
    """An answer to each recipient instead of its acceptance."""


@dataclass(frozen=True)
class Mail:
    """A message as it was delivered."""

    sender: str
    recipients: list[str]
    content: bytes
    is_encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.content, policy=default)
        assert isinstance(message, EmailMessage)
        return message


class _Session(socketserver.StreamRequestHandler):
    received: SmtpServer

    def handle(self) -> None:
        self.sender, self.recipients, self.user = "", list[str](), ""
        self.is_encrypted = self.received.is_tls
        self.received.gate.wait(600)
        self.say("220 test")
        while line := self.rfile.readline(10_000):
            command = line.decode().strip()
            self.received.commands.append(command)
            verb = command.partition(" ")[0].upper()
            if not getattr(self, f"do_{verb.lower()}", self.do_unknown)(command):
                return

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def say(self, answer: str) -> bool:
        self.wfile.write(f"{answer}\r\n".encode())
        return True

    def do_unknown(self, command: str) -> bool:
        return self.say("502 unknown")

    def do_ehlo(self, command: str) -> bool:
        self.wfile.write(b"250-test\r\n")
        offered = ["STARTTLS"] if self.received.offers_tls and not self.is_encrypted else []
        offered += ["AUTH PLAIN"] if self.received.password else []
        self.wfile.write(b"".join(f"250-{name}\r\n".encode() for name in offered))
        return self.say("250 8BITMIME")

    def do_starttls(self, command: str) -> bool:
        self.say("220 go on")
        self.connection = _context(self.received.certificate).wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.is_encrypted = True
        return True

    def do_auth(self, command: str) -> bool:
        _, user, password = base64.b64decode(command.split()[2]).decode().split("\0")
        if f"{user}:{password}" != self.received.password:
            return self.say("535 refused")
        self.user = user
        return self.say("235 welcome")

    def do_mail(self, command: str) -> bool:
        if self.received.password and not self.user:
            return self.say("530 sign in first")
        self.sender = command.partition("<")[2].partition(">")[0]
        return self.say("250 ok")

    def do_rcpt(self, command: str) -> bool:
        self.recipients.append(command.partition("<")[2].partition(">")[0])
        return self.say(self.received.refused or "250 ok")

    def do_rset(self, command: str) -> bool:
        return self.say("250 ok")

    def do_data(self, command: str) -> bool:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline(10_000)) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        mail = Mail(self.sender, self.recipients, b"".join(lines), self.is_encrypted, self.user)
        self.received.mails.put(mail)
        return self.say("250 queued")

    def do_quit(self, command: str) -> bool:
        self.say("221 bye")
        return False


def _context(certificate: Path | None) -> ssl.SSLContext:
    assert certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that the client disconnected, or refused the certificate."""


@contextmanager
def smtp_server(certificate: Path | None = None, **options: Any) -> Iterator[SmtpServer]:
    """Serve at loopback. `certificate` is a file with a certificate and its key."""
    received = SmtpServer(certificate=certificate, **options)
    received.gate.set()
    server = _Server(("127.0.0.1", 0), type("Session", (_Session,), {"received": received}))
    received.port = server.server_address[1]
    if received.is_tls:
        server.socket = _context(certificate).wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.gate.set()
        server.shutdown()
        thread.join(60)
        server.server_close()

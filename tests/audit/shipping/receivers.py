"""An HTTP server for tests that stores posted requests and returns configured responses."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple


class Request(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass
class Receiver:
    """The received requests, and the next responses; 200 if there are none left."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    decide: Callable[[Request], Answer | None] = lambda _: None
    """Called if no answer is queued; returns None for 200, which adds the request to `accepted`."""
    accepted: list[Request] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """Responses are delayed until it is set."""


@contextmanager
def run_receiver(certificate: Path | None = None) -> Iterator[Receiver]:
    """Run a receiver on a free loopback port, with TLS if a file with a key and a certificate is given."""
    receiver = Receiver()
    receiver.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            receiver.requests.append(request)
            receiver.gate.wait(300)
            answer = receiver.answers.pop(0) if receiver.answers else receiver.decide(request) or Answer()
            if answer.status == 200 and not answer.body:
                receiver.accepted.append(request)
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("content-length", str(len(answer.body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore that the client disconnected."""

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    receiver.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        thread.join(60)
        server.server_close()

"""WSGI applications over a real connection: in a thread of the test's process, or in a gunicorn process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import wsgiref.simple_server
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60


@contextmanager
def by_waitress(app: Any, *, threads: int = 100) -> Iterator[str]:
    """Serve with waitress, and yield the address."""
    from waitress.server import create_server

    server = create_server(app, host="127.0.0.1", port=0, threads=threads, connection_limit=200, backlog=threads)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        with suppress(OSError):  # the thread ran it before it was woken up for it
            server.trigger.pull_trigger(server.close)  # in its own thread, which may be waiting for these sockets
        thread.join()
        server.task_dispatcher.shutdown()


@contextmanager
def by_werkzeug(app: Any) -> Iterator[str]:
    """Serve with Werkzeug, as `flask run` does."""
    from werkzeug.serving import make_server

    with _threaded(make_server("127.0.0.1", 0, app, threaded=True)) as address:
        yield address


@contextmanager
def by_wsgiref(app: Any) -> Iterator[str]:
    """Serve with the standard library, as Django's `runserver` does."""

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Suppress the log."""

    with _threaded(wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet)) as address:
        yield address


@contextmanager
def _threaded(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def by_gunicorn(target: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve `module:application`, or `module:factory()`, with two workers of gunicorn."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        listener.set_inheritable(True)
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--workers", "2"]
        command += ["--no-control-socket", "--log-level", "warning", target]
        server = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, pass_fds=[listener.fileno()], stderr=subprocess.PIPE
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.terminate()
            _, output = server.communicate(timeout=SECONDS)
            assert b"Traceback" not in output, output.decode()

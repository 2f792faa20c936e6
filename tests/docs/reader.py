"""Follows a tutorial literally: saves its files, and runs its commands against its server, in its order.

Commands that install something are left out. What the page shows of an output must occur in it; `…` is any text.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tools.blocks import blocks_of

ROOT = Path(__file__).resolve().parents[2]
ROOT_PASSWORD = "a password of the root user"
COMMAND = re.compile(r"^\$ (?P<command>.+)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)
PROMPT = re.compile(r"^\w[\w ]*:\n", re.MULTILINE)
SERVER = "uvicorn "
SECONDS = 300


class Reader:
    """Follows the page in a folder, with a free port in place of the page's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("IAM_GUARD_", "AWS_"))}
        self.environment = {**settings, "PATH": programs}
        self.commands: list[str] = []
        self.output = ""
        """What the last command printed."""

    def follow(self, text: str) -> None:
        """Save each file and run each command of the page."""
        with ExitStack() as server:
            for block in blocks_of(text.replace("localhost:8000", f"localhost:{self.port}")):
                if block["title"]:
                    (self.folder / block["title"]).write_text(block["body"], encoding="utf-8")
                for found in COMMAND.finditer(block["body"]) if block["language"] == "console" else ():
                    command, output = found.group("command", "output")
                    self.commands.append(command)
                    if command.startswith(SERVER):
                        server.close()
                        server.enter_context(self.serving(command))
                    elif not command.startswith("pip install"):
                        self.run(command, output)

    def run(self, command: str, output: str) -> None:
        shown, prompts = PROMPT.subn("", output)
        done = subprocess.run(
            ["bash", "-c", f"{command} --stdin" if prompts else command],
            cwd=self.folder,
            env=self.environment,
            input=ROOT_PASSWORD + "\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        self.output = done.stdout
        for line in shown.splitlines():
            pattern = re.escape(line).replace("…", ".+")
            assert re.search(f"^{pattern}$", done.stdout, re.MULTILINE), (command, line, done.stdout)

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        arguments = [*command.split(), "--port", str(self.port), "--log-level", "warning"]
        with subprocess.Popen(arguments, cwd=self.folder, env=self.environment) as process:
            try:
                end = time.monotonic() + SECONDS
                while not self.is_answering():
                    assert process.poll() is None, "the server ended while starting"
                    assert time.monotonic() < end, "the server did not start"
                    time.sleep(0.05)
                yield
            finally:
                process.terminate()

    def is_answering(self) -> bool:
        with closing(socket.socket()) as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

"""The clients: where they are installed, what they find around them, and the `aws` command.

`IAM_GUARD_TEST_CLIENTS` is the folder of their environment, by default `.venv-clients` beside `pyproject.toml`, which
`make test` fills. A test whose client is missing is left out; in CI, that is a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.clients.serving import Server
from tests.store.databases import do_without

VARIABLE = "IAM_GUARD_TEST_CLIENTS"
REGION = "us-east-1"
TIMEOUT = 300
REFUSED = 255
"""How the first version of `aws` ends when the service refuses."""

Json = Any
Javascript = Callable[..., Json]


def clients_folder() -> Path:
    """Return the folder of the clients' environment."""
    usual = Path(__file__).parents[2] / ".venv-clients"
    return Path(os.environ.get(VARIABLE) or usual)


def installed(name: str) -> str:
    """Return the path of a program of the clients' environment; without it, the test is left out."""
    path = clients_folder() / "bin" / name
    if not path.exists():
        do_without(f"no `{name}` in {clients_folder()}: `make test` installs it, or set {VARIABLE}")
    return str(path)


def on_machine(name: str) -> str:
    """Return the path of a program of the machine; without it, the test is left out."""
    path = shutil.which(name)
    if path is None:
        do_without(f"no `{name}` on this machine")
    return str(path)


def surroundings(server: Server, home: Path) -> dict[str, str]:
    """Return all the variables that a client sees: our server's, and nothing of who runs the tests."""
    return {
        "PATH": os.pathsep.join([str(clients_folder() / "bin"), os.environ["PATH"]]),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_IAM": server.url,
        "AWS_ENDPOINT_URL_STS": server.url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }


def run(
    command: list[str], variables: Mapping[str, str], *, typed: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end."""
    return subprocess.run(
        command,
        input=typed,
        cwd=folder,
        env=dict(variables),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


_AT_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def run_at_terminal(command: list[str], variables: Mapping[str, str], *, prompt: str, answer: str) -> str:
    """Run a client that asks for something at its terminal; give what it showed there.

    What is asked for must not be typed before, for programs throw away what was.
    """
    started = [sys.executable, "-c", _AT_A_TERMINAL, *command]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(started, env=dict(variables), **pipes) as process:  # type: ignore[call-overload]
        shown = b""
        while not shown.endswith(prompt.encode()):
            more = process.stdout.read(1)
            assert more, shown.decode()
            shown += more
        rest, _ = process.communicate(f"{answer}\n".encode(), timeout=TIMEOUT)
        assert process.returncode == 0, (shown + rest).decode()
        return str(rest.decode())


def play(program: Path, package: str, variables: Mapping[str, str]) -> Javascript:
    """Return what plays a scenario of a program on a package of AWS's SDK for JavaScript, and gives what it printed."""
    node = on_machine("node")
    folder = clients_folder() / "node"
    if not (folder / "node_modules" / "@aws-sdk" / package).exists():
        do_without(f"no `@aws-sdk/{package}` in {folder}: `make test` installs it where `npm` is")

    def played(scenario: str, **given: Json) -> Json:
        command = [node, "--input-type=module", "-", scenario, json.dumps(given)]
        ended = run(command, variables, typed=program.read_text(), folder=folder)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return played


@dataclass(frozen=True, slots=True)
class Aws:
    """The `aws iam` command, or that of another service, as somebody."""

    program: str
    variables: Mapping[str, str]
    service: str = "iam"

    def __call__(self, operation: str, *options: str, **parameters: Json) -> Json:
        """Return the answer of an operation; a parameter that is no text is passed as JSON."""
        ended = self._run(operation, options, parameters)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    def refused(self, operation: str, *options: str, **parameters: Json) -> str:
        """Return what the command says of an operation that the service refuses."""
        ended = self._run(operation, options, parameters)
        assert ended.returncode == REFUSED, ended.stdout + ended.stderr
        assert ended.stdout == ""
        return ended.stderr.strip()

    def as_key(self, access_key: Mapping[str, str]) -> Aws:
        """Return the command as the owner of an access key that the service answered."""
        key = {name: access_key[field] for name, field in _KEY_FIELDS.items()}
        return replace(self, variables=dict(self.variables) | key)

    def _run(
        self, operation: str, options: tuple[str, ...], parameters: Mapping[str, Json]
    ) -> subprocess.CompletedProcess[str]:
        command = [self.program, self.service, operation, *options]
        for name, value in parameters.items():
            command += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value)]
        return run(command, self.variables)


_KEY_FIELDS = {"AWS_ACCESS_KEY_ID": "AccessKeyId", "AWS_SECRET_ACCESS_KEY": "SecretAccessKey"}

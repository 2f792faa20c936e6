"""The clients: where they are installed, their environment variables, and the `aws` command.

`IAM_GUARD_TEST_CLIENTS` is the folder of their virtual environment, by default `.venv-clients` next to
`pyproject.toml`, which `make test` installs. A test without its client is skipped; in CI it fails.
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
"""The exit code of version 1 of `aws` after an error of the service."""

Json = Any
Javascript = Callable[..., Json]


def clients_folder() -> Path:
    """Return the folder of the clients' virtual environment."""
    default = Path(__file__).parents[2] / ".venv-clients"
    return Path(os.environ.get(VARIABLE) or default)


def installed(name: str) -> str:
    """Return the path of a program of the clients' environment; skip the test without it."""
    path = clients_folder() / "bin" / name
    if not path.exists():
        do_without(f"no `{name}` in {clients_folder()}: `make test` installs it, or set {VARIABLE}")
    return str(path)


def installed_on_machine(name: str) -> str:
    """Return the path of a program of the machine; skip the test without it."""
    path = shutil.which(name)
    if path is None:
        do_without(f"no `{name}` on this machine")
    return str(path)


def client_environment(server: Server, home: Path) -> dict[str, str]:
    """Return the environment variables of a client: those of the server, without the developer's AWS settings."""
    return {
        "PATH": os.pathsep.join([str(clients_folder() / "bin"), os.environ["PATH"]]),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_ACCESSANALYZER": server.url,
        "AWS_ENDPOINT_URL_IAM": server.url,
        "AWS_ENDPOINT_URL_STS": server.url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }


def run(
    command: list[str], variables: Mapping[str, str], *, stdin: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client and return its result."""
    return subprocess.run(
        command,
        input=stdin,
        cwd=folder,
        env=dict(variables),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


_RUN_IN_PTY = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def run_at_terminal(command: list[str], variables: Mapping[str, str], *, prompt: str, answer: str) -> str:
    """Run a client that prompts at its terminal; return its output after the prompt.

    The answer is sent only after the prompt, because programs discard earlier input.
    """
    command_in_pty = [sys.executable, "-c", _RUN_IN_PTY, *command]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command_in_pty, env=dict(variables), **pipes) as process:  # type: ignore[call-overload]
        output = b""
        while not output.endswith(prompt.encode()):
            byte = process.stdout.read(1)
            assert byte, output.decode()
            output += byte
        rest, _ = process.communicate(f"{answer}\n".encode(), timeout=TIMEOUT)
        assert process.returncode == 0, (output + rest).decode()
        return str(rest.decode())


def scenario_runner(program: Path, package: str, variables: Mapping[str, str]) -> Javascript:
    """Return a function that runs a scenario of a program with AWS's SDK for JavaScript and returns its JSON output."""
    node = installed_on_machine("node")
    folder = clients_folder() / "node"
    if not (folder / "node_modules" / "@aws-sdk" / package).exists():
        do_without(f"no `@aws-sdk/{package}` in {folder}: `make test` installs it where `npm` is")

    def run_scenario(scenario: str, **parameters: Json) -> Json:
        command = [node, "--input-type=module", "-", scenario, json.dumps(parameters)]
        completed = run(command, variables, stdin=program.read_text(), folder=folder)
        assert completed.returncode == 0, completed.stderr
        return json.loads(completed.stdout)

    return run_scenario


@dataclass(frozen=True, slots=True)
class Aws:
    """The `aws iam` command, or that of another service, with credentials."""

    program: str
    variables: Mapping[str, str]
    service: str = "iam"

    def __call__(self, operation: str, *options: str, **parameters: Json) -> Json:
        """Return the response of an operation; a parameter that is not a string is passed as JSON."""
        completed = self._run(operation, options, parameters)
        assert completed.returncode == 0, completed.stderr
        return json.loads(completed.stdout) if completed.stdout.strip() else None

    def refused(self, operation: str, *options: str, **parameters: Json) -> str:
        """Return the error output of an operation that the service refuses."""
        completed = self._run(operation, options, parameters)
        assert completed.returncode == REFUSED, completed.stdout + completed.stderr
        assert completed.stdout == ""
        return completed.stderr.strip()

    def as_key(self, access_key: Mapping[str, str]) -> Aws:
        """Return the command with an access key of a response."""
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

"""The command `iam-guard` itself: which commands there are, and what becomes of an error.

Exit codes: 0 yes, 1 no or findings, 2 usage or error. A command is imported when it is asked for, so that deciding does
not wait for a database library, nor the help for anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import click

from iam_guard.errors import IamGuardError


class CommandRow(NamedTuple):
    """One command: the module of this room that has it, its name there, and the first sentence of its help."""

    module: str
    name: str
    about: str


COMMANDS = {
    "init": CommandRow(
        "store", "init", "Create the store, the key that seals its secrets, and the key that signs the audit trail."
    ),
    "apply": CommandRow("store", "apply", "Apply a seed FILE: afterwards the store holds what it declares."),
    "resource-policy": CommandRow(
        *("resource_policy", "resource_policy"),
        "Put, get, delete and list the resource-based policies of an application's resources.",
    ),
    "api-key": CommandRow(
        *("api_key", "keys"), "Create, list, activate, deactivate, rotate and delete API keys of users and roles."
    ),
    "revocation-list": CommandRow(
        *("revocation_list", "revocation_list"), "Import and list the certificate revocation lists of trust anchors."
    ),
    "serve": CommandRow("serve", "serve", "Serve the AWS-compatible API, IAM and STS, on one endpoint."),
    "routes": CommandRow(
        *("routes", "routes"),
        "List the endpoints of APP (`module:app`) and what guards them; exit code 1 when nobody guards one.",
    ),
    "reference": CommandRow(
        *("references", "reference"),
        "Write the service authorization reference of an application: actions, resource types, condition keys.",
    ),
    "lint": CommandRow(
        *("lint", "lint"),
        "Find what is wrong or unwise in FILES: policies (JSON or YAML), seeds, cases; `-` is standard input.",
    ),
    "who-can": CommandRow(
        *("access", "who"),
        "Say who in the store may do ACTION on RESOURCE (an ARN, `*`, or a pattern), and by which policy.",
    ),
    "what-can": CommandRow(
        *("access", "what"), "Say what PRINCIPAL (the ARN of a user, role or root user) may do, and on which resources."
    ),
    "decide": CommandRow(
        *("cases", "decide"),
        'Read cases as JSON lines from standard input, write `{"id", "outcome"}` lines in the same order.',
    ),
    "test": CommandRow(
        *("cases", "test"),
        "Run the cases of FILES (JSON lines or YAML); print failures, then `N passed, N failed`.",
    ),
    "matrix": CommandRow(
        *("matrix", "matrix"),
        "Show who may do what, as FILE asks: as a table, HTML, SVG, CSV or JSON; compare it with what was approved.",
    ),
    "audit": CommandRow(
        *("audit", "audit"),
        "Verify the audit trail, prove what stands in it, read it, drop what is old, and decide its requests again.",
    ),
    "explain": CommandRow(
        *("cases", "explain_case"),
        "Say why a case of FILE (JSON, JSON lines or YAML; else standard input) is allowed or denied.",
    ),
    "why": CommandRow(
        *("why", "why"),
        "Say why REQUEST_ID (or an event's id) was allowed or denied; exit code 1 when anything was denied.",
    ),
}


class _Commands(click.Group):
    """A group that loads a command when it is asked for, and turns our errors into a message and exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        command: click.Command = getattr(import_module(f"iam_guard.cli.{row.module}"), row.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.about) for name, row in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IamGuardError as error:
            raise SystemExit(_complain(str(error))) from None


def _complain(message: str) -> int:
    click.echo(f"iam-guard: {message}", err=True)
    return 2


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="iam-guard")
def main() -> None:
    """The access management that AWS gives its own services, for anybody's Python service."""

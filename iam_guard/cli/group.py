"""The command `iam-guard`: its subcommands and error handling.

Exit codes: 0 yes, 1 no or findings, 2 usage or error. Subcommands are imported on use, so that `decide` starts without
a database library, and the help without any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from iam_guard.errors import IamGuardError, SeedError, did_you_mean

COMMANDS = {
    "init": "Create the store, the key that encrypts its secrets, and the key that signs the audit trail.",
    "apply": "Apply a seed FILE, so that the store contains what it declares.",
    "reseal": "Encrypt the store's secrets that have another key again with the first sealing key.",
    "account": "Create and list accounts, and set how their people sign in.",
    "resource-policy": "Put, get, delete and list the policies of an application's resources, and share resources.",
    "api-key": "Create, list, activate, deactivate, rotate and delete API keys of users and roles.",
    "revocation-list": "Import and list the certificate revocation lists of trust anchors.",
    "serve": "Serve the AWS-compatible API, IAM, STS, IAM Access Analyzer and AWS Sign-In, on one endpoint.",
    "routes": "List the endpoints of APP (`module:app`) and what guards them; exit code 1 if one is unguarded.",
    "reference": "Write the service authorization reference of an application: actions, resource types, condition "
    "keys.",
    "lint": "Check FILES for errors and risks: policies (JSON or YAML), seeds, cases; `-` is standard input.",
    "check": "Prove what policies allow: a proof, or a request that shows the opposite. Exit code 0 only if it is "
    "proved.",
    "analyze": "Find access that a store allows: from outside, inside, unused, and paths to more. Exit code 1 if "
    "there is any.",
    "who-can": "List which principals can perform ACTION on RESOURCE (an ARN, `*`, or a pattern), and by which policy.",
    "what-can": "List what PRINCIPAL (the ARN of a user, role or root user) can do, and on which resources.",
    "decide": 'Read cases as JSON lines from standard input, write `{"id", "outcome"}` lines in the same order.',
    "test": "Run the cases of FILES (JSON lines or YAML); print failures, then `N passed, N failed`.",
    "matrix": "Show who may do what, as FILE describes, in several formats; compare it with an approved state.",
    "audit": "Verify the audit trail, prove and read its records, drop old ones, and replay its requests.",
    "explain": "Explain why a case of FILE (JSON, JSON lines or YAML; default standard input) is allowed or denied.",
    "why": "Explain why REQUEST_ID (or an event's id) was allowed or denied; exit code 1 if any request was denied.",
}


class LazyGroup(click.Group):
    """A group that imports its commands on use, and reports our errors as a message with exit code 2.

    `rows` has the name of each command, and the first sentence of its help. A command is `command` in the module of its
    name in `package`.
    """

    def __init__(self, package: str, about: str, rows: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(help=about, **attributes)
        self.package = package
        self.rows = rows

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.rows:
            return None
        command: click.Command = import_module(f"{self.package}.{cmd_name.replace('-', '_')}").command
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest a similar name for an unknown command; click suggests only commands that are imported."""
        if args and args[0] not in self.rows and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"no command `{args[0]}`{did_you_mean(args[0], self.rows)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command without importing one."""
        names = [CompletionItem(name, help=about) for name, about in self.rows.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.rows.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SeedError as error:
            raise SystemExit(_report_errors(error.problems)) from None
        except IamGuardError as error:
            raise SystemExit(_report_errors([str(error)])) from None


def _report_errors(messages: Iterable[str]) -> int:
    for message in messages:
        click.echo(f"iam-guard: {message}", err=True)
    return 2


@click.pass_context
def _choose_colours(ctx: click.Context) -> None:
    if os.environ.get("NO_COLOR"):
        ctx.color = False  # of every command; else click writes colours to a terminal only


main = LazyGroup(
    "iam_guard.cli",
    "Manage and evaluate access as AWS does for its own services, for any Python service.",
    COMMANDS,
    name="iam-guard",
    context_settings={"help_option_names": ["-h", "--help"]},
    callback=_choose_colours,
)
click.version_option(package_name="iam-guard")(main)

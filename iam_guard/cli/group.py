"""The command `iam-guard`: its subcommands and error handling.

Exit codes: 0 yes, 1 no or findings, 2 usage or error. Subcommands are imported on use, so that `decide` starts without
a database library, and the help without any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from iam_guard.errors import IamGuardError, SeedError, did_you_mean


class CommandRow(NamedTuple):
    """One command: its module in `iam_guard.cli` and name there, and the first sentence of its help."""

    place: str
    about: str


COMMANDS = {
    "init": CommandRow(
        "store.init", "Create the store, the key that encrypts its secrets, and the key that signs the audit trail."
    ),
    "apply": CommandRow("store.apply", "Apply a seed FILE, so that the store contains what it declares."),
    "reseal": CommandRow(
        "reseal.reseal", "Encrypt the store's secrets that have another key again with the first sealing key."
    ),
    "account": CommandRow("account.account", "Create and list accounts, and set how their people sign in."),
    "resource-policy": CommandRow(
        "resource_policy.resource_policy",
        "Put, get, delete and list the policies of an application's resources, and share resources.",
    ),
    "api-key": CommandRow(
        "api_key.keys", "Create, list, activate, deactivate, rotate and delete API keys of users and roles."
    ),
    "revocation-list": CommandRow(
        "revocation_list.revocation_list", "Import and list the certificate revocation lists of trust anchors."
    ),
    "serve": CommandRow(
        "serve.serve", "Serve the AWS-compatible API, IAM, STS, IAM Access Analyzer and AWS Sign-In, on one endpoint."
    ),
    "routes": CommandRow(
        "routes.routes",
        "List the endpoints of APP (`module:app`) and what guards them; exit code 1 if one is unguarded.",
    ),
    "reference": CommandRow(
        "references.reference",
        "Write the service authorization reference of an application: actions, resource types, condition keys.",
    ),
    "lint": CommandRow(
        "lint.lint", "Check FILES for errors and risks: policies (JSON or YAML), seeds, cases; `-` is standard input."
    ),
    "check": CommandRow(
        "check.check",
        "Prove what policies allow: a proof, or a request that shows the opposite. Exit code 0 only if it is proved.",
    ),
    "analyze": CommandRow(
        "analyze.analyze",
        "Find access that a store allows: from outside, inside, unused, and paths to more. "
        "Exit code 1 if there is any.",
    ),
    "who-can": CommandRow(
        "access.who",
        "List which principals can perform ACTION on RESOURCE (an ARN, `*`, or a pattern), and by which policy.",
    ),
    "what-can": CommandRow(
        "access.what", "List what PRINCIPAL (the ARN of a user, role or root user) can do, and on which resources."
    ),
    "decide": CommandRow(
        "decide.decide",
        'Read cases as JSON lines from standard input, write `{"id", "outcome"}` lines in the same order.',
    ),
    "test": CommandRow(
        "cases.test", "Run the cases of FILES (JSON lines or YAML); print failures, then `N passed, N failed`."
    ),
    "matrix": CommandRow(
        "matrix.matrix",
        "Show who may do what, as FILE describes, in several formats; compare it with an approved state.",
    ),
    "audit": CommandRow(
        "audit.audit", "Verify the audit trail, prove and read its records, drop old ones, and replay its requests."
    ),
    "explain": CommandRow(
        "cases.explain_case",
        "Explain why a case of FILE (JSON, JSON lines or YAML; default standard input) is allowed or denied.",
    ),
    "why": CommandRow(
        "why.why",
        "Explain why REQUEST_ID (or an event's id) was allowed or denied; exit code 1 if any request was denied.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports its commands on use, and reports our errors as a message with exit code 2."""

    def __init__(self, *, rows: Mapping[str, CommandRow], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.rows = rows

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = self.rows.get(cmd_name)
        if row is None:
            return None
        module, name = row.place.split(".")
        command: click.Command = getattr(import_module(f"iam_guard.cli.{module}"), name)
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
        names = [CompletionItem(name, help=row.about) for name, row in self.rows.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.about) for name, row in self.rows.items()])

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


@click.group(cls=LazyGroup, rows=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="iam-guard")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Manage and evaluate access as AWS does for its own services, for any Python service."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False  # of every command; else click writes colours to a terminal only
